//! The bytes between a node and its own child: frames of a bounded length with plain fields in them. What is large (code, files)
//! follows its frame as it is, with its length in the frame, so that neither end copies it into a frame and out again.
//!
//! Both ends are the same binary, so there are no versions here. A child is not believed all the same: every length is
//! checked against a bound that the reader sets, before anything is allocated.

/// What a frame's head says: its length in bytes.
pub(crate) const HEAD_BYTES: usize = 8;

/// Bytes that are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Nonsense;

/// Puts a message together, with room for its head before it.
#[derive(Debug)]
pub(crate) struct Writer(Vec<u8>);

impl Default for Writer {
    fn default() -> Self {
        Writer(vec![0; HEAD_BYTES])
    }
}

impl Writer {
    pub fn u8(&mut self, value: u8) {
        self.0.push(value);
    }
    pub fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
    pub fn bytes(&mut self, value: &[u8]) {
        self.u64(value.len() as u64);
        self.0.extend_from_slice(value);
    }
    pub fn text(&mut self, value: &str) {
        self.bytes(value.as_bytes());
    }
    /// The message with its head: a frame.
    pub fn into_frame(mut self) -> Vec<u8> {
        let length = (self.0.len() - HEAD_BYTES) as u64;
        self.0[..HEAD_BYTES].copy_from_slice(&length.to_le_bytes());
        self.0
    }
}

/// Takes a message apart.
#[derive(Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader(bytes)
    }
    fn take(&mut self, count: usize) -> Result<&'a [u8], Nonsense> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Nonsense)?;
        self.0 = rest;
        Ok(taken)
    }
    pub fn u8(&mut self) -> Result<u8, Nonsense> {
        Ok(self.take(1)?[0])
    }
    pub fn u64(&mut self) -> Result<u64, Nonsense> {
        let bytes = self.take(8)?.try_into().map_err(|_| Nonsense)?;
        Ok(u64::from_le_bytes(bytes))
    }
    pub fn bytes(&mut self) -> Result<&'a [u8], Nonsense> {
        let count = usize::try_from(self.u64()?).map_err(|_| Nonsense)?;
        self.take(count)
    }
    pub fn text(&mut self) -> Result<&'a str, Nonsense> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Nonsense)
    }
    /// That all has been read.
    pub fn end(&self) -> Result<(), Nonsense> {
        if self.0.is_empty() { Ok(()) } else { Err(Nonsense) }
    }
}

/// The length that a head announces, when it is at most `max`.
pub(crate) fn announced(head: [u8; HEAD_BYTES], max: u64) -> Result<usize, Nonsense> {
    let length = u64::from_le_bytes(head);
    if length > max { Err(Nonsense) } else { usize::try_from(length).map_err(|_| Nonsense) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_length_over_its_bound_is_nonsense_before_anything_is_allocated() {
        assert_eq!(announced(10_u64.to_le_bytes(), 10), Ok(10));
        assert_eq!(announced(11_u64.to_le_bytes(), 10), Err(Nonsense));
        assert_eq!(announced([0xff; 8], 10), Err(Nonsense));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut reader = Reader::new(&bytes);
            while reader.bytes().is_ok() {}
            let mut reader = Reader::new(&bytes);
            while reader.text().is_ok() && reader.u8().is_ok() {}
        }
    }
}
