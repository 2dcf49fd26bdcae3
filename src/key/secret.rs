//! Keys in plain text, as types that cannot be printed by mistake.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

/// A key in plain text, made here and handed out once.
///
/// Has no `Display`, `Debug` shows no character of it, and its memory is overwritten on drop. Read it with
/// [`expose_secret`](Self::expose_secret).
#[derive(Clone)]
pub struct SecretKey(Zeroizing<String>);

impl SecretKey {
    /// Takes a key's text into custody.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The key itself. Whatever it is copied into has to be kept secret too.
    pub fn expose_secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

impl From<String> for SecretKey {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

/// What a caller sent as a key, before anything is known of it.
///
/// Redacted and overwritten like a [`SecretKey`]. Up to 128 bytes are held without an allocation.
pub struct PresentedKey(Held);

// The large variant is the common one, and avoids an allocation for each request.
#[allow(clippy::large_enum_variant)]
enum Held {
    Inline { length: u8, bytes: [u8; PresentedKey::INLINE] },
    Heap(Zeroizing<Vec<u8>>),
}

impl PresentedKey {
    /// Longer texts are no keys, and are refused before they are looked at: 512 bytes.
    pub const MAX_LENGTH: usize = 512;

    const INLINE: usize = 128;

    /// Takes a copy of what was sent, or `None` when it is longer than [`MAX_LENGTH`](Self::MAX_LENGTH) or has
    /// anything but visible ASCII (`!` to `~`) in it, as no key has.
    pub fn new(text: &[u8]) -> Option<Self> {
        let text = Self::readable(text)?.as_bytes();
        let held = match u8::try_from(text.len()) {
            Ok(length) if text.len() <= Self::INLINE => {
                let mut bytes = [0; Self::INLINE];
                bytes[..text.len()].copy_from_slice(text);
                Held::Inline { length, bytes }
            }
            _ => Held::Heap(Zeroizing::new(text.to_vec())),
        };
        Some(Self(held))
    }

    /// The text, if [`new`](Self::new) takes it.
    pub(crate) fn readable(text: &[u8]) -> Option<&str> {
        if text.is_empty() || text.len() > Self::MAX_LENGTH || !all(text, u8::is_ascii_graphic) {
            return None;
        }
        std::str::from_utf8(text).ok()
    }

    /// The text as sent.
    pub fn expose_secret(&self) -> &str {
        // ASCII by construction, so the default is never taken.
        std::str::from_utf8(self.bytes()).unwrap_or_default()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.0 {
            Held::Inline { length, bytes } => &bytes[..usize::from(*length)],
            Held::Heap(bytes) => bytes,
        }
    }
}

/// Whether every byte is of a kind. Looks at all of them, which a processor does many at a time.
pub(super) fn all(text: &[u8], is: impl Fn(&u8) -> bool) -> bool {
    text.iter().fold(true, |all, byte| all & is(byte))
}

impl Drop for PresentedKey {
    fn drop(&mut self) {
        if let Held::Inline { length, bytes } = &mut self.0 {
            bytes[..usize::from(*length)].zeroize();
        }
    }
}

impl fmt::Debug for PresentedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PresentedKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_type_prints_its_text() {
        let secret = SecretKey::new("ak_live_secret");
        let presented = PresentedKey::new(b"ak_live_secret").unwrap();
        for debug in
            [format!("{secret:?}"), format!("{secret:#?}"), format!("{presented:?}"), format!("{presented:#?}")]
        {
            assert!(!debug.contains("ak_"), "{debug}");
            assert!(!debug.contains("secret"), "{debug}");
        }
    }

    #[test]
    fn a_presented_key_is_what_was_sent() {
        for length in [1, 48, 127, 128, 129, 512] {
            let text = "k".repeat(length);
            assert_eq!(PresentedKey::new(text.as_bytes()).unwrap().expose_secret(), text);
        }
    }

    #[test]
    fn what_no_key_can_be_is_not_taken() {
        for text in [&b""[..], b"a b", b"a\tb", b"a\0", b"\xff\xfe", "schlüssel".as_bytes(), &[b'k'; 513]] {
            assert!(PresentedKey::new(text).is_none(), "{text:?}");
        }
    }
}
