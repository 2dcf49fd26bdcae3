//! What a change tells other nodes.

use std::fmt;
use std::str::FromStr;

use crate::key::{KeyDigest, KeyId};

/// What other nodes must not believe any longer, as the text of a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Announcement {
    /// `key <id>`: its record has changed.
    Changed(KeyId),
    /// `digest <stored form>`: it has a record now, or another one.
    Issued(KeyDigest),
    /// `all`: more than can be named.
    All,
}

impl fmt::Display for Announcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed(id) => write!(f, "key {id}"),
            Self::Issued(digest) => match digest.to_stored() {
                Some(stored) => write!(f, "digest {stored}"),
                None => f.write_str("all"),
            },
            Self::All => f.write_str("all"),
        }
    }
}

impl FromStr for Announcement {
    type Err = std::convert::Infallible;

    /// What is not understood may be what a newer version says: then anything may have changed.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = match text.split_once(' ') {
            Some(("key", id)) => id.parse().ok().map(Self::Changed),
            Some(("digest", digest)) => digest.parse().ok().map(Self::Issued),
            _ => None,
        };
        Ok(read.unwrap_or(Self::All))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyHasher;

    #[test]
    fn what_is_announced_is_what_is_heard_and_anything_else_is_everything() {
        let digest = KeyHasher::sha256().digest("k");
        for announcement in
            [Announcement::Changed(KeyId::from_static("key_1")), Announcement::Issued(digest), Announcement::All]
        {
            assert_eq!(announcement.to_string().parse(), Ok(announcement));
        }
        for text in ["", "key", "key ", "key a b", "digest sha256:00", "plan gold"] {
            assert_eq!(text.parse(), Ok(Announcement::All), "{text}");
        }
    }
}
