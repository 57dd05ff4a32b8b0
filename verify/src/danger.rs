//! Policies that ask for less than the verifier normally insists on.
//!
//! Each has a legitimate use and is easy to misuse, so that a call site reads as what it is.

use crate::{Policy, policy::Signer};

/// A policy that accepts any identity a trusted authority has certified.
///
/// For stores and monitors that keep evidence for others to judge: "somebody signed this", never "the publisher signed this".
#[must_use]
pub const fn any_identity() -> Policy {
    Policy::new(Signer::AnyIdentity)
}

/// Accepts bundles without log entry and certificates without SCT: an authenticated time is all that is left.
///
/// GitHub signs so for private repositories. A misused identity then leaves no public trace.
/// Entries and SCTs that are present are still checked.
#[must_use]
pub const fn timestamp_only(mut policy: Policy) -> Policy {
    policy.needs_mut().transparency = false;
    policy
}

/// Accepts bundles that carry no authenticated time, for managed keys only: a certificate cannot be judged without one.
///
/// Whoever steals the key can then sign for the past.
#[must_use]
pub const fn untimed_managed_key(mut policy: Policy) -> Policy {
    policy.needs_mut().time = false;
    policy
}
