//! Signing against a real server behind a proxy that lies: each lie is told apart and has its code, and the same proxy
//! telling the truth is believed.

mod bench;
mod legacy_log;
mod services;
