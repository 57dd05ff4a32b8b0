//! What a caller demands of a bundle. Every policy names an identity; there is no default.

use crate::{Error, identity::Claim};

/// A demand on a bundle: at least who signed it.
#[derive(Clone, Debug)]
pub struct Policy {
    _private: (),
}

impl Policy {
    /// Demands exactly this subject alternative name and issuer.
    ///
    /// # Errors
    /// [`Error::EmptyIdentity`] when either is empty.
    pub fn identity(_san: &str, _issuer: &str) -> Result<Self, Error> {
        todo!()
    }
    /// Demands a managed key instead of a certificate.
    #[must_use]
    pub fn managed_key(_key: crate::PublicKey) -> Self {
        todo!()
    }
    /// Further demands this value of a claim.
    #[must_use]
    pub fn claim(self, _claim: Claim, _value: &str) -> Self {
        todo!()
    }
    /// Further demands a statement with this predicate type.
    #[must_use]
    pub fn predicate_type(self, _uri: &str) -> Self {
        todo!()
    }
}
