//! One element of a forwarding header: strict, because what is read here decides who gets in.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::UnknownIp;

/// The address that an element states, IPv4 where it was IPv4-mapped, or why there is none.
pub(super) type Element = Result<IpAddr, UnknownIp>;

/// An address, and nothing else.
pub(super) fn bare(element: &[u8]) -> Element {
    text(element)?.parse().map(|address: IpAddr| address.to_canonical()).map_err(|_| UnknownIp::Malformed)
}

/// `IPv4[:port]`, `IPv6`, or `[IPv6][:port]`.
pub(super) fn x_forwarded_for(element: &[u8]) -> Element {
    bare(element).or_else(|malformed| match split_port(text(element)?) {
        (name, None) => host(name),
        (name, Some(port)) if is_port(port) => host(name),
        _ => Err(malformed),
    })
}

/// `for=node;by=node;…`, in any order, with exactly one `for` (RFC 7239, section 4). Spaces around `;` are let through.
pub(super) fn forwarded(element: &[u8]) -> Element {
    let mut client = None;
    let mut rest = element;
    loop {
        rest = match trimmed(rest) {
            [] => break,
            [b';', after @ ..] => after,
            pairs => {
                let (pair, after) = split_pair(pairs).ok_or(UnknownIp::Malformed)?;
                let is_second = pair.name.eq_ignore_ascii_case(b"for") && client.replace(pair.value).is_some();
                let ends_here = matches!(trimmed(after), [] | [b';', ..]);
                if is_second || !ends_here {
                    return Err(UnknownIp::Malformed);
                }
                after
            }
        }
    }
    node(text(&client.ok_or(UnknownIp::Malformed)?)?)
}

/// Without the spaces and tabs at its ends.
pub(super) fn trimmed(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// The value of `for`: `IPv4` or `[IPv6]`, `unknown` or `_name`, each with a port or without (RFC 7239, section 6).
fn node(node: &str) -> Element {
    let (name, port) = split_port(node);
    if port.is_some_and(|port| !is_port(port) && !is_obfuscated(port)) {
        return Err(UnknownIp::Malformed);
    }
    if name.eq_ignore_ascii_case("unknown") || is_obfuscated(name) {
        return Err(UnknownIp::Obfuscated);
    }
    host(name)
}

/// `IPv4` or `[IPv6]`.
fn host(name: &str) -> Element {
    let address = match name.strip_prefix('[') {
        None => name.parse().ok().map(|address: Ipv4Addr| IpAddr::V4(address)),
        Some(rest) => {
            let address = rest.strip_suffix(']').and_then(|address| address.parse().ok());
            address.map(|address: Ipv6Addr| address.to_canonical())
        }
    };
    address.ok_or(UnknownIp::Malformed)
}

/// At the last colon, unless it is within brackets.
fn split_port(node: &str) -> (&str, Option<&str>) {
    match node.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (node, None),
    }
}

fn is_port(port: &str) -> bool {
    port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
}

fn is_obfuscated(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    name.strip_prefix('_').is_some_and(|name| !name.is_empty() && name.bytes().all(is_allowed))
}

/// A parameter of `Forwarded`, its value unquoted.
struct Pair<'a> {
    name: &'a [u8],
    value: Cow<'a, [u8]>,
}

/// `name=value` at the start of `bytes`, and what follows it.
fn split_pair(bytes: &[u8]) -> Option<(Pair<'_>, &[u8])> {
    let (name, rest) = split_token(bytes)?;
    let (value, rest) = match rest.strip_prefix(b"=")? {
        [b'"', quoted @ ..] => split_quoted(quoted)?,
        rest => split_token(rest).map(|(value, rest)| (Cow::Borrowed(value), rest))?,
    };
    Some((Pair { name, value }, rest))
}

/// A token (RFC 9110, section 5.6.2) at the start of `bytes`, and what follows it.
fn split_token(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let length = bytes.iter().take_while(|&&byte| is_token(byte)).count();
    (length > 0).then(|| bytes.split_at(length))
}

/// The content of a quoted string whose opening quote stood before `bytes`, and what follows its closing quote.
fn split_quoted(bytes: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let mut content = Cow::Borrowed(&bytes[..0]);
    let mut at = 0;
    loop {
        match bytes[at..] {
            [b'"', ref rest @ ..] => return Some((content, rest)),
            [b'\\', escaped, ..] => {
                content.to_mut().push(escaped);
                at += 2;
            }
            [b'\\'] | [] => return None,
            [byte, ..] => {
                at += 1;
                match &mut content {
                    Cow::Borrowed(unescaped) => *unescaped = &bytes[..at],
                    Cow::Owned(unescaped) => unescaped.push(byte),
                }
            }
        }
    }
}

fn text(element: &[u8]) -> Result<&str, UnknownIp> {
    std::str::from_utf8(element).map_err(|_| UnknownIp::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MALFORMED: Element = Err(UnknownIp::Malformed);
    const OBFUSCATED: Element = Err(UnknownIp::Obfuscated);

    fn address(text: &str) -> Element {
        Ok(text.parse().unwrap())
    }

    #[test]
    fn an_address_may_have_a_port() {
        for text in ["203.0.113.7", "203.0.113.7:0", "203.0.113.7:65535", "::ffff:203.0.113.7", "[::ffff:cb00:7107]:80"]
        {
            assert_eq!(x_forwarded_for(text.as_bytes()), address("203.0.113.7"), "{text}");
        }
        for text in ["2001:DB8::1", "[2001:db8::1]", "[2001:db8:0:0::1]:4711"] {
            assert_eq!(x_forwarded_for(text.as_bytes()), address("2001:db8::1"), "{text}");
        }
        assert_eq!(x_forwarded_for(b"2001:db8::1:80"), address("2001:db8::1:80"), "without brackets it is no port");
    }

    #[test]
    fn what_is_no_address_is_malformed() {
        let malformed = "203.0.113.7:|203.0.113.7:65536|203.0.113.7:+80|203.0.113.7:000080|203.0.113.7:_p|[203.0.113.7]\
            |[::1|::1]|[::1]x|[::1]:|[::1]:x|[]|[::1]]:1|:80|:|fe80::1%eth0|010.0.0.1|10.0.0|unknown|_hidden|\"10.0.0.1\"\
            |10.0.0.1/8|[::1]::80|203.0.113.7:80:80|10.0.0.1 |\u{ff11}.0.0.1";
        for text in malformed.split('|').chain([""]) {
            assert_eq!(x_forwarded_for(text.as_bytes()), MALFORMED, "{text}");
        }
        assert_eq!(x_forwarded_for(b"10.0.0.1\xff"), MALFORMED);
    }

    #[test]
    fn a_bare_address_has_neither_port_nor_brackets() {
        assert_eq!(bare(b"::ffff:10.0.0.1"), address("10.0.0.1"));
        for text in ["10.0.0.1:80", "[::1]", "", "10.0.0.1, 10.0.0.2"] {
            assert_eq!(bare(text.as_bytes()), MALFORMED, "{text}");
        }
    }

    #[test]
    fn the_node_of_the_one_for_parameter_counts() {
        for text in [
            "for=203.0.113.7",
            "FOR=\"203.0.113.7:_port\";proto=https",
            "host=\"for=192.0.2.1;\\\"\";;for=203.0.113.7;",
            "by=\"[::1]\" ; for=\"203.0.113.\\7\"",
            "x-y=\"\";for=\"[::ffff:203.0.113.7]:443\"",
        ] {
            assert_eq!(forwarded(text.as_bytes()), address("203.0.113.7"), "{text}");
        }
        for text in ["for=unknown", "for=_hidden", "for=\"_hidden:_p1\"", "For=\"Unknown:80\""] {
            assert_eq!(forwarded(text.as_bytes()), OBFUSCATED, "{text}");
        }
    }

    #[test]
    fn an_element_outside_the_grammar_is_malformed() {
        for text in [
            "203.0.113.7",
            "by=203.0.113.7",
            ";",
            "for",
            "for=",
            "for=\"\"",
            "for=\"203.0.113.7",
            "for=\"203.0.113.7\\\"",
            "for=\"203.0.113.7\"x",
            "for=203.0.113.7\"",
            "for =203.0.113.7",
            "for= 203.0.113.7",
            "for=203.0.113.7 by=10.0.0.1",
            "for=203.0.113.7:80",
            "for=[2001:db8::1]",
            "for=\"2001:db8::1\"",
            "for=\"203.0.113.7:99999\"",
            "for=\"203.0.113.7:\"",
            "for=_",
            "for=\"_a b\"",
            "for=203.0.113.7;for=203.0.113.7",
            "for=203.0.113.7;FOR=_hidden",
            "for=203.0.113.7;=x",
            "for=203.0.113.7;%%==",
        ] {
            assert_eq!(forwarded(text.as_bytes()), MALFORMED, "{text}");
        }
    }
}
