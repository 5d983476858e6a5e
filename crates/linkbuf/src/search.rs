//! Finding bytes in a [`NocopyBuffer`].

use crate::buffer_error::BufferError;
use crate::nocopy_buffer::NocopyBuffer;
use crate::reader::Chunks;

/// How many bytes are looked at in one step.
const LANES: usize = 32;

impl NocopyBuffer {
    /// Where the first delimiter begins that does not begin before `from`, counted from the next
    /// byte to be read. It may lie across nodes. Consumes nothing.
    ///
    /// The time is that of one pass for delimiters whose first byte is rare in what they are
    /// searched in, and grows with the delimiter's length where it is not.
    ///
    /// # Errors
    /// [`InvalidArgument`](BufferError::InvalidArgument) if the delimiter has no bytes.
    pub fn index_of(&self, delimiter: &[u8], from: usize) -> Result<Option<usize>, BufferError> {
        let (&first, rest) = delimiter
            .split_first()
            .ok_or(BufferError::InvalidArgument)?;
        let Ok(start) = self.cursor_ahead(0, from) else {
            return Ok(None);
        };
        let mut chunks = self.chunks_from(start);
        let mut before = from;
        while let Some(chunk) = chunks.next() {
            let mut searched = 0;
            while let Some(found) = find_byte(&chunk[searched..], first) {
                let index = searched + found;
                searched = index + 1;
                if goes_on(&chunk[searched..], &chunks, rest) {
                    return Ok(Some(before + index));
                }
            }
            before += chunk.len();
        }
        Ok(None)
    }
}

/// Whether what is in `chunk`, and then in the chunks that follow, begins with `wanted`.
#[inline]
fn goes_on(chunk: &[u8], following: &Chunks<'_>, wanted: &[u8]) -> bool {
    if chunk.len() >= wanted.len() {
        return chunk.starts_with(wanted);
    }
    let (begin, mut rest) = wanted.split_at(chunk.len());
    if begin != chunk {
        return false;
    }
    for chunk in following.clone() {
        let len = chunk.len().min(rest.len());
        if chunk[..len] != rest[..len] {
            return false;
        }
        rest = &rest[len..];
        if rest.is_empty() {
            return true;
        }
    }
    false
}

/// Where a byte is first. The inner loop has no early end, so the compiler turns it into a few
/// vector instructions.
fn find_byte(bytes: &[u8], wanted: u8) -> Option<usize> {
    let (blocks, _) = bytes.as_chunks::<LANES>();
    let is_in = |block: &[u8; LANES]| {
        let equal = |found, &byte| found | u8::from(byte == wanted);
        block.iter().fold(0, equal) != 0
    };
    let skipped = blocks.iter().position(is_in).unwrap_or(blocks.len()) * LANES;
    let found = bytes[skipped..].iter().position(|&byte| byte == wanted)?;
    Some(skipped + found)
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn a_byte_is_found_at_any_place() {
        for len in 0..3 * LANES {
            let mut bytes = vec![0; len];
            assert_eq!(find_byte(&bytes, 1), None);
            for index in (0..len).rev() {
                bytes[index] = 1;
                assert_eq!(find_byte(&bytes, 1), Some(index));
            }
        }
    }
}
