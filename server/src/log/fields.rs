//! Reads request JSON as protobuf's JSON mapping does: either spelling of a name, null means absent, unknown names refused.

use base64::{
    Engine as _,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde_json::{Map, Value};

use super::request::RequestError;

/// The members of one JSON object, taken one by one.
#[derive(Debug)]
pub(super) struct Fields {
    members: Map<String, Value>,
    path: &'static str,
}

impl Fields {
    /// Reads an object; `path` names it in messages.
    pub(super) fn new(value: Value, path: &'static str) -> Result<Self, RequestError> {
        match value {
            Value::Object(members) => Ok(Self { members, path }),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                Err(RequestError::Malformed { field: path })
            }
        }
    }

    /// Takes a member by its `camelCase` or `snake_case` name.
    pub(super) fn take(&mut self, name: &'static str) -> Result<Option<Value>, RequestError> {
        let camel = self.members.remove(name);
        let snake_name = snake_case(name);
        let snake = if snake_name == name {
            None
        } else {
            self.members.remove(&snake_name)
        };
        match (camel, snake) {
            (Some(_), Some(_)) => Err(RequestError::Malformed { field: name }),
            (value, other) => Ok(value.or(other).filter(|value| !value.is_null())),
        }
    }

    pub(super) fn object(&mut self, name: &'static str) -> Result<Option<Self>, RequestError> {
        self.take(name)?.map(|value| Self::new(value, name)).transpose()
    }

    pub(super) fn array(&mut self, name: &'static str) -> Result<Vec<Value>, RequestError> {
        match self.take(name)? {
            None => Ok(Vec::new()),
            Some(Value::Array(values)) => Ok(values),
            Some(_) => Err(RequestError::Malformed { field: name }),
        }
    }

    pub(super) fn string(&mut self, name: &'static str) -> Result<Option<String>, RequestError> {
        match self.take(name)? {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(RequestError::Malformed { field: name }),
        }
    }

    /// Base64, standard or URL-safe, padded or not; absent and empty are the same.
    pub(super) fn bytes(&mut self, name: &'static str) -> Result<Vec<u8>, RequestError> {
        let text = self.string(name)?.unwrap_or_default();
        decode(&text).ok_or(RequestError::Malformed { field: name })
    }

    /// Refuses what nobody took.
    pub(super) fn finish(self) -> Result<(), RequestError> {
        match self.members.into_iter().next() {
            None => Ok(()),
            Some((name, _)) => Err(RequestError::UnknownField {
                path: self.path,
                field: name.chars().take(100).collect(),
            }),
        }
    }
}

/// Base64 as protobuf's JSON mapping reads it.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let engine = if text.contains(['-', '_']) {
        &URL_SAFE
    } else {
        &STANDARD
    };
    engine.decode(text).ok()
}

/// Base64 with padding, as everything of ours writes it.
pub(super) fn encode(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len());
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

const EITHER_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::STANDARD, EITHER_PADDING);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::URL_SAFE, EITHER_PADDING);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_are_read_and_both_at_once_refused() {
        for json in [r#"{"rawBytes":"AQ=="}"#, r#"{"raw_bytes":"AQ"}"#] {
            let mut fields = Fields::new(serde_json::from_str(json).unwrap(), "key").unwrap();
            assert_eq!(fields.bytes("rawBytes").unwrap(), [1]);
            fields.finish().unwrap();
        }
        let json = serde_json::json!({"rawBytes": "AQ==", "raw_bytes": "AQ=="});
        assert!(Fields::new(json, "key").unwrap().bytes("rawBytes").is_err());
    }

    #[test]
    fn an_unknown_member_is_refused_and_null_is_absent() {
        let mut fields = Fields::new(serde_json::json!({"a": null}), "key").unwrap();
        assert_eq!(fields.take("a").unwrap(), None);
        fields.finish().unwrap();
        let fields = Fields::new(serde_json::json!({"b": null}), "key").unwrap();
        assert_eq!(
            fields.finish().unwrap_err(),
            RequestError::UnknownField {
                path: "key",
                field: "b".into()
            }
        );
    }

    #[test]
    fn the_snake_case_of_the_versioned_names_is_protobufs() {
        assert_eq!(snake_case("hashedRekordRequestV002"), "hashed_rekord_request_v002");
        assert_eq!(snake_case("x509Certificate"), "x509_certificate");
    }
}
