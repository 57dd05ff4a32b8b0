//! JSON Canonicalization Scheme [RFC 8785] and bounded parsing [RFC 8259].

use std::{borrow::Cow, cell::Cell, collections::HashSet, fmt};

use serde::{
    Deserialize,
    de::{DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor},
};
use serde_json::Value;

use crate::Error;

/// Parses JSON after checking size and nesting depth, refusing duplicate members and trailing bytes.
///
/// # Errors
/// [`Error::TooLarge`], [`Error::TooDeep`], [`Error::Json`]; `what` names the document in the message.
pub fn parse(bytes: &[u8], what: &'static str, limit_bytes: usize, limit_depth: usize) -> Result<Value, Error> {
    parse_as(bytes, what, limit_bytes, limit_depth)
}

/// [`parse`], but into `T`.
///
/// # Errors
/// As [`parse`], and [`Error::Json`] when the shape does not fit.
pub fn parse_as<T: DeserializeOwned>(
    bytes: &[u8],
    what: &'static str,
    limit_bytes: usize,
    limit_depth: usize,
) -> Result<T, Error> {
    parse_borrowed(bytes, what, limit_bytes, limit_depth)
}

/// [`parse_as`], but into a `T` that may borrow from `bytes`.
///
/// # Errors
/// As [`parse_as`].
pub(crate) fn parse_borrowed<'a, T: Deserialize<'a>>(
    bytes: &'a [u8],
    what: &'static str,
    limit_bytes: usize,
    limit_depth: usize,
) -> Result<T, Error> {
    if bytes.len() > limit_bytes {
        return Err(Error::TooLarge {
            what,
            limit: limit_bytes,
        });
    }
    let too_deep = Cell::new(false);
    let check = Check {
        levels_left: limit_depth,
        too_deep: &too_deep,
    };
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let checked = check.deserialize(&mut deserializer).and_then(|()| deserializer.end());
    if too_deep.get() {
        return Err(Error::TooDeep {
            what,
            limit: limit_depth,
        });
    }
    checked
        .and_then(|()| serde_json::from_slice(bytes))
        .map_err(|error| Error::Json {
            what,
            line: error.line(),
            column: error.column(),
        })
}

/// Canonical JSON of `value` [RFC 8785]: members sorted by UTF-16 code units, no white space, ECMAScript numbers.
///
/// # Errors
/// [`Error::Json`] when a number is not an integer that a double holds exactly.
pub fn canonicalize(value: &Value) -> Result<Vec<u8>, Error> {
    let mut text = String::new();
    write_canonical(value, &mut text)?;
    Ok(text.into_bytes())
}

/// `text` as a canonical JSON string, quotes included [RFC 8785 §3.2.2.2].
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::new();
    write_string(text, &mut quoted);
    quoted
}

fn write_canonical(value: &Value, out: &mut String) -> Result<(), Error> {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => out.push_str(&canonical_number(number)?),
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push('[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                write_canonical(item, out)?;
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by(|(left, _), (right, _)| left.encode_utf16().cmp(right.encode_utf16()));
            out.push('{');
            for (position, (name, member)) in members.into_iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                write_string(name, out);
                out.push(':');
                write_canonical(member, out)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

/// Integers only, where ECMAScript's shortest form is the plain decimal [RFC 8785 §3.2.2.3].
fn canonical_number(number: &serde_json::Number) -> Result<String, Error> {
    let exact = match (number.as_i64(), number.as_f64()) {
        (Some(integer), _) => (integer.unsigned_abs() <= LARGEST_EXACT_INTEGER).then(|| integer.to_string()),
        (None, Some(double)) => {
            // Zero has a sign that ECMAScript does not print.
            let double = double + 0.0;
            (double.fract() == 0.0 && double.abs() <= LARGEST_EXACT_DOUBLE).then(|| format!("{double:.0}"))
        }
        (None, None) => None,
    };
    exact.ok_or(Error::Json {
        what: "number",
        line: 0,
        column: 0,
    })
}

fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            '\0'..='\u{1f}' => {
                out.push_str(if character < '\u{10}' { "\\u000" } else { "\\u001" });
                out.extend(char::from_digit(u32::from(character) & 0xf, 16));
            }
            _ => out.push(character),
        }
    }
    out.push('"');
}

/// Walks a document without keeping it: depth and duplicate members.
#[derive(Clone, Copy)]
struct Check<'a> {
    levels_left: usize,
    too_deep: &'a Cell<bool>,
}

impl Check<'_> {
    /// The check for what stands one level deeper.
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        let Some(levels_left) = self.levels_left.checked_sub(1) else {
            self.too_deep.set(true);
            return Err(E::custom("too deep"));
        };
        Ok(Self { levels_left, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Check<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Check<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let deeper = self.deeper()?;
        while items.next_element_seed(deeper)?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let deeper = self.deeper()?;
        let mut names = Names::default();
        while let Some(Text(name)) = members.next_key()? {
            if !names.insert(name) {
                return Err(serde::de::Error::custom("duplicate member"));
            }
            members.next_value_seed(deeper)?;
        }
        Ok(())
    }
}

/// A string, borrowed where it holds no escape.
pub(crate) struct Text<'de>(pub(crate) Cow<'de, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// Names seen in one object: a list while short, a set once a list would cost a quadratic number of comparisons.
#[derive(Default)]
struct Names<'de> {
    few: [Cow<'de, str>; FEW_NAMES],
    /// How many of `few` are there.
    count: usize,
    many: HashSet<Cow<'de, str>>,
}

impl<'de> Names<'de> {
    /// Whether the name is new.
    fn insert(&mut self, name: Cow<'de, str>) -> bool {
        if self.few.iter().take(self.count).any(|earlier| *earlier == name) {
            return false;
        }
        let Some(place) = self.few.get_mut(self.count) else {
            return self.many.insert(name);
        };
        *place = name;
        self.count = self.count.saturating_add(1);
        true
    }
}

/// Members up to which comparing beats hashing.
const FEW_NAMES: usize = 16;

/// 2^53: up to here every integer is a double [RFC 8785 §3.2.2.3].
const LARGEST_EXACT_INTEGER: u64 = 1 << 53;
/// The same as a double.
const LARGEST_EXACT_DOUBLE: f64 = 9_007_199_254_740_992.0;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn read(text: &str) -> Result<Value, Error> {
        parse(text.as_bytes(), "test", 1000, 4)
    }

    fn refused(text: &str) -> bool {
        matches!(read(text), Err(Error::Json { what: "test", .. }))
    }

    #[test]
    fn honest_json_is_read() {
        let text = r#" {"a":[1,-2,3.5,true,false,null,"x"],"b":{"a":1}} "#;
        assert_eq!(
            read(text),
            Ok(json!({"a": [1, -2, 3.5, true, false, null, "x"], "b": {"a": 1}}))
        );
    }

    #[test]
    fn a_document_over_the_limit_is_refused() {
        assert!(parse(b"[1,2]", "test", 5, 4).is_ok());
        assert_eq!(
            parse(b"[1,2]", "test", 4, 4),
            Err(Error::TooLarge { what: "test", limit: 4 })
        );
    }

    #[test]
    fn nesting_over_the_limit_is_refused() {
        let too_deep = Err(Error::TooDeep { what: "test", limit: 4 });
        assert!(read("[[[[]]]]").is_ok());
        assert_eq!(read("[[[[[]]]]]"), too_deep);
        assert!(read(r#"{"a":{"a":{"a":{"a":1}}}}"#).is_ok());
        assert_eq!(read(r#"{"a":{"a":{"a":{"a":{}}}}}"#), too_deep);
        assert!(parse("[".repeat(100_000).as_bytes(), "test", 200_000, 64).is_err());
    }

    #[test]
    fn brackets_in_strings_are_not_nesting() {
        assert!(read(r#"["[[[[[[{{{{{{\"[[[[["]"#).is_ok());
    }

    #[test]
    fn duplicate_members_are_refused_however_they_are_spelt() {
        assert!(read(r#"{"a":1,"b":2}"#).is_ok());
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"[{"x":{"a":1,"b":2,"a":3}}]"#,
        ] {
            assert!(refused(text), "{text}");
        }
    }

    #[test]
    fn duplicates_are_found_among_many_members() {
        let distinct: Vec<String> = (0..60).map(|number| format!("\"m{number}\":0")).collect();
        assert!(read(&format!("{{{}}}", distinct.join(","))).is_ok());
        for again in ["m0", "m15", "m16", "m59"] {
            assert!(refused(&format!("{{{},\"{again}\":0}}", distinct.join(","))), "{again}");
        }
    }

    #[test]
    fn malformed_json_is_refused() {
        for text in [
            "",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "[1] 2",
            "[1]]",
            "nul",
            "\"\u{1}\"",
            r#""\ud800""#,
            "01",
            "+1",
            "1e999",
            "NaN",
            "'a'",
            "[1 2]",
            "{1:2}",
            "\u{feff}1",
        ] {
            assert!(refused(text), "{text}");
        }
        assert!(parse(b"\"\xff\"", "test", 100, 4).is_err());
    }

    #[test]
    fn the_place_of_the_fault_is_named() {
        assert_eq!(
            read("[1,\n  x]"),
            Err(Error::Json {
                what: "test",
                line: 2,
                column: 3
            })
        );
    }

    #[test]
    fn a_shape_that_does_not_fit_is_refused() {
        assert_eq!(parse_as::<Vec<u8>>(b"[1,2]", "test", 100, 4), Ok(vec![1, 2]));
        assert!(parse_as::<Vec<u8>>(b"[1,\"2\"]", "test", 100, 4).is_err());
    }

    #[test]
    fn members_are_sorted_by_utf16_code_units() {
        // The example of RFC 8785 §3.2.3.
        let value = json!({"\u{20ac}": "Euro Sign", "\r": "Carriage Return", "\u{fb33}": "Hebrew Letter Dalet With Dagesh",
            "1": "One", "\u{1f600}": "Emoji: Grinning Face", "\u{80}": "Control", "\u{f6}": "Latin Small Letter O With Diaeresis"});
        let text = String::from_utf8(canonicalize(&value).unwrap()).unwrap();
        let order: Vec<&str> = text.split('"').skip(3).step_by(4).collect();
        assert_eq!(
            order,
            [
                "Carriage Return",
                "One",
                "Control",
                "Latin Small Letter O With Diaeresis",
                "Euro Sign",
                "Emoji: Grinning Face",
                "Hebrew Letter Dalet With Dagesh"
            ]
        );
    }

    #[test]
    fn strings_are_escaped_as_the_scheme_says() {
        let value = json!("\u{20ac}$\u{f}\nA'B\"\\\"/\u{8}\t\u{c}\r\u{7f}\u{0}");
        assert_eq!(
            canonicalize(&value).unwrap(),
            "\"€$\\u000f\\nA'B\\\"\\\\\\\"/\\b\\t\\f\\r\u{7f}\\u0000\"".as_bytes()
        );
    }

    #[test]
    fn integers_are_written_plainly() {
        let value: Value = serde_json::from_str("[0,-0,-0.0,1.0,1e3,-7,9007199254740992,-9007199254740992]").unwrap();
        assert_eq!(
            canonicalize(&value).unwrap(),
            b"[0,0,0,1,1000,-7,9007199254740992,-9007199254740992]"
        );
    }

    #[test]
    fn other_numbers_are_refused() {
        for text in [
            "0.5",
            "9007199254740993",
            "-9007199254740993",
            "18446744073709551615",
            "1e20",
        ] {
            let value: Value = serde_json::from_str(text).unwrap();
            assert!(canonicalize(&value).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn canonical_json_parses_back_to_itself(value in arbitrary_value()) {
            let canonical = canonicalize(&value).unwrap();
            let again = parse(&canonical, "test", usize::MAX, 64).unwrap();
            prop_assert_eq!(&again, &value);
            prop_assert_eq!(canonicalize(&again).unwrap(), canonical);
        }

        #[test]
        fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let ours = parse(&bytes, "test", 1000, 8);
            if ours.is_ok() {
                prop_assert!(serde_json::from_slice::<Value>(&bytes).is_ok());
            }
        }
    }

    fn arbitrary_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }
}
