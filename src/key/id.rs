//! Names of things, each a type of its own so that one cannot be taken for another.

use std::sync::Arc;

use super::random::{RandomError, random_alphanumeric};

/// A text is not usable as a name of this kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} must have {rule}")]
pub struct InvalidName {
    kind: &'static str,
    rule: &'static str,
}

impl InvalidName {
    pub(super) const fn of(kind: &'static str, rule: &'static str) -> Self {
        Self { kind, rule }
    }
}

/// Text that is shared, never copied; static where it can be.
#[derive(Clone)]
pub(super) enum Text {
    Static(&'static str),
    Shared(Arc<str>),
}

impl Text {
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Static(text) => text,
            Self::Shared(text) => text,
        }
    }
}

macro_rules! name {
    ($(#[$docs:meta])* $name:ident, $kind:literal, $rule:literal, $valid:path) => {
        $(#[$docs])*
        #[derive(Clone)]
        pub struct $name($crate::key::id::Text);

        impl $name {
            /// Checks and takes a name.
            ///
            /// # Errors
            /// When the text has not the shape that the type's documentation gives.
            pub fn new(text: impl AsRef<str>) -> Result<Self, $crate::key::InvalidName> {
                let text = text.as_ref();
                if $valid(text.as_bytes()) {
                    Ok(Self($crate::key::id::Text::Shared(text.into())))
                } else {
                    Err($crate::key::InvalidName::of($kind, $rule))
                }
            }

            /// A name known when the program is written.
            ///
            /// # Panics
            /// When the text has not the shape that the type's documentation gives; in a `const`, that is an error of
            /// the compiler.
            pub const fn from_static(text: &'static str) -> Self {
                assert!($valid(text.as_bytes()), concat!($kind, " must have ", $rule));
                Self($crate::key::id::Text::Static(text))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.as_str() == other.as_str()
            }
        }

        impl Eq for $name {}

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                self.as_str().cmp(other.as_str())
            }
        }

        impl std::hash::Hash for $name {
            fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
                self.as_str().hash(state);
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                self.as_str()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Debug::fmt(self.as_str(), f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::key::InvalidName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::new(text)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'_, str> as serde::Deserialize>::deserialize(deserializer)?;
                Self::new(text).map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(super) use name;

name! {
    /// Names a key without being the key: public, stable, and safe to log. 1 to 128 visible ASCII characters.
    ///
    /// Made here it is `key_` and 20 random letters and digits (119 bits).
    KeyId, "a key id", "1 to 128 visible ASCII characters", is_id
}

name! {
    /// A user, by the identifier of whoever keeps the users. 1 to 255 bytes without control characters.
    UserId, "a user id", "1 to 255 bytes without control characters", is_text
}

name! {
    /// An organisation (tenant), by the identifier of whoever keeps the organisations. 1 to 255 bytes without control
    /// characters.
    OrganizationId, "an organization id", "1 to 255 bytes without control characters", is_text
}

name! {
    /// A part of a deployment that its own keys open and no others do: `live`, `test`. 1 to 16 lower-case ASCII letters
    /// and digits.
    Environment, "an environment", "1 to 16 lower-case ASCII letters and digits", is_environment
}

name! {
    /// A protection space (RFC 9110 §11.5): named in challenges, and a key bound to one opens no other. 1 to 64 visible
    /// ASCII characters or spaces, without `"` and `\`.
    Realm, "a realm", "1 to 64 visible ASCII characters or spaces, without quotes and backslashes", is_realm
}

impl KeyId {
    /// A new id that no other key has.
    ///
    /// # Errors
    /// When the operating system's generator fails.
    pub fn generate() -> Result<Self, RandomError> {
        Ok(Self(Text::Shared(random_alphanumeric("key_", 20)?.into())))
    }
}

impl Environment {
    /// The environment of real data, `live`.
    pub const LIVE: Self = Self::from_static("live");
    /// The environment for trying things out, `test`.
    pub const TEST: Self = Self::from_static("test");
}

const fn is_id(text: &[u8]) -> bool {
    bounded(text, 128) && all_within(text, b'!', b'~')
}

const fn is_text(text: &[u8]) -> bool {
    if !bounded(text, 255) {
        return false;
    }
    let mut index = 0;
    while index < text.len() {
        if text[index].is_ascii_control() {
            return false;
        }
        index += 1;
    }
    true
}

const fn is_environment(text: &[u8]) -> bool {
    if !bounded(text, 16) {
        return false;
    }
    let mut index = 0;
    while index < text.len() {
        if !(text[index].is_ascii_lowercase() || text[index].is_ascii_digit()) {
            return false;
        }
        index += 1;
    }
    true
}

const fn is_realm(text: &[u8]) -> bool {
    bounded(text, 64) && all_within(text, b' ', b'~') && none_of(text, b"\"\\")
}

pub(super) const fn bounded(text: &[u8], most: usize) -> bool {
    !text.is_empty() && text.len() <= most
}

pub(super) const fn all_within(text: &[u8], least: u8, most: u8) -> bool {
    let mut index = 0;
    while index < text.len() {
        if text[index] < least || text[index] > most {
            return false;
        }
        index += 1;
    }
    true
}

pub(super) const fn none_of(text: &[u8], forbidden: &[u8]) -> bool {
    let mut index = 0;
    while index < text.len() {
        let mut other = 0;
        while other < forbidden.len() {
            if text[index] == forbidden[other] {
                return false;
            }
            other += 1;
        }
        index += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_key_id_is_recognisable_and_new() {
        let (one, two) = (KeyId::generate().unwrap(), KeyId::generate().unwrap());
        assert!(one.as_str().starts_with("key_"));
        assert_eq!(one.as_str().len(), 24);
        assert_ne!(one, two);
    }

    #[test]
    fn names_with_control_characters_or_none_at_all_are_refused() {
        for text in ["", "a\nb", "a\0", "\u{7f}"] {
            assert!(KeyId::new(text).is_err(), "{text:?}");
            assert!(UserId::new(text).is_err(), "{text:?}");
            assert!(OrganizationId::new(text).is_err(), "{text:?}");
            assert!(Realm::new(text).is_err(), "{text:?}");
        }
        for text in ["Live", "li_ve", "live ", "", "seventeenletters1"] {
            assert!(Environment::new(text).is_err(), "{text:?}");
        }
        assert!(Realm::new("a\"b").is_err());
        assert_eq!(KeyId::new("").unwrap_err().to_string(), "a key id must have 1 to 128 visible ASCII characters");
    }
}
