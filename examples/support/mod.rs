//! What every example program needs and has nothing to do with keys: settings, logs, the port, and a calm end.

use std::fmt::Display;
use std::future::Future;
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::str::FromStr;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tower_api_key::limit::Quota;
use tower_api_key::{BoxError, ConfigError};

/// Runs a program: reads `.env.local` (what is in the environment already wins), logs to stderr as `RUST_LOG` says, and
/// ends with 2 and one line on stderr when the settings are wrong.
pub(crate) fn run<F: Future<Output = Result<(), BoxError>>>(program: impl FnOnce() -> F) -> ExitCode {
    match dotenvy::from_path(".env.local") {
        Ok(()) => {}
        Err(error) if error.not_found() => {}
        // Its text would show the line, which may hold a secret.
        Err(dotenvy::Error::LineParse(_, column)) => {
            return wrong_file(&format!("a line is not NAME=value, at {column}"));
        }
        Err(error) => return wrong_file(&error.to_string()),
    }
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
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

/// Listens on 127.0.0.1 at `port` (0 is any), and says where.
pub(crate) async fn listen(port: u16) -> Result<TcpListener, BoxError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(listener)
}

/// Completes at SIGTERM or Ctrl-C: the requests in flight are then served to their end.
pub(crate) async fn end() {
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated => {}
    }
}
