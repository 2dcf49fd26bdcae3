//! What goes on beside requests: writing what was noted, and looking how things stand.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use super::Gate;
use crate::audit::AuditNotWritten;
use crate::usage::UsageNotWritten;

impl Gate {
    /// Hands the notes of uses that there are now to their store.
    pub(crate) async fn flush_usage(&self) -> Result<(), UsageNotWritten> {
        let Some(usage) = &self.usage else { return Ok(()) };
        usage.flush(self.credit_ledger(), &*self.source).await
    }

    /// The same again and again, and events of the trail, until the layer is shut down.
    pub(crate) async fn write_at_intervals(self: Arc<Self>) {
        let uses = async {
            if let Some(usage) = &self.usage {
                let flush = async || {
                    let outcome = self.flush_usage().await;
                    #[cfg(feature = "metrics")]
                    self.refresh_gauges();
                    outcome
                };
                usage.flush_at_intervals(flush).await;
            }
        };
        let events = async {
            if let Some(trail) = &self.trail {
                trail.background().await;
            }
        };
        both(uses, events).await;
    }

    /// Looks how things stand that no request looks at.
    #[cfg(feature = "metrics")]
    pub(crate) fn refresh_gauges(&self) {
        self.instruments.limiter(self.limits.as_ref().and_then(|limits| limits.limiter().occupancy()));
        if let Some(usage) = &self.usage {
            usage.refresh_gauges(self.clock.now());
        }
    }

    /// Writes uses and events within a deadline, and for the last time.
    pub(crate) async fn shut_down(&self) -> (Result<(), UsageNotWritten>, Result<(), AuditNotWritten>) {
        let uses = async {
            match &self.usage {
                Some(usage) => usage.shutdown(self.credit_ledger(), &*self.source).await,
                None => Ok(()),
            }
        };
        let events = async {
            match &self.trail {
                Some(trail) => trail.shutdown().await,
                None => Ok(()),
            }
        };
        both(uses, events).await
    }
}

/// Waits for two at once.
async fn both<A, B>(one: impl Future<Output = A>, other: impl Future<Output = B>) -> (A, B) {
    let (mut one, mut other) = (pin!(one), pin!(other));
    let (mut first, mut second) = (None, None);
    poll_fn(move |cx| {
        if first.is_none()
            && let Poll::Ready(outcome) = one.as_mut().poll(cx)
        {
            first = Some(outcome);
        }
        if second.is_none()
            && let Poll::Ready(outcome) = other.as_mut().poll(cx)
        {
            second = Some(outcome);
        }
        match (first.take(), second.take()) {
            (Some(first), Some(second)) => Poll::Ready((first, second)),
            (one, other) => {
                (first, second) = (one, other);
                Poll::Pending
            }
        }
    })
    .await
}
