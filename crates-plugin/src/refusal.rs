//! What a refused client reads: the findings, who published this crate before, and the exception that would let this one
//! version through.

use std::fmt::{self, Display, Formatter};

use semver::Version;
use verify::UnixTime;

use crate::{decision::Finding, records::Earlier};

/// A refusal in words, several lines; cargo shows them as they are.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    /// Name of the crate.
    pub name: &'a str,
    /// Version that is refused.
    pub version: &'a str,
    /// At least one.
    pub findings: &'a [Finding],
    /// Who published before, where it is known and may be told.
    pub earlier: Option<&'a Earlier>,
    /// The exception ends ninety days later.
    pub now: UnixTime,
}

/// Of the body of a failed download cargo shows 512 characters: what is needed most comes first, hints last.
impl Display for Refusal<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("refused by the gate")?;
        for finding in self.findings {
            write!(f, "\n{}: {}", finding.code, finding.cause)?;
        }
        if let Some(exception) = self.exception() {
            write!(f, "\nexcept: the registry's operator adds to the policy\n{exception}")?;
        }
        if let Some(earlier) = self.earlier {
            let publisher = &earlier.known.publisher;
            let publisher = publisher.workflow.as_ref().or(publisher.repository.as_ref());
            let publisher = publisher.unwrap_or(&earlier.known.issuer);
            write!(f, "\nearlier: {} was published by {publisher}", earlier.version)?;
        }
        let mut hints: Vec<&str> = self.findings.iter().map(|finding| finding.hint).collect();
        hints.dedup();
        hints.into_iter().try_for_each(|hint| write!(f, "\nhint: {hint}"))
    }
}

impl Refusal<'_> {
    /// The exception as the policy file takes it; none when no exception covers what was found.
    fn exception(&self) -> Option<String> {
        let canonical = Version::parse(self.version).ok()?.to_string() == self.version;
        let first = self.findings.first()?;
        let covered = canonical && self.findings.iter().all(Finding::can_be_excepted);
        let quoted = |text: &str| toml::Value::from(text).to_string();
        let date = self.now.plus_secs(NINETY_DAYS).to_string();
        covered.then(|| {
            format!(
                "[[exception]]\ncrate = {}\nversion = {}\nreason = \"{}: say why\"\nexpires = {}",
                quoted(self.name),
                quoted(self.version),
                first.code,
                date.get(..DATE).unwrap_or_default(),
            )
        })
    }
}

impl Finding {
    /// Whether an exception of the policy covers it: it stands in for evidence, never for an honest archive.
    #[must_use]
    pub fn can_be_excepted(&self) -> bool {
        let of_bytes = ["gate-manifest-differs", "gate-other-bytes"].contains(&self.code);
        !of_bytes && !self.code.starts_with("package-")
    }
}

/// As long as a certificate of the web: long enough to mend a pipeline, too short to forget.
const NINETY_DAYS: i64 = 90 * 86_400;
/// `2027-06-30`.
const DATE: usize = 10;

#[cfg(test)]
mod tests {
    use verify::agreement::Publisher;

    use super::*;
    use crate::{RegistryPolicy, records::Known};

    fn finding(code: &'static str) -> Finding {
        Finding {
            code,
            cause: "a cause".to_owned(),
            hint: "a hint",
        }
    }

    fn said(findings: &[Finding], version: &str) -> String {
        let earlier = Earlier {
            version: "0.9.0".to_owned(),
            known: Known {
                issuer: "https://i.example".to_owned(),
                publisher: Publisher {
                    repository: Some("https://h.example/o/r".to_owned()),
                    repository_id: None,
                    owner_id: None,
                    workflow: Some("https://h.example/o/r/w.yml".to_owned()),
                },
            },
        };
        let refusal = Refusal {
            name: "acme",
            version,
            findings,
            earlier: Some(&earlier),
            now: UnixTime::from_rfc3339("2027-01-01T12:00:00Z").unwrap(),
        };
        refusal.to_string()
    }

    #[test]
    fn the_printed_exception_is_one_and_admits_this_version_for_ninety_days() {
        let said = said(&[finding("gate-no-attestation")], "1.0.0");
        assert!(said.starts_with("refused by the gate\ngate-no-attestation: a cause\nexcept: "));
        let rest = "\nearlier: 0.9.0 was published by https://h.example/o/r/w.yml\nhint: a hint";
        assert!(said.ends_with(rest), "{said}");
        let exception = &said[said.find("[[exception]]").unwrap()..said.find("\nearlier").unwrap()];
        let policy = RegistryPolicy::from_toml(exception).unwrap();
        let last = UnixTime::from_rfc3339("2027-04-01T23:59:59Z").unwrap();
        assert!(policy.exception_for("acme", "1.0.0", last).is_some());
        assert!(policy.exception_for("acme", "1.0.0", last.plus_secs(1)).is_none());
    }

    #[test]
    fn no_exception_is_offered_for_what_none_covers() {
        for code in ["gate-manifest-differs", "gate-other-bytes", "package-member-path"] {
            let said = said(&[finding(code)], "1.0.0");
            assert!(said.contains("earlier: ") && !said.contains("exception"), "{said}");
            assert!(said.ends_with("hint: a hint"));
        }
        assert!(!said(&[finding("gate-no-rule")], "1.0").contains("exception"));
    }
}
