//! cargo-sigstore
