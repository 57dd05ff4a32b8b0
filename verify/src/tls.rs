//! The TLS presentation language, as far as SCTs and tiles use it [RFC 5246 §4].

/// What is left to read of some bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// `opaque<0..2^16-1>`
    pub(crate) fn vector16(&mut self) -> Option<&'a [u8]> {
        let length = u16::from_be_bytes(self.array()?);
        self.take(length.into())
    }

    /// `opaque<0..2^24-1>`
    pub(crate) fn vector24(&mut self) -> Option<&'a [u8]> {
        let [high, middle, low] = self.array()?;
        let length = u32::from_be_bytes([0, high, middle, low]);
        self.take(usize::try_from(length).ok()?)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// `opaque<0..2^16-1>`; what does not fit is cut off, so that no length ever lies about what follows.
pub(crate) fn put_vector16(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend(bytes.iter().take(length.into()));
}

/// `opaque<0..2^24-1>`; what does not fit is cut off.
pub(crate) fn put_vector24(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = bytes.len().min(0xff_ffff);
    out.extend(u32::try_from(length).unwrap_or(0).to_be_bytes().iter().skip(1));
    out.extend(bytes.iter().take(length));
}
