//! What the index said of versions whose archive nobody has seen yet, as callers were told it.
//!
//! Such a line is compared with the manifest when the archive is downloaded. A registry that says one thing to who resolves and another
//! to who looks would pass that, so what was told is remembered, by hashes.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher as _, RandomState},
    sync::{Mutex, PoisonError},
};

use package::Description;

/// The lines that were answered, bounded: where it is full, the oldest is forgotten.
#[derive(Debug, Default)]
pub(super) struct Served {
    hashes: RandomState,
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    /// By name and version: what was said, or none once two things were.
    said: HashMap<u64, Option<u64>>,
    oldest: VecDeque<u64>,
}

impl Served {
    /// These lines of an index file are about to be answered.
    pub(super) fn remember<'a>(&self, name: &str, lines: impl IntoIterator<Item = &'a Description>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for line in lines {
            let said = self.hash(line);
            told.add(self.key(name, &line.version), said);
        }
    }

    /// Whether nothing else than this line was answered about a version.
    pub(super) fn agrees(&self, name: &str, version: &str, line: &Description) -> bool {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let said = told.said.get(&self.key(name, version));
        said.is_none_or(|said| *said == Some(self.hash(line)))
    }

    fn key(&self, name: &str, version: &str) -> u64 {
        self.hashes.hash_one((name.to_lowercase(), version))
    }

    fn hash(&self, line: &Description) -> u64 {
        // A registry may list the same dependencies in another order.
        let mut dependencies: Vec<_> = line.dependencies.iter().collect();
        dependencies.sort_unstable();
        self.hashes
            .hash_one((&line.name, &line.version, dependencies, &line.features, &line.links))
    }
}

impl Told {
    fn add(&mut self, key: u64, said: u64) {
        if let Some(before) = self.said.get_mut(&key) {
            *before = before.filter(|before| *before == said);
            return;
        }
        if self.oldest.len() >= MOST_LINES
            && let Some(oldest) = self.oldest.pop_front()
        {
            self.said.remove(&oldest);
        }
        self.said.insert(key, Some(said));
        self.oldest.push_back(key);
    }
}

/// Every version of two thousand crates, in about 8 MB.
const MOST_LINES: usize = 200_000;

#[cfg(test)]
mod tests {
    use package::{Registries, publish::IndexLine};

    use super::*;

    fn line(version: &str, dependencies: &str) -> Description {
        let checksum = "0".repeat(64);
        let text = format!(
            r#"{{"name":"A","vers":"{version}","deps":[{dependencies}],"cksum":"{checksum}","features":{{}}}}"#
        );
        let read = IndexLine::from_json(text.as_bytes(), &Registries::crates_io());
        read.unwrap().description
    }

    const B: &str = r#"{"name":"b","req":"1"}"#;
    const C: &str = r#"{"name":"c","req":"1"}"#;

    #[test]
    fn who_was_told_something_else_is_not_served() {
        let served = Served::default();
        let honest = line("1.0.0", B);
        assert!(served.agrees("a", "1.0.0", &honest), "nobody was told anything");
        served.remember("a", [&honest, &line("1.1.0", C)]);
        served.remember("a", [&honest]);
        assert!(served.agrees("A", "1.0.0", &honest));
        assert!(!served.agrees("a", "1.0.0", &line("1.0.0", "")));
        served.remember("a", [&line("1.0.0", &format!("{B},{C}"))]);
        assert!(!served.agrees("a", "1.0.0", &honest), "two things were told");
        served.remember("a", [&honest]);
        assert!(!served.agrees("a", "1.0.0", &honest), "and stay told");
        assert!(served.agrees("a", "1.1.0", &line("1.1.0", C)));
    }

    #[test]
    fn the_order_of_dependencies_says_nothing() {
        let served = Served::default();
        served.remember("a", [&line("1.0.0", &format!("{B},{C}"))]);
        assert!(served.agrees("a", "1.0.0", &line("1.0.0", &format!("{C},{B}"))));
    }

    #[test]
    fn memory_is_bounded() {
        let mut told = Told::default();
        for key in 0..=200_000 {
            told.add(key, 1);
        }
        assert_eq!((told.said.len(), told.oldest.len()), (MOST_LINES, MOST_LINES));
        assert_eq!(told.said.get(&0), None);
        assert_eq!(told.said.get(&1), Some(&Some(1)));
    }
}
