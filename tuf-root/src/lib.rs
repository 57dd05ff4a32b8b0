//! tuf-root
