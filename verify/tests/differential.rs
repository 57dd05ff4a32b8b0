//! Two implementations of ECDSA over P-256 must say the same about every signature: `aws-lc-rs`, behind
//! [`verify::PublicKey`], and `p256`.
//!
//! Cases are drawn from a seeded stream, so that a failure can be repeated. `SIGSTORE_DIFFERENTIAL_CASES` asks for more
//! than the few that fit into a debug run (a million take four minutes of CPU in a release build), and
//! `SIGSTORE_DIFFERENTIAL_SEED` for others.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    reason = "tests may be blunt"
)]

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey, signature::hazmat::PrehashVerifier};
use sha2::{Digest as _, Sha256};
use verify::{Digest, HashAlgorithm, PublicKey, key::SignatureScheme};

#[test]
fn aws_lc_and_p256_agree_on_every_signature() {
    let cases = number("SIGSTORE_DIFFERENTIAL_CASES").unwrap_or(1040);
    let mut stream = Stream::new(number("SIGSTORE_DIFFERENTIAL_SEED").unwrap_or(1));
    let signers = signers(&mut stream);
    let mut accepted = [0_u64; KINDS];
    for case in 0..cases {
        let kind = usize::try_from(case).unwrap() % KINDS;
        let signer = &signers[stream.below(signers.len())];
        let (digest, signature) = draw(kind, signer, &mut stream);
        let verdict = signer.agreed(&digest, &signature);
        accepted[kind] += u64::from(verdict);
    }
    println!("{cases} cases, accepted by kind: {accepted:?}");
    let rounds = cases / u64::try_from(KINDS).unwrap();
    assert!(
        accepted[0] >= rounds && accepted[1] >= rounds,
        "valid signatures are accepted"
    );
    for (kind, accepted) in accepted.into_iter().enumerate().skip(2) {
        assert_eq!(accepted, 0, "kind {kind}");
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// One key, ready in both implementations.
struct Signer {
    pair: EcdsaKeyPair,
    ours: PublicKey,
    theirs: VerifyingKey,
}

/// A signature as the two ways of writing it.
enum Written {
    Der(Vec<u8>),
    Fixed(Vec<u8>),
}

impl Signer {
    fn new(secret: &[u8; 32]) -> Self {
        let secret = SigningKey::from_slice(secret).unwrap();
        let theirs = *secret.verifying_key();
        let point = theirs.to_sec1_point(false);
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pair =
            EcdsaKeyPair::from_private_key_and_public_key(algorithm, &secret.to_bytes(), point.as_bytes()).unwrap();
        let (x, y) = (
            point.as_bytes()[1..33].try_into().unwrap(),
            point.as_bytes()[33..].try_into().unwrap(),
        );
        let ours = PublicKey::from_p256_coordinates(x, y).unwrap();
        Self { pair, ours, theirs }
    }

    fn sign(&self, digest: &[u8; 32]) -> [u8; 64] {
        let digest = aws_lc_rs::digest::Digest::import_less_safe(digest, &aws_lc_rs::digest::SHA256).unwrap();
        self.pair.sign_digest(&digest).map_or_else(
            |_| panic!("cannot sign"),
            |signature| signature.as_ref().try_into().unwrap(),
        )
    }

    /// What both say.
    fn agreed(&self, digest: &[u8; 32], signature: &Written) -> bool {
        let hash = HashAlgorithm::Sha256;
        let (scheme, bytes, parsed) = match signature {
            Written::Der(der) => (SignatureScheme::Ecdsa(hash), der, Signature::from_der(der).ok()),
            Written::Fixed(fixed) => (
                SignatureScheme::EcdsaFixed(hash),
                fixed,
                Signature::from_slice(fixed).ok(),
            ),
        };
        let theirs = parsed.is_some_and(|parsed| self.theirs.verify_prehash(digest, &parsed).is_ok());
        let ours = self
            .ours
            .verify_digest(scheme, &Digest::from_bytes(hash, digest).unwrap(), bytes)
            .is_ok();
        let (digest, bytes) = (hex::encode(digest), hex::encode(bytes));
        assert_eq!(
            ours, theirs,
            "{scheme:?} key {:?} digest {digest} signature {bytes}",
            self.theirs
        );
        ours
    }
}

/// Private keys at the edges of the group, and a few others.
fn signers(stream: &mut Stream) -> Vec<Signer> {
    let mut secrets = vec![small(1), small(2), below_order(1)];
    secrets.extend((0..5).map(|_| stream.bytes()));
    secrets.iter().map(Signer::new).collect()
}

/// How many kinds of cases [`draw`] makes.
const KINDS: usize = 13;

/// A case of this kind. Kinds 0 and 1 are valid, the others are not (but for what has a chance of 2^-128).
fn draw(kind: usize, signer: &Signer, stream: &mut Stream) -> ([u8; 32], Written) {
    let digest = match stream.below(8) {
        0 => [0; 32],
        1 => [0xff; 32],
        2 => ORDER,
        _ => stream.bytes(),
    };
    let signature = signer.sign(&digest);
    let (r, s): ([u8; 32], [u8; 32]) = (signature[..32].try_into().unwrap(), signature[32..].try_into().unwrap());
    let either = |stream: &mut Stream, r: [u8; 32], s: [u8; 32]| match stream.below(2) {
        0 => Written::Der(der(&r, &s)),
        _ => Written::Fixed([r, s].concat()),
    };
    let written = match kind {
        0 => either(stream, r, s),
        1 => either(stream, r, subtract(&ORDER, &s)),
        2 => return (stream.flip(digest), either(stream, r, s)),
        3 => {
            let (r, s) = if stream.below(2) == 0 {
                (stream.flip(r), s)
            } else {
                (r, stream.flip(s))
            };
            either(stream, r, s)
        }
        4 => {
            let (r, s) = (stream.bytes(), stream.bytes());
            either(stream, r, s)
        }
        5 => {
            let (r, s) = (stream.edge(), stream.edge());
            return (not_an_edge(stream), either(stream, r, s));
        }
        6 => {
            let edge = stream.edge();
            let (r, s) = if stream.below(2) == 0 { (edge, s) } else { (r, edge) };
            return (not_an_edge(stream), either(stream, r, s));
        }
        7 => either(stream, s, r),
        8 => Written::Der([der(&r, &s), vec![0]].concat()),
        9 => Written::Der(loose(&der(&r, &s), stream)),
        10 => {
            let mut bytes = der(&r, &s);
            bytes.truncate(stream.below(bytes.len()));
            Written::Der(bytes)
        }
        11 => {
            let mut bytes = [r, s].concat();
            bytes.truncate(stream.below(bytes.len()));
            Written::Fixed(bytes)
        }
        _ => Written::Fixed(der(&r, &s)),
    };
    (digest, written)
}

/// Signatures made of edges are valid for digests that can be computed; a drawn digest is not one of them.
fn not_an_edge(stream: &mut Stream) -> [u8; 32] {
    stream.bytes()
}

/// The order of the group [FIPS 186-5; SP 800-186 §3.2.1.3].
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
    0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// The prime of the field [SP 800-186 §3.2.1.3].
const FIELD: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
];

fn small(number: u8) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[31] = number;
    bytes
}

fn below_order(number: u8) -> [u8; 32] {
    subtract(&ORDER, &small(number))
}

/// `left - right`, big-endian, wrapping.
fn subtract(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    let mut difference = [0; 32];
    let mut borrow = false;
    for position in (0..32).rev() {
        let (first, under) = left[position].overflowing_sub(right[position]);
        let (second, under_again) = first.overflowing_sub(u8::from(borrow));
        (difference[position], borrow) = (second, under || under_again);
    }
    difference
}

fn integer(number: &[u8; 32]) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count().min(31);
    let mut content = number[zeros..].to_vec();
    if content[0] >= 0x80 {
        content.insert(0, 0);
    }
    [vec![2, u8::try_from(content.len()).unwrap()], content].concat()
}

/// `ECDSA-Sig-Value` in DER.
fn der(r: &[u8; 32], s: &[u8; 32]) -> Vec<u8> {
    let content = [integer(r), integer(s)].concat();
    [vec![0x30, u8::try_from(content.len()).unwrap()], content].concat()
}

/// The same value in a form that BER or a careless reader would take.
fn loose(der: &[u8], stream: &mut Stream) -> Vec<u8> {
    let content = &der[2..];
    let length = der[1];
    let r_length = usize::from(content[1]);
    match stream.below(6) {
        // Long form of a short length.
        0 => [&[0x30, 0x81, length], content].concat(),
        // Indefinite length.
        1 => [&[0x30, 0x80], content, &[0, 0]].concat(),
        // A zero before the first integer that needs none, or one more.
        2 => [&[0x30, length + 1, 2, content[1] + 1, 0], &content[2..]].concat(),
        // Bytes inside the sequence after the integers.
        3 => [&[0x30, length + 2], content, &[5, 0]].concat(),
        // A set instead of a sequence.
        4 => [&[0x31, length], content].concat(),
        // The second integer twice.
        _ => {
            let second = &content[2 + r_length..];
            [&[0x30, length + u8::try_from(second.len()).unwrap()], content, second].concat()
        }
    }
}

/// A reproducible stream of bytes: SHA-256 of seed and counter.
struct Stream {
    seed: u64,
    counter: u64,
}

impl Stream {
    fn new(seed: u64) -> Self {
        Self { seed, counter: 0 }
    }

    fn bytes(&mut self) -> [u8; 32] {
        self.counter += 1;
        Sha256::new()
            .chain_update(self.seed.to_be_bytes())
            .chain_update(self.counter.to_be_bytes())
            .finalize()
            .into()
    }

    fn below(&mut self, limit: usize) -> usize {
        let number = u32::from_be_bytes(*self.bytes().first_chunk().unwrap());
        usize::try_from(number).unwrap() % limit
    }

    fn flip(&mut self, mut bytes: [u8; 32]) -> [u8; 32] {
        let bit = self.below(256);
        bytes[bit / 8] ^= 1 << (bit % 8);
        bytes
    }

    /// A number at the edge of what `r` and `s` may be.
    fn edge(&mut self) -> [u8; 32] {
        match self.below(10) {
            0 => small(0),
            1 => small(1),
            2 => small(2),
            3 => below_order(1),
            4 => below_order(2),
            5 => ORDER,
            // One more than the order: what is subtracted is -1.
            6 => subtract(&ORDER, &[0xff; 32]),
            7 => [0xff; 32],
            8 => FIELD,
            _ => {
                let mut high = [0; 32];
                high[0] = 0x80;
                high
            }
        }
    }
}

/// A `SubjectPublicKeyInfo` around any octets in the place of a point [RFC 5480 §2].
fn spki(point: &[u8]) -> Vec<u8> {
    let algorithm = hex::decode("301306072a8648ce3d020106082a8648ce3d030107").unwrap();
    let length = u8::try_from(point.len() + 1).unwrap();
    let bits = [&[3, length, 0], point].concat();
    let content = [algorithm, bits].concat();
    [vec![0x30, u8::try_from(content.len()).unwrap()], content].concat()
}

#[test]
fn both_refuse_what_is_no_point_of_the_curve() {
    let mut stream = Stream::new(number("SIGSTORE_DIFFERENTIAL_SEED").unwrap_or(1));
    let read = |point: &[u8]| {
        let ours = PublicKey::from_spki_der(&spki(point)).is_ok();
        (ours, VerifyingKey::from_sec1_bytes(point).is_ok())
    };
    let honest = Signer::new(&stream.bytes()).theirs.to_sec1_point(false);
    let honest = honest.as_bytes();
    assert_eq!(read(honest), (true, true));
    let (x, y): ([u8; 32], [u8; 32]) = (honest[1..33].try_into().unwrap(), honest[33..].try_into().unwrap());
    let point = |x: &[u8; 32], y: &[u8; 32]| [&[4], x.as_slice(), y].concat();
    // The other point of this x is on the curve as well.
    assert_eq!(read(&point(&x, &subtract(&FIELD, &y))), (true, true));
    let mut wrong = vec![
        vec![0],
        vec![],
        vec![4],
        point(&small(0), &small(0)),
        point(&small(1), &small(1)),
        point(&FIELD, &y),
        point(&x, &FIELD),
        point(&[0xff; 32], &[0xff; 32]),
        point(&y, &x),
        honest[..64].to_vec(),
        [honest, &[0]].concat(),
    ];
    for _ in 0..number("SIGSTORE_DIFFERENTIAL_CASES").unwrap_or(1040) / 10 {
        wrong.push(point(&stream.flip(x), &y));
        wrong.push(point(&x, &stream.flip(y)));
        wrong.push(point(&stream.bytes(), &stream.bytes()));
    }
    for point in &wrong {
        assert_eq!(read(point), (false, false), "{}", hex::encode(point));
    }
    println!("{} keys that are none", wrong.len());
}

#[test]
fn the_stream_and_the_arithmetic_are_what_they_say() {
    assert_eq!(subtract(&ORDER, &ORDER), [0; 32]);
    assert_eq!(subtract(&small(0), &small(1)), [0xff; 32]);
    assert_ne!(Stream::new(1).bytes(), Stream::new(2).bytes());
    assert_eq!(der(&small(1), &[0xff; 32])[..7], [0x30, 0x26, 2, 1, 1, 2, 0x21]);
}
