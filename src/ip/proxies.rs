//! Which proxies are believed when they say whom they speak for.

use std::net::IpAddr;
use std::num::NonZero;
use std::str::FromStr;
use std::sync::Arc;

use http::HeaderMap;

use super::element::Element;
use super::{ClientIp, ForwardedHeader, IpBlocks, ParseIpBlocksError, UnknownIp, forwarded};

/// The proxies in front of the service, and the headers in which they state the client's address.
///
/// The [module](super) has the rules and the ways to get them wrong. Parses as the blocks of
/// [`TrustedProxies::blocks`], `10.0.0.0/8, fd00::/8`; cheap to clone.
#[derive(Clone, Debug)]
pub struct TrustedProxies {
    trust: Trust,
    headers: Arc<[ForwardedHeader]>,
}

#[derive(Clone, Debug)]
enum Trust {
    Blocks(IpBlocks),
    Hops(NonZero<usize>),
}

impl TrustedProxies {
    /// No proxy is trusted: the client is the peer, and no header is read.
    pub fn none() -> Self {
        Self::blocks(IpBlocks::default())
    }

    /// Peers within `blocks` are proxies. The client is the rightmost stated address that is outside of them.
    pub fn blocks(blocks: IpBlocks) -> Self {
        Self::new(Trust::Blocks(blocks))
    }

    /// Exactly `count` proxies stand in front, whatever their addresses: the client is the `count`-th stated address
    /// from the right. A list with fewer makes the address unknown. None at all (0) is [`TrustedProxies::none`].
    ///
    /// In a header with a single address, that address is the client whatever the count.
    pub fn hops(count: usize) -> Self {
        NonZero::new(count).map_or_else(Self::none, |count| Self::new(Trust::Hops(count)))
    }

    fn new(trust: Trust) -> Self {
        Self { trust, headers: Arc::new([ForwardedHeader::XForwardedFor]) }
    }

    /// Which headers state the client's address. Of several, the first that is present counts. Default:
    /// `X-Forwarded-For` alone. With none, no header is read.
    ///
    /// A list without an element, such as an empty `X-Forwarded-For`, is not present.
    #[must_use]
    pub fn headers(self, headers: impl IntoIterator<Item = ForwardedHeader>) -> Self {
        Self { headers: headers.into_iter().collect(), ..self }
    }

    /// The client behind a connection from `peer` that sent `headers`. Never panics, whatever the headers hold.
    pub fn client(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> ClientIp {
        let Some(peer) = peer else {
            return ClientIp::Unknown(UnknownIp::NoPeer);
        };
        let peer = peer.to_canonical();
        let unstated = match &self.trust {
            Trust::Blocks(proxies) if !proxies.contains(peer) => return ClientIp::Known(peer),
            Trust::Blocks(_) => Ok(peer),
            Trust::Hops(_) => Err(UnknownIp::Malformed),
        };
        let stated = self.headers.iter().find_map(|header| self.stated(header, headers));
        match stated.unwrap_or(unstated) {
            Ok(address) => ClientIp::Known(address),
            Err(reason) => ClientIp::Unknown(reason),
        }
    }

    /// The client that `header` states; `None` when it states none.
    fn stated(&self, header: &ForwardedHeader, headers: &HeaderMap) -> Option<Element> {
        match header {
            ForwardedHeader::XForwardedFor => self.walk(forwarded::x_forwarded_for(headers)),
            ForwardedHeader::Forwarded => self.walk(forwarded::forwarded(headers)),
            ForwardedHeader::XRealIp => forwarded::single(headers, "x-real-ip"),
            ForwardedHeader::CfConnectingIp => forwarded::single(headers, "cf-connecting-ip"),
            ForwardedHeader::Named(name) => forwarded::single(headers, name),
        }
    }

    /// The client in a list of elements, nearest first; `None` when there is no element.
    fn walk(&self, mut elements: impl Iterator<Item = Element>) -> Option<Element> {
        match &self.trust {
            Trust::Blocks(proxies) => {
                let mut furthest = None;
                for element in elements {
                    match element {
                        Ok(address) if proxies.contains(address) => furthest = Some(element),
                        _ => return Some(element),
                    }
                }
                furthest
            }
            Trust::Hops(count) => {
                let mut client = elements.next()?;
                for _ in 1..count.get() {
                    // A proxy on the way that cannot be read may as well be two: do not count past it.
                    if client.is_err() {
                        break;
                    }
                    client = elements.next().unwrap_or(Err(UnknownIp::Malformed));
                }
                Some(client)
            }
        }
    }
}

impl Default for TrustedProxies {
    /// [`TrustedProxies::none`].
    fn default() -> Self {
        Self::none()
    }
}

impl From<IpBlocks> for TrustedProxies {
    fn from(blocks: IpBlocks) -> Self {
        Self::blocks(blocks)
    }
}

impl FromStr for TrustedProxies {
    type Err = ParseIpBlocksError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        IpBlocks::parse(text).map(Self::blocks)
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    const MALFORMED: ClientIp = ClientIp::Unknown(UnknownIp::Malformed);
    const OBFUSCATED: ClientIp = ClientIp::Unknown(UnknownIp::Obfuscated);

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn known(text: &str) -> ClientIp {
        ClientIp::Known(address(text))
    }

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let line = |&(name, value): &(_, &str)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        lines.iter().map(line).collect()
    }

    /// The client of a connection from 10.0.0.1 with one `X-Forwarded-For` line.
    fn forwarded_for(proxies: &TrustedProxies, value: &str) -> ClientIp {
        proxies.client(Some(address("10.0.0.1")), &headers(&[("x-forwarded-for", value)]))
    }

    fn inside() -> TrustedProxies {
        "10.0.0.0/8, fd00::/8".parse().unwrap()
    }

    #[test]
    fn without_trusted_proxies_the_client_is_the_peer() {
        for proxies in [TrustedProxies::none(), TrustedProxies::hops(0), TrustedProxies::default()] {
            assert_eq!(forwarded_for(&proxies, "192.0.2.66"), known("10.0.0.1"));
            assert_eq!(proxies.client(Some(address("::ffff:192.0.2.1")), &HeaderMap::new()), known("192.0.2.1"));
        }
    }

    #[test]
    fn a_header_from_an_untrusted_peer_is_not_read() {
        let every = [ForwardedHeader::Forwarded, ForwardedHeader::XRealIp, ForwardedHeader::XForwardedFor];
        let sent =
            headers(&[("forwarded", "for=10.0.0.9"), ("x-real-ip", "10.0.0.9"), ("x-forwarded-for", "10.0.0.9")]);
        assert_eq!(inside().headers(every).client(Some(address("192.0.2.66")), &sent), known("192.0.2.66"));
    }

    #[test]
    fn the_leftmost_address_is_not_believed() {
        for forged in ["192.0.2.66", "10.9.9.9", "192.0.2.66, 10.9.9.9", "garbage"] {
            let list = format!("{forged}, 203.0.113.7, fd00::2");
            assert_eq!(forwarded_for(&inside(), &list), known("203.0.113.7"));
            assert_eq!(forwarded_for(&TrustedProxies::hops(2), &list), known("203.0.113.7"));
        }
    }

    #[test]
    fn a_malformed_element_makes_the_address_unknown_and_never_the_peer() {
        assert_eq!(forwarded_for(&inside(), "203.0.113.7, garbage, 10.0.0.2"), MALFORMED);
        assert_eq!(forwarded_for(&TrustedProxies::hops(2), "203.0.113.7, garbage"), MALFORMED);
        let by_forwarded = inside().headers([ForwardedHeader::Forwarded]);
        let hidden = headers(&[("forwarded", "for=203.0.113.7, for=_hidden, for=10.0.0.2")]);
        assert_eq!(by_forwarded.client(Some(address("10.0.0.1")), &hidden), OBFUSCATED);
    }

    #[test]
    fn a_connection_without_an_address_is_unknown_whatever_it_sends() {
        for proxies in [TrustedProxies::none(), inside(), TrustedProxies::hops(1)] {
            let client = proxies.client(None, &headers(&[("x-forwarded-for", "203.0.113.7")]));
            assert_eq!(client, ClientIp::Unknown(UnknownIp::NoPeer));
        }
    }

    #[test]
    fn hops_count_from_the_right_and_never_past_the_left() {
        let list = "192.0.2.66, 203.0.113.7:4711, [fd00::2]:443, 198.51.100.1";
        for (count, client) in [(1, "198.51.100.1"), (2, "fd00::2"), (3, "203.0.113.7"), (4, "192.0.2.66")] {
            assert_eq!(forwarded_for(&TrustedProxies::hops(count), list), known(client));
        }
        for count in [5, usize::MAX] {
            assert_eq!(forwarded_for(&TrustedProxies::hops(count), list), MALFORMED);
        }
        let unstated = TrustedProxies::hops(1).client(Some(address("10.0.0.1")), &HeaderMap::new());
        assert_eq!(unstated, MALFORMED, "a proxy that says nothing is not the client");
    }

    #[test]
    fn the_first_header_that_is_present_counts_and_no_other() {
        let proxies = inside().headers([
            ForwardedHeader::XForwardedFor,
            ForwardedHeader::Named(HeaderName::from_static("true-client-ip")),
            ForwardedHeader::XRealIp,
        ]);
        let client = |lines: &[(&'static str, &str)]| proxies.client(Some(address("10.0.0.1")), &headers(lines));
        assert_eq!(client(&[("x-real-ip", "192.0.2.66"), ("x-forwarded-for", "203.0.113.7")]), known("203.0.113.7"));
        assert_eq!(client(&[("x-real-ip", "203.0.113.7")]), known("203.0.113.7"));
        assert_eq!(client(&[("x-real-ip", "203.0.113.7"), ("x-forwarded-for", " , ")]), known("203.0.113.7"));
        assert_eq!(client(&[("x-real-ip", "203.0.113.7"), ("true-client-ip", "203.0.113.7:1")]), MALFORMED);
        assert_eq!(client(&[("x-real-ip", "203.0.113.7"), ("true-client-ip", "")]), MALFORMED);
        assert_eq!(client(&[("cf-connecting-ip", "203.0.113.7")]), known("10.0.0.1"));
    }

    fn every_header() -> [(ForwardedHeader, &'static str); 5] {
        [
            (ForwardedHeader::XForwardedFor, "x-forwarded-for"),
            (ForwardedHeader::Forwarded, "forwarded"),
            (ForwardedHeader::XRealIp, "x-real-ip"),
            (ForwardedHeader::CfConnectingIp, "cf-connecting-ip"),
            (ForwardedHeader::Named(HeaderName::from_static("true-client-ip")), "true-client-ip"),
        ]
    }

    /// One line of a header: any bytes, or a row of what headers are made of.
    fn line() -> impl Strategy<Value = Vec<u8>> {
        let fragments = [
            "for=",
            "FOR=",
            "by=",
            "host=a",
            "\"",
            "\\",
            ",",
            ", ",
            ";",
            " ",
            "\t",
            "=",
            ":",
            "[",
            "]",
            ":80",
            "_x",
            "%",
            "unknown",
            "10.0.0.2",
            "203.0.113.7",
            "::ffff:10.0.0.3",
            "[fd00::2]",
            "2001:db8::1",
            "\"[2001:db8::2]:443\"",
            "010.0.0.1",
        ];
        let written = prop::collection::vec(prop::sample::select(fragments.to_vec()), 0..12);
        prop_oneof![prop::collection::vec(any::<u8>(), 0..48), written.prop_map(|row| row.concat().into_bytes())]
    }

    fn value(bytes: &[u8]) -> HeaderValue {
        let allowed: Vec<u8> =
            bytes.iter().copied().filter(|&byte| byte == b'\t' || byte >= 32 && byte != 127).collect();
        HeaderValue::from_bytes(&allowed).unwrap()
    }

    /// Whether `address` stands somewhere in `line`, with a port or without.
    fn states(line: &HeaderValue, address: IpAddr) -> bool {
        let unescaped: Vec<u8> = line.as_bytes().iter().copied().filter(|&byte| byte != b'\\').collect();
        let words = unescaped.split(|byte| !byte.is_ascii_hexdigit() && !b".:".contains(byte));
        words.filter_map(|word| std::str::from_utf8(word).ok()).any(|word| {
            let without_port = word.rsplit_once(':').map_or(word, |(host, _)| host);
            let read = |text: &str| text.parse::<IpAddr>().is_ok_and(|read| read.to_canonical() == address);
            read(word) || read(without_port)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        // Ten judgements a case: 100 000.
        #[test]
        fn no_bytes_in_a_header_panic_or_make_up_an_address(lines in prop::collection::vec(line(), 0..4), hops in 1..4_usize) {
            let peer = address("10.0.0.1");
            let lines: Vec<_> = lines.iter().map(|bytes| value(bytes)).collect();
            for (header, name) in every_header() {
                let sent: HeaderMap = lines.iter().map(|line| (HeaderName::from_static(name), line.clone())).collect();
                for proxies in [inside(), TrustedProxies::hops(hops)] {
                    if let ClientIp::Known(client) = proxies.headers([header.clone()]).client(Some(peer), &sent) {
                        prop_assert!(client == peer || lines.iter().any(|line| states(line, client)), "{client} {lines:?}");
                    }
                }
            }
        }

        #[test]
        fn nothing_that_a_caller_sends_changes_what_the_proxy_adds(lines in prop::collection::vec(line(), 1..4)) {
            let peer = Some(address("10.0.0.1"));
            for (header, name, added) in [
                (ForwardedHeader::XForwardedFor, "x-forwarded-for", "203.0.113.9, 10.0.0.2"),
                (ForwardedHeader::Forwarded, "forwarded", "for=203.0.113.9;host=\"a,\\\"\", for=\"10.0.0.2:1\""),
            ] {
                let name = HeaderName::from_static(name);
                let sent: Vec<_> = lines.iter().map(|line| value(line)).collect();
                let own_line = sent.iter().cloned().chain([value(added.as_bytes())]);
                let last = sent.last().map_or(&b""[..], HeaderValue::as_bytes);
                let appended = sent[..sent.len() - 1].iter().cloned().chain([value(&[last, b", ", added.as_bytes()].concat())]);
                for lines in [own_line.collect::<Vec<_>>(), appended.collect()] {
                    let sent: HeaderMap = lines.into_iter().map(|line| (name.clone(), line)).collect();
                    for proxies in [inside(), TrustedProxies::hops(2)] {
                        let client = proxies.headers([header.clone()]).client(peer, &sent);
                        prop_assert_eq!(client, known("203.0.113.9"), "{:?}", sent);
                    }
                }
            }
        }
    }
}
