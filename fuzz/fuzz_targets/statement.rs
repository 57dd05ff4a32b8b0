//! A statement is the same when it is read again from what we print.
#![no_main]

use fuzz::budget;
use verify::statement::Statement;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(statement) = Statement::from_json(bytes, &budget()) {
        let printed = statement.to_json();
        assert_eq!(Statement::from_json(printed.as_bytes(), &budget()), Ok(statement));
    }
});
