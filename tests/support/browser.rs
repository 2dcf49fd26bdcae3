//! Chromium, headless and driven over WebDriver, that reaches nothing but this machine.

#![allow(dead_code, reason = "each test program needs its own part of it")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

/// Chromium and its driver, ended when dropped.
pub(crate) struct Browser {
    driver: Child,
    session: String,
    // Removed when everything else has ended.
    _folder: tempfile::TempDir,
}

impl Browser {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut driver = Command::new("chromedriver");
        driver.args(["--port=0", "--allowed-ips=127.0.0.1"]).env("HOME", folder.path());
        // A group of their own, so that the browser ends with its driver whatever becomes of the test.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut driver, 0);
        let mut driver = driver.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("chromedriver is there");
        let output = BufReader::new(driver.stdout.take().unwrap());
        let port = output.lines().map_while(Result::ok).find_map(|line| {
            let (_, port) = line.split_once("successfully on port ")?;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        let url = format!("http://127.0.0.1:{}", port.expect("the driver says where it listens"));
        let profile = format!("--user-data-dir={}", folder.path().join("profile").display());
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            // No name is known, and every address but this machine's is behind a proxy that there is not.
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            "--proxy-server=http://127.0.0.1:9",
            "--proxy-bypass-list=127.0.0.1",
            &profile,
        ];
        let chrome = json!({"args": arguments});
        let wish = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": chrome, "goog:loggingPrefs": {"browser": "ALL"},
            // A page of thousands of rows takes a while to be looked through.
            "timeouts": {"script": 300_000},
        }}});
        let begun = send(Method::POST, &format!("{url}/session"), &wish).await;
        let id = begun["sessionId"].as_str().unwrap_or_else(|| panic!("{begun}"));
        Self { driver, session: format!("{url}/session/{id}"), _folder: folder }
    }

    pub(crate) async fn open(&self, url: &str) {
        send(Method::POST, &format!("{}/url", self.session), &json!({"url": url})).await;
    }

    /// Runs a function's body in the page, and gives what it returns.
    pub(crate) async fn run(&self, script: &str, arguments: Value) -> Value {
        let body = json!({"script": script, "args": arguments});
        send(Method::POST, &format!("{}/execute/sync", self.session), &body).await
    }

    /// Waits until there is what `script` looks for, and gives it.
    pub(crate) async fn wait(&self, script: &str) -> Value {
        let start = Instant::now();
        loop {
            let found = self.run(script, json!([])).await;
            if found != Value::Null && found != json!(false) {
                return found;
            }
            if start.elapsed() > Duration::from_secs(20) {
                let text = self.run("return document.body.innerText", json!([])).await;
                panic!("{script}: {text} {:?}", self.log().await);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits for an element and clicks it.
    pub(crate) async fn click(&self, selector: &str) {
        self.wait(&format!("const it = document.querySelector({}); it?.click(); return !!it", json!(selector))).await;
    }

    /// Types as a person does, so that the page notices.
    pub(crate) async fn enter(&self, selector: &str, text: &str) {
        let script = format!("return document.querySelector({})", json!(selector));
        let element = self.wait(&script).await;
        let id = element.as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned();
        let clear = format!("{}/element/{id}/clear", self.session);
        send(Method::POST, &clear, &json!({})).await;
        send(Method::POST, &format!("{}/element/{id}/value", self.session), &json!({"text": text})).await;
    }

    /// A cookie of the site that is open, as a server sets it that scripts may not read.
    pub(crate) async fn cookie(&self, name: &str, value: &str) {
        let cookie = json!({"name": name, "value": value, "path": "/", "httpOnly": true, "sameSite": "Lax"});
        send(Method::POST, &format!("{}/cookie", self.session), &json!({"cookie": cookie})).await;
    }

    /// Presses keys one after the other: letters, or what WebDriver calls `\u{E004}` and the like.
    pub(crate) async fn press(&self, keys: &str) {
        let strokes = keys.chars().flat_map(|key| {
            let key = key.to_string();
            [json!({"type": "keyDown", "value": key}), json!({"type": "keyUp", "value": key})]
        });
        let strokes: Vec<Value> = strokes.collect();
        let body = json!({"actions": [{"type": "key", "id": "keyboard", "actions": strokes}]});
        send(Method::POST, &format!("{}/actions", self.session), &body).await;
    }

    /// A window of this width, for somebody who likes this colour scheme, `light` or `dark`.
    pub(crate) async fn look(&self, width: u32, scheme: &str) {
        let (height, mobile) = if width < 600 { (780, true) } else { (900, false) };
        let screen = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile});
        self.tools("Emulation.setDeviceMetricsOverride", screen).await;
        let features = json!([
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]);
        self.tools("Emulation.setEmulatedMedia", json!({"features": features})).await;
    }

    /// Lets pages of this origin read what was copied, as a person pastes it.
    pub(crate) async fn let_paste(&self) {
        let body = json!({"descriptor": {"name": "clipboard-read"}, "state": "granted"});
        send(Method::POST, &format!("{}/permissions", self.session), &body).await;
    }

    /// A picture of the window, as a file.
    pub(crate) async fn shoot(&self, path: &Path) {
        let picture = send(Method::GET, &format!("{}/screenshot", self.session), &Value::Null).await;
        let picture = BASE64_STANDARD.decode(picture.as_str().unwrap()).unwrap();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, picture).unwrap();
    }

    /// A command of the developer tools.
    async fn tools(&self, command: &str, parameters: Value) -> Value {
        let body = json!({"cmd": command, "params": parameters});
        send(Method::POST, &format!("{}/goog/cdp/execute", self.session), &body).await
    }

    /// What the browser complains of.
    pub(crate) async fn log(&self) -> Vec<Value> {
        let log = send(Method::POST, &format!("{}/se/log", self.session), &json!({"type": "browser"})).await;
        log.as_array().cloned().unwrap_or_default()
    }

    pub(crate) async fn end(self) {
        send(Method::DELETE, &self.session, &Value::Null).await;
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let group = format!("-{}", self.driver.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

async fn send(method: Method, url: &str, body: &Value) -> Value {
    let text = if body.is_null() { String::new() } else { body.to_string() };
    let request = Request::builder().method(method).uri(url).header("content-type", "application/json");
    let request = request.body(Full::<Bytes>::from(text)).unwrap();
    let answer = Client::builder(TokioExecutor::new()).build_http().request(request).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let value = serde_json::from_slice::<Value>(&body).unwrap()["value"].clone();
    assert!(value.get("stacktrace").is_none(), "{url}: {} {}", value["error"], value["message"]);
    value
}
