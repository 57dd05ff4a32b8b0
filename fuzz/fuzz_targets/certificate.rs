//! A certificate that is read keeps its bytes, and all that can be asked of it answers.
#![no_main]

use fuzz::budget;
use verify::certificate::Certificate;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(certificate) = Certificate::from_der(bytes, &budget()) else {
        return;
    };
    assert_eq!(certificate.der(), bytes);
    let again = Certificate::from_pem(&certificate.to_pem(), &budget()).expect("our own PEM");
    assert_eq!(again.der(), bytes);
    let _ = certificate.identity();
    let _ = certificate.scts(&budget());
    let _ = certificate.precertificate_tbs();
    let _ = certificate.verify_signature(certificate.public_key());
});
