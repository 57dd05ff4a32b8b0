//! The subset of Go's `text/template` that identity configurations use, compiled once at load.
//!
//! `{{ .name }}`, `{{ index . "name" }}` (with or without parentheses) and `{{ if eq A "text" }}…{{ else }}…{{ end }}`. Anything else is
//! refused: a configuration that means more than we understand must not load.

use std::collections::BTreeMap;

/// Claims and defaults by name, as text.
pub(crate) type Values = BTreeMap<String, String>;

/// A compiled template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

/// Why a template is refused at load.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// An action outside the subset.
    #[error("action `{{{{ {0} }}}}` is outside the supported subset")]
    Unsupported(String),
    /// `{{` without `}}`.
    #[error("an action is not closed")]
    Unclosed,
    /// `if` without `end`, or `else` or `end` without `if`.
    #[error("`if`, `else` and `end` do not match")]
    Unbalanced,
    /// Longer or deeper than any honest template.
    #[error("template is longer than {MAX_BYTES} bytes or deeper than {MAX_DEPTH} levels")]
    TooLarge,
}

/// A claim that a template needs and the token does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MissingClaim(pub(crate) String);

impl Template {
    /// Compiles a configuration value: a template when it contains `{{`, else the name of a claim.
    pub(crate) fn compile(text: &str) -> Result<Self, TemplateError> {
        if text.len() > MAX_BYTES {
            return Err(TemplateError::TooLarge);
        }
        if !text.contains("{{") {
            return Ok(Self(vec![Part::Value(Reference::required(text))]));
        }
        let mut tokens = tokenize(text)?.into_iter();
        let (parts, end) = parse(&mut tokens, 0)?;
        if end != BlockEnd::Text {
            return Err(TemplateError::Unbalanced);
        }
        Ok(Self(parts))
    }

    /// The text with every reference replaced.
    ///
    /// A missing `.name` fails the whole certificate, as `missingkey=error` does. A missing `index` is empty, as in Go, but only
    /// when it is the whole template: in the middle of a URI it would silently change what the URI names.
    pub(crate) fn render(&self, values: &Values) -> Result<String, MissingClaim> {
        let alone = matches!(self.0.as_slice(), [Part::Value(_)]);
        let mut text = String::new();
        render(&self.0, values, alone, &mut text)?;
        Ok(text)
    }

    /// Whether the template looks at this value.
    pub(crate) fn mentions(&self, name: &str) -> bool {
        mentions(&self.0, name)
    }
}

fn mentions(parts: &[Part], name: &str) -> bool {
    parts.iter().any(|part| match part {
        Part::Literal(_) => false,
        Part::Value(reference) => reference.name == name,
        Part::If {
            reference,
            then,
            otherwise,
            ..
        } => reference.name == name || mentions(then, name) || mentions(otherwise, name),
    })
}

fn render(parts: &[Part], values: &Values, alone: bool, text: &mut String) -> Result<(), MissingClaim> {
    for part in parts {
        match part {
            Part::Literal(literal) => text.push_str(literal),
            Part::Value(reference) => text.push_str(reference.resolve(values, alone)?),
            Part::If {
                reference,
                equals,
                then,
                otherwise,
            } => {
                let branch = if reference.resolve(values, true)? == equals {
                    then
                } else {
                    otherwise
                };
                render(branch, values, false, text)?;
            }
        }
    }
    Ok(())
}

fn parse(tokens: &mut impl Iterator<Item = Token>, depth: usize) -> Result<(Vec<Part>, BlockEnd), TemplateError> {
    if depth > MAX_DEPTH {
        return Err(TemplateError::TooLarge);
    }
    let mut parts = Vec::new();
    while let Some(token) = tokens.next() {
        match token {
            Token::Literal(text) => parts.push(Part::Literal(text)),
            Token::Action(action) if action == "else" => return Ok((parts, BlockEnd::Else)),
            Token::Action(action) if action == "end" => return Ok((parts, BlockEnd::End)),
            Token::Action(action) => parts.push(parse_action(&action, tokens, depth)?),
        }
    }
    Ok((parts, BlockEnd::Text))
}

fn parse_action(action: &str, tokens: &mut impl Iterator<Item = Token>, depth: usize) -> Result<Part, TemplateError> {
    let unsupported = || TemplateError::Unsupported(action.chars().take(100).collect());
    let Some(condition) = action.strip_prefix("if ") else {
        return Reference::parse(action).map(Part::Value).ok_or_else(unsupported);
    };
    let condition = condition.trim().strip_prefix("eq ").ok_or_else(unsupported)?.trim();
    let literal_at = condition.trim_end_matches('"').rfind('"').ok_or_else(unsupported)?;
    let (left, right) = condition.split_at_checked(literal_at).ok_or_else(unsupported)?;
    let reference = Reference::parse(left).ok_or_else(unsupported)?;
    let equals = string_literal(right).ok_or_else(unsupported)?;
    let deeper = depth.saturating_add(1);
    let (then, end) = parse(tokens, deeper)?;
    let otherwise = match end {
        BlockEnd::End => Vec::new(),
        BlockEnd::Else => match parse(tokens, deeper)? {
            (parts, BlockEnd::End) => parts,
            _ => return Err(TemplateError::Unbalanced),
        },
        BlockEnd::Text => return Err(TemplateError::Unbalanced),
    };
    Ok(Part::If {
        reference,
        equals,
        then,
        otherwise,
    })
}

fn tokenize(text: &str) -> Result<Vec<Token>, TemplateError> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        if !before.is_empty() {
            tokens.push(Token::Literal(before.to_owned()));
        }
        let (action, after) = after.split_once("}}").ok_or(TemplateError::Unclosed)?;
        tokens.push(Token::Action(action.trim().to_owned()));
        rest = after;
    }
    if !rest.is_empty() {
        tokens.push(Token::Literal(rest.to_owned()));
    }
    Ok(tokens)
}

/// `"text"` without escapes.
fn string_literal(text: &str) -> Option<String> {
    let inner = text.trim().strip_prefix('"')?.strip_suffix('"')?;
    (!inner.contains(['"', '\\'])).then(|| inner.to_owned())
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Value(Reference),
    If {
        reference: Reference,
        equals: String,
        then: Vec<Part>,
        otherwise: Vec<Part>,
    },
}

/// A claim or default, and whether its absence is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Reference {
    name: String,
    required: bool,
}

impl Reference {
    fn required(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            required: true,
        }
    }

    /// `.name`, `index . "name"` or either in parentheses.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = match text.strip_prefix('(') {
            Some(inner) => inner.strip_suffix(')')?.trim(),
            None => text,
        };
        if let Some(name) = text.strip_prefix('.') {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
            return (!name.is_empty() && name.chars().all(plain)).then(|| Self::required(name));
        }
        let key = text.strip_prefix("index ")?.trim_start().strip_prefix(". ")?;
        Some(Self {
            name: string_literal(key)?,
            required: false,
        })
    }

    fn resolve<'a>(&self, values: &'a Values, may_be_empty: bool) -> Result<&'a str, MissingClaim> {
        match values.get(&self.name) {
            Some(value) => Ok(value),
            None if !self.required && may_be_empty => Ok(""),
            None => Err(MissingClaim(self.name.clone())),
        }
    }
}

enum Token {
    Literal(String),
    Action(String),
}

#[derive(Debug, PartialEq, Eq)]
enum BlockEnd {
    Text,
    Else,
    End,
}

/// Ten times the longest template of the public configuration.
const MAX_BYTES: usize = 4096;
/// The public configuration nests one level.
const MAX_DEPTH: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, &str)]) -> Values {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn rendered(template: &str, pairs: &[(&str, &str)]) -> Result<String, MissingClaim> {
        Template::compile(template).unwrap().render(&values(pairs))
    }

    #[test]
    fn a_bare_word_names_a_claim() {
        assert_eq!(rendered("sha", &[("sha", "abc")]).unwrap(), "abc");
        assert_eq!(rendered("sha", &[]), Err(MissingClaim("sha".into())));
    }

    #[test]
    fn references_are_replaced_with_and_without_spaces() {
        let pairs = [("url", "https://h"), ("path", "o/r")];
        assert_eq!(rendered("{{ .url }}/{{.path}}", &pairs).unwrap(), "https://h/o/r");
    }

    #[test]
    fn a_missing_claim_in_a_template_is_named() {
        assert_eq!(rendered("{{ .url }}/x", &[]), Err(MissingClaim("url".into())));
    }

    #[test]
    fn a_condition_chooses_a_branch() {
        let template = r#"refs/{{if eq .ref_type "branch"}}heads/{{ else }}tags/{{end}}{{ .ref }}"#;
        let branch = rendered(template, &[("ref_type", "branch"), ("ref", "main")]);
        let tag = rendered(template, &[("ref_type", "tag"), ("ref", "v1")]);
        assert_eq!(
            (branch.unwrap().as_str(), tag.unwrap().as_str()),
            ("refs/heads/main", "refs/tags/v1")
        );
    }

    #[test]
    fn index_reads_names_that_are_no_identifiers() {
        let pairs = [("oidc.circleci.com/project-id", "7")];
        let template = r#"a/{{(index . "oidc.circleci.com/project-id")}}/b"#;
        assert_eq!(rendered(template, &pairs).unwrap(), "a/7/b");
        assert!(rendered(template, &[]).is_err());
        assert_eq!(rendered(r#"{{index . "absent"}}"#, &[]).unwrap(), "");
        let condition = r#"{{if eq (index . "absent") "true"}}yes{{else}}no{{end}}"#;
        assert_eq!(rendered(condition, &[]).unwrap(), "no");
    }

    #[test]
    fn values_are_not_expanded_again() {
        assert_eq!(rendered("{{.a}}", &[("a", "{{.b}}"), ("b", "x")]).unwrap(), "{{.b}}");
    }

    #[test]
    fn everything_else_is_refused() {
        for template in [
            "{{ printf .a }}",
            "{{ .a | html }}",
            "{{ .a.b }}",
            "{{ range .a }}{{ end }}",
            "{{ if .a }}x{{ end }}",
            r#"{{ if ne .a "b" }}x{{ end }}"#,
            r#"{{ if eq .a "b" .c }}x{{ end }}"#,
            "{{- .a -}}",
            "{{}}",
            "{{/* comment */}}",
        ] {
            let refused = Template::compile(template);
            assert!(
                matches!(refused, Err(TemplateError::Unsupported(_))),
                "{template}: {refused:?}"
            );
        }
    }

    #[test]
    fn blocks_must_balance_and_close() {
        assert_eq!(Template::compile("{{ .a"), Err(TemplateError::Unclosed));
        for template in [
            "{{ end }}",
            "{{ else }}",
            r#"{{ if eq .a "b" }}x"#,
            r#"{{ if eq .a "b" }}x{{ else }}y{{ else }}z{{ end }}"#,
        ] {
            assert_eq!(
                Template::compile(template),
                Err(TemplateError::Unbalanced),
                "{template}"
            );
        }
    }

    #[test]
    fn long_and_deep_templates_are_refused() {
        let deep = format!("{}x{}", r#"{{if eq .a "b"}}"#.repeat(6), "{{end}}".repeat(6));
        assert_eq!(Template::compile(&deep), Err(TemplateError::TooLarge));
        assert_eq!(Template::compile(&"x".repeat(5000)), Err(TemplateError::TooLarge));
    }
}
