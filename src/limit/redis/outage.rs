//! What is done while Redis is away, and telling about it.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::Chain;
use crate::instruments::LimiterInstruments;

/// What becomes of requests while Redis gives no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnUnavailable {
    /// They are refused: 503, `AUTH_UNAVAILABLE`. The default, since it admits nothing that a limit would refuse.
    #[default]
    Refuse,
    /// They are admitted, without limits and without headers about them.
    Allow,
    /// This node counts in its own memory, and admits its share.
    CountLocally {
        /// Among how many nodes each quota is divided, rounded down and at least 1. A cost above the share is refused.
        nodes: u32,
    },
}

impl OnUnavailable {
    /// The name that metrics have for it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Allow => "allow",
            Self::CountLocally { .. } => "count_locally",
        }
    }
}

/// How often at most an outage is told of.
const PERIOD: Duration = Duration::from_secs(10);

/// Tells the log that Redis is away, not more often than each [`PERIOD`], and that it is back, if it has told of the
/// outage.
pub(super) struct Outage {
    instruments: LimiterInstruments,
    is_away: AtomicBool,
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    last: Option<Instant>,
    /// Requests that were not decided by Redis, since that was last told.
    untold: u64,
    is_told: bool,
}

impl Outage {
    pub(super) fn new(instruments: LimiterInstruments) -> Self {
        Self { instruments, is_away: AtomicBool::new(false), told: Mutex::default() }
    }

    pub(super) fn failed(&self, error: &(dyn Error + 'static), mode: OnUnavailable) {
        self.is_away.store(true, Ordering::Relaxed);
        self.instruments.available(false);
        self.instruments.undecided();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.untold += 1;
        if told.last.is_some_and(|last| last.elapsed() < PERIOD) {
            return;
        }
        let requests = std::mem::take(&mut told.untold);
        (told.last, told.is_told) = (Some(Instant::now()), true);
        tracing::warn!(
            target: "tower_api_key::limit",
            error = %Chain(error),
            requests,
            on_unavailable = ?mode,
            "Redis does not decide on limits"
        );
    }

    /// To be called whenever Redis has answered.
    pub(super) fn answered(&self) {
        if !self.is_away.load(Ordering::Relaxed) {
            return;
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_away.store(false, Ordering::Relaxed);
        self.instruments.available(true);
        if std::mem::take(&mut told.is_told) {
            let requests = std::mem::take(&mut told.untold);
            tracing::info!(target: "tower_api_key::limit", requests, "Redis decides on limits again");
        }
    }
}

#[cfg(all(test, feature = "metrics"))]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;
    use crate::redis_link::RedisLinkError;

    #[test]
    fn an_outage_is_counted_and_its_end_is_seen() {
        let exporter = PrometheusBuilder::new().build_recorder();
        let page = || exporter.handle().render();
        metrics::with_local_recorder(&exporter, || {
            let outage = Outage::new(LimiterInstruments::new("mine", OnUnavailable::Allow.as_str()));
            let available =
                |value| page().contains(&format!("tower_api_key_limiter_available{{limiter=\"mine\"}} {value}"));
            assert!(available(1));
            let error = RedisLinkError::Deadline(Duration::from_secs(1));
            outage.failed(&error, OnUnavailable::Allow);
            outage.failed(&error, OnUnavailable::Allow);
            assert!(available(0));
            let undecided = "tower_api_key_limiter_undecided_total{limiter=\"mine\",on_unavailable=\"allow\"} 2";
            assert!(page().contains(undecided), "{}", page());
            outage.answered();
            assert!(available(1));
        });
    }
}
