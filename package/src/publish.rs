//! The publish request and the index line [cargo, Registry Web API and Registry Index].

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::{
    Error,
    description::{Dependency, DependencyKind, Description, Registries, canonical_requirement, canonical_target},
};

/// The body of `PUT /api/v1/crates/new`, split: u32 little-endian length, JSON, u32 length, archive, nothing after.
#[derive(Clone, Copy, Debug)]
pub struct PublishRequest<'a> {
    /// The JSON part.
    pub metadata: &'a [u8],
    /// The `.crate`.
    pub archive: &'a [u8],
}

impl<'a> PublishRequest<'a> {
    /// Splits a body.
    ///
    /// # Errors
    /// [`Error::PublishRequest`] when a length runs past the end or bytes trail; [`Error::TooLarge`] for the JSON beyond 1 MiB.
    pub fn split(body: &'a [u8]) -> Result<Self, Error> {
        let (metadata, rest) = part(body).ok_or(Error::PublishRequest { part: "metadata" })?;
        if metadata.len() > METADATA_BYTES {
            return Err(Error::TooLarge {
                what: "publish metadata",
                limit: 1 << 20,
            });
        }
        let (archive, rest) = part(rest).ok_or(Error::PublishRequest { part: "archive" })?;
        if !rest.is_empty() {
            return Err(Error::PublishRequest {
                part: "bytes after the archive",
            });
        }
        Ok(Self { metadata, archive })
    }

    /// What the JSON part says.
    ///
    /// # Errors
    /// [`Error::PublishRequest`] when it is malformed.
    pub fn description(&self, registries: &Registries) -> Result<Description, Error> {
        let malformed = Error::PublishRequest { part: "metadata" };
        let wire: WireRequest = serde_json::from_slice(self.metadata).map_err(|_| malformed.clone())?;
        let dependencies = wire.deps.into_iter().map(|dependency| dependency.read(registries));
        Ok(Description {
            dependencies: dependencies.collect::<Option<_>>().ok_or(malformed)?,
            name: wire.name,
            version: wire.vers,
            features: sets(wire.features),
            links: wire.links,
        })
    }
}

/// Writes the body that [`PublishRequest::split`] reads.
///
/// # Errors
/// [`Error::TooLarge`] when a part has 2^32 bytes or more.
pub fn join(metadata: &[u8], archive: &[u8]) -> Result<Vec<u8>, Error> {
    let limit = u64::from(u32::MAX);
    let length = |part: &[u8]| {
        u32::try_from(part.len()).map_err(|_| Error::TooLarge {
            what: "publish request",
            limit,
        })
    };
    let mut body = Vec::with_capacity(metadata.len().saturating_add(archive.len()).saturating_add(8));
    for part in [metadata, archive] {
        body.extend_from_slice(&length(part)?.to_le_bytes());
        body.extend_from_slice(part);
    }
    Ok(body)
}

/// One line of an index file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexLine {
    /// What it says of the package.
    pub description: Description,
    /// SHA-256 of the archive: 64 lowercase hexadecimal digits.
    pub checksum: String,
    /// Whether it is yanked.
    pub yanked: bool,
}

impl IndexLine {
    /// Reads a line.
    ///
    /// # Errors
    /// [`Error::IndexLine`] when it is malformed.
    pub fn from_json(line: &[u8], registries: &Registries) -> Result<Self, Error> {
        let wire: WireLine = serde_json::from_slice(line).map_err(|_| Error::IndexLine)?;
        let dependencies = wire.deps.into_iter().map(|dependency| dependency.read(registries));
        let mut features = sets(wire.features);
        features.extend(sets(wire.features2));
        if wire.cksum.len() != 64 || !wire.cksum.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(Error::IndexLine);
        }
        Ok(Self {
            description: Description {
                dependencies: dependencies.collect::<Option<_>>().ok_or(Error::IndexLine)?,
                name: wire.name,
                version: wire.vers,
                features,
                links: wire.links,
            },
            checksum: wire.cksum,
            yanked: wire.yanked,
        })
    }
}

#[derive(Deserialize)]
struct WireRequest {
    name: String,
    vers: String,
    #[serde(default)]
    deps: Vec<WireDependency>,
    #[serde(default)]
    features: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    links: Option<String>,
}

#[derive(Deserialize)]
struct WireLine {
    name: String,
    vers: String,
    #[serde(default)]
    deps: Vec<WireDependency>,
    cksum: String,
    #[serde(default)]
    features: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    features2: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    yanked: bool,
    #[serde(default)]
    links: Option<String>,
}

/// A dependency, in a request (`version_req`, `explicit_name_in_toml`) or an index line (`req`, `package`). The two differ in
/// what `name` is: in a request the package, in a line the name in the manifest.
#[derive(Deserialize)]
struct WireDependency {
    name: String,
    #[serde(alias = "version_req")]
    req: String,
    #[serde(default)]
    features: Vec<String>,
    #[serde(default)]
    optional: bool,
    #[serde(default = "yes")]
    default_features: bool,
    #[serde(default)]
    target: Option<String>,
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    registry: Option<String>,
    #[serde(default)]
    explicit_name_in_toml: Option<String>,
    #[serde(default)]
    package: Option<String>,
}

impl WireDependency {
    fn read(self, registries: &Registries) -> Option<Dependency> {
        Some(Dependency {
            package: self.package.unwrap_or_else(|| self.name.clone()),
            name: self.explicit_name_in_toml.unwrap_or(self.name),
            requirement: canonical_requirement(&self.req)?,
            kind: kind(self.kind.as_deref())?,
            target: self.target.as_deref().map(canonical_target),
            features: self.features.into_iter().collect(),
            optional: self.optional,
            default_features: self.default_features,
            source: registries.of_registry(self.registry.as_deref()),
        })
    }
}

fn kind(text: Option<&str>) -> Option<DependencyKind> {
    match text {
        None | Some("normal") => Some(DependencyKind::Normal),
        Some("build") => Some(DependencyKind::Build),
        Some("dev") => Some(DependencyKind::Development),
        Some(_) => None,
    }
}

fn sets(features: BTreeMap<String, Vec<String>>) -> BTreeMap<String, BTreeSet<String>> {
    features
        .into_iter()
        .map(|(name, enables)| (name, enables.into_iter().collect()))
        .collect()
}

fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)
}

const fn yes() -> bool {
    true
}

/// Far beyond any honest manifest; crates.io's own limit is 1 MiB.
const METADATA_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::description::{Difference, Source};

    const REQUEST: &str = r#"{"name":"a","vers":"1.0.0","deps":[{"name":"real-b","version_req":"^1.0","features":["x"],"optional":true,"default_features":false,"target":"cfg(unix)","kind":"build","registry":null,"explicit_name_in_toml":"b"}],"features":{"f":["dep:b"]},"links":null,"unknown":1}"#;
    const LINE: &str = r#"{"name":"a","vers":"1.0.0","deps":[{"name":"b","req":"1.0","features":["x"],"optional":true,"default_features":false,"target":"cfg( unix )","kind":"build","registry":null,"package":"real-b"}],"cksum":"0000000000000000000000000000000000000000000000000000000000000000","features":{},"features2":{"f":["dep:b"]},"yanked":false,"v":2}"#;

    fn line(text: &str) -> Result<IndexLine, Error> {
        IndexLine::from_json(text.as_bytes(), &Registries::crates_io())
    }

    #[test]
    fn request_and_index_line_of_one_package_are_equal() {
        let body = join(REQUEST.as_bytes(), b"crate").unwrap();
        let request = PublishRequest::split(&body).unwrap();
        assert_eq!(request.archive, b"crate");
        let described = request.description(&Registries::crates_io()).unwrap();
        assert_eq!(described.differences(&line(LINE).unwrap().description), []);
    }

    #[test]
    fn a_body_cut_short_or_too_long_is_refused() {
        let body = join(REQUEST.as_bytes(), b"crate").unwrap();
        for end in 0..body.len() {
            assert_eq!(
                PublishRequest::split(&body[..end]).unwrap_err().code(),
                "publish-request",
                "{end}"
            );
        }
        let long = [body.as_slice(), b"x"].concat();
        assert_eq!(
            PublishRequest::split(&long).unwrap_err(),
            Error::PublishRequest {
                part: "bytes after the archive"
            }
        );
    }

    #[test]
    fn metadata_beyond_the_limit_is_refused() {
        let body = join(&vec![b' '; METADATA_BYTES + 1], b"").unwrap();
        assert_eq!(PublishRequest::split(&body).unwrap_err().code(), "package-too-large");
        assert!(PublishRequest::split(&join(&vec![b' '; METADATA_BYTES], b"").unwrap()).is_ok());
    }

    #[test]
    fn a_dependency_added_to_the_line_is_found() {
        let honest = line(LINE).unwrap().description;
        let evil = LINE.replace(r#""deps":["#, r#""deps":[{"name":"evil","req":"*"},"#);
        let found = honest.differences(&line(&evil).unwrap().description);
        assert!(matches!(found.as_slice(), [Difference::AddedDependency(evil)] if evil.package == "evil"));
    }

    #[test]
    fn malformed_lines_are_refused() {
        for (from, to) in [
            (r#""kind":"build""#, r#""kind":"other""#),
            (r#""req":"1.0""#, r#""req":"!""#),
            ("\"cksum\":\"00", "\"cksum\":\"0"),
            ("\"cksum\":\"00", "\"cksum\":\"0G"),
            ("{\"name\"", "[\"name\""),
        ] {
            assert!(LINE.contains(from));
            assert_eq!(line(&LINE.replacen(from, to, 1)), Err(Error::IndexLine), "{to}");
        }
    }

    #[test]
    fn a_registry_is_one_under_all_its_spellings() {
        let own = Registries::new(["sparse+https://r.example/index/"]);
        assert_eq!(own.of_registry(Some("https://r.example/index")), Source::Own);
        assert_eq!(own.of_registry(None), Source::Own);
        let crates_io = own.of_manifest(None);
        assert_eq!(crates_io, own.of_registry(Some("sparse+https://index.crates.io/")));
        assert_eq!(
            crates_io,
            own.of_registry(Some("https://github.com/rust-lang/crates.io-index"))
        );
        assert_eq!(Registries::crates_io().of_manifest(None), Source::Own);
        assert_ne!(own.of_registry(Some("https://evil.example")), Source::Own);
    }
}
