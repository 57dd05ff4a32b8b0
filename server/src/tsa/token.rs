//! Making time stamp tokens: CMS `SignedData` over `TSTInfo`, in strict DER [RFC 3161 §2.4.2, RFC 5652 §5, RFC 5816].

use std::time::Duration;

use cms::{
    cert::{CertificateChoices, IssuerAndSerialNumber},
    content_info::{CmsVersion, ContentInfo},
    signed_data::{
        CertificateSet, EncapsulatedContentInfo, SignedAttributes, SignedData, SignerIdentifier, SignerInfo,
        SignerInfos,
    },
};
use der::{
    Any, Decode as _, Encode as _, Sequence,
    asn1::{GeneralizedTime, Int, ObjectIdentifier, OctetString, SetOfVec, UtcTime},
};
use sha2::{Digest as _, Sha256};
use spki::AlgorithmIdentifierOwned;
use verify::{
    UnixTime,
    certificate::Certificate,
    timestamp::{Accuracy, PkiStatusInfo, TstInfo},
};
use x509_cert::{attr::Attribute, ext::pkix::name::GeneralName, name::Name, serial_number::SerialNumber};

use super::request::{POLICY, SHA256, StampRequest};
use crate::{
    keys::SigningKey,
    x509::{self, X509Error},
};

/// A P-256 timestamp authority.
#[derive(Clone, Debug)]
pub(crate) struct TimestampAuthority {
    key: SigningKey,
    certificate: x509_cert::Certificate,
    subject: Name,
    issuer_and_serial: IssuerAndSerialNumber,
    certificate_digest: [u8; 32],
    chain_pem: String,
}

impl TimestampAuthority {
    /// An authority that signs with `key`, whose certificate is the first of `chain`; the root is last.
    ///
    /// # Errors
    /// [`X509Error::Encoding`] when the chain is empty or its first certificate cannot be read.
    pub(crate) fn new(key: SigningKey, chain: &[Certificate]) -> Result<Self, X509Error> {
        let leaf = chain.first().ok_or(X509Error::Encoding)?;
        let certificate = x509_cert::Certificate::from_der(leaf.der())?;
        let tbs = certificate.tbs_certificate();
        Ok(Self {
            subject: tbs.subject().clone(),
            issuer_and_serial: IssuerAndSerialNumber {
                issuer: tbs.issuer().clone(),
                serial_number: tbs.serial_number().clone(),
            },
            certificate_digest: Sha256::digest(leaf.der()).into(),
            chain_pem: chain.iter().map(Certificate::to_pem).collect(),
            certificate,
            key,
        })
    }

    /// The chain as PEM, leaf first.
    pub(crate) fn chain_pem(&self) -> &str {
        &self.chain_pem
    }

    /// A DER `TimeStampResp` with status granted, for the instant `now`.
    ///
    /// # Errors
    /// [`X509Error`] when the key or the random source fails.
    pub(crate) fn respond(&self, request: StampRequest, now: UnixTime) -> Result<Vec<u8>, X509Error> {
        let certificates = if request.certificate_wanted {
            let choice = CertificateChoices::Certificate(self.certificate.clone());
            Some(CertificateSet::try_from(vec![choice])?)
        } else {
            None
        };
        let info = self.info(request, now)?.to_der()?;
        let signed_data = SignedData {
            version: CmsVersion::V3,
            digest_algorithms: SetOfVec::try_from(vec![sha256()])?,
            encap_content_info: EncapsulatedContentInfo {
                econtent_type: ID_CT_TST_INFO,
                econtent: Some(Any::encode_from(&OctetString::new(info.as_slice())?)?),
            },
            certificates,
            crls: None,
            signer_infos: SignerInfos::try_from(vec![self.signer_info(&info, now)?])?,
        };
        let response = TimeStampResp {
            status: PkiStatusInfo {
                status: GRANTED,
                status_string: None,
                fail_info: None,
            },
            time_stamp_token: ContentInfo {
                content_type: ID_SIGNED_DATA,
                content: Any::encode_from(&signed_data)?,
            },
        };
        Ok(response.to_der()?)
    }

    fn info(&self, request: StampRequest, now: UnixTime) -> Result<TstInfo, X509Error> {
        Ok(TstInfo {
            version: 1,
            policy: POLICY,
            message_imprint: request.imprint,
            serial_number: Int::new(x509::random_serial()?.as_bytes())?,
            gen_time: GeneralizedTime::from_unix_duration(since_epoch(now)?)?,
            accuracy: Some(Accuracy {
                seconds: Some(Int::new(&[1])?),
                millis: None,
                micros: None,
            }),
            ordering: false,
            nonce: request.nonce,
            tsa: Some(GeneralName::DirectoryName(self.subject.clone())),
            extensions: None,
        })
    }

    fn signer_info(&self, info: &[u8], now: UnixTime) -> Result<SignerInfo, X509Error> {
        let attributes = self.signed_attributes(info, now)?;
        let signature = self.key.sign(&attributes.to_der()?)?;
        Ok(SignerInfo {
            version: CmsVersion::V1,
            sid: SignerIdentifier::IssuerAndSerialNumber(self.issuer_and_serial.clone()),
            digest_alg: sha256(),
            signed_attrs: Some(attributes),
            signature_algorithm: x509::signature_algorithm(self.key.public_key()),
            signature: OctetString::new(signature)?,
            unsigned_attrs: None,
        })
    }

    /// Content type, signing time, message digest and the signer's certificate; the SET sorts itself.
    fn signed_attributes(&self, info: &[u8], now: UnixTime) -> Result<SignedAttributes, X509Error> {
        let digest = OctetString::new(Sha256::digest(info).to_vec())?;
        let time = UtcTime::from_unix_duration(since_epoch(now)?)?;
        let attributes = [
            attribute(ID_CONTENT_TYPE, Any::encode_from(&ID_CT_TST_INFO)?)?,
            attribute(ID_SIGNING_TIME, Any::encode_from(&time)?)?,
            attribute(ID_MESSAGE_DIGEST, Any::encode_from(&digest)?)?,
            attribute(
                ID_SIGNING_CERTIFICATE_V2,
                Any::encode_from(&self.signing_certificate()?)?,
            )?,
        ];
        Ok(SetOfVec::try_from(attributes.to_vec())?)
    }

    fn signing_certificate(&self) -> Result<SigningCertificateV2, X509Error> {
        Ok(SigningCertificateV2 {
            certs: vec![EssCertIdV2 {
                cert_hash: OctetString::new(self.certificate_digest)?,
                issuer_serial: IssuerSerial {
                    issuer: vec![GeneralName::DirectoryName(self.issuer_and_serial.issuer.clone())],
                    serial_number: self.issuer_and_serial.serial_number.clone(),
                },
            }],
        })
    }
}

fn since_epoch(at: UnixTime) -> Result<Duration, X509Error> {
    let seconds = u64::try_from(at.as_secs()).map_err(|_| X509Error::Encoding)?;
    Ok(Duration::from_secs(seconds))
}

fn attribute(oid: ObjectIdentifier, value: Any) -> Result<Attribute, X509Error> {
    Ok(Attribute {
        oid,
        values: SetOfVec::try_from(vec![value])?,
    })
}

/// SHA-256 without parameters [RFC 5754 §2].
const fn sha256() -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned {
        oid: SHA256,
        parameters: None,
    }
}

/// `TimeStampResp` with a token [RFC 3161 §2.4.2].
#[derive(Sequence)]
struct TimeStampResp {
    status: PkiStatusInfo,
    time_stamp_token: ContentInfo,
}

/// `SigningCertificateV2` without policies [RFC 5035 §3].
#[derive(Sequence)]
struct SigningCertificateV2 {
    certs: Vec<EssCertIdV2>,
}

/// `ESSCertIDv2` [RFC 5035 §4]; the hash algorithm is SHA-256, the DEFAULT, and so left out.
#[derive(Clone, Sequence)]
struct EssCertIdV2 {
    cert_hash: OctetString,
    issuer_serial: IssuerSerial,
}

/// `IssuerSerial` [RFC 5035 §4].
#[derive(Clone, Sequence)]
struct IssuerSerial {
    issuer: Vec<GeneralName>,
    serial_number: SerialNumber,
}

/// `PKIStatus` granted [RFC 3161 §2.4.2].
const GRANTED: u8 = 0;
/// `id-signedData` [RFC 5652 §5.1].
const ID_SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
/// `id-ct-TSTInfo` [RFC 3161 §2.4.2].
const ID_CT_TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
/// [RFC 5652 §11.1]
const ID_CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
/// [RFC 5652 §11.2]
const ID_MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
/// [RFC 5652 §11.3]
const ID_SIGNING_TIME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.5");
/// [RFC 5035 §3]
const ID_SIGNING_CERTIFICATE_V2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");
