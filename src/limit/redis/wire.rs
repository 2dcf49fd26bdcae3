//! Packing requests for the scripts, and unpacking their answers.

mod mixed;
mod windows;

use std::collections::HashMap;
use std::slice::ChunksExact;

use super::request::{Answer, CounterKey, Request};
use crate::redis_link::RedisLinkError;

/// How many counters one call of a script may touch: what Lua can put on its stack, with room to spare.
pub(super) const MOST_KEYS: usize = 1_024;

/// A lease is at most this part of what is left, beyond what is asked for.
pub(super) const LEASED_PART: u32 = 8;

/// Which script decides on a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `windows.lua`: one charge under a fixed window, to be taken.
    Windows,
    /// `decide.lua`: anything.
    Mixed,
}

impl Kind {
    /// How many requests one call takes: about a millisecond's work. Redis serves nobody else meanwhile.
    pub(super) const fn most_requests(self) -> usize {
        match self {
            Self::Windows => 512,
            Self::Mixed => 256,
        }
    }
}

/// Requests of one kind that go to Redis in one call.
#[derive(Debug)]
pub(super) struct Batch {
    kind: Kind,
    keys: Keys,
    /// The charges of plain requests, each once.
    charges: windows::Charges,
    packed: Vec<u8>,
}

/// The names of counters, each once.
#[derive(Debug)]
struct Keys {
    names: Vec<u8>,
    length: usize,
    indexes: HashMap<CounterKey, u16>,
}

impl Batch {
    pub(super) fn new<'a>(kind: Kind, requests: impl ExactSizeIterator<Item = &'a Request>, prefix: &str) -> Self {
        let keys = Keys::new(prefix, requests.len());
        let mut batch = Self { kind, keys, charges: windows::Charges::default(), packed: Vec::new() };
        for request in requests {
            match kind {
                Kind::Windows => batch.add_plain(request, prefix),
                Kind::Mixed => batch.add(request, prefix),
            }
        }
        batch
    }

    /// `KEYS` of the script.
    pub(super) fn keys(&self) -> ChunksExact<'_, u8> {
        self.keys.names.chunks_exact(self.keys.length)
    }

    /// `ARGV[2]` and `ARGV[3]` of the script.
    pub(super) fn arguments(&self) -> [&[u8]; 2] {
        [&self.packed, self.charges.packed()]
    }

    /// The answers to these requests, which are those that the batch was made of.
    pub(super) fn read<'a>(
        &self,
        reply: &[u8],
        requests: impl Iterator<Item = &'a Request>,
    ) -> Result<Vec<Answer>, RedisLinkError> {
        match self.kind {
            Kind::Windows => self.read_windows(reply),
            Kind::Mixed => mixed::read(reply, requests),
        }
    }
}

impl Keys {
    fn new(prefix: &str, requests: usize) -> Self {
        let length = CounterKey::name_length(prefix.len());
        Self { names: Vec::with_capacity(length * requests), length, indexes: HashMap::with_capacity(requests) }
    }

    /// The place of a counter, from 1 as the scripts count.
    fn place(&mut self, key: CounterKey, prefix: &str) -> u16 {
        let next = self.indexes.len() as u16 + 1;
        *self.indexes.entry(key).or_insert_with(|| {
            key.name(prefix, &mut self.names);
            next
        })
    }
}

/// Reads one number after the other.
#[derive(Debug)]
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn next(&mut self) -> Result<f64, RedisLinkError> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(RedisLinkError::Answer)?;
        self.0 = rest;
        let number = f64::from_le_bytes(*bytes);
        if number.is_finite() { Ok(number) } else { Err(RedisLinkError::Answer) }
    }
}
