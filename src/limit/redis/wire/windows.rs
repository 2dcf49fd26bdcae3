//! Requests of one charge under a fixed window: `windows.lua`.

use smallvec::SmallVec;

use super::{Batch, Numbers};
use crate::clock::Timestamp;
use crate::limit::redis::request::{Answer, CounterKey};
use crate::redis_link::RedisLinkError;

impl Batch {
    pub(super) fn read_windows(&self, reply: &[u8]) -> Result<Vec<Answer>, RedisLinkError> {
        let mut numbers = Numbers(reply);
        let now = Timestamp::from_unix_micros(numbers.next()? as i64);
        let ends = (0..self.fields.len() / CounterKey::LENGTH).map(|_| {
            let end = numbers.next()?;
            // What was taken in the end, by all requests.
            let (_, rest) = numbers.0.split_first_chunk::<4>().ok_or(RedisLinkError::Answer)?;
            numbers.0 = rest;
            Ok(end)
        });
        let ends = ends.collect::<Result<Vec<_>, RedisLinkError>>()?;
        let answer = |packed: &[u8]| {
            let number = numbers.next()?;
            let taken = number >= 0.0;
            let (more, used) = if taken {
                (number as u64 >> 32, number as u64 & u64::from(u32::MAX))
            } else {
                (0, (-1.0 - number) as u64)
            };
            let place = packed.first_chunk().map_or(0, |place| usize::from(u16::from_le_bytes(*place)));
            let end = ends.get(place.wrapping_sub(1)).ok_or(RedisLinkError::Answer)?;
            Ok(Answer { now, taken, numbers: SmallVec::from_buf([[*end, used as f64, more as f64]]) })
        };
        self.packed.chunks_exact(4).map(answer).collect()
    }
}
