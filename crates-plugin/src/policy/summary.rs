//! A policy in words, for `crates-plugin check` and the log.

use std::fmt::{self, Display, Formatter};

use semver::Version;
use verify::UnixTime;

use super::{FirstPublish, PublisherChange, RegistryPolicy, Rule, Unlisted};

/// One paragraph, then a line for each rule and exception.
impl Display for RegistryPolicy {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let unlisted = match self.unlisted() {
            Unlisted::Refuse => "refused",
            Unlisted::Admit => "let through without attestation",
        };
        let first = match self.first_publish() {
            FirstPublish::Open => "may be taken by anybody whom a rule admits",
            FirstPublish::Reserved => "must be listed by a rule",
            FirstPublish::ExistingIdentity => "may be taken by known identities only",
        };
        let change = match self.publisher_change() {
            PublisherChange::Ignore => "passes",
            PublisherChange::Warn => "is warned of",
            PublisherChange::Refuse => "is refused",
        };
        writeln!(f, "policy sha256:{}", self.digest())?;
        writeln!(
            f,
            "crates that no rule names are {unlisted}; new names {first}; a changed publisher {change}"
        )?;
        for (number, rule) in (1_usize..).zip(self.rules()) {
            writeln!(f, "rule {number}: {rule}")?;
        }
        for (number, exception) in (1_usize..).zip(self.exceptions()) {
            let super::Exception {
                name,
                version,
                reason,
                expires,
            } = exception;
            writeln!(f, "exception {number}: {name} {version} until {expires}: {reason}")?;
        }
        Ok(())
    }
}

/// `crates <- identity (conditions)`.
impl Display for Rule {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} <- {} by {}",
            self.crates.join(", "),
            self.identity_pattern(),
            self.issuer
        )?;
        if self.builder.is_some() {
            write!(f, ", called from {}", self.caller())?;
        }
        let stated = [
            ("repository id", &self.repository_id),
            ("owner id", &self.owner_id),
            ("environment", &self.environment),
            ("runner", &self.runner),
        ];
        for (what, value) in stated {
            if let Some(value) = value {
                write!(f, ", {what} {value}")?;
            }
        }
        write!(f, ", level {}", self.minimum_level)?;
        for event in &self.deny_events {
            write!(f, ", not on {event}")?;
        }
        for statement in &self.statements {
            write!(f, ", with {statement}")?;
        }
        f.write_str(match (self.trusted_publishing_only, &self.owner_id) {
            (true, _) => ", exchanged tokens only",
            (false, Some(_)) => ", tokens may be exchanged",
            (false, None) => ", no token exchange without owner-id",
        })
    }
}

impl RegistryPolicy {
    /// What deserves a look although the policy is not wrong: exceptions that have expired or that nothing needs.
    /// `is_attested` says whether a version was admitted on an attestation.
    #[must_use]
    pub fn warnings(&self, now: UnixTime, is_attested: impl Fn(&str, &Version) -> bool) -> Vec<String> {
        let mut warnings = Vec::new();
        for (number, exception) in (1_usize..).zip(self.exceptions()) {
            let subject = format!("exception {number} for {} {}", exception.name, exception.version);
            let earlier = self.exceptions().iter().take(number.saturating_sub(1));
            let mut twins = earlier.filter(|other| other.name == exception.name && other.version == exception.version);
            if exception.last_second().is_none_or(|end| end < now) {
                warnings.push(format!("{subject} expired on {}: take it out", exception.expires));
            } else if twins.next().is_some() {
                warnings.push(format!("{subject} repeats an earlier one: take it out"));
            } else if self.rule_for(&exception.name).is_none() && self.unlisted() == Unlisted::Admit {
                warnings.push(format!(
                    "{subject} is not needed: no rule names the crate, and such crates are let through"
                ));
            } else if is_attested(&exception.name, &exception.version) {
                warnings.push(format!(
                    "{subject} is not needed: the version was admitted on its attestation"
                ));
            }
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
first-publish = "reserved"
[[rule]]
crates = ["acme"]
issuer = "https://issuer.example"
repository = "https://github.com/acme/acme"
workflow = ".github/workflows/release.yml"
ref = "refs/tags/*"
owner-id = "7"
runner = "github-hosted"
deny-events = ["schedule"]
[[exception]]
crate = "acme"
version = "0.3.0"
reason = "published before the gate"
expires = 2027-06-30
"#;

    #[test]
    fn every_condition_is_told() {
        let policy = RegistryPolicy::from_toml(TEXT).unwrap();
        let said = policy.to_string();
        for part in [
            "must be listed",
            "rule 1: acme <- https://github.com/acme/acme/.github/workflows/release.yml@refs/tags/*",
            "owner id 7",
            "runner github-hosted",
            "not on schedule",
            "tokens may be exchanged",
            "exception 1: acme 0.3.0 until 2027-06-30: published before the gate",
        ] {
            assert!(said.contains(part), "{part}\n{said}");
        }
    }

    #[test]
    fn exceptions_nobody_needs_are_told() {
        let policy = RegistryPolicy::from_toml(TEXT).unwrap();
        let day = UnixTime::from_rfc3339("2027-06-30T12:00:00Z").unwrap();
        assert!(policy.warnings(day, |_, _| false).is_empty());
        assert!(policy.warnings(day, |_, _| true)[0].contains("not needed"));
        assert!(policy.warnings(day.plus_secs(86400), |_, _| false)[0].contains("expired"));
        let twice = format!("{TEXT}{}", &TEXT[TEXT.find("[[exception]]").unwrap()..]);
        let twice = RegistryPolicy::from_toml(&twice).unwrap();
        assert!(twice.warnings(day, |_, _| false)[0].contains("repeats"));
        let open = RegistryPolicy::from_toml(&format!(
            "unlisted = \"admit\"\n{}",
            TEXT.replace("[\"acme\"]", "[\"b\"]")
        ));
        assert!(open.unwrap().warnings(day, |_, _| false)[0].contains("no rule names"));
    }
}
