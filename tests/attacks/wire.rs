//! HTTP/1.1 as it is written: nothing is put right on the way.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::evidence;

/// As long as anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Fields whose values are secrets.
const CREDENTIALS: [&str; 4] = ["x-api-key", "authorization", "cookie", "x-organization-api-key"];

/// A request that is to be sent.
#[derive(Clone)]
pub(crate) struct Ask {
    line: Vec<u8>,
    fields: Vec<(String, Vec<u8>)>,
    body: Option<Vec<u8>>,
    from: IpAddr,
}

impl Ask {
    pub(crate) fn new(method: &str, target: impl AsRef<[u8]>) -> Self {
        let line = [method.as_bytes(), b" ", target.as_ref(), b" HTTP/1.1"].concat();
        let fields = vec![("host".to_owned(), b"localhost".to_vec())];
        Self { line, fields, body: None, from: Ipv4Addr::LOCALHOST.into() }
    }

    pub(crate) fn get(target: impl AsRef<[u8]>) -> Self {
        Self::new("GET", target)
    }

    pub(crate) fn post(target: impl AsRef<[u8]>, body: impl fmt::Display) -> Self {
        Self::new("POST", target).json(body)
    }

    /// One more field, after the others. What could be a credential is a secret from now on.
    pub(crate) fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        if CREDENTIALS.contains(&name.to_ascii_lowercase().as_str()) {
            evidence::secrets_of(value.as_ref());
        }
        self.fields.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    pub(crate) fn fields(self, fields: &[(&str, &str)]) -> Self {
        fields.iter().fold(self, |ask, (name, value)| ask.field(name, value))
    }

    /// With another `Host`, or none.
    pub(crate) fn host(mut self, host: Option<&str>) -> Self {
        self.fields.retain(|(name, _)| name != "host");
        match host {
            Some(host) => self.field("host", host),
            None => self,
        }
    }

    pub(crate) fn json(self, body: impl fmt::Display) -> Self {
        let ask = self.field("content-type", "application/json");
        ask.body(body.to_string().into_bytes())
    }

    pub(crate) fn body(mut self, body: Vec<u8>) -> Self {
        self.body = Some(body);
        self
    }

    /// From this address of the machine, all of 127.0.0.0/8 being its own.
    pub(crate) fn from(mut self, address: &str) -> Self {
        self.from = address.parse().expect("an address");
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = [&self.line[..], b"\r\n"].concat();
        for (name, value) in &self.fields {
            bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        if let Some(body) = &self.body {
            bytes.extend(format!("content-length: {}\r\n", body.len()).into_bytes());
        }
        bytes.extend(b"\r\n");
        bytes.extend(self.body.as_deref().unwrap_or_default());
        bytes
    }
}

/// As it is written, but for what is long.
impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.bytes().escape_ascii().to_string().replace("\\r\\n", "\n    ");
        write!(f, "    {}", text.chars().take(1_500).collect::<String>())
    }
}

/// What came back.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// Null, if the body is no JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// The code of a refusal, in any of the styles of the programs; nothing, where the program has said nothing.
    pub(crate) fn code(&self) -> String {
        let json = self.json();
        let code = json["code"].as_str().or(json["error"]["code"].as_str());
        // The bodies of `chat` have titles alone.
        let title = json["error"].as_str().map(|title| match title {
            "Authentication required" => "MISSING_API_KEY",
            "Invalid API key" => "INVALID_API_KEY",
            "Ambiguous credentials" => "AMBIGUOUS_CREDENTIALS",
            "Too many failed attempts" => "TOO_MANY_FAILURES",
            "Rate limit exceeded" => "RATE_LIMITED",
            other => other,
        });
        code.or(title).unwrap_or_default().to_owned()
    }
}

thread_local! {
    static OPEN: RefCell<HashMap<(SocketAddr, IpAddr), TcpStream>> = RefCell::default();
}

/// Sends a request on a connection that is kept, and reads its answer. Status 0 is a connection that ended without one.
pub(crate) fn exchange(address: SocketAddr, ask: &Ask) -> Answer {
    let answer = exchange_untold(address, ask);
    evidence::answer(format!("{answer:?}\n").as_bytes());
    answer
}

/// As [`exchange`], for the one answer that shows a new key.
pub(crate) fn exchange_untold(address: SocketAddr, ask: &Ask) -> Answer {
    let key = (address, ask.from);
    let kept = OPEN.with_borrow_mut(|open| open.remove(&key));
    let bytes = ask.bytes();
    let head = bytes.starts_with(b"HEAD ");
    let again = kept.and_then(|stream| once(stream, &bytes, head));
    let done = again.or_else(|| once(connect(address, ask.from), &bytes, head));
    let Some((answer, stream)) = done else { return Answer::default() };
    if let Some(stream) = stream {
        OPEN.with_borrow_mut(|open| open.insert(key, stream));
    }
    answer
}

fn once(mut stream: TcpStream, bytes: &[u8], head: bool) -> Option<(Answer, Option<TcpStream>)> {
    // What is refused early is answered although not all of it could be written.
    let written = stream.write_all(bytes);
    let mut read = Vec::new();
    let answer = answer(&mut stream, &mut read, head)?;
    let kept = written.is_ok() && answer.header("connection") != "close" && read.is_empty();
    Some((answer, kept.then_some(stream)))
}

/// Asked last, so that the program ends the connection.
const LAST: &[u8] = b"GET /last HTTP/1.1\r\nhost: x\r\nx-request-id: last\r\nconnection: close\r\n\r\n";

/// Sends bytes on a connection of their own and a last request after them, and reads all answers until the program ends it,
/// or waits for more than there is.
pub(crate) fn pour(address: SocketAddr, bytes: &[u8]) -> Vec<Answer> {
    let mut stream = connect(address, Ipv4Addr::LOCALHOST.into());
    stream.set_read_timeout(Some(Duration::from_secs(2))).expect("a timeout can be set");
    let _ = stream.write_all(&[bytes, LAST].concat());
    let (mut read, mut answers) = (Vec::new(), Vec::new());
    while let Some(answer) = answer(&mut stream, &mut read, bytes.starts_with(b"HEAD ")) {
        evidence::answer(format!("{answer:?}\n").as_bytes());
        answers.push(answer);
    }
    answers
}

pub(crate) fn connect(address: SocketAddr, from: IpAddr) -> TcpStream {
    let domain = socket(from).and_then(|socket| {
        socket.connect_timeout(&address.into(), PATIENCE)?;
        Ok(TcpStream::from(socket))
    });
    let stream = domain.expect("the program listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout can be set");
    stream.set_nodelay(true).expect("a socket takes it");
    stream
}

fn socket(from: IpAddr) -> std::io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(from, 0).into())?;
    Ok(socket)
}

/// Reads one answer; what was read beyond it stays in `read`.
fn answer(stream: &mut TcpStream, read: &mut Vec<u8>, head: bool) -> Option<Answer> {
    let end = until(stream, read, |read| find(read, b"\r\n\r\n").map(|at| at + 4))?;
    let text = String::from_utf8_lossy(&read[..end]).into_owned();
    read.drain(..end);
    let mut lines = text.trim_end().lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let field = |line: &str| line.split_once(':').map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
    let mut answer = Answer { status, headers: lines.filter_map(field).collect(), body: String::new() };
    if head || status == 204 || status == 304 || status < 200 {
        return Some(answer);
    }
    let body = if answer.header("transfer-encoding") == "chunked" {
        chunks(stream, read)?
    } else if let Ok(length) = answer.header("content-length").parse::<usize>() {
        until(stream, read, |read| (read.len() >= length).then_some(length))?;
        read.drain(..length).collect()
    } else {
        let _ = until(stream, read, |_| None);
        std::mem::take(read)
    };
    answer.body = String::from_utf8_lossy(&body).into_owned();
    Some(answer)
}

fn chunks(stream: &mut TcpStream, read: &mut Vec<u8>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = until(stream, read, |read| find(read, b"\r\n").map(|at| at + 2))?;
        let line: Vec<u8> = read.drain(..end).collect();
        let size = usize::from_str_radix(std::str::from_utf8(&line).ok()?.trim(), 16).ok()?;
        until(stream, read, |read| (read.len() >= size + 2).then_some(size + 2))?;
        body.extend(read.drain(..size + 2).take(size));
        if size == 0 {
            return Some(body);
        }
    }
}

fn find(read: &[u8], pattern: &[u8]) -> Option<usize> {
    read.windows(pattern.len()).position(|part| part == pattern)
}

/// Reads until there is enough; nothing, if the connection ends before that.
fn until(stream: &mut TcpStream, read: &mut Vec<u8>, enough: impl Fn(&[u8]) -> Option<usize>) -> Option<usize> {
    let mut part = [0; 16_384];
    loop {
        if let Some(end) = enough(read) {
            return Some(end);
        }
        match stream.read(&mut part) {
            Ok(0) => return None,
            Ok(count) => read.extend(&part[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Silence is no answer: a row that expects one fails.
            Err(_) => return None,
        }
    }
}
