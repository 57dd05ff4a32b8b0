//! The credential-provider protocol, version 1 [cargo book, credential provider protocol]: a line of JSON each way.

use std::io::{BufRead, Read, Write};

use serde::{Deserialize, Serialize};

/// What cargo asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Request {
    /// Protocol version.
    pub(crate) v: u32,
    /// The registry.
    pub(crate) registry: RegistryInfo,
    /// `get`, `login` or `logout`.
    pub(crate) kind: String,
    /// Of `get`: `read`, `publish`, `yank`, `unyank`, `owners`.
    #[serde(default)]
    pub(crate) operation: String,
    /// Of `publish`: the package's name.
    #[serde(default)]
    pub(crate) name: String,
    /// Of `publish`: its version.
    #[serde(default)]
    pub(crate) vers: String,
    /// Of `publish`: SHA-256 of the `.crate`, hexadecimal.
    #[serde(default)]
    pub(crate) cksum: String,
}

/// A registry as cargo names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct RegistryInfo {
    /// Index URL.
    pub(crate) index_url: String,
    /// Name in cargo's configuration, if it has one there.
    #[serde(default)]
    pub(crate) name: Option<String>,
}

/// What cargo is told.
pub(crate) enum Answer {
    /// The token, for this one operation.
    Token(String),
    /// No credential is known; cargo goes on without where it can.
    NotFound,
    /// Not our business.
    NotSupported,
    /// Refused: cargo prints this and stops.
    Refused(String),
}

impl Answer {
    /// The line for cargo.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Token(token) => serde_json::json!({"Ok": {
                "kind": "get", "token": token, "cache": "never", "operation_independent": false,
            }}),
            Self::NotFound => serde_json::json!({"Err": {"kind": "not-found"}}),
            Self::NotSupported => serde_json::json!({"Err": {"kind": "operation-not-supported"}}),
            Self::Refused(message) => {
                serde_json::json!({"Err": {"kind": "other", "message": message, "caused-by": []}})
            }
        }
    }
}

/// Speaks with cargo until it closes the stream.
///
/// # Errors
/// When a line cannot be read or written, or is longer than 64 KiB.
pub(crate) fn converse(
    input: &mut impl BufRead,
    output: &mut impl Write,
    mut answer: impl FnMut(&Request) -> Answer,
) -> std::io::Result<()> {
    write_line(output, &serde_json::json!({"v": [VERSION]}))?;
    while let Some(line) = read_line(input)? {
        let reply = match serde_json::from_str::<Request>(&line) {
            Ok(request) if request.v == VERSION => answer(&request),
            Ok(_) | Err(_) => Answer::NotSupported,
        };
        write_line(output, &reply.to_json())?;
    }
    Ok(())
}

/// Reads a line of at most 64 KiB; none at the end.
///
/// # Errors
/// When it cannot be read, is longer, or is not UTF-8.
pub(crate) fn read_line(input: &mut impl BufRead) -> std::io::Result<Option<String>> {
    let mut line = String::new();
    let read = input.take(LINE_BYTES).read_line(&mut line)?;
    if read > 0 && !line.ends_with('\n') && u64::try_from(read).is_ok_and(|read| read >= LINE_BYTES) {
        return Err(std::io::Error::other("a line is too long"));
    }
    Ok((read > 0).then_some(line))
}

/// Writes one line.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write_line(output: &mut impl Write, value: &serde_json::Value) -> std::io::Result<()> {
    writeln!(output, "{value}")?;
    output.flush()
}

/// The only version there is.
const VERSION: u32 = 1;
/// A token is under 1 KiB; headers of a registry's challenge are the longest thing here.
const LINE_BYTES: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLISH: &str = r#"{"v":1,"registry":{"index-url":"sparse+https://r.example/","name":"r"},"kind":"get","operation":"publish","name":"a","vers":"1.0.0","cksum":"00","args":[]}"#;

    fn conversation(lines: &str) -> Vec<serde_json::Value> {
        let mut output = Vec::new();
        converse(&mut lines.as_bytes(), &mut output, |request| {
            match request.operation.as_str() {
                "publish" if request.name == "a" => Answer::Token("t".to_owned()),
                "publish" => Answer::Refused("no".to_owned()),
                "read" => Answer::NotFound,
                _ => Answer::NotSupported,
            }
        })
        .unwrap();
        let text = String::from_utf8(output).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_publish_gets_its_token() {
        let said = conversation(&format!("{PUBLISH}\n"));
        assert_eq!(said[0], serde_json::json!({"v": [1]}));
        assert_eq!(said[1]["Ok"]["token"], "t");
        assert_eq!(said[1]["Ok"]["cache"], "never");
    }

    #[test]
    fn a_refusal_is_an_error_with_a_message() {
        let said = conversation(&format!("{}\n", PUBLISH.replace("\"a\"", "\"b\"")));
        assert_eq!(
            said[1]["Err"],
            serde_json::json!({"kind":"other","message":"no","caused-by":[]})
        );
    }

    #[test]
    fn what_is_not_understood_is_not_supported() {
        for line in [
            "{}",
            "no json",
            &PUBLISH.replace("\"v\":1", "\"v\":2"),
            &PUBLISH.replace("publish", "yank"),
        ] {
            assert_eq!(
                conversation(&format!("{line}\n"))[1]["Err"]["kind"],
                "operation-not-supported",
                "{line}"
            );
        }
    }

    #[test]
    fn several_requests_are_answered_in_turn() {
        let read = PUBLISH.replace("publish", "read");
        let said = conversation(&format!("{read}\n{PUBLISH}\n"));
        assert_eq!((said.len(), &said[1]["Err"]["kind"]), (3, &"not-found".into()));
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut output = Vec::new();
        let endless = "x".repeat(70_000);
        assert!(converse(&mut endless.as_bytes(), &mut output, |_| Answer::NotFound).is_err());
    }
}
