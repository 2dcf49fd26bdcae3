//! What is known of the address that a request comes from.

use std::fmt;
use std::net::IpAddr;

/// The address that a request comes from, as far as it can be known. Made by [`TrustedProxies::client`].
///
/// [`TrustedProxies::client`]: super::TrustedProxies::client
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClientIp {
    /// The client's address; IPv4 where it was IPv4-mapped.
    Known(IpAddr),
    /// The address cannot be told, and why. No rule about addresses may let such a request in.
    Unknown(UnknownIp),
}

impl ClientIp {
    /// The address, if it is known.
    pub const fn address(self) -> Option<IpAddr> {
        match self {
            Self::Known(address) => Some(address),
            Self::Unknown(_) => None,
        }
    }
}

impl fmt::Display for ClientIp {
    /// The address, or `unknown` and the reason in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(address) => fmt::Display::fmt(address, f),
            Self::Unknown(reason) => write!(f, "unknown ({reason})"),
        }
    }
}

/// Why the address of a client is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UnknownIp {
    /// The connection has no address: a Unix socket, or a call inside the process.
    NoPeer,
    /// A trusted proxy sent a header that is not what it should be, or that has too few elements.
    Malformed,
    /// A proxy hides the address: `for=unknown` or `for=_name` (RFC 7239, section 6).
    Obfuscated,
}

impl fmt::Display for UnknownIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoPeer => "no peer address",
            Self::Malformed => "malformed forwarding header",
            Self::Obfuscated => "obfuscated by a proxy",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_client_has_no_address() {
        let known = ClientIp::Known(IpAddr::from([192, 0, 2, 1]));
        assert_eq!(known.address(), Some(IpAddr::from([192, 0, 2, 1])));
        assert_eq!(known.to_string(), "192.0.2.1");
        for reason in [UnknownIp::NoPeer, UnknownIp::Malformed, UnknownIp::Obfuscated] {
            assert_eq!(ClientIp::Unknown(reason).address(), None);
            assert_eq!(ClientIp::Unknown(reason).to_string(), format!("unknown ({reason})"));
        }
    }
}
