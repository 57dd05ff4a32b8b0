//! Making certificates [RFC 5280 §4]: the bytes of a `TBSCertificate`, its extensions, its signature.
//!
//! Nothing here decides *what* to certify; that is the certificate authority's profile and the ceremony of `init`.

use std::time::Duration;

use aws_lc_rs::{digest, rand};
use der::{
    Any, Decode as _, Encode as _, Sequence,
    asn1::{BitString, GeneralizedTime, ObjectIdentifier, OctetString, UtcTime},
    flagset::FlagSet,
};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoRef};
use verify::{PublicKey, UnixTime, key::KeyKind};
use x509_cert::{
    ext::{
        Extension,
        pkix::{AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages},
    },
    serial_number::SerialNumber,
    time::{Time, Validity},
};

use crate::keys::{KeyError, SigningKey};

/// What could not be put into a certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum X509Error {
    /// A value has no DER encoding of the wanted type.
    #[error("value cannot be encoded in DER")]
    Encoding,
    /// The signing key failed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The random source failed.
    #[error("random source failed")]
    Random,
}

impl From<der::Error> for X509Error {
    fn from(_: der::Error) -> Self {
        Self::Encoding
    }
}

/// The fields of a `TBSCertificate` that change from one certificate to the next.
#[derive(Clone, Debug)]
pub(crate) struct Fields {
    /// Serial number, see [`random_serial`].
    pub(crate) serial: SerialNumber,
    /// Issuer name, DER.
    pub(crate) issuer: Vec<u8>,
    /// Subject name, DER.
    pub(crate) subject: Vec<u8>,
    /// First second of validity.
    pub(crate) not_before: UnixTime,
    /// Last second of validity.
    pub(crate) not_after: UnixTime,
    /// The holder's key, DER `SubjectPublicKeyInfo`.
    pub(crate) subject_public_key_info: Vec<u8>,
    /// Extensions, in the order in which they are written.
    pub(crate) extensions: Vec<Extension>,
}

impl Fields {
    /// The DER `TBSCertificate` for an issuer that signs with `key`.
    pub(crate) fn to_tbs(&self, key: &SigningKey) -> Result<Vec<u8>, X509Error> {
        let tbs = TbsCertificate {
            version: VERSION_3,
            serial_number: self.serial.clone(),
            signature: signature_algorithm(key.public_key()),
            issuer: Any::from_der(&self.issuer)?,
            validity: Validity::new(time(self.not_before)?, time(self.not_after)?),
            subject: Any::from_der(&self.subject)?,
            subject_public_key_info: Any::from_der(&self.subject_public_key_info)?,
            extensions: self.extensions.clone(),
        };
        Ok(tbs.to_der()?)
    }
}

/// Signs a DER `TBSCertificate` and returns the DER `Certificate`.
pub(crate) fn sign(tbs: &[u8], key: &SigningKey) -> Result<Vec<u8>, X509Error> {
    let certificate = SignedCertificate {
        tbs_certificate: Any::from_der(tbs)?,
        signature_algorithm: signature_algorithm(key.public_key()),
        signature: BitString::from_bytes(&key.sign(tbs)?)?,
    };
    Ok(certificate.to_der()?)
}

/// A positive serial number with 127 random bits: 16 octets [RFC 5280 §4.1.2.2].
pub(crate) fn random_serial() -> Result<SerialNumber, X509Error> {
    let mut octets = [0_u8; 16];
    rand::fill(&mut octets).map_err(|_| X509Error::Random)?;
    if let Some(first) = octets.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    Ok(SerialNumber::new(&octets)?)
}

/// The key identifier: SHA-1 of the key's bits [RFC 5280 §4.2.1.2 (1)]. An identifier only; nothing rests on its collision resistance.
pub(crate) fn key_identifier(spki_der: &[u8]) -> Result<Vec<u8>, X509Error> {
    let spki = SubjectPublicKeyInfoRef::from_der(spki_der)?;
    let bits = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, spki.subject_public_key.raw_bytes());
    Ok(bits.as_ref().to_vec())
}

/// An extension from its parts; `value` is what stands inside `extnValue`.
pub(crate) fn extension(oid: ObjectIdentifier, critical: bool, value: &[u8]) -> Result<Extension, X509Error> {
    Ok(Extension {
        extn_id: oid,
        critical,
        extn_value: OctetString::new(value)?,
    })
}

/// Critical `keyUsage` [RFC 5280 §4.2.1.3].
pub(crate) fn key_usage(usages: impl Into<FlagSet<KeyUsages>>) -> Result<Extension, X509Error> {
    extension(ID_CE_KEY_USAGE, true, &KeyUsage(usages.into()).to_der()?)
}

/// `extKeyUsage` with one purpose [RFC 5280 §4.2.1.12].
pub(crate) fn extended_key_usage(purpose: ObjectIdentifier, critical: bool) -> Result<Extension, X509Error> {
    extension(
        ID_CE_EXT_KEY_USAGE,
        critical,
        &ExtendedKeyUsage(vec![purpose]).to_der()?,
    )
}

/// Critical `basicConstraints` of a CA [RFC 5280 §4.2.1.9].
pub(crate) fn ca_constraints(path_length: Option<u8>) -> Result<Extension, X509Error> {
    let constraints = BasicConstraints {
        ca: true,
        path_len_constraint: path_length,
    };
    extension(ID_CE_BASIC_CONSTRAINTS, true, &constraints.to_der()?)
}

/// `subjectKeyIdentifier` [RFC 5280 §4.2.1.2].
pub(crate) fn subject_key_identifier(spki_der: &[u8]) -> Result<Extension, X509Error> {
    let identifier = OctetString::new(key_identifier(spki_der)?)?;
    extension(ID_CE_SUBJECT_KEY_IDENTIFIER, false, &identifier.to_der()?)
}

/// `authorityKeyIdentifier` naming the issuer's key [RFC 5280 §4.2.1.1].
pub(crate) fn authority_key_identifier(issuer_spki_der: &[u8]) -> Result<Extension, X509Error> {
    let identifier = AuthorityKeyIdentifier {
        key_identifier: Some(OctetString::new(key_identifier(issuer_spki_der)?)?),
        ..AuthorityKeyIdentifier::default()
    };
    extension(ID_CE_AUTHORITY_KEY_IDENTIFIER, false, &identifier.to_der()?)
}

/// The algorithm identifier that our keys sign under [RFC 5758 §3.2, RFC 8410 §3]; parameters absent.
pub(crate) fn signature_algorithm(key: &PublicKey) -> AlgorithmIdentifierOwned {
    let oid = if key.kind() == KeyKind::Ed25519 {
        ID_ED25519
    } else {
        ECDSA_WITH_SHA256
    };
    AlgorithmIdentifierOwned { oid, parameters: None }
}

/// `UTCTime` through 2049, `GeneralizedTime` later [RFC 5280 §4.1.2.5].
fn time(at: UnixTime) -> Result<Time, X509Error> {
    let since = Duration::from_secs(u64::try_from(at.as_secs()).map_err(|_| X509Error::Encoding)?);
    match UtcTime::from_unix_duration(since) {
        Ok(time) => Ok(Time::UtcTime(time)),
        Err(_) => Ok(Time::GeneralTime(GeneralizedTime::from_unix_duration(since)?)),
    }
}

/// `TBSCertificate` v3 with names and key as they came [RFC 5280 §4.1].
#[derive(Sequence)]
struct TbsCertificate {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    version: u8,
    serial_number: SerialNumber,
    signature: AlgorithmIdentifierOwned,
    issuer: Any,
    validity: Validity,
    subject: Any,
    subject_public_key_info: Any,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT")]
    extensions: Vec<Extension>,
}

/// `Certificate` [RFC 5280 §4.1].
#[derive(Sequence)]
struct SignedCertificate {
    tbs_certificate: Any,
    signature_algorithm: AlgorithmIdentifierOwned,
    signature: BitString,
}

/// v3 is written 2 [RFC 5280 §4.1.2.1].
const VERSION_3: u8 = 2;
/// `ecdsa-with-SHA256` [RFC 5758 §3.2].
pub(crate) const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
/// `id-Ed25519` [RFC 8410 §3].
pub(crate) const ID_ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const ID_CE_SUBJECT_KEY_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.14");
const ID_CE_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const ID_CE_BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const ID_CE_AUTHORITY_KEY_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.35");
const ID_CE_EXT_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
/// `subjectAltName` [RFC 5280 §4.2.1.6].
pub(crate) const ID_CE_SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
/// `id-kp-codeSigning` [RFC 5280 §4.2.1.12].
pub(crate) const ID_KP_CODE_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");
/// `id-kp-timeStamping` [RFC 5280 §4.2.1.12].
pub(crate) const ID_KP_TIME_STAMPING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_are_positive_and_sixteen_octets() {
        let serial = random_serial().unwrap().to_der().unwrap();
        assert_eq!(serial[..2], [0x02, 16]);
        assert!(serial[2] < 0x80);
    }

    #[test]
    fn dates_from_2050_are_generalized_time() {
        let last = time(UnixTime::from_secs(2_524_607_999)).unwrap();
        let first = time(UnixTime::from_secs(2_524_608_000)).unwrap();
        assert!(matches!(last, Time::UtcTime(_)));
        assert!(matches!(first, Time::GeneralTime(_)));
        assert_eq!(time(UnixTime::from_secs(-1)), Err(X509Error::Encoding));
    }
}
