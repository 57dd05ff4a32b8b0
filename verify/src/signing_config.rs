//! Signing configuration v0.2 and client trust configuration v0.1 [protobuf-specs trustroot v1].

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Budget, Error, TrustedRoot, UnixTime, json, time::ValidityWindow};

/// Where a signer finds its services.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SigningConfig {
    /// Certificate authorities.
    pub certificate_authorities: Vec<Service>,
    /// OIDC providers.
    pub oidc_providers: Vec<Service>,
    /// Signature logs.
    pub logs: Vec<Service>,
    /// Timestamp authorities: full endpoint URLs.
    pub timestamp_authorities: Vec<Service>,
}

/// One service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Base URL; of a timestamp authority the full endpoint.
    pub url: String,
    /// Major API version.
    pub api_version: u32,
    /// When it may be used.
    pub valid_for: ValidityWindow,
    /// Who runs it.
    pub operator: String,
}

/// Trusted root and signing configuration in one file.
#[derive(Clone, Debug)]
pub struct ClientTrustConfig {
    /// Whom to believe.
    pub trusted_root: TrustedRoot,
    /// Whom to ask.
    pub signing_config: SigningConfig,
}

impl SigningConfig {
    /// Reads v0.2. A selector that asks for more than one log or timestamp is refused, since a signer here uses one of each.
    ///
    /// # Errors
    /// [`Error::MediaType`]; [`Error::Field`] for a selector, URL or version that cannot be used; [`Error::Time`];
    /// [`Error::TooMany`] services of a kind; [`Error::Json`], [`Error::TooLarge`], [`Error::TooDeep`].
    pub fn from_json(bytes: &[u8], budget: &Budget) -> Result<Self, Error> {
        let wire: Wire = json::parse_as(bytes, WHAT, budget.trust_bytes, budget.json_depth)?;
        check_media_type(WHAT, &wire.media_type, MEDIA_TYPE)?;
        check_selector(wire.rekor_tlog_config.as_ref(), "rekorTlogConfig.selector")?;
        check_selector(wire.tsa_config.as_ref(), "tsaConfig.selector")?;
        let services = |list: Vec<WireService>| read_services(list, budget.trust_entries);
        Ok(Self {
            certificate_authorities: services(wire.ca_urls)?,
            oidc_providers: services(wire.oidc_urls)?,
            logs: services(wire.rekor_tlog_urls)?,
            timestamp_authorities: services(wire.tsa_urls)?,
        })
    }

    /// Writes v0.2, selector ANY.
    #[must_use]
    pub fn to_json(&self) -> String {
        self.to_json_value().to_string()
    }

    /// The service to use at `now`: of those valid, the highest of `versions`, then the newest start.
    #[must_use]
    pub fn select<'a>(services: &'a [Service], versions: &[u32], now: UnixTime) -> Option<&'a Service> {
        // `max_by_key` gives the last of equals; reversed, the first of the file wins.
        services
            .iter()
            .rev()
            .filter(|service| versions.contains(&service.api_version) && service.valid_for.contains(now))
            .max_by_key(|service| (service.api_version, service.valid_for.start))
    }

    fn to_json_value(&self) -> Value {
        let services = |list: &[Service]| list.iter().map(Service::to_json_value).collect::<Value>();
        json!({
            "mediaType": MEDIA_TYPE,
            "caUrls": services(&self.certificate_authorities),
            "oidcUrls": services(&self.oidc_providers),
            "rekorTlogUrls": services(&self.logs),
            "tsaUrls": services(&self.timestamp_authorities),
            "rekorTlogConfig": {"selector": "ANY"},
            "tsaConfig": {"selector": "ANY"},
        })
    }
}

impl Service {
    fn to_json_value(&self) -> Value {
        let mut window = json!({"start": self.valid_for.start.to_string()});
        if let (Some(end), Some(members)) = (self.valid_for.end, window.as_object_mut()) {
            members.insert("end".to_owned(), end.to_string().into());
        }
        json!({
            "url": self.url,
            "majorApiVersion": self.api_version,
            "validFor": window,
            "operator": self.operator,
        })
    }
}

impl ClientTrustConfig {
    /// Reads v0.1.
    ///
    /// # Errors
    /// [`Error::MediaType`], [`Error::Json`], and as [`TrustedRoot::from_json`] and [`SigningConfig::from_json`].
    pub fn from_json(bytes: &[u8], budget: &Budget) -> Result<Self, Error> {
        let wire: WireTrustConfig = json::parse_as(bytes, TRUST_CONFIG, budget.trust_bytes, budget.json_depth)?;
        check_media_type(TRUST_CONFIG, &wire.media_type, TRUST_CONFIG_MEDIA_TYPE)?;
        Ok(Self {
            trusted_root: TrustedRoot::from_json(wire.trusted_root.to_string().as_bytes(), budget)?,
            signing_config: SigningConfig::from_json(wire.signing_config.to_string().as_bytes(), budget)?,
        })
    }

    /// Writes v0.1.
    #[must_use]
    pub fn to_json(&self) -> String {
        json!({
            "mediaType": TRUST_CONFIG_MEDIA_TYPE,
            "trustedRoot": self.trusted_root.to_json_value(),
            "signingConfig": self.signing_config.to_json_value(),
        })
        .to_string()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WireTrustConfig {
    #[serde(default)]
    media_type: String,
    trusted_root: Value,
    signing_config: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wire {
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    ca_urls: Vec<WireService>,
    #[serde(default)]
    oidc_urls: Vec<WireService>,
    #[serde(default)]
    rekor_tlog_urls: Vec<WireService>,
    #[serde(default)]
    tsa_urls: Vec<WireService>,
    rekor_tlog_config: Option<WireSelection>,
    tsa_config: Option<WireSelection>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WireService {
    url: String,
    major_api_version: u32,
    valid_for: WireWindow,
    #[serde(default)]
    operator: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireWindow {
    start: String,
    end: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSelection {
    selector: String,
    #[serde(default)]
    count: u32,
}

fn read_services(services: Vec<WireService>, limit: usize) -> Result<Vec<Service>, Error> {
    if services.len() > limit {
        return Err(Error::TooMany {
            what: "services",
            limit,
        });
    }
    services.into_iter().map(WireService::read).collect()
}

impl WireService {
    fn read(self) -> Result<Service, Error> {
        let after_scheme = self.url.strip_prefix("https://").or(self.url.strip_prefix("http://"));
        if after_scheme.is_none_or(|rest| rest.is_empty() || rest.starts_with('/')) {
            return Err(field("url"));
        }
        if self.major_api_version == 0 {
            return Err(field("majorApiVersion"));
        }
        Ok(Service {
            valid_for: ValidityWindow {
                start: UnixTime::from_rfc3339(&self.valid_for.start)?,
                end: self.valid_for.end.map(|end| UnixTime::from_rfc3339(&end)).transpose()?,
            },
            url: self.url,
            api_version: self.major_api_version,
            operator: self.operator,
        })
    }
}

/// `ANY`, `EXACT` with count 1, or nothing said.
fn check_selector(selection: Option<&WireSelection>, name: &'static str) -> Result<(), Error> {
    match selection.map(|selection| (selection.selector.as_str(), selection.count)) {
        None | Some(("ANY", _) | ("EXACT", 1)) => Ok(()),
        Some(_) => Err(field(name)),
    }
}

fn check_media_type(what: &'static str, found: &str, expected: &str) -> Result<(), Error> {
    if found == expected {
        return Ok(());
    }
    Err(Error::MediaType {
        what,
        found: found.chars().take(100).collect(),
    })
}

const fn field(field: &'static str) -> Error {
    Error::Field { what: WHAT, field }
}

const WHAT: &str = "signing configuration";
const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.signingconfig.v0.2+json";
const TRUST_CONFIG: &str = "client trust configuration";
const TRUST_CONFIG_MEDIA_TYPE: &str = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json";

#[cfg(test)]
mod tests {
    use super::*;

    fn honest() -> Value {
        json!({
            "mediaType": MEDIA_TYPE,
            "caUrls": [{"url": "https://ca.example", "majorApiVersion": 1, "validFor": {"start": "2026-01-01T00:00:00Z"}, "operator": "example"}],
            "oidcUrls": [],
            "rekorTlogUrls": [
                {"url": "https://v2.example", "majorApiVersion": 2, "validFor": {"start": "2026-01-01T00:00:00Z", "end": "2026-06-01T00:00:00Z"}, "operator": "example"},
                {"url": "https://v1.example", "majorApiVersion": 1, "validFor": {"start": "2026-02-01T00:00:00Z"}, "operator": "example"},
            ],
            "tsaUrls": [{"url": "http://127.0.0.1:8/api/v1/timestamp", "majorApiVersion": 1, "validFor": {"start": "2026-01-01T00:00:00Z"}, "operator": ""}],
            "rekorTlogConfig": {"selector": "ANY"},
            "tsaConfig": {"selector": "EXACT", "count": 1},
        })
    }

    fn read(value: &Value) -> Result<SigningConfig, Error> {
        SigningConfig::from_json(value.to_string().as_bytes(), &Budget::default())
    }

    fn refused(pointer: &str, value: Value) -> Error {
        let mut document = honest();
        *document.pointer_mut(pointer).unwrap() = value;
        read(&document).unwrap_err()
    }

    #[test]
    fn a_configuration_prints_back() {
        let config = read(&honest()).unwrap();
        assert_eq!(
            SigningConfig::from_json(config.to_json().as_bytes(), &Budget::default()),
            Ok(config.clone())
        );
        assert_eq!(config.logs.len(), 2);
    }

    #[test]
    fn an_unknown_or_missing_media_type_is_refused() {
        let mut document = honest();
        document["mediaType"] = "application/vnd.dev.sigstore.signingconfig.v0.1+json".into();
        assert_eq!(read(&document).unwrap_err().code(), "media-type");
        document.as_object_mut().unwrap().remove("mediaType");
        assert_eq!(read(&document).unwrap_err().code(), "media-type");
    }

    #[test]
    fn a_selector_for_more_than_one_service_is_refused() {
        for selector in [
            json!({"selector": "ALL"}),
            json!({"selector": "EXACT", "count": 2}),
            json!({"selector": "SERVICE_SELECTOR_UNDEFINED"}),
        ] {
            for (pointer, name) in [
                ("/rekorTlogConfig", "rekorTlogConfig.selector"),
                ("/tsaConfig", "tsaConfig.selector"),
            ] {
                assert_eq!(refused(pointer, selector.clone()), field(name));
            }
        }
    }

    #[test]
    fn a_url_without_scheme_or_host_is_refused() {
        for url in ["", "ca.example", "ftp://ca.example", "https://", "https:///path"] {
            assert_eq!(refused("/caUrls/0/url", url.into()), field("url"), "{url}");
        }
    }

    #[test]
    fn a_service_without_version_or_start_is_refused() {
        assert_eq!(refused("/caUrls/0/majorApiVersion", 0.into()), field("majorApiVersion"));
        assert_eq!(refused("/caUrls/0/validFor", json!({})).code(), "json");
        assert_eq!(refused("/caUrls/0/validFor/start", "yesterday".into()), Error::Time);
    }

    #[test]
    fn an_unknown_member_is_refused() {
        let mut document = honest();
        document["more"] = json!(1);
        assert_eq!(read(&document).unwrap_err().code(), "json");
    }

    #[test]
    fn more_services_than_the_budget_are_refused() {
        let text = honest().to_string();
        let budget = |trust_entries| Budget {
            trust_entries,
            ..Budget::default()
        };
        assert!(SigningConfig::from_json(text.as_bytes(), &budget(2)).is_ok());
        let too_many = Error::TooMany {
            what: "services",
            limit: 1,
        };
        assert_eq!(SigningConfig::from_json(text.as_bytes(), &budget(1)), Err(too_many));
    }

    #[test]
    fn the_highest_version_valid_now_is_selected() {
        let logs = read(&honest()).unwrap().logs;
        let at = |text: &str| UnixTime::from_rfc3339(text).unwrap();
        let select = |versions: &[u32], now| SigningConfig::select(&logs, versions, at(now)).map(|log| log.api_version);
        assert_eq!(select(&[1, 2], "2026-03-01T00:00:00Z"), Some(2));
        assert_eq!(select(&[1], "2026-03-01T00:00:00Z"), Some(1));
        assert_eq!(select(&[1, 2], "2026-07-01T00:00:00Z"), Some(1));
        assert_eq!(select(&[2], "2026-07-01T00:00:00Z"), None);
        assert_eq!(select(&[3], "2026-03-01T00:00:00Z"), None);
        assert_eq!(select(&[1, 2], "2025-12-31T00:00:00Z"), None);
    }

    #[test]
    fn of_equal_versions_the_newest_start_is_selected_then_the_first() {
        let service = |url: &str, start| Service {
            url: url.to_owned(),
            api_version: 2,
            valid_for: ValidityWindow {
                start: UnixTime::from_secs(start),
                end: None,
            },
            operator: String::new(),
        };
        let services = [service("old", 1), service("new", 2), service("new again", 2)];
        let selected = SigningConfig::select(&services, &[2], UnixTime::from_secs(9));
        assert_eq!(selected.map(|service| service.url.as_str()), Some("new"));
    }

    #[test]
    fn a_trust_configuration_prints_back() {
        let config = ClientTrustConfig {
            trusted_root: TrustedRoot::default(),
            signing_config: read(&honest()).unwrap(),
        };
        let text = config.to_json();
        let again = ClientTrustConfig::from_json(text.as_bytes(), &Budget::default()).unwrap();
        assert_eq!(again.signing_config, config.signing_config);
        assert_eq!(again.to_json(), text);
    }

    #[test]
    fn a_trust_configuration_of_another_kind_is_refused() {
        let config = ClientTrustConfig {
            trusted_root: TrustedRoot::default(),
            signing_config: SigningConfig::default(),
        };
        let text = config
            .to_json()
            .replace("clienttrustconfig.v0.1", "clienttrustconfig.v0.2");
        let error = ClientTrustConfig::from_json(text.as_bytes(), &Budget::default()).unwrap_err();
        assert_eq!(error.code(), "media-type");
    }
}
