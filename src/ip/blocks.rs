//! Sets of IP addresses, written as CIDR blocks.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::ranges::Ranges;

/// A set of CIDR blocks, IPv4 and IPv6. Immutable, and cheap to clone.
///
/// - An IPv4-mapped IPv6 address, and an IPv4-mapped block (prefix length 96 or more), is IPv4. Beyond that the families
///   are apart: `::/0` holds no IPv4 address.
/// - Host bits are dropped: `10.1.2.3/8` is `10.0.0.0/8`. A bare address is a block of one.
/// - Two sets are equal when they hold the same addresses, however they are written.
///
/// Serialises as a list of strings, `["10.0.0.0/8", "::1"]`.
#[derive(Clone)]
pub struct IpBlocks(Arc<Inner>);

struct Inner {
    blocks: Box<[IpNet]>,
    v4: Ranges<u32>,
    v6: Ranges<u128>,
}

impl IpBlocks {
    /// Parses a comma-separated list of addresses and CIDR blocks, such as `10.0.0.0/8, ::1`.
    ///
    /// White space around entries and empty entries between commas are ignored.
    ///
    /// # Errors
    ///
    /// When there is no entry at all, and at the first entry that is neither an address nor a block. Host names, leading
    /// zeros (`010.0.0.1`), zone ids and ports are not taken. Neither is an IPv4-mapped address with a prefix length
    /// below 96 (`::ffff:10.0.0.0/8`): it would hold no IPv4 address.
    pub fn parse(text: &str) -> Result<Self, ParseIpBlocksError> {
        let entries = text.split(',').map(str::trim_ascii).filter(|entry| !entry.is_empty());
        let blocks = entries.map(parse_block).collect::<Result<Self, _>>()?;
        if blocks.is_empty() {
            return Err(ParseIpBlocksError { entry: String::new(), mistake: Mistake::NoEntry });
        }
        Ok(blocks)
    }

    /// Whether a block holds `address`.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => self.0.v4.contains(address.to_bits()),
            IpAddr::V6(address) => self.0.v6.contains(address.to_bits()),
        }
    }

    /// Whether every address of `other` is in `self`. Every set covers the empty one.
    pub fn covers(&self, other: &Self) -> bool {
        self.0.v4.covers(&other.0.v4) && self.0.v6.covers(&other.0.v6)
    }

    /// The blocks as given, in that order, normalised: without host bits, and IPv4 where they were IPv4-mapped.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = IpNet> + '_ {
        self.0.blocks.iter().copied()
    }

    /// How many blocks were given.
    pub fn len(&self) -> usize {
        self.0.blocks.len()
    }

    /// Whether no block was given, so that no address is held.
    pub fn is_empty(&self) -> bool {
        self.0.blocks.is_empty()
    }
}

impl Default for IpBlocks {
    /// The empty set.
    fn default() -> Self {
        Self::from_iter([])
    }
}

impl FromIterator<IpNet> for IpBlocks {
    fn from_iter<I: IntoIterator<Item = IpNet>>(blocks: I) -> Self {
        let blocks: Box<[IpNet]> = blocks.into_iter().map(normalised).collect();
        let v4 = blocks.iter().filter_map(|block| match block {
            IpNet::V4(block) => Some((block.network().to_bits(), block.broadcast().to_bits())),
            IpNet::V6(_) => None,
        });
        let v6 = blocks.iter().filter_map(|block| match block {
            IpNet::V4(_) => None,
            IpNet::V6(block) => Some((block.network().to_bits(), block.broadcast().to_bits())),
        });
        let (v4, v6) = (v4.collect(), v6.collect());
        Self(Arc::new(Inner { blocks, v4, v6 }))
    }
}

impl FromStr for IpBlocks {
    type Err = ParseIpBlocksError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl PartialEq for IpBlocks {
    fn eq(&self, other: &Self) -> bool {
        self.0.v4 == other.0.v4 && self.0.v6 == other.0.v6
    }
}

impl Eq for IpBlocks {}

impl fmt::Display for IpBlocks {
    /// The blocks, separated by `, `, in a form that [`IpBlocks::parse`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, block) in self.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{}", Shortened(block))?;
        }
        Ok(())
    }
}

impl fmt::Debug for IpBlocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IpBlocks").field(&format_args!("{self}")).finish()
    }
}

impl Serialize for IpBlocks {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(|block| Shortened(block).to_string()))
    }
}

impl<'de> Deserialize<'de> for IpBlocks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entries = Vec::<String>::deserialize(deserializer)?;
        let blocks = entries.iter().map(|entry| parse_block(entry.trim_ascii()));
        blocks.collect::<Result<_, _>>().map_err(de::Error::custom)
    }
}

/// A text is not a list of IP addresses and CIDR blocks. Names the first entry that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseIpBlocksError {
    entry: String,
    mistake: Mistake,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mistake {
    NoEntry,
    NotAnAddress,
    PrefixLength { longest: u8 },
    MappedPrefixLength,
}

impl ParseIpBlocksError {
    /// The entry that is wrong, as it was written; `None` when the text had no entry.
    pub fn entry(&self) -> Option<&str> {
        (self.mistake != Mistake::NoEntry).then_some(self.entry.as_str())
    }
}

impl fmt::Display for ParseIpBlocksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entry = &self.entry;
        match self.mistake {
            Mistake::NoEntry => write!(f, "expected at least one IP address or CIDR block, such as 10.0.0.0/8"),
            Mistake::NotAnAddress => write!(f, "{entry:?} is neither an IP address nor a CIDR block"),
            Mistake::PrefixLength { longest } => write!(f, "{entry:?} needs a prefix length from 0 to {longest}"),
            Mistake::MappedPrefixLength => {
                write!(f, "{entry:?} is IPv4-mapped and needs a prefix length from 96 to 128")
            }
        }
    }
}

impl std::error::Error for ParseIpBlocksError {}

/// A block as people write it: an address alone when it holds no other.
struct Shortened(IpNet);

impl fmt::Display for Shortened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() {
            return fmt::Display::fmt(&self.0.addr(), f);
        }
        fmt::Display::fmt(&self.0, f)
    }
}

/// Reads one block. The address is left to the standard library, which takes no leading zeros, zone ids or ports.
fn parse_block(entry: &str) -> Result<IpNet, ParseIpBlocksError> {
    let wrong = |mistake| ParseIpBlocksError { entry: entry.to_owned(), mistake };
    let (address, length) = match entry.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (entry, None),
    };
    let address: IpAddr = address.parse().map_err(|_| wrong(Mistake::NotAnAddress))?;
    let Some(length) = length else {
        return Ok(IpNet::from(address));
    };
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let length = parse_prefix_length(length).ok_or_else(|| wrong(Mistake::PrefixLength { longest }))?;
    if length < 96 && address.is_ipv6() && address.to_canonical().is_ipv4() {
        return Err(wrong(Mistake::MappedPrefixLength));
    }
    IpNet::new(address, length).map_err(|_| wrong(Mistake::PrefixLength { longest }))
}

/// Digits alone, without leading zeros: what else `u8` would read (`+8`, `08`) is more likely a slip than meant.
fn parse_prefix_length(text: &str) -> Option<u8> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

fn normalised(block: IpNet) -> IpNet {
    let block = block.trunc();
    let (IpAddr::V6(address), Some(length)) = (block.addr(), block.prefix_len().checked_sub(96)) else {
        return block;
    };
    let Some(address) = address.to_ipv4_mapped() else {
        return block;
    };
    // A prefix length of IPv6 less 96 is one of IPv4.
    Ipv4Net::new(address, length).map_or(block, IpNet::V4)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn blocks(text: &str) -> IpBlocks {
        text.parse().unwrap()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_set_holds_the_addresses_of_its_blocks_and_no_other() {
        let set = blocks("10.0.0.0/8, 192.0.2.1, 2001:db8::/32, ::1");
        for inside in ["10.0.0.0", "10.255.255.255", "192.0.2.1", "2001:db8:ffff::1", "::1"] {
            assert!(set.contains(address(inside)), "{inside}");
        }
        for outside in ["9.255.255.255", "11.0.0.0", "192.0.2.2", "2001:db9::", "::2", "::", "0.0.0.1"] {
            assert!(!set.contains(address(outside)), "{outside}");
        }
    }

    #[test]
    fn ipv4_mapped_addresses_and_blocks_are_ipv4() {
        assert!(blocks("10.0.0.0/8").contains(address("::ffff:10.0.0.1")));
        assert!(blocks("::ffff:10.0.0.0/104").contains(address("10.255.0.1")));
        assert!(blocks("::ffff:10.0.0.1").contains(address("10.0.0.1")));
        assert!(blocks("::ffff:0:0/96").contains(address("203.0.113.7")));
        assert_eq!(blocks("::ffff:10.0.0.0/104").to_string(), "10.0.0.0/8");
        assert!(!blocks("10.0.0.0/8").contains(address("::10.0.0.1")), "the compatible form is IPv6");
    }

    #[test]
    fn all_of_ipv6_holds_no_ipv4_address_and_the_reverse() {
        let v6 = blocks("::/0");
        assert!(v6.contains(address("2001:db8::1")) && v6.contains(address("::")));
        assert!(!v6.contains(address("192.0.2.1")) && !v6.contains(address("::ffff:192.0.2.1")));
        let v4 = blocks("0.0.0.0/0");
        assert!(v4.contains(address("255.255.255.255")) && !v4.contains(address("2001:db8::1")));
    }

    #[test]
    fn a_block_is_written_without_host_bits_and_an_address_alone() {
        let set = blocks(" 10.1.2.3/8 ,, 192.0.2.1/32,\t2001:DB8::1/32, ::1,");
        assert_eq!(set.to_string(), "10.0.0.0/8, 192.0.2.1, 2001:db8::/32, ::1");
        assert_eq!(format!("{set:?}"), "IpBlocks(10.0.0.0/8, 192.0.2.1, 2001:db8::/32, ::1)");
        assert_eq!((set.len(), set.iter().len()), (4, 4));
        assert_eq!(blocks(&set.to_string()), set);
    }

    #[test]
    fn an_entry_that_is_no_address_is_refused_by_name() {
        let mistaken = "localhost|api.example|010.0.0.1|10.0.0.01|10.0.0|10.0.0.0.0|256.0.0.1|fe80::1%eth0|10.0.0.1:80\
            |[::1]|10.0.0.0/33|::/129|10.0.0.0/|10.0.0.0/+8|10.0.0.0/08|10.0.0.0/-1|10.0.0.0/8/8|10.0.0.0/ 8\
            |10.0.0.0/255.0.0.0|10.0.0.0 /8|10.0.0.1 10.0.0.2|/8|*|1:2:3:4:5:6:7:8:9|0x7f.0.0.1|10.0.0.0/256\
            |::ffff:10.0.0.0/8|::ffff:10.0.0.0/95|\u{ff11}.1.1.1";
        for entry in mistaken.split('|') {
            let error = IpBlocks::parse(&format!("192.0.2.1, {entry} ,::1")).unwrap_err();
            assert_eq!(error.entry(), Some(entry));
            assert!(error.to_string().contains(&format!("{entry:?}")), "{error}");
        }
    }

    #[test]
    fn a_text_without_an_entry_is_refused() {
        for text in ["", "  ", ",", " , ,\t"] {
            assert_eq!(IpBlocks::parse(text).unwrap_err().entry(), None, "{text:?}");
        }
        assert!(IpBlocks::default().is_empty() && !IpBlocks::default().contains(address("0.0.0.0")));
    }

    #[test]
    fn one_set_covers_another_when_it_holds_all_of_its_addresses() {
        let covering = blocks("10.0.0.0/9, 10.128.0.0/9, 2001:db8::/32");
        for inside in ["10.0.0.0/8", "10.1.0.0/16, 2001:db8:1::/48", "::ffff:10.9.9.9", "10.64.0.0/10, 10.200.0.1"] {
            assert!(covering.covers(&blocks(inside)), "{inside}");
        }
        for outside in ["0.0.0.0/0", "10.0.0.0/7", "11.0.0.1", "::/0", "10.0.0.1, 2001:db9::1", "2001:db8::/31"] {
            assert!(!covering.covers(&blocks(outside)), "{outside}");
        }
        assert!(covering.covers(&IpBlocks::default()) && !IpBlocks::default().covers(&covering));
        assert!(!blocks("::/0").covers(&blocks("0.0.0.0/0")));
    }

    #[test]
    fn sets_are_equal_when_they_hold_the_same_addresses() {
        assert_eq!(blocks("10.128.0.0/9, 10.0.0.0/9"), blocks("10.1.2.3/8, 10.0.0.1"));
        assert_ne!(blocks("10.0.0.0/9"), blocks("10.0.0.0/8"));
        assert_ne!(blocks("0.0.0.0/0"), blocks("::/0"));
    }

    #[test]
    fn json_is_a_list_of_strings() {
        let set = blocks("10.1.2.3/8, ::1");
        let json = serde_json::to_string(&set).unwrap();
        assert_eq!(json, r#"["10.0.0.0/8","::1"]"#);
        assert_eq!(serde_json::from_str::<IpBlocks>(&json).unwrap(), set);
        assert!(serde_json::from_str::<IpBlocks>("[]").unwrap().is_empty());
        for wrong in [r#"["10.0.0.1, 10.0.0.2"]"#, r#"[""]"#, r#""10.0.0.1""#, "[1]", "null"] {
            assert!(serde_json::from_str::<IpBlocks>(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn no_text_panics_and_what_is_read_is_written_alike(text in "[0-9a-f:./, ]{0,40}|\\PC{0,40}") {
            if let Ok(set) = IpBlocks::parse(&text) {
                prop_assert_eq!(IpBlocks::parse(&set.to_string()).unwrap(), set);
            }
        }

        #[test]
        fn a_set_holds_what_one_of_its_blocks_holds(
            given in prop::collection::vec((any::<u16>(), 16..=32_u8), 0..6), asked in any::<u32>(),
        ) {
            // Few high bits, so that blocks overlap and the address asked for falls into some.
            let spread = |bits: u32| std::net::Ipv4Addr::from_bits(0x0a00_0000 | bits & 0x0003_ffff);
            let nets = given.iter().map(|&(bits, length)| Ipv4Net::new(spread(u32::from(bits) << 2), length).unwrap());
            let set = IpBlocks::from_iter(nets.clone().map(IpNet::V4));
            let asked = spread(asked);
            prop_assert_eq!(set.contains(IpAddr::V4(asked)), nets.clone().any(|net| net.contains(&asked)));
        }
    }
}
