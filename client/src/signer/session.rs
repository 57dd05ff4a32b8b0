//! One certified key: many statements in ten minutes.

use std::sync::Arc;

use p256::ecdsa::{
    Signature, SigningKey,
    signature::{Signer as _, hazmat::PrehashSigner as _},
};
use verify::{
    Artifact, Budget, Bundle, Digest, Policy, Sha256Digest, UnixTime, Verified, WorkloadIdentity,
    bundle::{BundleVersion, Content, SignerMaterial},
    certificate::Certificate,
    dsse::{self, Envelope, EnvelopeSignature, IN_TOTO_PAYLOAD_TYPE},
    entry::EntryVerifier,
    statement::Statement,
};

use super::Services;
use crate::{Error, clock};

/// A certified key. Dropping it wipes the key.
pub struct SigningSession {
    services: Arc<Services>,
    key: SigningKey,
    certificate: Certificate,
    identity: WorkloadIdentity,
}

/// A bundle and the proof that it verifies.
#[derive(Clone, Debug)]
pub struct Signed {
    /// Bundle v0.3.
    pub bundle: Bundle,
    /// What our own verifier says of it, with the session's identity as the policy.
    pub verified: Verified,
}

impl SigningSession {
    pub(super) const fn new(
        services: Arc<Services>,
        key: SigningKey,
        certificate: Certificate,
        identity: WorkloadIdentity,
    ) -> Self {
        Self {
            services,
            key,
            certificate,
            identity,
        }
    }

    /// Who signs, as the certificate says it.
    #[must_use]
    pub const fn identity(&self) -> &WorkloadIdentity {
        &self.identity
    }

    /// The certificate.
    #[must_use]
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The last instant at which this session can sign.
    #[must_use]
    pub fn expires_at(&self) -> UnixTime {
        let validity = self.certificate.validity();
        validity.end.unwrap_or(validity.start)
    }

    /// Signs an in-toto statement about `artifact`: DSSE, logged (as `hashedrekord` 0.0.2 over the PAE digest,
    /// as `dsse` 0.0.1 where the log offers v1 only), stamped.
    ///
    /// # Errors
    /// [`Error::Statement`] when the bytes are no statement or name another artifact; [`Error::CertificateExpired`];
    /// those of the log ([`crate::log::SignatureLog::create`]) and [`crate::timestamp::TimestampAuthority::stamp`];
    /// [`Error::TsaToken`] when the stamp's signer is not trusted; [`Error::Bundle`] when anything else is wrong.
    pub async fn sign_statement(&self, statement_json: &[u8], artifact: Sha256Digest) -> Result<Signed, Error> {
        check_subject(statement_json, artifact)?;
        let (pae, signature) = sign_pae(&self.key, statement_json);
        let content = envelope(statement_json, &signature);
        self.finish(content, Sha256Digest::of(&pae), signature, artifact).await
    }

    /// Signs the artifact itself, of which only the digest is needed.
    ///
    /// # Errors
    /// As [`Self::sign_statement`], without [`Error::Statement`].
    pub async fn sign_artifact(&self, artifact: Sha256Digest) -> Result<Signed, Error> {
        let signature: Signature = self.key.sign_prehash(&artifact.0).map_err(|_| Error::Random)?;
        let signature = signature.to_der().as_bytes().to_vec();
        let content = Content::Message {
            digest: Some(Digest::from(artifact)),
            signature: signature.clone(),
        };
        self.finish(content, artifact, signature, artifact).await
    }

    async fn finish(
        &self,
        content: Content,
        digest: Sha256Digest,
        signature: Vec<u8>,
        artifact: Sha256Digest,
    ) -> Result<Signed, Error> {
        let now = clock::now();
        if self.expires_at() < now {
            return Err(Error::CertificateExpired { at: self.expires_at() });
        }
        let certificate = self.certificate.der();
        let signer = EntryVerifier::Certificate(certificate.to_vec());
        let record = self.services.recorder.record(&content, digest, &signature, signer);
        let record = record.await?;
        let bundle = Bundle {
            version: BundleVersion::V0_3,
            signer: SignerMaterial::Certificate(certificate.to_vec()),
            log_entries: vec![record.entry],
            timestamps: record.timestamps,
            content,
        };
        let verified = self.verify(&bundle, artifact)?;
        Ok(Signed { bundle, verified })
    }

    fn verify(&self, bundle: &Bundle, artifact: Sha256Digest) -> Result<Verified, Error> {
        let policy = Policy::identity(self.identity.san.as_str(), self.identity.issuer()).map_err(Error::Bundle)?;
        let artifact = Artifact::Digest(artifact);
        let verified = self.services.verifier.verify(bundle, &artifact, &policy, clock::now());
        verified.map_err(unfinished)
    }
}

/// The bytes are a statement, and it names the artifact.
///
/// # Errors
/// [`Error::Statement`].
pub(super) fn check_subject(statement_json: &[u8], artifact: Sha256Digest) -> Result<(), Error> {
    let statement = Statement::from_json(statement_json, &Budget::default()).map_err(Error::Statement)?;
    let name = artifact.to_string();
    let named = |digest: Option<&String>| digest == Some(&name);
    if statement
        .subjects
        .iter()
        .any(|subject| named(subject.digest.get("sha256")))
    {
        Ok(())
    } else {
        Err(Error::Statement(verify::Error::SubjectMismatch))
    }
}

/// The pre-authentication encoding of a statement and the signature over it, DER.
pub(super) fn sign_pae(key: &SigningKey, statement_json: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let pae = dsse::pae(IN_TOTO_PAYLOAD_TYPE, statement_json);
    let signature: Signature = key.sign(&pae);
    let signature = signature.to_der().as_bytes().to_vec();
    (pae, signature)
}

/// A statement in its envelope.
pub(super) fn envelope(statement_json: &[u8], signature: &[u8]) -> Content {
    Content::Dsse(Envelope {
        payload_type: IN_TOTO_PAYLOAD_TYPE.to_owned(),
        payload: statement_json.to_vec(),
        signatures: vec![EnvelopeSignature {
            signature: signature.to_vec(),
            key_id: String::new(),
        }],
    })
}

/// What the verifier refuses of a bundle whose certificate was checked before.
pub(super) fn unfinished(refusal: verify::Error) -> Error {
    use verify::Error as Refusal;
    let time = matches!(
        refusal,
        Refusal::Timestamp { .. }
            | Refusal::TimestampImprint
            | Refusal::TimestampUnknownAuthority
            | Refusal::TimestampSignature
            | Refusal::TimestampTime { .. }
            | Refusal::NoTime
            | Refusal::FutureTime { .. }
            | Refusal::CertificateTime { .. }
    );
    let checkpoint = matches!(
        refusal,
        Refusal::Note
            | Refusal::Checkpoint
            | Refusal::CheckpointSignature
            | Refusal::CheckpointOrigin { .. }
            | Refusal::CheckpointMismatch { .. }
    );
    let proof = matches!(
        refusal,
        Refusal::LogTime { .. }
            | Refusal::UnknownLog
            | Refusal::ProofMissing
            | Refusal::InclusionProof
            | Refusal::InclusionPromise
    );
    if time {
        Error::TsaToken(refusal)
    } else if checkpoint {
        Error::LogCheckpoint(refusal)
    } else if proof {
        Error::LogProof(refusal)
    } else {
        Error::Bundle(refusal)
    }
}

/// Who signs and until when; never the key.
impl std::fmt::Debug for SigningSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningSession")
            .field("identity", &self.identity)
            .field("expires_at", &self.expires_at())
            .finish_non_exhaustive()
    }
}
