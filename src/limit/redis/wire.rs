//! Packing requests for the scripts, and unpacking their answers.

mod charges;
mod groups;
mod mixed;
mod windows;

use std::collections::HashMap;

use self::charges::Charges;
pub(super) use self::charges::LEASED_PART;
use self::groups::{Groups, PackedGroups};
use super::request::{Answer, CounterKey, Request};
use crate::redis_link::RedisLinkError;

/// How many counters one call of a script may touch: what Lua can put on its stack, with room to spare.
pub(super) const MOST_KEYS: usize = 1_024;

/// How many groups of counters the requests of one call may have: each is more work for Redis.
pub(super) const MOST_GROUPS: usize = 16;

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

    pub(super) const fn script(self) -> &'static str {
        match self {
            Self::Windows => {
                concat!(include_str!("generations.lua"), include_str!("charges.lua"), include_str!("windows.lua"))
            }
            Self::Mixed => {
                concat!(include_str!("generations.lua"), include_str!("charges.lua"), include_str!("decide.lua"))
            }
        }
    }
}

/// Requests of one kind that go to Redis in one call.
#[derive(Debug)]
pub(super) struct Batch {
    kind: Kind,
    names: Names,
    groups: Vec<u8>,
    fields: Vec<u8>,
    charges: Charges,
    packed: Vec<u8>,
}

/// Numbers of counters.
type Index = HashMap<CounterKey, u16, foldhash::fast::RandomState>;

/// Names of keys of Redis, all with the same beginning.
#[derive(Debug)]
struct Names {
    beginning: String,
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl Batch {
    pub(super) fn new<'a>(
        kind: Kind,
        requests: impl ExactSizeIterator<Item = &'a Request> + Clone,
        prefix: &str,
    ) -> Self {
        let mut groups = Groups::with_capacity(requests.len());
        let mut numbers = Vec::with_capacity(requests.len());
        numbers.extend(requests.clone().flat_map(|request| &request.items).map(|item| groups.number(item)));
        let mut names = Names::new(prefix);
        let PackedGroups { groups, fields, places } = groups.pack(&mut names);
        let mut batch = Self { kind, names, groups, fields, packed: Vec::new(), charges: Charges::default() };
        let mut numbers = numbers.into_iter();
        for request in requests {
            if kind == Kind::Mixed {
                batch.push(mixed::head(request));
            }
            for (item, number) in request.items.iter().zip(&mut numbers) {
                let charge = batch.charges.place(item);
                batch.push(places.get(usize::from(number)).map_or(0, |place| *place));
                batch.push(charge);
            }
        }
        batch
    }

    fn push(&mut self, number: u16) {
        self.packed.extend_from_slice(&number.to_le_bytes());
    }

    /// `KEYS` of the scripts.
    pub(super) fn keys(&self) -> impl ExactSizeIterator<Item = &[u8]> + Clone {
        self.names.iter()
    }

    /// `ARGV` of the scripts, after the time.
    pub(super) fn arguments(&self) -> [&[u8]; 4] {
        [&self.groups, &self.fields, &self.packed, self.charges.packed()]
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

impl Names {
    fn new(prefix: &str) -> Self {
        Self { beginning: beginning(prefix), text: Vec::new(), ends: Vec::new() }
    }

    /// Adds one that goes on like this.
    fn add(&mut self, rest: &[&[u8]]) {
        self.text.extend_from_slice(self.beginning.as_bytes());
        rest.iter().for_each(|part| self.text.extend_from_slice(part));
        self.ends.push(self.text.len());
    }

    fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> + Clone {
        let mut start = 0;
        self.ends.iter().map(move |end| &self.text[std::mem::replace(&mut start, *end)..*end])
    }
}

/// What the names of all keys begin with. The number is the version of the format. What follows is no text: the shorter a name,
/// the less work it is for Redis.
fn beginning(prefix: &str) -> String {
    format!("{{{prefix}}}:3:")
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
