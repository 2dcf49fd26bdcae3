//! The headers in which proxies state the client's address, read from the right.

use http::header::{AsHeaderName, FORWARDED, HeaderMap, HeaderName};

use super::UnknownIp;
use super::element::{self, Element};

/// A header in which proxies state the client's address.
///
/// The lists (`X-Forwarded-For`, `Forwarded`) grow at the right by an element a proxy. The others hold one bare address
/// in one line; two lines, a port or brackets make them malformed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForwardedHeader {
    /// `X-Forwarded-For: 203.0.113.7, 10.0.0.2`. An element is an IPv4 address, an IPv6 address, or an IPv6 address in
    /// brackets; the first and the last may have a port.
    XForwardedFor,
    /// `Forwarded: for=203.0.113.7;proto=https, for="[2001:db8::1]:4711"` (RFC 7239).
    Forwarded,
    /// `X-Real-IP: 203.0.113.7`, as nginx is commonly set up to send it.
    XRealIp,
    /// `CF-Connecting-IP: 203.0.113.7`, from Cloudflare.
    CfConnectingIp,
    /// Another header with a single address, such as `True-Client-IP` or `Fly-Client-IP`.
    Named(HeaderName),
}

/// The elements of `X-Forwarded-For`, nearest first. Empty ones are skipped (RFC 9110, section 5.6.1.2).
pub(super) fn x_forwarded_for(headers: &HeaderMap) -> impl Iterator<Item = Element> {
    let lines = headers.get_all("x-forwarded-for").iter().rev();
    lines
        .flat_map(|line| line.as_bytes().rsplit(|&byte| byte == b','))
        .map(element::trimmed)
        .filter(|element| !element.is_empty())
        .map(element::x_forwarded_for)
}

/// The elements of `Forwarded`, nearest first. Empty ones are skipped.
///
/// A quoted string ends with its line. The lines are written by different hands, and a quote that one leaves open must
/// not swallow what a proxy has added after it.
pub(super) fn forwarded(headers: &HeaderMap) -> impl Iterator<Item = Element> {
    let lines = headers.get_all(FORWARDED).iter().rev();
    lines
        .flat_map(|line| QuotedElements(Some(line.as_bytes())))
        .map(element::trimmed)
        .filter(|element| !element.is_empty())
        .map(element::forwarded)
}

/// The address in a header that holds one; `None` when it is absent.
pub(super) fn single(headers: &HeaderMap, name: impl AsHeaderName) -> Option<Element> {
    let mut lines = headers.get_all(name).iter();
    let line = lines.next()?;
    Some(match lines.next() {
        Some(_) => Err(UnknownIp::Malformed),
        None => element::bare(element::trimmed(line.as_bytes())),
    })
}

/// Splits a line at the commas outside of quotes, from the right, so that nothing to the left of the client can change
/// what is read. `None` when all is split off.
struct QuotedElements<'a>(Option<&'a [u8]>);

impl<'a> Iterator for QuotedElements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<Self::Item> {
        let line = self.0.take()?;
        let mut end = line.len();
        while let Some(at) = line[..end].iter().rposition(|byte| matches!(byte, b',' | b'"')) {
            if line[at] == b',' {
                self.0 = Some(&line[..at]);
                return Some(&line[at + 1..]);
            }
            // A quote that was never opened: the rest of the line is one element, which its grammar will refuse.
            let Some(opening) = opening_quote(&line[..at]) else {
                break;
            };
            end = opening;
        }
        Some(line)
    }
}

/// Where the last quote stands that no backslash escapes.
fn opening_quote(text: &[u8]) -> Option<usize> {
    let mut end = text.len();
    loop {
        let at = text[..end].iter().rposition(|&byte| byte == b'"')?;
        let backslashes = text[..at].iter().rev().take_while(|&&byte| byte == b'\\').count();
        if backslashes % 2 == 0 {
            return Some(at);
        }
        end = at - backslashes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &str) -> Vec<&str> {
        QuotedElements(Some(line.as_bytes())).map(|element| std::str::from_utf8(element).unwrap()).collect()
    }

    #[test]
    fn commas_in_quotes_do_not_split() {
        assert_eq!(split(r#"a,b="x,y",c"#), ["c", r#"b="x,y""#, "a"]);
        assert_eq!(split(r#"a="\",",b="\\",c="\\\",""#), [r#"c="\\\",""#, r#"b="\\""#, r#"a="\",""#]);
        assert_eq!(split(""), [""]);
        assert_eq!(split(",,"), ["", "", ""]);
    }

    #[test]
    fn a_quote_left_open_swallows_nothing_to_its_right() {
        assert_eq!(split(r#"a="x, b=1"#), [" b=1", r#"a="x"#]);
        assert_eq!(split(r#"a="x, b="y""#), [r#" b="y""#, r#"a="x"#]);
        assert_eq!(split(r#"a, b=y""#), [r#"a, b=y""#], "never opened");
    }
}
