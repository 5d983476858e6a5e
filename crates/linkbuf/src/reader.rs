//! The reading end of a [`NocopyBuffer`].

use crate::buffer_error::BufferError;
use crate::link_buffer::LinkBuffer;
use crate::nocopy_buffer::{Cursor, NocopyBuffer};
use crate::segment::Segment;

/// What is readable, piece by piece, where it lies.
#[derive(Clone)]
pub(crate) struct Chunks<'a> {
    chain: &'a LinkBuffer,
    at: Cursor,
    /// Where flush is.
    end: usize,
}

impl NocopyBuffer {
    /// Consumes `n` bytes and shows them. Within one node nothing is copied; across nodes one
    /// copy is made.
    ///
    /// The bytes stay as they are until [`release`](Self::release), whatever is read meanwhile.
    ///
    /// # Errors
    /// [`ShortBuffer`](BufferError::ShortBuffer) if there are fewer.
    #[inline]
    pub fn next(&self, n: usize) -> Result<&[u8], BufferError> {
        let at = self.cursor.get();
        if n > self.flushed - at.position {
            return Err(BufferError::ShortBuffer);
        }
        if let Some(bytes) = self.within(at, n) {
            self.advance_within(at, n);
            return Ok(bytes);
        }
        let bytes = self.across(at, n, n);
        self.cursor.set(self.moved(at, n));
        Ok(bytes)
    }

    /// Shows `n` bytes, `offset` bytes from here, and consumes nothing.
    ///
    /// The bytes stay as they are until [`release`](Self::release). A copy across nodes is made
    /// once and shown again until then; it is made longer than asked for where more is there, so
    /// that a reader who asks for a little more each time does not copy each time.
    ///
    /// # Errors
    /// [`ShortBuffer`](BufferError::ShortBuffer) if there are fewer than `offset + n`.
    #[inline]
    pub fn peek(&self, n: usize, offset: usize) -> Result<&[u8], BufferError> {
        let at = self.cursor_ahead(n, offset)?;
        if let Some(bytes) = self.within(at, n) {
            return Ok(bytes);
        }
        let readable = self.flushed - at.position;
        Ok(self.across(at, n, n.next_power_of_two().min(readable)))
    }

    /// Consumes `n` bytes.
    ///
    /// # Errors
    /// [`ShortBuffer`](BufferError::ShortBuffer) if there are fewer.
    #[inline]
    pub fn skip(&self, n: usize) -> Result<(), BufferError> {
        let at = self.cursor_ahead(n, 0)?;
        self.cursor.set(self.moved(at, n));
        Ok(())
    }

    /// Consumes the bytes through the first delimiter and shows them, as [`next`](Self::next)
    /// does. `None`, and nothing is consumed, if there is no delimiter.
    ///
    /// # Errors
    /// [`InvalidArgument`](BufferError::InvalidArgument) if the delimiter has no bytes.
    ///
    /// ```
    /// # use linkbuf::{NocopyBuffer, Segment};
    /// # let mut buffer = NocopyBuffer::read_only();
    /// buffer.receive(Segment::own(b"GET / HTTP/1.1\r".to_vec())?);
    /// assert_eq!(buffer.until(b"\r\n")?, None);
    /// buffer.receive(Segment::own(b"\nHost: h".to_vec())?);
    /// assert_eq!(buffer.until(b"\r\n")?, Some(&b"GET / HTTP/1.1\r\n"[..]));
    /// # Ok::<(), linkbuf::BufferError>(())
    /// ```
    pub fn until(&self, delimiter: &[u8]) -> Result<Option<&[u8]>, BufferError> {
        let Some(found) = self.index_of(delimiter, 0)? else {
            return Ok(None);
        };
        self.next(found + delimiter.len()).map(Some)
    }

    /// Consumes `n` bytes and copies them into a vector of the caller's own.
    ///
    /// # Errors
    /// [`ShortBuffer`](BufferError::ShortBuffer) if there are fewer.
    pub fn read_binary(&self, n: usize) -> Result<Vec<u8>, BufferError> {
        self.cursor_ahead(n, 0)?;
        let mut bytes = vec![0; n];
        self.read_into(&mut bytes)?;
        Ok(bytes)
    }

    /// Consumes as many bytes as `target` has and copies them there.
    ///
    /// # Errors
    /// [`ShortBuffer`](BufferError::ShortBuffer) if there are fewer.
    pub fn read_into(&self, target: &mut [u8]) -> Result<(), BufferError> {
        let at = self.cursor_ahead(target.len(), 0)?;
        self.copy(at, target);
        self.cursor.set(self.moved(at, target.len()));
        Ok(())
    }

    /// Consumes `n` bytes and makes a string of them. What is not UTF-8 is replaced by U+FFFD, as
    /// the package does in every language; who wants to know of it takes
    /// [`read_binary`](Self::read_binary).
    ///
    /// # Errors
    /// [`ShortBuffer`](BufferError::ShortBuffer) if there are fewer.
    pub fn read_string(&self, n: usize) -> Result<String, BufferError> {
        let at = self.cursor_ahead(n, 0)?;
        if let Some(bytes) = self.within(at, n) {
            self.advance_within(at, n);
            return Ok(String::from_utf8_lossy(bytes).into_owned());
        }
        let bytes = self.read_binary(n)?;
        Ok(String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// Consumes one byte.
    ///
    /// # Errors
    /// [`ShortBuffer`](BufferError::ShortBuffer) if there is none.
    #[inline]
    pub fn read_byte(&self) -> Result<u8, BufferError> {
        self.read_u8()
    }

    /// Consumes `n` bytes and answers a buffer of them, which can only be read.
    ///
    /// It shares the nodes by counting references to them: nothing is copied, and it outlives
    /// this buffer. Its nodes come back when it has released them too, or is dropped.
    ///
    /// # Errors
    /// [`ShortBuffer`](BufferError::ShortBuffer) if there are fewer.
    pub fn slice(&self, n: usize) -> Result<NocopyBuffer, BufferError> {
        let at = self.cursor_ahead(n, 0)?;
        let mut slice = Self::read_only();
        let (mut rest, mut index, mut offset) = (n, at.index, at.offset);
        while let Some(segment) = self.chain.segment(index)
            && rest > 0
        {
            let mut part = segment.clone();
            part.advance(offset);
            part.truncate(rest);
            rest -= part.len();
            slice.chain.push(part);
            (index, offset) = (index + 1, 0);
        }
        slice.flushed = n;
        slice.check();
        self.cursor.set(self.moved(at, n));
        Ok(slice)
    }

    /// What is there, piece by piece, where it lies. Consumes nothing.
    pub fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        self.chunks_from(self.cursor.get())
    }

    pub(crate) fn chunks_from(&self, at: Cursor) -> Chunks<'_> {
        Chunks {
            chain: &self.chain,
            at,
            end: self.flushed,
        }
    }

    /// Where the reader is, `offset` bytes on, if `n` bytes can be read from there.
    #[inline]
    pub(crate) fn cursor_ahead(&self, n: usize, offset: usize) -> Result<Cursor, BufferError> {
        let at = self.cursor.get();
        let readable = self.flushed - at.position;
        if offset.checked_add(n).is_none_or(|end| end > readable) {
            return Err(BufferError::ShortBuffer);
        }
        Ok(if offset == 0 {
            at
        } else {
            self.moved(at, offset)
        })
    }

    /// The `n` bytes from there on, if they lie in the cursor's own segment.
    #[inline]
    pub(crate) fn within(&self, at: Cursor, n: usize) -> Option<&[u8]> {
        let Some(segment) = self.chain.segment(at.index) else {
            return (n == 0).then_some(&[]);
        };
        segment.as_slice().get(at.offset..at.offset + n)
    }

    /// Consumes `n` bytes that [`within`](Self::within) has shown.
    #[inline]
    pub(crate) fn advance_within(&self, at: Cursor, n: usize) {
        self.cursor.set(Cursor {
            position: at.position + n,
            index: at.index,
            offset: at.offset + n,
        });
    }

    /// The `n` bytes from there on, which do not lie in the cursor's own segment: in the next
    /// one, or in a copy. If one is made it has `copy_len` bytes, which can be read.
    #[cold]
    fn across(&self, at: Cursor, n: usize, copy_len: usize) -> &[u8] {
        let chunk = self.chunks_from(at).next();
        if let Some(bytes) = chunk.and_then(|chunk| chunk.get(..n)) {
            return bytes;
        }
        if let Some(bytes) = self.copies.find(at.position, n) {
            return bytes;
        }
        let mut bytes = vec![0; copy_len].into_boxed_slice();
        self.copy(at, &mut bytes);
        self.count_copied(copy_len);
        &self.copies.keep(at.position, bytes)[..n]
    }

    /// Copies the bytes from there on, of which there are enough.
    pub(crate) fn copy(&self, at: Cursor, target: &mut [u8]) {
        let mut rest = target;
        for chunk in self.chunks_from(at) {
            let len = chunk.len().min(rest.len());
            let (filled, left) = std::mem::take(&mut rest).split_at_mut(len);
            filled.copy_from_slice(&chunk[..len]);
            rest = left;
            if rest.is_empty() {
                break;
            }
        }
        debug_assert!(rest.is_empty(), "who copies has counted");
    }

    /// The place `bytes` bytes on, which must be in the chain.
    #[inline]
    pub(crate) fn moved(&self, mut at: Cursor, bytes: usize) -> Cursor {
        at.position += bytes;
        let mut rest = bytes;
        while rest > 0 {
            let segment = self.chain.segment(at.index);
            let len = segment.map(Segment::len).expect("who moves has counted");
            let step = rest.min(len - at.offset);
            at.offset += step;
            rest -= step;
            if rest > 0 {
                (at.index, at.offset) = (at.index + 1, 0);
            }
        }
        at
    }
}

impl<'a> Iterator for Chunks<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let readable = self.end - self.at.position;
        if readable == 0 {
            return None;
        }
        let mut segment = self.chain.segment(self.at.index)?;
        if self.at.offset == segment.len() {
            (self.at.index, self.at.offset) = (self.at.index + 1, 0);
            segment = self.chain.segment(self.at.index)?;
        }
        let bytes = &segment.as_slice()[self.at.offset..];
        let bytes = &bytes[..bytes.len().min(readable)];
        self.at.position += bytes.len();
        self.at.offset += bytes.len();
        Some(bytes)
    }
}
