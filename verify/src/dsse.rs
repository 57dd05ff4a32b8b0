//! DSSE envelopes and their pre-authentication encoding [DSSE v1.0.2].

/// A DSSE envelope; nothing is verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Media type of the payload, `application/vnd.in-toto+json` for statements.
    pub payload_type: String,
    /// The payload, decoded from base64.
    pub payload: Vec<u8>,
    /// At least one signature.
    pub signatures: Vec<EnvelopeSignature>,
}

/// One signature of an envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvelopeSignature {
    /// Signature over [`pae`], decoded from base64.
    pub signature: Vec<u8>,
    /// Unauthenticated hint; empty when absent.
    pub key_id: String,
}

/// The payload type of in-toto statements.
pub const IN_TOTO_PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// `DSSEv1 <len> <type> <len> <payload>` [DSSE protocol].
#[must_use]
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

impl Envelope {
    /// [`pae`] of this envelope.
    #[must_use]
    pub fn pae(&self) -> Vec<u8> {
        pae(&self.payload_type, &self.payload)
    }
}
