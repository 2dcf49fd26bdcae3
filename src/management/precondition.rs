//! `ETag` and `If-Match` (RFC 9110 §8.8.3, §13.1.1): what one caller has read, no other has changed meanwhile.

use http::{HeaderMap, HeaderValue, header};

use super::refusal;
use crate::rejection::Rejection;

/// The version of a record as a strong validator.
pub(super) fn etag(version: u64) -> HeaderValue {
    // Digits and quotes are a valid header value.
    HeaderValue::try_from(format!("\"{version}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

/// What a request says of the version that it is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum IfMatch {
    /// Any will do: it says nothing, or `*`.
    Any,
    /// One of these tags. Weak tags match nothing, as RFC 9110 has it.
    OneOf(Vec<String>),
}

impl IfMatch {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all(header::IF_MATCH);
        if values.iter().next().is_none() {
            return Self::Any;
        }
        // No tag of ours has a comma in it, so nothing that could match is torn apart.
        let texts = values.iter().filter_map(|value| value.to_str().ok());
        let tags: Vec<_> = texts.flat_map(|text| text.split(',')).map(|tag| tag.trim().to_owned()).collect();
        if tags == ["*"] { Self::Any } else { Self::OneOf(tags) }
    }

    /// The version that the record has to keep until it is changed, if it has to.
    ///
    /// # Errors
    /// 412 when it has another one already.
    pub(super) fn expects(&self, current: u64) -> Result<Option<u64>, Rejection> {
        match self {
            Self::Any => Ok(None),
            Self::OneOf(tags) if tags.iter().any(|tag| etag(current) == tag.as_str()) => Ok(Some(current)),
            Self::OneOf(_) => Err(refusal::outdated()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_strong_tag_of_the_version_matches() {
        let expects = |values: &[&str]| {
            let headers = values.iter().map(|value| (header::IF_MATCH, HeaderValue::from_str(value).unwrap()));
            let mut map = HeaderMap::new();
            headers.for_each(|(name, value)| {
                map.append(name, value);
            });
            IfMatch::of(&map).expects(3).ok()
        };
        assert_eq!(expects(&[]), Some(None));
        assert_eq!(expects(&["*"]), Some(None));
        for matching in [&["\"3\""][..], &["\"2\", \"3\""], &["\"2\"", "\"3\""]] {
            assert_eq!(expects(matching), Some(Some(3)), "{matching:?}");
        }
        for other in ["", "3", "\"2\"", "W/\"3\"", "\"+3\"", "\"03\"", "\"*\"", "*, \"2\""] {
            assert_eq!(expects(&[other]), None, "{other}");
        }
    }
}
