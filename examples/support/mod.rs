//! What every example program needs and has nothing to do with keys: settings, logs, the port, and a calm end.

#![allow(dead_code, reason = "each program needs its own part of it")]

#[cfg(feature = "metrics")]
pub(crate) mod metrics;

use std::fmt::Display;
use std::future::{Future, IntoFuture};
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::str::FromStr;

use tokio::net::TcpListener;
use tower_api_key::limit::Quota;
use tower_api_key::{ApiKeyLayer, BoxError, ConfigError};

/// Runs a program: reads `.env.local` (what is in the environment already wins), logs to stderr as `RUST_LOG` says, and
/// ends with 2 and one line on stderr when the settings are wrong.
pub(crate) fn run<F: Future<Output = Result<(), BoxError>>>(program: impl FnOnce() -> F) -> ExitCode {
    if let Err(code) = read_file() {
        return code;
    }
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    run_with_log(program)
}

/// Reads `.env.local`, if there is one.
pub(crate) fn read_file() -> Result<(), ExitCode> {
    match dotenvy::from_path(".env.local") {
        Ok(()) => Ok(()),
        Err(error) if error.not_found() => Ok(()),
        // Its text would show the line, which may hold a secret.
        Err(dotenvy::Error::LineParse(_, column)) => Err(wrong_file(&format!("a line is not NAME=value, at {column}"))),
        Err(error) => Err(wrong_file(&error.to_string())),
    }
}

/// Runs a program that has set up its log.
pub(crate) fn run_with_log<F: Future<Output = Result<(), BoxError>>>(program: impl FnOnce() -> F) -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(program()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            if error.is::<ConfigError>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

fn wrong_file(problem: &str) -> ExitCode {
    eprintln!(".env.local: {problem}");
    ExitCode::from(2)
}

/// Reads settings from the environment, and collects what is wrong with them.
#[derive(Default)]
pub(crate) struct Settings {
    errors: Vec<ConfigError>,
}

impl Settings {
    /// The text of a variable; `None` if it is unset or empty.
    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        match std::env::var(name) {
            Ok(value) => Some(value).filter(|value| !value.trim().is_empty()),
            Err(std::env::VarError::NotPresent) => None,
            Err(std::env::VarError::NotUnicode(_)) => {
                self.errors.push(ConfigError::new(name, "is not valid UTF-8"));
                None
            }
        }
    }

    /// A variable that is no secret, parsed; `default` if it is unset or empty.
    pub(crate) fn parsed<T: FromStr<Err: Display>>(&mut self, name: &str, default: T) -> T {
        let Some(text) = self.text(name) else { return default };
        match text.trim().parse() {
            Ok(value) => value,
            Err(error) => {
                self.errors.push(ConfigError::new(name, format_args!("{text:?}: {error}")));
                default
            }
        }
    }

    /// A port for metrics, if there is to be one.
    pub(crate) fn metrics_port(&mut self) -> Option<u16> {
        let text = self.text("METRICS_PORT")?;
        if cfg!(not(feature = "metrics")) {
            self.wrong("METRICS_PORT", "this program was built without the feature `metrics`");
        }
        text.trim().parse().map_err(|error| self.wrong("METRICS_PORT", format_args!("{text:?}: {error}"))).ok()
    }

    /// How often something may be done in an hour, out of a variable.
    pub(crate) fn per_hour(&mut self, name: &str, default: u32) -> Quota {
        let quota = Quota::per_hour(self.parsed(name, default));
        if let Err(error) = quota.validate() {
            self.wrong(name, error);
        }
        quota
    }

    /// The outcome of something that is made out of settings.
    pub(crate) fn checked<T>(&mut self, made: Result<T, ConfigError>) -> Option<T> {
        made.map_err(|error| self.errors.push(error)).ok()
    }

    /// Notes that a setting is wrong.
    pub(crate) fn wrong(&mut self, name: &str, problem: impl Display) {
        self.errors.push(ConfigError::new(name, problem));
    }

    /// Goes on only if nothing is wrong.
    pub(crate) fn done(&mut self) -> Result<(), ConfigError> {
        ConfigError::all(std::mem::take(&mut self.errors))
    }
}

/// Listens on 127.0.0.1 at `port` (0 is any), says where, and runs the server that is made of it, beside what the layer
/// does in the background. When the server has served its last request, what the layer still has to write is written.
pub(crate) async fn serve<F: IntoFuture<Output = std::io::Result<()>>>(
    port: u16,
    auth: &ApiKeyLayer,
    server: impl FnOnce(TcpListener) -> F,
) -> Result<(), BoxError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let background = tokio::spawn(auth.background());
    server(listener).await?;
    auth.shutdown().await?;
    Ok(background.await?)
}

/// Completes at SIGTERM or Ctrl-C: the requests in flight are then served to their end.
pub(crate) async fn end() {
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated() => {}
    }
}

#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut signal) => drop(signal.recv().await),
        Err(_) => std::future::pending().await,
    }
}

/// Other systems have no such signal.
#[cfg(not(unix))]
async fn terminated() {
    std::future::pending().await
}
