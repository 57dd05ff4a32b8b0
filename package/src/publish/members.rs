//! Whether every reader of a JSON document finds the same members in it [RFC 8259 §4].
//!
//! Of two members with one name readers take the first, the last or neither, and some take `Deps` or `depſ` for `deps`. The registry
//! behind the gate may be any of them, so the gate wants names that leave no choice: as cargo writes them, and once. Readers made with
//! serde take an array for an object without names, each in an order of its own, so no array stands where an object does.

use std::{collections::HashSet, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Whether no object has a member twice, and all names are lowercase but those of features, which authors choose.
pub(super) fn are_plain(json: &[u8]) -> bool {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let read = Members {
        chosen: false,
        array: false,
    }
    .deserialize(&mut deserializer);
    read.and_then(|()| deserializer.end()).is_ok()
}

/// Reads a value for its members' names.
#[derive(Clone, Copy)]
struct Members {
    /// Whether authors choose the names.
    chosen: bool,
    /// Whether it may be an array: neither the document nor an element of another array.
    array: bool,
}

impl<'de> DeserializeSeed<'de> for Members {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Members {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if !self.chosen && !name.bytes().all(is_plain) {
                return Err(Error::custom("a name in another spelling than cargo's"));
            }
            let chosen = name == "features";
            if !seen.insert(name) {
                return Err(Error::custom("a member twice"));
            }
            map.next_value_seed(Self { chosen, array: true })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        if !self.array {
            return Err(Error::custom("an array in the place of an object"));
        }
        let element = Self {
            chosen: false,
            array: false,
        };
        while items.next_element_seed(element)?.is_some() {}
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

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Badges have hyphens.
const fn is_plain(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-')
}
