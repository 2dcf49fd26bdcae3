//! Runs the example programs, and calls them over real connections.

#![allow(dead_code, reason = "each test program needs its own part of it")]

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

/// Where cargo puts the examples: beside the folder of the tests.
fn example(name: &str) -> PathBuf {
    let tests = std::env::current_exe().expect("a test knows its own path");
    let profile = tests.parent().and_then(|deps| deps.parent()).expect("tests are built into a folder of the profile");
    let program = profile.join("examples").join(name);
    assert!(program.exists(), "{} is not built: run `cargo build --examples`", program.display());
    program
}

/// An example that is to be started: no setting of this machine's reaches it.
pub(crate) fn command(name: &str, settings: &[(&str, &str)]) -> Command {
    let folder = std::env::temp_dir();
    let mut command = Command::new(example(name));
    command.env_clear().current_dir(folder).env("PORT", "0").envs(settings.iter().copied());
    command
}

/// An example that runs. Ended when dropped.
pub(crate) struct Program {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
    /// `http://127.0.0.1:<port>`.
    pub(crate) url: String,
}

impl Program {
    pub(crate) fn start(name: &str, settings: &[(&str, &str)]) -> Self {
        Self::run(command(name, settings))
    }

    /// Starts what may have been told where to log.
    pub(crate) fn run(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the example starts");
        let mut output = BufReader::new(child.stdout.take().expect("its output is piped"));
        let mut line = String::new();
        output.read_line(&mut line).expect("its first line can be read");
        let url = line.trim().strip_prefix("listening on ").expect("the first line says where it listens").to_owned();
        Self { child, output, url }
    }

    /// One that says where its metrics are before it says where it listens.
    pub(crate) fn with_metrics(name: &str, settings: &[(&str, &str)]) -> (Self, String) {
        let mut child = command(name, settings).stdout(Stdio::piped()).spawn().expect("the example starts");
        let mut output = BufReader::new(child.stdout.take().expect("its output is piped"));
        let mut said = |before: &str| {
            let mut line = String::new();
            output.read_line(&mut line).expect("its first lines can be read");
            line.trim().strip_prefix(before).unwrap_or_else(|| panic!("{line:?} is not {before}…")).to_owned()
        };
        let (metrics, url) = (said("metrics on "), said("listening on "));
        (Self { child, output, url }, metrics)
    }

    /// Of its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("its output can be read");
        line.trim_end().to_owned()
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn terminate(self) -> ExitStatus {
        self.ask_to_end();
        self.ended()
    }

    /// Asks it to end.
    pub(crate) fn ask_to_end(&self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill runs").success());
    }

    /// Waits until it has ended.
    pub(crate) fn ended(mut self) -> ExitStatus {
        self.child.wait().expect("it ends")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A response with its whole body.
pub(crate) async fn call(request: Request<Full<Bytes>>) -> Response<String> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let (parts, body) = client.request(request).await.expect("the program answers").into_parts();
    let body = body.collect().await.expect("the body arrives").to_bytes();
    Response::from_parts(parts, String::from_utf8(body.to_vec()).expect("the body is text"))
}

/// `GET` with these headers.
pub(crate) async fn get(url: &str, headers: &[(&str, &str)]) -> Response<String> {
    let request = headers.iter().fold(Request::get(url), |request, (name, value)| request.header(*name, *value));
    call(request.body(Full::default()).expect("the request is well-formed")).await
}

/// `method` with a JSON body and these headers.
pub(crate) async fn send(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Response<String> {
    let request = Request::builder().method(method).uri(url).header("content-type", "application/json");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    call(request.body(Full::from(body.to_owned())).expect("the request is well-formed")).await
}

/// The body as JSON.
pub(crate) fn json(response: &Response<String>) -> serde_json::Value {
    serde_json::from_str(response.body()).expect("the body is JSON")
}
