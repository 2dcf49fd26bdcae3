//! Where a request comes from: a peer, the proxies that are trusted, and forwarded headers out of any bytes.

#![no_main]

use std::net::IpAddr;
use std::sync::LazyLock;

use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use tower_api_key::ip::{ClientIp, ForwardedHeader, IpBlocks, TrustedProxies};

static BLOCKS: LazyLock<IpBlocks> = LazyLock::new(|| IpBlocks::parse("10.0.0.0/8, 2001:db8:1::/48").unwrap());

const PEERS: [&str; 4] = ["10.0.0.1", "2001:db8:1::1", "192.0.2.1", "::ffff:10.0.0.1"];

fn headers(lines: &[u8]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n') {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        headers.append(name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?);
    }
    Some(headers)
}

fuzz_target!(|data: &[u8]| {
    let Some((which, lines)) = data.split_first() else { return };
    let peer: IpAddr = PEERS[usize::from(which % 4)].parse().unwrap();
    let Some(headers) = headers(lines) else { return };
    let kinds = [
        ForwardedHeader::XForwardedFor,
        ForwardedHeader::Forwarded,
        ForwardedHeader::XRealIp,
        ForwardedHeader::CfConnectingIp,
    ];
    let nobody = TrustedProxies::none().headers(kinds.clone()).client(Some(peer), &headers);
    assert_eq!(nobody, ClientIp::Known(peer.to_canonical()), "nobody is trusted");
    for kind in kinds {
        let client = TrustedProxies::blocks(BLOCKS.clone()).headers([kind]).client(Some(peer), &headers);
        let ClientIp::Known(address) = client else { continue };
        assert_eq!(address, address.to_canonical());
        if BLOCKS.contains(peer) {
            let texts = headers.values().map(|value| String::from_utf8_lossy(value.as_bytes()).replace('\\', ""));
            let said = texts.into_iter().any(|text| names(&text, address));
            assert!(said || address == peer.to_canonical(), "{address} was made up");
        } else {
            assert_eq!(address, peer.to_canonical(), "the peer is no proxy");
        }
    }
});

/// Whether an address stands somewhere in the text, in any of its spellings.
fn names(text: &str, address: IpAddr) -> bool {
    let parts = |separators: &'static str| text.split(move |c: char| separators.contains(c));
    let read = |part: &str| part.trim().parse::<IpAddr>().ok().map(|found| found.to_canonical());
    let v4 = parts(",;= \t\"[]:").any(|part| read(part) == Some(address));
    v4 || parts(",;= \t\"[]").any(|part| read(part) == Some(address))
}
