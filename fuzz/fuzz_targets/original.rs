//! Of two manifests with NUL between them: whatever else the generated one has, a dependency, a build script or a program more is
//! found.
#![no_main]

use package::original::{Departure, departures};
use toml::{Table, Value};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Some((generated, original)) = text.split_once('\0') else {
        return;
    };
    let Ok(found) = departures(generated, original) else {
        return;
    };
    for departure in &found {
        let shown = departure.to_string();
        assert!(shown.chars().count() <= 200 && !shown.chars().any(char::is_control));
    }
    let with = |add: fn(&mut Table) -> Option<()>| -> Option<Vec<Departure>> {
        let mut more: Table = generated.parse().expect("what was read as TOML");
        add(&mut more)?;
        Some(departures(&more.to_string(), original).expect("the same with something more"))
    };
    let unchanged = with(|_| Some(()));
    assert_eq!(unchanged, Some(found), "printed TOML says the same");
    if let Some(found) = with(dependency) {
        let added = Departure::AddedDependency(format!("dependencies.{NEW}"));
        assert!(found.contains(&added) || original.contains(NEW), "{found:?}");
    }
    if let Some(found) = with(script) {
        let changed = |departure: &Departure| matches!(departure, Departure::Key { key: "build", .. });
        assert!(found.iter().any(changed) || original.contains(NEW), "{found:?}");
    }
    if let Some(found) = with(program) {
        let added = Departure::Program(NEW.to_owned());
        assert!(found.contains(&added) || original.contains(NEW), "{found:?}");
    }
});

fn dependency(manifest: &mut Table) -> Option<()> {
    let section = manifest.entry("dependencies").or_insert_with(|| Table::new().into());
    section.as_table_mut()?.insert(NEW.to_owned(), "1".into());
    Some(())
}

fn script(manifest: &mut Table) -> Option<()> {
    let key = ["package", "project"]
        .into_iter()
        .find(|key| manifest.contains_key(*key))?;
    let package = manifest.get_mut(key)?.as_table_mut()?;
    package.insert("build".to_owned(), NEW.into());
    Some(())
}

fn program(manifest: &mut Table) -> Option<()> {
    let programs = manifest.entry("bin").or_insert_with(|| Value::Array(Vec::new()));
    let new = Table::from_iter([("name".to_owned(), NEW.into()), ("path".to_owned(), NEW.into())]);
    programs.as_array_mut()?.push(new.into());
    Some(())
}

const NEW: &str = "named-by-nobody";
