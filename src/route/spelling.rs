//! The ways in which a path can be spelt, and in which a lenient service may read it.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use smallvec::SmallVec;

pub(super) fn is_dynamic(pattern: &str) -> bool {
    pattern.contains('{')
}

/// Whether no service could read the path in two ways: also decoded, it has no empty segment or one of dots and spaces
/// alone, no backslash, semicolon, percent sign or control character, and not more slashes.
pub(super) fn is_plain(path: &str) -> bool {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    let plain = |segment: &str| {
        !segment.trim_matches(['.', ' ']).is_empty()
            && !segment.contains(|character: char| matches!(character, '\\' | ';' | '%') || character.is_control())
    };
    let slashes = |text: &str| text.bytes().filter(|byte| *byte == b'/').count();
    // An encoded dot is one that somebody did not want to be seen.
    let hidden = path.len() != decoded.len() && path.to_ascii_lowercase().contains("%2e");
    let segments = decoded.strip_prefix('/').is_some_and(|segments| segments.split('/').all(plain));
    path == "/" || (segments && !hidden && slashes(path) == slashes(&decoded))
}

/// Whether a lenient service reads the path as it is written.
pub(super) fn is_usual(path: &str) -> bool {
    // Most paths have none of what the rest of this looks for.
    let is_common = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'/' | b'-' | b'_');
    let bytes = path.as_bytes();
    let common = bytes.iter().fold(true, |all, byte| all & is_common(*byte));
    let empty_segment = bytes.iter().zip(bytes.iter().skip(1)).fold(false, |any, pair| any | (pair == (&b'/', &b'/')));
    if common && !empty_segment {
        return path == "/" || !path.ends_with('/');
    }
    let mut previous = 0;
    for byte in path.bytes() {
        if matches!(byte, b'%' | b';' | b'\\' | b'A'..=b'Z') || (previous == b'/' && matches!(byte, b'/' | b'.')) {
            return false;
        }
        previous = byte;
    }
    path == "/" || previous != b'/'
}

/// The ways in which a lenient service may read a path, each in lower case and without empty segments.
pub(super) struct Readings {
    pub(super) texts: SmallVec<[String; 2]>,
    /// In one of them there is a segment `.` or `..`. What that means depends on what is decoded and merged before: no
    /// client writes such a path without intent.
    pub(super) dotted: bool,
}

impl Readings {
    pub(super) fn of(path: &str) -> Self {
        let mut readings = Self { texts: SmallVec::new(), dotted: false };
        let mut decoded = Cow::Borrowed(path);
        // Encoded twice or thrice happens behind chains of proxies. More is left alone: nothing decodes it.
        for _ in 0..=3 {
            readings.split(&decoded);
            let next = percent_decode_str(&decoded).decode_utf8_lossy().into_owned();
            if next == *decoded {
                break;
            }
            decoded = Cow::Owned(next);
        }
        readings
    }

    /// Backslashes may be slashes, and what follows a semicolon may be no part of the segment.
    fn split(&mut self, text: &str) {
        let (backslash, semicolon) = (text.contains('\\'), text.contains(';'));
        for backslashes in [false, true].into_iter().take(1 + usize::from(backslash)) {
            for parameters in [false, true].into_iter().take(1 + usize::from(semicolon)) {
                let segments = text.split(|character| character == '/' || (backslashes && character == '\\'));
                let segments: SmallVec<[&str; 16]> = segments
                    .map(|segment| if parameters { segment.split(';').next().unwrap_or_default() } else { segment })
                    .collect();
                self.dotted |= segments.iter().any(|segment| matches!(*segment, "." | ".."));
                let reading = join_lower(segments.into_iter());
                if !self.texts.contains(&reading) {
                    self.texts.push(reading);
                }
            }
        }
    }
}

fn join_lower<'a>(segments: impl Iterator<Item = &'a str>) -> String {
    let mut joined = String::new();
    for segment in segments.filter(|segment| !segment.is_empty()) {
        joined.push('/');
        joined.push_str(segment);
    }
    if joined.is_empty() { "/".to_owned() } else { joined.to_lowercase() }
}

/// The same for a pattern. Its parameters are numbered, so that patterns which differ in their names alone are the same.
pub(super) fn respell_pattern(pattern: &str) -> String {
    let mut parameters = 0;
    let segments = pattern.split('/').map(|segment| match is_dynamic(segment) {
        true => respell_dynamic(segment, &mut parameters),
        false => {
            let decoded = percent_decode_str(segment).decode_utf8_lossy().to_lowercase();
            decoded.replace('{', "{{").replace('}', "}}")
        }
    });
    let segments: Vec<_> = segments.filter(|segment| !segment.is_empty()).collect();
    format!("/{}", segments.join("/"))
}

/// A segment with parameters, and maybe with text around them, where `{{` and `}}` stand for braces.
fn respell_dynamic(segment: &str, parameters: &mut usize) -> String {
    let mut respelt = String::new();
    let mut rest = segment;
    while let Some(character) = rest.chars().next() {
        let end = rest.find('}').unwrap_or(rest.len() - 1);
        let length = if rest.starts_with("{{") || rest.starts_with("}}") {
            respelt.push_str(&rest[..2]);
            2
        } else if character == '{' {
            let star = if rest.starts_with("{*") { "*" } else { "" };
            respelt.push_str(&format!("{{{star}p{parameters}}}"));
            *parameters += 1;
            end + 1
        } else {
            respelt.extend(character.to_lowercase());
            character.len_utf8()
        };
        rest = &rest[length..];
    }
    respelt
}
