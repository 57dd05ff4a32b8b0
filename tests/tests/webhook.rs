//! The webhook receiver: a registry without a gate before it still loses what nobody attested.

use std::{
    path::Path,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;
use tests::{
    Gatehouse, Issuer,
    gatehouse::{Setting, only_ferris},
    http::{self, Answer},
    project::Project,
};

const KEY: &[u8] = b"a secret of thirty-two bytes, ok";

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
    let rule = only_ferris(issuer).replace("[\"crockford\"]", "[\"crockford\", \"telltale\"]");
    let exception = "[[exception]]\ncrate = \"telltale\"\nversion = \"1.0.0\"\n\
         reason = \"this test is about hooks\"\nexpires = 2999-12-31\n";
    Setting::policy(format!("{rule}{exception}"))
        .sections("[webhook]\nsecret-file = \"hook-secret\"\nregistry-token-file = \"registry-token\"\n")
        .file("hook-secret", format!("whsec_{}\n", STANDARD.encode(KEY)))
}

impl Scene {
    fn open() -> Self {
        Self::open_with(setting)
    }

    fn open_with(setting: impl FnOnce(&Issuer) -> Setting) -> Self {
        let binary = Path::new(env!("CARGO_BIN_EXE_sandbox"));
        Self(Gatehouse::open(binary, setting).expect("a gate"))
    }

    /// Publishes past the gate, and gives the version.
    fn publish(&self, name: &str) -> String {
        self.publish_as(&self.project(name))
    }

    fn publish_as(&self, project: &Project) -> String {
        let outcome = self.cargo(project, &["publish", "--registry", "bare", "--allow-dirty"]);
        assert_eq!(outcome.code, Some(0), "{}", outcome.said());
        project.version.clone()
    }

    fn deliver(&self, id: &str, key: &[u8], name: &str, version: &str) -> Answer {
        self.deliver_event("crate_add", id, key, name, version)
    }

    fn deliver_event(&self, event: &str, id: &str, key: &[u8], name: &str, version: &str) -> Answer {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("after 1970")
            .as_secs();
        let data = json!({"crate_name": name, "crate_version": version});
        let body = json!({"type": event, "timestamp": "now", "data": data}).to_string();
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        let signature = hmac::sign(&key, format!("{id}.{now}.{body}").as_bytes());
        let (now, signature) = (now.to_string(), format!("v1,{}", STANDARD.encode(signature)));
        let headers = [
            ("content-type", "application/json"),
            ("webhook-id", id),
            ("webhook-timestamp", &now),
            ("webhook-signature", &signature),
        ];
        let url = format!("{}/webhooks/standard", self.gate.url());
        http::request("POST", &url, &headers, body.as_bytes()).expect("an answer")
    }

    fn is_yanked(&self, name: &str, version: &str) -> bool {
        let published = self.registry.version(name, version).expect("it was published");
        published.line["yanked"] == true
    }

    fn metrics(&self) -> String {
        http::get(&format!("{}/metrics", self.gate.url()))
            .expect("metrics")
            .text()
    }
}

fn wait(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn what_nobody_attested_is_yanked_and_what_the_policy_admits_stays() {
    let scene = Scene::open();
    let (good, bad) = (scene.publish("telltale"), scene.publish("crockford"));
    assert_eq!(
        scene
            .deliver("msg_1", b"another secret, of enough bytes", "crockford", &bad)
            .status,
        401
    );
    assert_eq!(
        scene.deliver("msg_1", KEY, "telltale", &good).status,
        202,
        "unharmed it is taken"
    );
    wait("admitted", || {
        scene.metrics().contains("gate_hints_total{outcome=\"admitted\"} 1")
    });
    assert!(!scene.is_yanked("telltale", &good) && !scene.is_yanked("crockford", &bad));
    assert_eq!(
        scene.deliver("msg_1", KEY, "crockford", &bad).status,
        202,
        "a repeated id does nothing"
    );
    assert_eq!(scene.deliver("msg_2", KEY, "crockford", &bad).status, 202);
    wait("yanked", || scene.is_yanked("crockford", &bad));
    assert!(!scene.is_yanked("telltale", &good));
    scene.gate.wait_for_log("gate-no-attestation");
    assert!(!scene.gate.log().contains(scene.registry.token()), "the log is silent");
    assert_eq!(scene.deliver("msg_3", KEY, "../etc", "1.0.0").status, 400);
}

#[test]
fn nothing_is_yanked_while_the_store_is_away_and_a_queued_hint_survives_a_kill() {
    let mut scene = Scene::open();
    let version = scene.publish("crockford");
    scene.instance.kill();
    assert_eq!(scene.deliver("msg_1", KEY, "crockford", &version).status, 202);
    scene.gate.wait_for_log("hint put off");
    let not_ready = http::get(&format!("{}/readyz", scene.gate.url())).expect("an answer");
    assert_eq!(not_ready.status, 503);
    assert_eq!(
        http::get(&format!("{}/healthz", scene.gate.url()))
            .expect("an answer")
            .status,
        200
    );
    scene.gate.kill();
    scene.gate.serve().expect("the gate again");
    scene.gate.wait_for_log("hint put off");
    assert!(!scene.is_yanked("crockford", &version));
    scene.instance.serve().expect("the server again");
    wait("yanked", || scene.is_yanked("crockford", &version));
    let ready = http::get(&format!("{}/readyz", scene.gate.url())).expect("an answer");
    assert_eq!(ready.status, 200, "{}", ready.text());
    assert!(ready.header("x-request-id").is_some());
}

#[test]
fn what_cannot_be_judged_is_yanked_and_not_put_off_for_ever() {
    let mut scene = Scene::open();
    let (excepted, large) = (scene.publish("telltale"), scene.publish("crockford"));
    assert_eq!(scene.deliver("msg_1", KEY, "telltale", &excepted).status, 202);
    wait("admitted", || {
        scene.metrics().contains("gate_hints_total{outcome=\"admitted\"} 1")
    });
    // Two lines of the version that was admitted: cargo may take either.
    scene
        .registry
        .add_line("telltale", &excepted, |line| line["deps"] = json!([]));
    assert_eq!(scene.deliver("msg_2", KEY, "telltale", &excepted).status, 202);
    wait("yanked", || scene.is_yanked("telltale", &excepted));
    scene.gate.wait_for_log("gate-index-line");

    let size = scene
        .registry
        .version("crockford", &large)
        .expect("published")
        .bytes
        .len();
    scene.gate.kill();
    let file = scene.gate.file("gate.toml");
    let text = std::fs::read_to_string(&file).expect("a configuration");
    std::fs::write(&file, format!("archive-bytes = {}\n{text}", size - 1)).expect("a configuration");
    scene.gate.serve().expect("a gate");
    assert_eq!(scene.deliver("msg_3", KEY, "crockford", &large).status, 202);
    wait("yanked", || scene.is_yanked("crockford", &large));
    scene.gate.wait_for_log("package-too-large");
}

/// A thief's second version does not make the first one's name his.
#[test]
fn a_name_is_new_until_something_under_it_was_let_through() {
    let reserved = |_: &Issuer| {
        let policy = "unlisted = \"admit\"\nfirst-publish = \"reserved\"\n";
        Setting::policy(policy)
            .sections("[webhook]\nsecret-file = \"hook-secret\"\nregistry-token-file = \"registry-token\"\n")
            .file("hook-secret", format!("whsec_{}\n", STANDARD.encode(KEY)))
    };
    let scene = Scene::open_with(reserved);
    // Of before the gate: nobody hinted at it, so its name is taken.
    let old = scene.project("crockford");
    scene.publish_as(&old);
    let new = scene.publish_as(&scene.next_version(&old, "0.3.2"));
    assert_eq!(
        scene
            .deliver_event("crate_update", "msg_1", KEY, "crockford", &new)
            .status,
        202
    );
    wait("admitted", || {
        scene.metrics().contains("gate_hints_total{outcome=\"admitted\"} 1")
    });
    assert!(!scene.is_yanked("crockford", &new));

    let taken = scene.project("telltale");
    let first = scene.publish_as(&taken);
    let second = scene.publish_as(&scene.next_version(&taken, "1.0.1"));
    assert_eq!(scene.deliver("msg_2", KEY, "telltale", &first).status, 202);
    wait("yanked", || scene.is_yanked("telltale", &first));
    assert_eq!(
        scene
            .deliver_event("crate_update", "msg_3", KEY, "telltale", &second)
            .status,
        202
    );
    wait("yanked", || scene.is_yanked("telltale", &second));
    scene.gate.wait_for_log("gate-new-name");
}
