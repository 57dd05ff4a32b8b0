//! What the crates of a lock file say themselves, as far as cargo has downloaded them: whether each one's manifest explains the
//! packages that the lock file lets it use, and whether its generated manifest is as the original.
//!
//! A signature does not cover either: cargo takes dependencies from the registry's index, so an honest `.crate` with an honest
//! checksum can be given a dependency, whose build script then runs.

use std::{
    collections::BTreeSet,
    num::NonZeroUsize,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

use package::{
    Archive, Description, Manifest, Registries,
    edge::{Unexplained, Used},
    original::{Departure, departures},
};
use serde_json::{Value, json};
use verify::Sha256Digest;

use crate::{
    evidence::expectation::Severity,
    failure::{Exit, Failure},
    lockfile::{LockedPackage, Lockfile},
    printer::visible,
    registry::crate_cache::{Cached, CrateCache},
    release::crate_file,
};

/// What was found inside one crate.
#[derive(Clone, Debug)]
pub(crate) struct Contents {
    /// How far it was looked at.
    pub(crate) look: Look,
    /// What is refused, or could not be looked at where it must be.
    pub(crate) refusals: Vec<Failure>,
    /// The same where the user only wants to be told.
    pub(crate) warnings: Vec<Failure>,
}

/// How far a crate was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Its manifest was read.
    Inside {
        /// How many packages the lock file lets it use.
        edges: usize,
        /// Whether its generated manifest was compared with the original: crates of before 2016 have none.
        compared: bool,
    },
    /// Its bytes are not what the lock file names, or not a crate.
    Broken,
    /// Cargo has not downloaded it.
    NotFetched,
    /// Its file cannot be read.
    Unreadable,
}

impl Contents {
    /// Whether its manifest was read.
    pub(crate) const fn is_checked(&self) -> bool {
        matches!(self.look, Look::Inside { .. } | Look::Broken)
    }

    /// The packages it uses by the lock file.
    pub(crate) const fn edges(&self) -> usize {
        match self.look {
            Look::Inside { edges, .. } => edges,
            Look::Broken | Look::NotFetched | Look::Unreadable => 0,
        }
    }

    /// The look as JSON.
    pub(crate) fn to_json(&self) -> Value {
        let (edges, compared) = match self.look {
            Look::Inside { edges, compared } => (Some(edges), Some(compared)),
            Look::Broken | Look::NotFetched | Look::Unreadable => (None, None),
        };
        let why_not = match self.look {
            Look::Inside { .. } | Look::Broken => None,
            Look::NotFetched => Some(NOT_FETCHED),
            Look::Unreadable => Some(UNREADABLE),
        };
        json!({
            "checked": self.is_checked(),
            "notChecked": why_not,
            "edges": edges,
            "comparedWithOriginal": compared,
            "warnings": self.warnings.iter().map(Failure::to_json).collect::<Vec<_>>(),
        })
    }
}

/// Looks into the crates of one lock file.
#[derive(Debug)]
pub(crate) struct Inspector<'a> {
    /// The lock file.
    pub(crate) lockfile: &'a Lockfile,
    /// Where cargo keeps crates.
    pub(crate) cache: CrateCache,
    /// Which index URLs name one registry.
    pub(crate) registries: Registries,
    /// Packages that the user's own `[patch]` tables replace, from wherever they like.
    pub(crate) patched: BTreeSet<String>,
    /// What to do about what manifests do not explain.
    pub(crate) unexplained: Severity,
    /// What to do about crates that cargo has not downloaded.
    pub(crate) unfetched: Severity,
}

impl Inspector<'_> {
    /// Looks into every crate of a registry, on every core; in the order of [`Lockfile::registry_crates`].
    pub(crate) fn inspect(&self) -> Vec<Contents> {
        let crates: Vec<(&LockedPackage, Sha256Digest)> = self.lockfile.registry_crates().collect();
        let next = AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            loop {
                let place = next.fetch_add(1, Ordering::Relaxed);
                let Some((package, digest)) = crates.get(place) else {
                    return done;
                };
                done.push((place, self.contents(package, *digest)));
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let mut done = std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads.min(crates.len())).map(|_| scope.spawn(work)).collect();
            let mut done = work();
            for other in others {
                match other.join() {
                    Ok(more) => done.extend(more),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            done
        });
        done.sort_unstable_by_key(|(place, _)| *place);
        done.into_iter().map(|(_, contents)| contents).collect()
    }

    fn contents(&self, package: &LockedPackage, digest: Sha256Digest) -> Contents {
        let (look, failures, severity) = match self.cache.find(package, digest) {
            Cached::Crate(bytes) => {
                let (look, failures) = self.inside(package, &bytes);
                (look, failures, self.unexplained)
            }
            Cached::Other { path, digest: found } => {
                let failure = Failure::from(Error::Cache {
                    label: package.to_string(),
                })
                .fact("file", path.display())
                .fact("expected", format_args!("sha256:{digest}"))
                .fact("found", format_args!("sha256:{found}"));
                (Look::Broken, vec![failure], Severity::Refuse)
            }
            Cached::Nothing => {
                let label = package.to_string();
                (
                    Look::NotFetched,
                    vec![Error::NotFetched { label }.into()],
                    self.unfetched,
                )
            }
            Cached::Unreadable(path) => {
                let label = package.to_string();
                (
                    Look::Unreadable,
                    vec![Error::Unreadable { label, path }.into()],
                    self.unfetched,
                )
            }
        };
        let (refusals, warnings) = match (severity, look) {
            (Severity::Refuse, _) => (failures, Vec::new()),
            // Told once, in all.
            (Severity::Report, Look::NotFetched | Look::Unreadable) => (Vec::new(), Vec::new()),
            (Severity::Report, Look::Inside { .. } | Look::Broken) => (Vec::new(), failures),
        };
        Contents {
            look,
            refusals,
            warnings,
        }
    }

    fn inside(&self, package: &LockedPackage, bytes: &[u8]) -> (Look, Vec<Failure>) {
        let version = package.version.to_string();
        let read = Archive::read(bytes, &package.name, &version, &crate_file::limits()).and_then(|archive| {
            let manifest = Manifest::of_package(&archive.manifest, &package.name, &version, &self.registries)?;
            Ok((archive, manifest))
        });
        let (archive, manifest) = match read {
            Ok(read) => read,
            Err(error) => return (Look::Broken, vec![unusable(&error, package)]),
        };
        let mut failures = self.unexplained_edges(package, &manifest.description);
        let original = archive.original_manifest.as_deref();
        let compared = original.and_then(|original| departures(&archive.manifest, original).ok());
        failures.extend(compared.iter().filter_map(|found| departed(package, found)));
        let look = Look::Inside {
            edges: self.lockfile.used_by(package).count(),
            compared: compared.is_some(),
        };
        (look, failures)
    }

    fn unexplained_edges(&self, package: &LockedPackage, manifest: &Description) -> Vec<Failure> {
        let mut failures = Vec::new();
        for used in self.lockfile.used_by(package) {
            let edge = Used {
                name: &used.name,
                version: &used.version,
                index: used.index(),
            };
            let Err(why) = manifest.explain(&edge, &self.registries) else {
                continue;
            };
            if matches!(why, Unexplained::Registry { .. }) && self.patched.contains(&used.name) {
                continue;
            }
            failures.push(unexplained(package, used, &why));
        }
        failures
    }
}

fn unexplained(package: &LockedPackage, used: &LockedPackage, why: &Unexplained) -> Failure {
    let edge = Edge {
        label: package.to_string(),
        used: used.to_string(),
    };
    let (failure, found): (Failure, String) = match why {
        Unexplained::Requirement { named } => (
            Error::Requirement(edge).into(),
            format!("{} {}", used.name, named.join(" or ")),
        ),
        Unexplained::Registry { named } => (
            Failure::from(Error::Registry(edge)).hint(format_args!(
                "if both URLs name one registry, say so in `sigstore.toml`: same-registry = [[\"{}\", \"{}\"]]",
                visible(used.index().unwrap_or_default()),
                visible(named.first().map_or("", String::as_str)),
            )),
            format!("{} from {}", used.name, named.join(" or ")),
        ),
        Unexplained::Development => (
            Error::Unexplained(edge).into(),
            format!("{} for its own tests only", used.name),
        ),
        Unexplained::Unnamed | _ => (Error::Unexplained(edge).into(), format!("no `{}`", used.name)),
    };
    failure
        .fact(
            EDGE,
            format_args!("{used} from {}", visible(used.source.as_deref().unwrap_or("a path"))),
        )
        .fact("manifest", visible(&found))
}

fn departed(package: &LockedPackage, found: &[Departure]) -> Option<Failure> {
    let first = found.first()?;
    let label = package.to_string();
    let failure = Failure::from(Error::Departed { label }).fact("Cargo.toml", first);
    Some(match found.len().saturating_sub(1) {
        0 => failure,
        more => failure.fact("more differences", more),
    })
}

fn unusable(error: &package::Error, package: &LockedPackage) -> Failure {
    Failure::new(Exit::Refused, error.code(), error)
        .while_doing(format_args!("`{package}` is not acceptable as a crate"))
        .hint("readers differ on what is in such an archive: look into it before you build it; `--allow-unexplained` accepts it")
}

/// An edge of a lock file.
#[derive(Debug)]
struct Edge {
    label: String,
    used: String,
}

/// What is wrong with a crate, or why it could not be looked at.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("`{}` uses `{}` by the lock file, but not by its own manifest", .0.label, .0.used)]
    Unexplained(Edge),
    #[error("`{}` uses `{}` by the lock file, but another version by its own manifest", .0.label, .0.used)]
    Requirement(Edge),
    #[error("`{}` uses `{}` by the lock file, but from another registry by its own manifest", .0.label, .0.used)]
    Registry(Edge),
    #[error("the manifest of `{label}` is not what its original says")]
    Departed { label: String },
    #[error("cargo's cache holds other bytes of `{label}` than the lock file names")]
    Cache { label: String },
    #[error("the manifest of `{label}` was not looked at: {NOT_FETCHED}")]
    NotFetched { label: String },
    #[error("the manifest of `{label}` was not looked at: `{}` cannot be read, or is larger than any crate", path.display())]
    Unreadable { label: String, path: PathBuf },
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (exit, code, hint) = match &error {
            Error::Unexplained(_) => (Exit::Refused, "edge-unexplained", DO_NOT_BUILD),
            Error::Requirement(_) => (Exit::Refused, "edge-requirement", DO_NOT_BUILD),
            Error::Registry(_) => (Exit::Refused, "edge-registry", DO_NOT_BUILD),
            Error::Departed { .. } => (
                Exit::Refused,
                "manifest-departs",
                "cargo builds by `Cargo.toml`, people read `Cargo.toml.orig`: do not build it, and tell its publisher; \
                 `--allow-unexplained` accepts it",
            ),
            Error::Cache { .. } => (
                Exit::Refused,
                "crate-cache",
                "cargo builds what is in its cache without looking at the checksum again: remove the file and its folder in \
                 `registry/src`, and run `cargo fetch`",
            ),
            Error::NotFetched { .. } => (
                Exit::Unavailable,
                "crate-unfetched",
                "run `cargo fetch`, which runs no code of a crate",
            ),
            Error::Unreadable { .. } => (
                Exit::Unavailable,
                "crate-unfetched",
                "check the file and its permissions",
            ),
        };
        Self::new(exit, code, &error).hint(hint)
    }
}

const DO_NOT_BUILD: &str = "the registry's index says otherwise than the crate: do not build it, and ask who runs the registry; \
                            `--allow-unexplained` accepts it";

/// The fact that says which edge of the lock file a failure is about.
pub(crate) const EDGE: &str = "lock file";

/// Why a crate was not looked at.
pub(crate) const NOT_FETCHED: &str = "not in cargo's cache (run `cargo fetch`)";
/// The same, for a file that is there.
pub(crate) const UNREADABLE: &str = "unreadable in cargo's cache";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::crate_file::tests::pack;

    const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";
    const CACHE: &str = "registry/cache/index.crates.io-1949cf8c6b5b557f";

    /// A lock file and a cache with the crates in it.
    struct Scene {
        home: tempfile::TempDir,
        lock: String,
    }

    impl Scene {
        fn new() -> Self {
            let home = tempfile::tempdir().unwrap();
            std::fs::create_dir_all(home.path().join(CACHE)).unwrap();
            Self {
                home,
                lock: String::new(),
            }
        }

        /// Adds a crate to both, which uses these by the lock file and has this in its manifest.
        fn add(&mut self, name: &str, version: &str, uses: &[&str], manifest: &str) {
            self.add_made_of(name, version, uses, manifest, manifest);
        }

        fn add_made_of(&mut self, name: &str, version: &str, uses: &[&str], manifest: &str, original: &str) {
            let package = format!("[package]\nname = \"{name}\"\nversion = \"{version}\"\n");
            let folder = format!("{name}-{version}");
            let (manifest, original) = (package.clone() + manifest, package + original);
            let bytes = pack(&[
                (&format!("{folder}/Cargo.toml"), manifest.as_bytes()),
                (&format!("{folder}/Cargo.toml.orig"), original.as_bytes()),
            ]);
            self.add_bytes(name, version, uses, &bytes);
        }

        fn add_bytes(&mut self, name: &str, version: &str, uses: &[&str], bytes: &[u8]) {
            let file = self.home.path().join(CACHE).join(format!("{name}-{version}.crate"));
            std::fs::write(file, bytes).unwrap();
            self.add_locked(
                name,
                version,
                uses,
                &format!("source = \"{CRATES_IO}\"\nchecksum = \"{}\"", Sha256Digest::of(bytes)),
            );
        }

        fn add_locked(&mut self, name: &str, version: &str, uses: &[&str], source: &str) {
            let package = format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"");
            self.lock
                .extend([package, format!("\ndependencies = {uses:?}\n{source}\n")]);
        }

        fn inspect(&self) -> Vec<Contents> {
            self.inspect_with(&[], Severity::Refuse)
        }

        fn inspect_with(&self, patched: &[&str], severity: Severity) -> Vec<Contents> {
            let lockfile = Lockfile::from_toml(&self.lock).unwrap();
            let inspector = Inspector {
                lockfile: &lockfile,
                cache: CrateCache::new(Some(self.home.path())),
                registries: Registries::default(),
                patched: patched.iter().map(|name| (*name).to_owned()).collect(),
                unexplained: severity,
                unfetched: severity,
            };
            inspector.inspect()
        }

        /// Codes of refusals, crate by crate.
        fn codes(&self) -> Vec<Vec<&'static str>> {
            let inspected = self.inspect();
            let codes = inspected
                .iter()
                .map(|contents| contents.refusals.iter().map(Failure::code).collect());
            codes.collect()
        }
    }

    #[test]
    fn many_crates_are_told_in_their_order() {
        let mut scene = Scene::new();
        for number in 0..40 {
            let name = format!("c{number}");
            let uses = if number % 7 == 3 { vec!["c0"] } else { vec![] };
            scene.add(&name, "1.0.0", &uses, "");
        }
        let expected: Vec<Vec<&str>> = (0..40)
            .map(|number| {
                if number % 7 == 3 {
                    vec!["edge-unexplained"]
                } else {
                    vec![]
                }
            })
            .collect();
        assert_eq!(scene.codes(), expected);
    }

    #[test]
    fn each_edge_is_held_to_the_manifest_it_leaves() {
        let mut scene = Scene::new();
        let manifest = "[dependencies]\nb = \"1\"\n[dependencies.old]\npackage = \"b\"\nversion = \"0.9\"\n[dev-dependencies]\nc = \"1\"\n";
        scene.add("a", "1.0.0", &["b 0.9.0", "b 1.0.0"], manifest);
        scene.add("b", "0.9.0", &[], "");
        scene.add("b", "1.0.0", &[], "");
        scene.add("b", "2.0.0", &[], "");
        scene.add("c", "1.0.0", &[], "");
        assert_eq!(scene.codes().concat(), Vec::<&str>::new());
        let honest = scene.inspect();
        assert_eq!((honest[0].edges(), honest[1].edges()), (2, 0));
        for (uses, code) in [("\"b 2.0.0\"", "edge-requirement"), ("\"c\"", "edge-unexplained")] {
            let lock = scene.lock.clone();
            scene.lock = scene.lock.replace("\"b 1.0.0\"", uses);
            assert_eq!(scene.codes().concat(), [code], "{uses}");
            scene.lock = lock;
        }
    }

    #[test]
    fn a_package_that_the_user_patches_may_come_from_anywhere() {
        let mut scene = Scene::new();
        scene.add("a", "1.0.0", &["b"], "[dependencies]\nb = \"1\"\n");
        let digest = "0".repeat(64);
        let elsewhere = format!("source = \"sparse+https://r.example/\"\nchecksum = \"{digest}\"");
        scene.add_locked("b", "1.0.0", &[], &elsewhere);
        let refused = |inspected: &[Contents]| inspected[0].refusals.first().map(Failure::code);
        assert_eq!(refused(&scene.inspect()), Some("edge-registry"));
        assert_eq!(refused(&scene.inspect_with(&["b"], Severity::Refuse)), None);
        for source in ["", "source = \"git+https://example.com/b#01\""] {
            scene.lock = scene.lock.replace(&elsewhere, source);
            assert_eq!(refused(&scene.inspect()), None, "{source}");
        }
    }

    #[test]
    fn a_generated_manifest_that_departs_from_the_original_is_refused() {
        let mut scene = Scene::new();
        let honest = "[dependencies]\nb = \"1\"\n";
        scene.add_made_of("a", "1.0.0", &["b"], honest, honest);
        scene.add("b", "1.0.0", &[], "");
        assert_eq!(scene.codes().concat(), Vec::<&str>::new());
        let mut scene = Scene::new();
        scene.add_made_of("a", "1.0.0", &["b"], honest, "");
        scene.add("b", "1.0.0", &[], "");
        assert_eq!(scene.codes(), [vec!["manifest-departs"], vec![]]);
    }

    #[test]
    fn what_is_no_crate_is_refused_by_its_rule() {
        let mut scene = Scene::new();
        scene.add("a", "1.0.0", &[], "");
        scene.add_bytes("b", "1.0.0", &[], b"not gzip");
        let of_another = pack(&[("c-1.0.0/Cargo.toml", b"[package]\nname = \"a\"\nversion = \"1.0.0\"\n")]);
        scene.add_bytes("c", "1.0.0", &[], &of_another);
        assert_eq!(
            scene.codes(),
            [vec![], vec!["package-tar"], vec!["package-manifest-name"]]
        );
    }

    #[test]
    fn what_cargo_has_not_downloaded_is_not_checked() {
        let mut scene = Scene::new();
        scene.add("a", "1.0.0", &["b"], "");
        scene.add("b", "1.0.0", &[], "");
        std::fs::remove_file(scene.home.path().join(CACHE).join("b-1.0.0.crate")).unwrap();
        assert_eq!(scene.codes(), [vec!["edge-unexplained"], vec!["crate-unfetched"]]);
        let told = scene.inspect_with(&[], Severity::Report);
        assert!(told.iter().all(|contents| contents.refusals.is_empty()));
        assert_eq!((told[0].warnings.len(), told[1].warnings.len()), (1, 0));
        assert_eq!((told[0].is_checked(), told[1].is_checked()), (true, false));
    }
}
