//! Lines and columns.

/// A place in what is scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) line: u64,
    pub(super) column: u64,
}

impl Default for Place {
    fn default() -> Self {
        Self { offset: 0, line: 1, column: 1 }
    }
}

impl Place {
    /// The place behind `bytes`.
    pub(super) fn advance(&mut self, bytes: &[u8]) {
        self.offset += bytes.len() as u64;
        let last_line = match bytes.iter().rposition(|byte| *byte == b'\n') {
            None => bytes,
            Some(last) => {
                self.line += bytes[..=last].iter().filter(|byte| **byte == b'\n').count() as u64;
                self.column = 1;
                &bytes[last + 1..]
            }
        };
        self.column += last_line.iter().filter(|byte| begins_character(**byte)).count() as u64;
    }
}

/// Neither a later byte of a character in UTF-8, nor the empty half of one in UTF-16, nor part of its mark of byte order.
const fn begins_character(byte: u8) -> bool {
    !matches!(byte, 0 | 0x80..=0xbf | 0xfe | 0xff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_characters_are_counted_whatever_is_read_at_once() {
        let text = "first\r\nsecond ü€𝄞 x".as_bytes();
        for split in 0..=text.len() {
            let mut place = Place::default();
            place.advance(&text[..split]);
            place.advance(&text[split..]);
            assert_eq!(place, Place { offset: text.len() as u64, line: 2, column: 13 }, "{split}");
        }
    }
}
