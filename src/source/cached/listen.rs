//! Obeying a bus.

use std::future::Future;
use std::time::Duration;

use super::{Cached, Invalidation, Invalidations};
use crate::error::{BoxError, Chain};
use crate::source::KeySource;

/// How long a lost bus is given before it is asked again, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

impl<S: KeySource> Cached<S> {
    /// Obeys `bus` until it ends or the future is dropped. Run the future, on a task of its own for one.
    ///
    /// Whenever something may have been missed, everything is forgotten: at the start, and when the bus fails, comes back
    /// or ends. While it is away, the [`ttl`](super::CachedBuilder::ttl) bounds what goes unheard.
    ///
    /// With [`stale_on_error`](super::CachedBuilder::stale_on_error), records stay when the bus fails, to be used only if the
    /// source fails as well: a bus that is lost with the source takes no keys with it.
    pub fn listen<B: Invalidations>(&self, mut bus: B) -> impl Future<Output = ()> + Send + use<S, B> {
        let cache = self.clone();
        async move {
            cache.invalidate_all();
            cache.0.instruments.hears(true);
            let mut pause = FIRST_PAUSE;
            let mut is_lost = false;
            loop {
                match bus.next().await.map_err(Into::into) {
                    Ok(Some(invalidation)) => {
                        if is_lost {
                            cache.0.instruments.hears(true);
                        }
                        cache.apply(if is_lost { Invalidation::All } else { invalidation });
                        (is_lost, pause) = (false, FIRST_PAUSE);
                    }
                    Ok(None) => {
                        cache.0.instruments.hears(false);
                        return cache.invalidate_all();
                    }
                    Err(error) => {
                        cache.0.instruments.hears(false);
                        cache.doubt_all();
                        cache.warn_of_lost_bus(&error);
                        is_lost = true;
                        rest(pause).await;
                        pause = LONGEST_PAUSE.min(pause * 2);
                    }
                }
            }
        }
    }

    fn warn_of_lost_bus(&self, error: &BoxError) {
        tracing::warn!(
            target: "tower_api_key::store",
            backend = %self.0.name,
            error = %Chain(&**error),
            "invalidations may have been missed: everything is asked for again"
        );
    }
}

/// Only Tokio's timer is known here.
async fn rest(pause: Duration) {
    if tokio::runtime::Handle::try_current().is_ok() {
        tokio::time::sleep(pause).await;
    }
}
