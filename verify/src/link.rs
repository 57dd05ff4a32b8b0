//! In-toto link predicate v0.3 [in-toto attestation: link].
