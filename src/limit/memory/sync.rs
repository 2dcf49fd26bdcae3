//! The lock of a shard, which a model checker can replace.

#[cfg(shuttle)]
pub(super) use shuttle::sync::{Mutex, MutexGuard};
#[cfg(not(shuttle))]
pub(super) use std::sync::{Mutex, MutexGuard};

/// Locks. A poisoned lock is as good as any: no shard is left half-changed, because nothing that runs under the lock
/// can fail midway other than by lack of memory, which ends the process.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
