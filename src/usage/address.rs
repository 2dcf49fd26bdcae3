//! The networks that a key was used from lately.

use std::net::IpAddr;

/// How many networks of a key are remembered.
const REMEMBERED: usize = 4;

/// An IPv4 address, or the /64 of an IPv6 address. Those of IPv4 stand where IPv6 has reserved space (`0000::/8`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Network(u64);

impl Network {
    pub(super) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(1 << 32 | u64::from(address.to_bits())),
            IpAddr::V6(address) => Self((address.to_bits() >> 64) as u64),
        }
    }
}

/// The latest networks, the last one first.
#[derive(Debug, Default)]
pub(super) struct Recent {
    networks: [Network; REMEMBERED],
    length: u8,
}

impl Recent {
    /// Remembers a network, and says whether it is another than all that are known. The first is not.
    pub(super) fn is_new(&mut self, network: Network) -> bool {
        let length = usize::from(self.length);
        let known = self.networks[..length].iter().position(|known| *known == network);
        let end = known.unwrap_or(length.min(REMEMBERED - 1));
        self.networks.copy_within(..end, 1);
        self.networks[0] = network;
        if known.is_none() && length < REMEMBERED {
            self.length += 1;
        }
        known.is_none() && length > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        Network::of(text.parse().unwrap())
    }

    #[test]
    fn the_first_network_is_not_new_and_others_are_once() {
        let mut recent = Recent::default();
        let mut is_new = |text: &str| recent.is_new(network(text));
        assert!(!is_new("192.0.2.1"));
        assert!(!is_new("::ffff:192.0.2.1"), "mapped addresses are those of IPv4");
        assert!(is_new("2001:db8::1"));
        assert!(!is_new("2001:db8::ffff:1"), "IPv6 counts by /64");
        assert!(is_new("2001:db8:0:1::1"));
        assert!(is_new("192.0.2.2"));
        assert!(!is_new("192.0.2.1"), "four are remembered");
        assert!(is_new("192.0.2.3"), "a fifth takes the place of the one that was not seen for the longest time");
        assert!(!is_new("192.0.2.1"));
        assert!(is_new("2001:db8::1"));
    }
}
