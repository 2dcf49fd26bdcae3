//! How a key is written in bytes.

use crate::key::{KeyFormat, SecretKey};

/// Keys of a format, in an encoding.
pub(super) struct Spelling {
    pub(super) format: KeyFormat,
    /// What its keys begin with: prefix and separator.
    pub(super) needle: Vec<u8>,
    /// How many bytes its longest key has.
    pub(super) longest: usize,
    /// How far a character is from the next.
    stride: usize,
    /// How many characters stand behind the second separator.
    body: usize,
}

impl Spelling {
    /// How keys of `format` can be written; `None` if it has nothing to be found by.
    pub(super) fn of(format: &KeyFormat) -> Option<[Self; 2]> {
        let (prefix, body) = format.layout()?;
        let spelling = |stride: usize| {
            let mut needle: Vec<u8> = prefix.bytes().chain([b'_']).flat_map(|byte| [byte, 0]).collect();
            if stride == 1 {
                needle.retain(|byte| *byte != 0);
            } else {
                // Behind the last character there is a zero in one byte order alone.
                needle.pop();
            }
            let characters = prefix.len() + 1 + ENVIRONMENT + 1 + body;
            let longest = (characters - 1) * stride + 1;
            Self { format: format.clone(), needle, longest, stride, body }
        };
        Some([spelling(1), spelling(2)])
    }

    /// The key at the beginning of `bytes`, and how many bytes it has, if there is one with a right checksum.
    pub(super) fn read(&self, bytes: &[u8]) -> Option<(SecretKey, usize)> {
        if !bytes.starts_with(&self.needle) {
            return None;
        }
        let prefix = self.needle.len().div_ceil(self.stride);
        let environment = self.characters(bytes, prefix).take(ENVIRONMENT + 1).position(|byte| byte == b'_')?;
        let count = prefix + environment + 1 + self.body;
        let text: Vec<u8> = self.characters(bytes, 0).take(count).collect();
        if text.len() < count {
            return None;
        }
        let secret = SecretKey::new(String::from_utf8(text).ok()?);
        let length = (count - 1) * self.stride + 1;
        self.format.accepts(secret.expose_secret()).then_some((secret, length))
    }

    /// The characters from the one of this number on, as long as they can belong to a key.
    fn characters<'b>(&self, bytes: &'b [u8], first: usize) -> impl Iterator<Item = u8> + 'b {
        let stride = self.stride;
        let places = (first * stride..bytes.len()).step_by(stride);
        places
            .map_while(move |place| (stride == 1 || place == 0 || bytes[place - 1] == 0).then(|| bytes[place]))
            .take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
    }
}

/// The longest name of an environment.
const ENVIRONMENT: usize = 16;
