//! The testkit itself: the issuer's tokens hold up, its faults strike, and unmodified cargo takes the registry for one.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use tests::{
    Issuer, Registry, Tools,
    http::request,
    issuer::{Algorithm, Endpoint, Fault, Job, Profile},
    project::{Workshop, fixture},
    registry::Options,
    run::run,
};
use verify::{
    Budget,
    token::{JsonWebKeySet, JwsAlgorithm, UnverifiedToken},
};

const LIMIT: Duration = Duration::from_mins(2);

fn keys(issuer: &Issuer) -> JsonWebKeySet {
    let url = format!("{}/.well-known/jwks", issuer.url(Profile::GitHub));
    let answer = tests::http::get(&url).expect("the key set");
    JsonWebKeySet::from_json(&answer.body, &Budget::default()).expect("a key set")
}

fn verified(issuer: &Issuer, token: &str) -> Result<Map<String, Value>, verify::Error> {
    let token = UnverifiedToken::parse(token, &Budget::default())?;
    let token = token.verify(&keys(issuer), &[JwsAlgorithm::Rs256, JwsAlgorithm::Es256])?;
    Ok(token.claims().clone())
}

/// The token a job gets, or the status it is refused with.
fn ask(job: &Job, authorization: &str) -> (u16, Option<String>) {
    let url = format!("{}&audience=sigstore", job.request_url);
    match request("GET", &url, &[("authorization", authorization)], b"") {
        Ok(answer) => {
            let json = answer.json();
            (answer.status, json["value"].as_str().map(str::to_owned))
        }
        Err(_) => (0, None),
    }
}

fn bearer(job: &Job) -> String {
    format!("bearer {}", job.request_token)
}

#[test]
fn tokens_of_both_algorithms_verify_with_the_key_set() {
    let issuer = Issuer::start().expect("an issuer");
    for algorithm in [Algorithm::Rs256, Algorithm::Es256] {
        issuer.sign_with(algorithm);
        for profile in Profile::ALL {
            let token = issuer.token(profile).expect("a token");
            let claims = verified(&issuer, &token).expect("a token that verifies");
            assert_eq!(claims["iss"], issuer.url(profile));
            assert_eq!(claims["aud"], "sigstore");
        }
    }
}

#[test]
fn a_github_job_gets_a_token_with_every_claim_only_for_its_request_token() {
    let issuer = Issuer::start().expect("an issuer");
    let job = issuer.job(Profile::GitHub, &Map::new());
    let (status, token) = ask(&job, &bearer(&job));
    assert_eq!(status, 200);
    let claims = verified(&issuer, &token.expect("a token")).expect("a token that verifies");
    assert!(claims.len() >= 27, "only {} claims", claims.len());
    assert_eq!(ask(&job, "bearer somebody-elses").0, 401);
    assert_eq!(ask(&job, "basic none").0, 401);
}

#[test]
fn every_fault_of_the_token_endpoint_strikes_and_heals() {
    let issuer = Issuer::start().expect("an issuer");
    let job = issuer.job(Profile::GitHub, &Map::new());
    let claim = |name: &str| {
        let token = ask(&job, &bearer(&job)).1.expect("a token");
        verified(&issuer, &token).map(|claims| claims[name].clone())
    };
    assert_eq!(claim("aud"), Ok(json!("sigstore")));

    issuer.inject(Endpoint::Token, Fault::Unavailable { times: 2 });
    assert_eq!(ask(&job, &bearer(&job)).0, 503);
    assert_eq!(ask(&job, &bearer(&job)).0, 503);
    assert_eq!(ask(&job, &bearer(&job)).0, 200);

    issuer.inject(Endpoint::Token, Fault::WrongAudience);
    assert_eq!(claim("aud"), Ok(json!("nobody")));

    let now = claim("iat").expect("a time").as_i64().expect("a number");
    issuer.inject(Endpoint::Token, Fault::ClockSkew { seconds: -86_400 });
    let expired = claim("exp").expect("a time").as_i64().expect("a number");
    assert!(expired < now, "{expired} is not before {now}");

    issuer.inject(Endpoint::Token, Fault::ExtraDots);
    assert!(claim("aud").is_err());
    issuer.inject(Endpoint::Token, Fault::BadSignature);
    assert_eq!(claim("aud"), Err(verify::Error::TokenSignature));

    issuer.inject(Endpoint::Token, Fault::Huge);
    let (_, token) = ask(&job, &bearer(&job));
    assert!(token.expect("a token").len() > 10_000_000);

    issuer.inject(Endpoint::Token, Fault::Garbage);
    assert_eq!(ask(&job, &bearer(&job)), (200, None));

    let pause = Duration::from_micros(200);
    issuer.inject(Endpoint::Token, Fault::SlowBody { pause });
    let start = Instant::now();
    assert_eq!(ask(&job, &bearer(&job)).0, 200);
    assert!(start.elapsed() > pause * 1000);

    issuer.heal();
    assert_eq!(claim("aud"), Ok(json!("sigstore")));
}

#[test]
fn rotated_keys_leave_the_set() {
    let issuer = Issuer::start().expect("an issuer");
    let old = issuer.token(Profile::GitHub).expect("a token");
    assert!(verified(&issuer, &old).is_ok());
    issuer.rotate_keys().expect("new keys");
    assert_eq!(verified(&issuer, &old), Err(verify::Error::TokenKey));
    let new = issuer.token(Profile::GitHub).expect("a token");
    assert!(verified(&issuer, &new).is_ok());
}

#[test]
fn unmodified_cargo_publishes_yanks_and_builds_with_the_registry() {
    for auth_required in [false, true] {
        let registry = Registry::start(Options {
            auth_required,
            ..Options::default()
        })
        .expect("a registry");
        let tools = Tools::install(env!("CARGO_BIN_EXE_sandbox").as_ref()).expect("tools");
        let mut workshop = Workshop::open(&tools).expect("a workshop");
        workshop.know("fixture", &registry);
        let crockford = workshop.adopt(&fixture("crockford")).expect("a crate");
        let cargo = |folder: &std::path::Path, arguments: &[&str]| {
            let mut command = workshop.cargo(folder);
            command
                .args(arguments)
                .env("CARGO_REGISTRIES_FIXTURE_TOKEN", registry.token())
                .env("CARGO_REGISTRY_GLOBAL_CREDENTIAL_PROVIDERS", "cargo:token");
            run(&mut command, LIMIT).expect("cargo ran")
        };
        let published = cargo(&crockford.folder, &["publish", "--registry", "fixture"]);
        published.success().expect("cargo publishes");
        let version = registry.version("crockford", "0.3.1").expect("the version");
        assert_eq!(
            version.line["cksum"],
            verify::Sha256Digest::of(&version.bytes).to_string()
        );

        let consumer = workshop.adopt(&fixture("consumer")).expect("a consumer");
        let added = cargo(&consumer.folder, &["add", "crockford", "--registry", "fixture"]);
        added.success().expect("cargo adds");
        let built = cargo(&consumer.folder, &["run", "--quiet"])
            .success()
            .expect("cargo builds");
        assert_eq!(built.stdout.trim(), "76TB7EDT6YWK5");

        let yank = ["yank", "crockford", "--version", "0.3.1", "--registry", "fixture"];
        cargo(&crockford.folder, &yank).success().expect("cargo yanks");
        assert_eq!(
            registry.version("crockford", "0.3.1").expect("the version").line["yanked"],
            true
        );
        let search = ["search", "crock", "--registry", "fixture"];
        let found = cargo(&crockford.folder, &search).success().expect("cargo searches");
        assert!(found.stdout.contains("crockford = \"0.3.1\""), "{}", found.stdout);
        let owner = ["owner", "--list", "crockford", "--registry", "fixture"];
        let owners = cargo(&crockford.folder, &owner).success().expect("cargo lists owners");
        assert!(owners.stdout.contains("ferris"), "{}", owners.stdout);

        // The bytes that come are checked by cargo against the index: a changed download is not built.
        let mut other = version.bytes.clone();
        *other.last_mut().expect("a byte") ^= 1;
        registry.replace("crockford", "0.3.1", &other, false);
        std::fs::remove_dir_all(workshop.folder().join("cargo-home")).expect("an empty cargo home");
        let refused = cargo(&consumer.folder, &["fetch"]);
        assert_ne!(refused.code, Some(0), "{}", refused.said());
        assert!(refused.stderr.contains("checksum"), "{}", refused.stderr);
    }
}
