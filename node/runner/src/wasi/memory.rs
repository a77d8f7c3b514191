//! A guest's memory, as the host functions see it: every access is checked, and what lies outside is `fault`.

use super::errno::Errno;

/// The bytes of a guest's memory for the time of one call.
pub(crate) struct Memory<'a>(&'a mut [u8]);

impl<'a> Memory<'a> {
    pub fn new(bytes: &'a mut [u8]) -> Self {
        Memory(bytes)
    }

    pub fn slice(&self, at: u32, count: u32) -> Result<&[u8], Errno> {
        let (at, count) = (at as usize, count as usize);
        self.0.get(at..at.saturating_add(count)).ok_or(Errno::Fault)
    }

    pub fn slice_mut(&mut self, at: u32, count: u32) -> Result<&mut [u8], Errno> {
        let (at, count) = (at as usize, count as usize);
        self.0.get_mut(at..at.saturating_add(count)).ok_or(Errno::Fault)
    }

    pub fn set(&mut self, at: u32, bytes: &[u8]) -> Result<(), Errno> {
        let count = u32::try_from(bytes.len()).map_err(|_| Errno::Fault)?;
        self.slice_mut(at, count)?.copy_from_slice(bytes);
        Ok(())
    }

    pub fn set_u32(&mut self, at: u32, value: u32) -> Result<(), Errno> {
        self.set(at, &value.to_le_bytes())
    }

    pub fn set_u64(&mut self, at: u32, value: u64) -> Result<(), Errno> {
        self.set(at, &value.to_le_bytes())
    }
}
