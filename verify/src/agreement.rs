//! Whether provenance, certificate and crate say the same: the fourteen checks behind one report.
//!
//! A valid signature proves who spoke; this module proves that what was said fits who said it and the bytes it was
//! said of. [`examine`] takes a [`Verified`], so nothing unverified can be reported on. A claim that a certificate does
//! not carry (Buildkite states no repository) is *not stated*, which a policy may accept; it never counts as held.

use crate::{
    Budget, Error, Sha256Digest, Verified, WorkloadIdentity,
    identity::Claim,
    provenance::{BUILD_TYPE, Provenance, builder_id, workflow},
    statement::Subject,
};

/// What is known of the crate itself, from its bytes and the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrateFacts {
    /// Package name in the manifest inside.
    pub name: String,
    /// Version in the manifest inside.
    pub version: String,
    /// SHA-256 of the `.crate`, equal to the index's `cksum`.
    pub digest: Sha256Digest,
    /// The package URL it should be known by.
    pub package_url: String,
    /// `.cargo_vcs_info.json`, when the crate has one.
    pub vcs: Option<VcsInfo>,
    /// `repository` of the manifest inside.
    pub repository: Option<String>,
}

/// `.cargo_vcs_info.json`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct VcsInfo {
    /// `git.sha1`: 40 hexadecimal digits.
    pub commit: String,
    /// `git.dirty`.
    pub dirty: bool,
    /// `path_in_vcs`, empty at the root.
    pub path: String,
}

/// What the caller demands beyond agreement.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Expectations {
    /// Issuers believed; at least one.
    pub issuers: Vec<String>,
    /// Builders, without `@ref`, that are known to isolate signing from the build (SLSA L3).
    pub trusted_builders: Vec<String>,
    /// Lowest acceptable SLSA build level, 0 to 3.
    pub minimum_level: u8,
    /// Whether the ref must be the tag of this version.
    pub tag_required: bool,
    /// The publisher of an earlier version.
    pub previous: Option<Publisher>,
}

/// The stable part of a publisher's identity, compared between versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publisher {
    /// Repository (claim 12).
    pub repository: Option<String>,
    /// Immutable repository id (claim 15).
    pub repository_id: Option<String>,
    /// Immutable owner id (claim 17).
    pub owner_id: Option<String>,
    /// Build configuration without its ref (claim 18).
    pub workflow: Option<String>,
}

impl Publisher {
    /// The publisher that an identity names.
    #[must_use]
    pub fn of(identity: &WorkloadIdentity) -> Self {
        let claim = |claim| identity.claim(claim).map(str::to_owned);
        let without_ref = |uri: String| {
            uri.rsplit_once('@')
                .map_or(uri.clone(), |(location, _)| location.to_owned())
        };
        Self {
            repository: claim(Claim::SourceRepositoryUri),
            repository_id: claim(Claim::SourceRepositoryIdentifier),
            owner_id: claim(Claim::SourceRepositoryOwnerIdentifier),
            workflow: claim(Claim::BuildConfigUri).map(without_ref),
        }
    }
}

/// One check and how it came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// 1 to 14, in the order of the build type's documentation.
    pub number: u8,
    /// Kebab-case name.
    pub name: &'static str,
    /// How it came out.
    pub outcome: Outcome,
}

/// How a check came out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Both sides say the same.
    Held,
    /// They differ.
    Differs {
        /// What the stronger side says.
        expected: String,
        /// What was found.
        found: String,
    },
    /// They differ, where honest crates sometimes do.
    Warned {
        /// What the stronger side says.
        expected: String,
        /// What was found.
        found: String,
    },
    /// One side says nothing.
    NotStated,
}

/// Every check, in order, and the SLSA build level that the builder earns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The fourteen checks.
    pub checks: Vec<Check>,
    /// SLSA build level: 1, 2 or 3.
    pub level: u8,
}

impl Report {
    /// The checks that refuse the crate.
    pub fn differences(&self) -> impl Iterator<Item = &Check> {
        self.checks
            .iter()
            .filter(|check| matches!(check.outcome, Outcome::Differs { .. }))
    }
}

/// Makes the fourteen checks on a verified provenance statement.
///
/// # Errors
/// [`Error::NoIdentity`] for a managed key, [`Error::Statement`] when the bundle holds no statement, and those of
/// [`Provenance::from_statement`] (an unknown external parameter is check 13 and refused there).
pub fn examine(
    verified: &Verified,
    facts: &CrateFacts,
    expectations: &Expectations,
    budget: &Budget,
) -> Result<Report, Error> {
    let identity = verified.identity().ok_or(Error::NoIdentity)?;
    let statement = verified.statement().ok_or(Error::Statement)?;
    let provenance = Provenance::from_statement(statement, budget)?;
    let sides = Sides {
        provenance: &provenance,
        identity,
        subjects: &statement.subjects,
        facts,
        expectations,
    };
    Ok(sides.report())
}

/// The parties that must agree.
struct Sides<'a> {
    provenance: &'a Provenance,
    identity: &'a WorkloadIdentity,
    subjects: &'a [Subject],
    facts: &'a CrateFacts,
    expectations: &'a Expectations,
}

impl Sides<'_> {
    fn report(&self) -> Report {
        let level = self.level();
        let outcomes: [(&'static str, Outcome); 14] = [
            ("issuer", self.issuer()),
            ("builder-id", self.builder()),
            ("builder-level", self.builder_level(level)),
            ("source", self.source()),
            ("workflow", self.workflow()),
            ("trigger", self.trigger()),
            ("platform-parameters", self.platform_parameters()),
            ("invocation", self.invocation()),
            ("subject", self.subject()),
            ("crate-commit", self.crate_commit()),
            ("manifest-repository", self.manifest_repository()),
            ("tag", self.tag()),
            // An unknown external parameter never reaches this point: the type does not hold one.
            (
                "external-parameters",
                equal(BUILD_TYPE, &self.provenance.build_definition.build_type),
            ),
            ("continuity", self.continuity()),
        ];
        let checks = (1_u8..)
            .zip(outcomes)
            .map(|(number, (name, outcome))| Check { number, name, outcome })
            .collect();
        Report { checks, level }
    }

    fn claim(&self, claim: Claim) -> Option<&str> {
        self.identity.claim(claim)
    }

    /// 1: the issuer is believed, and deprecated claims equal their successors.
    fn issuer(&self) -> Outcome {
        let issuer = self.identity.issuer();
        if !self.expectations.issuers.iter().any(|allowed| allowed == issuer) {
            return differs(&self.expectations.issuers.join(" or "), issuer);
        }
        let repository = self.claim(Claim::SourceRepositoryUri).and_then(without_host);
        all([
            (self.claim(Claim::Issuer), self.claim(Claim::DeprecatedIssuer)),
            (
                self.claim(Claim::BuildTrigger),
                self.claim(Claim::GithubWorkflowTrigger),
            ),
            (
                self.claim(Claim::SourceRepositoryDigest),
                self.claim(Claim::GithubWorkflowSha),
            ),
            (repository, self.claim(Claim::GithubWorkflowRepository)),
            (
                self.claim(Claim::SourceRepositoryRef),
                self.claim(Claim::GithubWorkflowRef),
            ),
        ]
        .map(|(current, deprecated)| {
            if deprecated.is_none() {
                Outcome::Held
            } else {
                both(current, deprecated)
            }
        }))
    }

    /// 2: SAN = claim 9 (where there is one) = `builder.id`.
    fn builder(&self) -> Outcome {
        let san = self.identity.san.as_str();
        let signer = self
            .claim(Claim::BuildSignerUri)
            .map_or(Outcome::Held, |signer| equal(san, signer));
        all([
            signer,
            equal(&builder_id(self.identity), &self.provenance.run_details.builder.id),
        ])
    }

    /// 3: 2 for the repository's own workflow on a hosted service, 3 for a trusted builder at a release tag or commit.
    fn level(&self) -> u8 {
        let san = self.identity.san.as_str();
        let (location, reference) = san.rsplit_once('@').unwrap_or((san, ""));
        if self
            .expectations
            .trusted_builders
            .iter()
            .any(|builder| builder == location)
            && is_immutable(reference)
        {
            return 3;
        }
        let own = self
            .claim(Claim::SourceRepositoryUri)
            .and_then(|repository| san.strip_prefix(repository))
            .is_some_and(|rest| rest.starts_with('/'));
        if own { 2 } else { 1 }
    }

    fn builder_level(&self, level: u8) -> Outcome {
        if level >= self.expectations.minimum_level {
            return Outcome::Held;
        }
        differs(
            &format!("SLSA build level {}", self.expectations.minimum_level),
            &format!("level {level}"),
        )
    }

    /// 4: source parameters and the first resolved dependency are claims 12 to 14.
    fn source(&self) -> Outcome {
        let Some(source) = &self.provenance.build_definition.external_parameters.source else {
            let claimed = self.claim(Claim::SourceRepositoryUri);
            return claimed.map_or(Outcome::NotStated, |repository| differs(repository, "no source"));
        };
        let reference = self.claim(Claim::SourceRepositoryRef);
        let resolved = self.provenance.build_definition.resolved_dependencies.first();
        let repository = self.claim(Claim::SourceRepositoryUri);
        let uri = repository.map(|repository| match reference {
            Some(reference) => format!("git+{repository}@{reference}"),
            None => format!("git+{repository}"),
        });
        let commit = resolved.and_then(|resolved| resolved.digest.get("gitCommit"));
        all([
            both(repository, Some(&source.repository)),
            both(Some(reference.unwrap_or_default()), Some(&source.reference)),
            both(uri.as_deref(), resolved.map(|resolved| resolved.uri.as_str())),
            both(self.claim(Claim::SourceRepositoryDigest), commit.map(String::as_str)),
        ])
    }

    /// 5: repository + "/" + path + "@" + ref is claim 18, split as claim 18 itself splits.
    fn workflow(&self) -> Outcome {
        let stated = self.provenance.build_definition.external_parameters.workflow.as_ref();
        match (workflow(self.identity), stated) {
            (None, None) => Outcome::NotStated,
            (claimed, stated) => {
                let text = |part: &crate::provenance::Workflow| {
                    format!("{}/{}@{}", part.repository, part.path, part.reference)
                };
                both(claimed.as_ref().map(text).as_deref(), stated.map(text).as_deref())
            }
        }
    }

    /// 6: the trigger is claim 20 and none that runs foreign code with the repository's rights.
    fn trigger(&self) -> Outcome {
        let stated = self.provenance.build_definition.internal_parameters.trigger.as_deref();
        let claimed = self.claim(Claim::BuildTrigger);
        let agreed = both(claimed, stated);
        match claimed {
            Some(event) if agreed == Outcome::Held && !ALLOWED_EVENTS.contains(&event) => {
                differs(&ALLOWED_EVENTS.join(", "), event)
            }
            _ => agreed,
        }
    }

    /// 7: ids, runner and environment, where stated, are claims 15, 17, 11 and 23.
    fn platform_parameters(&self) -> Outcome {
        let stated = &self.provenance.build_definition.internal_parameters;
        let pairs = [
            (Claim::SourceRepositoryIdentifier, &stated.repository_id),
            (Claim::SourceRepositoryOwnerIdentifier, &stated.repository_owner_id),
            (Claim::RunnerEnvironment, &stated.runner_environment),
            (Claim::DeploymentEnvironment, &stated.environment),
        ];
        all(pairs.map(|(claim, stated)| match stated {
            None => Outcome::NotStated,
            Some(stated) => equal(self.claim(claim).unwrap_or_default(), stated),
        }))
    }

    /// 8: the invocation is claim 21.
    fn invocation(&self) -> Outcome {
        both(
            self.claim(Claim::RunInvocationUri),
            self.provenance.run_details.metadata.invocation_id.as_deref(),
        )
    }

    /// 9: exactly one subject, and name, purl and digest are the crate's.
    fn subject(&self) -> Outcome {
        let [subject] = self.subjects else {
            return differs("exactly one subject", &format!("{} subjects", self.subjects.len()));
        };
        let facts = self.facts;
        let package = &self.provenance.build_definition.external_parameters.package;
        let purl = if subject.uri.is_empty() {
            Outcome::Held
        } else {
            equal(&facts.package_url, &subject.uri)
        };
        all([
            equal(&format!("{}-{}.crate", facts.name, facts.version), &subject.name),
            purl,
            both(
                Some(&facts.digest.to_string()),
                subject.digest.get("sha256").map(String::as_str),
            ),
            equal(
                &format!("{}@{}", facts.name, facts.version),
                &format!("{}@{}", package.name, package.version),
            ),
        ])
    }

    /// 10: the commit inside the crate is claim 13, clean, and the package lies where the predicate says.
    fn crate_commit(&self) -> Outcome {
        let Some(vcs) = &self.facts.vcs else {
            let claimed = self.claim(Claim::SourceRepositoryDigest);
            return claimed.map_or(Outcome::NotStated, |commit| differs(commit, "no .cargo_vcs_info.json"));
        };
        let external = &self.provenance.build_definition.external_parameters;
        let clean = if vcs.dirty && !external.options.allow_dirty {
            differs("a clean tree", "dirty")
        } else {
            Outcome::Held
        };
        let commit = both(self.claim(Claim::SourceRepositoryDigest), Some(&vcs.commit));
        all([commit, clean, equal(&vcs.path, &external.package.path)])
    }

    /// 11: the manifest's `repository` is claim 12; honest crates are sometimes moved or forked, so a warning.
    fn manifest_repository(&self) -> Outcome {
        match (self.claim(Claim::SourceRepositoryUri), self.facts.repository.as_deref()) {
            (Some(claimed), Some(stated)) if same_repository(claimed, stated) => Outcome::Held,
            (Some(claimed), Some(stated)) => Outcome::Warned {
                expected: claimed.to_owned(),
                found: stated.to_owned(),
            },
            _ => Outcome::NotStated,
        }
    }

    /// 12: the ref is the tag of this version, where the policy asks.
    fn tag(&self) -> Outcome {
        let CrateFacts { name, version, .. } = self.facts;
        let tags = [format!("refs/tags/v{version}"), format!("refs/tags/{name}-v{version}")];
        match self.claim(Claim::SourceRepositoryRef) {
            Some(reference) if tags.iter().any(|tag| tag == reference) => Outcome::Held,
            found if self.expectations.tag_required => differs(&tags.join(" or "), found.unwrap_or("no ref")),
            _ => Outcome::NotStated,
        }
    }

    /// 14: repository, ids and workflow are those of the version before.
    fn continuity(&self) -> Outcome {
        let Some(previous) = &self.expectations.previous else {
            return Outcome::NotStated;
        };
        let current = Publisher::of(self.identity);
        all([
            (&previous.repository, &current.repository),
            (&previous.repository_id, &current.repository_id),
            (&previous.owner_id, &current.owner_id),
            (&previous.workflow, &current.workflow),
        ]
        .map(|(before, now)| both(before.as_deref(), now.as_deref())))
    }
}

fn differs(expected: &str, found: &str) -> Outcome {
    Outcome::Differs {
        expected: expected.to_owned(),
        found: found.to_owned(),
    }
}

fn equal(expected: &str, found: &str) -> Outcome {
    if expected == found {
        Outcome::Held
    } else {
        differs(expected, found)
    }
}

/// Equal when both speak; a side that is silent while the other speaks is a difference.
fn both(expected: Option<&str>, found: Option<&str>) -> Outcome {
    match (expected, found) {
        (None, None) => Outcome::NotStated,
        (expected, found) => equal(expected.unwrap_or("nothing"), found.unwrap_or("nothing")),
    }
}

/// The first difference; else held if anything held.
fn all<const N: usize>(outcomes: [Outcome; N]) -> Outcome {
    let held = outcomes.contains(&Outcome::Held);
    let difference = outcomes
        .into_iter()
        .find(|outcome| matches!(outcome, Outcome::Differs { .. }));
    difference.unwrap_or(if held { Outcome::Held } else { Outcome::NotStated })
}

/// `owner/name` of a repository URL.
fn without_host(url: &str) -> Option<&str> {
    url.split_once("://")?.1.split_once('/').map(|(_, path)| path)
}

/// A release tag `refs/tags/vX.Y.Z…` or a 40-digit commit.
fn is_immutable(reference: &str) -> bool {
    let commit = reference.len() == 40 && reference.bytes().all(|byte| byte.is_ascii_hexdigit());
    let tag = reference.strip_prefix("refs/tags/v").is_some_and(|version| {
        let core = version.split(['-', '+']).next().unwrap_or_default();
        let mut parts = core.split('.');
        let numbers = parts
            .by_ref()
            .take(3)
            .filter(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
        numbers.count() == 3 && parts.next().is_none()
    });
    commit || tag
}

/// Host and path, without regard to case, `.git` and a trailing slash; a path below the repository counts.
fn same_repository(claimed: &str, stated: &str) -> bool {
    let canonical = |url: &str| {
        let url = url.split_once("://").map_or(url, |(_, rest)| rest).to_ascii_lowercase();
        url.trim_end_matches('/').trim_end_matches(".git").to_owned()
    };
    let (claimed, stated) = (canonical(claimed), canonical(stated));
    stated
        .strip_prefix(&claimed)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Events that run the repository's own code at the wish of somebody with write access. `web` is GitLab's word for a pipeline
/// that somebody started by hand; those of merge requests are `merge_request_event` [docs.gitlab.com, `CI_PIPELINE_SOURCE`].
const ALLOWED_EVENTS: [&str; 6] = ["push", "release", "workflow_dispatch", "create", "schedule", "web"];

#[cfg(test)]
mod tests;
