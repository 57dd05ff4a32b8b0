//! What both halves of `conformance-client` share: an exit code that is 0 or 1, one line on stderr, files of bounded size.

use std::{
    fmt::Display,
    fs::File,
    io::{self, Read as _, Write as _},
    panic::{self, UnwindSafe},
    path::Path,
    process::ExitCode,
};

/// Does the work, and says on one line what came in between; whether anybody reads it changes nothing.
pub fn run<E: Display>(work: impl FnOnce() -> Result<(), E> + UnwindSafe) -> ExitCode {
    // A panic is a bug of ours, and still a clean 1 for the suites.
    panic::set_hook(Box::new(|panic| say(panic)));
    match panic::catch_unwind(work) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(failure)) => {
            say(&failure);
            ExitCode::FAILURE
        }
        Err(_) => ExitCode::FAILURE,
    }
}

fn say(what: &(impl Display + ?Sized)) {
    let line = what.to_string().replace(['\n', '\r'], " ");
    let written = writeln!(io::stderr(), "conformance-client: {line}");
    drop(written);
}

/// Reads a file of at most `limit` bytes.
///
/// # Errors
/// Those of the file system, and `FileTooLarge`.
pub fn read(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX);
    File::open(path)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}
