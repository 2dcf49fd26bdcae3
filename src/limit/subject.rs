//! What is counted: [`Subject`].

use std::fmt;
use std::hash::Hasher;
use std::net::IpAddr;

use siphasher::sip128::{Hasher128, SipHasher24};

/// Whose requests are counted together: a kind and a fingerprint of 128 bits, the same on all nodes and in all
/// versions.
///
/// ```
/// use std::net::IpAddr;
/// use tower_api_key::limit::Subject;
///
/// let one: IpAddr = "2001:db8::1".parse()?;
/// let neighbour: IpAddr = "2001:db8::ffff:1".parse()?;
/// let mapped: IpAddr = "::ffff:192.0.2.1".parse()?;
///
/// assert_eq!(Subject::address(one), Subject::address(neighbour), "IPv6 counts by /64");
/// assert_eq!(Subject::address(mapped), Subject::address("192.0.2.1".parse()?), "and mapped addresses as IPv4");
/// assert_ne!(Subject::address(one), Subject::failures(one));
/// assert_ne!(Subject::key("k"), Subject::owner("k"));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    kind: SubjectKind,
    /// Two halves, so that a `Subject` is not aligned, and padded, to 16 bytes.
    fingerprint: [u64; 2],
}

/// What sort of thing a [`Subject`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum SubjectKind {
    /// One key.
    Key,
    /// One person, known by a session or a token.
    User,
    /// The owner of keys, over all of them.
    Owner,
    /// An organization, over all its keys and members.
    Organization,
    /// A route, over all its callers.
    Route,
    /// One key, user, owner or organization on one route.
    ClientOnRoute,
    /// The address requests come from.
    Address,
    /// Failed attempts from an address.
    Failures,
    /// An address on one route.
    AddressOnRoute,
    /// Anonymous requests from an address.
    Anonymous,
}

impl Subject {
    /// The key with this id.
    pub fn key(id: &str) -> Self {
        Self::named(SubjectKind::Key, id)
    }

    /// The person with this id.
    pub fn user(id: &str) -> Self {
        Self::named(SubjectKind::User, id)
    }

    /// The owner of keys with this id.
    pub fn owner(id: &str) -> Self {
        Self::named(SubjectKind::Owner, id)
    }

    /// The organization with this id.
    pub fn organization(id: &str) -> Self {
        Self::named(SubjectKind::Organization, id)
    }

    /// All callers of the route with this pattern.
    pub fn route(pattern: &str) -> Self {
        Self::named(SubjectKind::Route, pattern)
    }

    /// The address, or the /64 that an IPv6 address is in. An IPv4-mapped address is the IPv4 address.
    pub fn address(address: IpAddr) -> Self {
        Self { kind: SubjectKind::Address, fingerprint: address_bits(address) }
    }

    /// Anonymous requests from the address, or from the /64 that an IPv6 address is in.
    pub fn anonymous(address: IpAddr) -> Self {
        Self { kind: SubjectKind::Anonymous, fingerprint: address_bits(address) }
    }

    /// Failed attempts from the address, or from the /64 that an IPv6 address is in.
    pub fn failures(address: IpAddr) -> Self {
        Self { kind: SubjectKind::Failures, fingerprint: address_bits(address) }
    }

    /// This subject on one `route`, apart from all it does elsewhere.
    pub fn on(self, route: Self) -> Self {
        let kind = if self.kind.is_open() { SubjectKind::AddressOnRoute } else { SubjectKind::ClientOnRoute };
        let mut hasher = SipHasher24::new();
        for part in [self, route] {
            hasher.write(&[part.kind.tag()]);
            hasher.write(&part.fingerprint[0].to_le_bytes());
            hasher.write(&part.fingerprint[1].to_le_bytes());
        }
        Self { kind, fingerprint: digest(&hasher) }
    }

    /// What sort of thing it is.
    pub const fn kind(self) -> SubjectKind {
        self.kind
    }

    /// 128 bits that tell it from the others of its kind.
    pub const fn fingerprint(self) -> u128 {
        (self.fingerprint[0] as u128) << 64 | self.fingerprint[1] as u128
    }

    pub(crate) const fn halves(self) -> [u64; 2] {
        self.fingerprint
    }

    fn named(kind: SubjectKind, name: &str) -> Self {
        let mut hasher = SipHasher24::new();
        hasher.write(name.as_bytes());
        Self { kind, fingerprint: digest(&hasher) }
    }
}

/// The kind and the fingerprint, which gives away no address to whoever reads the log.
impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            SubjectKind::Address | SubjectKind::Failures | SubjectKind::Anonymous => write!(f, "{:?}(…)", self.kind),
            kind => write!(f, "{kind:?}({:032x})", self.fingerprint()),
        }
    }
}

impl SubjectKind {
    /// Whether anyone can make up as many of them as they like, as is the case with addresses.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Address | Self::Failures | Self::AddressOnRoute | Self::Anonymous)
    }

    /// A number that stands for the kind, the same in all versions.
    pub const fn tag(self) -> u8 {
        match self {
            Self::Key => 1,
            Self::User => 2,
            Self::Owner => 3,
            Self::Organization => 4,
            Self::Route => 5,
            Self::ClientOnRoute => 6,
            Self::Address => 7,
            Self::Failures => 8,
            Self::AddressOnRoute => 9,
            Self::Anonymous => 10,
        }
    }
}

fn digest(hasher: &SipHasher24) -> [u64; 2] {
    let hash = hasher.finish128();
    [hash.h1, hash.h2]
}

/// The address itself: no two networks share a fingerprint, and none can be made to.
fn address_bits(address: IpAddr) -> [u64; 2] {
    match address.to_canonical() {
        IpAddr::V4(address) => [4, u64::from(address.to_bits())],
        IpAddr::V6(address) => [6, (address.to_bits() >> 64) as u64],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_the_same_in_every_version() {
        assert_eq!(Subject::key("key_1").fingerprint(), 53_423_190_334_213_334_666_102_268_423_905_980_468);
        assert_eq!(Subject::address(IpAddr::from([192, 0, 2, 1])).fingerprint(), (4 << 64) | 0xc000_0201);
        assert_eq!(
            Subject::key("key_1").on(Subject::route("/a")).fingerprint(),
            38_615_481_196_149_228_435_196_949_104_755_023_769
        );
    }

    #[test]
    fn no_two_networks_share_a_fingerprint() {
        let v4 = Subject::address(IpAddr::from([0, 0, 0, 1]));
        let v6 = Subject::address("0:0:0:1::".parse().unwrap());
        assert_ne!(v4, v6);
        let other = Subject::address("2001:db8:0:1::1".parse().unwrap());
        assert_ne!(Subject::address("2001:db8:0:2::1".parse().unwrap()), other);
    }

    #[test]
    fn a_client_on_a_route_is_counted_apart_and_keeps_what_it_is() {
        let route = Subject::route("/v1/generate");
        let address = Subject::address(IpAddr::from([192, 0, 2, 1]));
        assert_ne!(Subject::key("a").on(route), Subject::key("b").on(route));
        assert_ne!(Subject::key("a").on(route), Subject::owner("a").on(route));
        assert_ne!(Subject::key("a").on(route), Subject::key("a").on(Subject::route("/v1")));
        assert!(address.on(route).kind().is_open());
        assert!(!Subject::key("a").on(route).kind().is_open());
    }
}
