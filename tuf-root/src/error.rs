//! Everything that can go wrong with a trust root, each with a stable code.

use std::{io, path::PathBuf, sync::Arc};

use verify::UnixTime;

/// A top-level role of a repository [TUF 1.0 §2.1].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Names the keys of all roles.
    Root,
    /// Names the files.
    Targets,
    /// Names the versions of the targets metadata.
    Snapshot,
    /// Names the newest snapshot.
    Timestamp,
}

/// The name in metadata: `root`, `targets`, `snapshot`, `timestamp`.
impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Root => "root",
            Self::Targets => "targets",
            Self::Snapshot => "snapshot",
            Self::Timestamp => "timestamp",
        })
    }
}

/// Why a trust root could not be written, or is not believed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read or written.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// A file that must be there is not.
    #[error("`{file}` is missing")]
    Missing {
        /// Name within the repository.
        file: String,
    },
    /// A file is larger than its limit.
    #[error("`{file}` is larger than {limit} bytes")]
    TooLarge {
        /// Name of the file.
        file: String,
        /// The limit.
        limit: u64,
    },
    /// Not metadata of the role.
    #[error("`{file}` is not {role} metadata")]
    Malformed {
        /// Name of the file.
        file: String,
        /// What it should be.
        role: Role,
    },
    /// Metadata whose bytes differ from the one way in which this program writes them.
    #[error("`{file}` was changed after it was written")]
    Altered {
        /// Name of the file.
        file: String,
    },
    /// A file that differs from the length or digest that signed metadata states.
    #[error("`{file}` is not the file that the metadata names")]
    Integrity {
        /// Name of the file.
        file: String,
    },
    /// A version that does not fit the file's name or its place in the sequence.
    #[error("`{file}` holds version {found} where {expected} belongs")]
    Version {
        /// Name of the file.
        file: String,
        /// The version that fits.
        expected: u64,
        /// The version it states.
        found: u64,
    },
    /// Too few valid signatures of a role's keys.
    #[error("{role} metadata has {found} of {needed} needed signatures")]
    Threshold {
        /// The role.
        role: Role,
        /// Valid signatures of distinct keys of the role.
        found: u64,
        /// The threshold.
        needed: u64,
    },
    /// A signature that no key of this repository made.
    #[error("`{file}` carries a signature of key {key_id} that does not verify")]
    Signature {
        /// Name of the file.
        file: String,
        /// The key it names.
        key_id: String,
    },
    /// Metadata past its expiry.
    #[error("{role} metadata expired at {at}")]
    Expired {
        /// The role.
        role: Role,
        /// Its expiry, RFC 3339.
        at: String,
    },
    /// An older version than one already accepted.
    #[error("{role} metadata went back from version {trusted} to {offered}")]
    Rollback {
        /// The role.
        role: String,
        /// The version accepted before.
        trusted: u64,
        /// The version offered.
        offered: u64,
    },
    /// Not a private key of a supported kind.
    #[error("not a private key: expected PKCS#8 PEM with a P-256 or Ed25519 key")]
    PrivateKey,
    /// Not a public key of a supported kind.
    #[error("not a public key: expected PEM with a P-256 or Ed25519 key")]
    PublicKey,
    /// A key that has no say in the role.
    #[error("key {key_id} is not one of the {role} keys")]
    Unauthorized {
        /// The role.
        role: Role,
        /// The key.
        key_id: String,
    },
    /// More signatures asked for than there are keys, or none.
    #[error("{role} cannot ask for {threshold} signatures of {keys} keys")]
    ThresholdRange {
        /// The role.
        role: Role,
        /// The threshold asked for.
        threshold: u64,
        /// Distinct keys of the role.
        keys: u64,
    },
    /// A lifetime that is zero or leads past the year 9999.
    #[error("{role} metadata cannot live for {seconds} seconds")]
    Lifetime {
        /// The role.
        role: Role,
        /// The lifetime.
        seconds: u64,
    },
    /// A target name that cannot be a file name everywhere.
    #[error("`{name}` cannot be a target name")]
    TargetName {
        /// The name.
        name: String,
    },
    /// Something is there already.
    #[error("`{}` is there already", path.display())]
    Exists {
        /// The file, or the folder that is not empty.
        path: PathBuf,
    },
    /// Detached signatures are those of one key.
    #[error("a file of detached signatures is made with one key")]
    OneKey,
    /// Not an instant.
    #[error("`{text}` is no instant: expected such as `2027-01-01T00:00:00Z`")]
    Instant {
        /// What was given.
        text: String,
    },
    /// A draft made for another state of the repository.
    #[error("the draft continues {role} version {base}, the repository is at version {current}")]
    StaleDraft {
        /// The role.
        role: Role,
        /// The version before the draft's.
        base: u64,
        /// The version published.
        current: u64,
    },
    /// A draft that changes nothing.
    #[error("the draft holds neither root nor targets metadata")]
    EmptyDraft,
    /// An address that is neither `https` nor loopback `http`.
    #[error("`{url}` is not an https address")]
    Url {
        /// The address.
        url: String,
    },
    /// A name that cannot be a folder name everywhere.
    #[error("`{name}` cannot name a trust root")]
    Name {
        /// The name.
        name: String,
    },
    /// No trust root of this name.
    #[error("no trust root is called `{name}`")]
    Unknown {
        /// The name.
        name: String,
    },
    /// A trust root of this name is there already.
    #[error("a trust root called `{name}` is already there")]
    Known {
        /// The name.
        name: String,
    },
    /// Root metadata other than the pinned.
    #[error("root metadata has digest {found} instead of the pinned {expected}")]
    Pin {
        /// The pinned SHA-256.
        expected: String,
        /// The digest found.
        found: String,
    },
    /// The repository does not offer a target.
    #[error("the repository has no target `{name}`")]
    NoTarget {
        /// The target.
        name: String,
    },
    /// Nothing cached to work with offline.
    #[error("nothing usable is cached for `{name}`")]
    NoCache {
        /// The trust root.
        name: String,
    },
    /// The store's own files of a trust root: not what can be fetched again, but where trust in it stands.
    #[error("what is kept of `{name}` is damaged: `{file}`")]
    Damaged {
        /// The trust root.
        name: String,
        /// The file in its folder.
        file: &'static str,
    },
    /// The repository did not answer.
    #[error("cannot fetch `{url}`: {reason}")]
    Unavailable {
        /// The address.
        url: String,
        /// What happened.
        reason: String,
    },
    /// Metadata that the client workflow refuses for its form.
    #[error("the metadata is not valid: {reason}")]
    Metadata {
        /// The client's words.
        reason: String,
    },
    /// Metadata or a target that differs from what a parent role states.
    #[error("the repository contradicts itself: {what}")]
    Inconsistent {
        /// The client's words.
        what: String,
    },
    /// Certificate authorities for TLS that cannot be used.
    #[error("certificate authorities for TLS are not usable")]
    TlsRoots,
    /// A target that the verifier cannot read.
    #[error("`{name}` is not usable")]
    Document {
        /// The target.
        name: &'static str,
        /// Why.
        #[source]
        source: verify::Error,
    },
    /// Our own fault.
    #[error("internal error: {what}")]
    Internal {
        /// What should not have happened.
        what: &'static str,
    },
}

impl Error {
    /// The stable kebab-case code; `docs/codes/tuf-root.md` has a paragraph for each.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "tuf-io",
            Self::Missing { .. } => "tuf-missing",
            Self::TooLarge { .. } => "tuf-too-large",
            Self::Malformed { .. } => "tuf-malformed",
            Self::Altered { .. } => "tuf-altered",
            Self::Integrity { .. } => "tuf-integrity",
            Self::Version { .. } => "tuf-version",
            Self::Threshold { .. } => "tuf-threshold",
            Self::Signature { .. } => "tuf-signature",
            Self::Expired { .. } => "tuf-expired",
            Self::Rollback { .. } => "tuf-rollback",
            Self::PrivateKey => "tuf-private-key",
            Self::PublicKey => "tuf-public-key",
            Self::Unauthorized { .. } => "tuf-unauthorized",
            Self::ThresholdRange { .. } => "tuf-threshold-range",
            Self::Lifetime { .. } => "tuf-lifetime",
            Self::TargetName { .. } => "tuf-target-name",
            Self::Exists { .. } => "tuf-exists",
            Self::OneKey | Self::Instant { .. } => "tuf-usage",
            Self::StaleDraft { .. } => "tuf-stale-draft",
            Self::EmptyDraft => "tuf-empty-draft",
            Self::Url { .. } => "trust-url",
            Self::Name { .. } => "trust-name",
            Self::Unknown { .. } => "trust-unknown",
            Self::Known { .. } => "trust-known",
            Self::Pin { .. } => "trust-pin",
            Self::NoTarget { .. } => "trust-no-target",
            Self::NoCache { .. } => "trust-no-cache",
            Self::Damaged { .. } => "trust-damaged",
            Self::Unavailable { .. } => "trust-unavailable",
            Self::Metadata { .. } => "trust-metadata",
            Self::Inconsistent { .. } => "trust-inconsistent",
            Self::TlsRoots => "trust-tls-roots",
            Self::Document { .. } => "trust-document",
            Self::Internal { .. } => "tuf-internal",
        }
    }

    /// The exit code a program reports it with: 1 looked and refused, 2 usage or configuration, 3 could not look, 70 our bug.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Missing { .. }
            | Self::TooLarge { .. }
            | Self::Malformed { .. }
            | Self::Altered { .. }
            | Self::Integrity { .. }
            | Self::Version { .. }
            | Self::Threshold { .. }
            | Self::Signature { .. }
            | Self::Expired { .. }
            | Self::Rollback { .. }
            | Self::Pin { .. }
            | Self::NoTarget { .. }
            | Self::Metadata { .. }
            | Self::Inconsistent { .. }
            | Self::Document { .. } => 1,
            Self::PrivateKey
            | Self::PublicKey
            | Self::Unauthorized { .. }
            | Self::ThresholdRange { .. }
            | Self::Lifetime { .. }
            | Self::TargetName { .. }
            | Self::Exists { .. }
            | Self::OneKey
            | Self::Instant { .. }
            | Self::TlsRoots
            | Self::StaleDraft { .. }
            | Self::EmptyDraft
            | Self::Url { .. }
            | Self::Name { .. }
            | Self::Unknown { .. }
            | Self::Known { .. } => 2,
            Self::Io { .. } | Self::NoCache { .. } | Self::Damaged { .. } | Self::Unavailable { .. } => 3,
            Self::Internal { .. } => 70,
        }
    }

    /// What to try next, as one sentence without a final period.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Io { .. } => "check the path, its permissions and the free space",
            Self::Missing { .. } => "restore the file from a copy of the repository",
            Self::TooLarge { .. } => "no honest repository has such a file; ask its operator",
            Self::Malformed { .. } | Self::Altered { .. } | Self::Integrity { .. } | Self::Signature { .. } => {
                "restore the file from a copy of the repository and find out who changed it"
            }
            Self::Version { .. } => "a root is followed one version at a time; restore the missing one",
            Self::Threshold { .. } => "let more holders run `tuf-root sign`, then publish again",
            Self::Expired { .. } => {
                "timestamp and snapshot: `tuf-root refresh`; targets: `tuf-root publish`; root: `tuf-root rotate`"
            }
            Self::Rollback { .. } => "somebody serves old metadata; do not remove the cache, ask the operator",
            Self::PrivateKey | Self::PublicKey => "make one with `tuf-root key FILE`",
            Self::Unauthorized { .. } => "use a key of the role, or give the role this key with `tuf-root rotate`",
            Self::ThresholdRange { .. } => "ask for at least one signature and at most one of each key",
            Self::Lifetime { .. } => "use between one second and a few years",
            Self::TargetName { .. } => "use letters, digits, `.`, `_` and `-`, not beginning with a dot",
            Self::Exists { .. } => "choose another place",
            Self::OneKey | Self::Instant { .. } => "`--help` shows examples",
            Self::StaleDraft { .. } => "make the draft again from the present repository",
            Self::EmptyDraft => "make one with `tuf-root publish` or `tuf-root rotate`",
            Self::Url { .. } => "plain http is accepted for 127.0.0.1, ::1 and localhost only",
            Self::Name { .. } => "use lowercase letters, digits, `.`, `_` and `-`, beginning with a letter or digit",
            Self::Unknown { .. } => {
                "`public-good`, `staging` and `github` are built in; `cargo sigstore trust list` shows all names, `cargo sigstore trust add` adds one"
            }
            Self::Known { .. } => "remove it first with `cargo sigstore trust remove`",
            Self::Pin { .. } => "get root file and digest from the operator over a second channel",
            Self::NoTarget { .. } => "the address may belong to a repository of something else",
            Self::NoCache { .. } => "run `cargo sigstore trust update` once while online",
            Self::Damaged { .. } => {
                "`cargo sigstore trust remove` forgets it: a public instance then begins anew, any other is added again"
            }
            Self::Unavailable { .. } => "try again later, or use `--offline` to work with what is cached",
            Self::Metadata { .. } | Self::Inconsistent { .. } => {
                "try again; if it stays, ask the operator of the instance"
            }
            Self::TlsRoots => "give a PEM file with CA certificates",
            Self::Document { .. } => "update this program, or ask the operator of the instance",
            Self::Internal { .. } => "please report this",
        }
    }

    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source: Arc::new(source),
        }
    }
}

/// The instant as a TUF library wants it.
pub(crate) fn instant(at: UnixTime) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_second(at.as_secs()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_of_each() -> Vec<Error> {
        let (file, name, role) = (String::new, String::new, Role::Root);
        let source = Arc::new(io::Error::other("x"));
        vec![
            Error::Io {
                action: "read",
                path: PathBuf::new(),
                source,
            },
            Error::Missing { file: file() },
            Error::TooLarge { file: file(), limit: 1 },
            Error::Malformed { file: file(), role },
            Error::Altered { file: file() },
            Error::Integrity { file: file() },
            Error::Version {
                file: file(),
                expected: 1,
                found: 2,
            },
            Error::Threshold {
                role,
                found: 0,
                needed: 1,
            },
            Error::Signature {
                file: file(),
                key_id: name(),
            },
            Error::Expired { role, at: name() },
            Error::Rollback {
                role: name(),
                trusted: 2,
                offered: 1,
            },
            Error::PrivateKey,
            Error::PublicKey,
            Error::Unauthorized { role, key_id: name() },
            Error::ThresholdRange {
                role,
                threshold: 0,
                keys: 1,
            },
            Error::Lifetime { role, seconds: 0 },
            Error::TargetName { name: name() },
            Error::Exists { path: PathBuf::new() },
            Error::OneKey,
            Error::Instant { text: name() },
            Error::StaleDraft {
                role,
                base: 1,
                current: 2,
            },
            Error::EmptyDraft,
            Error::Url { url: name() },
            Error::Name { name: name() },
            Error::Unknown { name: name() },
            Error::Known { name: name() },
            Error::Pin {
                expected: name(),
                found: name(),
            },
            Error::NoTarget { name: name() },
            Error::NoCache { name: name() },
            Error::Damaged {
                name: name(),
                file: "refreshed",
            },
            Error::Unavailable {
                url: name(),
                reason: name(),
            },
            Error::Metadata { reason: name() },
            Error::Inconsistent { what: name() },
            Error::TlsRoots,
            Error::Document {
                name: "trusted_root.json",
                source: verify::Error::Key,
            },
            Error::Internal { what: "x" },
        ]
    }

    #[test]
    fn every_code_is_documented_with_its_exit_code() {
        let text = include_str!("../../docs/codes/tuf-root.md");
        let source = include_str!("error.rs");
        let variants = source.matches("#[error(").count();
        assert_eq!(
            one_of_each().len(),
            variants - 1,
            "a variant is missing above (this line counts as one)"
        );
        for error in one_of_each() {
            let heading = format!("\n## {}\nExit code {}. ", error.code(), error.exit_code());
            assert!(text.contains(&heading), "no section `{}`", heading.trim());
            assert!(
                !error.to_string().ends_with('.') && !error.hint().ends_with('.'),
                "{error}"
            );
        }
    }
}
