//! Client addresses as real proxies and attackers state them: every case of `client_ip.json`.
//!
//! The folder is `tests/vectors`, unless the environment variable `TEST_VECTORS` names another.

use std::net::IpAddr;
use std::path::PathBuf;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use tower_api_key::ip::{ClientIp, ForwardedHeader, IpBlocks, TrustedProxies, UnknownIp};

#[test]
fn client_ip_is_found_as_every_vector_expects() {
    let vectors = read_vectors();
    let cases = vectors["cases"].as_array().expect("`cases` is a list");
    assert!(!cases.is_empty(), "client_ip.json holds no case");

    let mut failures = Vec::new();
    for case in cases {
        let id = case["id"].as_str().expect("a case has an `id`");
        let found = outcome(case);
        let others = case["also_acceptable"].as_array().map_or(&[][..], Vec::as_slice);
        if !std::iter::once(&case["expect"]).chain(others).any(|expected| found.is(expected, case)) {
            failures.push(format!("{id}: found {found:?}, expected {}", case["expect"]));
        }
    }
    assert!(failures.is_empty(), "{} of {} cases failed:\n{}", failures.len(), cases.len(), failures.join("\n"));
}

fn read_vectors() -> Value {
    let folder = std::env::var_os("TEST_VECTORS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors"), PathBuf::from);
    let file = folder.join("client_ip.json");
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_str(&text).expect("client_ip.json is JSON")
}

#[derive(Debug)]
enum Outcome {
    /// A block of the case was refused.
    Config,
    Client(ClientIp),
}

impl Outcome {
    fn is(&self, expected: &Value, case: &Value) -> bool {
        match (self, expected["error"].as_str()) {
            (Self::Config, error) => error == Some("config"),
            (Self::Client(ClientIp::Unknown(UnknownIp::Malformed)), error) => {
                matches!(error, Some("malformed" | "too_many"))
            }
            (Self::Client(ClientIp::Unknown(UnknownIp::Obfuscated)), error) => error == Some("obfuscated"),
            (Self::Client(ClientIp::Known(address)), None) => {
                let is_ours = address.to_canonical() == *address && Some(*address) == parsed(&expected["ip"]);
                // Where all are trusted, the answer itself is one of the proxies.
                let is_trusted = || trusted(case).is_some_and(|blocks| blocks.contains(*address));
                is_ours && (expected["all_trusted"] != true || is_trusted())
            }
            _ => false,
        }
    }
}

fn outcome(case: &Value) -> Outcome {
    let Some(blocks) = trusted(case) else {
        return Outcome::Config;
    };
    let header = match case["kind"].as_str() {
        Some("x-forwarded-for") => ForwardedHeader::XForwardedFor,
        Some("forwarded") => ForwardedHeader::Forwarded,
        Some("x-real-ip") => ForwardedHeader::XRealIp,
        Some("cf-connecting-ip") => ForwardedHeader::CfConnectingIp,
        kind => panic!("{}: unheard-of kind {kind:?}", case["id"]),
    };
    Outcome::Client(TrustedProxies::blocks(blocks).headers([header]).client(parsed(&case["peer"]), &headers(case)))
}

/// The trusted blocks of a case; `None` when one of them is refused.
fn trusted(case: &Value) -> Option<IpBlocks> {
    let entries = case["trusted"].as_array().expect("`trusted` is a list");
    let blocks = entries.iter().map(|entry| IpBlocks::parse(entry.as_str().expect("a block is text")));
    let blocks = blocks.collect::<Result<Vec<_>, _>>().ok()?;
    Some(blocks.iter().flat_map(IpBlocks::iter).collect())
}

/// The header lines of a case, given as text or, where they are not UTF-8, in hexadecimal.
fn headers(case: &Value) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (field, decode) in [("headers", as_given as fn(&str) -> Vec<u8>), ("headers_hex", from_hex)] {
        for line in case[field].as_array().map_or(&[][..], Vec::as_slice) {
            let name = line[0].as_str().expect("a header has a name");
            let value = decode(line[1].as_str().expect("a header has a value"));
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a header name");
            headers.append(name, HeaderValue::from_bytes(&value).expect("a header value"));
        }
    }
    headers
}

fn as_given(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

fn from_hex(text: &str) -> Vec<u8> {
    let pairs = (0..text.len()).step_by(2);
    pairs.map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal")).collect()
}

fn parsed(address: &Value) -> Option<IpAddr> {
    address.as_str().map(|text| text.parse().expect("an IP address"))
}
