//! What the gate must remember besides verdicts: who published what, which tokens are out, which events wait.
//!
//! One SQLite file, each commit durable before it returns. An attacker who can change it can at most make a changed
//! publisher look unchanged, and mint himself upload tokens: it lies beside the verdicts, which need the same care.

mod hints;
mod publishers;
mod tokens;

use std::{
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use rusqlite::Connection;

pub use hints::Waiting;
pub use publishers::{Earlier, Known};

/// The gate's memory.
#[derive(Debug)]
pub struct Records {
    connection: Mutex<Connection>,
}

impl Records {
    /// Opens or makes it in a folder that exists.
    ///
    /// # Errors
    /// The database failed.
    pub fn open(folder: &Path) -> Result<Self, rusqlite::Error> {
        let connection = Connection::open(folder.join("records.sqlite"))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute_batch(publishers::SCHEMA)?;
        connection.execute_batch(tokens::SCHEMA)?;
        connection.execute_batch(hints::SCHEMA)?;
        Ok(Self {
            connection: Mutex::new(connection),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic between two statements leaves a transaction that SQLite rolls back.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
