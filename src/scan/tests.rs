use proptest::prelude::*;

use super::*;
use crate::key::Environment;

fn key(format: &KeyFormat) -> String {
    format.generate(&Environment::LIVE).unwrap().expose_secret().to_owned()
}

fn utf16(text: &str, order: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(order).collect()
}

fn scan(scanner: &mut KeyScanner, content: impl Read) -> Vec<FoundKey> {
    let mut found = Vec::new();
    scanner.scan(content, |key| found.push(key)).unwrap();
    found
}

fn secrets(found: &[FoundKey]) -> Vec<&str> {
    found.iter().map(|found| found.secret.expose_secret()).collect()
}

/// Gives at most so many bytes at once.
struct Trickle<'b>(&'b [u8], usize);

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.1.min(buffer.len());
        self.0.read(&mut buffer[..count])
    }
}

#[test]
fn a_key_is_found_whatever_stands_around_it() {
    let format = KeyFormat::default();
    let mut scanner = KeyScanner::new([format.clone()]).unwrap();
    let key = key(&format);
    for (before, after) in [
        ("", ""),
        ("x", "x"),
        ("\\n", "\\n"),
        ("ak_", "_"),
        ("ak_live_", "\r\n"),
        ("\0", "\0"),
        ("ak_li", "é"),
        ("ü", "0"),
    ] {
        let text = format!("{before}{key}{after}");
        let found = scan(&mut scanner, text.as_bytes());
        assert_eq!(secrets(&found), [&key], "{before:?} {after:?}");
        assert_eq!((found[0].offset, found[0].length), (before.len() as u64, key.len()), "{before:?}");
        assert_eq!(found[0].masked, format.mask(&key));
    }
}

#[test]
fn what_is_no_key_is_not_found() {
    let format = KeyFormat::default();
    let key = key(&format);
    let mut scanner = KeyScanner::new([format.clone()]).unwrap();
    for length in 0..key.len() {
        assert!(scan(&mut scanner, &key.as_bytes()[..length]).is_empty(), "cut at {length}");
        let mut changed = key.clone().into_bytes();
        changed[length] = if changed[length] == b'7' { b'8' } else { b'7' };
        assert!(scan(&mut scanner, &changed[..]).is_empty(), "changed at {length}");
        let split = format!("{}\n{}", &key[..length], &key[length..]);
        assert_eq!(scan(&mut scanner, split.as_bytes()).len(), usize::from(length == 0), "split at {length}");
    }
    for other in [KeyFormat::prefixed("sk").unwrap(), KeyFormat::prefixed("bak").unwrap()] {
        let other = other.generate(&Environment::LIVE).unwrap();
        assert!(scan(&mut scanner, other.expose_secret().as_bytes()).is_empty());
    }
    let live = format.clone().environments([Environment::LIVE]).unwrap();
    let test = format.generate(&Environment::TEST).unwrap();
    assert!(scan(&mut KeyScanner::new([live]).unwrap(), test.expose_secret().as_bytes()).is_empty());
}

#[test]
fn a_key_in_utf_16_of_either_order_is_found_once() {
    let format = KeyFormat::default();
    let mut scanner = KeyScanner::new([format.clone()]).unwrap();
    let key = key(&format);
    for order in [u16::to_le_bytes, u16::to_be_bytes] {
        for (before, after) in [("", ""), ("\u{feff}first\n  ", "\n"), ("é", "é"), ("x", "x")] {
            let found = scan(&mut scanner, &utf16(&format!("{before}{key}{after}"), order)[..]);
            assert_eq!(secrets(&found), [&key], "{before:?} {after:?}");
        }
        let found = scan(&mut scanner, &utf16(&format!("\u{feff}one\ntwo {key}"), order)[..]);
        assert_eq!((found[0].line, found[0].column), (2, 5));
    }
}

#[test]
fn formats_that_begin_alike_are_told_apart() {
    let formats = ["a", "ak", "ak_live", "k"].map(|prefix| KeyFormat::prefixed(prefix).unwrap());
    let short = KeyFormat::prefixed("s").unwrap().random_characters(22).unwrap();
    let long = KeyFormat::prefixed("a_long_one_of_24_letters").unwrap().random_characters(86).unwrap();
    let formats: Vec<_> = formats.into_iter().chain([short, long]).collect();
    let mut scanner = KeyScanner::new(formats.clone()).unwrap();
    let keys: Vec<_> = formats.iter().map(key).collect();
    assert_eq!(secrets(&scan(&mut scanner, keys.concat().as_bytes())), keys);
}

#[test]
fn formats_that_nothing_is_found_by_are_refused() {
    assert!(KeyScanner::new([]).is_err());
    for format in [KeyFormat::text(), KeyFormat::hex(64).unwrap(), KeyFormat::sanctum(""), KeyFormat::better_auth("ak")]
    {
        assert!(KeyScanner::new([format]).is_err());
    }
}

#[test]
fn an_error_in_reading_is_told_after_what_was_found() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::PermissionDenied.into())
        }
    }
    let format = KeyFormat::default();
    let mut scanner = KeyScanner::with_buffer([format.clone()], 0).unwrap();
    let mut text = key(&format);
    text.push_str(&" ".repeat(1_000));
    let mut found = 0;
    assert!(scanner.scan(text.as_bytes().chain(Broken), |_| found += 1).is_err());
    assert_eq!(found, 1);
}

#[test]
fn debug_shows_no_secret() {
    let format = KeyFormat::default();
    let key = key(&format);
    let mut scanner = KeyScanner::new([format]).unwrap();
    let found = scan(&mut scanner, key.as_bytes());
    assert!(!format!("{found:?} {scanner:?}").contains(&key));
}

proptest! {
    #[test]
    fn what_is_found_does_not_depend_on_how_it_is_read(
        parts in prop::collection::vec((0_u8..7, 0_usize..400), 1..12),
        at_once in 1_usize..700,
        size in 0_usize..2_000,
    ) {
        let format = KeyFormat::prefixed("ak").unwrap();
        let (mut text, mut keys) = (Vec::new(), Vec::new());
        for (kind, length) in parts {
            let key = key(&format);
            match kind {
                0 => text.extend(std::iter::repeat_n(b'\n', length)),
                1 => text.extend("aké_\r".bytes().cycle().take(length)),
                2 => text.extend(&key.as_bytes()[..length.min(key.len() - 1)]),
                3 => text.extend(std::iter::repeat_n(0, length)),
                4 => {
                    text.extend(utf16(&key, u16::to_le_bytes));
                    keys.push(key);
                }
                _ => {
                    text.extend(key.as_bytes());
                    keys.push(key);
                }
            }
            // So that a cut key is not continued by what follows.
            text.push(b' ');
        }
        let whole = scan(&mut KeyScanner::new([format.clone()]).unwrap(), &text[..]);
        let mut small = KeyScanner::with_buffer([format], size).unwrap();
        let piecewise = scan(&mut small, Trickle(&text, at_once));
        prop_assert_eq!(secrets(&whole), keys);
        prop_assert_eq!(format!("{whole:?}"), format!("{piecewise:?}"));
        prop_assert_eq!(secrets(&whole), secrets(&piecewise));
        let total = small.scan(Trickle(&text, at_once), drop).unwrap();
        prop_assert_eq!(total, text.len() as u64);
        for found in whole {
            let before = &text[..usize::try_from(found.offset).unwrap()];
            let lines = before.iter().filter(|byte| **byte == b'\n').count() as u64;
            prop_assert_eq!(found.line, lines + 1);
        }
    }
}
