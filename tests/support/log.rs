//! What a thread logs, for its test to read.

use std::io;
use std::sync::{Arc, Mutex, Once};

use tracing::Level;
use tracing::subscriber::DefaultGuard;

/// Lets every call site count as one that somebody listens to. Else one that a thread without a listener comes by first can
/// stay silent for the others.
pub(crate) fn listen_everywhere() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry());
    });
}

/// What this crate has logged.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// What this thread logs while the guard lives.
    pub(crate) fn listen(level: Level) -> (Self, DefaultGuard) {
        listen_everywhere();
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_max_level(level);
        let subscriber = subscriber.with_writer(move || writer.clone()).finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The lines that have this in them.
    #[allow(dead_code, reason = "not every test reads lines")]
    pub(crate) fn lines(&self, about: &str) -> Vec<String> {
        self.text().lines().filter(|line| line.contains(about)).map(ToOwned::to_owned).collect()
    }

    /// The same, of what was logged since this was last asked.
    #[allow(dead_code, reason = "not every test reads in turns")]
    pub(crate) fn new_lines(&self, about: &str) -> Vec<String> {
        let lines = self.lines(about);
        self.0.lock().unwrap().clear();
        lines
    }
}

impl io::Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
