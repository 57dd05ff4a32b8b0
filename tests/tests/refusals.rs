//! Bad input to the server: each is refused with its status and its documented code, leaves nothing behind, and differs in one thing
//! from an input that is accepted.

use std::{process::Command, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};
use tests::{
    Instance, Issuer, Tools,
    authority::Applicant,
    http::{Answer, post_json, request},
    issuer::Profile,
    load::{Writer, check_checkpoint, read_log, signature_log},
    run::run,
};

const LIMIT: Duration = Duration::from_mins(1);

/// An issuer and a server that believes it.
struct Bench {
    issuer: Issuer,
    instance: Instance,
    applicant: Applicant,
}

/// A request that must be refused.
struct Bad {
    what: &'static str,
    body: Value,
    status: u16,
    code: &'static str,
}

impl Bench {
    fn new() -> Self {
        let tools = Tools::install(env!("CARGO_BIN_EXE_sandbox").as_ref()).expect("tools");
        let issuer = Issuer::start().expect("an issuer");
        let instance = Instance::start(&tools, &issuer).expect("a server");
        Self {
            issuer,
            instance,
            applicant: Applicant::new().expect("a key"),
        }
    }

    fn challenge(&self) -> String {
        let claims = Profile::GitHub.claims(&self.issuer.base());
        claims["sub"].as_str().expect("a subject").to_owned()
    }

    /// A certificate request with the usual token, changed.
    fn with_claims(&self, changes: Value) -> Value {
        let changes: Map<String, Value> = serde_json::from_value(changes).expect("an object");
        let token = self.issuer.token_with(Profile::GitHub, &changes).expect("a token");
        self.with_token(&token)
    }

    fn with_token(&self, token: &str) -> Value {
        let request = self.applicant.request(token, &self.challenge());
        request.expect("a request")
    }

    /// A certificate request whose key is this PEM, with a proof that is none of it.
    fn with_key(&self, pem: &str) -> Value {
        let mut request = self.with_claims(json!({}));
        request["publicKeyRequest"]["publicKey"]["content"] = pem.into();
        request
    }

    fn apply(&self, body: &Value) -> Answer {
        post_json(&format!("{}/api/v2/signingCert", self.instance.url()), body).expect("an answer")
    }

    fn append(&self, body: &Value) -> Answer {
        post_json(&format!("{}/api/v2/log/entries", self.instance.url()), body).expect("an answer")
    }

    /// Size of a log, by its own checkpoint.
    fn size(&self, path: &str) -> u64 {
        let answer = tests::http::get(&format!("{}{path}", self.instance.url())).expect("a checkpoint");
        let text = answer.text();
        text.lines().nth(1).and_then(|line| line.parse().ok()).expect("a size")
    }
}

/// The code of a refusal, in whichever of our shapes it comes.
fn code(answer: &Answer) -> String {
    let json = answer.json();
    let detail = &json["details"][0];
    let code = detail["code"].as_str().or_else(|| detail["reason"].as_str());
    code.unwrap_or_else(|| panic!("no code in {}", answer.text()))
        .to_owned()
}

fn assert_documented(code: &str) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/codes");
    let heading = format!("## {code}\n");
    let documented = std::fs::read_dir(folder).expect("docs/codes").any(|file| {
        let path = file.expect("an entry").path();
        std::fs::read_to_string(path).is_ok_and(|text| text.contains(&heading))
    });
    assert!(documented, "`{code}` has no section in docs/codes");
}

fn assert_refused(bad: &Bad, answer: &Answer) {
    let text = answer.text();
    assert_eq!(answer.status, bad.status, "{}: {text}", bad.what);
    assert_eq!(code(answer), bad.code, "{}: {text}", bad.what);
    assert_documented(bad.code);
}

/// PEM of a public key that OpenSSL makes.
fn openssl_key(arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let mut generate = Command::new("openssl");
    generate
        .current_dir(folder.path())
        .arg("genpkey")
        .args(arguments)
        .args(["-out", "key.pem"]);
    run(&mut generate, LIMIT)
        .expect("openssl runs")
        .success()
        .expect("a key");
    let mut public = Command::new("openssl");
    public
        .current_dir(folder.path())
        .args(["pkey", "-pubout", "-in", "key.pem"]);
    run(&mut public, LIMIT)
        .expect("openssl runs")
        .success()
        .expect("a public key")
        .stdout
}

fn bad_tokens(bench: &Bench) -> Vec<Bad> {
    let bad = |what, body, code| Bad {
        what,
        body,
        status: 400,
        code,
    };
    let good = bench.issuer.token(Profile::GitHub).expect("a token");
    let (message, signature) = good.rsplit_once('.').expect("three parts");
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    let forged = format!("{message}.{first}{}", &signature[1..]);
    vec![
        bad(
            "an expired token",
            bench.with_claims(json!({"exp": 1_700_000_000})),
            "identity-token-expired",
        ),
        bad(
            "a token of the future",
            bench.with_claims(json!({"nbf": 4_000_000_000_u64, "iat": 4_000_000_000_u64, "exp": 4_000_000_300_u64})),
            "identity-token-not-yet-valid",
        ),
        bad(
            "another audience",
            bench.with_claims(json!({"aud": "nobody"})),
            "identity-token-audience",
        ),
        bad(
            "an unknown issuer",
            bench.with_claims(json!({"iss": "https://issuer.example"})),
            "identity-issuer-unknown",
        ),
        bad(
            "a missing claim",
            bench.with_claims(json!({"job_workflow_ref": null})),
            "identity-claim-missing",
        ),
        bad(
            "a forged signature",
            bench.with_token(&forged),
            "identity-token-signature",
        ),
        bad(
            "a thousand dots",
            bench.with_token(&format!("{good}{}", ".".repeat(1000))),
            "identity-token-malformed",
        ),
        bad(
            "a token of 100 kB",
            bench.with_token(&format!("{good}{}", "A".repeat(100_000))),
            "identity-token-malformed",
        ),
        bad(
            "no token",
            json!({"publicKeyRequest": bench.with_token(&good)["publicKeyRequest"]}),
            "identity-token-missing",
        ),
    ]
}

fn bad_keys(bench: &Bench) -> Vec<Bad> {
    let bad = |what, body, code| Bad {
        what,
        body,
        status: 400,
        code,
    };
    let mut other_proof = bench.with_claims(json!({}));
    other_proof["publicKeyRequest"]["proofOfPossession"] =
        bench.applicant.proof("somebody else").expect("a proof").into();
    let mut no_key = bench.with_claims(json!({}));
    no_key.as_object_mut().expect("an object").remove("publicKeyRequest");
    let weak = openssl_key(&["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"]);
    let exotic = openssl_key(&["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"]);
    vec![
        bad("a proof over something else", other_proof, "ca-proof-of-possession"),
        bad("no key", no_key, "ca-request-no-key"),
        bad("RSA with 1024 bits", bench.with_key(&weak), "ca-key-rsa-size"),
        bad(
            "a curve nobody uses here",
            bench.with_key(&exotic),
            "ca-key-unsupported",
        ),
        bad(
            "a key that is none",
            bench.with_key("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"),
            "ca-key-unparsable",
        ),
    ]
}

#[test]
fn the_certificate_authority_refuses_bad_requests_and_logs_none_of_them() {
    let bench = Bench::new();
    let good = bench.apply(&bench.with_claims(json!({})));
    assert_eq!(good.status, 200, "{}", good.text());
    let before = bench.size("/ct/checkpoint");
    for bad in bad_tokens(&bench).into_iter().chain(bad_keys(&bench)) {
        assert_refused(&bad, &bench.apply(&bad.body));
    }
    // Refusals never repeat a claim's value or the token.
    let secret = bench.with_claims(json!({"aud": "a-very-secret-audience"}));
    assert!(!bench.apply(&secret).text().contains("a-very-secret-audience"));
    assert_eq!(
        bench.size("/ct/checkpoint"),
        before,
        "a refused request left a precertificate"
    );
    assert_eq!(bench.apply(&bench.with_claims(json!({}))).status, 200);
}

#[test]
fn keys_rotated_by_the_issuer_are_fetched_and_old_tokens_refused() {
    let bench = Bench::new();
    let old = bench.with_claims(json!({}));
    assert_eq!(bench.apply(&old).status, 200);
    let old = bench.with_claims(json!({}));
    bench.issuer.rotate_keys().expect("new keys");
    let new = bench.apply(&bench.with_claims(json!({})));
    assert_eq!(new.status, 200, "a token of the new key: {}", new.text());
    let refused = bench.apply(&old);
    assert_eq!(
        (refused.status, code(&refused).as_str()),
        (400, "identity-token-signature")
    );
}

#[test]
fn the_signature_log_refuses_bad_entries_and_keeps_none_of_them() {
    let bench = Bench::new();
    let writer = Writer::new(bench.instance.url()).expect("a writer");
    let good = writer.request(b"good").expect("a request");
    assert_eq!(bench.append(&good).status, 201);
    let log = signature_log(&bench.instance).expect("the log");
    let (_, before) = read_log(bench.instance.url(), &log).expect("the log");

    let change = |pointer: &str, value: Value| {
        let mut request = writer.request(b"bad").expect("a request");
        *request.pointer_mut(pointer).expect("a member") = value;
        request
    };
    let root = "/hashedRekordRequestV002";
    let bad = [
        (
            "another digest",
            change(&format!("{root}/digest"), STANDARD.encode([7; 32]).into()),
        ),
        (
            "a short digest",
            change(&format!("{root}/digest"), STANDARD.encode([7; 31]).into()),
        ),
        ("no base64", change(&format!("{root}/digest"), "!".into())),
        ("no signature", change(&format!("{root}/signature/content"), "".into())),
        (
            "a key that is none",
            change(
                &format!("{root}/signature/verifier/publicKey/rawBytes"),
                STANDARD.encode([1, 2, 3]).into(),
            ),
        ),
        (
            "key details of another key",
            change(
                &format!("{root}/signature/verifier/keyDetails"),
                "PKIX_ED25519_PH".into(),
            ),
        ),
        (
            "unknown key details",
            change(&format!("{root}/signature/verifier/keyDetails"), "PKIX_NONSENSE".into()),
        ),
        ("an unknown member", change(root, json!({"digest": "", "surprise": 1}))),
        ("another kind", json!({"intotoRequestV002": {}})),
        ("no object", json!([])),
    ];
    for (what, body) in bad {
        let answer = bench.append(&body);
        assert_eq!(answer.status, 400, "{what}: {}", answer.text());
        assert_documented(&code(&answer));
    }
    let (_, after) = read_log(bench.instance.url(), &log).expect("the log");
    assert_eq!(after, before, "a refused entry was logged");
}

#[test]
fn oversized_and_deeply_nested_bodies_are_refused_everywhere() {
    let bench = Bench::new();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let large = format!("{{\"a\":\"{}\"}}", "A".repeat(40 << 20));
    let paths = [
        "/api/v2/signingCert",
        "/api/v2/log/entries",
        "/api/v1/log/entries",
        "/api/v1/timestamp",
        "/api/v1/attestations",
        "/api/v1/attestations/query",
    ];
    for path in paths {
        for (what, body) in [("deep", &deep), ("large", &large)] {
            let url = format!("{}{path}", bench.instance.url());
            let headers = [("content-type", "application/json")];
            let answer = request("POST", &url, &headers, body.as_bytes()).expect("an answer");
            assert!(
                matches!(answer.status, 400 | 413),
                "{what} body to {path}: {} {}",
                answer.status,
                answer.text()
            );
        }
    }
    assert_eq!(
        bench.apply(&bench.with_claims(json!({}))).status,
        200,
        "the server lives on"
    );
}

#[test]
fn a_checkpoint_of_another_instance_is_not_ours() {
    let (ours, theirs) = (Bench::new(), Bench::new());
    let checkpoint = tests::http::get(&format!("{}/checkpoint", theirs.instance.url())).expect("a checkpoint");
    let their_log = signature_log(&theirs.instance).expect("their log");
    assert!(check_checkpoint(&checkpoint.body, &their_log).is_ok());
    let our_log = signature_log(&ours.instance).expect("our log");
    assert!(check_checkpoint(&checkpoint.body, &our_log).is_err());
}
