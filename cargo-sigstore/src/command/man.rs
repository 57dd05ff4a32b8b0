//! `cargo sigstore man`: manual pages, made from the command line's own description.

use std::path::PathBuf;

use clap_mangen::{Man, generate_to};

use crate::{
    arguments::command,
    context::Context,
    failure::{Exit, Failure},
};

/// Arguments of `man`.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// Write the pages of all commands to this folder instead
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// Prints or writes the pages.
///
/// # Errors
/// Code `output`.
pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let command = command().bin_name("cargo-sigstore");
    if let Some(folder) = &arguments.folder {
        let written = std::fs::create_dir_all(folder).and_then(|()| generate_to(command, folder));
        written.map_err(unwritable)?;
    } else {
        let mut page = Vec::new();
        Man::new(command).render(&mut page).map_err(unwritable)?;
        context.printer.line(String::from_utf8_lossy(&page).trim_end())?;
    }
    Ok(Exit::Yes)
}

/// The failure to write a page.
fn unwritable(source: std::io::Error) -> Failure {
    Failure::new(Exit::Unavailable, "output", &ManError { source }).hint("name a folder that can be written")
}

/// The pages cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the manual pages")]
struct ManError {
    source: std::io::Error,
}
