//! Timestamp tokens [RFC 3161].

use verify::{HashAlgorithm, Sha256Digest, UnixTime};

use super::{
    Key, SIGNED_AT, World,
    der::{algorithm, element, explicit, generalized_time, integer, name, octets, oid, sequence, set},
    flip_last,
};

/// What the timestamp authority answers.
#[derive(Clone)]
pub struct TokenRecipe {
    pub status: u8,
    pub at: UnixTime,
    pub imprint_of: Option<Vec<u8>>,
    pub content_type: &'static str,
    pub attribute_content_type: &'static str,
    pub version: u8,
    pub flip_message_digest: bool,
    pub certificate_hash: CertificateHashRecipe,
    pub flip_signature: bool,
    pub serial: Vec<u8>,
    /// Names the signer by this key identifier instead of issuer and serial.
    pub key_id: Option<&'static [u8]>,
    /// An RSA authority names its key's algorithm only, as older ones do.
    pub rsa_encryption: bool,
    pub with_certificate: bool,
    /// Appended to the signed attributes.
    pub further_attributes: Vec<Vec<u8>>,
    /// Writes the NULL parameters of SHA-256, which others leave out.
    pub null_parameters: bool,
    /// A certificate that comes along before the signer's.
    pub brings_first: Vec<u8>,
    /// The certificate that comes along differs in its last bit.
    pub brings_another: bool,
    pub signers: usize,
    /// Appended to `TSTInfo`.
    pub further: Vec<Vec<u8>>,
    pub omit_message_digest: bool,
    /// Appended after the response.
    pub trailing: Vec<u8>,
    pub imprint_algorithm: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum CertificateHashRecipe {
    V2,
    V2Sha512,
    /// With issuer and serial number of the certificate.
    V2WithIssuer,
    V1,
    WrongV2,
    WrongV1,
    Absent,
}

impl Default for TokenRecipe {
    fn default() -> Self {
        Self {
            status: 0,
            at: SIGNED_AT,
            imprint_of: None,
            content_type: "1.2.840.113549.1.9.16.1.4",
            attribute_content_type: "1.2.840.113549.1.9.16.1.4",
            version: 1,
            flip_message_digest: false,
            certificate_hash: CertificateHashRecipe::V2,
            flip_signature: false,
            serial: vec![9],
            key_id: None,
            rsa_encryption: false,
            with_certificate: false,
            further_attributes: Vec::new(),
            null_parameters: false,
            brings_first: Vec::new(),
            brings_another: false,
            signers: 1,
            further: Vec::new(),
            omit_message_digest: false,
            trailing: Vec::new(),
            imprint_algorithm: "2.16.840.1.101.3.4.2.1",
        }
    }
}

impl World {
    pub fn token(&self, recipe: &TokenRecipe, message: &[u8]) -> Vec<u8> {
        token(recipe, message, &self.tsa, &self.tsa_leaf, "tsa root")
    }
}

/// A `TimeStampResp` [RFC 3161 §2.4.2].
pub fn token(recipe: &TokenRecipe, message: &[u8], tsa: &Key, leaf: &[u8], issuer: &str) -> Vec<u8> {
    let message = recipe.imprint_of.as_deref().unwrap_or(message);
    let sha256 = if recipe.null_parameters {
        sequence(&[oid("2.16.840.1.101.3.4.2.1"), element(0x05, &[])])
    } else {
        algorithm("2.16.840.1.101.3.4.2.1")
    };
    let mut info = vec![
        integer(&[recipe.version]),
        oid("1.3.6.1.4.1.57264.2"),
        sequence(&[
            algorithm(recipe.imprint_algorithm),
            octets(&Sha256Digest::of(message).0),
        ]),
        integer(&[42]),
        generalized_time(recipe.at),
    ];
    info.extend(recipe.further.clone());
    let info = sequence(&info);
    let mut digest = Sha256Digest::of(&info).0.to_vec();
    flip_last(&mut digest, recipe.flip_message_digest);
    let mut attributes = vec![attribute("1.2.840.113549.1.9.3", &oid(recipe.attribute_content_type))];
    if !recipe.omit_message_digest {
        attributes.push(attribute("1.2.840.113549.1.9.4", &octets(&digest)));
    }
    attributes.extend(signing_certificate(recipe.certificate_hash, leaf));
    attributes.extend(recipe.further_attributes.clone());
    let attributes = attributes.concat();
    let mut signature = tsa.sign(&element(0x31, &attributes));
    flip_last(&mut signature, recipe.flip_signature);
    let (version, id) = match recipe.key_id {
        None => (1, sequence(&[name(issuer), integer(&recipe.serial)])),
        Some(id) => (3, element(0x80, id)),
    };
    let signer = sequence(&[
        integer(&[version]),
        id,
        sha256.clone(),
        element(0xa0, &attributes),
        if recipe.rsa_encryption {
            sequence(&[oid("1.2.840.113549.1.1.1"), element(0x05, &[])])
        } else {
            tsa.algorithm()
        },
        octets(&signature),
    ]);
    let mut data = vec![
        integer(&[3]),
        set(&[sha256]),
        sequence(&[oid(recipe.content_type), explicit(0, &octets(&info))]),
    ];
    if recipe.with_certificate {
        let mut brought = leaf.to_vec();
        flip_last(&mut brought, recipe.brings_another);
        data.push(explicit(0, &[recipe.brings_first.clone(), brought].concat()));
    }
    data.push(set(&vec![signer; recipe.signers]));
    let token = sequence(&[oid("1.2.840.113549.1.7.2"), explicit(0, &sequence(&data))]);
    let mut response = sequence(&[sequence(&[integer(&[recipe.status])]), token]);
    response.extend(&recipe.trailing);
    response
}

fn signing_certificate(recipe: CertificateHashRecipe, leaf: &[u8]) -> Option<Vec<u8>> {
    let sha1 = |bytes: &[u8]| aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, bytes);
    let (kind, id) = match recipe {
        CertificateHashRecipe::Absent => return None,
        CertificateHashRecipe::V2 => ("47", vec![octets(&Sha256Digest::of(leaf).0)]),
        CertificateHashRecipe::WrongV2 => ("47", vec![octets(&Sha256Digest::of(b"another").0)]),
        CertificateHashRecipe::V2WithIssuer => {
            let general_names = sequence(&[element(0xa4, &name("tsa root"))]);
            let issuer_serial = sequence(&[general_names, integer(&[9])]);
            ("47", vec![octets(&Sha256Digest::of(leaf).0), issuer_serial])
        }
        CertificateHashRecipe::V2Sha512 => (
            "47",
            vec![
                algorithm("2.16.840.1.101.3.4.2.3"),
                octets(HashAlgorithm::Sha512.digest(leaf).as_bytes()),
            ],
        ),
        CertificateHashRecipe::V1 => ("12", vec![octets(sha1(leaf).as_ref())]),
        CertificateHashRecipe::WrongV1 => ("12", vec![octets(sha1(b"another").as_ref())]),
    };
    let value = sequence(&[sequence(&[sequence(&id)])]);
    Some(attribute(&format!("1.2.840.113549.1.9.16.2.{kind}"), &value))
}

pub fn attribute(kind: &str, value: &[u8]) -> Vec<u8> {
    sequence(&[oid(kind), set(&[value.to_vec()])])
}
