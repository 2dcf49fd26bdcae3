//! A body on its way to the service behind the gateway, watched: whether it moves, and who keeps it waiting.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use tokio::time::Instant;

/// The caller's body. What moves is not silent.
pub(crate) struct Upload {
    body: Body,
    progress: Progress,
}

impl Upload {
    pub(crate) fn new(body: Body) -> (Self, Progress) {
        let moved =
            Arc::new(Moved { at: AtomicU64::new(0), starved: AtomicBool::new(false), broken: AtomicBool::new(false) });
        let progress = Progress { start: Instant::now(), moved };
        (Self { body, progress: progress.clone() }, progress)
    }
}

/// How far an [`Upload`] is.
#[derive(Clone)]
pub(crate) struct Progress {
    start: Instant,
    moved: Arc<Moved>,
}

struct Moved {
    /// In milliseconds since the start.
    at: AtomicU64,
    /// The service would have taken more than the caller had sent.
    starved: AtomicBool,
    /// What the caller sent is no body, or ended before its end.
    broken: AtomicBool,
}

impl Progress {
    /// Completes when nothing has moved for so long.
    pub(crate) async fn silence(&self, patience: Duration) {
        loop {
            let end = self.start + Duration::from_millis(self.moved.at.load(Ordering::Relaxed)) + patience;
            if end <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(end).await;
        }
    }

    /// Whether it is the caller who is waited for.
    pub(crate) fn awaits_caller(&self) -> bool {
        self.moved.starved.load(Ordering::Relaxed)
    }

    /// Whether it is the caller's body that cannot be passed on.
    pub(crate) fn is_broken(&self) -> bool {
        self.moved.broken.load(Ordering::Relaxed)
    }
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        let Progress { start, moved } = &self.progress;
        moved.starved.store(polled.is_pending(), Ordering::Relaxed);
        if let Poll::Ready(Some(Err(_))) = polled {
            moved.broken.store(true, Ordering::Relaxed);
        }
        if polled.is_ready() {
            moved.at.store(u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}
