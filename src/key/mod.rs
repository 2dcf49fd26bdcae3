//! Keys: what they look like, how they are kept, and what is known of them.
//!
//! | type | what it is |
//! | --- | --- |
//! | [`KeyFormat`] | the shape of a key's text: prefix, environment, random part, checksum |
//! | [`SecretKey`], [`PresentedKey`] | a key in plain text, as made here and as sent by a caller; neither can be printed |
//! | [`KeyDigest`], [`KeyHasher`] | what a store keeps in place of the key, and how it is computed |
//! | [`KeyRecord`], [`KeyRef`] | what a store knows of a key |
//! | [`KeyObject`] | what is shown of a record, as JSON |
//! | [`Scope`], [`ScopeSet`], [`ScopeRequirement`] | what a key may do, and what a route asks for |
//!
//! ```
//! use tower_api_key::key::{Environment, KeyFormat};
//!
//! let format = KeyFormat::prefixed("ak")?;
//! let key = format.generate(&Environment::LIVE)?;
//! assert!(format.accepts(key.expose_secret()));
//! assert_eq!(key.expose_secret().len(), 48); // ak_live_ + 34 random characters + 6 of checksum
//! assert_eq!(format!("{key:?}"), "SecretKey(…)");
//! # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
//! ```

mod digest;
mod format;
mod id;
mod object;
mod origin;
mod random;
mod record;
mod scope;
mod secret;

pub use digest::{DigestAlgorithm, KeyDigest, KeyHasher, ParseKeyDigestError, Pepper, PepperId};
pub use format::{InvalidKeyFormat, KeyFormat};
pub use id::{Environment, InvalidName, KeyId, OrganizationId, Realm, UserId};
pub use object::KeyObject;
pub use origin::is_web_origin;
pub use random::RandomError;
pub use record::{KeyClass, KeyOwner, KeyRecord, KeyRef, KeyState, NotAttached, Rotation};
pub use scope::{Scope, ScopeHierarchy, ScopeRequirement, ScopeSet};
pub use secret::{PresentedKey, SecretKey};

pub(crate) use digest::DigestHasher;
