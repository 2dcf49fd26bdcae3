//! Header values out of numbers and instants, made with as little work as possible.

use std::cell::RefCell;

use bytes::Bytes;
use http::HeaderValue;

use crate::chunk;
use crate::clock::Timestamp;

/// How many numbers are prepared.
const PREPARED: usize = 10_000;

/// The numbers below [`PREPARED`], four digits each: most values are a slice of it, and need no allocation.
static DIGITS: [u8; 4 * PREPARED] = {
    let mut digits = [b'0'; 4 * PREPARED];
    let mut number = 0;
    while number < PREPARED {
        let (mut rest, mut place) = (number, 4);
        while place > 0 {
            place -= 1;
            digits[4 * number + place] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        number += 1;
    }
    digits
};

/// A whole number.
pub(crate) fn number(number: u64) -> HeaderValue {
    let digits = usize::try_from(number).ok().filter(|number| *number < PREPARED).and_then(|small| {
        let zeros = 3 - small.checked_ilog10().unwrap_or(0) as usize;
        HeaderValue::from_maybe_shared(Bytes::from_static(&DIGITS[4 * small + zeros..4 * small + 4])).ok()
    });
    digits.unwrap_or_else(|| long_number(number))
}

/// A number that is often written again, such as the second in which limits end: the last one of a thread is kept.
pub(super) fn repeated(number: i64) -> HeaderValue {
    thread_local! {
        static LAST: RefCell<(i64, HeaderValue)> = const { RefCell::new((0, HeaderValue::from_static("0"))) };
    }
    let last = LAST.try_with(|last| {
        let mut last = last.borrow_mut();
        if last.0 != number {
            *last = (number, signed(number));
        }
        last.1.clone()
    });
    last.unwrap_or_else(|_| signed(number))
}

/// A number of any length, four digits at a time.
fn long_number(mut number: u64) -> HeaderValue {
    let mut text = [b'0'; 20];
    let mut start = text.len();
    while start > 0 && number > 0 {
        start -= 4;
        let four = 4 * (number % 10_000) as usize;
        text[start..start + 4].copy_from_slice(&DIGITS[four..four + 4]);
        number /= 10_000;
    }
    let zeros = text.iter().take_while(|digit| **digit == b'0').count();
    // Digits are allowed in every header value.
    let digits = chunk::copy(&text[zeros.min(19)..]);
    HeaderValue::from_maybe_shared(digits).unwrap_or(HeaderValue::from_static("0"))
}

/// A whole number that may be negative.
pub(super) fn signed(value: i64) -> HeaderValue {
    u64::try_from(value).map_or_else(|_| HeaderValue::from(value), number)
}

/// `2026-01-14T18:00:00.000Z`, rounded up to milliseconds.
pub(super) fn iso8601(instant: Timestamp) -> HeaderValue {
    let rounded = Timestamp::from_unix_millis(ceiling(instant.unix_micros(), 1_000));
    let value = match rounded.written() {
        Some(text) => HeaderValue::from_maybe_shared(chunk::copy(&text)).ok(),
        None => HeaderValue::try_from(rounded.to_string()).ok(),
    };
    value.unwrap_or(HeaderValue::from_static("0"))
}

/// Division that rounds up. No [`Timestamp`] is near the ends of 64 bits.
pub(super) fn ceiling(dividend: i64, divisor: i64) -> i64 {
    dividend.saturating_neg().div_euclid(divisor).saturating_neg()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_written_in_full_and_without_leading_zeros() {
        for number in (0..20_000).chain([99_999, 1 << 40, u64::from(u32::MAX), 10_000_000_000_000_000_000, u64::MAX]) {
            assert_eq!(super::number(number), number.to_string().as_str());
        }
        for number in [0, 7, 7, -7, i64::MAX, 0] {
            assert_eq!(repeated(number), number.to_string().as_str());
        }
        assert_eq!(signed(-5), "-5");
        assert_eq!(signed(5), "5");
    }

    proptest! {
        #[test]
        fn instants_are_written_as_everywhere_else(micros in -60_000_000_000_000_000i64..253_402_000_000_000_000) {
            let rounded = Timestamp::from_unix_micros(ceiling(micros, 1_000) * 1_000);
            let value = iso8601(Timestamp::from_unix_micros(micros));
            prop_assert_eq!(value.to_str().unwrap(), rounded.to_string());
        }
    }

    #[test]
    fn the_ends_of_time_are_written_without_a_panic() {
        for micros in [i64::MIN, -1, 0, i64::MAX] {
            assert!(!iso8601(Timestamp::from_unix_micros(micros)).is_empty());
        }
    }
}
