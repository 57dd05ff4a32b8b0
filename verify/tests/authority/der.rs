//! Just enough DER writing to make certificates and tokens with any single field wrong.

/// One element.
pub fn element(tag: u8, contents: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    let length = contents.len();
    if length < 0x80 {
        bytes.push(length as u8);
    } else if length < 0x100 {
        bytes.extend([0x81, length as u8]);
    } else {
        bytes.extend([0x82, (length >> 8) as u8, length as u8]);
    }
    bytes.extend_from_slice(contents);
    bytes
}

pub fn sequence(items: &[Vec<u8>]) -> Vec<u8> {
    element(0x30, &items.concat())
}

pub fn set(items: &[Vec<u8>]) -> Vec<u8> {
    element(0x31, &items.concat())
}

pub fn explicit(number: u8, contents: &[u8]) -> Vec<u8> {
    element(0xa0 | number, contents)
}

pub fn octets(bytes: &[u8]) -> Vec<u8> {
    element(0x04, bytes)
}

pub fn bits(bytes: &[u8]) -> Vec<u8> {
    element(0x03, &[&[0], bytes].concat())
}

pub fn integer(bytes: &[u8]) -> Vec<u8> {
    element(0x02, bytes)
}

pub fn oid(text: &str) -> Vec<u8> {
    let oid: der::asn1::ObjectIdentifier = text.parse().unwrap();
    element(0x06, oid.as_bytes())
}

pub fn utf8(text: &str) -> Vec<u8> {
    element(0x0c, text.as_bytes())
}

/// `CN=name`.
pub fn name(text: &str) -> Vec<u8> {
    sequence(&[set(&[sequence(&[oid("2.5.4.3"), utf8(text)])])])
}

/// An algorithm without parameters.
pub fn algorithm(text: &str) -> Vec<u8> {
    sequence(&[oid(text)])
}

/// `YYYYMMDDhhmmssZ` as `GeneralizedTime`; `UTCTime` before 2050 in certificates.
pub fn generalized_time(time: verify::UnixTime) -> Vec<u8> {
    element(0x18, digits(time).as_bytes())
}

pub fn utc_time(time: verify::UnixTime) -> Vec<u8> {
    element(0x17, &digits(time).as_bytes()[2..])
}

fn digits(time: verify::UnixTime) -> String {
    let digits: String = time.to_string().chars().filter(char::is_ascii_digit).collect();
    digits + "Z"
}
