//! The shape of a key's text.
//!
//! A key of our own reads, by position and never by splitting at `_`:
//!
//! ```text
//! ak_live_3fX9aB…………………………………………2QdK0z1Yw
//! └┬┘└─┬─┘└──────────┬──────────────┘└─┬─┘
//! prefix environment  34 random         6 of CRC-32, in base62
//! ```
//!
//! The checksum is CRC-32 (IEEE) of all that stands before it, written in base62 digits `0-9A-Za-z`, the most
//! significant first, padded with `0`. It lets the gate refuse mistyped and made-up keys without a digest or a lookup,
//! and secret scanners be sure of what they found. It is no proof of anything.

use std::borrow::Cow;

use super::random::{BASE62, RandomError, append_random};
use super::secret::all;
use super::{Environment, SecretKey};

const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const HEX: &[u8] = b"0123456789abcdef";
const CHECKSUM: usize = 6;

/// Which texts can be keys, and how new ones are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFormat(Shape);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Shape {
    Prefixed { prefix: Cow<'static, str>, environments: Vec<Environment>, random: usize },
    Alphanumeric { length: usize },
    Hex { length: usize },
    Text,
    BetterAuth { prefix: String },
    Unkey { prefix: Option<String> },
    Sanctum { prefix: String },
    DjangoRest,
}

impl KeyFormat {
    /// `<prefix>_<environment>_<34 random><6 of checksum>`, in any environment: with the prefix `ak` and the environment
    /// `live`, 48 characters and 202 random bits.
    ///
    /// # Errors
    /// When the prefix is not 1 to 24 lower-case letters, digits and inner underscores that begin with a letter.
    pub fn prefixed(prefix: impl Into<String>) -> Result<Self, InvalidKeyFormat> {
        let prefix = prefix.into();
        let shaped = prefix.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        let begins = prefix.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        if !shaped || !begins || prefix.ends_with('_') || prefix.len() > 24 {
            return Err(InvalidKeyFormat("a prefix must be 1 to 24 lower-case letters, digits and inner underscores"));
        }
        Ok(Self(Shape::Prefixed { prefix: prefix.into(), environments: Vec::new(), random: 34 }))
    }

    /// Keys of these environments alone: the others are refused by their shape. All, unless set.
    ///
    /// # Errors
    /// When the format has no environment, or the list is empty.
    pub fn environments(mut self, allowed: impl IntoIterator<Item = Environment>) -> Result<Self, InvalidKeyFormat> {
        let Shape::Prefixed { environments, .. } = &mut self.0 else {
            return Err(InvalidKeyFormat("only a prefixed format has environments"));
        };
        *environments = allowed.into_iter().collect();
        if environments.is_empty() {
            return Err(InvalidKeyFormat("an empty list of environments allows no key"));
        }
        Ok(self)
    }

    /// How many random characters stand before the checksum: 22 (131 bits) to 86, by default 34 (202 bits).
    ///
    /// # Errors
    /// When the format has no checksum, or the number is out of range.
    pub fn random_characters(mut self, count: usize) -> Result<Self, InvalidKeyFormat> {
        match &mut self.0 {
            Shape::Prefixed { random, .. } if (22..=86).contains(&count) => *random = count,
            Shape::Prefixed { .. } => return Err(InvalidKeyFormat("a key must have 22 to 86 random characters")),
            _ => {
                return Err(InvalidKeyFormat("only a prefixed format lets the random part be chosen"));
            }
        }
        Ok(self)
    }

    /// `length` random letters and digits, 22 (131 bits) to 128.
    ///
    /// # Errors
    /// When the length is out of range.
    pub fn alphanumeric(length: usize) -> Result<Self, InvalidKeyFormat> {
        let shape = Shape::Alphanumeric { length };
        if (22..=128).contains(&length) { Ok(Self(shape)) } else { Err(InvalidKeyFormat("22 to 128 characters")) }
    }

    /// `length` lower-case hexadecimal digits, 32 (128 bits) to 128. Upper-case digits are not accepted: they would
    /// have another digest.
    ///
    /// # Errors
    /// When the length is out of range.
    pub fn hex(length: usize) -> Result<Self, InvalidKeyFormat> {
        let shape = Shape::Hex { length };
        if (32..=128).contains(&length) { Ok(Self(shape)) } else { Err(InvalidKeyFormat("32 to 128 digits")) }
    }

    /// Any visible ASCII without a comma, up to 512 characters: keys that somebody chose, as those of environment
    /// variables. New ones are 43 letters and digits (256 bits).
    pub const fn text() -> Self {
        Self(Shape::Text)
    }

    /// Better Auth's: `prefix` (may be empty, without a separator) and 64 letters.
    pub fn better_auth(prefix: impl Into<String>) -> Self {
        Self(Shape::BetterAuth { prefix: prefix.into() })
    }

    /// Unkey's: base58 text of at least 16 characters, after `prefix_` if there is a prefix.
    pub fn unkey(prefix: Option<&str>) -> Self {
        Self(Shape::Unkey { prefix: prefix.map(|prefix| format!("{prefix}_")) })
    }

    /// Laravel Sanctum's: `id|token`, where the token is `prefix` (may be empty), 40 letters and digits, and 8
    /// hexadecimal digits of CRC-32 (IEEE) over those 40. Tokens of older releases, without the checksum or without the
    /// id, are accepted too. The token alone is what is digested; an id that is there has to be that of the record, if
    /// the record was imported and so has a number for its id.
    pub fn sanctum(prefix: impl Into<String>) -> Self {
        Self(Shape::Sanctum { prefix: prefix.into() })
    }

    /// djangorestframework-api-key's: `prefix.secret`, 8 and 32 letters and digits.
    pub const fn django_rest() -> Self {
        Self(Shape::DjangoRest)
    }

    /// Whether `key` has this shape, and its checksum is right where it has one.
    pub fn accepts(&self, key: &str) -> bool {
        let bytes = key.as_bytes();
        match &self.0 {
            Shape::Prefixed { .. } => self.has_right_checksum(key) == Some(true),
            Shape::Alphanumeric { length } => bytes.len() == *length && all_alphanumeric(bytes),
            Shape::Hex { length } => bytes.len() == *length && all_hex(bytes),
            Shape::Text => bytes.len() <= 512 && is_text(bytes),
            Shape::BetterAuth { prefix } => key
                .strip_prefix(prefix.as_str())
                .is_some_and(|letters| letters.len() == 64 && all(letters.as_bytes(), u8::is_ascii_alphabetic)),
            Shape::Unkey { prefix } => match prefix {
                Some(prefix) => key.strip_prefix(prefix.as_str()).is_some_and(is_base58),
                None => is_base58(key),
            },
            Shape::Sanctum { prefix } => is_sanctum(key, prefix),
            Shape::DjangoRest => {
                bytes.len() == 41 && bytes[8] == b'.' && all_alphanumeric(&bytes[..8]) && all_alphanumeric(&bytes[9..])
            }
        }
    }

    /// Whether the checksum of `key` is right; `None` if it has not the shape of a key of this format, or this format has
    /// no checksum.
    ///
    /// ```
    /// use tower_api_key::key::KeyFormat;
    ///
    /// let format = KeyFormat::prefixed("ak")?;
    /// let mistyped = "ak_live_3fX9aB7cD2eF5gH8iJ1kL4mN6oP9qR0sT3uV2QdK";
    /// assert_eq!(format.has_right_checksum(mistyped), Some(false));
    /// assert_eq!(format.has_right_checksum("ak_live_3fX9"), None);
    /// # Ok::<(), tower_api_key::key::InvalidKeyFormat>(())
    /// ```
    pub fn has_right_checksum(&self, key: &str) -> Option<bool> {
        match &self.0 {
            Shape::Prefixed { environments, .. } => {
                let (environment, body) = self.split(key)?;
                let (text, last) = key.as_bytes().split_at(key.len() - CHECKSUM);
                let allowed = environments.is_empty()
                    || environments.iter().any(|known| known.as_str().as_bytes() == environment);
                let right = last == checksum(text);
                (allowed && all_alphanumeric(body) && (right || all_alphanumeric(last))).then_some(right)
            }
            _ => None,
        }
    }

    /// The part of `key` that is digested: all of it, but for Sanctum's the token behind the id.
    pub fn digested<'k>(&self, key: &'k str) -> &'k str {
        match &self.0 {
            Shape::Sanctum { .. } => key.split_once('|').map_or(key, |(_, token)| token),
            _ => key,
        }
    }

    /// The id of a record that is written into `key`, if this format writes one: Sanctum's.
    pub fn named_id<'k>(&self, key: &'k str) -> Option<&'k str> {
        match &self.0 {
            Shape::Sanctum { .. } => key.split_once('|').map(|(id, _)| id),
            _ => None,
        }
    }

    /// The environment written into `key`, if this format writes one.
    pub fn environment<'k>(&self, key: &'k str) -> Option<&'k str> {
        self.split(key).and_then(|(environment, _)| std::str::from_utf8(environment).ok())
    }

    /// The prefix of new keys, without its separator; `None` if the format has none.
    pub fn prefix(&self) -> Option<&str> {
        match &self.0 {
            Shape::Prefixed { prefix, .. } => Some(prefix),
            Shape::BetterAuth { prefix } | Shape::Sanctum { prefix } if !prefix.is_empty() => Some(prefix),
            Shape::Unkey { prefix: Some(prefix) } => prefix.strip_suffix('_'),
            _ => None,
        }
    }

    /// Whether new keys of this format say which environment they are for.
    pub fn has_environment(&self) -> bool {
        matches!(self.0, Shape::Prefixed { .. })
    }

    /// A new key from the operating system's generator. `environment` matters only to formats that write it.
    ///
    /// # Errors
    /// When the generator fails.
    pub fn generate(&self, environment: &Environment) -> Result<SecretKey, RandomError> {
        // Large enough for every format, so that no copy of a part of the secret is left behind by growing.
        let mut text = String::with_capacity(256);
        match &self.0 {
            Shape::Prefixed { prefix, random, .. } => {
                for part in [prefix, "_", environment.as_str(), "_"] {
                    text.push_str(part);
                }
                append_random(&mut text, *random, BASE62)?;
                let checksum = checksum(text.as_bytes());
                text.extend(checksum.iter().copied().map(char::from));
            }
            Shape::Alphanumeric { length } => append_random(&mut text, *length, BASE62)?,
            Shape::Hex { length } => append_random(&mut text, *length, HEX)?,
            Shape::Text => append_random(&mut text, 43, BASE62)?,
            Shape::BetterAuth { prefix } => {
                text.push_str(prefix);
                append_random(&mut text, 64, LETTERS)?;
            }
            Shape::Unkey { prefix } => {
                text.push_str(prefix.as_deref().unwrap_or_default());
                append_random(&mut text, 24, BASE58)?;
            }
            Shape::Sanctum { prefix } => {
                append_random(&mut text, 1, b"123456789")?;
                append_random(&mut text, 9, b"0123456789")?;
                text.push('|');
                text.push_str(prefix);
                let random = text.len();
                append_random(&mut text, 40, BASE62)?;
                let checksum = crc32fast::hash(&text.as_bytes()[random..]);
                text.push_str(&format!("{checksum:08x}"));
            }
            Shape::DjangoRest => {
                append_random(&mut text, 8, BASE62)?;
                text.push('.');
                append_random(&mut text, 32, BASE62)?;
            }
        }
        Ok(SecretKey::new(text))
    }

    /// What a person recognises `key` by: all up to the fourth random character, `ak_live_3fX9`. `None` for a key under
    /// 24 characters, of which that would give too much away.
    pub fn start(&self, key: &str) -> Option<String> {
        let random = match &self.0 {
            Shape::Prefixed { .. } => key.len() - self.split(key)?.1.len() - CHECKSUM,
            Shape::BetterAuth { prefix } => prefix.len(),
            Shape::Unkey { prefix } => prefix.as_ref().map_or(0, String::len),
            Shape::Sanctum { prefix } => key.find('|')? + 1 + prefix.len(),
            _ => 0,
        };
        if key.len() < 24 { None } else { key.get(..random + 4).map(str::to_owned) }
    }

    /// `key` with all but its [start](Self::start) and its last four characters left out: `ak_live_3fX9…k2Qd`. A key
    /// under 24 characters is masked whole: `…`.
    pub fn mask(&self, key: &str) -> String {
        match (self.start(key), Self::end(key)) {
            (Some(start), Some(end)) => format!("{start}…{end}"),
            _ => "…".to_owned(),
        }
    }

    /// The last four characters of `key`, if it has at least 24.
    pub fn end(key: &str) -> Option<&str> {
        if key.len() < 24 { None } else { key.get(key.len() - 4..) }
    }

    /// A regular expression that finds keys of this format in text, for secret scanners. `None` for formats without
    /// anything of their own to be found by. A checksum is still to be tested with [`accepts`](Self::accepts).
    pub fn pattern(&self) -> Option<String> {
        match &self.0 {
            Shape::Prefixed { prefix, environments, random } => {
                let environment = match environments.as_slice() {
                    [] => "[a-z0-9]{1,16}".to_owned(),
                    [only] => only.to_string(),
                    many => format!("(?:{})", many.iter().map(Environment::as_str).collect::<Vec<_>>().join("|")),
                };
                Some(format!(r"\b{prefix}_{environment}_[0-9A-Za-z]{{{}}}\b", random + CHECKSUM))
            }
            Shape::Sanctum { prefix } => Some(format!(r"\b[0-9]+\|{prefix}[0-9A-Za-z]{{40}}(?:[0-9a-f]{{8}})?\b")),
            Shape::DjangoRest => Some(r"\b[0-9A-Za-z]{8}\.[0-9A-Za-z]{32}\b".to_owned()),
            Shape::Unkey { prefix: Some(prefix) } => Some(format!(r"\b{prefix}[1-9A-HJ-NP-Za-km-z]{{16,}}\b")),
            Shape::BetterAuth { prefix } if !prefix.is_empty() => Some(format!(r"\b{prefix}[A-Za-z]{{64}}\b")),
            _ => None,
        }
    }

    /// The prefix, without its separator, and how many characters stand behind the second separator, if keys of this format
    /// can be told from other texts: by a prefix and a checksum.
    #[cfg(feature = "scan")]
    pub(crate) fn layout(&self) -> Option<(&str, usize)> {
        match &self.0 {
            Shape::Prefixed { prefix, random, .. } => Some((prefix, random + CHECKSUM)),
            _ => None,
        }
    }

    /// Environment and random part of a prefixed key, by position.
    fn split<'k>(&self, key: &'k str) -> Option<(&'k [u8], &'k [u8])> {
        let Shape::Prefixed { prefix, random, .. } = &self.0 else {
            return None;
        };
        let rest = key.as_bytes().strip_prefix(prefix.as_bytes())?.strip_prefix(b"_")?;
        let end = rest.len().checked_sub(random + CHECKSUM)?;
        let environment = rest[..end].strip_suffix(b"_")?;
        let shaped = matches!(environment.len(), 1..=16)
            && environment.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        shaped.then(|| (environment, &rest[end..rest.len() - CHECKSUM]))
    }
}

/// `ak_<environment>_<34 random><6 of checksum>`.
impl Default for KeyFormat {
    fn default() -> Self {
        Self(Shape::Prefixed { prefix: Cow::Borrowed("ak"), environments: Vec::new(), random: 34 })
    }
}

/// The settings of a [`KeyFormat`] do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidKeyFormat(&'static str);

const BASE58: &[u8] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

fn checksum(text: &[u8]) -> [u8; CHECKSUM] {
    let mut value = crc32fast::hash(text);
    let mut digits = [b'0'; CHECKSUM];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62[(value % 62) as usize];
        value /= 62;
    }
    digits
}

fn all_alphanumeric(text: &[u8]) -> bool {
    all(text, u8::is_ascii_alphanumeric)
}

fn all_hex(text: &[u8]) -> bool {
    all(text, |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_text(text: &[u8]) -> bool {
    !text.is_empty() && all(text, |byte| byte.is_ascii_graphic() && *byte != b',')
}

fn is_base58(text: &str) -> bool {
    (16..=256).contains(&text.len()) && text.bytes().all(|byte| BASE58.contains(&byte))
}

fn is_sanctum(key: &str, prefix: &str) -> bool {
    let (id, token) = key.split_once('|').map_or((None, key), |(id, token)| (Some(id), token));
    let Some(random) = token.strip_prefix(prefix) else {
        return false;
    };
    let random = random.as_bytes();
    let is_number = |id: &str| matches!(id.len(), 1..=20) && id.bytes().all(|byte| byte.is_ascii_digit());
    id.is_none_or(is_number)
        && all_alphanumeric(random)
        && match random.len() {
            40 => true,
            48 => random[40..] == *format!("{:08x}", crc32fast::hash(&random[..40])).as_bytes(),
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every() -> Vec<KeyFormat> {
        vec![
            KeyFormat::prefixed("ak").unwrap(),
            KeyFormat::prefixed("acme_sk").unwrap().random_characters(22).unwrap(),
            KeyFormat::alphanumeric(40).unwrap(),
            KeyFormat::hex(64).unwrap(),
            KeyFormat::text(),
            KeyFormat::better_auth(""),
            KeyFormat::better_auth("org_"),
            KeyFormat::unkey(Some("uk")),
            KeyFormat::sanctum(""),
            KeyFormat::sanctum("app_"),
            KeyFormat::django_rest(),
        ]
    }

    #[test]
    fn every_format_accepts_what_it_makes() {
        for format in every() {
            for _ in 0..100 {
                let key = format.generate(&Environment::TEST).unwrap();
                assert!(format.accepts(key.expose_secret()), "{format:?}: {}", key.expose_secret());
            }
        }
    }

    #[test]
    fn no_cut_or_longer_key_is_accepted() {
        for format in every().into_iter().filter(|format| !matches!(format.0, Shape::Text | Shape::Unkey { .. })) {
            let key = format.generate(&Environment::LIVE).unwrap();
            let key = key.expose_secret();
            for length in 0..key.len() {
                // A Sanctum id may have any number of digits, and its token may come without a checksum.
                let older = matches!(format.0, Shape::Sanctum { .. }) && length == key.len() - 8;
                assert_eq!(format.accepts(&key[..length]), older, "{format:?} {length}");
            }
            assert!(!format.accepts(&format!("{key}0")));
        }
    }

    #[test]
    fn one_changed_character_breaks_the_checksum() {
        let format = KeyFormat::prefixed("ak").unwrap();
        let key = format.generate(&Environment::LIVE).unwrap();
        for index in 0..key.expose_secret().len() {
            for replacement in [b'0', b'A', b'z', b'_', b'-'] {
                let mut changed = key.expose_secret().as_bytes().to_vec();
                if changed[index] != replacement {
                    changed[index] = replacement;
                    assert!(!format.accepts(std::str::from_utf8(&changed).unwrap()), "{index}");
                }
            }
        }
    }

    #[test]
    fn the_checksum_is_crc_32_in_base62() {
        // CRC-32 (IEEE) of "123456789" is 0xCBF43926, the check value of that algorithm.
        assert_eq!(&checksum(b"123456789"), b"3jZRME");
        assert_eq!(&checksum(b""), b"000000");
    }

    #[test]
    fn keys_are_read_by_position() {
        let format = KeyFormat::prefixed("a_b").unwrap();
        let key = format.generate(&Environment::from_static("eu1")).unwrap();
        assert_eq!(format.environment(key.expose_secret()), Some("eu1"));
        assert!(!KeyFormat::prefixed("a").unwrap().accepts(key.expose_secret()));
    }

    #[test]
    fn a_format_can_be_bound_to_environments() {
        let live = KeyFormat::prefixed("ak").unwrap().environments([Environment::LIVE]).unwrap();
        assert!(live.accepts(live.generate(&Environment::LIVE).unwrap().expose_secret()));
        assert!(!live.accepts(live.generate(&Environment::TEST).unwrap().expose_secret()));
        assert!(KeyFormat::prefixed("ak").unwrap().environments([]).is_err());
    }

    #[test]
    fn a_mask_shows_start_and_end_and_nothing_of_a_short_key() {
        let format = KeyFormat::prefixed("ak").unwrap();
        let key = format.generate(&Environment::LIVE).unwrap();
        let text = key.expose_secret();
        let masked = format.mask(text);
        assert_eq!(masked, format!("{}…{}", &text[..12], &text[44..]));
        assert_eq!(format.start(text).as_deref(), Some(&text[..12]));
        assert_eq!(KeyFormat::text().mask("short"), "…");
        assert_eq!(KeyFormat::text().start("twenty-three-characters"), None);
        assert_eq!(KeyFormat::text().start(&"k".repeat(24)).as_deref(), Some("kkkk"));
        assert_eq!(KeyFormat::text().mask(&"k".repeat(24)), "kkkk…kkkk");
        assert_eq!(KeyFormat::text().mask("my_chosen_and_long_password"), "my_c…word");
    }

    #[test]
    fn settings_that_make_weak_or_unreadable_keys_are_refused() {
        for prefix in ["", "AK", "1ak", "ak_", "_ak", "a-k", "a key", &"a".repeat(25)] {
            assert!(KeyFormat::prefixed(prefix).is_err(), "{prefix:?}");
        }
        assert!(KeyFormat::alphanumeric(21).is_err());
        assert!(KeyFormat::hex(31).is_err());
        assert!(KeyFormat::text().random_characters(30).is_err());
    }
}
