//! Buffers against sockets that behave as badly as a socket may.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use linkbuf::{Arena, CHUNK_BYTES, Chunk, LinkBuffer, NocopyBuffer, Segment};
use std::io::{Error, ErrorKind, IoSlice, IoSliceMut, Read, Result, Write};
use std::sync::LazyLock;

const STEPS: u32 = 100_000;
const STEPS_LONG: u32 = 1_000_000;
/// Bytes that are on their way are limited, as they are in a kernel.
const WINDOW: u64 = 300_000;

/// The bytes of every stream from `at` on: position-coded, so that one lost or sent twice shows.
fn expected(at: u64, len: usize) -> &'static [u8] {
    /// A prime, so that the pattern fits no node.
    const PERIOD: usize = 65_537;
    static TABLE: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let byte = |at: usize| ((at % PERIOD) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (0..20 * PERIOD)
            .map(|at| byte(at).to_be_bytes()[0])
            .collect()
    });
    let start = usize::try_from(at % PERIOD as u64).unwrap();
    &TABLE[start..start + len]
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) as usize % bound
    }
}

/// Gives the stream out in pieces: nothing, one byte, some, or as much as there is space for.
struct Source {
    random: Random,
    given: u64,
    /// Where the stream ends.
    end: u64,
}

impl Read for Source {
    fn read(&mut self, target: &mut [u8]) -> Result<usize> {
        assert!(!target.is_empty(), "a read of no space looks like the end");
        let wanted = match self.random.below(5) {
            0 => return Err(Error::from(ErrorKind::Interrupted)),
            1 => return Err(Error::from(ErrorKind::WouldBlock)),
            2 => 1,
            3 => 1 + self.random.below(target.len()),
            _ => target.len(),
        };
        let left = usize::try_from(self.end - self.given).unwrap_or(usize::MAX);
        let len = wanted.min(left);
        target[..len].copy_from_slice(expected(self.given, len));
        self.given += len as u64;
        Ok(len)
    }

    fn read_vectored(&mut self, slices: &mut [IoSliceMut<'_>]) -> Result<usize> {
        let mut all = 0;
        for slice in slices {
            if slice.is_empty() {
                continue;
            }
            match self.read(slice) {
                Ok(len) if len < slice.len() => return Ok(all + len),
                Ok(len) => all += len,
                Err(error) if all == 0 => return Err(error),
                Err(_) => return Ok(all),
            }
        }
        assert!(all > 0, "a read of no space looks like the end");
        Ok(all)
    }
}

/// Takes a random number of bytes, and compares them.
struct Sink {
    random: Random,
    taken: u64,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> Result<usize> {
        let len: usize = slices.iter().map(|slice| slice.len()).sum();
        let len = match self.random.below(6) {
            0 => return Err(Error::from(ErrorKind::Interrupted)),
            1 => return Err(Error::from(ErrorKind::WouldBlock)),
            2 => len.min(1),
            3 => len,
            _ => self.random.below(len + 1),
        };
        let mut left = len;
        for slice in slices {
            let bytes = &slice[..slice.len().min(left)];
            assert!(bytes == expected(self.taken, bytes.len()));
            self.taken += bytes.len() as u64;
            left -= bytes.len();
        }
        Ok(len)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

fn arena() -> Arena {
    let arena = Arena::new(2 * CHUNK_BYTES);
    for _ in 0..2 {
        arena.grant(Chunk::boxed(CHUNK_BYTES)).unwrap();
    }
    arena
}

fn is_harmless(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock)
}

/// Reads until the source has no more, as a driver does, and consumes now and then.
fn receive(source: &mut Source, steps: u32) {
    let arena = arena();
    let mut buffer = NocopyBuffer::new(&arena);
    let mut random = Random(7);
    let mut consumed = 0;
    for _ in 0..steps {
        let Ok(mut spare) = buffer.spare() else {
            panic!("there is room for a window");
        };
        match source.read_vectored(&mut spare) {
            Ok(0) => {
                assert_eq!(source.given, source.end, "the end came early");
                break;
            }
            Ok(len) => {
                buffer.commit(len).unwrap();
                buffer.flush();
            }
            Err(error) => assert!(is_harmless(&error)),
        }
        assert_eq!(consumed + buffer.len() as u64, source.given);
        if random.below(4) == 0 || buffer.len() as u64 > WINDOW {
            let len = random.below(buffer.len() + 1);
            let bytes = buffer.next(len).unwrap();
            assert!(bytes == expected(consumed, len));
            consumed += len as u64;
            buffer.release();
        }
        // Reads that failed leave no nodes behind, and short ones no chain of them.
        let bytes = arena.stats().bytes_in_nodes;
        assert!(
            bytes <= 3 * buffer.len() + (640 << 10),
            "{bytes} for {buffer:?}"
        );
        assert!(arena.stats().nodes <= buffer.stats().segments + 2);
    }
    let rest = buffer.next(buffer.len()).unwrap();
    assert!(rest == expected(consumed, rest.len()));
    assert_eq!(consumed + rest.len() as u64, source.given);
}

#[test]
fn h33_h39_no_byte_is_lost_and_no_hole_is_left_by_reads_that_fail() {
    let random = Random(1);
    let (given, end) = (0, u64::MAX);
    receive(&mut Source { random, given, end }, STEPS);
}

#[test]
#[ignore = "a million reads take a minute; the default makes a tenth"]
fn h33_a_million_reads_lose_no_byte() {
    let random = Random(2);
    let (given, end) = (0, u64::MAX);
    receive(&mut Source { random, given, end }, STEPS_LONG);
}

#[test]
fn h37_the_last_bytes_are_there_when_the_end_comes_with_them() {
    for end in [1, 4095, 4096, 4097, 65_536] {
        for seed in 0..20 {
            let random = Random(seed);
            let given = 0;
            let mut source = Source { random, given, end };
            receive(&mut source, STEPS);
            assert_eq!(source.given, end);
        }
    }
}

/// Writes pieces of every kind and sends them as a driver does.
fn send(steps: u32) {
    let arena = arena();
    let mut random = Random(3);
    let mut sink = Sink {
        random: Random(4),
        taken: 0,
    };
    let mut output = LinkBuffer::new();
    let mut written = 0;
    for _ in 0..steps {
        if output.len() < 100_000 {
            let mut buffer = NocopyBuffer::new(&arena);
            for _ in 0..random.below(4) {
                let size = [1, 64, 4095, 4097, 9000][random.below(5)];
                let bytes = expected(written, size);
                written += size as u64;
                match random.below(2) {
                    0 => buffer.write_binary(bytes).unwrap(),
                    _ => buffer
                        .write_direct(Segment::own(bytes).unwrap(), 0)
                        .unwrap(),
                }
            }
            buffer.flush();
            output.append(&mut buffer.take());
        }
        let mut slices = [IoSlice::new(&[]); 8];
        let (count, _) = output.io_slices(&mut slices);
        match sink.write_vectored(&slices[..count]) {
            Ok(taken) => output.skip(taken),
            Err(error) => assert!(is_harmless(&error)),
        }
        assert_eq!(sink.taken + output.len() as u64, written);
        if random.below(8) == 0 {
            output.compact();
        }
        if output.is_empty() {
            // H35: nothing keeps what was sent.
            assert_eq!(arena.stats().nodes, 0);
        }
    }
    assert!(sink.taken > u64::from(steps) * 100);
}

#[test]
fn h35_h39_a_socket_that_takes_any_number_of_bytes_gets_each_once() {
    send(STEPS);
}

#[test]
#[ignore = "a million writes take minutes; the default makes a tenth"]
fn h39_a_million_writes_send_each_byte_once() {
    send(STEPS_LONG);
}
