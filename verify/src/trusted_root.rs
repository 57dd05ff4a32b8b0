//! Trusted roots [protobuf-specs trustroot v1], v0.1 and v0.2.

use base64::Engine as _;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Budget, Error, PublicKey, UnixTime, base64_text::STANDARD, certificate::Certificate, json, key::KeyDetails, note,
    time::ValidityWindow,
};

/// The authorities and logs a verifier believes.
#[derive(Clone, Debug, Default)]
pub struct TrustedRoot {
    /// Signature logs.
    pub logs: Vec<TransparencyLog>,
    /// Issuers of signing certificates.
    pub certificate_authorities: Vec<CertificateAuthority>,
    /// CT logs.
    pub ct_logs: Vec<TransparencyLog>,
    /// Timestamp authorities; `chain[0]` is the leaf.
    pub timestamp_authorities: Vec<CertificateAuthority>,
    /// Entries left out because their key type is unknown to this version: what each is, for reports.
    pub skipped: Vec<String>,
}

/// A log's key and validity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransparencyLog {
    /// URL of the log; its host name is the origin of a v2 log.
    pub base_url: String,
    /// The log key.
    pub key: PublicKey,
    /// What `keyDetails` says.
    pub key_details: KeyDetails,
    /// When entries of this log are believed.
    pub valid_for: ValidityWindow,
    /// Id that entries carry: 32 bytes.
    pub log_id: [u8; 32],
    /// Id of the checkpoint key, where it is stated.
    pub checkpoint_key_id: Option<[u8; 32]>,
    /// Who runs it; empty when not stated.
    pub operator: String,
}

/// A certificate or timestamp authority.
#[derive(Clone, Debug)]
pub struct CertificateAuthority {
    /// Subject organization.
    pub organization: String,
    /// Subject common name.
    pub common_name: String,
    /// URI of the authority.
    pub uri: String,
    /// Certificates, leaf-most first, root last.
    pub chain: Vec<Certificate>,
    /// When its statements are believed.
    pub valid_for: ValidityWindow,
    /// Who runs it; empty when not stated.
    pub operator: String,
}

impl TrustedRoot {
    /// Reads a trusted root, v0.1 or v0.2. A log or authority whose key type is unknown is left out and named in
    /// [`Self::skipped`]; anything else that is wrong refuses the whole document.
    ///
    /// # Errors
    /// [`Error::MediaType`], [`Error::TrustedRoot`], [`Error::Json`] and the member's own.
    pub fn from_json(bytes: &[u8], budget: &Budget) -> Result<Self, Error> {
        let wire: Wire = json::parse_as(bytes, WHAT, budget.trust_bytes, budget.json_depth)?;
        wire.into_trusted_root(budget)
    }

    /// Writes media type v0.1, in the form every known client reads.
    #[must_use]
    pub fn to_json(&self) -> String {
        self.to_json_value().to_string()
    }

    /// [`Self::to_json`] as a value, for documents that hold a trusted root.
    #[must_use]
    pub fn to_json_value(&self) -> Value {
        let logs = |list: &[TransparencyLog]| -> Value { list.iter().map(TransparencyLog::to_json_value).collect() };
        let authorities =
            |list: &[CertificateAuthority]| -> Value { list.iter().map(CertificateAuthority::to_json_value).collect() };
        json!({
            "mediaType": MEDIA_TYPE,
            "tlogs": logs(&self.logs),
            "certificateAuthorities": authorities(&self.certificate_authorities),
            "ctlogs": logs(&self.ct_logs),
            "timestampAuthorities": authorities(&self.timestamp_authorities),
        })
    }
}

impl TransparencyLog {
    /// Host name of the base URL: the origin of a v2 log, without scheme, user, port and path.
    #[must_use]
    pub fn host(&self) -> &str {
        host(&self.base_url)
    }

    /// Whether an entry may name the log so: by its id, or by that of its checkpoint key, as some v2 writers do.
    pub(crate) fn has_id(&self, stated: &[u8]) -> bool {
        self.log_id == stated || self.checkpoint_key_id.is_some_and(|id| id == stated)
    }

    /// Id of the key that signs checkpoints; that of the log where nothing else is said [protobuf-specs,
    /// `TransparencyLogInstance`].
    pub(crate) fn checkpoint_id(&self) -> [u8; 32] {
        self.checkpoint_key_id.unwrap_or(self.log_id)
    }

    /// Whether an id is one of this key's: its SHA-256, or that of a note key under the log's name.
    pub(crate) fn is_key_id(&self, id: &[u8; 32]) -> bool {
        *id == self.key.id().0 || *id == note::log_key_id(self.host(), &self.key)
    }

    /// v0.1 has no operator, and python and Go refuse fields they do not know. `checkpointKeyId` they know.
    fn to_json_value(&self) -> Value {
        let mut log = json!({
            "baseUrl": self.base_url,
            "hashAlgorithm": HASH_ALGORITHM,
            "publicKey": {
                "rawBytes": STANDARD.encode(self.key.spki_der()),
                "keyDetails": self.key_details.as_str(),
                "validFor": window_to_value(self.valid_for),
            },
            "logId": { "keyId": STANDARD.encode(self.log_id) },
        });
        if let (Some(id), Some(members)) = (self.checkpoint_key_id, log.as_object_mut()) {
            members.insert("checkpointKeyId".to_owned(), json!({ "keyId": STANDARD.encode(id) }));
        }
        log
    }
}

impl CertificateAuthority {
    fn to_json_value(&self) -> Value {
        let certificates: Vec<_> = self
            .chain
            .iter()
            .map(|certificate| json!({ "rawBytes": STANDARD.encode(certificate.der()) }))
            .collect();
        json!({
            "subject": { "organization": self.organization, "commonName": self.common_name },
            "uri": self.uri,
            "certChain": { "certificates": certificates },
            "validFor": window_to_value(self.valid_for),
        })
    }
}

/// The host name of a URL: what stands after `scheme://` and `user@`, up to port or path.
#[must_use]
pub fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if let Some(bracketed) = host.strip_prefix('[') {
        return bracketed.split(']').next().unwrap_or_default();
    }
    host.split(':').next().unwrap_or_default()
}

fn window_to_value(window: ValidityWindow) -> Value {
    let mut value = json!({ "start": window.start.to_string() });
    if let (Some(end), Some(members)) = (window.end, value.as_object_mut()) {
        members.insert("end".to_owned(), end.to_string().into());
    }
    value
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wire {
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    tlogs: Vec<WireLog>,
    #[serde(default)]
    certificate_authorities: Vec<WireAuthority>,
    #[serde(default)]
    ctlogs: Vec<WireLog>,
    #[serde(default)]
    timestamp_authorities: Vec<WireAuthority>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WireLog {
    #[serde(default)]
    base_url: String,
    #[serde(default)]
    hash_algorithm: String,
    public_key: WireKey,
    #[serde(default)]
    log_id: Option<WireId>,
    #[serde(default)]
    checkpoint_key_id: Option<WireId>,
    #[serde(default)]
    operator: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WireKey {
    #[serde(default)]
    raw_bytes: String,
    #[serde(default)]
    key_details: String,
    #[serde(default)]
    valid_for: Option<WireWindow>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WireId {
    key_id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireWindow {
    #[serde(default)]
    start: Option<String>,
    #[serde(default)]
    end: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WireAuthority {
    #[serde(default)]
    subject: WireSubject,
    #[serde(default)]
    uri: String,
    cert_chain: WireChain,
    #[serde(default)]
    valid_for: Option<WireWindow>,
    #[serde(default)]
    operator: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WireSubject {
    #[serde(default)]
    organization: String,
    #[serde(default)]
    common_name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireChain {
    #[serde(default)]
    certificates: Vec<WireCertificate>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WireCertificate {
    raw_bytes: String,
}

impl Wire {
    fn into_trusted_root(self, budget: &Budget) -> Result<TrustedRoot, Error> {
        if !MEDIA_TYPES.contains(&self.media_type.as_str()) {
            return Err(Error::MediaType {
                what: WHAT,
                found: self.media_type.chars().take(100).collect(),
            });
        }
        let counts = [
            self.tlogs.len(),
            self.certificate_authorities.len(),
            self.ctlogs.len(),
            self.timestamp_authorities.len(),
        ];
        if counts.into_iter().any(|count| count > budget.trust_entries) {
            return Err(Error::TooMany {
                what: "logs or authorities",
                limit: budget.trust_entries,
            });
        }
        let mut skipped = Vec::new();
        Ok(TrustedRoot {
            logs: read_logs(self.tlogs, "log", &mut skipped)?,
            certificate_authorities: read_authorities(
                self.certificate_authorities,
                "certificate authority",
                &mut skipped,
                budget,
            )?,
            ct_logs: read_logs(self.ctlogs, "CT log", &mut skipped)?,
            timestamp_authorities: read_authorities(
                self.timestamp_authorities,
                "timestamp authority",
                &mut skipped,
                budget,
            )?,
            skipped,
        })
    }
}

fn read_logs(logs: Vec<WireLog>, what: &str, skipped: &mut Vec<String>) -> Result<Vec<TransparencyLog>, Error> {
    let mut read: Vec<TransparencyLog> = Vec::with_capacity(logs.len());
    for log in logs {
        let Some(key_details) = KeyDetails::from_name(&log.public_key.key_details) else {
            skipped.push(format!(
                "{what} {}: unknown key type {}",
                log.base_url, log.public_key.key_details
            ));
            continue;
        };
        let log = read_log(log, key_details)?;
        // One id names one key: otherwise which key an entry names would depend on the order of the file.
        let same = |earlier: &TransparencyLog| earlier.has_id(&log.log_id) || log.has_id(&earlier.log_id);
        if read.iter().any(same) {
            return Err(Error::TrustedRoot {
                reason: "two logs have the same id",
            });
        }
        read.push(log);
    }
    Ok(read)
}

fn read_log(log: WireLog, key_details: KeyDetails) -> Result<TransparencyLog, Error> {
    if log.hash_algorithm != HASH_ALGORITHM {
        return Err(field("hashAlgorithm"));
    }
    let key = PublicKey::from_spki_der(&bytes(&log.public_key.raw_bytes, "publicKey.rawBytes")?)?;
    if !key_details.fits(key.kind()) {
        return Err(Error::TrustedRoot {
            reason: "a key is not of the type that keyDetails states",
        });
    }
    let mut read = TransparencyLog {
        valid_for: window(log.public_key.valid_for, "publicKey.validFor.start")?,
        log_id: id(&log.log_id.ok_or(field("logId"))?, "logId.keyId")?,
        checkpoint_key_id: None,
        base_url: log.base_url,
        key,
        key_details,
        operator: log.operator,
    };
    if let Some(stated) = log.checkpoint_key_id {
        read.checkpoint_key_id = Some(checkpoint_key_id(&stated, &read)?);
    }
    Ok(read)
}

/// All 32 bytes, or the four of a note's key hint, which the specification recommends [protobuf-specs,
/// `TransparencyLogInstance.checkpoint_key_id`]: those that the key's own id begins with.
fn checkpoint_key_id(stated: &WireId, log: &TransparencyLog) -> Result<[u8; 32], Error> {
    const NAME: &str = "checkpointKeyId.keyId";
    let stated = bytes(&stated.key_id, NAME)?;
    if let Ok(whole) = <[u8; 32]>::try_from(stated.as_slice()) {
        return Ok(whole);
    }
    if stated.len() != 4 {
        return Err(field(NAME));
    }
    let own = [note::log_key_id(log.host(), &log.key), log.key.id().0];
    own.into_iter().find(|id| id.starts_with(&stated)).ok_or(field(NAME))
}

fn read_authorities(
    authorities: Vec<WireAuthority>,
    what: &str,
    skipped: &mut Vec<String>,
    budget: &Budget,
) -> Result<Vec<CertificateAuthority>, Error> {
    let mut read = Vec::with_capacity(authorities.len());
    for authority in authorities {
        let uri = authority.uri.clone();
        match read_authority(authority, budget) {
            Ok(authority) => read.push(authority),
            Err(Error::Key) => skipped.push(format!("{what} {uri}: unsupported key type")),
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

fn read_authority(authority: WireAuthority, budget: &Budget) -> Result<CertificateAuthority, Error> {
    let certificates = authority.cert_chain.certificates;
    if certificates.len() > budget.chain_certificates {
        return Err(Error::TooMany {
            what: "certificates",
            limit: budget.chain_certificates,
        });
    }
    if certificates.is_empty() {
        return Err(field("certChain.certificates"));
    }
    let chain = certificates
        .iter()
        .map(|item| Certificate::from_der(&bytes(&item.raw_bytes, "certificates.rawBytes")?, budget))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(CertificateAuthority {
        organization: authority.subject.organization,
        common_name: authority.subject.common_name,
        uri: authority.uri,
        chain,
        valid_for: window(authority.valid_for, "validFor.start")?,
        operator: authority.operator,
    })
}

/// A window without a start would be open to the past: refused.
fn window(window: Option<WireWindow>, name: &'static str) -> Result<ValidityWindow, Error> {
    let window = window.ok_or(field(name))?;
    let start = window.start.ok_or(field(name))?;
    Ok(ValidityWindow {
        start: UnixTime::from_rfc3339(&start)?,
        end: window.end.map(|end| UnixTime::from_rfc3339(&end)).transpose()?,
    })
}

fn id(stated: &WireId, name: &'static str) -> Result<[u8; 32], Error> {
    bytes(&stated.key_id, name)?.try_into().map_err(|_| field(name))
}

fn bytes(text: &str, name: &'static str) -> Result<Vec<u8>, Error> {
    STANDARD.decode(text).map_err(|_| field(name))
}

const fn field(name: &'static str) -> Error {
    Error::Field {
        what: WHAT,
        field: name,
    }
}

const WHAT: &str = "trusted root";
/// The only algorithm of Merkle trees in Sigstore.
const HASH_ALGORITHM: &str = "SHA2_256";
/// The one media type that every client reads.
const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.trustedroot+json;version=0.1";
const MEDIA_TYPES: [&str; 4] = [
    MEDIA_TYPE,
    "application/vnd.dev.sigstore.trustedroot.v0.1+json",
    "application/vnd.dev.sigstore.trustedroot+json;version=0.2",
    "application/vnd.dev.sigstore.trustedroot.v0.2+json",
];
