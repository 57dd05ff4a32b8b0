//! Three transparency logs on one sequencing engine: the signature log (Rekor v2), a small log for older verifiers (Rekor v1), and
//! the CT log (static-ct-api).
//!
//! The life of a leaf, in the only words used for it: a request is checked and queued; *sequenced*: in one transaction it gets its
//! index, the tree its new root, the root its signature; *integrated*: the transaction is durable; *published*: readers see the
//! tree, and then the caller gets its answer. Later, full tiles and bundles become files, and the database forgets them.
//!
//! What a crash can leave, write by write (tests go through each, lost and kept):
//!
//! | write | lost | kept |
//! |---|---|---|
//! | creation | the log is created at the next start | as if nothing had happened |
//! | commit | nobody was answered; the client asks again | nobody was answered; asking again gets the same place |
//! | tile or bundle file | memory and database still have it; written again | the next start finds an equal file |
//! | forgetting | the files are there; forgotten at the next start | as if nothing had happened |
//! | copy of the checkpoint | an older copy: a weaker guard | as if nothing had happened |

mod archiver;
mod crash;
mod ct_log;
mod database;
mod draft;
mod error;
mod fields;
mod files;
mod fsck;
mod genesis;
mod hammer;
mod http;
mod leaf;
mod legacy_log;
mod opening;
mod queue;
mod request;
mod request_v1;
mod sequencer;
mod signature_log;
mod spec;
mod state;
mod storage;
mod tree;

pub use ct_log::{CtLog, PrecertificateSubmission};
pub use error::LogError;
pub use fsck::{Finding, FsckReport, LogSummary, Problem, fsck, fsck_against};
pub use hammer::{HammerError, HammerOptions, HammerReport, Latencies, hammer};
pub use legacy_log::LegacyLog;
pub use request::RequestError;
pub use signature_log::SignatureLog;
pub use spec::{LogKind, tree_id};
pub use storage::{Storage, StorageOptions};

#[cfg(test)]
mod tests;
