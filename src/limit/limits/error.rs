//! What can be wrong with the limits of a service.

use std::fmt;

use super::super::{Quota, QuotaError};

/// One mistake in [`Limits`](super::Limits), with the setting it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitsError {
    setting: String,
    quota: Option<String>,
    problem: Problem,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Problem {
    #[error(transparent)]
    Quota(#[from] QuotaError),
    #[error("two quotas have this name; give each one of its own with Quota::named")]
    SameName,
    #[error("Quota::UNLIMITED stands beside other quotas")]
    UnlimitedBesideOthers,
    #[error("the plan has no quotas (unlimited is written Quota::UNLIMITED)")]
    EmptyPlan,
    #[error("a cost of {cost} can never be met ({quota})")]
    CostAboveQuota { cost: u32, quota: String },
}

impl LimitsError {
    pub(super) fn new(setting: &str, quota: Option<&Quota>, problem: Problem) -> Self {
        Self { setting: setting.to_owned(), quota: quota.map(|quota| quota.name().into_owned()), problem }
    }

    /// The setting it is in, such as `per_key`, `failures` or `plan "pro"`.
    pub fn setting(&self) -> &str {
        &self.setting
    }
}

impl fmt::Display for LimitsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.setting)?;
        if let Some(quota) = &self.quota {
            write!(f, " {quota:?}")?;
        }
        write!(f, ": {}", self.problem)
    }
}

impl std::error::Error for LimitsError {}

/// Finds what is wrong with the quotas of one setting.
pub(super) fn check(setting: &str, quotas: &[Quota], errors: &mut Vec<LimitsError>) {
    if quotas.len() > 1 && quotas.iter().any(Quota::is_unlimited) {
        errors.push(LimitsError::new(setting, None, Problem::UnlimitedBesideOthers));
    }
    for (index, quota) in quotas.iter().enumerate() {
        if let Err(error) = quota.validate() {
            errors.push(LimitsError::new(setting, Some(quota), error.into()));
        }
        let same_name = |other: &Quota| !other.is_unlimited() && !quota.is_unlimited() && other.name() == quota.name();
        if quotas[..index].iter().any(same_name) {
            errors.push(LimitsError::new(setting, Some(quota), Problem::SameName));
        }
    }
}
