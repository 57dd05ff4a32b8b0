//! What a user asks about: files, crates, digests, everything in a lock file; each with its digest.

use std::path::{Path, PathBuf};

use verify::{
    Artifact, Budget, Bundle, HashAlgorithm, Sha256Digest,
    artifact::{ArtifactDigests, ArtifactHasher},
    bundle::Content,
    certificate::Certificate,
    key::KeyKind,
};

use super::{Arguments, Error};
use crate::{
    context::Context,
    evidence::{
        bundle_file,
        cache::Cache,
        expectation::{Expectations, Signer},
        judgement::Case,
        target::{Place, Subject, Target},
    },
    failure::Failure,
    file,
    lockfile::Lockfile,
    network,
    registry::{
        index::{IndexConfig, Listing, listing},
        selection::Registry,
    },
    release::crate_file::name_and_version,
};

/// An artifact the user asks about.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) subject: Subject,
    digests: Option<ArtifactDigests>,
    /// The file's content, where a digest may not be enough and it is small.
    bytes: Option<Vec<u8>>,
    pub(super) file: Option<PathBuf>,
    /// The index of its registry, as the lock file writes it.
    pub(super) source: Option<String>,
    /// What the user named or put beside the file; nothing else is looked for then.
    pub(super) given: Vec<Bundle>,
}

impl Wanted {
    /// Every crate of a registry in a lock file, in its order.
    pub(super) fn all_of(lockfile: &Lockfile, path: &Path) -> Vec<Self> {
        let crates = lockfile.registry_crates();
        crates
            .map(|(package, digest)| {
                let mut subject = Subject::package(&package.name, &package.version.to_string(), digest);
                subject.place = Some(Place::new(path, lockfile.line(package)));
                Self {
                    source: package.index().map(str::to_owned),
                    ..without_file(subject, Vec::new())
                }
            })
            .collect()
    }

    /// What the arguments name.
    ///
    /// # Errors
    /// Code `crate-unknown`; those of reading files and of asking a registry.
    pub(super) fn named_by(
        arguments: &Arguments,
        context: &Context,
        lockfile: Option<&Path>,
    ) -> Result<Vec<Self>, Failure> {
        let given = given(&arguments.bundle)?;
        arguments
            .targets
            .iter()
            .map(|text| match Target::parse(text) {
                Target::File(path) => of_file(&path, &given),
                Target::Digest(digest) => {
                    let label = format!("sha256:{digest}");
                    let subject = Subject {
                        label,
                        package: None,
                        digest,
                        place: None,
                        options: Vec::new(),
                    };
                    Ok(without_file(subject, given.clone()))
                }
                Target::Crate { name, version } => {
                    let digest = crate_digest(arguments, context, lockfile, &name, &version)?;
                    Ok(without_file(Subject::package(&name, &version, digest), given.clone()))
                }
            })
            .collect()
    }

    fn artifact(&self) -> Artifact<'_> {
        match (&self.bytes, &self.digests) {
            (Some(bytes), _) => Artifact::Bytes(bytes),
            (None, Some(digests)) => Artifact::Digests(digests),
            (None, None) => Artifact::Digest(self.subject.digest),
        }
    }

    pub(super) fn case<'a>(
        &'a self,
        signer: Option<&'a Signer>,
        expectations: &'a Expectations,
        cache: Option<&Cache>,
    ) -> Case<'a> {
        let named = self
            .subject
            .package
            .as_ref()
            .and_then(|(name, _)| expectations.signer_of(name));
        let bundles = if self.given.is_empty() {
            cache.map(|cache| cache.load(self.subject.digest)).unwrap_or_default()
        } else {
            self.given.clone()
        };
        Case {
            subject: self.subject.clone(),
            artifact: self.artifact(),
            file: self.file.as_deref(),
            bundles,
            every: !self.given.is_empty(),
            signer: signer.or(named),
            registries: &expectations.registries,
        }
    }
}

fn given(paths: &[PathBuf]) -> Result<Vec<Bundle>, Failure> {
    let mut bundles = Vec::new();
    for path in paths {
        bundles.extend(bundle_file::read(path)?);
    }
    Ok(bundles)
}

const fn without_file(subject: Subject, given: Vec<Bundle>) -> Wanted {
    Wanted {
        subject,
        digests: None,
        bytes: None,
        file: None,
        source: None,
        given,
    }
}

fn of_file(path: &Path, given: &[Bundle]) -> Result<Wanted, Failure> {
    let given = match bundle_file::beside(path) {
        Some(beside) if given.is_empty() => bundle_file::read(&beside)?,
        _ => given.to_vec(),
    };
    let budget = Budget::default();
    let mut algorithms = vec![HashAlgorithm::Sha256];
    algorithms.extend(given.iter().flat_map(|bundle| bundle.artifact_algorithms(&budget)));
    algorithms.sort_unstable();
    algorithms.dedup();
    let bytes = if given.iter().any(wants_bytes) {
        file::read_if_small(path, SMALL_BYTES)?
    } else {
        None
    };
    let digests = match &bytes {
        Some(bytes) => {
            let mut hasher = ArtifactHasher::new(&algorithms);
            hasher.update(bytes);
            hasher.finish()
        }
        None => file::digests(path, &algorithms)?,
    };
    let subject = Subject {
        label: path.display().to_string(),
        package: name_and_version(path),
        digest: file::sha256_of(&digests),
        place: Some(Place::new(path, None)),
        options: Vec::new(),
    };
    Ok(Wanted {
        subject,
        digests: Some(digests),
        bytes,
        file: Some(path.to_owned()),
        source: None,
        given,
    })
}

/// Whether a bundle's signature may cover the bytes themselves: Ed25519 and RSA-PSS do, and a bundle does not say what kind
/// of key it means when it holds no certificate.
fn wants_bytes(bundle: &Bundle) -> bool {
    let Content::Message { .. } = bundle.content else {
        return false;
    };
    let certificate = bundle
        .certificate()
        .and_then(|der| Certificate::from_der(der, &Budget::default()).ok());
    let hashes_first = |kind| matches!(kind, KeyKind::P256 | KeyKind::P384 | KeyKind::P521);
    certificate.is_none_or(|certificate| !hashes_first(certificate.public_key().kind()))
}

/// The digest of a crate: what the lock file says, else what the registry's index says now.
fn crate_digest(
    arguments: &Arguments,
    context: &Context,
    lockfile: Option<&Path>,
    name: &str,
    version: &str,
) -> Result<Sha256Digest, Failure> {
    if let Some(path) = lockfile
        && let Some(digest) = Lockfile::read(path)?.checksum(name, version)
    {
        return Ok(digest);
    }
    let http = network::http(context)?;
    let registry = Registry::select(context, arguments.registry.as_deref(), None)?;
    let found = context.block_on(async {
        let token = arguments.token_for(context, &registry);
        let config = IndexConfig::fetch(&http, &registry, token.as_ref()).await?;
        let token = token.filter(|_| config.auth_required);
        let listing = listing(&http, &registry, token.as_ref(), name, version).await?;
        Ok(match listing {
            Listing::Version(digest) => Some(digest),
            Listing::NoCrate | Listing::NoVersion => None,
        })
    })?;
    let digest = found.ok_or_else(|| Error::NoCrate {
        name: name.to_owned(),
        version: version.to_owned(),
        registry: registry.display_name().to_owned(),
    })?;
    context.printer.note(format_args!(
        "`{name}@{version}` is not in the lock file; its digest is the word of {}",
        registry.display_name()
    ));
    Ok(digest)
}

/// Files up to this size are held in memory where a signature covers their bytes; what Ed25519 signs is small.
const SMALL_BYTES: usize = 64 << 20;
