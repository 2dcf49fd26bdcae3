//! Where a request comes from, and whether it may come from there.
//!
//! [`TrustedProxies`] turns the address of the connection and the forwarding headers into a [`ClientIp`]. An
//! [`IpPolicy`] judges it before any secret is looked at. [`IpBlocks`] is the set of addresses that both are written in.
//!
//! ```
//! use http::{HeaderMap, HeaderValue};
//! use tower_api_key::ip::{ClientIp, IpAllowlist, IpPolicy, IpVerdict, TrustedProxies};
//!
//! let proxies: TrustedProxies = "10.0.0.0/8".parse()?;
//! let policy = IpAllowlist::parse("203.0.113.0/24, 2001:db8::/32")?;
//!
//! let mut headers = HeaderMap::new();
//! headers.insert("x-forwarded-for", HeaderValue::from_static("198.51.100.9, 203.0.113.7"));
//!
//! // From a trusted proxy, the rightmost address that is no proxy counts. What stands left of it is hearsay.
//! let client = proxies.client(Some("10.0.0.1".parse()?), &headers);
//! assert_eq!(client, ClientIp::Known("203.0.113.7".parse()?));
//! assert_eq!(policy.judge(client), IpVerdict::Allow);
//!
//! // From anyone else, the header is not read.
//! let client = proxies.client(Some("192.0.2.66".parse()?), &headers);
//! assert_eq!(client, ClientIp::Known("192.0.2.66".parse()?));
//! assert_eq!(policy.judge(client), IpVerdict::Deny);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How the address is found
//!
//! 1. No peer address (a Unix socket, a call inside the process): unknown.
//! 2. The peer is not a trusted proxy: the client is the peer. No header is read.
//! 3. The first of the configured headers that states anything counts, and no other. When none does, the client is the
//!    peer (with [`TrustedProxies::hops`]: unknown).
//! 4. A list is walked from the right, over all lines of the header. With [`TrustedProxies::blocks`] the first address
//!    that is not a trusted proxy is the client; when all are, the leftmost. With [`TrustedProxies::hops`] it is the
//!    n-th. What stands left of the client is never read.
//! 5. A malformed or obfuscated element that the walk reaches makes the address unknown: never the peer, never a guess.
//!
//! IPv4-mapped IPv6 addresses (`::ffff:192.0.2.1`) are IPv4 addresses, in the peer, in headers and in blocks.
//!
//! # Deployment caveats
//!
//! - **A block that is too wide trusts strangers.** Whoever connects from a trusted block chooses their address. Name
//!   the proxies, not the network that customers or other tenants share. With `0.0.0.0/0` the leftmost, forged address is
//!   believed.
//! - **Hops count on there being no way around.** [`TrustedProxies::hops`] believes every peer. When the port can be
//!   reached past the proxies, or one of them is left out, a caller writes their own address. Prefer blocks.
//! - **A proxy must append, or replace.** nginx (`$proxy_add_x_forwarded_for`), HAProxy (`option forwardfor`), Envoy
//!   and AWS's ALB append by default. One that passes the header on unchanged (an ALB set to `preserve`) vouches for
//!   what the caller wrote.
//! - **Single-address headers must be overwritten at the edge.** `X-Real-IP` and its like say nothing about who wrote
//!   them: trust one only when the nearest proxy sets it on every request. `CF-Connecting-IP` is true only from
//!   Cloudflare's own blocks.
//! - **Name only headers that the proxies write.** The first that is present counts, so one that a proxy passes on
//!   lets the caller choose.
//! - **A proxy that sends no header is the client.** Keep the addresses of proxies out of allowlists, or their health
//!   checks and whatever they forward without a header come in as them.
//! - **Address translation hides callers.** TCP load balancers without the PROXY protocol, and Kubernetes services with
//!   `externalTrafficPolicy: Cluster`, show their own address as the peer.
//! - **Unix sockets have no address.** A service behind one gets [`UnknownIp::NoPeer`], which allowlists and denylists
//!   refuse.

mod blocks;
mod client;
mod element;
mod forwarded;
mod policy;
mod proxies;
mod ranges;

pub use blocks::{IpBlocks, ParseIpBlocksError};
pub use client::{ClientIp, UnknownIp};
pub use forwarded::ForwardedHeader;
pub use policy::{EmptyAllowlist, IpAllowlist, IpDenylist, IpPolicy, IpRules, IpVerdict};
pub use proxies::TrustedProxies;
