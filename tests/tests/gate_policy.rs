//! What a policy lets through and what it says when it does not: the words of a refusal, a changed publisher, a GitLab project,
//! a reusable workflow.

use std::path::Path;

use serde_json::{Value, json};
use tests::{
    Gatehouse, Issuer,
    ci::Release,
    gatehouse::{EVERYBODY, Setting, only, only_ferris},
    http,
    issuer::Profile,
    project::{Project, fixture},
    registry,
    run::Outcome,
};

const TOKENS: &str = "/api/v1/trusted_publishing/tokens";

fn open(policy: impl FnOnce(&Issuer) -> String) -> Gatehouse {
    open_with(|issuer| Setting::policy(policy(issuer)))
}

fn open_with(setting: impl FnOnce(&Issuer) -> Setting) -> Gatehouse {
    Gatehouse::open(Path::new(env!("CARGO_BIN_EXE_sandbox")), setting).expect("a gate")
}

/// Unmodified cargo, downloading and building `crockford`.
fn consume(scene: &Gatehouse, name: &str) -> Outcome {
    let consumer = scene.workshop.adopt_as(&fixture("consumer"), name).expect("a fixture");
    let added = scene.cargo(&consumer, &["add", "--quiet", "crockford@=0.3.1", "--registry", "gate"]);
    assert_eq!(added.code, Some(0), "{}", added.said());
    scene.cargo(&consumer, &["run", "--quiet"])
}

/// The exception that a refusal offers, as it stands there, without the margin that cargo may add.
fn offered(said: &str) -> String {
    let lines = said.lines().map(str::trim).skip_while(|line| *line != "[[exception]]");
    let block: Vec<&str> = lines.take(5).collect();
    assert_eq!(block.len(), 5, "an exception is offered:\n{said}");
    format!("{}\n", block.join("\n"))
}

#[test]
fn a_refused_download_names_the_earlier_publisher_and_the_exception_that_admits_it() {
    let scene = open(only_ferris);
    let published = scene.sigstore_publish(&scene.project("crockford"), "ferris/crockford");
    assert_eq!(published.code, Some(0), "{}", published.said());
    let url = scene.download_url("crockford", "0.3.1");
    assert_eq!(http::get(&url).expect("an answer").status, 200);

    let moved = only("acme/crockford", &scene.issuer);
    scene.gate.change_policy(&moved);
    let refused = http::get(&url).expect("an answer");
    assert_eq!(refused.status, 403);
    assert!(
        refused
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("text/plain"))
    );
    let text = refused.text();
    let earlier = "earlier: 0.3.1 was published by https://github.com/ferris/crockford/.github/workflows/release.yml\n";
    assert!(text.contains("identity-mismatch: ") && text.contains(earlier), "{text}");
    let shown = consume(&scene, "refused");
    assert_ne!(shown.code, Some(0));
    // Cargo shows so much of a body; the hint may be cut off.
    let needed = text.lines().take_while(|line| !line.starts_with("hint: "));
    for line in needed {
        assert!(shown.stderr.contains(line), "cargo shows {line:?}: {}", shown.stderr);
    }

    scene.gate.change_policy(&format!("{moved}{}", offered(&shown.stderr)));
    let built = consume(&scene, "admitted");
    assert_eq!(built.code, Some(0), "{}", built.said());
}

#[test]
fn with_publisher_change_refuse_another_repository_needs_an_exception() {
    let scene = open(|issuer| format!("publisher-change = \"refuse\"\n{}", only_ferris(issuer)));
    let mut project = scene.project("crockford");
    for next in ["0.3.2", "0.3.3"] {
        let same = scene.sigstore_publish(&project, "ferris/crockford");
        assert_eq!(same.code, Some(0), "the same publisher: {}", same.said());
        project = scene.next_version(&project, next);
    }
    let moved = only("acme/crockford", &scene.issuer);
    scene
        .gate
        .change_policy(&format!("publisher-change = \"refuse\"\n{moved}"));
    let refused = scene.sigstore_publish(&project, "acme/crockford");
    assert_ne!(refused.code, Some(0));
    let said = refused.said();
    assert!(said.contains("gate-publisher-changed"), "{said}");
    assert!(
        said.contains("earlier: 0.3.2 was published by https://github.com/ferris/crockford/"),
        "{said}"
    );
    assert_eq!(scene.registry.uploads().len(), 2, "it did not reach the registry");

    let exception = offered(&said);
    scene
        .gate
        .change_policy(&format!("publisher-change = \"refuse\"\n{moved}{exception}"));
    let excepted = scene.sigstore_publish(&project, "acme/crockford");
    assert_eq!(excepted.code, Some(0), "{}", excepted.said());
    scene
        .gate
        .change_policy(&format!("publisher-change = \"warn\"\n{moved}"));
    let warned = scene.sigstore_publish(&scene.next_version(&project, "0.3.4"), "acme/crockford");
    assert_eq!(warned.code, Some(0), "{}", warned.said());
    assert!(
        scene.gate.log().contains("gate-publisher-changed"),
        "{}",
        scene.gate.log()
    );
}

#[test]
fn a_stranger_is_not_told_who_published() {
    let options = registry::Options {
        auth_required: true,
        ..registry::Options::default()
    };
    let scene = open_with(|issuer| Setting::policy(only_ferris(issuer)).before(options));
    let (gate, registry) = (&scene.gate, &scene.registry);
    let records = rusqlite::Connection::open(gate.data().join("records.sqlite")).expect("the records");
    let row =
        "INSERT INTO publisher VALUES ('crockford', '0.3.0', 'https://i', 'https://h/secret', NULL, NULL, NULL, 1)";
    records.execute(row, []).expect("a publisher");
    let project = scene.project("crockford");
    let published = scene.cargo(&project, &["publish", "--registry", "bare"]);
    assert_eq!(published.code, Some(0), "{}", published.said());

    let archive = registry.version("crockford", "0.3.1").expect("published").bytes;
    let metadata = json!({"name": "crockford", "vers": "0.3.1", "deps": [], "links": null,
                          "features": {"default": ["std"], "std": []}});
    let body = publish_request(&metadata, &archive);
    let url = format!("{}/api/v1/crates/new", gate.url());
    let answer = |token: &str| http::request("PUT", &url, &[("authorization", token)], &body).expect("an answer");
    let member = answer(registry.token()).text();
    assert!(
        member.contains("gate-no-attestation") && member.contains("https://h/secret"),
        "{member}"
    );
    let stranger = answer("guessed").text();
    assert!(
        stranger.contains("gate-no-attestation") && !stranger.contains("secret"),
        "{stranger}"
    );
}

/// Lengths are little-endian [the cargo book, "Registry Web API"].
fn publish_request(metadata: &Value, archive: &[u8]) -> Vec<u8> {
    let metadata = metadata.to_string();
    let mut body = Vec::new();
    for part in [metadata.as_bytes(), archive] {
        body.extend(u32::try_from(part.len()).expect("small").to_le_bytes());
        body.extend(part);
    }
    body
}

/// Tags of `ferris/crockford` on GitLab, by the project's own configuration; uploads by exchanged tokens only.
fn only_gitlab(issuer: &Issuer) -> String {
    format!(
        "[[rule]]\ncrates = [\"crockford\"]\nissuer = \"{}\"\nrepository = \"https://gitlab.com/ferris/crockford\"\n\
         repository-id = \"20\"\nowner-id = \"72\"\nci-config = \".gitlab-ci.yml\"\nref = \"refs/tags/*\"\n\
         runner = \"gitlab-hosted\"\ntrusted-publishing-only = true\n",
        issuer.url(Profile::GitLab)
    )
}

fn gitlab_exchange(issuer: &Issuer) -> String {
    format!(
        "[trusted-publishing]\nregistry-token-file = \"registry-token\"\n[[trusted-publishing.provider]]\n\
         type = \"gitlab-pipeline\"\nissuer = \"{}\"\nserver = \"https://gitlab.com\"\n",
        issuer.url(Profile::GitLab)
    )
}

#[test]
fn a_gitlab_project_publishes_under_its_rule_and_another_does_not() {
    let scene = open_with(|issuer| Setting::policy(only_gitlab(issuer)).sections(&gitlab_exchange(issuer)));
    let audience = scene.gate.url().trim_start_matches("http://").to_owned();
    let project = scene.project("crockford");
    let publish = |repository: &str, source: &str| {
        let release = Release {
            event: source.to_owned(),
            ..Release::of_tag(repository, &project.version, &project.commit)
        };
        let environment = release
            .gitlab_environment(&scene.issuer, &audience)
            .expect("an environment");
        // The job's variable says that it has an identity for the registry.
        scene.run(&mut scene.sigstore_command(&project, environment))
    };
    // A token for signing alone is none for the registry; the job is told how to name one.
    let release = Release::of_tag("ferris/crockford", &project.version, &project.commit);
    let mut job = release
        .gitlab_environment(&scene.issuer, &audience)
        .expect("an environment");
    let (variable, _) = job.pop().expect("the token for the gate");
    let unnamed = scene.run(&mut scene.sigstore_command(&project, job));
    assert_refused(&unnamed, "registry-token");
    let line = format!("`{variable}: {{ aud: {audience} }}`");
    assert!(unnamed.said().contains(&line), "{}", unnamed.said());
    let merge_request = publish("ferris/crockford", "merge_request_event");
    assert_refused(&merge_request, "E-EVENT");
    let other = publish("mallory/crockford", "push");
    assert!(other.said().contains("gate-exchange-claims"), "{}", other.said());
    assert_eq!(scene.registry.uploads().len(), 0);
    // By hand, on the page of the tag.
    let own = publish("ferris/crockford", "web");
    assert_eq!(own.code, Some(0), "{}", own.said());
    assert_eq!(scene.registry.uploads().len(), 1);
    assert!(scene.gate.log().contains("upload token given"), "{}", scene.gate.log());
    let built = consume(&scene, "consumer");
    assert_eq!(built.code, Some(0), "{}", built.said());

    // The same evidence under a rule for another configuration, id or environment.
    let url = scene.download_url("crockford", "0.3.1");
    let policy = only_gitlab(&scene.issuer);
    for (from, to) in [
        (".gitlab-ci.yml", "other.yml"),
        ("repository-id = \"20\"", "repository-id = \"21\""),
        ("owner-id = \"72\"", "owner-id = \"73\""),
        ("ref = \"refs/tags/*\"", "ref = \"refs/heads/*\""),
        ("ci-config", "environment = \"production\"\nci-config"),
        ("ci-config", "workflow"),
    ] {
        assert!(policy.contains(from));
        scene.gate.change_policy(&policy.replacen(from, to, 1));
        let refused = http::get(&url).expect("an answer");
        assert_eq!(refused.status, 403, "{to}");
    }
    scene.gate.change_policy(&policy);
    assert_eq!(http::get(&url).expect("an answer").status, 200);

    let exchange = |changes: Value| {
        let mut claims = release.gitlab_claims(&audience);
        claims.extend(changes.as_object().cloned().unwrap_or_default());
        let identity = scene.issuer.token_with(Profile::GitLab, &claims).expect("a token");
        http::post_json(&format!("{}{TOKENS}", scene.gate.url()), &json!({ "jwt": identity })).expect("an answer")
    };
    assert_eq!(exchange(json!({})).status, 200);
    for (changes, code) in [
        (json!({"pipeline_source": "merge_request_event"}), "gate-exchange-event"),
        (json!({"namespace_id": "666"}), "gate-exchange-claims"),
        (json!({"ci_config_ref_uri": null}), "gate-exchange-token"),
    ] {
        let answer = exchange(changes.clone());
        assert!(
            answer.status == 400 && answer.text().contains(code),
            "{changes}: {}",
            answer.text()
        );
    }
}

/// Publishes from GitHub with a token that differs from the release workflow's in these claims.
fn publish_with(scene: &Gatehouse, project: &Project, changes: &Value) -> Outcome {
    let release = Release::of_tag("ferris/crockford", &project.version, &project.commit);
    let job = release.github_environment_with(&scene.issuer, changes);
    let mut command = scene.sigstore_command(project, job);
    scene.run(command.env("CARGO_SIGSTORE_REGISTRY_TOKEN", scene.registry.token()))
}

fn assert_refused(outcome: &Outcome, code: &str) {
    assert_ne!(outcome.code, Some(0), "{code}: {}", outcome.said());
    assert!(outcome.said().contains(code), "{code}: {}", outcome.said());
}

#[test]
fn a_reusable_workflow_builds_for_the_caller_that_the_rule_names() {
    let builder = "https://github.com/acme/builders/.github/workflows/publish.yml";
    let scene = open(|issuer| {
        let rule = only_ferris(issuer);
        format!("trusted-builders = [\"{builder}\"]\n{rule}builder = \"{builder}@refs/tags/v1*\"\nminimum-level = 3\n")
    });
    let project = scene.project("crockford");
    let publish = |changes: &Value| {
        let mut claims = json!({"job_workflow_ref": "acme/builders/.github/workflows/publish.yml@refs/tags/v1.2.0"});
        let members = claims.as_object_mut().expect("claims");
        members.extend(changes.as_object().cloned().unwrap_or_default());
        publish_with(&scene, &project, &claims)
    };
    let other_workflow = "ferris/crockford/.github/workflows/other.yml@refs/tags/v0.3.1";
    // The store keeps what each attempt attested of these bytes, so what is wrong with a name comes before what is wrong with a call.
    for (changes, code) in [
        (
            json!({"job_workflow_ref": "acme/builders/.github/workflows/publish.yml@refs/tags/v2.0.0"}),
            "identity-mismatch",
        ),
        (
            json!({"job_workflow_ref": "mallory/builders/.github/workflows/publish.yml@refs/tags/v1.2.0"}),
            "identity-mismatch",
        ),
        (
            json!({"repository_owner_id": "1", "repository": "mallory/crockford"}),
            "claim-",
        ),
        (json!({"workflow_ref": other_workflow}), "gate-caller-differs"),
        (json!({"ref": "refs/heads/main"}), "gate-caller-differs"),
    ] {
        assert_refused(&publish(&changes), code);
    }
    assert_eq!(scene.registry.uploads().len(), 0);
    let honest = publish(&json!({}));
    assert_eq!(honest.code, Some(0), "{}", honest.said());
    assert!(honest.said().contains("SLSA build level 3"), "{}", honest.said());
}

#[test]
fn a_statement_that_the_rule_asks_for_is_missed_by_its_name() {
    let scene = open(|issuer| format!("{}statements = [\"https://example.com/audit\"]\n", only_ferris(issuer)));
    let project = scene.project("crockford");
    let refused = scene.sigstore_publish(&project, "ferris/crockford");
    assert_refused(&refused, "gate-statement-missing");
    assert!(
        refused.said().contains("https://example.com/audit"),
        "{}",
        refused.said()
    );
    let fewer = format!(
        "{}statements = [\"https://cyclonedx.org/bom\"]\n",
        only_ferris(&scene.issuer)
    );
    scene.gate.change_policy(&fewer);
    let published = scene.sigstore_publish(&project, "ferris/crockford");
    assert_eq!(published.code, Some(0), "{}", published.said());
}

#[test]
fn the_release_workflow_called_from_a_branch_is_no_release() {
    let scene = open(only_ferris);
    let project = scene.project("crockford");
    // The certificate's name is that of a release: the workflow at a tag.
    let called = publish_with(&scene, &project, &json!({"ref": "refs/heads/mine"}));
    assert_refused(&called, "gate-caller-differs");
    assert!(called.said().contains("found refs/heads/mine"), "{}", called.said());
    assert_eq!(scene.registry.uploads().len(), 0);
    let honest = publish_with(&scene, &project, &json!({}));
    assert_eq!(honest.code, Some(0), "{}", honest.said());
}

#[test]
fn a_tag_may_have_slashes() {
    let scene = open(only_ferris);
    let project = scene.project("crockford");
    let tag = "refs/tags/crockford/v0.3.1";
    let workflow = format!("ferris/crockford/.github/workflows/release.yml@{tag}");
    let changes = json!({"ref": tag, "workflow_ref": workflow, "job_workflow_ref": workflow});
    let published = publish_with(&scene, &project, &changes);
    assert_eq!(published.code, Some(0), "{}", published.said());
}

#[test]
fn who_published_here_may_take_a_new_name_where_the_policy_says_so() {
    let scene = open(only_ferris);
    let first = scene.sigstore_publish(&scene.project("crockford"), "ferris/crockford");
    assert_eq!(first.code, Some(0), "{}", first.said());
    let policy = format!("{EVERYBODY}first-publish = \"existing-identity\"\n");
    scene.gate.change_policy(&policy);
    let project = scene.project("telltale");
    assert_refused(&scene.publish(&project), "gate-no-attestation");
    assert_refused(&scene.sigstore_publish(&project, "mallory/crockford"), "claim-mismatch");
    assert_eq!(scene.registry.uploads().len(), 1);
    let known = scene.sigstore_publish(&project, "ferris/crockford");
    assert_eq!(known.code, Some(0), "{}", known.said());
}

#[test]
fn a_known_identity_is_known_through_a_reusable_workflow_too() {
    let place = "acme/builders/.github/workflows/publish.yml";
    let called = json!({"job_workflow_ref": format!("{place}@refs/tags/v1.2.0")});
    let trusted = format!("trusted-builders = [\"https://github.com/{place}\"]\n");
    for first_called in [false, true] {
        let scene = open(|issuer| {
            let builder = format!("builder = \"https://github.com/{place}@refs/tags/v1*\"\n");
            let rule = only_ferris(issuer);
            format!("{trusted}{rule}{}", if first_called { &builder } else { "" })
        });
        let nothing = json!({});
        let first = publish_with(
            &scene,
            &scene.project("crockford"),
            if first_called { &called } else { &nothing },
        );
        assert_eq!(first.code, Some(0), "{}", first.said());
        let policy = format!("{EVERYBODY}first-publish = \"existing-identity\"\n");
        scene.gate.change_policy(&policy);
        let project = scene.project("telltale");
        let unknown = publish_with(&scene, &project, &called);
        assert_refused(&unknown, "expected SLSA build level 2, found level 1");
        scene.gate.change_policy(&format!("{trusted}{policy}"));
        let project = scene.next_version(&project, "1.0.1");
        let publish = |changes: &Value| {
            let mut claims = called.clone();
            let members = claims.as_object_mut().expect("claims");
            members.extend(changes.as_object().cloned().unwrap_or_default());
            publish_with(&scene, &project, &claims)
        };
        let tag = format!("refs/tags/v{}", project.version);
        let of = |path: &str| json!(format!("{path}@{tag}"));
        for (changes, code) in [
            // another repository that calls the same workflow, a fork, and one that took over the name
            (
                json!({"repository": "mallory/crockford", "repository_owner": "mallory", "repository_id": "999", "repository_owner_id": "1",
                       "workflow_ref": of("mallory/crockford/.github/workflows/release.yml")}),
                "claim-",
            ),
            (
                json!({"repository": "mallory/crockford", "workflow_ref": of("ferris/crockford/.github/workflows/release.yml")}),
                "claim-",
            ),
            (json!({"repository_id": "999"}), "claim-"),
            // the same repository from another workflow
            (
                json!({"workflow_ref": of("ferris/crockford/.github/workflows/other.yml")}),
                "gate-caller-differs",
            ),
        ] {
            assert_refused(&publish(&changes), code);
        }
        assert_eq!(scene.registry.uploads().len(), 1);
        let known = publish(&nothing);
        assert_eq!(known.code, Some(0), "{}", known.said());
    }
}
