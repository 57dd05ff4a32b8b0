//! Signing with a key of one's own: no certificate, no identity token; whoever verifies must know the key.

use std::sync::Arc;

use p256::{ecdsa::SigningKey, pkcs8::DecodePrivateKey as _};
use verify::{
    Artifact, Bundle, Policy, PublicKey, Sha256Digest,
    bundle::{BundleVersion, SignerMaterial},
    entry::EntryVerifier,
};

use super::{
    Services, Signed, public_key,
    session::{check_subject, envelope, sign_pae, unfinished},
};
use crate::{Error, clock};

/// A P-256 private key. Wiped when dropped, never printed.
#[derive(Clone)]
pub struct ManagedKey {
    key: SigningKey,
    public: PublicKey,
}

/// Signs many statements with one managed key.
#[derive(Debug)]
pub struct ManagedSession {
    services: Arc<Services>,
    key: ManagedKey,
}

impl ManagedKey {
    /// A P-256 key in one PEM block `PRIVATE KEY` [RFC 5958]; none when it is anything else.
    #[must_use]
    pub fn from_pkcs8_pem(pem: &str) -> Option<Self> {
        let key = SigningKey::from_pkcs8_pem(pem.trim()).ok()?;
        let public = public_key(&key).ok()?;
        Some(Self { key, public })
    }

    /// The public key, for those who verify.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// What a bundle calls the key: the base64 of its SHA-256, as cosign writes it.
    fn hint(&self) -> String {
        use base64::Engine as _;
        base64::prelude::BASE64_STANDARD.encode(self.public.id().0)
    }
}

/// The public key only.
impl std::fmt::Debug for ManagedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ManagedKey")
            .field("public", &hex::encode(self.public.id().0))
            .finish_non_exhaustive()
    }
}

impl ManagedSession {
    pub(super) const fn new(services: Arc<Services>, key: ManagedKey) -> Self {
        Self { services, key }
    }

    /// Signs an in-toto statement about `artifact`, logs and stamps it; the bundle is verified before it is handed out.
    ///
    /// # Errors
    /// Those of [`super::SigningSession::sign_statement`], but for the certificate's.
    pub async fn sign_statement(&self, statement_json: &[u8], artifact: Sha256Digest) -> Result<Signed, Error> {
        check_subject(statement_json, artifact)?;
        let (pae, signature) = sign_pae(&self.key.key, statement_json);
        let content = envelope(statement_json, &signature);
        let services = &self.services;
        let signer = EntryVerifier::PublicKey(self.key.public.spki_der().to_vec());
        let digest = Sha256Digest::of(&pae);
        let record = services.recorder.record(&content, digest, &signature, signer).await?;
        let bundle = Bundle {
            version: BundleVersion::V0_3,
            signer: SignerMaterial::PublicKeyHint(self.key.hint()),
            log_entries: vec![record.entry],
            timestamps: record.timestamps,
            content,
        };
        let policy = Policy::managed_key(self.key.public.clone());
        let artifact = Artifact::Digest(artifact);
        let verified = services.verifier.verify(&bundle, &artifact, &policy, clock::now());
        let verified = verified.map_err(unfinished)?;
        Ok(Signed { bundle, verified })
    }
}

#[cfg(test)]
mod tests {
    use p256::{elliptic_curve::Generate as _, pkcs8::EncodePrivateKey as _};

    use super::*;

    #[test]
    fn a_key_is_read_from_pkcs8_and_never_printed() {
        let key = SigningKey::try_generate_from_rng(&mut rand::rngs::SysRng).unwrap();
        let pem = key.to_pkcs8_pem(p256::pkcs8::LineEnding::LF).unwrap();
        let managed = ManagedKey::from_pkcs8_pem(&pem).unwrap();
        assert_eq!(managed.public_key(), &public_key(&key).unwrap());
        let body = pem.lines().nth(1).unwrap();
        assert!(!format!("{managed:?}").contains(body));
        assert!(ManagedKey::from_pkcs8_pem(&pem.replace("PRIVATE", "PUBLIC")).is_none());
        assert!(ManagedKey::from_pkcs8_pem("").is_none());
    }
}
