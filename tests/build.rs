//! How the conformance client is linked. Its whole run is a few milliseconds of CPU, and as a position-independent
//! program a tenth of that goes to relocating code that most runs never reach.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|name| name == "linux") {
        println!("cargo::rustc-link-arg-bin=conformance-client=-no-pie");
    }
}
