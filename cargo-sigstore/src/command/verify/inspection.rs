//! Looking into the crates of a lock file, where cargo has them.

use std::{collections::BTreeSet, path::Path};

use package::Registries;
use toml::Table;

use crate::{
    context::Context,
    evidence::{contents::Inspector, expectation::Expectations, finding::Finding},
    file,
    lockfile::Lockfile,
    registry::{
        crate_cache::CrateCache,
        selection::{Configuration, cargo_home, patched},
    },
};

/// Adds to the findings, which are of every registry crate of the lock file and in its order, what is inside.
pub(super) fn add(
    context: &Context,
    lockfile: &Lockfile,
    path: &Path,
    expectations: &Expectations,
    findings: &mut [Finding],
) {
    let groups = expectations.same_registry.iter();
    let registries = groups.fold(Registries::default(), |registries, urls| {
        registries.alike(urls.iter().map(String::as_str))
    });
    let inspector = Inspector {
        lockfile,
        cache: CrateCache::new(cargo_home(context).as_deref()),
        registries,
        patched: patched_by_user(context, path),
        unexplained: expectations.unexplained,
        unfetched: expectations.unfetched.0,
    };
    for (finding, contents) in findings.iter_mut().zip(inspector.inspect()) {
        finding.contents = Some(contents);
    }
}

/// Names of the packages that the workspace's manifest or cargo's configuration replaces.
fn patched_by_user(context: &Context, lockfile: &Path) -> BTreeSet<String> {
    let path = std::path::absolute(lockfile).unwrap_or_else(|_| lockfile.to_owned());
    let folder = path.parent().unwrap_or(Path::new("/"));
    let manifest = file::read(&folder.join("Cargo.toml"), MANIFEST_BYTES);
    // A manifest that cannot be read replaces nothing, which is the strict side: cargo itself would build nothing by it.
    let manifest: Table = manifest
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok()?.parse().ok())
        .unwrap_or_default();
    let configured = Configuration::of(context, folder);
    patched(&manifest).into_iter().chain(configured.patched()).collect()
}

/// Manifests of workspaces are a few hundred lines.
const MANIFEST_BYTES: usize = 4 << 20;
