//! Short texts that live for one request, many of them in one allocation.

use std::cell::RefCell;

use bytes::{Bytes, BytesMut};

/// How much is allocated at once. A text that somebody keeps keeps so much alive.
const CHUNK: usize = 1_024;

thread_local! {
    static REST: RefCell<BytesMut> = RefCell::new(BytesMut::new());
}

/// A copy of `text`. Clones of it allocate nothing, which is not so of a text with an allocation of its own.
pub(crate) fn copy(text: &[u8]) -> Bytes {
    if text.len() > CHUNK / 8 {
        return Bytes::copy_from_slice(text);
    }
    let copied = REST.try_with(|rest| {
        let mut rest = rest.borrow_mut();
        if rest.capacity() < text.len() {
            *rest = BytesMut::with_capacity(CHUNK);
        }
        rest.extend_from_slice(text);
        rest.split().freeze()
    });
    // A thread that is about to end has none left.
    copied.unwrap_or_else(|_| Bytes::copy_from_slice(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_what_was_copied_and_stay_so() {
        let texts: Vec<Vec<u8>> = (0..500).map(|number: usize| vec![number as u8; number % 200]).collect();
        let copies: Vec<Bytes> = texts.iter().map(|text| copy(text)).collect();
        for (copy, text) in copies.iter().zip(&texts) {
            assert_eq!(copy, text);
        }
    }
}
