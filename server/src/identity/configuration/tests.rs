//! Tests of the configuration: one honest file, harmed in one place at a time.

use super::*;

const HONEST: &str = r#"
oidc-issuers:
  https://ci.example.com:
    issuer-url: https://ci.example.com
    client-id: sigstore
    type: ci-provider
    ci-provider: mine
    contact: a@example.com
    description: "words"
  https://accounts.example.com:
    client-id: sigstore
    type: email
    issuer-claim: $.federated_claims.connector_id
    challenge-claim: email
meta-issuers:
  https://ci.example.com/org/*:
    client-id: sigstore
    type: ci-provider
    ci-provider: mine
ci-issuer-metadata:
  mine:
    default-template-values:
      url: "https://ci.example.com"
    extension-templates:
      source-repository-digest: "sha"
      source-repository-uri: "{{ .url }}/{{ .repository }}"
    subject-alternative-name-template: "{{ .url }}/{{ .workflow }}"
"#;

fn refusal(from: &str, to: &str) -> &'static str {
    assert!(HONEST.contains(from), "{from}");
    IdentityConfig::from_yaml(HONEST).unwrap();
    IdentityConfig::from_yaml(&HONEST.replace(from, to)).unwrap_err().code()
}

#[test]
fn an_honest_configuration_loads() {
    let config = IdentityConfig::from_yaml(HONEST).unwrap();
    assert_eq!(config.find("https://ci.example.com").unwrap().challenge_claim(), "sub");
    assert_eq!(
        config.find("https://accounts.example.com").unwrap().challenge_claim(),
        "email"
    );
    assert!(config.find("https://ci.example.com/").is_none());
    let listed: Vec<_> = config
        .issuers()
        .iter()
        .map(|(i, wild)| (i.url.clone(), *wild))
        .collect();
    assert_eq!(listed[2], ("https://ci.example.com/org/*".to_owned(), true));
}

#[test]
fn json_is_read_too() {
    let text = r#"{"oidc-issuers":{"https://a.example":{"client-id":"sigstore","type":"email"}}}"#;
    IdentityConfig::from_yaml(text).unwrap();
}

#[test]
fn anchors_and_aliases_are_followed() {
    let text =
        "define:\n  - &kind email\noidc-issuers:\n  https://a.example:\n    client-id: sigstore\n    type: *kind\n";
    IdentityConfig::from_yaml(text).unwrap();
}

/// The public file names its providers by aliases, which stand as keys too.
#[test]
fn aliases_may_be_keys() {
    let text = r#"
define:
  - &mine "some-provider"
oidc-issuers:
  https://a.example:
    issuer-url: https://a.example
    client-id: sigstore
    type: ci-provider
    ci-provider: *mine
ci-issuer-metadata:
  *mine :
    subject-alternative-name-template: '{{.url}}'
"#;
    IdentityConfig::from_yaml(text).unwrap();
    IdentityConfig::from_yaml(&text.replace("*mine :", "*mine:")).unwrap();
}

#[test]
fn a_pattern_matches_the_whole_issuer_only() {
    let pattern = Pattern::new("https://ci.example.com/org/*");
    assert!(pattern.matches("https://ci.example.com/org/a-B_9"));
    for foreign in [
        "https://ci.example.com/org/",
        "https://ci.example.com/org/a/b",
        "https://ci.example.com/org/a.b",
        "xhttps://ci.example.com/org/a",
        "https://ci.example.com/org/a?x=https://ci.example.com/org/a",
    ] {
        assert!(!pattern.matches(foreign), "{foreign}");
    }
    assert!(Pattern::new("https://*.oic.example/*/*").matches("https://eu.oic.example/a/b"));
}

#[test]
fn each_mistake_has_its_code() {
    assert_eq!(
        refusal("type: email", "type: kubernetes"),
        "identity-config-issuer-type"
    );
    assert_eq!(refusal("type: email", "type: username"), "identity-config-issuer-type");
    assert_eq!(
        refusal("ci-provider: mine", "ci-provider: other"),
        "identity-config-provider"
    );
    assert_eq!(
        refusal("  https://accounts.example.com:", "  http://accounts.example.com:"),
        "identity-config-issuer-url"
    );
    assert_eq!(
        refusal("issuer-url: https://ci.example.com", "issuer-url: https://x.example"),
        "identity-config-issuer-mismatch"
    );
    assert_eq!(
        refusal("source-repository-digest:", "source-repository-colour:"),
        "identity-config-extension"
    );
    assert_eq!(
        refusal("source-repository-digest:", "issuer:"),
        "identity-config-extension"
    );
    assert_eq!(
        refusal("{{ .workflow }}", "{{ .workflow | html }}"),
        "identity-config-template"
    );
    assert_eq!(
        refusal("$.federated_claims.connector_id", "$..x"),
        "identity-config-issuer-claim"
    );
    assert_eq!(
        refusal("challenge-claim: email", "challenge-claim: sub"),
        "identity-config-challenge-claim"
    );
    assert_eq!(
        refusal("    client-id: sigstore\n    type: email", "    type: email"),
        "identity-config-audience"
    );
    assert_eq!(refusal("contact:", "kontakt:"), "identity-config-yaml");
    assert_eq!(
        refusal(
            "type: email\n    issuer-claim: $.federated_claims.connector_id\n    challenge-claim: email",
            "type: uri"
        ),
        "identity-config-subject-domain"
    );
}

#[test]
fn no_issuer_and_too_much_text_are_refused() {
    assert_eq!(
        IdentityConfig::from_yaml("oidc-issuers: {}").unwrap_err(),
        IdentityError::Empty
    );
    let long = format!("{HONEST}#{}", "x".repeat(MAX_BYTES));
    assert_eq!(IdentityConfig::from_yaml(&long).unwrap_err(), IdentityError::TooLarge);
}

#[test]
fn loopback_http_needs_its_flag() {
    let text = "oidc-issuers:\n  http://127.0.0.1:7:\n    client-id: sigstore\n    type: email\n    allow-loopback-http: true\n";
    IdentityConfig::from_yaml(text).unwrap();
    let refused = IdentityConfig::from_yaml(&text.replace("true", "false"));
    assert_eq!(refused.unwrap_err().code(), "identity-config-issuer-url");
}
