//! A cut before each change of a file's or folder's name, where tests kill the process.
//!
//! Only builds with debug assertions have them: there `TUF_ROOT_CRASH_AT=N` ends the process before the change that is the Nth, as a
//! power cut would. A release build has no such code.

#[cfg(debug_assertions)]
pub(crate) fn step() {
    use std::sync::atomic::{AtomicU64, Ordering};

    static STEPS: AtomicU64 = AtomicU64::new(0);

    let Some(at) = std::env::var_os("TUF_ROOT_CRASH_AT") else {
        return;
    };
    let step = STEPS.fetch_add(1, Ordering::Relaxed).saturating_add(1);
    if at.to_str() == Some(step.to_string().as_str()) {
        std::process::abort();
    }
}

/// Nothing happens.
#[cfg(not(debug_assertions))]
pub(crate) const fn step() {}
