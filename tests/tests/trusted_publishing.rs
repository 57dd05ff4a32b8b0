//! Trusted publishing through the gate: who gets an upload token, what it is good for, and what is kept of it.

use std::{path::Path, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};
use tests::{
    Gatehouse, Issuer,
    ci::Release,
    gatehouse::{EVERYBODY, Setting, only_ferris},
    http::{self, Answer},
    issuer::{Algorithm, Profile},
    project::Project,
    registry,
    run::Outcome,
};

const TOKENS: &str = "/api/v1/trusted_publishing/tokens";

struct Scene(Gatehouse);

impl std::ops::Deref for Scene {
    type Target = Gatehouse;

    fn deref(&self) -> &Gatehouse {
        &self.0
    }
}

impl std::ops::DerefMut for Scene {
    fn deref_mut(&mut self) -> &mut Gatehouse {
        &mut self.0
    }
}

fn setting(issuer: &Issuer) -> Setting {
    let section = format!(
        "[trusted-publishing]\nregistry-token-file = \"registry-token\"\nlifetime-minutes = 15\n\
         [[trusted-publishing.provider]]\nissuer = \"{}\"\nserver = \"https://github.com\"\n",
        issuer.url(Profile::GitHub)
    );
    let rule = only_ferris(issuer);
    let policy = format!(
        "{EVERYBODY}{rule}owner-id = \"9919001\"\ntrusted-publishing-only = true\n\
         [[exception]]\ncrate = \"crockford\"\nversion = \"0.3.1\"\nreason = \"this test is about tokens\"\n\
         expires = 2999-12-31\n"
    );
    Setting::policy(policy).sections(&section)
}

impl Scene {
    fn open() -> Self {
        let binary = Path::new(env!("CARGO_BIN_EXE_sandbox"));
        Self(Gatehouse::open(binary, setting).expect("a gate"))
    }

    /// An identity token for this gate with other claims.
    fn identity(&self, changes: &Value) -> String {
        let mut claims = Map::new();
        claims.insert("aud".to_owned(), self.gate.url().trim_start_matches("http://").into());
        claims.extend(changes.as_object().cloned().unwrap_or_default());
        self.issuer.token_with(Profile::GitHub, &claims).expect("a token")
    }

    fn exchange(&self, identity: &str) -> Answer {
        http::post_json(&format!("{}{TOKENS}", self.gate.url()), &json!({ "jwt": identity })).expect("an answer")
    }

    fn upload_token(&self) -> String {
        let answer = self.exchange(&self.identity(&json!({})));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["token"].as_str().expect("a token").to_owned()
    }

    fn publish(&self, project: &Project, token: &str) -> Outcome {
        let mut command = self.command(project, &["publish", "--registry", "gate", "--allow-dirty"]);
        self.run(command.env("CARGO_REGISTRIES_GATE_TOKEN", token))
    }
}

#[test]
fn unmodified_cargo_publishes_with_an_exchanged_token_and_only_what_it_was_given_for() {
    let scene = Scene::open();
    let project = scene.project("crockford");
    let stolen = scene.publish(&project, scene.registry.token());
    assert!(stolen.stderr.contains("gate-exchanged-only"), "{}", stolen.said());

    let revoked = scene.upload_token();
    let url = format!("{}{TOKENS}", scene.gate.url());
    let bearer = format!("Bearer {revoked}");
    let gone = http::request("DELETE", &url, &[("authorization", &bearer)], b"").expect("an answer");
    assert_eq!(gone.status, 204);
    let refused = scene.publish(&project, &revoked);
    assert!(refused.stderr.contains("gate-upload-token"), "{}", refused.said());
    assert_eq!(scene.registry.uploads().len(), 0, "nothing reached the registry");

    let token = scene.upload_token();
    assert!(token.starts_with("cio_tp_") && token.len() == 39, "crates.io's form");
    let published = scene.publish(&project, &token);
    assert_eq!(published.code, Some(0), "{}", published.said());
    let uploads = scene.registry.uploads();
    assert_eq!(
        uploads[0].authorization.as_deref(),
        Some(scene.registry.token()),
        "the registry sees its own token"
    );
    let other = scene.publish(&scene.project("telltale"), &token);
    assert!(other.stderr.contains("gate-upload-crate"), "{}", other.said());
    let yank = format!("{}/api/v1/crates/crockford/0.3.1/yank", scene.gate.url());
    let yanked = http::request("DELETE", &yank, &[("authorization", &token)], b"").expect("an answer");
    assert!(yanked.text().contains("gate-upload-only"), "{}", yanked.text());

    let log = scene.gate.log();
    let mut kept = Vec::new();
    for entry in std::fs::read_dir(scene.gate.data()).expect("the gate's data") {
        kept.extend(std::fs::read(entry.expect("a file").path()).expect("its bytes"));
    }
    for secret in [token.as_str(), revoked.as_str(), scene.registry.token()] {
        assert!(!log.contains(secret), "the log is silent");
        let found = kept.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "only hashes are kept");
    }
    let seen = scene.registry.requests();
    let leaked = seen.iter().filter_map(|request| request.authorization.as_deref());
    assert!(!leaked.into_iter().any(|value| value.contains("cio_tp_")));
}

/// What the rule says of the crate's name.
fn naming(issuer: &Issuer, crates: &str) -> String {
    let rule = only_ferris(issuer).replace("[\"crockford\"]", crates);
    format!("{rule}owner-id = \"9919001\"\n")
}

const EXCEPTED: &str = "[[exception]]\ncrate = \"crockford\"\nversion = \"0.3.1\"\n\
                        reason = \"this test is about tokens\"\nexpires = 2999-12-31\n";

#[test]
fn an_exchanged_token_uploads_no_new_crate_under_a_pattern() {
    let scene = Scene::open();
    let project = scene.project("crockford");
    let pattern = format!("{}{EXCEPTED}", naming(&scene.issuer, "[\"crock*\"]"));
    scene.gate.change_policy(&pattern);
    let refused = scene.publish(&project, &scene.upload_token());
    assert!(refused.stderr.contains("gate-upload-new"), "{}", refused.said());
    assert_eq!(scene.registry.uploads().len(), 0, "nothing reached the registry");
    // It may once the crate is there,
    let early = scene.workshop.next_version(&project, "0.3.0").expect("a version");
    let first = scene.cargo(&early, &["publish", "--registry", "bare", "--allow-dirty"]);
    assert_eq!(first.code, Some(0), "{}", first.said());
    let project = scene.workshop.next_version(&early, "0.3.1").expect("a version");
    let published = scene.publish(&project, &scene.upload_token());
    assert_eq!(published.code, Some(0), "{}", published.said());
}

#[test]
fn any_change_of_a_rule_takes_its_tokens_back() {
    let scene = Scene::open();
    let project = scene.project("crockford");
    let policy = format!("{}{EXCEPTED}", naming(&scene.issuer, "[\"crockford\"]"));
    scene.gate.change_policy(&policy);
    let token = scene.upload_token();
    let stricter = policy.replacen("owner-id", "runner = \"github-hosted\"\nowner-id", 1);
    scene.gate.change_policy(&stricter);
    let refused = scene.publish(&project, &token);
    assert!(refused.stderr.contains("gate-upload-crate"), "{}", refused.said());
    scene.gate.change_policy(&format!("# the same rule\n{policy}"));
    let published = scene.publish(&project, &token);
    assert_eq!(published.code, Some(0), "{}", published.said());
}

/// Cargo shows its token for every read there, also for the archives that the verification build needs.
#[test]
fn an_exchanged_token_reads_index_and_archives_of_a_registry_that_wants_to_know_its_readers() {
    let options = registry::Options {
        auth_required: true,
        ..registry::Options::default()
    };
    let binary = Path::new(env!("CARGO_BIN_EXE_sandbox"));
    let scene = Scene(Gatehouse::open(binary, |issuer| setting(issuer).before(options)).expect("a gate"));
    let token = scene.upload_token();
    let published = scene.publish(&scene.project("crockford"), &token);
    assert_eq!(published.code, Some(0), "{}", published.said());
    for path in [
        "/index/config.json",
        "/index/cr/oc/crockford",
        "/dl/crockford/0.3.1/download",
    ] {
        let url = format!("{}{path}", scene.gate.url());
        let asked = |token: &str| {
            let answer = http::request("GET", &url, &[("authorization", token)], b"").expect("an answer");
            answer.status
        };
        let altered = format!("{}{}", &token[..38], if token.ends_with('0') { '1' } else { '0' });
        assert_eq!((asked(&token), asked(&altered)), (200, 403), "{path}");
    }
}

#[test]
fn each_wrong_identity_token_buys_nothing() {
    let scene = Scene::open();
    let now = i64::try_from(
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .expect("after 1970")
            .as_secs(),
    )
    .expect("a time");
    assert_eq!(
        scene.exchange(&scene.identity(&json!({}))).status,
        200,
        "unharmed it is good"
    );
    let other_case = scene.identity(&json!({"repository": "Ferris/Crockford",
        "workflow_ref": "Ferris/Crockford/.github/workflows/release.yml@refs/tags/v0.3.1"}));
    assert_eq!(scene.exchange(&other_case).status, 200, "repositories have no case");
    for (changes, code) in [
        (json!({"repository_owner_id": "666"}), "gate-exchange-claims"),
        (json!({"repository": "mallory/crockford"}), "gate-exchange-claims"),
        (
            json!({"workflow_ref": "ferris/crockford/.github/workflows/evil.yml@refs/tags/v0.3.1"}),
            "gate-exchange-claims",
        ),
        (json!({"ref": "refs/heads/main"}), "gate-exchange-claims"),
        (json!({"event_name": "pull_request_target"}), "gate-exchange-event"),
        (json!({"event_name": "workflow_run"}), "gate-exchange-event"),
        (json!({"aud": "crates.io"}), "gate-exchange-token"),
        (json!({"exp": now - 61}), "gate-exchange-token"),
        (json!({"iat": now + 300}), "gate-exchange-token"),
        (json!({"jti": null}), "gate-exchange-token"),
        (json!({"iss": "https://token.example"}), "gate-exchange-issuer"),
    ] {
        let answer = scene.exchange(&scene.identity(&changes));
        assert_eq!(answer.status, 400, "{changes}");
        assert!(answer.text().contains(code), "{changes}: {}", answer.text());
    }
    let honest = scene.identity(&json!({}));
    let (message, signature) = honest.rsplit_once('.').expect("a compact token");
    let claims = message.split('.').nth(1).expect("claims");
    let none = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"none","kid":"rsa-1"}"#);
    let without_key = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"RS256"}"#);
    for spoiled in [
        format!("{none}.{claims}."),
        format!("{without_key}.{claims}.{signature}"),
        format!("{message}.AAAA{}", &signature[4..]),
        format!("{honest}."),
        String::new(),
    ] {
        let answer = scene.exchange(&spoiled);
        assert!(answer.text().contains("gate-exchange-token"), "{}", answer.text());
    }
    assert_eq!(scene.exchange(&honest).status, 200, "none of those used it up");
    scene.issuer.sign_with(Algorithm::Es256);
    let elliptic = scene.exchange(&scene.identity(&json!({})));
    assert!(elliptic.text().contains("gate-exchange-token"), "{}", elliptic.text());
}

#[test]
fn an_identity_token_is_good_once_also_over_a_kill() {
    let mut scene = Scene::open();
    let identity = scene.identity(&json!({}));
    let first = scene.exchange(&identity);
    assert_eq!(first.status, 200);
    assert!(scene.exchange(&identity).text().contains("gate-exchange-replayed"));
    scene.gate.kill();
    scene.gate.serve().expect("the gate again");
    assert!(scene.exchange(&identity).text().contains("gate-exchange-replayed"));
    let token = first.json()["token"].as_str().expect("a token").to_owned();
    let project = scene.project("crockford");
    let published = scene.publish(&project, &token);
    assert_eq!(
        published.code,
        Some(0),
        "a token that was given survives: {}",
        published.said()
    );
}

#[test]
fn killed_between_identity_and_answer_no_token_is_out_and_a_fresh_identity_buys_one() {
    for (point, kept) in [("identity-used", 0), ("token-kept", 1)] {
        let mut scene = Scene::open();
        let token = scene.upload_token();
        scene.gate.kill();
        scene.gate.crash_at(Some(point));
        scene.gate.serve().expect("the gate again");
        let identity = scene.identity(&json!({}));
        let url = format!("{}{TOKENS}", scene.gate.url());
        let unanswered = http::post_json(&url, &json!({ "jwt": identity }));
        assert!(
            unanswered.as_ref().is_err() || unanswered.as_ref().is_ok_and(|answer| answer.body.is_empty()),
            "{point}: {unanswered:?}"
        );
        assert!(scene.gate.died_within(Duration::from_mins(1)), "{point}");
        scene.gate.kill();
        scene.gate.crash_at(None);
        scene.gate.serve().expect("the gate again");

        let again = scene.exchange(&identity);
        assert!(
            again.text().contains("gate-exchange-replayed"),
            "{point}: {}",
            again.text()
        );
        let records = rusqlite::Connection::open(scene.gate.data().join("records.sqlite")).expect("the records");
        let count = |table: &str| -> i64 {
            let query = format!("SELECT count(*) FROM {table}");
            records.query_row(&query, [], |row| row.get(0)).expect("a count")
        };
        assert_eq!(count("used"), 2, "{point}: both identities are used up");
        assert_eq!(
            count("upload_token"),
            1 + kept,
            "{point}: by its hash alone, which nobody can present"
        );

        let fresh = scene.upload_token();
        assert_ne!(fresh, token);
        let project = scene.project("crockford");
        let published = scene.publish(&project, &fresh);
        assert_eq!(published.code, Some(0), "{point}: {}", published.said());
    }
}

#[test]
fn our_own_publish_exchanges_right_before_the_upload_and_gives_the_token_back() {
    let scene = Scene::open();
    let project = scene.project("crockford");
    let release = Release::of_tag("ferris/crockford", &project.version, &project.commit);
    let job = release.github_environment(&scene.issuer);
    let published = scene.run(&mut scene.sigstore_command(&project, job));
    assert_eq!(published.code, Some(0), "{}", published.said());
    assert_eq!(scene.registry.uploads().len(), 1);
    let log = scene.gate.log();
    assert_eq!(log.matches("upload token given").count(), 1, "{log}");
    let records = rusqlite::Connection::open(scene.gate.data().join("records.sqlite")).expect("the records");
    let out: i64 = records
        .query_row("SELECT count(*) FROM upload_token", [], |row| row.get(0))
        .expect("a count");
    assert_eq!(out, 0, "the token was given back");
}

#[test]
fn a_refused_exchange_shows_the_gates_words_and_the_claims() {
    let scene = Scene::open();
    let project = scene.project("crockford");
    let run = |project: &Project, changes: &Value| {
        let release = Release::of_tag("ferris/crockford", &project.version, &project.commit);
        let job = release.github_environment_with(&scene.issuer, changes);
        scene.run(&mut scene.sigstore_command(project, job))
    };
    let strangers = json!({"repository_owner_id": "666", "run_id": "4711"});
    let refused = |project: &Project, code: &str| {
        let refused = run(project, &strangers);
        assert_eq!(refused.code, Some(1), "{}", refused.said());
        for words in [
            &format!("error[{code}]"),
            "the registry says: ",
            "repository_owner_id: 666",
            "run_id: 4711",
            &format!("sha: {}", project.commit),
        ] {
            assert!(refused.stderr.contains(words), "no {words} in {}", refused.said());
        }
    };
    refused(&project, "E-TP-NEW");
    let published = run(&project, &json!({}));
    assert_eq!(published.code, Some(0), "{}", published.said());
    refused(&scene.next_version(&project, "0.3.2"), "E-TP-CONFIG");
    assert_eq!(scene.registry.uploads().len(), 1);
}

/// With what the Action does by default: no token of the registry, and an exchange where the CI offers an identity.
#[test]
fn a_job_that_may_not_ask_for_an_identity_is_told_so_before_anything_is_packaged() {
    let scene = Scene::open();
    let project = scene.project("crockford");
    let release = Release::of_tag("ferris/crockford", &project.version, &project.commit);
    let without = || scene.sigstore_command(&project, release.github_environment_without_permission(&scene.issuer));
    let event = scene.gate.file("event.json");
    let fork = json!({"pull_request": {"head": {"repo": {"fork": true}}}});
    std::fs::write(&event, fork.to_string()).expect("an event");
    let mut from_fork = without();
    from_fork.env("GITHUB_EVENT_PATH", &event);
    let mut at_forgejo = without();
    at_forgejo.env("FORGEJO_ACTIONS", "true");
    // A token to sign with is none to exchange.
    let mut signing_only = without();
    signing_only.env("SIGSTORE_ID_TOKEN", scene.identity(&json!({"aud": "sigstore"})));
    let mut asked_for = without();
    asked_for.arg("--trusted-publishing=always");
    for (what, mut command, code) in [
        ("no permission", without(), "E-ID-NOPERM"),
        ("a fork", from_fork, "E-ID-FORK"),
        ("Forgejo", at_forgejo, "E-ID-FORGEJO"),
        ("a token to sign with", signing_only, "E-ID-NOPERM"),
        ("an exchange that was asked for", asked_for, "E-ID-NOPERM"),
    ] {
        let refused = scene.run(&mut command);
        assert_eq!(refused.code, Some(2), "{what}: {}", refused.said());
        assert!(
            refused.stderr.contains(&format!("error[{code}]")) && refused.stderr.contains("hint: "),
            "{what}: {}",
            refused.said()
        );
        assert!(!refused.stderr.contains("Packaging"), "{what}: {}", refused.said());
    }
    assert_eq!(scene.registry.uploads().len(), 0, "nothing reached the registry");
    let may_ask = release.github_environment(&scene.issuer);
    let published = scene.run(&mut scene.sigstore_command(&project, may_ask));
    assert_eq!(published.code, Some(0), "{}", published.said());
    assert_eq!(scene.registry.uploads().len(), 1);
}
