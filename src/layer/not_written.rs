//! What was not written when the server ended.

use std::error::Error;
use std::fmt;

use crate::audit::AuditNotWritten;
use crate::usage::UsageNotWritten;

/// Not everything could be written before the end: uses of keys, audit events, or both.
#[derive(Debug)]
pub struct NotWritten {
    usage: Option<Box<UsageNotWritten>>,
    audit: Option<Box<AuditNotWritten>>,
}

impl NotWritten {
    /// An error if there is anything to tell.
    pub(super) fn of(usage: Option<UsageNotWritten>, audit: Option<AuditNotWritten>) -> Result<(), Self> {
        if usage.is_none() && audit.is_none() {
            return Ok(());
        }
        Err(Self { usage: usage.map(Box::new), audit: audit.map(Box::new) })
    }

    /// How many uses of keys were not.
    pub fn usage(&self) -> Option<&UsageNotWritten> {
        self.usage.as_deref()
    }

    /// How many audit events were not.
    pub fn audit(&self) -> Option<&AuditNotWritten> {
        self.audit.as_deref()
    }
}

impl fmt::Display for NotWritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.usage, &self.audit) {
            (Some(usage), Some(audit)) => write!(f, "{usage}; {audit}"),
            (Some(usage), None) => write!(f, "{usage}"),
            (None, Some(audit)) => write!(f, "{audit}"),
            (None, None) => f.write_str("everything is written"),
        }
    }
}

impl Error for NotWritten {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let usage = self.usage.as_deref().and_then(Error::source);
        usage.or_else(|| self.audit.as_deref().and_then(Error::source))
    }
}
