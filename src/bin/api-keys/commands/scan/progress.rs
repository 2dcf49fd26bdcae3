//! How far a scan is, on terminals.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar on the standard error if that is a terminal, and nothing else.
pub(super) struct Progress(ProgressBar);

impl Progress {
    pub(super) fn new() -> Self {
        // Draws to the standard error, and not at all where that is no terminal.
        Self(ProgressBar::no_length())
    }

    /// Something whose length is not known yet.
    pub(super) fn begin(&self, what: &'static str) {
        self.0.set_style(style("{spinner} {msg} {human_pos}"));
        self.0.set_message(what);
        self.0.set_position(0);
        self.0.enable_steady_tick(Duration::from_millis(100));
    }

    /// So many of something.
    pub(super) fn begin_all(&self, what: &'static str, count: u64) {
        self.0.set_style(style("{msg} [{bar:30}] {human_pos}/{human_len} {per_sec} {eta}").progress_chars("=> "));
        self.0.set_message(what);
        self.0.set_length(count);
        self.0.reset();
        self.0.enable_steady_tick(Duration::from_millis(100));
    }

    pub(super) fn add(&self, count: u64) {
        self.0.inc(count);
    }

    pub(super) fn end(&self) {
        self.0.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
