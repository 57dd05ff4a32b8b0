//! A gate at its limits: too many requests, too slow a registry, a slow upload, and being told to stop meanwhile.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tests::{Gate, Instance, Issuer, Registry, Tools, http, http::Answer, registry};

/// Longer than any limit that is set here.
const PATIENCE: Duration = Duration::from_secs(50);

/// Passes bytes to the registry, or holds them back.
struct Doorman {
    url: String,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    holds: AtomicBool,
    held: AtomicUsize,
}

impl Doorman {
    fn before(registry: &Registry) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let state = Arc::new(State::default());
        let (behind, shared) = (registry.url().replace("http://", ""), Arc::clone(&state));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (behind, state) = (behind.clone(), Arc::clone(&shared));
                std::thread::spawn(move || pass(&client, &behind, &state));
            }
        });
        Self { url, state }
    }

    fn hold(&self, hold: bool) {
        self.state.holds.store(hold, Ordering::SeqCst);
    }

    /// Waits until a request stands before the door.
    fn wait_for_one(&self) {
        let deadline = Instant::now() + PATIENCE;
        while self.state.held.load(Ordering::SeqCst) == 0 {
            assert!(Instant::now() < deadline, "nobody came");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn pass(mut client: &TcpStream, behind: &str, state: &State) -> Option<()> {
    let mut registry = TcpStream::connect(behind).ok()?;
    let (mut answers, mut back) = (registry.try_clone().ok()?, client.try_clone().ok()?);
    std::thread::spawn(move || {
        drop(std::io::copy(&mut answers, &mut back));
        drop(back.shutdown(Shutdown::Both));
    });
    let mut chunk = [0; 4096];
    loop {
        let length = client.read(&mut chunk).ok().filter(|length| *length > 0)?;
        state.held.fetch_add(1, Ordering::SeqCst);
        while state.holds.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        state.held.fetch_sub(1, Ordering::SeqCst);
        registry.write_all(&chunk[..length]).ok()?;
    }
}

struct Scene {
    gate: Gate,
    doorman: Doorman,
    _registry: Registry,
    _instance: Instance,
}

impl Scene {
    fn open(operation: &str) -> Self {
        let tools = Tools::install(Path::new(env!("CARGO_BIN_EXE_sandbox"))).expect("our binaries");
        let issuer = Issuer::start().expect("an issuer");
        let instance = Instance::start(&tools, &issuer).expect("a server");
        let registry = Registry::start(registry::Options::default()).expect("a registry");
        let doorman = Doorman::before(&registry);
        let index = format!("{}/index/", doorman.url);
        let more = format!("[operation]\n{operation}");
        let gate = Gate::start_with(&tools, &instance, &index, "unlisted = \"admit\"\n", &more).expect("a gate");
        Self {
            gate,
            doorman,
            _registry: registry,
            _instance: instance,
        }
    }

    /// A request that the gate must ask the registry about: the index has no such crate, and says so.
    fn ask(&self, name: &str) -> std::thread::JoinHandle<Option<Answer>> {
        let url = format!("{}/index/{}/{}/{name}", self.gate.url(), &name[..2], &name[2..4]);
        std::thread::spawn(move || http::get(&url).ok())
    }
}

fn is_deferred(answer: &Answer, why: &str) {
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(answer.header("retry-after"), Some("5"), "{}", answer.headers);
    let detail = answer.json()["errors"][0]["detail"].clone();
    let detail = detail.as_str().expect("cargo's error JSON");
    assert!(detail.starts_with(&format!("deferred: {why}\n")), "{detail}");
}

#[test]
fn a_full_gate_and_a_slow_registry_are_deferrals_with_a_time_to_retry() {
    let scene = Scene::open("requests = 1\npublishes = 1\nrequest-seconds = 5\n");
    let unharmed = scene.ask("before").join().expect("a thread").expect("an answer");
    assert_eq!(unharmed.status, 404, "the registry's own answer: {}", unharmed.text());

    scene.doorman.hold(true);
    let began = Instant::now();
    let waiting = scene.ask("waiting");
    scene.doorman.wait_for_one();
    // Whoever is second is answered at once, while the first still waits.
    let second = scene.ask("second").join().expect("a thread").expect("an answer");
    assert!(began.elapsed() < Duration::from_secs(5), "not after the limit");
    is_deferred(&second, "the gate is busy");
    let health = http::get(&format!("{}/healthz", scene.gate.url())).expect("an answer");
    assert_eq!(health.status, 200, "watched also when it is full");
    is_deferred(
        &waiting.join().expect("a thread").expect("an answer"),
        "the request took too long",
    );
    assert!(began.elapsed() >= Duration::from_secs(5));

    scene.doorman.hold(false);
    let after = scene.ask("before").join().expect("a thread").expect("an answer");
    assert_eq!(after.status, 404, "the place is free again: {}", after.text());
    let metrics = http::get(&format!("{}/metrics", scene.gate.url()))
        .expect("metrics")
        .text();
    assert!(metrics.contains("gate_overloaded_total 1"), "{metrics}");
    assert!(metrics.contains("gate_deferred_total 2"), "{metrics}");
}

#[test]
fn a_slow_upload_holds_a_place_of_its_own_and_no_longer_than_the_limit() {
    let scene = Scene::open("publishes = 1\nrequest-seconds = 5\n");
    let url = format!("{}/api/v1/crates/new", scene.gate.url());
    let upload = || http::request("PUT", &url, &[], b"no publish request").expect("an answer");
    assert_eq!(upload().status, 400, "looked at");

    let address = scene.gate.url().replace("http://", "");
    let mut slow = TcpStream::connect(&address).expect("the gate");
    let head = format!("PUT /api/v1/crates/new HTTP/1.0\r\nhost: {address}\r\ncontent-length: 1000\r\n\r\nslow");
    slow.write_all(head.as_bytes()).expect("a part of an upload");
    let deadline = Instant::now() + PATIENCE;
    let mut busy = upload();
    while busy.status == 400 && Instant::now() < deadline {
        busy = upload();
    }
    is_deferred(&busy, "the gate is busy");
    let read = scene.ask("before").join().expect("a thread").expect("an answer");
    assert_eq!(read.status, 404, "reading is not held up: {}", read.text());

    slow.set_read_timeout(Some(PATIENCE)).expect("a limit");
    let mut answer = String::new();
    drop(slow.read_to_string(&mut answer));
    assert!(
        answer.starts_with("HTTP/1.0 503") && answer.contains("the request took too long"),
        "{answer}"
    );
    assert!(answer.to_ascii_lowercase().contains("retry-after: 5"), "{answer}");
    assert_eq!(upload().status, 400, "the place is free again");
}

#[test]
fn told_to_stop_it_answers_what_is_in_flight_and_ends() {
    let mut scene = Scene::open("requests = 1\ndrain-seconds = 60\n");
    scene.doorman.hold(true);
    let waiting = scene.ask("waiting");
    scene.doorman.wait_for_one();
    scene.gate.stop().expect("a signal");
    scene.gate.wait_for_log("requests in flight are answered");
    assert!(
        http::get(&format!("{}/healthz", scene.gate.url())).is_err(),
        "nothing new is taken"
    );
    scene.doorman.hold(false);
    let answered = waiting.join().expect("a thread").expect("an answer");
    assert_eq!(answered.status, 404, "{}", answered.text());
    let ended = scene
        .gate
        .ended_within(PATIENCE)
        .expect("it ends long before the limit");
    assert_eq!(ended.code(), Some(0));
    assert!(!scene.gate.log().contains("cut off"), "{}", scene.gate.log());
}

#[test]
fn what_is_still_in_flight_after_the_drain_limit_is_cut_off() {
    let mut scene = Scene::open("requests = 1\ndrain-seconds = 1\n");
    scene.doorman.hold(true);
    let waiting = scene.ask("waiting");
    scene.doorman.wait_for_one();
    let told = Instant::now();
    scene.gate.stop().expect("a signal");
    let ended = scene
        .gate
        .ended_within(PATIENCE)
        .expect("it ends although a request is in flight");
    assert!(told.elapsed() >= Duration::from_secs(1), "not before the limit");
    assert_eq!(ended.code(), Some(0));
    let log = scene.gate.log();
    assert!(log.contains("requests still in flight were cut off"), "{log}");
    let cut = waiting.join().expect("a thread");
    assert!(cut.is_none_or(|answer| answer.body.is_empty()), "no half answer");
    scene.doorman.hold(false);
}
