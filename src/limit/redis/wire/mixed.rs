//! Requests of any kind: `decide.lua`.

use smallvec::SmallVec;

use super::Numbers;
use crate::clock::Timestamp;
use crate::limit::redis::request::{Answer, Request};
use crate::redis_link::RedisLinkError;

/// What a request begins with.
pub(super) fn head(request: &Request) -> u16 {
    2 * request.items.len() as u16 + u16::from(request.takes)
}

pub(super) fn read<'a>(
    reply: &[u8],
    requests: impl Iterator<Item = &'a Request>,
) -> Result<Vec<Answer>, RedisLinkError> {
    let mut rest = Numbers(reply);
    let now = Timestamp::from_unix_micros(rest.next()? as i64);
    let answer = |request: &Request| {
        let taken = rest.next()? == 1.0;
        let mut numbers = SmallVec::new();
        for _ in &request.items {
            numbers.push([rest.next()?, rest.next()?, rest.next()?]);
        }
        Ok(Answer { now, taken, numbers })
    };
    requests.map(answer).collect()
}
