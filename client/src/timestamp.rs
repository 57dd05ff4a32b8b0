//! Asking a timestamp authority [RFC 3161 §2.4, RFC 3161 §3.4].

use der::{
    Encode as _,
    asn1::{Any, Int, ObjectIdentifier, OctetString},
};
use rand::{TryRng as _, rngs::SysRng};
use spki::AlgorithmIdentifierOwned;
use verify::{
    Budget, Digest, Sha256Digest,
    timestamp::{MessageImprint, TimeStampReq, Timestamp},
};

use crate::{
    Error, Http, Service,
    http::{Endpoint, Method, Request, StatusCode},
};

/// A client of one timestamp authority.
#[derive(Clone, Debug)]
pub struct TimestampAuthority {
    http: Http,
    endpoint: Endpoint,
}

/// A stamp for the digest that was asked about, with the nonce that was sent. Who signed it is not checked yet.
#[derive(Clone, Debug)]
pub struct Stamp {
    /// The whole `TimeStampResp`, DER: what a bundle holds.
    pub der: Vec<u8>,
    /// The same, read.
    pub timestamp: Timestamp,
}

impl TimestampAuthority {
    /// A client of the authority with this full endpoint URL (`…/api/v1/timestamp`).
    #[must_use]
    pub const fn new(http: Http, endpoint: Endpoint) -> Self {
        Self { http, endpoint }
    }

    /// Has `message` stamped: sends its SHA-256 and a fresh nonce, asks for the signer's certificate.
    ///
    /// # Errors
    /// Those of [`Http::send`]; [`Error::Status`]; [`Error::TsaToken`] when the answer grants no well-formed token,
    /// [`Error::TsaWrongImprint`], [`Error::TsaWrongNonce`]; [`Error::Random`].
    pub async fn stamp(&self, message: &[u8]) -> Result<Stamp, Error> {
        let imprint = Sha256Digest::of(message);
        let nonce = fresh_nonce()?;
        let query = encode(&imprint, nonce).map_err(|_| Error::TsaToken(RULE))?;
        let budget = Budget::default();
        let request = Request::new(Method::POST, self.endpoint.clone(), budget.timestamp_bytes)
            .body("application/timestamp-query", query)
            .header("accept", "application/timestamp-reply");
        let answer = self
            .http
            .send(request)
            .await?
            .expect(&[StatusCode::OK, StatusCode::CREATED])?;
        let der = answer.into_body();
        let timestamp = Timestamp::from_der(&der, &budget).map_err(Error::TsaToken)?;
        if *timestamp.imprint() != Digest::from(imprint) {
            return Err(Error::TsaWrongImprint);
        }
        if timestamp.nonce() != Some(nonce.as_slice()) {
            return Err(Error::TsaWrongNonce);
        }
        Ok(Stamp { der, timestamp })
    }

    /// Whose answers these are.
    #[must_use]
    pub const fn service(&self) -> Service {
        self.endpoint.service()
    }
}

/// 62 random bits as a positive DER integer of exactly eight content octets.
fn fresh_nonce() -> Result<[u8; 8], Error> {
    let mut nonce = [0_u8; 8];
    SysRng.try_fill_bytes(&mut nonce).map_err(|_| Error::Random)?;
    let [first, ..] = &mut nonce;
    *first = (*first & 0x3f) | 0x40;
    Ok(nonce)
}

fn encode(imprint: &Sha256Digest, nonce: [u8; 8]) -> der::Result<Vec<u8>> {
    TimeStampReq {
        version: 1,
        message_imprint: MessageImprint {
            hash_algorithm: AlgorithmIdentifierOwned {
                oid: SHA_256,
                parameters: Some(Any::null()),
            },
            hashed_message: OctetString::new(imprint.0.as_slice())?,
        },
        req_policy: None,
        nonce: Some(Int::new(&nonce)?),
        cert_req: true,
        extensions: None,
    }
    .to_der()
}

/// `id-sha256` [RFC 5754 §2.2].
const SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");

/// An 8-byte nonce and a 32-byte digest always encode.
const RULE: verify::Error = verify::Error::Timestamp {
    rule: "the request can be encoded",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_version_imprint_nonce_and_asks_for_the_certificate() {
        let request = encode(&Sha256Digest([7; 32]), [0x40, 1, 2, 3, 4, 5, 6, 7]).unwrap();
        let expected = concat!(
            "3043",
            "020101",
            "3031300d060960864801650304020105000420",
            "0707070707070707070707070707070707070707070707070707070707070707",
            "02084001020304050607",
            "0101ff",
        );
        assert_eq!(hex::encode(request), expected);
    }

    #[test]
    fn a_nonce_is_positive_minimal_and_never_the_same() {
        let (one, other) = (fresh_nonce().unwrap(), fresh_nonce().unwrap());
        assert!((0x40..0x80).contains(&one[0]));
        assert_ne!(one, other);
    }
}
