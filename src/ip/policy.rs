//! Rules about the addresses that may call.

use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::{ClientIp, IpBlocks, ParseIpBlocksError};

/// May this client call? Asked before any secret is looked at.
///
/// Closures from [`ClientIp`] to [`IpVerdict`] are policies. Judging must be quick and must not block. An address that
/// is not known should be denied, unless the policy lets everyone in.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no `IpPolicy`",
    label = "this cannot judge the address of a client",
    note = "use an `IpAllowlist`, an `IpDenylist`, `IpRules`, or a closure `|client: ClientIp| -> IpVerdict`",
    note = "a closure needs the type of its argument written out, and must be `Send + Sync + 'static`"
)]
pub trait IpPolicy: Send + Sync + 'static {
    /// The verdict on a request from `client`.
    fn judge(&self, client: ClientIp) -> IpVerdict;
}

impl<F> IpPolicy for F
where
    F: Fn(ClientIp) -> IpVerdict + Send + Sync + 'static,
{
    fn judge(&self, client: ClientIp) -> IpVerdict {
        self(client)
    }
}

impl<P: IpPolicy + ?Sized> IpPolicy for Arc<P> {
    fn judge(&self, client: ClientIp) -> IpVerdict {
        (**self).judge(client)
    }
}

impl IpPolicy for Box<dyn IpPolicy> {
    fn judge(&self, client: ClientIp) -> IpVerdict {
        (**self).judge(client)
    }
}

/// What an [`IpPolicy`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "a verdict that nobody reads lets everyone in"]
pub enum IpVerdict {
    /// The request goes on.
    Allow,
    /// The request is refused.
    Deny,
}

impl IpVerdict {
    /// [`IpVerdict::Allow`] if `condition` holds, else [`IpVerdict::Deny`].
    pub const fn allow_if(condition: bool) -> Self {
        if condition { Self::Allow } else { Self::Deny }
    }

    /// Whether the request goes on.
    pub const fn is_allow(self) -> bool {
        matches!(self, Self::Allow)
    }
}

/// Lets in the addresses of a set of blocks, and nobody else.
///
/// A client whose address is unknown is denied. An allowlist is never empty: one without a block would read as "nobody"
/// to some and as "no rule" to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpAllowlist(Option<IpBlocks>);

impl IpAllowlist {
    /// Lets in the addresses within `blocks`.
    ///
    /// # Errors
    ///
    /// When `blocks` is empty.
    pub fn new(blocks: IpBlocks) -> Result<Self, EmptyAllowlist> {
        if blocks.is_empty() { Err(EmptyAllowlist(())) } else { Ok(Self(Some(blocks))) }
    }

    /// Lets everyone in. It states no rule, and so takes clients of unknown address too.
    pub const fn any() -> Self {
        Self(None)
    }

    /// Parses `*` alone as [`IpAllowlist::any`], and everything else as [`IpBlocks::parse`] does.
    ///
    /// # Errors
    ///
    /// Those of [`IpBlocks::parse`]: a text without an entry is not taken for "everyone".
    pub fn parse(text: &str) -> Result<Self, ParseIpBlocksError> {
        if text.trim_ascii() == "*" {
            return Ok(Self::any());
        }
        IpBlocks::parse(text).map(|blocks| Self(Some(blocks)))
    }

    /// The blocks that are let in; `None` when everyone is.
    pub const fn blocks(&self) -> Option<&IpBlocks> {
        self.0.as_ref()
    }
}

impl IpPolicy for IpAllowlist {
    fn judge(&self, client: ClientIp) -> IpVerdict {
        let Some(blocks) = &self.0 else { return IpVerdict::Allow };
        IpVerdict::allow_if(client.address().is_some_and(|address| blocks.contains(address)))
    }
}

impl FromStr for IpAllowlist {
    type Err = ParseIpBlocksError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// An allowlist was made of no blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmptyAllowlist(());

impl fmt::Display for EmptyAllowlist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an IP allowlist needs at least one block; use `IpAllowlist::any()` to let everyone in")
    }
}

impl Error for EmptyAllowlist {}

/// Keeps out the addresses of a set of blocks.
///
/// A client whose address is unknown is denied, since it could be one of them; also when the set is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpDenylist(IpBlocks);

impl IpDenylist {
    /// Keeps out the addresses within `blocks`.
    pub const fn new(blocks: IpBlocks) -> Self {
        Self(blocks)
    }

    /// Parses as [`IpBlocks::parse`] does. To keep out everyone, write `0.0.0.0/0, ::/0`.
    ///
    /// # Errors
    ///
    /// Those of [`IpBlocks::parse`].
    pub fn parse(text: &str) -> Result<Self, ParseIpBlocksError> {
        IpBlocks::parse(text).map(Self)
    }

    /// The blocks that are kept out.
    pub const fn blocks(&self) -> &IpBlocks {
        &self.0
    }
}

impl IpPolicy for IpDenylist {
    fn judge(&self, client: ClientIp) -> IpVerdict {
        IpVerdict::allow_if(client.address().is_some_and(|address| !self.0.contains(address)))
    }
}

impl FromStr for IpDenylist {
    type Err = ParseIpBlocksError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// A denylist and an allowlist. The denylist wins; a list that is not set states no rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct IpRules {
    deny: Option<IpDenylist>,
    allow: Option<IpAllowlist>,
}

impl IpRules {
    /// No rule: everyone is let in.
    pub const fn new() -> Self {
        Self { deny: None, allow: None }
    }

    /// Sets whom to keep out, whatever the allowlist says.
    pub fn deny(self, denylist: IpDenylist) -> Self {
        Self { deny: Some(denylist), ..self }
    }

    /// Sets whom to let in.
    pub fn allow(self, allowlist: IpAllowlist) -> Self {
        Self { allow: Some(allowlist), ..self }
    }
}

impl IpPolicy for IpRules {
    fn judge(&self, client: ClientIp) -> IpVerdict {
        let allows = |policy: &dyn IpPolicy| policy.judge(client).is_allow();
        let is_spared = self.deny.as_ref().is_none_or(|deny| allows(deny));
        IpVerdict::allow_if(is_spared && self.allow.as_ref().is_none_or(|allow| allows(allow)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ip::UnknownIp;

    fn from(address: &str) -> ClientIp {
        ClientIp::Known(address.parse().unwrap())
    }

    const UNKNOWN: [ClientIp; 3] = [
        ClientIp::Unknown(UnknownIp::NoPeer),
        ClientIp::Unknown(UnknownIp::Malformed),
        ClientIp::Unknown(UnknownIp::Obfuscated),
    ];

    #[test]
    fn an_allowlist_lets_in_its_addresses_and_nobody_else() {
        let policy = IpAllowlist::parse("10.0.0.0/8, ::1").unwrap();
        assert_eq!(policy.judge(from("10.1.2.3")), IpVerdict::Allow);
        assert_eq!(policy.judge(from("::1")), IpVerdict::Allow);
        assert_eq!(policy.judge(from("192.0.2.1")), IpVerdict::Deny);
        assert_eq!(policy.judge(from("::2")), IpVerdict::Deny);
    }

    #[test]
    fn an_ipv4_mapped_address_slips_past_no_ipv4_rule() {
        let mapped = from("::ffff:10.0.0.1");
        assert_eq!(IpDenylist::parse("10.0.0.0/8").unwrap().judge(mapped), IpVerdict::Deny);
        assert_eq!(IpAllowlist::parse("10.0.0.0/8").unwrap().judge(mapped), IpVerdict::Allow);
        assert_eq!(IpAllowlist::parse("::/0").unwrap().judge(mapped), IpVerdict::Deny);
    }

    #[test]
    fn an_unknown_address_is_denied_by_every_list() {
        for client in UNKNOWN {
            assert_eq!(IpAllowlist::parse("0.0.0.0/0, ::/0").unwrap().judge(client), IpVerdict::Deny);
            assert_eq!(IpDenylist::parse("192.0.2.1").unwrap().judge(client), IpVerdict::Deny);
            assert_eq!(IpDenylist::new(IpBlocks::default()).judge(client), IpVerdict::Deny);
        }
    }

    #[test]
    fn a_star_lets_everyone_in_and_stands_alone() {
        let policy: IpAllowlist = " * ".parse().unwrap();
        assert_eq!(policy, IpAllowlist::any());
        assert_eq!(policy.judge(from("192.0.2.1")), IpVerdict::Allow);
        for client in UNKNOWN {
            assert_eq!(policy.judge(client), IpVerdict::Allow);
        }
        assert_eq!(IpAllowlist::parse("10.0.0.1, *").unwrap_err().entry(), Some("*"));
    }

    #[test]
    fn an_empty_allowlist_is_a_mistake_and_never_everyone() {
        assert!(IpAllowlist::new(IpBlocks::default()).is_err());
        for text in ["", " ", ",", "\t,\n"] {
            assert!(IpAllowlist::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_denylist_wins_over_the_allowlist() {
        let rules = IpRules::new()
            .allow(IpAllowlist::parse("10.0.0.0/8").unwrap())
            .deny(IpDenylist::parse("10.0.0.13").unwrap());
        assert_eq!(rules.judge(from("10.0.0.12")), IpVerdict::Allow);
        assert_eq!(rules.judge(from("10.0.0.13")), IpVerdict::Deny);
        assert_eq!(rules.judge(from("192.0.2.1")), IpVerdict::Deny);
        assert_eq!(IpRules::new().judge(UNKNOWN[0]), IpVerdict::Allow);
        let denying = IpRules::new().deny(IpDenylist::parse("10.0.0.13").unwrap()).allow(IpAllowlist::any());
        assert_eq!(denying.judge(UNKNOWN[0]), IpVerdict::Deny);
        assert_eq!(denying.judge(from("192.0.2.1")), IpVerdict::Allow);
    }

    #[test]
    fn closures_and_shared_and_boxed_policies_are_policies() {
        fn judged(policy: impl IpPolicy) -> IpVerdict {
            policy.judge(ClientIp::Known([127, 0, 0, 1].into()))
        }
        let loopback = |client: ClientIp| IpVerdict::allow_if(client.address().is_some_and(|a| a.is_loopback()));
        assert_eq!(judged(loopback), IpVerdict::Allow);
        assert_eq!(judged(Arc::new(IpAllowlist::any())), IpVerdict::Allow);
        assert_eq!(judged(Arc::new(IpDenylist::parse("127.0.0.0/8").unwrap()) as Arc<dyn IpPolicy>), IpVerdict::Deny);
        assert_eq!(judged(Box::new(loopback) as Box<dyn IpPolicy>), IpVerdict::Allow);
        assert_eq!(judged(Box::new(loopback)), IpVerdict::Allow);
    }
}
