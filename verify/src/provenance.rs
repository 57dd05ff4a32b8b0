//! SLSA provenance v1 of a crate [SLSA v1.2, provenance], in the build type `cargo-package/v1`.
//!
//! The predicate is filled from the certificate, not from the environment: [`Provenance::from_identity`] takes every
//! field the CI vouches for out of the certificate's extensions, so statement and certificate agree by construction.
//! What the certificate does not say (an e-mail identity has no repository) is left out, never guessed.
//! Whether a predicate that somebody else wrote agrees with certificate and crate is [`crate::agreement`]'s subject.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    Budget, Error, Sha256Digest, WorkloadIdentity,
    identity::{Claim, SubjectAlternativeName},
    json,
    statement::Statement,
};

/// `https://slsa.dev/provenance/v1`
pub const PREDICATE_TYPE: &str = "https://slsa.dev/provenance/v1";
/// The build type of this suite; described in `docs/buildtypes/cargo-package-v1.md`.
pub const BUILD_TYPE: &str = "https://cargo-sigstore.github.io/buildtypes/cargo-package/v1";
/// The build type of `actions/attest`.
pub const GITHUB_WORKFLOW_BUILD_TYPE: &str = "https://actions.github.io/buildtypes/workflow/v1";

/// The predicate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Provenance {
    /// What was to be built.
    pub build_definition: BuildDefinition,
    /// What ran.
    pub run_details: RunDetails,
}

/// Inputs of the build.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildDefinition {
    /// [`BUILD_TYPE`].
    pub build_type: String,
    /// All that a caller can influence.
    pub external_parameters: ExternalParameters,
    /// What the platform set.
    #[serde(default)]
    pub internal_parameters: InternalParameters,
    /// Source commit, toolchain, workflow, lock file.
    #[serde(default)]
    pub resolved_dependencies: Vec<ResourceDescriptor>,
}

/// External parameters; an unknown one is refused [SLSA v1.2, verifying artifacts].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExternalParameters {
    /// Repository and ref, when the certificate names them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Top-level build configuration, when the certificate names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<Workflow>,
    /// The package.
    pub package: Package,
    /// Options that change the bytes; absent when none was given.
    #[serde(default, skip_serializing_if = "Options::is_default")]
    pub options: Options,
    /// Inputs of a dispatched workflow.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, String>,
}

/// Where the source is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// URL without `.git`.
    pub repository: String,
    /// Full ref; empty when the certificate names none.
    #[serde(default, rename = "ref", skip_serializing_if = "String::is_empty")]
    pub reference: String,
}

/// Which build configuration ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workflow {
    /// URL of its repository.
    pub repository: String,
    /// Path in that repository.
    pub path: String,
    /// Ref, or commit.
    #[serde(rename = "ref")]
    pub reference: String,
}

/// Which package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Package name.
    pub name: String,
    /// Version.
    pub version: String,
    /// `path_in_vcs`, empty at the root.
    pub path: String,
}

/// Options of `cargo package` that change the bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Options {
    /// `--allow-dirty`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_dirty: bool,
    /// `--exclude-lockfile`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exclude_lockfile: bool,
}

impl Options {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Internal parameters; unknown ones are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct InternalParameters {
    /// Event that started the build (claim 20).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// Immutable repository id (claim 15).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository_id: Option<String>,
    /// Immutable owner id (claim 17).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository_owner_id: Option<String>,
    /// Hosted or self-hosted (claim 11).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runner_environment: Option<String>,
    /// Deployment environment (claim 23).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The cargo that packaged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cargo: Option<Cargo>,
    /// The tool that wrote this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<Tool>,
}

/// A cargo.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Cargo {
    /// `1.95.0`.
    pub version: String,
    /// Commit it was built from; empty when unknown.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub commit_hash: String,
    /// Host triple; empty when unknown.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
}

/// A tool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tool {
    /// `cargo-sigstore`.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// Something the build used [in-toto attestation framework v1, `ResourceDescriptor`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourceDescriptor {
    /// URI; empty when absent.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uri: String,
    /// File name; empty when absent.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Digest by algorithm name.
    pub digest: BTreeMap<String, String>,
}

/// Who built, in which run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunDetails {
    /// The builder.
    pub builder: Builder,
    /// The run.
    #[serde(default)]
    pub metadata: Metadata,
    /// Further results: the SBOM.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub byproducts: Vec<ResourceDescriptor>,
}

/// The builder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Builder {
    /// The certificate's subject alternative name as a URI.
    pub id: String,
    /// Versions of the tools.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub version: BTreeMap<String, String>,
}

/// The run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    /// Run invocation URI (claim 21).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invocation_id: Option<String>,
}

/// What the certificate cannot know: facts of the package step.
#[derive(Clone, Debug)]
pub struct PackageFacts {
    /// The package.
    pub package: Package,
    /// Options that change the bytes.
    pub options: Options,
    /// Inputs of a dispatched workflow.
    pub inputs: BTreeMap<String, String>,
    /// The cargo that packaged.
    pub cargo: Cargo,
    /// The tool that writes the statement.
    pub tool: Tool,
    /// SHA-256 of the `Cargo.lock` used.
    pub lockfile: Option<Sha256Digest>,
    /// URI and SHA-256 of the toolchain's channel manifest, where known.
    pub toolchain: Option<(String, Sha256Digest)>,
    /// SHA-256 of the SBOM document.
    pub sbom: Option<Sha256Digest>,
}

impl Provenance {
    /// The predicate for a package built under `identity`.
    #[must_use]
    pub fn from_identity(identity: &WorkloadIdentity, facts: &PackageFacts) -> Self {
        let claim = |claim| identity.claim(claim).map(str::to_owned);
        let source = claim(Claim::SourceRepositoryUri).map(|repository| Source {
            repository,
            reference: claim(Claim::SourceRepositoryRef).unwrap_or_default(),
        });
        Self {
            build_definition: BuildDefinition {
                build_type: BUILD_TYPE.to_owned(),
                external_parameters: ExternalParameters {
                    source,
                    workflow: workflow(identity),
                    package: facts.package.clone(),
                    options: facts.options,
                    inputs: facts.inputs.clone(),
                },
                internal_parameters: InternalParameters {
                    trigger: claim(Claim::BuildTrigger),
                    repository_id: claim(Claim::SourceRepositoryIdentifier),
                    repository_owner_id: claim(Claim::SourceRepositoryOwnerIdentifier),
                    runner_environment: claim(Claim::RunnerEnvironment),
                    environment: claim(Claim::DeploymentEnvironment),
                    cargo: Some(facts.cargo.clone()),
                    tool: Some(facts.tool.clone()),
                },
                resolved_dependencies: resolved_dependencies(identity, facts),
            },
            run_details: run_details(identity, facts),
        }
    }

    /// Reads the predicate of a provenance statement in this build type.
    ///
    /// # Errors
    /// [`Error::PredicateType`] for another predicate, [`Error::BuildType`] for another build type,
    /// [`Error::Json`] when the shape does not fit or an external parameter is unknown.
    pub fn from_statement(statement: &Statement, budget: &Budget) -> Result<Self, Error> {
        if statement.predicate_type != PREDICATE_TYPE {
            return Err(Error::PredicateType {
                found: shorten(&statement.predicate_type),
            });
        }
        let found = statement
            .predicate
            .pointer("/buildDefinition/buildType")
            .and_then(serde_json::Value::as_str);
        if found != Some(BUILD_TYPE) {
            return Err(Error::BuildType {
                found: shorten(found.unwrap_or_default()),
            });
        }
        let text = statement.predicate.to_string();
        json::parse_as(text.as_bytes(), "provenance", budget.payload_bytes, budget.json_depth)
    }

    /// The predicate as JSON.
    #[must_use]
    pub fn to_value(&self) -> serde_json::Value {
        // Only a map with keys that are no strings can fail here, and this type has none.
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// The predicate `actions/attest` writes, for consumers pinned to that build type; none when a claim it needs is missing.
#[must_use]
pub fn github_workflow_predicate(identity: &WorkloadIdentity) -> Option<serde_json::Value> {
    let workflow = workflow(identity)?;
    let repository = identity.claim(Claim::SourceRepositoryUri)?;
    let reference = identity.claim(Claim::SourceRepositoryRef)?;
    Some(serde_json::json!({
        "buildDefinition": {
            "buildType": GITHUB_WORKFLOW_BUILD_TYPE,
            "externalParameters": { "workflow": workflow },
            "internalParameters": { "github": {
                "event_name": identity.claim(Claim::BuildTrigger)?,
                "repository_id": identity.claim(Claim::SourceRepositoryIdentifier)?,
                "repository_owner_id": identity.claim(Claim::SourceRepositoryOwnerIdentifier)?,
                "runner_environment": identity.claim(Claim::RunnerEnvironment)?,
            } },
            "resolvedDependencies": [{
                "uri": format!("git+{repository}@{reference}"),
                "digest": { "gitCommit": identity.claim(Claim::SourceRepositoryDigest)? },
            }],
        },
        "runDetails": {
            "builder": { "id": builder_id(identity) },
            "metadata": { "invocationId": identity.claim(Claim::RunInvocationUri)? },
        },
    }))
}

/// The package URL of a crate [purl specification, type cargo]; `registry` is the index URL of a registry other than crates.io.
#[must_use]
pub fn package_url(name: &str, version: &str, registry: Option<&str>) -> String {
    let version = version.replace('+', "%2B");
    registry.map_or_else(
        || format!("pkg:cargo/{name}@{version}"),
        |index| format!("pkg:cargo/{name}@{version}?repository_url={}", encode_qualifier(index)),
    )
}

/// The builder's id: the subject alternative name, an e-mail address as `mailto:`.
#[must_use]
pub fn builder_id(identity: &WorkloadIdentity) -> String {
    match &identity.san {
        SubjectAlternativeName::Uri(uri) => uri.clone(),
        SubjectAlternativeName::Email(address) => format!("mailto:{address}"),
        SubjectAlternativeName::Username(name) => format!("user:{name}"),
    }
}

/// Splits claim 18 into repository, path and ref: `repository + "/" + path + "@" + ref` gives it back.
/// The ref is what follows the last `@`; the repository is claim 12 where it is a prefix, else the first two segments after the host.
#[must_use]
pub fn workflow(identity: &WorkloadIdentity) -> Option<Workflow> {
    let (location, reference) = identity.claim(Claim::BuildConfigUri)?.rsplit_once('@')?;
    let own = identity
        .claim(Claim::SourceRepositoryUri)
        .and_then(|source| Some((source, location.strip_prefix(source)?.strip_prefix('/')?)));
    let (repository, path) = match own {
        Some(parts) => parts,
        None => location
            .match_indices('/')
            .nth(4)
            .and_then(|(at, _)| Some((location.get(..at)?, location.get(at.checked_add(1)?..)?)))?,
    };
    Some(Workflow {
        repository: repository.to_owned(),
        path: path.to_owned(),
        reference: reference.to_owned(),
    })
}

fn resolved_dependencies(identity: &WorkloadIdentity, facts: &PackageFacts) -> Vec<ResourceDescriptor> {
    let source = identity.claim(Claim::SourceRepositoryUri).map(|repository| {
        let reference = identity.claim(Claim::SourceRepositoryRef);
        git_resource(repository, reference, identity.claim(Claim::SourceRepositoryDigest))
    });
    let toolchain = facts.toolchain.as_ref().map(|(uri, digest)| ResourceDescriptor {
        uri: uri.clone(),
        digest: sha256(digest),
        ..ResourceDescriptor::default()
    });
    let signer = identity
        .claim(Claim::BuildSignerDigest)
        .zip(identity.claim(Claim::BuildSignerUri))
        .and_then(|(commit, uri)| {
            let (location, reference) = uri.rsplit_once('@')?;
            Some(git_resource(location, Some(reference), Some(commit)))
        });
    let lockfile = facts.lockfile.as_ref().map(|digest| ResourceDescriptor {
        name: "Cargo.lock".to_owned(),
        digest: sha256(digest),
        ..ResourceDescriptor::default()
    });
    [source, toolchain, signer, lockfile].into_iter().flatten().collect()
}

fn run_details(identity: &WorkloadIdentity, facts: &PackageFacts) -> RunDetails {
    let byproducts = facts.sbom.as_ref().map(|digest| ResourceDescriptor {
        name: format!("{}-{}.cdx.json", facts.package.name, facts.package.version),
        digest: sha256(digest),
        ..ResourceDescriptor::default()
    });
    RunDetails {
        builder: Builder {
            id: builder_id(identity),
            version: BTreeMap::from([
                (facts.tool.name.clone(), facts.tool.version.clone()),
                ("cargo".to_owned(), facts.cargo.version.clone()),
            ]),
        },
        metadata: Metadata {
            invocation_id: identity.claim(Claim::RunInvocationUri).map(str::to_owned),
        },
        byproducts: byproducts.into_iter().collect(),
    }
}

/// `git+REPOSITORY@REF` with its commit; the digest is empty when the certificate names no commit.
fn git_resource(repository: &str, reference: Option<&str>, commit: Option<&str>) -> ResourceDescriptor {
    ResourceDescriptor {
        uri: reference.map_or_else(
            || format!("git+{repository}"),
            |reference| format!("git+{repository}@{reference}"),
        ),
        name: String::new(),
        digest: commit
            .map(|commit| ("gitCommit".to_owned(), commit.to_owned()))
            .into_iter()
            .collect(),
    }
}

fn sha256(digest: &Sha256Digest) -> BTreeMap<String, String> {
    BTreeMap::from([("sha256".to_owned(), digest.to_string())])
}

/// Percent-encodes a qualifier value: everything but unreserved characters and `:` [purl specification].
fn encode_qualifier(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// At most 100 characters of foreign text in an error.
fn shorten(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests;
