//! SLSA provenance v1 of a crate [SLSA v1.2], in the build type `cargo-package/v1`.
