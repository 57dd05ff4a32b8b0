use super::*;

const ORIGINAL: &str = r#"
[package]
name = "a-b"
version.workspace = true
links = "z"
build = "./build/main.rs"
[lib]
proc-macro = true
path = "src/library.rs"
[[bin]]
name = "tool"
[dependencies]
plain = "1.2"
local = { path = "../local", version = "0.3" }
named = { version = "1", registry = "ours" }
shared = { workspace = true, features = ["x"] }
maybe = { version = "1", optional = true, default-features = false, features = ["y"], package = "real" }
[target.'cfg( unix )'.build-dependencies]
builder = "=1.0.1"
[dev_dependencies]
tester = { path = "../tester", features = ["z"] }
helper = { workspace = true }
kept = "1"
[features]
default = ["dep:maybe", "tester/all", "std"]
std = []
[workspace]
members = ["x"]
"#;

/// What cargo makes of it.
const GENERATED: &str = r#"
[package]
name = "a-b"
version = "1.0.0"
links = "z"
build = "build/main.rs"
autobins = false
[lib]
name = "a_b"
proc-macro = true
path = "src/library.rs"
[[bin]]
name = "tool"
path = "src/bin/tool.rs"
[[bin]]
name = "found"
path = "src/bin/found/main.rs"
[dependencies.plain]
version = "1.2"
[dependencies.local]
version = "0.3"
[dependencies.named]
version = "1"
registry-index = "https://ours.example"
[dependencies.shared]
version = "4"
features = ["w", "x"]
default-features = false
[dependencies.maybe]
version = "1"
optional = true
default-features = false
features = ["y"]
package = "real"
[target."cfg(unix)".build-dependencies.builder]
version = "=1.0.1"
[dev-dependencies.kept]
version = "1"
[features]
default = ["dep:maybe", "std"]
std = []
"#;

fn found(generated: &str, original: &str) -> Vec<String> {
    let departures = departures(generated, original).unwrap();
    departures.iter().map(ToString::to_string).collect()
}

#[test]
fn what_cargo_does_to_a_manifest_is_allowed_for() {
    assert_eq!(found(GENERATED, ORIGINAL), Vec::<String>::new());
    assert_eq!(found(GENERATED, GENERATED), Vec::<String>::new());
    let marked = format!("\u{feff}{ORIGINAL}");
    assert_eq!(found(GENERATED, &marked), Vec::<String>::new());
}

#[test]
fn what_is_not_packaged_may_be_left_out() {
    for (from, to) in [
        ("build = \"build/main.rs\"", "build = false"),
        (
            "autobins = false\n[lib]\nname = \"a_b\"\nproc-macro = true\npath = \"src/library.rs\"\n",
            "autolib = false\n",
        ),
        ("[[bin]]\nname = \"tool\"\npath = \"src/bin/tool.rs\"\n", ""),
    ] {
        assert!(GENERATED.contains(from), "{from}");
        assert_eq!(
            found(&GENERATED.replace(from, to), ORIGINAL),
            Vec::<String>::new(),
            "{to}"
        );
    }
}

#[test]
fn every_kind_of_departure_is_found() {
    for (from, to, expected) in [
        ("name = \"a-b\"", "name = \"a-c\"", "`name` is `a-c`, originally `a-b`"),
        ("links = \"z\"", "", "`links` is ``, originally `z`"),
        (
            "build/main.rs",
            "build/evil.rs",
            "`build` is `build/evil.rs`, originally `build/main.rs`",
        ),
        (
            "src/library.rs",
            "src/evil.rs",
            "`lib.path` is `src/evil.rs`, originally `src/library.rs`",
        ),
        (
            "proc-macro = true\n",
            "",
            "`lib.crate-type` is ``, originally `proc-macro`",
        ),
        (
            "src/bin/tool.rs",
            "evil.rs",
            "program `tool` is not in the original, or at another path",
        ),
        (
            "[dev-dependencies.kept]",
            "[dependencies.evil]\nversion = \"1\"\n[dev-dependencies.kept]",
            "dependency `dependencies.evil` is not in the original",
        ),
        (
            "[dependencies.plain]\nversion = \"1.2\"\n",
            "",
            "dependency `dependencies.plain` of the original is missing",
        ),
        (
            "[dev-dependencies.kept]\nversion = \"1\"\n",
            "",
            "dependency `dev-dependencies.kept` of the original is missing",
        ),
        (
            "version = \"1.2\"",
            "version = \"1.3\"",
            "`version` of dependency `dependencies.plain` is changed",
        ),
        (
            "package = \"real\"",
            "package = \"other\"",
            "`package` of dependency `dependencies.maybe` is changed",
        ),
        (
            "optional = true\n",
            "",
            "`optional` of dependency `dependencies.maybe` is changed",
        ),
        (
            "features = [\"y\"]",
            "features = [\"y\", \"evil\"]",
            "`features` of dependency `dependencies.maybe` is changed",
        ),
        (
            "features = [\"w\", \"x\"]",
            "features = [\"w\"]",
            "`features` of dependency `dependencies.shared` is changed",
        ),
        (
            "version = \"0.3\"",
            "version = \"0.3\"\nregistry-index = \"https://evil.example\"",
            "`registry-index` of dependency `dependencies.local` is changed",
        ),
        (
            "version = \"=1.0.1\"",
            "version = \"=1.0.1\"\ndefault-features = false",
            "`default-features` of dependency `target.'cfg(unix)'.build-dependencies.builder` is changed",
        ),
        (
            "default = [\"dep:maybe\", \"std\"]",
            "default = [\"dep:maybe\"]",
            "feature `default` is not as in the original",
        ),
        (
            "std = []",
            "std = []\nevil = []",
            "feature `evil` is not as in the original",
        ),
    ] {
        assert!(GENERATED.contains(from), "{from}");
        assert_eq!(found(&GENERATED.replacen(from, to, 1), ORIGINAL), [expected]);
    }
}

#[test]
fn a_build_script_is_that_of_the_original() {
    let manifest = |build: &str| format!("[package]\nname = \"a\"\nversion = \"1.0.0\"\n{build}\n");
    let none = "";
    for (generated, original, same) in [
        (none, none, true),
        ("build = \"build.rs\"", none, true),
        ("build = false", none, true),
        ("build = \"evil.rs\"", none, false),
        (none, "build = \"build.rs\"", true),
        (none, "build = \"other.rs\"", false),
        ("build = false", "build = \"other.rs\"", true),
        ("build = \"other.rs\"", "build = false", false),
        (none, "build = false", false),
        ("build = [\"a.rs\", \"b.rs\"]", "build = [\"a.rs\", \"b.rs\"]", true),
        ("build = [\"a.rs\", \"b.rs\"]", "build = [\"a.rs\"]", false),
    ] {
        let found = found(&manifest(generated), &manifest(original));
        assert_eq!(found.is_empty(), same, "{generated} of {original}: {found:?}");
    }
}

#[test]
fn a_library_that_was_found_is_spelt_out() {
    let manifest = |lib: &str| format!("[package]\nname = \"a-b\"\nversion = \"1.0.0\"\n{lib}\n");
    for (path, same) in [("src/lib.rs", true), ("src/a_b.rs", true), ("src/evil.rs", false)] {
        let generated = manifest(&format!("[lib]\nname = \"a_b\"\npath = \"{path}\""));
        assert_eq!(found(&generated, &manifest("")).is_empty(), same, "{path}");
    }
}

#[test]
fn what_is_not_toml_is_not_compared() {
    assert_eq!(
        departures("[package", ORIGINAL),
        Err(Error::Manifest { field: "not TOML" })
    );
    assert_eq!(departures(GENERATED, "[package"), Err(Error::OriginalManifest));
}

#[test]
fn a_program_declared_twice_departs_in_nothing_from_itself() {
    let twice = "[[bin]]\nname = \"b\"\npath = \"one.rs\"\n[[bin]]\nname = \"b\"\npath = \"two.rs\"\n";
    assert_eq!(departures(twice, twice), Ok(Vec::new()));
    let third = twice.replace("two.rs", "three.rs");
    assert_eq!(departures(&third, twice), Ok(vec![Departure::Program("b".to_owned())]));
}
