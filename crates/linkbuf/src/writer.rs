//! The writing end of a [`NocopyBuffer`].

use crate::buffer_error::BufferError;
use crate::limits::{CHUNK_BYTES_MAX, SPARE_BYTES_MIN};
use crate::link_buffer::LinkBuffer;
use crate::nocopy_buffer::NocopyBuffer;
use crate::segment::Segment;
use crate::write_nodes::WriteNodes;
use std::io::IoSliceMut;

impl NocopyBuffer {
    /// Reserves `n` bytes in one piece, to be filled by the caller. What they hold until then is
    /// not specified. They count as written and are readable after [`flush`](Self::flush).
    ///
    /// The borrow ends with the next call. What is known only later, as the length of a message,
    /// is put in front of it by [`write_direct`](Self::write_direct).
    ///
    /// # Errors
    /// [`OutOfRange`](BufferError::OutOfRange) if `n` is more than [`CHUNK_BYTES_MAX`],
    /// [`NoMemory`](BufferError::NoMemory), [`Unsupported`](BufferError::Unsupported).
    #[inline]
    pub fn malloc(&mut self, n: usize) -> Result<&mut [u8], BufferError> {
        let (nodes, chain) = self.writing()?;
        if n > CHUNK_BYTES_MAX {
            return Err(BufferError::OutOfRange);
        }
        nodes.reserve(n, chain)
    }

    /// Keeps the first `n` bytes that were written since the last flush, whatever wrote them, and
    /// drops the others.
    ///
    /// # Errors
    /// [`OutOfRange`](BufferError::OutOfRange) if there are fewer,
    /// [`Unsupported`](BufferError::Unsupported).
    pub fn malloc_ack(&mut self, n: usize) -> Result<(), BufferError> {
        let malloc_length = self.malloc_length();
        self.writing()?;
        if n > malloc_length {
            return Err(BufferError::OutOfRange);
        }
        self.keep_written(n);
        Ok(())
    }

    /// How many bytes were written since the last flush.
    #[inline]
    #[must_use]
    pub fn malloc_length(&self) -> usize {
        self.chain.len() - self.flushed + self.open()
    }

    /// Writes a copy of `bytes`, which may come to lie in more than one node.
    ///
    /// What the caller owns and need not be copied is written by `write_direct(segment, 0)`, with
    /// a [`Segment::own`].
    ///
    /// # Errors
    /// [`NoMemory`](BufferError::NoMemory), [`Unsupported`](BufferError::Unsupported).
    pub fn write_binary(&mut self, bytes: &[u8]) -> Result<(), BufferError> {
        let before = self.malloc_length();
        let (nodes, chain) = self.writing()?;
        let mut rest = bytes;
        while !rest.is_empty() {
            let Ok(target) = nodes.reserve_some(rest.len(), chain) else {
                self.keep_written(before);
                return Err(BufferError::NoMemory);
            };
            let (copied, left) = rest.split_at(target.len());
            target.copy_from_slice(copied);
            rest = left;
        }
        Ok(())
    }

    /// Writes a string.
    ///
    /// # Errors
    /// As [`write_binary`](Self::write_binary).
    pub fn write_string(&mut self, text: &str) -> Result<(), BufferError> {
        self.write_binary(text.as_bytes())
    }

    /// Writes one byte.
    ///
    /// # Errors
    /// As [`write_binary`](Self::write_binary).
    #[inline]
    pub fn write_byte(&mut self, byte: u8) -> Result<(), BufferError> {
        self.write_u8(byte)
    }

    /// Puts a segment in front of the last `remain` bytes that were written since the last flush,
    /// whatever wrote them, without moving or copying any. With `remain` 0 it is put at the end.
    ///
    /// # Errors
    /// [`OutOfRange`](BufferError::OutOfRange) if fewer bytes than `remain` were written,
    /// [`Unsupported`](BufferError::Unsupported).
    ///
    /// # Panics
    /// If the length of the buffer would exceed `usize`.
    pub fn write_direct(&mut self, segment: Segment, remain: usize) -> Result<(), BufferError> {
        let malloc_length = self.malloc_length();
        let (nodes, chain) = self.writing()?;
        if remain > malloc_length {
            return Err(BufferError::OutOfRange);
        }
        let open = nodes.open();
        nodes.seal_but(remain.min(open), chain);
        let committed_behind = remain.saturating_sub(open);
        chain.insert(chain.len() - committed_behind, segment);
        self.check();
        Ok(())
    }

    /// Moves all readable bytes of `other` to the end of this buffer by handing over its nodes:
    /// nothing is copied. They count as written here and are readable after this buffer's
    /// [`flush`](Self::flush). `other` is left empty and usable; what it has not flushed stays
    /// with it, and what it has consumed is released.
    ///
    /// # Errors
    /// [`Unsupported`](BufferError::Unsupported).
    ///
    /// # Panics
    /// If the length of the buffer would exceed `usize`.
    pub fn append(&mut self, other: &mut NocopyBuffer) -> Result<(), BufferError> {
        let (nodes, chain) = self.writing()?;
        nodes.seal(chain);
        chain.append(&mut other.take());
        self.check();
        Ok(())
    }

    /// Makes readable what was written.
    #[inline]
    pub fn flush(&mut self) {
        if let Some(nodes) = &mut self.nodes {
            nodes.seal(&mut self.chain);
        }
        self.flushed = self.chain.len();
        self.check();
    }

    /// Room for a vectored read, to be followed by [`commit`](Self::commit) if it has read
    /// something and by nothing if not.
    ///
    /// The first slice is never empty, the second may be. Together they have
    /// [`SPARE_BYTES_MIN`] bytes or more, unless memory is short. Two calls with nothing between
    /// them show the same room: a read that fails leaves no trace.
    ///
    /// # Errors
    /// [`NoMemory`](BufferError::NoMemory) if there is no room at all,
    /// [`Unsupported`](BufferError::Unsupported).
    ///
    /// ```
    /// # use linkbuf::{Arena, CHUNK_BYTES, Chunk, NocopyBuffer};
    /// # use std::io::Read;
    /// # let arena = Arena::new(CHUNK_BYTES);
    /// # arena.grant(Chunk::boxed(CHUNK_BYTES))?;
    /// # let mut socket = &b"bytes"[..];
    /// let mut buffer = NocopyBuffer::new(&arena);
    /// let read = socket.read_vectored(&mut buffer.spare()?)?;
    /// buffer.commit(read)?;
    /// buffer.flush();
    /// assert_eq!(buffer.next(5)?, b"bytes");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn spare(&mut self) -> Result<[IoSliceMut<'_>; 2], BufferError> {
        let (nodes, chain) = self.writing()?;
        nodes.spare(SPARE_BYTES_MIN, chain)
    }

    /// Counts the first `n` bytes that [`spare`](Self::spare) has shown as written.
    ///
    /// # Errors
    /// [`OutOfRange`](BufferError::OutOfRange) if there is less room,
    /// [`Unsupported`](BufferError::Unsupported).
    pub fn commit(&mut self, n: usize) -> Result<(), BufferError> {
        let (nodes, chain) = self.writing()?;
        nodes.fill(n, chain)?;
        self.check();
        Ok(())
    }

    #[inline]
    fn writing(&mut self) -> Result<(&mut WriteNodes, &mut LinkBuffer), BufferError> {
        let nodes = self.nodes.as_mut().ok_or(BufferError::Unsupported)?;
        Ok((nodes, &mut self.chain))
    }

    /// Drops all but the first `n` bytes that were written since the last flush.
    fn keep_written(&mut self, n: usize) {
        let committed = self.chain.len() - self.flushed;
        if let Some(nodes) = &mut self.nodes {
            nodes.keep(n.saturating_sub(committed));
        }
        self.chain.truncate(self.flushed + n.min(committed));
        self.check();
    }
}
