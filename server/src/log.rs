//! Three transparency logs on one sequencing engine.
