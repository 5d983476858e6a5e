//! The bytes of one connection: an endless stream that no two connections share.
//!
//! ```text
//! position    0 ……… 7   8 ……… 15   16 ……… 23
//!           ┌─────────┬──────────┬───────────┐
//!           │ word 0  │  word 1  │  word 2   │ …   word i = mix(seed of the connection, i)
//!           └─────────┴──────────┴───────────┘
//! ```
//! A reply that is shifted, repeated or someone else's therefore differs within a byte or two.
//!
//! In a stream of frames the first four bytes of each frame are the size of the rest instead.

/// How many bytes are compared at a time.
const BLOCK_SIZE: usize = 4096;

/// The size in front of a frame.
pub(crate) const HEADER_SIZE: usize = 4;

const GOLDEN_RATIO: u64 = 0x9e37_79b9_7f4a_7c15;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Payload {
    seed: u64,
    /// Bytes from one header to the next, if the stream has frames.
    frame_size: Option<u64>,
}

/// The first byte that is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mismatch {
    pub(crate) position: u64,
    pub(crate) expected: u8,
    pub(crate) actual: u8,
}

impl Payload {
    pub(crate) fn new(connection_id: u64) -> Self {
        Self {
            seed: mix(connection_id.wrapping_add(1)),
            frame_size: None,
        }
    }

    /// The same stream, cut into frames of so many bytes, header included.
    pub(crate) fn framed(self, frame_size: usize) -> Self {
        Self {
            frame_size: Some(frame_size as u64),
            ..self
        }
    }

    /// Writes the bytes of the stream that start at `position`.
    pub(crate) fn fill(self, position: u64, out: &mut [u8]) {
        let mut word_index = position / 8;
        let skipped = usize::try_from(position % 8).expect("a remainder of 8 fits");
        let head_size = if skipped == 0 { 0 } else { 8 - skipped };
        let (head, rest) = out.split_at_mut(head_size.min(out.len()));
        if !head.is_empty() {
            let word = self.word(word_index);
            head.copy_from_slice(&word[skipped..skipped + head.len()]);
            word_index += 1;
        }
        let mut words = rest.chunks_exact_mut(8);
        for slot in &mut words {
            slot.copy_from_slice(&self.word(word_index));
            word_index += 1;
        }
        let tail = words.into_remainder();
        tail.copy_from_slice(&self.word(word_index)[..tail.len()]);
        if let Some(frame_size) = self.frame_size {
            put_headers(frame_size, position, out);
        }
    }

    /// Compares every byte of `bytes` with the stream from `position` on.
    pub(crate) fn verify(self, position: u64, bytes: &[u8]) -> Result<(), Mismatch> {
        let mut expected = [0; BLOCK_SIZE];
        let mut at = position;
        for block in bytes.chunks(BLOCK_SIZE) {
            let expected = &mut expected[..block.len()];
            self.fill(at, expected);
            if expected != block {
                return Err(first_mismatch(at, expected, block));
            }
            at += block.len() as u64;
        }
        Ok(())
    }

    fn word(self, index: u64) -> [u8; 8] {
        mix(self.seed ^ index.wrapping_mul(GOLDEN_RATIO)).to_le_bytes()
    }
}

/// Overwrites what of headers lies in the bytes at `position`.
fn put_headers(frame_size: u64, position: u64, out: &mut [u8]) {
    let rest = u32::try_from(frame_size - HEADER_SIZE as u64).expect("sizes have 32 bits");
    let end = position + out.len() as u64;
    let mut header_at = position - position % frame_size;
    while header_at < end {
        for (at, byte) in (header_at..end).zip(rest.to_be_bytes()) {
            if let Some(offset) = at.checked_sub(position) {
                out[usize::try_from(offset).expect("an index of `out`")] = byte;
            }
        }
        header_at += frame_size;
    }
}

fn first_mismatch(position: u64, expected: &[u8], actual: &[u8]) -> Mismatch {
    let pairs = expected.iter().zip(actual);
    let (position, (&expected, &actual)) = (position..)
        .zip(pairs)
        .find(|(_, (expected, actual))| expected != actual)
        .expect("called for blocks that differ");
    Mismatch {
        position,
        expected,
        actual,
    }
}

/// The finalizer of `SplitMix64`: each bit of the input changes half the bits of the output.
fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(payload: Payload, position: u64, size: usize) -> Vec<u8> {
        let mut bytes = vec![0; size];
        payload.fill(position, &mut bytes);
        bytes
    }

    #[test]
    fn a_stream_is_the_same_wherever_one_starts() {
        let payload = Payload::new(3);
        let whole = stream(payload, 0, 64);
        for start in 0..32 {
            for size in 0..32 {
                let part = stream(payload, start as u64, size);
                assert_eq!(part, whole[start..start + size], "{size} bytes at {start}");
            }
        }
    }

    #[test]
    fn the_right_bytes_pass_at_any_position() {
        let payload = Payload::new(9);
        for position in [0, 1, 7, 8, 4095, u64::from(u32::MAX) - 3] {
            let bytes = stream(payload, position, 3 * BLOCK_SIZE + 5);
            assert_eq!(payload.verify(position, &bytes), Ok(()));
        }
    }

    #[test]
    fn frames_begin_with_the_size_of_the_rest_wherever_one_starts() {
        for frame_size in [5, 8, 13] {
            let payload = Payload::new(3).framed(frame_size);
            let whole = stream(payload, 0, 64);
            let rest = u32::try_from(frame_size).unwrap() - 4;
            for frame in whole.chunks_exact(frame_size) {
                assert_eq!(frame[..4], rest.to_be_bytes());
            }
            for start in 0..32 {
                for size in 0..32 {
                    let part = stream(payload, start as u64, size);
                    assert_eq!(part, whole[start..start + size], "{size} bytes at {start}");
                }
            }
            let bare = stream(Payload::new(3), 0, 64);
            assert_eq!(whole[4], bare[4], "what follows a header is what it was");
        }
    }

    #[test]
    fn each_changed_byte_is_found_where_it_is() {
        let payload = Payload::new(0);
        let right = stream(payload, 100, BLOCK_SIZE + 50);
        for index in 0..right.len() {
            let mut wrong = right.clone();
            wrong[index] ^= 1;
            let mismatch = payload.verify(100, &wrong).unwrap_err();
            assert_eq!(mismatch.position, 100 + index as u64);
            assert_eq!(mismatch.actual, mismatch.expected ^ 1);
        }
    }

    #[test]
    fn a_lost_a_doubled_and_a_swapped_byte_are_found_close_by() {
        let payload = Payload::new(0);
        let right = stream(payload, 0, 4096);
        for index in 1..4000 {
            let mut lost = right.clone();
            lost.remove(index);
            let mut doubled = right.clone();
            doubled.insert(index, right[index]);
            let mut swapped = right.clone();
            swapped.swap(index, index + 16);
            for wrong in [lost, doubled, swapped] {
                if wrong == right {
                    continue; // Equal neighbours by chance: nothing was changed.
                }
                let found = payload.verify(0, &wrong).unwrap_err().position;
                assert!(found < index as u64 + 20, "{index}, found at {found}");
            }
        }
    }

    #[test]
    fn the_bytes_of_another_connection_are_foreign() {
        for id in 0..1000 {
            let foreign = stream(Payload::new(id + 1), 0, 16);
            let found = Payload::new(id).verify(0, &foreign).unwrap_err().position;
            assert!(found < 4);
        }
    }
}
