//! Issuing: the certificate profile, the precertificate, its SCT, the final certificate [fulcio docs, RFC 6962 §3.1].

use der::{
    Encode as _,
    asn1::{Ia5String, ObjectIdentifier, OctetString},
};
use sha2::{Digest as _, Sha256};
use verify::{PublicKey, UnixTime, WorkloadIdentity, identity::SubjectAlternativeName, sct};
use x509_cert::ext::{
    Extension,
    pkix::{KeyUsages, name::GeneralName},
};

use crate::{
    keys::SigningKey,
    log::{CtLog, LogError, PrecertificateSubmission},
    x509::{self, Fields, X509Error},
};

/// Why no certificate was issued.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum IssueError {
    /// The identity cannot be written into a certificate.
    #[error("the identity cannot be written into a certificate")]
    Identity,
    /// Building or signing failed.
    #[error("building or signing the certificate failed: {0}")]
    Certificate(#[from] X509Error),
    /// The CT log did not take the precertificate.
    #[error("the CT log did not take the precertificate: {0}")]
    Log(#[from] LogError),
}

/// A P-256 issuer with its CT log.
#[derive(Clone)]
pub(crate) struct CertificateAuthority {
    key: SigningKey,
    /// DER, issuing certificate first, root last.
    chain: Vec<Vec<u8>>,
    /// The chain as PEM without the final newline, as replies carry it.
    chain_pem: Vec<String>,
    issuer_name: Vec<u8>,
    log: CtLog,
}

impl std::fmt::Debug for CertificateAuthority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CertificateAuthority")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl CertificateAuthority {
    /// An authority that signs with `key` as the subject of the first of `chain` and logs to `log`.
    pub(crate) fn new(key: SigningKey, chain: &[verify::certificate::Certificate], log: CtLog) -> Self {
        let issuer_name = chain.first().map(|issuer| issuer.issuer_and_subject().1.to_vec());
        Self {
            key,
            chain: chain.iter().map(|certificate| certificate.der().to_vec()).collect(),
            chain_pem: chain.iter().map(|certificate| trimmed(certificate.to_pem())).collect(),
            issuer_name: issuer_name.unwrap_or_default(),
            log,
        }
    }

    /// The chain as PEM without final newlines, issuing certificate first, root last.
    pub(crate) fn chain_pem(&self) -> &[String] {
        &self.chain_pem
    }

    /// Certifies a proven key: the precertificate is logged, durably, before the certificate exists.
    ///
    /// # Errors
    /// [`IssueError`].
    pub(crate) async fn issue(
        &self,
        key: &PublicKey,
        identity: &WorkloadIdentity,
        now: UnixTime,
    ) -> Result<Vec<u8>, IssueError> {
        let mut fields = self.fields(key, identity, now)?;
        let tbs = fields.to_tbs(&self.key)?;
        let poison = x509::extension(CT_POISON, true, &[0x05, 0x00])?;
        fields.extensions.push(poison);
        let precertificate = x509::sign(&fields.to_tbs(&self.key)?, &self.key)?;
        let submission = PrecertificateSubmission {
            precertificate_der: precertificate,
            tbs,
            issuer_key_hash: Sha256::digest(self.key.public_key().spki_der()).into(),
            chain_der: self.chain.clone(),
        };
        let timestamp = self.log.log_precertificate(submission).await?;
        fields.extensions.pop();
        let list = OctetString::new(sct::encode_list(&[timestamp])).map_err(X509Error::from)?;
        let list = list.to_der().map_err(X509Error::from)?;
        fields.extensions.push(x509::extension(SCT_LIST, false, &list)?);
        Ok(x509::sign(&fields.to_tbs(&self.key)?, &self.key)?)
    }

    /// The leaf profile: everything but poison and SCT list, in the order that Fulcio writes.
    fn fields(&self, key: &PublicKey, identity: &WorkloadIdentity, now: UnixTime) -> Result<Fields, IssueError> {
        let spki = key.spki_der();
        let mut extensions = vec![
            x509::key_usage(KeyUsages::DigitalSignature)?,
            x509::extended_key_usage(x509::ID_KP_CODE_SIGNING, false)?,
            x509::subject_key_identifier(spki)?,
            x509::authority_key_identifier(self.key.public_key().spki_der())?,
            subject_alternative_name(&identity.san)?,
        ];
        for (claim, value) in &identity.claims {
            let oid = FULCIO_ARC
                .push_arc(u32::from(claim.number()))
                .map_err(|_| IssueError::Identity)?;
            extensions.push(x509::extension(oid, false, &claim.encode(value))?);
        }
        Ok(Fields {
            serial: x509::random_serial()?,
            issuer: self.issuer_name.clone(),
            subject: EMPTY_NAME.to_vec(),
            not_before: now,
            not_after: now.plus_secs(VALIDITY_SECS),
            subject_public_key_info: spki.to_vec(),
            extensions,
        })
    }
}

/// Exactly one name; critical, since the subject is empty [RFC 5280 §4.2.1.6].
fn subject_alternative_name(san: &SubjectAlternativeName) -> Result<Extension, IssueError> {
    let ia5 = |text: &str| Ia5String::new(text).map_err(|_| IssueError::Identity);
    let name = match san {
        SubjectAlternativeName::Uri(text) => GeneralName::UniformResourceIdentifier(ia5(text)?),
        SubjectAlternativeName::Email(text) => GeneralName::Rfc822Name(ia5(text)?),
        SubjectAlternativeName::Username(_) => return Err(IssueError::Identity),
    };
    let names = vec![name].to_der().map_err(X509Error::from)?;
    Ok(x509::extension(x509::ID_CE_SUBJECT_ALT_NAME, true, &names)?)
}

/// PEM as replies carry it: without the final newline.
pub(crate) fn trimmed(mut pem: String) -> String {
    pem.truncate(pem.trim_end().len());
    pem
}

/// Ten minutes, as Fulcio.
const VALIDITY_SECS: i64 = 600;
/// An empty `RDNSequence`.
const EMPTY_NAME: [u8; 2] = [0x30, 0x00];
/// The arc of Fulcio's extensions [fulcio docs/oid-info.md].
const FULCIO_ARC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1");
/// The precertificate's critical poison [RFC 6962 §3.1].
const CT_POISON: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.11129.2.4.3");
/// The SCT list [RFC 6962 §3.3].
const SCT_LIST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.11129.2.4.2");
