//! Where a request ends, and the same request by HTTP/2.

use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::people::ada;
use crate::table::{AMBIGUOUS, BAD_REQUEST, Case, Expected, Findings, INVALID, MISSING, OK, cases};
use crate::wire::{self, Answer};
use crate::world::{CHAT, Server, World};

pub(crate) const CASES: &[Case] = cases![
    no_request_hides_in_another,
    no_smuggled_request_reaches_the_service_behind,
    no_field_is_read_in_two_ways,
    no_frame_of_http_2_opens_what_http_1_does_not,
];

/// What would be answered 200 if it were a request of its own. Its id is looked for in all answers.
fn hidden(key: &str) -> String {
    format!("GET /api/whoami HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\nx-request-id: hidden\r\n\r\n")
}

fn no_request_hides_in_another(world: &World, findings: &mut Findings) {
    let hidden = hidden(CHAT);
    let length = hidden.len();
    let size = format!("{length:x}");
    let rows: [(&str, String, String); 22] = [
        (
            "CL.TE",
            format!("content-length: {}\r\ntransfer-encoding: chunked", length + 5),
            format!("0\r\n\r\n{hidden}"),
        ),
        (
            "TE.CL",
            format!("transfer-encoding: chunked\r\ncontent-length: {}", size.len() + 2),
            format!("{size}\r\n{hidden}\r\n0\r\n\r\n"),
        ),
        ("CL.CL", format!("content-length: 0\r\ncontent-length: {length}"), hidden.clone()),
        ("CL.CL", format!("content-length: {length}\r\ncontent-length: 0"), hidden.clone()),
        ("CL list", format!("content-length: 0, {length}"), hidden.clone()),
        ("CL sign", format!("content-length: +{length}"), hidden.clone()),
        ("CL sign", "content-length: -1".into(), hidden.clone()),
        ("CL hex", format!("content-length: 0x{size}"), hidden.clone()),
        ("CL space", "content-length : 0".into(), hidden.clone()),
        ("CL overflow", "content-length: 18446744073709551616".into(), hidden.clone()),
        ("TE spelled", "transfer-encoding: xchunked".into(), format!("0\r\n\r\n{hidden}")),
        ("TE spelled", "transfer-encoding: chunked, identity".into(), format!("0\r\n\r\n{hidden}")),
        ("TE spelled", "transfer-encoding: identity".into(), hidden.clone()),
        ("TE spelled", "transfer-encoding: \"chunked\"".into(), format!("0\r\n\r\n{hidden}")),
        ("TE.TE", "transfer-encoding: chunked\r\ntransfer-encoding: identity".into(), format!("0\r\n\r\n{hidden}")),
        ("TE space", "transfer-encoding : chunked".into(), format!("0\r\n\r\n{hidden}")),
        ("TE fold", "x: y\r\n transfer-encoding: chunked".into(), format!("0\r\n\r\n{hidden}")),
        ("a chunk without a size", "transfer-encoding: chunked".into(), format!("\r\n\r\n{hidden}")),
        ("a chunk of too much", "transfer-encoding: chunked".into(), format!("ffffffffffffffffff\r\n{hidden}")),
        ("a chunk of less than nothing", "transfer-encoding: chunked".into(), format!("-1\r\n{hidden}")),
        ("a chunk by line feeds", "transfer-encoding: chunked".into(), format!("0\n\n{hidden}")),
        ("a trailer that is a request", "transfer-encoding: chunked".into(), format!("0\r\n{hidden}\r\n")),
    ];
    for server in [&world.chat, &world.generate, &world.platform] {
        for (because, fields, body) in &rows {
            let bytes = format!("POST /api/whoami HTTP/1.1\r\nhost: x\r\n{fields}\r\n\r\n{body}");
            let answers = wire::pour(server.address, bytes.as_bytes());
            let first: [Expected; 3] = [MISSING, BAD_REQUEST, (0, "")];
            let answer = answers.first().cloned().unwrap_or_default();
            findings.judge(because, server, &bytes, &answer, &first);
            for later in answers.iter().skip(1) {
                // A request of its own is judged by itself: it has its key in it. Nothing else may come of it.
                let own = ["hidden", "last"].contains(&later.header("x-request-id"));
                let own = own || [400, 404].contains(&later.status);
                findings.holds(because, own, || format!("{}\n{bytes}\n{later:?}", server.name));
            }
        }
    }
    // Neither key nor answer of one request on a connection is another's.
    let good = hidden.replace("hidden", "first");
    let none = "GET /api/whoami HTTP/1.1\r\nhost: x\r\n\r\n";
    let answers = wire::pour(world.chat.address, format!("{good}{none}{good}{none}").as_bytes());
    let statuses: Vec<_> = answers.iter().take(4).map(|answer| answer.status).collect();
    findings.holds("a key is of one request", statuses == [200, 401, 200, 401], || format!("{statuses:?}"));
    findings.at_least(60);
}

fn no_smuggled_request_reaches_the_service_behind(world: &World, findings: &mut Findings) {
    let key = &world.acme.key;
    for (because, fields, body) in [
        (
            "CL.TE",
            "content-length: 45\r\ntransfer-encoding: chunked",
            "0\r\n\r\nGET /api/run/smuggled HTTP/1.1\r\nx: y\r\n\r\n",
        ),
        (
            "TE.CL",
            "transfer-encoding: chunked\r\ncontent-length: 4",
            "28\r\nGET /api/run/smuggled HTTP/1.1\r\nx: y\r\n\r\n\r\n0\r\n\r\n",
        ),
        (
            "TE, and a field of the connection",
            "transfer-encoding: chunked\r\nconnection: transfer-encoding",
            "5\r\nhello\r\n0\r\n\r\n",
        ),
        ("CL, and a field of the connection", "content-length: 5\r\nconnection: content-length", "hello"),
        ("a hidden field", "content-length: 5\r\nconnection: x-identity, host", "hello"),
    ] {
        let bytes = format!("POST /api/run/outer HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\n{fields}\r\n\r\n{body}");
        let answers = wire::pour(world.platform.address, bytes.as_bytes());
        for answer in &answers {
            let uri = answer.json()["uri"].as_str().unwrap_or_default().to_owned();
            let expected = matches!(answer.status, 207 | 400 | 401 | 404) && !uri.contains("smuggled");
            findings.holds(because, expected, || format!("{bytes}\n{answer:?}"));
            if answer.status == 207 {
                let said = answer.json();
                let (length, encoding) =
                    (crate::upstream::seen(&said, "content-length"), crate::upstream::seen(&said, "transfer-encoding"));
                findings.holds("one length", length.len() + encoding.len() <= 1, || answer.body.clone());
            }
        }
        findings.holds(because, !answers.is_empty(), || "no answer");
    }
    // What the service behind says next belongs to the next request.
    let ask = crate::wire::Ask::get("/api/run/next").field("cookie", ada());
    let answer = wire::exchange(world.platform.address, &ask);
    findings.holds("no answer is another's", answer.json()["uri"] == "/api/run/next", || answer.body.clone());
}

fn no_field_is_read_in_two_ways(world: &World, findings: &mut Findings) {
    let rows: [(&str, String); 18] = [
        ("obs-fold", format!("x-api-key: x\r\n {CHAT}")),
        ("obs-fold", format!("x-api-key:\r\n {CHAT}")),
        ("obs-fold", format!("x: y\r\n\tx-api-key: {CHAT}")),
        ("a space before the colon", format!("x-api-key : {CHAT}")),
        ("a tab before the colon", format!("x-api-key\t: {CHAT}")),
        ("a space before the name", format!(" x-api-key: {CHAT}")),
        ("NUL in the name", format!("x-api-key\0: {CHAT}")),
        ("NUL in the value", format!("x-api-key: {CHAT}\0")),
        ("NUL before the value", format!("x-api-key: \0{CHAT}")),
        ("a bare CR", format!("x: y\rx-api-key: {CHAT}")),
        ("a bare CR in the value", format!("x-api-key: {CHAT}\rz")),
        ("no colon", format!("x-api-key {CHAT}")),
        ("no name", format!(": {CHAT}")),
        ("quotes", format!("\"x-api-key\": {CHAT}")),
        ("an underscore", format!("x_api_key: {CHAT}")),
        ("a letter that looks like it", format!("x-api-ke\u{443}: {CHAT}")),
        ("a vertical tab", format!("x-api-key:\u{b}{CHAT}")),
        ("twice", format!("x-api-key: {CHAT}\r\nx-api-key: {CHAT}")),
    ];
    for (because, fields) in &rows {
        let bytes = format!("GET /api/whoami HTTP/1.1\r\nhost: x\r\n{fields}\r\n\r\n");
        let answers = wire::pour(world.chat.address, bytes.as_bytes());
        let answer = answers.first().cloned().unwrap_or_default();
        findings.judge(because, &world.chat, &bytes, &answer, &[BAD_REQUEST, MISSING, INVALID, AMBIGUOUS]);
    }
    for (because, line) in [
        ("HTTP/0.9", "GET /api/whoami"),
        ("HTTP/2 by its first line alone", "GET /api/whoami HTTP/2.0"),
        ("HTTP/1.2", "GET /api/whoami HTTP/1.2"),
        ("two spaces", "GET  /api/whoami HTTP/1.1"),
        ("a tab", "GET\t/api/whoami\tHTTP/1.1"),
        ("a space in the target", "GET /api/system/env-status /api/whoami HTTP/1.1"),
        ("a line end in the target", "GET /api/system/env-status\n/api/whoami HTTP/1.1"),
        ("no method", " /api/whoami HTTP/1.1"),
        ("no version", "GET /api/whoami "),
        ("a name of a version", "GET /api/whoami http/1.1"),
    ] {
        let bytes = format!("{line}\r\nhost: x\r\n\r\n");
        let answers = wire::pour(world.chat.address, bytes.as_bytes());
        let answer = answers.first().cloned().unwrap_or_default();
        findings.judge(because, &world.chat, &bytes, &answer, &[BAD_REQUEST, MISSING, (0, ""), (505, "")]);
    }
    let old = format!("GET /api/whoami HTTP/1.0\r\nx-api-key: {CHAT}\r\n\r\n");
    let answer = wire::pour(world.chat.address, old.as_bytes()).first().cloned().unwrap_or_default();
    findings.judge("HTTP/1.0 is judged as any other", &world.chat, &old, &answer, &[OK]);
    let old = old.replace(CHAT, "x");
    let answer = wire::pour(world.chat.address, old.as_bytes()).first().cloned().unwrap_or_default();
    findings.judge("HTTP/1.0 is judged as any other", &world.chat, &old, &answer, &[INVALID]);
}

/// One request by HTTP/2, without TLS and without asking first.
async fn second(server: &Server, request: Request<Full<bytes::Bytes>>) -> Option<Answer> {
    let stream = tokio::net::TcpStream::connect(server.address).await.ok()?;
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.ok()?;
    let driver = tokio::spawn(connection);
    let answer = sender.send_request(request).await.ok()?;
    let (parts, body) = answer.into_parts();
    let body = body.collect().await.ok()?.to_bytes();
    driver.abort();
    let field = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    Some(Answer {
        status: parts.status.as_u16(),
        headers: parts.headers.iter().map(field).collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

fn no_frame_of_http_2_opens_what_http_1_does_not(world: &World, findings: &mut Findings) {
    let bearer = format!("Bearer {CHAT}");
    type Fields<'a> = Vec<(&'a str, &'a str)>;
    let rows: Vec<(&str, &str, &str, Fields<'_>, Expected)> = vec![
        ("nothing", "GET", "/api/whoami", vec![], MISSING),
        ("the key", "GET", "/api/whoami", vec![("x-api-key", CHAT)], OK),
        ("another", "GET", "/api/whoami", vec![("x-api-key", "x")], INVALID),
        ("twice", "GET", "/api/whoami", vec![("x-api-key", CHAT), ("x-api-key", CHAT)], AMBIGUOUS),
        ("twice, one bad", "GET", "/api/whoami", vec![("x-api-key", CHAT), ("x-api-key", "x")], AMBIGUOUS),
        ("twice, one bad", "GET", "/api/whoami", vec![("x-api-key", "x"), ("x-api-key", CHAT)], AMBIGUOUS),
        (
            "two schemes",
            "GET",
            "/api/whoami",
            vec![("authorization", "Basic eDp5"), ("authorization", &bearer)],
            AMBIGUOUS,
        ),
        ("two keys", "GET", "/api/whoami", vec![("x-api-key", "x"), ("authorization", &bearer)], AMBIGUOUS),
        ("another method", "POST", "/api/system/env-status", vec![], MISSING),
        ("another spelling", "GET", "/api/system/env-status/", vec![], MISSING),
        ("another spelling", "GET", "/api//system/env-status", vec![], MISSING),
        ("another spelling", "GET", "/api/x/%2e%2e/system/env-status", vec![], MISSING),
        (
            "a preflight",
            "OPTIONS",
            "/api/whoami",
            vec![("origin", "https://x.example"), ("access-control-request-method", "GET")],
            MISSING,
        ),
        ("an override", "GET", "/api/whoami", vec![("x-original-url", "/api/system/env-status")], MISSING),
        ("the public path", "GET", "/api/system/env-status", vec![], OK),
    ];
    let runtime = world.runtime();
    for (because, method, path, fields, expected) in rows {
        let request = |authority: &str| {
            let request = Request::builder().method(method).uri(format!("http://{authority}{path}"));
            let request = fields.iter().fold(request, |request, (name, value)| request.header(*name, *value));
            request.body(Full::default()).expect("a request")
        };
        for authority in ["localhost", "evil.example", "internal:1"] {
            let answer = runtime.block_on(second(&world.chat, request(authority)));
            let answer = answer.unwrap_or_default();
            crate::evidence::answer(format!("{answer:?}\n").as_bytes());
            findings.judge(because, &world.chat, format!("{method} {path} {fields:?}"), &answer, &[expected]);
        }
    }
}
