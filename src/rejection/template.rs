//! Bodies that differ in a few words alone: kept with gaps, where those words go.

use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;

use super::RejectionReason;
use crate::clock::Timestamp;
use crate::key::KeyId;
use crate::request_id::{RequestId, is_plain};

/// The words in which the bodies of one reason differ.
pub(super) struct Words<'a> {
    id: Option<&'a RequestId>,
    seconds: Option<u64>,
    fact: Option<Fact<'a>>,
}

/// What a body says of the key that was refused.
enum Fact<'a> {
    Instant([u8; Timestamp::WRITTEN]),
    Id(&'a str),
}

/// The bodies of one reason, with an id of the request and without. Each is made when it is first needed.
#[derive(Debug, Default)]
pub(super) struct Slot {
    with_id: OnceLock<Option<Template>>,
    without_id: OnceLock<Option<Template>>,
}

/// A body with gaps.
#[derive(Debug)]
struct Template {
    text: Bytes,
    /// What goes before which place of the text, from the front.
    gaps: Vec<(usize, Gap)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gap {
    Id,
    Seconds,
    Fact,
}

impl<'a> Words<'a> {
    /// `None` if one of them could be written in another way than it is read.
    pub(super) fn of(reason: &'a RejectionReason, id: Option<&'a RequestId>) -> Option<Self> {
        let fact = match reason {
            RejectionReason::ExpiredKey { expired_at } => Some(Fact::Instant(expired_at.written()?)),
            RejectionReason::RevokedKey { key_id } | RejectionReason::DisabledKey { key_id } => {
                Some(Fact::Id(key_id.as_str()))
            }
            _ => None,
        };
        let words = Self { id, seconds: reason.retry_after_seconds(), fact };
        let plain = id.is_none_or(RequestId::is_plain) && is_plain(words.text(Gap::Fact));
        plain.then_some(words)
    }

    /// What goes into a gap, but for a number.
    fn text(&self, gap: Gap) -> &[u8] {
        match (gap, &self.fact) {
            (Gap::Id, _) => self.id.map_or(b"", RequestId::as_bytes),
            (Gap::Fact, Some(Fact::Instant(instant))) => instant,
            (Gap::Fact, Some(Fact::Id(id))) => id.as_bytes(),
            (Gap::Fact, None) | (Gap::Seconds, _) => b"",
        }
    }
}

impl Slot {
    /// The body for these words; `None` if it has to be written. `write` writes it for any reason and any id.
    pub(super) fn fill(
        &self,
        words: &Words<'_>,
        reason: &RejectionReason,
        write: impl Fn(&RejectionReason, Option<&RequestId>) -> Bytes,
    ) -> Option<Bytes> {
        let template = if words.id.is_some() { &self.with_id } else { &self.without_id };
        let made =
            || Template::new(reason, words.id.is_some(), &write).filter(|it| it.fill(words) == write(reason, words.id));
        template.get_or_init(made).as_ref().map(|template| template.fill(words))
    }
}

impl Template {
    /// Writes a body with words that nothing else in it can be, and looks for them.
    fn new(
        reason: &RejectionReason,
        has_id: bool,
        write: impl Fn(&RejectionReason, Option<&RequestId>) -> Bytes,
    ) -> Option<Self> {
        let id = has_id.then(RequestId::fresh);
        let marked = reason.marked();
        let words = Words::of(&marked, id.as_ref())?;
        let seconds = words.seconds.map(|seconds| seconds.to_string()).unwrap_or_default();
        let marks = [
            (Gap::Id, words.text(Gap::Id)),
            (Gap::Seconds, if reason.is_in_one_second() { b"" } else { seconds.as_bytes() }),
            (Gap::Fact, words.text(Gap::Fact)),
        ];
        let written = write(&marked, id.as_ref());
        let (mut text, mut gaps, mut rest) = (Vec::with_capacity(written.len()), Vec::new(), &written[..]);
        while let Some(first) = rest.first() {
            let found = marks.iter().find(|(_, mark)| !mark.is_empty() && rest.starts_with(mark));
            if let Some((gap, mark)) = found {
                gaps.push((text.len(), *gap));
                rest = &rest[mark.len()..];
            } else {
                text.push(*first);
                rest = &rest[1..];
            }
        }
        Some(Self { text: if gaps.is_empty() { written } else { text.into() }, gaps })
    }

    fn fill(&self, words: &Words<'_>) -> Bytes {
        if self.gaps.is_empty() {
            return self.text.clone();
        }
        let mut digits = [0; 20];
        let digits = written(words.seconds.unwrap_or_default(), &mut digits);
        let word = |gap| if gap == Gap::Seconds { digits } else { words.text(gap) };
        let length = self.gaps.iter().fold(self.text.len(), |length, (_, gap)| length + word(*gap).len());
        let (mut body, mut done) = (Vec::with_capacity(length), 0);
        for (place, gap) in &self.gaps {
            body.extend_from_slice(&self.text[done..*place]);
            body.extend_from_slice(word(*gap));
            done = *place;
        }
        body.extend_from_slice(&self.text[done..]);
        body.into()
    }
}

impl RejectionReason {
    /// The same reason with words that no body has otherwise.
    fn marked(&self) -> Self {
        const WAIT: Duration = Duration::from_secs(98_765_432_109);
        const INSTANT: Timestamp = Timestamp::from_unix_millis(7_890_123_456_789);
        const ID: KeyId = KeyId::from_static("a-key-that-stands-for-any-other");
        let mut marked = self.clone();
        match &mut marked {
            _ if self.is_in_one_second() => {}
            Self::RateLimited { retry_after, .. }
            | Self::TooManyFailures { retry_after }
            | Self::Unavailable { retry_after }
            | Self::UsageExceeded { retry_after: Some(retry_after) } => *retry_after = WAIT,
            Self::ExpiredKey { expired_at } => *expired_at = INSTANT,
            Self::RevokedKey { key_id } | Self::DisabledKey { key_id } => *key_id = ID,
            _ => {}
        }
        marked
    }

    /// Whether it tells to wait for a second, which is no plural.
    pub(super) fn is_in_one_second(&self) -> bool {
        self.retry_after_seconds() == Some(1)
    }
}

/// The digits of a number, at the end of `digits`.
fn written(mut number: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut start = digits.len();
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        start -= 1;
        if number == 0 {
            break;
        }
    }
    &digits[start..]
}
