//! Odd index files: what unmodified cargo makes of them past the gate, and that it makes nothing of them through it that the crate's own
//! manifest does not say.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use tests::{
    Gatehouse,
    gatehouse::{EVERYBODY, Setting},
    http,
    project::Project,
};

/// An index file that gives `crockford` a dependency, or tries to.
struct Odd {
    name: &'static str,
    text: String,
    /// Whether cargo has the dependency from it.
    cargo_takes_it: bool,
}

/// Whoever writes the registry's index.
struct Liar {
    /// The line of `crockford` as it was published.
    honest: Value,
    /// The URL of this index.
    own_index: String,
}

impl Liar {
    /// The honest line with these members changed or added.
    fn with(&self, changes: &Value) -> String {
        format!("{}\n", changed(&self.honest, changes))
    }

    /// With a dependency, of which these members are changed or added.
    fn of_dependency(&self, changes: &Value) -> String {
        self.with(&json!({"deps": [dependency(changes)]}))
    }

    fn evil(&self) -> String {
        self.of_dependency(&json!({}))
    }

    /// With a dependency that only a feature turns on.
    fn by_feature(&self, features: &Value, second: &Value) -> String {
        let optional = dependency(&json!({"optional": true}));
        self.with(&json!({"deps": [optional], "features": features, "features2": second, "v": 2}))
    }

    /// The line as an array, in the order of cargo's own structure.
    fn array(&self) -> String {
        let honest = &self.honest;
        let line = json!([
            honest["name"],
            honest["vers"],
            [dependency(&json!({}))],
            honest["features"],
            null,
            honest["cksum"],
            false,
            null,
            null,
            null,
            null,
        ]);
        format!("{line}\n")
    }

    /// Files of which cargo has the dependency.
    fn believed(&self) -> Vec<(&'static str, String)> {
        let (evil, turned_on) = (self.evil(), json!({"default": ["std"], "std": ["dep:telltale"]}));
        let array = json!([
            "telltale",
            "^1",
            [],
            false,
            true,
            null,
            "normal",
            null,
            null,
            null,
            null,
            null,
            false
        ]);
        let nulls = json!({"deps": [dependency(&json!({}))], "features2": null, "yanked": null, "links": null});
        let unknown = json!({"explicit_name_in_toml": "x", "version_req": "*"});
        let escaped = evil.replace(r#""name":"telltale""#, r#""n\u0061me":"tell\u0074ale""#);
        assert_ne!(escaped, evil);
        vec![
            ("one more dependency", evil.clone()),
            (
                "of a kind that nobody knows",
                self.of_dependency(&json!({"kind": "other"})),
            ),
            ("of no kind", self.of_dependency(&json!({"kind": null}))),
            (
                "under another name",
                self.of_dependency(&json!({"name": "std2", "package": "telltale"})),
            ),
            ("for every target", self.of_dependency(&json!({"target": "cfg(all())"}))),
            (
                "of the registry by its full name",
                self.of_dependency(&json!({"registry": self.own_index})),
            ),
            ("with keys that nobody knows", self.of_dependency(&unknown)),
            ("as an array", self.with(&json!({"deps": [array]}))),
            ("in a line that is an array", self.array()),
            ("with nulls", self.with(&nulls)),
            ("with letters escaped", escaped),
            ("between spaces", format!(" {} \r\n", evil.trim())),
            ("by a feature", self.by_feature(&turned_on, &Value::Null)),
            (
                "by a feature that both sets have",
                self.by_feature(&turned_on, &json!({"std": []})),
            ),
            ("after the honest line", format!("{}\n{evil}", self.honest)),
        ]
    }

    /// Files of which it has not.
    fn passed_over(&self) -> Vec<(&'static str, String)> {
        let evil = self.evil();
        let optional = dependency(&json!({"optional": true}));
        vec![
            ("before the honest line", format!("{evil}{}\n", self.honest)),
            ("of a version to come", evil.replacen('{', r#"{"v":9,"#, 1)),
            (
                "with a key twice",
                evil.replacen('{', r#"{"links":null,"links":null,"#, 1),
            ),
            ("of tests", self.of_dependency(&json!({"kind": "dev"}))),
            ("that nothing turns on", self.with(&json!({"deps": [optional]}))),
        ]
    }

    fn odd_files(&self) -> Vec<Odd> {
        let odd = |cargo_takes_it| {
            move |(name, text)| Odd {
                name,
                text,
                cargo_takes_it,
            }
        };
        let believed = self.believed().into_iter().map(odd(true));
        believed.chain(self.passed_over().into_iter().map(odd(false))).collect()
    }
}

fn dependency(changes: &Value) -> Value {
    let plain = json!({"name": "telltale", "req": "^1", "features": [], "optional": false, "default_features": true,
                       "target": null, "kind": "normal", "registry": null, "package": null});
    changed(&plain, changes)
}

fn changed(object: &Value, changes: &Value) -> Value {
    let mut object = object.clone();
    let members = object.as_object_mut().expect("an object");
    members.extend(changes.as_object().expect("changes").clone());
    object
}

struct Scene {
    house: Gatehouse,
    past: Project,
    through: Project,
}

impl Scene {
    fn open() -> Self {
        let binary = Path::new(env!("CARGO_BIN_EXE_sandbox"));
        let house = Gatehouse::open(binary, |_| Setting::policy(EVERYBODY)).expect("a gate");
        for name in ["crockford", "telltale"] {
            let published = house.publish(&house.project(name));
            assert_eq!(published.code, Some(0), "{}", published.said());
        }
        let consumer = |registry: &str| {
            let source = tests::project::fixture("consumer");
            let consumer = house.workshop.adopt_as(&source, registry).expect("a consumer");
            let added = house.cargo(&consumer, &["add", "--quiet", "crockford", "--registry", registry]);
            assert_eq!(added.code, Some(0), "{}", added.said());
            consumer
        };
        let (past, through) = (consumer("bare"), consumer("gate"));
        Self { house, past, through }
    }

    fn index(&self, text: &str) {
        self.house.registry.change(|options| {
            options.index_files.insert("crockford".to_owned(), text.to_owned());
        });
    }

    /// What cargo locks from the index and fetches; none where it does not.
    fn locked(&self, project: &Project, words: &[&str]) -> Option<String> {
        let cargo_home = self.house.workshop.folder().join("cargo-home/registry");
        for folder in ["cache", "src"] {
            let folder = cargo_home.join(folder);
            assert!(
                !folder.exists() || std::fs::remove_dir_all(&folder).is_ok(),
                "nothing was fetched before"
            );
        }
        let lock = project.folder.join("Cargo.lock");
        assert!(!lock.exists() || std::fs::remove_file(&lock).is_ok());
        let outcome = self.house.cargo(project, words);
        (outcome.code == Some(0)).then(|| std::fs::read_to_string(lock).expect("a lock file"))
    }

    /// The gate never saw any archive.
    fn forget(&mut self) {
        self.house.gate.kill();
        std::fs::remove_dir_all(self.house.gate.data()).expect("data");
        self.house.gate.serve().expect("the gate again");
    }
}

fn has_dependency(lock: Option<&String>) -> bool {
    lock.is_some_and(|lock| lock.contains("name = \"telltale\""))
}

#[test]
fn cargo_makes_nothing_of_an_odd_index_that_the_manifest_does_not_say() {
    let mut scene = Scene::open();
    let published = scene.house.registry.version("crockford", "0.3.1").expect("published");
    let liar = Liar {
        honest: published.line,
        own_index: scene.house.registry.index_url(),
    };
    let good = format!("{}\n", liar.honest);
    let fetch: &[&str] = &["fetch", "--quiet"];
    let resolve: &[&str] = &["generate-lockfile", "--quiet"];

    // Of archives that nobody has seen: the lie may be resolved, but is not fetched.
    for odd in liar.odd_files() {
        scene.index(&good);
        scene.forget();
        let lock = scene.locked(&scene.through, fetch);
        assert!(
            lock.is_some() && !has_dependency(lock.as_ref()),
            "{}: {lock:?}",
            odd.name
        );
        scene.index(&odd.text);
        let past = scene.locked(&scene.past, resolve);
        assert_eq!(
            has_dependency(past.as_ref()),
            odd.cargo_takes_it,
            "{}: {past:?}",
            odd.name
        );
        scene.forget();
        let lock = scene.locked(&scene.through, fetch);
        assert!(!has_dependency(lock.as_ref()), "{}: {lock:?}", odd.name);
    }

    // Of archives that it has seen: nobody is told the lie.
    scene.index(&good);
    scene.forget();
    assert!(scene.locked(&scene.through, fetch).is_some());
    for odd in liar.odd_files() {
        scene.index(&odd.text);
        // The gate keeps an index file for a second.
        std::thread::sleep(Duration::from_millis(1_050));
        let index = http::get(&format!("{}/index/cr/oc/crockford", scene.house.gate.url())).expect("the index file");
        let lock = scene.locked(&scene.through, resolve);
        assert!(!has_dependency(lock.as_ref()), "{}: {lock:?}", odd.name);
        assert!(
            !odd.cargo_takes_it || !index.text().contains("telltale"),
            "{}: {}",
            odd.name,
            index.text()
        );
    }
    scene.index(&good);
    std::thread::sleep(Duration::from_millis(1_050));
    let lock = scene.locked(&scene.through, fetch);
    assert!(lock.is_some(), "the unharmed index is good as ever");
}
