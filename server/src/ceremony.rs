//! The certificates that `init` makes: a chain for the certificate authority and one for the timestamp authority.
//!
//! Each authority has a root of its own: who holds the issuing key of one can never speak for the other.

use std::str::FromStr as _;

use der::Encode as _;
use verify::UnixTime;
use x509_cert::{ext::pkix::KeyUsages, name::Name};

use crate::{
    keys::SigningKey,
    x509::{self, Fields, X509Error},
};

/// A new authority: the key that works every day, the root's key that may leave the machine, and the chain.
#[derive(Debug)]
pub(crate) struct Authority {
    /// Signs certificates or timestamps.
    pub(crate) key: SigningKey,
    /// Signed `chain[0]`; needed again only to replace it.
    pub(crate) root_key: SigningKey,
    /// DER certificates, leaf-most first, root last.
    pub(crate) chain: Vec<Vec<u8>>,
}

/// Makes root and intermediate of a certificate authority: P-256, path length 0, code signing only.
pub(crate) fn certificate_authority(host: &str, now: UnixTime) -> Result<Authority, X509Error> {
    let root_name = name(host, "certificate authority root")?;
    let key = SigningKey::generate_p256()?;
    let usage = || {
        Ok([
            x509::key_usage(KeyUsages::KeyCertSign | KeyUsages::CRLSign)?,
            x509::extended_key_usage(x509::ID_KP_CODE_SIGNING, false)?,
            x509::ca_constraints(Some(0))?,
        ])
    };
    authority(
        key,
        &root_name,
        &name(host, "certificate authority")?,
        usage,
        CA_YEARS,
        now,
    )
}

/// Makes root and leaf of a timestamp authority: P-256, time stamping only, critically so [RFC 3161 §2.3].
pub(crate) fn timestamp_authority(host: &str, now: UnixTime) -> Result<Authority, X509Error> {
    let root_name = name(host, "timestamp authority root")?;
    let key = SigningKey::generate_p256()?;
    let usage = || {
        Ok([
            x509::key_usage(KeyUsages::DigitalSignature)?,
            x509::extended_key_usage(x509::ID_KP_TIME_STAMPING, true)?,
        ])
    };
    authority(
        key,
        &root_name,
        &name(host, "timestamp authority")?,
        usage,
        TSA_YEARS,
        now,
    )
}

/// The subject common name of a DER certificate's subject field, for the trusted root.
pub(crate) fn common_name(subject_der: &[u8]) -> Option<String> {
    use der::Decode as _;
    let name = Name::from_der(subject_der).ok()?;
    Some(name.common_name().ok()??.value().into_owned())
}

fn authority<const N: usize>(
    key: SigningKey,
    root_name: &[u8],
    subject: &[u8],
    usage: impl FnOnce() -> Result<[x509_cert::ext::Extension; N], X509Error>,
    years: i64,
    now: UnixTime,
) -> Result<Authority, X509Error> {
    let root_key = SigningKey::generate_p256()?;
    let root_spki = root_key.public_key().spki_der().to_vec();
    let root = Fields {
        serial: x509::random_serial()?,
        issuer: root_name.to_vec(),
        subject: root_name.to_vec(),
        not_before: now,
        not_after: now.plus_secs(ROOT_YEARS.saturating_mul(YEAR_SECS)),
        extensions: vec![
            x509::key_usage(KeyUsages::KeyCertSign | KeyUsages::CRLSign)?,
            x509::ca_constraints(None)?,
            x509::subject_key_identifier(&root_spki)?,
        ],
        subject_public_key_info: root_spki.clone(),
    };
    let spki = key.public_key().spki_der().to_vec();
    let mut extensions = usage()?.to_vec();
    extensions.push(x509::subject_key_identifier(&spki)?);
    extensions.push(x509::authority_key_identifier(&root_spki)?);
    let working = Fields {
        serial: x509::random_serial()?,
        issuer: root_name.to_vec(),
        subject: subject.to_vec(),
        not_before: now,
        not_after: now.plus_secs(years.saturating_mul(YEAR_SECS)),
        extensions,
        subject_public_key_info: spki,
    };
    let chain = [working, root]
        .iter()
        .map(|fields| x509::sign(&fields.to_tbs(&root_key)?, &root_key))
        .collect::<Result<_, _>>()?;
    Ok(Authority { key, root_key, chain })
}

/// `O=HOST, CN=sigstore ROLE`, DER. `host` is a host name or address and needs no escaping [RFC 4514 §2.4].
fn name(host: &str, role: &str) -> Result<Vec<u8>, X509Error> {
    let text = format!("CN=sigstore {role},O={host}");
    Ok(Name::from_str(&text)?.to_der()?)
}

const YEAR_SECS: i64 = 365 * 24 * 60 * 60;
/// As Fulcio's documentation recommends for roots.
const ROOT_YEARS: i64 = 10;
/// As Fulcio's documentation recommends for intermediates.
const CA_YEARS: i64 = 3;
/// A timestamp must outlive what it stamps as long as possible; the key is replaced with the root.
const TSA_YEARS: i64 = 9;
