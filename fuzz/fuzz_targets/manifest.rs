//! A manifest agrees with its own index line, departs in nothing from itself, and explains the edges to what it names.
#![no_main]

use fuzz::registry;
use package::{
    Dependency, DependencyKind, Manifest, Registries, description::Source, edge::Used, original::departures,
    publish::IndexLine,
};
use semver::{Op, Version, VersionReq};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let registries = Registries::crates_io();
    let Ok(manifest) = Manifest::from_toml(text, &registries) else {
        return;
    };
    assert_eq!(departures(text, text), Ok(Vec::new()));
    let description = manifest.description;
    let named = (description.name.as_str(), description.version.as_str());
    assert!(Manifest::of_package(text, named.0, named.1, &registries).is_ok());
    let line = registry::line(&description).to_string();
    let line = IndexLine::from_json(line.as_bytes(), &registries).expect("a manifest's line");
    assert_eq!(description.differences(&line.description), []);
    for dependency in &description.dependencies {
        let Some(version) = lowest(dependency) else { continue };
        let index = match &dependency.source {
            Source::Own => "registry+https://github.com/rust-lang/crates.io-index",
            Source::Registry(index) => index,
        };
        for index in [None, Some(index)] {
            let used = Used {
                name: &dependency.package,
                version: &version,
                index,
            };
            let explained = description.explain(&used, &registries);
            assert!(explained.is_ok() || dependency.kind == DependencyKind::Development);
        }
        let unnamed = Used {
            name: "named/by/nobody",
            version: &version,
            index: None,
        };
        assert!(dependency.package == unnamed.name || description.explain(&unnamed, &registries).is_err());
    }
});

/// The version that the first part of the requirement names, where it fits.
fn lowest(dependency: &Dependency) -> Option<Version> {
    let requirement = VersionReq::parse(&dependency.requirement).expect("a canonical requirement");
    let first = requirement.comparators.first()?;
    let version = Version {
        major: first.major,
        minor: first.minor.unwrap_or(0),
        patch: first.patch.unwrap_or(0),
        pre: first.pre.clone(),
        build: semver::BuildMetadata::EMPTY,
    };
    let named = matches!(first.op, Op::Exact | Op::Caret | Op::Tilde | Op::GreaterEq | Op::LessEq);
    (named && requirement.matches(&version)).then_some(version)
}
