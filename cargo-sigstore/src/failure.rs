//! What went wrong, as the user sees it, and the exit code that says of which kind it is.

use std::{error::Error, fmt::Display, process::ExitCode};

/// The exit codes; callers may rely on *refused* never being *unavailable*.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0: yes.
    Yes,
    /// 1: looked and refused.
    Refused,
    /// 2: usage or configuration.
    Usage,
    /// 3: could not look.
    Unavailable,
    /// 70: our bug (`EX_SOFTWARE`).
    Bug,
}

impl Exit {
    /// The number of the process's exit status.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Yes => 0,
            Self::Refused => 1,
            Self::Usage => 2,
            Self::Unavailable => 3,
            Self::Bug => 70,
        }
    }
}

impl Exit {
    /// The one of two that says more: a bug, then what was looked at and refused, then what could not be done.
    pub(crate) const fn worse(self, other: Self) -> Self {
        if self.weight() < other.weight() { other } else { self }
    }

    const fn weight(self) -> u8 {
        match self {
            Self::Yes => 0,
            Self::Unavailable => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::Bug => 4,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.number())
    }
}

/// A failure ready to be shown: code, sentence, causes, facts, one hint.
///
/// Modules keep typed errors of their own and turn them into this at the edge, with [`Failure::new`] or `From`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    exit: Exit,
    code: &'static str,
    message: String,
    causes: Vec<String>,
    facts: Vec<(&'static str, String)>,
    hint: Option<String>,
}

impl Failure {
    /// A failure that shows `error` and what caused it. `code` has its section in `docs/codes/`.
    pub(crate) fn new(exit: Exit, code: &'static str, error: &dyn Error) -> Self {
        let mut causes = Vec::new();
        let mut source = error.source();
        while let Some(cause) = source {
            causes.push(cause.to_string());
            source = cause.source();
        }
        Self {
            exit,
            code,
            message: error.to_string(),
            causes,
            facts: Vec::new(),
            hint: None,
        }
    }

    /// A panic that reached the top.
    pub(crate) fn bug() -> Self {
        Self {
            exit: Exit::Bug,
            code: "bug",
            message: "this is a bug in cargo-sigstore".to_owned(),
            causes: Vec::new(),
            facts: Vec::new(),
            hint: Some("report it with the command line and the lines above".to_owned()),
        }
    }

    /// Puts `sentence` in front: what was being done. The former sentence becomes the first cause.
    pub(crate) fn while_doing(mut self, sentence: impl Display) -> Self {
        let cause = std::mem::replace(&mut self.message, sentence.to_string());
        self.causes.insert(0, cause);
        self
    }

    /// Adds a line such as `expected: …`.
    pub(crate) fn fact(mut self, name: &'static str, value: impl Display) -> Self {
        self.facts.push((name, value.to_string()));
        self
    }

    /// Sets what the process exits with.
    pub(crate) const fn with_exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// Sets what to try.
    pub(crate) fn hint(mut self, hint: impl Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// What the process exits with.
    pub(crate) const fn exit(&self) -> Exit {
        self.exit
    }

    /// The stable code.
    pub(crate) const fn code(&self) -> &'static str {
        self.code
    }

    /// The sentence.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// What caused it, outermost first.
    pub(crate) fn causes(&self) -> &[String] {
        &self.causes
    }

    /// Named values: expected, found, and so on.
    pub(crate) fn facts(&self) -> &[(&'static str, String)] {
        &self.facts
    }

    /// What to try.
    pub(crate) fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The JSON object that `--format json` prints.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        let facts: serde_json::Map<_, _> = self
            .facts
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.as_str().into()))
            .collect();
        serde_json::json!({
            "code": self.code,
            "exit": self.exit.number(),
            "message": self.message,
            "causes": self.causes,
            "facts": facts,
            "hint": self.hint,
        })
    }
}

/// A refusal by the verifier.
impl From<verify::Error> for Failure {
    fn from(error: verify::Error) -> Self {
        Self::new(Exit::Refused, error.code(), &error).hint(error.hint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_sentence_keeps_the_cause() {
        let failure = Failure::from(verify::Error::Signature).while_doing("cannot verify `a.crate`");
        assert_eq!(failure.message(), "cannot verify `a.crate`");
        assert_eq!(failure.causes(), ["signature does not verify"]);
        assert_eq!((failure.code(), failure.exit()), ("signature", Exit::Refused));
    }

    #[test]
    fn a_refusal_outweighs_what_could_not_be_looked_at() {
        for (one, other, worse) in [
            (Exit::Refused, Exit::Unavailable, Exit::Refused),
            (Exit::Yes, Exit::Unavailable, Exit::Unavailable),
            (Exit::Usage, Exit::Bug, Exit::Bug),
            (Exit::Yes, Exit::Yes, Exit::Yes),
        ] {
            assert_eq!((one.worse(other), other.worse(one)), (worse, worse));
        }
    }

    #[test]
    fn json_holds_every_part() {
        let failure = Failure::bug().fact("expected", "a").fact("found", "b");
        let json = failure.to_json();
        assert_eq!(json["code"], "bug");
        assert_eq!(json["exit"], 70);
        assert_eq!(json["facts"]["found"], "b");
    }

    /// Every code in this crate's sources, by the ways they are written: after an exit code, or first in a tuple.
    fn codes_in(folder: &std::path::Path, found: &mut std::collections::BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                codes_in(&path, found);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let shipped = text.split("#[cfg(test)]").next().unwrap();
            for exit in ["Exit::Refused", "Exit::Usage", "Exit::Unavailable", "Exit::Bug"] {
                for after in shipped.split(exit).skip(1) {
                    let rest = after.trim_start_matches([',', ' ', '\n']);
                    let code = rest.strip_prefix('"').and_then(|rest| rest.split('"').next());
                    let in_catalogue = |code: &str| code.starts_with("E-");
                    let kebab = |code: &&str| code.chars().all(|c| c.is_ascii_lowercase() || c == '-');
                    if let Some(code) = code.filter(|code| kebab(code) || in_catalogue(code)) {
                        found.insert(code.to_owned());
                    }
                }
            }
        }
    }

    #[test]
    fn every_code_is_explained() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut codes = std::collections::BTreeSet::new();
        codes_in(&root.join("src"), &mut codes);
        assert!(codes.len() > 20, "{codes:?}");
        let text = std::fs::read_to_string(root.join("../docs/codes/cargo-sigstore.md")).unwrap();
        for code in &codes {
            assert!(
                text.contains(&format!("\n## {code}\n")),
                "docs/codes/cargo-sigstore.md lacks `## {code}`"
            );
        }
        let sources: String = codes.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
        // Codes that stand in a tuple of their own.
        let elsewhere = ["trust-missing", "trust-malformed", "home", "bug", "offline"];
        for heading in text.lines().filter_map(|line| line.strip_prefix("## ")) {
            let known = codes.contains(heading) || elsewhere.contains(&heading);
            assert!(
                known,
                "docs/codes/cargo-sigstore.md explains `{heading}`, which nothing says: {sources}"
            );
        }
    }
}
