//! crates-plugin
