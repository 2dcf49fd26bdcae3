//! Where requests come from, and whether they may: the gate's rules about addresses, over whole requests.

use std::convert::Infallible;
use std::net::SocketAddr;

use http::{HeaderValue, Request, Response};
use tower::{Layer, ServiceExt, service_fn};
use tower_api_key::ip::{
    ClientIp, ForwardedHeader, IpAllowlist, IpBlocks, IpDenylist, IpRules, IpVerdict, TrustedProxies,
};
use tower_api_key::key::{KeyFormat, KeyHasher, KeyId, KeyRecord};
use tower_api_key::source::MemoryKeys;
use tower_api_key::{ApiKeyLayer, ApiKeyLayerBuilder, AuthContext, PeerAddr};

const KEY: &str = "key-of-no-address";
const BOUND: &str = "key-of-ten";

fn builder() -> ApiKeyLayerBuilder {
    let keys = MemoryKeys::builder().format(KeyFormat::text()).build();
    for name in [KEY, BOUND] {
        let mut record = KeyRecord::new(KeyId::from_static(name), KeyHasher::sha256().digest(name));
        record.allowed_ips = (name == BOUND).then(|| IpBlocks::parse("10.0.0.0/8, 2001:db8::/32").unwrap());
        keys.insert(record).unwrap();
    }
    ApiKeyLayer::builder(keys)
}

/// The status, and the address that the handler was told of.
async fn call(auth: &ApiKeyLayer, peer: Option<&str>, headers: &[(&str, &[u8])], key: &str) -> (u16, Option<String>) {
    let inner = service_fn(|request: Request<()>| async move {
        let address = request.extensions().get::<AuthContext>().and_then(|auth| auth.client_ip().address());
        Ok::<_, Infallible>(Response::new(address.map(|address| address.to_string())))
    });
    let mut request = Request::get("/").header("x-api-key", key);
    for (name, value) in headers {
        request = request.header(*name, HeaderValue::from_bytes(value).unwrap());
    }
    let mut request = request.body(()).unwrap();
    if let Some(peer) = peer {
        request.extensions_mut().insert(PeerAddr(SocketAddr::new(peer.parse().unwrap(), 1)));
    }
    let response = auth.layer(inner).oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().into_inner().ok().flatten();
    (status.as_u16(), body)
}

#[tokio::test]
async fn security_10_a_forged_header_from_an_untrusted_peer_changes_nothing() {
    let allowed = || IpAllowlist::parse("10.0.0.0/8").unwrap();
    let by_default = builder().ip_policy(allowed()).build().unwrap();
    let proxies = TrustedProxies::blocks(IpBlocks::parse("192.0.2.1").unwrap());
    let with_proxies = builder().ip_policy(allowed()).trusted_proxies(proxies).build().unwrap();
    for auth in [by_default, with_proxies] {
        for header in ["x-forwarded-for", "forwarded", "x-real-ip", "cf-connecting-ip", "true-client-ip", "x-client-ip"]
        {
            for value in ["10.0.0.1", "for=10.0.0.1", "10.0.0.1, 10.0.0.1", "::ffff:10.0.0.1"] {
                let (status, _) = call(&auth, Some("198.51.100.7"), &[(header, value.as_bytes())], KEY).await;
                assert_eq!(status, 403, "{header}: {value}");
            }
        }
    }
}

#[tokio::test]
async fn security_10_behind_a_trusted_proxy_the_leftmost_address_is_not_believed() {
    let proxies = TrustedProxies::blocks(IpBlocks::parse("192.0.2.0/24").unwrap());
    let auth = builder().trusted_proxies(proxies).ip_policy(IpAllowlist::parse("10.0.0.0/8").unwrap()).build().unwrap();
    for (headers, expected) in [
        (&[("x-forwarded-for", &b"10.0.0.1"[..])][..], (200, Some("10.0.0.1"))),
        (&[("x-forwarded-for", b"10.0.0.1, 198.51.100.7")], (403, None)),
        (&[("x-forwarded-for", b"198.51.100.7, 10.0.0.1")], (200, Some("10.0.0.1"))),
        (&[("x-forwarded-for", b"198.51.100.7"), ("x-forwarded-for", b"10.0.0.1, 192.0.2.9")], (200, Some("10.0.0.1"))),
        (&[("x-forwarded-for", b"10.0.0.1"), ("x-forwarded-for", b"198.51.100.7")], (403, None)),
        (&[("x-forwarded-for", b"10.0.0.1, unknown")], (403, None)),
        (&[("x-forwarded-for", b"10.0.0.1, \xff\xfe")], (403, None)),
        (&[("x-forwarded-for", b"::ffff:10.0.0.1")], (200, Some("10.0.0.1"))),
    ] {
        let found = call(&auth, Some("192.0.2.5"), headers, KEY).await;
        assert_eq!((found.0, found.1.as_deref()), expected, "{headers:?}");
    }
}

#[tokio::test]
async fn security_10_a_mapped_address_does_not_slip_past_an_ipv4_rule() {
    let auth = builder().ip_policy(IpDenylist::parse("10.0.0.0/8").unwrap()).build().unwrap();
    for (peer, status) in [("10.1.2.3", 403), ("::ffff:10.1.2.3", 403), ("::ffff:a01:203", 403), ("11.0.0.1", 200)] {
        assert_eq!(call(&auth, Some(peer), &[], KEY).await.0, status, "{peer}");
    }
    let everything = builder().ip_policy(IpAllowlist::parse("::/0").unwrap()).build().unwrap();
    assert_eq!(call(&everything, Some("10.1.2.3"), &[], KEY).await.0, 403);
}

#[test]
fn security_10_an_empty_allowlist_is_an_error_and_never_everyone() {
    for text in ["", " ", ",", " , ,"] {
        assert!(IpAllowlist::parse(text).is_err(), "{text:?}");
    }
    assert!(IpAllowlist::new(IpBlocks::default()).is_err());
}

#[tokio::test]
async fn a_rule_denies_whoever_has_no_address() {
    let rules = IpRules::new().deny(IpDenylist::parse("198.51.100.0/24").unwrap());
    let proxies = TrustedProxies::hops(1).headers([ForwardedHeader::XForwardedFor]);
    let auth = builder().ip_policy(rules).build().unwrap();
    assert_eq!(call(&auth, None, &[], KEY).await.0, 403);
    let behind =
        builder().ip_policy(IpAllowlist::parse("0.0.0.0/0").unwrap()).trusted_proxies(proxies).build().unwrap();
    assert_eq!(call(&behind, Some("192.0.2.1"), &[], KEY).await.0, 403, "the proxy said nothing");
    assert_eq!(call(&builder().build().unwrap(), None, &[], KEY).await, (200, None), "without a rule none is needed");
    assert_eq!(call(&builder().build().unwrap(), None, &[], BOUND).await.0, 403, "the key's own rule needs one");
}

#[tokio::test]
async fn a_key_is_bound_to_its_own_addresses() {
    let auth = builder().build().unwrap();
    for (peer, status) in
        [("10.255.0.1", 200), ("::ffff:10.0.0.9", 200), ("2001:db8::1", 200), ("11.0.0.1", 403), ("2001:db9::1", 403)]
    {
        assert_eq!(call(&auth, Some(peer), &[], BOUND).await.0, status, "{peer}");
        assert_eq!(call(&auth, Some(peer), &[], KEY).await.0, 200, "{peer}");
    }
}

#[tokio::test]
async fn a_closure_is_a_policy() {
    let ipv6_alone = |client: ClientIp| IpVerdict::allow_if(client.address().is_some_and(|address| address.is_ipv6()));
    let auth = builder().ip_policy(ipv6_alone).build().unwrap();
    assert_eq!(call(&auth, Some("2001:db8::1"), &[], KEY).await.0, 200);
    assert_eq!(call(&auth, Some("192.0.2.1"), &[], KEY).await.0, 403);
}
