//! The publish request and the index line [cargo, Registry Web API and Registry Index].

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

mod members;

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

    /// What the JSON part says, to whichever registry reads it.
    ///
    /// # Errors
    /// [`Error::PublishRequest`] when it is malformed, or when registries could read it differently: a key twice, or in a spelling
    /// that only some of them take for one they know.
    pub fn description(&self, registries: &Registries) -> Result<Description, Error> {
        let malformed = Error::PublishRequest { part: "metadata" };
        if !members::are_plain(self.metadata) {
            return Err(malformed);
        }
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
    /// The lines of an index file that can be read.
    pub fn all_of(file: &[u8], registries: &Registries) -> impl Iterator<Item = Self> {
        file.split(|byte| *byte == b'\n')
            .filter_map(|line| Self::from_json(line, registries).ok())
    }

    /// The line of a version among those of an index file. None, too, where there are several, of which cargo may take any.
    pub fn of_version(lines: impl IntoIterator<Item = Self>, version: &str) -> Option<Self> {
        let mut found = lines.into_iter().filter(|line| line.description.version == version);
        let line = found.next()?;
        found.next().is_none().then_some(line)
    }

    /// Reads a line.
    ///
    /// # Errors
    /// [`Error::IndexLine`] when it is malformed. An array is: cargo takes one for an object without names, in an order of its own.
    pub fn from_json(line: &[u8], registries: &Registries) -> Result<Self, Error> {
        if line.trim_ascii_start().starts_with(b"[") {
            return Err(Error::IndexLine);
        }
        let wire: WireLine = serde_json::from_slice(line).map_err(|_| Error::IndexLine)?;
        let dependencies = wire.deps.into_iter().map(|dependency| dependency.read(registries));
        let mut features = sets(wire.features);
        // Cargo adds what the second set enables to what the first does; null is none, as for it [cargo-util-schemas, `IndexPackage`].
        for (name, enables) in wire.features2.unwrap_or_default() {
            features.entry(name).or_default().extend(enables);
        }
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
            // So is it here: not yanked.
            yanked: wire.yanked.unwrap_or_default(),
        })
    }
}

#[derive(Deserialize)]
struct WireRequest {
    name: String,
    vers: String,
    #[serde(default)]
    deps: Vec<WireRequestDependency>,
    #[serde(default)]
    features: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    links: Option<String>,
}

/// A dependency in a request: `name` is the package, and no key of an index line counts, because no registry reads it there.
#[derive(Deserialize)]
struct WireRequestDependency {
    name: String,
    version_req: String,
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
}

impl WireRequestDependency {
    fn read(self, registries: &Registries) -> Option<Dependency> {
        Some(Dependency {
            name: self.explicit_name_in_toml.unwrap_or_else(|| self.name.clone()),
            package: self.name,
            requirement: canonical_requirement(&self.version_req)?,
            kind: match self.kind.as_deref() {
                None | Some("normal") => DependencyKind::Normal,
                Some("build") => DependencyKind::Build,
                Some("dev") => DependencyKind::Development,
                Some(_) => return None,
            },
            target: self.target.as_deref().map(canonical_target),
            features: self.features.into_iter().collect(),
            optional: self.optional,
            default_features: self.default_features,
            source: registries.of_registry(self.registry.as_deref()),
        })
    }
}

#[derive(Deserialize)]
struct WireLine {
    name: String,
    vers: String,
    #[serde(default)]
    deps: Vec<WireLineDependency>,
    cksum: String,
    #[serde(default)]
    features: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    features2: Option<BTreeMap<String, Vec<String>>>,
    #[serde(default)]
    yanked: Option<bool>,
    #[serde(default)]
    links: Option<String>,
}

/// A dependency in an index line: `name` is what the manifest calls it.
#[derive(Deserialize)]
struct WireLineDependency {
    name: String,
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
    package: Option<String>,
}

impl WireLineDependency {
    fn read(self, registries: &Registries) -> Option<Dependency> {
        Some(Dependency {
            package: self.package.unwrap_or_else(|| self.name.clone()),
            name: self.name,
            requirement: canonical_requirement(&self.req)?,
            // What kind it does not know, cargo builds like any other: so must a line with one be read.
            kind: match self.kind.as_deref() {
                Some("build") => DependencyKind::Build,
                Some("dev") => DependencyKind::Development,
                _ => DependencyKind::Normal,
            },
            target: self.target.as_deref().map(canonical_target),
            features: self.features.into_iter().collect(),
            optional: self.optional,
            default_features: self.default_features,
            source: registries.of_registry(self.registry.as_deref()),
        })
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
    fn a_dependency_of_a_kind_that_cargo_does_not_know_is_one_that_it_builds() {
        let unknown = LINE.replace(r#""kind":"build""#, r#""kind":"other""#);
        let read = line(&unknown).unwrap().description;
        assert_eq!(
            read.dependencies.first().map(|found| found.kind),
            Some(DependencyKind::Normal)
        );
        assert_eq!(read.differences(&line(LINE).unwrap().description).len(), 2);
    }

    #[test]
    fn only_the_keys_that_cargo_and_registries_read_count() {
        let evil = LINE.replace(r#""name":"b""#, r#""name":"evil","explicit_name_in_toml":"b""#);
        let read = line(&evil).unwrap().description;
        assert_eq!(read.dependencies.first().map(|found| found.name.as_str()), Some("evil"));
        let evil = REQUEST.replace(r#""name":"real-b""#, r#""name":"evil","package":"real-b""#);
        let body = join(evil.as_bytes(), b"").unwrap();
        let read = PublishRequest::split(&body).unwrap();
        let read = read.description(&Registries::crates_io()).unwrap();
        let package = read.dependencies.first().map(|found| found.package.as_str());
        assert_eq!(package, Some("evil"));
    }

    #[test]
    fn a_request_that_registries_could_read_differently_is_refused() {
        let read = |metadata: &str| {
            let body = join(metadata.as_bytes(), b"").unwrap();
            let request = PublishRequest::split(&body).unwrap();
            request.description(&Registries::crates_io())
        };
        assert!(read(REQUEST).is_ok());
        for (from, to) in [
            (r#""unknown":1"#, r#""Deps":[]"#),
            (r#""unknown":1"#, "\"dep\u{17f}\":[]"),
            (r#""unknown":1"#, r#""unknown":1,"unknown":2"#),
            (r#""unknown":1"#, r#""dep\u0073":[]"#),
            (r#""optional":true"#, r#""optional":true,"Optional":false"#),
            (r#""f":["dep:b"]"#, r#""f":[],"f":["dep:b"]"#),
            (r#""kind":"build""#, r#""kind":"other""#),
            (r#""version_req""#, r#""req""#),
        ] {
            assert!(REQUEST.contains(from));
            let refused = read(&REQUEST.replacen(from, to, 1)).unwrap_err();
            assert_eq!(refused.code(), "publish-request", "{to}");
        }
        for array in [r#"["a","1.0.0"]"#, r#"{"name":"a","vers":"1.0.0","deps":[["b","1"]]}"#] {
            assert_eq!(read(array).unwrap_err().code(), "publish-request", "{array}");
        }
        let features = REQUEST.replace(r#""f":["dep:b"]"#, r#""f":["dep:b"],"F":[],"ß":[]"#);
        assert!(read(&features).is_ok(), "features may be named by anything");
    }

    #[test]
    fn nulls_are_what_cargo_takes_them_for() {
        let nulls = LINE
            .replace(r#""yanked":false"#, r#""yanked":null,"links":null"#)
            .replace(
                r#""features":{},"features2":{"f":["dep:b"]}"#,
                r#""features":{"f":["dep:b"]},"features2":null"#,
            );
        assert_eq!(line(&nulls), line(LINE));
    }

    #[test]
    fn a_feature_in_both_sets_enables_what_either_says() {
        let both = LINE.replace(r#""features":{}"#, r#""features":{"f":["dep:evil"],"g":[]}"#);
        let honest = line(LINE).unwrap().description;
        let read = line(&both).unwrap().description;
        let enabled: Vec<&String> = read.features["f"].iter().collect();
        assert_eq!(enabled, ["dep:b", "dep:evil"]);
        assert_eq!(honest.differences(&read).len(), 2);
    }

    #[test]
    fn a_version_that_is_there_twice_is_not_there() {
        let registries = Registries::crates_io();
        let of_version = |file: &str, version: &str| {
            let lines = IndexLine::all_of(file.as_bytes(), &registries);
            IndexLine::of_version(lines, version).map(|line| line.description.version)
        };
        let next = LINE.replace("1.0.0", "1.1.0");
        let file = format!("{LINE}\n{{\n{next}\n");
        assert_eq!(of_version(&file, "1.0.0").as_deref(), Some("1.0.0"));
        assert_eq!(of_version(&file, "1.2.0"), None);
        let evil = LINE.replace(r#""deps":["#, r#""deps":[{"name":"evil","req":"*"},"#);
        let twice = format!("{file}{evil}\n");
        assert_eq!(of_version(&twice, "1.0.0"), None);
        assert_eq!(of_version(&twice, "1.1.0").as_deref(), Some("1.1.0"));
    }

    #[test]
    fn malformed_lines_are_refused() {
        for (from, to) in [
            (r#""kind":"build""#, r#""kind":1"#),
            (r#""req":"1.0""#, r#""req":"!""#),
            (r#""req":"1.0""#, r#""version_req":"1.0""#),
            ("\"cksum\":\"00", "\"cksum\":\"0"),
            ("\"cksum\":\"00", "\"cksum\":\"0G"),
            ("{\"name\"", "[\"name\""),
        ] {
            assert!(line(LINE).is_ok() && LINE.contains(from));
            assert_eq!(line(&LINE.replacen(from, to, 1)), Err(Error::IndexLine), "{to}");
        }
        let array = format!(r#" ["a","1.0.0",[],"{}",{{}},{{}},false,null]"#, "0".repeat(64));
        assert!(serde_json::from_str::<WireLine>(&array).is_ok(), "it would be read");
        assert_eq!(line(&array), Err(Error::IndexLine));
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
