//! Named points between two steps of a publish or a token exchange, where tests kill the gate.
//!
//! Only builds with debug assertions have them: there `CRATES_PLUGIN_CRASH_AT=NAME` ends the process at that point as a power
//! cut would. A release build has no such code.

/// One step that was made, or not made yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CrashPoint {
    /// Decided; nothing is kept.
    VerdictLost,
    /// The verdict is kept; nothing else.
    VerdictKept,
    /// The upload is in the outbox; the registry has not seen it.
    UploadKept,
    /// The registry took it; nobody here knows.
    Forwarded,
    /// The acceptance is kept; nobody was answered.
    AcceptanceKept,
    /// A statement is signed and logged; the bundle is lost.
    Signed,
    /// The bundle is kept; the store does not have it.
    BundleKept,
    /// The store has it; nobody here knows.
    Stored,
    /// The identity token is used up; no upload token is made.
    IdentityUsed,
    /// The upload token is kept by its hash; nobody was told it.
    TokenKept,
}

#[cfg(debug_assertions)]
impl CrashPoint {
    /// Dies here, when told to.
    pub(crate) fn reach(self) {
        if std::env::var_os("CRATES_PLUGIN_CRASH_AT").is_some_and(|at| at == self.name()) {
            std::process::abort();
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::VerdictLost => "verdict-lost",
            Self::VerdictKept => "verdict-kept",
            Self::UploadKept => "upload-kept",
            Self::Forwarded => "forwarded",
            Self::AcceptanceKept => "acceptance-kept",
            Self::Signed => "signed",
            Self::BundleKept => "bundle-kept",
            Self::Stored => "stored",
            Self::IdentityUsed => "identity-used",
            Self::TokenKept => "token-kept",
        }
    }
}

#[cfg(not(debug_assertions))]
impl CrashPoint {
    /// Nothing happens.
    #[allow(clippy::unused_self, reason = "the shape of the version that tests use")]
    pub(crate) const fn reach(self) {}
}
