//! The statement of a verified bundle, built when somebody asks for it.

use std::{fmt, sync::OnceLock};

use crate::{
    Budget,
    statement::{Statement, Subject},
};

/// The signed payload, every rule of which was checked, and which of its subjects is the artifact.
#[derive(Clone)]
pub(super) struct Attested {
    payload: Vec<u8>,
    budget: Budget,
    subject: usize,
    statement: OnceLock<Option<Statement>>,
}

impl Attested {
    pub(super) fn new(payload: &[u8], budget: &Budget, subject: usize) -> Self {
        Self {
            payload: payload.to_vec(),
            budget: budget.clone(),
            subject,
            statement: OnceLock::new(),
        }
    }

    /// The statement. It was read once as an outline, by the same rules, so that reading it again succeeds.
    pub(super) fn statement(&self) -> Option<&Statement> {
        let read = || Statement::from_json(&self.payload, &self.budget).ok();
        self.statement.get_or_init(read).as_ref()
    }

    /// The subject that matched the artifact.
    pub(super) fn subject(&self) -> Option<&Subject> {
        self.statement()?.subjects.get(self.subject)
    }
}

impl fmt::Debug for Attested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.statement().fmt(f)
    }
}
