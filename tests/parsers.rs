//! Parsers of what others write, against models that are short enough to be right, and there and back.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::{HeaderMap, HeaderName, HeaderValue, Request};
use proptest::prelude::*;
use tower_api_key::clock::Timestamp;
use tower_api_key::ip::{ClientIp, ForwardedHeader, IpAllowlist, IpBlocks, IpPolicy, TrustedProxies};
use tower_api_key::key::{DigestAlgorithm, KeyDigest, PepperId, PresentedKey, ScopeSet};

/// The proxies of all chains: 10.0.0.0/8 and 2001:db8::/32.
const PROXIES: &str = "10.0.0.0/8, 2001:db8::/32";

/// One hop of a chain, and how it is written.
#[derive(Debug, Clone)]
enum Hop {
    Address(IpAddr, u8),
    Nonsense(&'static str),
}

impl Hop {
    /// Within `X-Forwarded-For`.
    fn plain(&self) -> String {
        match *self {
            Self::Nonsense(text) => text.to_owned(),
            Self::Address(IpAddr::V4(address), 1) => format!("{address}:4711"),
            Self::Address(IpAddr::V4(address), 2) => format!("::ffff:{address}"),
            Self::Address(IpAddr::V6(address), 1) => format!("[{address}]:80"),
            Self::Address(IpAddr::V6(address), 2) => format!("[{}]", address.to_string().to_uppercase()),
            Self::Address(address, _) => address.to_string(),
        }
    }

    /// Within `Forwarded` (RFC 7239).
    fn pair(&self) -> String {
        match *self {
            Self::Nonsense(text) => format!("for={text}"),
            Self::Address(IpAddr::V4(address), 1) => format!("by=_x;FOR=\"{address}:_port\";proto=https"),
            Self::Address(IpAddr::V4(address), 2) => format!("for=\"[::ffff:{address}]\""),
            Self::Address(IpAddr::V4(address), _) => format!("for={address}"),
            Self::Address(IpAddr::V6(address), written) => {
                format!("host=\"a,b;for=10.0.0.1\"; for=\"[{address}]{}\"", if written == 1 { ":80" } else { "" })
            }
        }
    }

    const fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Address(address, _) => Some(*address),
            Self::Nonsense(_) => None,
        }
    }
}

fn is_proxy(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.octets()[0] == 10,
        IpAddr::V6(address) => address.segments()[..2] == [0x2001, 0xdb8],
    }
}

/// The rightmost that is no proxy; the leftmost, if all are; nobody, if it cannot be read.
fn model(peer: IpAddr, hops: &[Hop]) -> Option<IpAddr> {
    let mut client = Some(peer);
    for hop in hops.iter().rev() {
        if !client.is_some_and(is_proxy) {
            break;
        }
        client = hop.address();
    }
    client
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<[u8; 3]>().prop_map(|[a, b, c]| Ipv4Addr::new(10, a, b, c).into()),
        any::<u32>().prop_map(|bits| Ipv4Addr::from(bits).into()),
        any::<[u16; 6]>().prop_map(|[a, b, c, d, e, f]| Ipv6Addr::new(0x2001, 0xdb8, a, b, c, d, e, f).into()),
        any::<u64>().prop_map(|bits| Ipv6Addr::from(0x2001 << 112 | u128::from(bits)).into()),
    ]
}

fn hop() -> impl Strategy<Value = Hop> {
    prop_oneof![
        6 => (address(), 0_u8..3).prop_map(|(address, written)| Hop::Address(address, written)),
        1 => prop::sample::select(vec!["unknown", "_hidden", "x", "10.0.0", "010.0.0.1", "::1::", "10.0.0.1.2"])
            .prop_map(Hop::Nonsense),
    ]
}

/// The hops on lines of any lengths, as several proxies append to them.
fn lines(name: &'static str, texts: &[String], breaks: &[bool]) -> HeaderMap {
    let mut lines: Vec<String> = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        match lines.last_mut() {
            Some(line) if !breaks.get(index).copied().unwrap_or(false) => *line = format!("{line},\t {text}"),
            _ => lines.push(text.clone()),
        }
    }
    let field = |line: String| (HeaderName::from_static(name), HeaderValue::try_from(line).unwrap());
    let mut headers = HeaderMap::new();
    for (name, value) in lines.into_iter().map(field) {
        headers.append(name, value);
    }
    headers
}

fn known(client: ClientIp) -> Option<IpAddr> {
    match client {
        ClientIp::Known(address) => Some(address),
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn the_client_of_any_chain_is_the_rightmost_that_is_no_proxy(
        peer in address(),
        hops in prop::collection::vec(hop(), 0..8),
        breaks in prop::collection::vec(any::<bool>(), 8),
    ) {
        let blocks = IpBlocks::parse(PROXIES).unwrap();
        let expected = model(peer, &hops);
        let plain: Vec<String> = hops.iter().map(Hop::plain).collect();
        let pairs: Vec<String> = hops.iter().map(Hop::pair).collect();
        for (kind, name, texts) in [
            (ForwardedHeader::XForwardedFor, "x-forwarded-for", plain),
            (ForwardedHeader::Forwarded, "forwarded", pairs),
        ] {
            let headers = lines(name, &texts, &breaks);
            let proxies = TrustedProxies::blocks(blocks.clone()).headers([kind.clone()]);
            prop_assert_eq!(known(proxies.client(Some(peer), &headers)), expected, "{:?}", headers);
            let nobody = TrustedProxies::none().headers([kind.clone()]);
            prop_assert_eq!(known(nobody.client(Some(peer), &headers)), Some(peer));
            for count in 1..4 {
                let proxies = TrustedProxies::hops(count).headers([kind.clone()]);
                let client = known(proxies.client(Some(peer), &headers));
                // Whatever stands between cannot be counted past.
                let counted = hops.len().checked_sub(count).map(|at| &hops[at..]);
                let expected = counted.filter(|hops| hops.iter().skip(1).all(|hop| hop.address().is_some()));
                prop_assert_eq!(client, expected.and_then(|hops| hops[0].address()), "{} of {:?}", count, headers);
            }
        }
    }

    #[test]
    fn what_a_stranger_writes_in_front_changes_nothing(
        peer in address(),
        hops in prop::collection::vec(hop(), 0..4),
        forged in prop::collection::vec("[ -~]{0,20}", 1..4),
    ) {
        // The proxy appends whom it heard it from: nothing to the left of a stranger counts.
        let stranger = IpAddr::from([192, 0, 2, 1]);
        let mut texts = forged;
        texts.push(stranger.to_string());
        texts.extend(hops.iter().map(Hop::plain));
        let mut chain = vec![Hop::Address(stranger, 0)];
        chain.extend(hops);
        let proxies = TrustedProxies::blocks(IpBlocks::parse(PROXIES).unwrap());
        let headers = lines("x-forwarded-for", &texts, &[]);
        prop_assert_eq!(known(proxies.client(Some(peer), &headers)), model(peer, &chain), "{:?}", headers);
    }

    #[test]
    fn blocks_hold_what_their_bits_say_and_are_read_as_they_are_written(
        blocks in prop::collection::vec((any::<u32>(), 0_u32..=32), 1..6),
        addresses in prop::collection::vec(any::<u32>(), 20),
    ) {
        let mask = |length: u32| u32::MAX.checked_shl(32 - length).unwrap_or(0);
        let written: Vec<String> =
            blocks.iter().map(|(bits, length)| format!("{}/{length}", Ipv4Addr::from(bits & mask(*length)))).collect();
        let read = IpBlocks::parse(&written.join(" , ")).unwrap();
        let near = blocks.iter().flat_map(|(bits, length)| [bits & mask(*length), bits | !mask(*length)]);
        for bits in addresses.into_iter().chain(near) {
            let within = blocks.iter().any(|(block, length)| (block ^ bits) & mask(*length) == 0);
            let address = IpAddr::from(Ipv4Addr::from(bits));
            prop_assert_eq!(read.contains(address), within, "{} in {}", address, written.join(","));
            let mapped = IpAddr::from(Ipv4Addr::from(bits).to_ipv6_mapped());
            let policy = IpAllowlist::new(read.clone()).unwrap();
            prop_assert_eq!(policy.judge(ClientIp::Known(mapped)).is_allow(), within, "{} in {}", mapped, written.join(","));
        }
        let again: Vec<String> = read.iter().map(|block| block.to_string()).collect();
        prop_assert_eq!(IpBlocks::parse(&again.join(",")).unwrap(), read);
    }

    #[test]
    fn no_text_makes_a_parser_panic_and_what_is_read_is_written_so(text in "\\PC{0,60}", bytes in any::<[u8; 32]>()) {
        let _ = (IpBlocks::parse(&text), IpAllowlist::parse(&text), PresentedKey::new(text.as_bytes()));
        let _ = Request::get("/").header("x-forwarded-for", &text).body(());
        if let Ok(digest) = text.parse::<KeyDigest>() {
            prop_assert_eq!(digest.to_stored(), Some(text.clone()));
        }
        if let Ok(time) = text.parse::<Timestamp>() {
            prop_assert_eq!(time.to_string().parse::<Timestamp>().unwrap(), time);
        }
        for algorithm in [
            DigestAlgorithm::Sha256, DigestAlgorithm::Sha384, DigestAlgorithm::Sha512,
            DigestAlgorithm::HmacSha256(PepperId(7)),
        ] {
            let digest = KeyDigest::new(algorithm, bytes);
            let stored = digest.to_stored().unwrap();
            prop_assert_eq!(stored.parse::<KeyDigest>().unwrap(), digest);
            // Neither shorter, nor longer, nor in capitals.
            prop_assert!(stored[..stored.len() - 1].parse::<KeyDigest>().is_err());
            let (capitals, longer) = (stored.to_uppercase(), stored + "0");
            prop_assert!(capitals.parse::<KeyDigest>().is_err());
            prop_assert!(longer.parse::<KeyDigest>().is_err());
        }
        let scopes: Result<ScopeSet, _> = serde_json::from_value(serde_json::json!([text]));
        if let Ok(scopes) = scopes {
            prop_assert_eq!(serde_json::to_value(&scopes).unwrap(), serde_json::json!([text]));
        }
    }
}
