//! Standard Webhooks as kellnr sends them: is a delivery genuine, and which version does it hint at.
//!
//! A delivery states no checksum, so it is a hint only: whoever could forge one could make the gate look at a crate, no more.

use std::path::PathBuf;

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use semver::Version;
use serde::Deserialize;
use verify::{Budget, UnixTime, json};
use zeroize::Zeroizing;

use crate::decision::Finding;

/// Section `[webhook]` of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Webhook {
    /// File with the secret, `whsec_` and base64, as it was given to the registry.
    pub secret_file: PathBuf,
    /// File with a token of the registry that may download and yank.
    #[serde(default)]
    pub registry_token_file: Option<PathBuf>,
    /// Environment variable with it, instead.
    #[serde(default)]
    pub registry_token_variable: Option<String>,
}

impl Webhook {
    /// Refuses what cannot work.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.registry_token_file.is_some() == self.registry_token_variable.is_some() {
            return Err("webhook needs one of registry-token-file and registry-token-variable");
        }
        Ok(())
    }
}

/// The key that deliveries are signed with. It does not show.
pub(crate) struct Secret(hmac::Key);

impl Secret {
    /// Reads `whsec_…`; none when it is not of this form or shorter than 128 bits.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(STANDARD.decode(text.trim().strip_prefix("whsec_")?).ok()?);
        (bytes.len() >= 16).then(|| Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The three headers of a delivery, and its body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivery<'a> {
    pub(crate) id: &'a str,
    pub(crate) timestamp: &'a str,
    pub(crate) signature: &'a str,
    pub(crate) body: &'a [u8],
}

/// The version that a delivery hints at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hint {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Whether it is the first of its name, as the registry says.
    pub(crate) new: bool,
}

impl Delivery<'_> {
    /// Checks time and signature [Standard Webhooks, "Verifying webhook authenticity"]; any of several signatures counts.
    pub(crate) fn check(&self, secret: &Secret, now: UnixTime) -> Result<(), Finding> {
        let sent: i64 = self
            .timestamp
            .parse()
            .map_err(|_| refused("`webhook-timestamp` is no time"))?;
        if sent.abs_diff(now.as_secs()) > TOLERANCE_SECS {
            return Err(refused("the delivery is more than five minutes off"));
        }
        if self.id.is_empty() || self.id.len() > ID_BYTES || self.id.contains('.') {
            return Err(refused("`webhook-id` is missing or malformed"));
        }
        let mut signed = format!("{}.{}.", self.id, self.timestamp).into_bytes();
        signed.extend_from_slice(self.body);
        let given = self
            .signature
            .split(' ')
            .take(SIGNATURES)
            .filter_map(|part| part.strip_prefix("v1,"));
        let mut decoded = given.filter_map(|text| STANDARD.decode(text).ok());
        // `verify` compares in constant time.
        let genuine = decoded.any(|tag| hmac::verify(&secret.0, &signed, &tag).is_ok());
        genuine
            .then_some(())
            .ok_or_else(|| refused("the signature is not by our secret"))
    }

    /// The hinted version of an added or updated crate; none for other events.
    pub(crate) fn hint(&self) -> Result<Option<Hint>, Finding> {
        let depth = Budget::default().json_depth;
        let payload: Payload = json::parse_as(self.body, "webhook", BODY_BYTES, depth).map_err(|_| malformed())?;
        if !matches!(payload.kind.as_str(), "crate_add" | "crate_update") {
            return Ok(None);
        }
        let (name, version) = (payload.data.crate_name, payload.data.crate_version);
        let plain = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if name.is_empty() || name.len() > NAME_BYTES || !plain || Version::parse(&version).is_err() {
            return Err(malformed());
        }
        let new = payload.kind == "crate_add";
        Ok(Some(Hint { name, version, new }))
    }
}

/// Spellings under which the index may keep a name that the registry has normalised.
pub(crate) fn spellings(name: &str) -> Vec<String> {
    let mut all = vec![name.to_owned()];
    for other in [name.replace('_', "-"), name.replace('-', "_")] {
        if !all.contains(&other) {
            all.push(other);
        }
    }
    all
}

#[derive(Deserialize)]
struct Payload {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    data: Data,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Data {
    crate_name: String,
    crate_version: String,
}

fn refused(cause: &str) -> Finding {
    Finding {
        code: "gate-hook-refused",
        cause: cause.to_owned(),
        hint: "give registry and gate the same `whsec_…` secret, and both the right time",
    }
}

pub(crate) fn malformed() -> Finding {
    Finding {
        code: "gate-hook-malformed",
        cause: "the delivery is not one of kellnr's: type, data.crate_name, data.crate_version".to_owned(),
        hint: "register the hook for crate_add and crate_update",
    }
}

/// The specification's own.
const TOLERANCE_SECS: u64 = 300;
const ID_BYTES: usize = 256;
/// Two while a secret is rotated.
const SIGNATURES: usize = 8;
/// Crates.io's limit for names.
const NAME_BYTES: usize = 64;
/// A delivery is some hundred bytes.
pub(crate) const BODY_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const BODY: &[u8] = br#"{"type":"crate_add","timestamp":"x","data":{"crate_name":"a","crate_version":"1.0.0"}}"#;

    fn delivery(body: &[u8]) -> Result<(), Finding> {
        let key = Secret::read(SECRET).unwrap();
        let tag = hmac::sign(&key.0, &[b"msg_1.1000.", BODY].concat());
        let signature = format!("v2,x v1,{}", STANDARD.encode(tag));
        let delivery = Delivery {
            id: "msg_1",
            timestamp: "1000",
            signature: &signature,
            body,
        };
        delivery.check(&key, UnixTime::from_secs(1300))
    }

    #[test]
    fn the_published_example_verifies() {
        // The example of the Standard Webhooks specification.
        let delivery = Delivery {
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
            timestamp: "1614265330",
            signature: "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            body: br#"{"test": 2432232314}"#,
        };
        let key = Secret::read(SECRET).unwrap();
        assert_eq!(delivery.check(&key, UnixTime::from_secs(1_614_265_330)), Ok(()));
        for wrong in [
            Delivery {
                id: "msg_x",
                ..delivery
            },
            Delivery {
                timestamp: "1614265331",
                ..delivery
            },
            Delivery {
                timestamp: "soon",
                ..delivery
            },
            Delivery {
                signature: "",
                ..delivery
            },
            Delivery {
                body: b"{}",
                ..delivery
            },
        ] {
            assert!(
                wrong.check(&key, UnixTime::from_secs(1_614_265_330)).is_err(),
                "{wrong:?}"
            );
        }
        let late = UnixTime::from_secs(1_614_265_330 + 301);
        assert!(delivery.check(&key, late).is_err());
    }

    #[test]
    fn one_of_several_signatures_is_enough() {
        assert_eq!(delivery(BODY), Ok(()));
        assert!(delivery(b"{}").is_err());
    }

    #[test]
    fn hints_are_plain_names_and_versions() {
        let hint = |body: &str| {
            let delivery = Delivery {
                id: "",
                timestamp: "",
                signature: "",
                body: body.as_bytes(),
            };
            delivery.hint()
        };
        let text = std::str::from_utf8(BODY).unwrap();
        let found = hint(text).unwrap().unwrap();
        assert_eq!((found.name.as_str(), found.version.as_str()), ("a", "1.0.0"));
        assert_eq!(hint(&text.replace("crate_add", "crate_yank")).unwrap(), None);
        for (from, to) in [
            ("\"a\"", "\"../a\""),
            ("\"a\"", "\"\""),
            ("1.0.0", "1"),
            ("{\"type", "{\"kind"),
        ] {
            assert!(hint(&text.replace(from, to)).is_err(), "{to}");
        }
        assert_eq!(spellings("a-b_c"), ["a-b_c", "a-b-c", "a_b_c"]);
    }

    #[test]
    fn short_or_strange_secrets_are_no_secrets() {
        assert!(Secret::read(SECRET).is_some());
        for wrong in ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_", "whsec_AAAA", "whsec_!!"] {
            assert!(Secret::read(wrong).is_none(), "{wrong}");
        }
    }
}
