//! The name of a request, for those who have to talk about it afterwards.

use std::cell::Cell;
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, HeaderValue};
use serde::{Serialize, Serializer};

use crate::chunk;
use crate::fields::Glance;
pub(crate) use crate::fields::X_REQUEST_ID;

/// The id of a request: the caller's own `X-Request-Id` if it sent one that is 1 to 128 visible ASCII characters, else a
/// fresh one of 32 hexadecimal digits. Every response repeats it, and so does the body of an error.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestId {
    value: HeaderValue,
    plain: bool,
}

impl RequestId {
    /// The caller's own id, or a fresh one.
    pub(crate) fn of(headers: &HeaderMap, glance: Glance) -> Self {
        if !glance.request_id {
            return Self::fresh();
        }
        let mut values = headers.get_all(X_REQUEST_ID).into_iter();
        match (values.next(), values.next()) {
            (Some(value), None) if is_valid(value.as_bytes()) => {
                Self { value: value.clone(), plain: is_plain(value.as_bytes()) }
            }
            _ => Self::fresh(),
        }
    }

    /// An id that no other request has: names, and is no secret.
    pub(crate) fn fresh() -> Self {
        static SEEDS: OnceLock<[u64; 2]> = OnceLock::new();
        let [process, key] = SEEDS.get_or_init(seeds);
        let count = count();
        let mut digits = [0; 32];
        write_hex(process ^ count.rotate_left(32), &mut digits[..16]);
        write_hex(mix(key.wrapping_add(count)), &mut digits[16..]);
        // Hexadecimal digits are a valid header value.
        let value = HeaderValue::from_maybe_shared(chunk::copy(&digits));
        Self { value: value.unwrap_or_else(|_| HeaderValue::from_static("-")), plain: true }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        // Visible ASCII by construction.
        self.value.to_str().unwrap_or_default()
    }

    /// Whether every encoding writes it as it is.
    pub(crate) const fn is_plain(&self) -> bool {
        self.plain
    }

    /// The same as bytes, which nobody has to look through.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.value.as_bytes()
    }

    pub(crate) fn to_header(&self) -> HeaderValue {
        self.value.clone()
    }

    pub(crate) fn into_header(self) -> HeaderValue {
        self.value
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl Serialize for RequestId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A number that no other call in this process gets. A thread takes many at once, so that few are taken from a counter that
/// all threads share.
fn count() -> u64 {
    const BLOCK: u64 = 1_024;
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    thread_local! {
        static NEXT: Cell<u64> = const { Cell::new(0) };
    }
    let of_this_thread = NEXT.try_with(|next| {
        let mut count = next.get();
        if count % BLOCK == 0 {
            count = COUNTER.fetch_add(BLOCK, Ordering::Relaxed);
        }
        next.set(count + 1);
        count
    });
    // A thread that is about to end has none left.
    of_this_thread.unwrap_or_else(|_| COUNTER.fetch_add(BLOCK, Ordering::Relaxed))
}

/// Whether neither JSON nor a URN writes any of these characters in another way.
pub(crate) fn is_plain(text: &[u8]) -> bool {
    let same = |byte: &u8| byte.is_ascii_alphanumeric() | matches!(byte, b'-' | b'_' | b'.' | b':');
    text.iter().fold(true, |all, byte| all & same(byte))
}

fn is_valid(text: &[u8]) -> bool {
    (1..=128).contains(&text.len()) && text.iter().all(u8::is_ascii_graphic)
}

/// Two numbers that differ from process to process. The standard library seeds its hashers from the operating system.
fn seeds() -> [u64; 2] {
    use std::hash::{BuildHasher, RandomState};
    [RandomState::new().hash_one(std::process::id()), RandomState::new().hash_one(0)]
}

/// SplitMix64's finaliser: a bijection, so that different counts stay different.
const fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

fn write_hex(value: u64, digits: &mut [u8]) {
    for (digits, byte) in digits.chunks_exact_mut(2).zip(value.to_be_bytes()) {
        digits.copy_from_slice(&HEX[usize::from(byte)]);
    }
}

/// Each byte in two hexadecimal digits.
static HEX: [[u8; 2]; 256] = {
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [b"0123456789abcdef"[byte / 16], b"0123456789abcdef"[byte % 16]];
        byte += 1;
    }
    pairs
};

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn of(values: &[&[u8]]) -> RequestId {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(X_REQUEST_ID, HeaderValue::from_bytes(value).unwrap());
        }
        RequestId::of(&headers, Glance::at(&headers))
    }

    #[test]
    fn a_good_id_of_the_callers_is_kept() {
        let longest = [b'x'; 128];
        for id in [&b"a"[..], b"{\"id\":1}", &longest] {
            assert_eq!(of(&[id]).as_str().as_bytes(), id);
        }
    }

    #[test]
    fn anything_else_is_replaced() {
        let too_long = [b'x'; 129];
        let refused: [&[&[u8]]; 7] = [&[], &[b""], &[b"a b"], &[b"\xff"], &[b"a\tb"], &[&too_long], &[b"a", b"a"]];
        for values in refused {
            let id = of(values);
            assert_eq!(id.as_str().len(), 32, "{values:?}");
            assert!(id.as_str().bytes().all(|byte| byte.is_ascii_hexdigit()));
        }
    }

    #[test]
    fn fresh_ids_differ() {
        let ids: HashSet<_> = (0..10_000).map(|_| RequestId::fresh().to_string()).collect();
        assert_eq!(ids.len(), 10_000);
    }
}
