//! Keys that were made elsewhere.

use crate::key::KeyRef;

/// What came of a record that was to be taken in.
#[derive(Debug, Clone)]
#[must_use]
#[non_exhaustive]
pub enum KeyAdoption {
    /// It is this store's now.
    Adopted(KeyRef),
    /// There is another record of this id or digest, and nothing was changed.
    Taken,
}
