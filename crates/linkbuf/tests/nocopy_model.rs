//! Random sequences of everything a buffer can do, against flat vectors of bytes: two buffers
//! that write, slices of them, bytes appended, received and taken, given back in every order.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use linkbuf::{Arena, BufferError, CHUNK_BYTES, Chunk, LinkBuffer, NocopyBuffer, Segment};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRunner};
use std::sync::LazyLock;

const WRITERS: usize = 2;
const SLICES_MAX: usize = 6;
/// Bytes take so many values, few enough that delimiters are found.
const VALUES: u8 = 32;
/// Buffers longer than this take no more, so that comparing them stays cheap.
const BYTES_MAX: usize = 200_000;
const STEPS: usize = 200;

#[derive(Clone, Debug)]
enum Step {
    Read {
        buffer: usize,
        reads: Vec<Read>,
    },
    Write {
        buffer: usize,
        write: Write,
    },
    Append {
        target: usize,
        source: usize,
    },
    Receive {
        buffer: usize,
        bytes: usize,
        own: bool,
    },
    Take {
        buffer: usize,
    },
    Flush {
        buffer: usize,
    },
    Release {
        buffer: usize,
    },
    Compact {
        buffer: usize,
    },
    Close {
        buffer: usize,
    },
    DropSlice {
        slice: usize,
    },
}

/// Reads that follow each other without a release: the views of all are held to the end.
#[derive(Clone, Debug)]
enum Read {
    Next(usize),
    Peek(usize, usize),
    Skip(usize),
    Until(Vec<u8>),
    IndexOf(Vec<u8>, usize),
    Binary(usize),
    String(usize),
    Number(u8),
    PeekNumber(u8, usize),
    Slice(usize),
}

#[derive(Clone, Debug)]
enum Write {
    Malloc(usize),
    Ack(usize),
    Binary(usize),
    Text(usize),
    Number(u8),
    Direct { bytes: usize, remain: usize },
    Spare { bytes: usize },
}

/// Sizes around all borders that there are: 0, 1, nodes, the threshold of a rest.
fn size() -> impl Strategy<Value = usize> {
    prop_oneof![
        2 => 0..3_usize,
        6 => 0..200_usize,
        3 => 4094..4099_usize,
        2 => 8190..8195_usize,
        2 => 0..20_000_usize,
        1 => 65_535..65_538_usize,
        1 => Just(usize::MAX),
    ]
}

fn read() -> impl Strategy<Value = Read> {
    let delimiter = || prop::collection::vec(0..VALUES, 0..4);
    prop_oneof![
        4 => size().prop_map(Read::Next),
        4 => (size(), size()).prop_map(|(n, offset)| Read::Peek(n, offset)),
        2 => size().prop_map(Read::Skip),
        1 => delimiter().prop_map(Read::Until),
        1 => (delimiter(), size()).prop_map(|(bytes, from)| Read::IndexOf(bytes, from)),
        2 => size().prop_map(Read::Binary),
        1 => size().prop_map(Read::String),
        2 => any::<u8>().prop_map(Read::Number),
        1 => (any::<u8>(), size()).prop_map(|(kind, offset)| Read::PeekNumber(kind, offset)),
        2 => size().prop_map(Read::Slice),
    ]
}

fn write() -> impl Strategy<Value = Write> {
    let direct = |(bytes, remain)| Write::Direct { bytes, remain };
    prop_oneof![
        4 => size().prop_map(Write::Malloc),
        2 => size().prop_map(Write::Ack),
        4 => size().prop_map(Write::Binary),
        1 => size().prop_map(Write::Text),
        2 => any::<u8>().prop_map(Write::Number),
        3 => (size(), size()).prop_map(direct),
        2 => size().prop_map(|bytes| Write::Spare { bytes }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let buffer = || 0..WRITERS + SLICES_MAX;
    let reads = prop::collection::vec(read(), 1..6);
    prop_oneof![
        8 => (buffer(), reads).prop_map(|(buffer, reads)| Step::Read { buffer, reads }),
        12 => (buffer(), write()).prop_map(|(buffer, write)| Step::Write { buffer, write }),
        2 => (buffer(), buffer()).prop_map(|(target, source)| Step::Append { target, source }),
        2 => (buffer(), size(), any::<bool>())
            .prop_map(|(buffer, bytes, own)| Step::Receive { buffer, bytes, own }),
        1 => buffer().prop_map(|buffer| Step::Take { buffer }),
        4 => buffer().prop_map(|buffer| Step::Flush { buffer }),
        4 => buffer().prop_map(|buffer| Step::Release { buffer }),
        1 => buffer().prop_map(|buffer| Step::Compact { buffer }),
        1 => buffer().prop_map(|buffer| Step::Close { buffer }),
        1 => (0..SLICES_MAX).prop_map(|slice| Step::DropSlice { slice }),
    ]
}

#[derive(Default)]
struct Model {
    readable: Vec<u8>,
    unflushed: Vec<u8>,
}

struct Pair {
    buffer: NocopyBuffer,
    model: Model,
    writes: bool,
}

struct World {
    arena: Arena,
    pairs: Vec<Pair>,
    random: u32,
}

impl World {
    fn new() -> Self {
        let arena = Arena::new(3 * CHUNK_BYTES);
        for _ in 0..3 {
            arena.grant(Chunk::boxed(CHUNK_BYTES)).unwrap();
        }
        let writer = |_| Pair::new(NocopyBuffer::new(&arena), true);
        Self {
            pairs: (0..WRITERS).map(writer).collect(),
            arena,
            random: 1,
        }
    }

    /// A piece of a long table, at random.
    fn bytes(&mut self, len: usize) -> Vec<u8> {
        static TABLE: LazyLock<Vec<u8>> = LazyLock::new(|| {
            let table = std::iter::successors(Some(1), |&last| Some(next_random(last)));
            let bytes = table.map(|random| random.to_be_bytes()[0] % VALUES);
            bytes.take(2 * BYTES_MAX).collect()
        });
        self.random = next_random(self.random);
        let start = self.random as usize % BYTES_MAX;
        TABLE[start..start + len].to_vec()
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Read { buffer, reads } => {
                let slices = self.pair(buffer).read(&reads);
                self.pairs.extend(slices);
                self.pairs.truncate(WRITERS + SLICES_MAX);
            }
            Step::Write { buffer, write } => {
                let bytes = match write {
                    Write::Malloc(n) | Write::Binary(n) | Write::Text(n) => n,
                    Write::Direct { bytes, .. } | Write::Spare { bytes } => bytes,
                    Write::Number(_) => 8,
                    Write::Ack(_) => 0,
                };
                let bytes = self.bytes(if bytes > BYTES_MAX { 7 } else { bytes });
                let pair = self.pair(buffer);
                if pair.model.len() < BYTES_MAX {
                    pair.write(&write, &bytes);
                }
            }
            Step::Append { target, source } => self.append(target, source),
            Step::Receive { buffer, bytes, own } => {
                let bytes = self.bytes(bytes % 9000);
                let segment = match self.arena.allocate(bytes.len()) {
                    Some(mut node) if !own => node.write(&bytes),
                    _ => Segment::own(bytes.clone()).unwrap(),
                };
                let pair = self.pair(buffer);
                if pair.model.len() < BYTES_MAX {
                    pair.buffer.receive(segment);
                    pair.model.readable.extend(bytes);
                }
            }
            Step::Take { buffer } => self.take(buffer),
            Step::Flush { buffer } => {
                let Pair { buffer, model, .. } = self.pair(buffer);
                buffer.flush();
                model.readable.append(&mut model.unflushed);
            }
            Step::Release { buffer } => self.pair(buffer).buffer.release(),
            Step::Compact { buffer } => self.compact(buffer),
            Step::Close { buffer } => {
                let pair = self.pair(buffer);
                pair.buffer.close();
                pair.model = Model::default();
            }
            Step::DropSlice { slice } => {
                let slices = self.pairs.len() - WRITERS;
                if slices > 0 {
                    self.pairs.remove(WRITERS + slice % slices);
                }
            }
        }
    }

    fn pair(&mut self, index: usize) -> &mut Pair {
        let index = index % self.pairs.len();
        &mut self.pairs[index]
    }

    fn append(&mut self, target: usize, source: usize) {
        let (target, source) = (target % self.pairs.len(), source % self.pairs.len());
        if target == source {
            return;
        }
        let [target, source] = self.pairs.get_disjoint_mut([target, source]).unwrap();
        let appended = target.buffer.append(&mut source.buffer);
        if target.writes {
            appended.unwrap();
            target.model.unflushed.append(&mut source.model.readable);
        } else {
            assert_eq!(appended, Err(BufferError::Unsupported));
        }
    }

    /// What was taken comes back by [`receive`](NocopyBuffer::receive), to another buffer.
    fn take(&mut self, buffer: usize) {
        let Pair { buffer, model, .. } = self.pair(buffer);
        let mut taken: LinkBuffer = buffer.take();
        let bytes = std::mem::take(&mut model.readable);
        assert!(taken.chunks().collect::<Vec<_>>().concat() == bytes);
        let target = &mut self.pairs[0];
        while let Some(segment) = taken.pop_front() {
            target.buffer.receive(segment);
        }
        target.model.readable.extend(bytes);
    }

    fn compact(&mut self, index: usize) {
        let pair = self.pair(index);
        pair.buffer.compact();
        assert_eq!(pair.buffer.stats().bytes_held, 0);
        if pair.model.len() <= linkbuf::REST_BYTES_MAX {
            assert!(pair.buffer.stats().segments <= 1);
        }
    }

    fn check(&self) {
        for pair in &self.pairs {
            pair.check();
        }
    }

    /// H32, H36: given back in any order, nothing is held at the end, and the arena is whole.
    fn end(mut self, order: usize) {
        while !self.pairs.is_empty() {
            let index = order % self.pairs.len();
            let mut pair = self.pairs.swap_remove(index);
            match order % 3 {
                0 => drop(pair),
                1 => {
                    pair.buffer.close();
                    assert_eq!(pair.buffer.stats().segments, 0);
                    self.check();
                }
                _ => {
                    pair.buffer.flush();
                    pair.buffer.skip(pair.buffer.len()).unwrap();
                    pair.buffer.compact();
                    assert_eq!(pair.buffer.stats().segments, 0);
                    self.check();
                }
            }
        }
        assert_eq!(self.arena.stats().nodes, 0);
        let whole = std::iter::from_fn(|| self.arena.allocate(CHUNK_BYTES));
        assert_eq!(whole.collect::<Vec<_>>().len(), 3);
    }
}

fn next_random(last: u32) -> u32 {
    last.wrapping_mul(1_664_525).wrapping_add(1_013_904_223)
}

impl Model {
    fn len(&self) -> usize {
        self.readable.len() + self.unflushed.len()
    }
}

impl Pair {
    fn new(buffer: NocopyBuffer, writes: bool) -> Self {
        Self {
            buffer,
            model: Model::default(),
            writes,
        }
    }

    /// Four of five sizes fit what is there.
    fn fit(n: usize, len: usize) -> usize {
        if n.is_multiple_of(5) {
            n
        } else {
            n % (len + 1)
        }
    }

    /// H29, H30: every view stays what it was, whatever is read after it.
    fn read(&mut self, reads: &[Read]) -> Vec<Pair> {
        let mut reading = Reading {
            buffer: &self.buffer,
            rest: &self.model.readable,
            views: Vec::new(),
            slices: Vec::new(),
        };
        for read in reads {
            reading.read(read);
        }
        let Reading {
            rest,
            views,
            slices,
            ..
        } = reading;
        assert!(views.iter().all(|(view, expected)| view == expected));
        let consumed = self.model.readable.len() - rest.len();
        self.model.readable.drain(..consumed);
        slices
    }

    fn write(&mut self, write: &Write, bytes: &[u8]) {
        let before = self.model.unflushed.len();
        let written = match write {
            Write::Malloc(n) if *n > BYTES_MAX => {
                let refused = self.buffer.malloc(*n).map(|_| ());
                let expected = [BufferError::Unsupported, BufferError::OutOfRange];
                return assert_eq!(refused, Err(expected[usize::from(self.writes)]));
            }
            Write::Malloc(_) => {
                let target = self.buffer.malloc(bytes.len());
                target.map(|target| target.copy_from_slice(bytes))
            }
            Write::Ack(n) => return self.ack(Self::fit(*n, before)),
            Write::Binary(_) => self.buffer.write_binary(bytes),
            Write::Text(_) => self
                .buffer
                .write_string(std::str::from_utf8(bytes).unwrap()),
            Write::Number(kind) => {
                let (written, len) = write_number(&mut self.buffer, *kind, bytes);
                return self.written(written, before, &bytes[..len]);
            }
            Write::Direct { remain, .. } => {
                let remain = Self::fit(*remain, before);
                let segment = Segment::own(bytes.to_vec()).unwrap();
                let written = self.buffer.write_direct(segment, remain);
                if self.writes && remain > before {
                    return assert_eq!(written, Err(BufferError::OutOfRange));
                }
                return self.written(written, before.saturating_sub(remain), bytes);
            }
            Write::Spare { .. } => {
                let (written, len) = self.fill_spare(bytes);
                return self.written(written, before, &bytes[..len]);
            }
        };
        self.written(written, before, bytes);
    }

    fn ack(&mut self, n: usize) {
        let acked = self.buffer.malloc_ack(n);
        if !self.writes {
            assert_eq!(acked, Err(BufferError::Unsupported));
        } else if n > self.model.unflushed.len() {
            assert_eq!(acked, Err(BufferError::OutOfRange));
        } else {
            acked.unwrap();
            self.model.unflushed.truncate(n);
        }
    }

    fn fill_spare(&mut self, bytes: &[u8]) -> (Result<(), BufferError>, usize) {
        let mut filled = 0;
        let spare = match self.buffer.spare() {
            Ok(spare) => spare,
            Err(error) => return (Err(error), 0),
        };
        assert!(!spare[0].is_empty());
        let room = spare[0].len() + spare[1].len();
        for mut slice in spare {
            let len = slice.len().min(bytes.len() - filled);
            slice[..len].copy_from_slice(&bytes[filled..filled + len]);
            filled += len;
        }
        assert_eq!(self.buffer.commit(room + 1), Err(BufferError::OutOfRange));
        (self.buffer.commit(filled), filled)
    }

    /// The model of a write: bytes come at a place of what is not flushed.
    fn written(&mut self, written: Result<(), BufferError>, at: usize, bytes: &[u8]) {
        match written {
            Ok(()) => {
                assert!(self.writes);
                self.model.unflushed.splice(at..at, bytes.iter().copied());
            }
            Err(BufferError::NoMemory) => assert!(self.writes),
            Err(error) => {
                assert_eq!((error, self.writes), (BufferError::Unsupported, false));
            }
        }
    }

    fn check(&self) {
        assert_eq!(self.buffer.len(), self.model.readable.len());
        assert_eq!(self.buffer.malloc_length(), self.model.unflushed.len());
        let mut rest = &self.model.readable[..];
        for chunk in self.buffer.chunks() {
            assert!(!chunk.is_empty());
            let (begin, end) = rest.split_at(chunk.len());
            assert!(chunk == begin);
            rest = end;
        }
        assert!(rest.is_empty());
    }
}

fn find(bytes: &[u8], delimiter: &[u8]) -> Option<usize> {
    if delimiter.is_empty() {
        return None;
    }
    bytes
        .windows(delimiter.len())
        .position(|window| window == delimiter)
}

/// Reads from a buffer and from a flat vector, without a release.
struct Reading<'a> {
    buffer: &'a NocopyBuffer,
    rest: &'a [u8],
    views: Vec<(&'a [u8], &'a [u8])>,
    slices: Vec<Pair>,
}

impl Reading<'_> {
    fn read(&mut self, read: &Read) {
        let (buffer, rest) = (self.buffer, self.rest);
        let fit = |n: usize| Pair::fit(n, rest.len());
        let mut consumed = 0;
        match *read {
            Read::Next(n) => {
                let expected = rest.get(..fit(n)).ok_or(BufferError::ShortBuffer);
                let view = buffer.next(fit(n));
                assert!(view == expected);
                consumed = expected.map_or(0, <[u8]>::len);
                self.views.extend(view.ok().zip(expected.ok()));
            }
            Read::Peek(n, offset) => {
                let offset = fit(offset);
                let n = Pair::fit(n, rest.len().saturating_sub(offset));
                let expected = rest.get(offset..).and_then(|rest| rest.get(..n));
                let view = buffer.peek(n, offset).ok();
                assert!(view == expected);
                self.views.extend(view.zip(expected));
            }
            Read::Skip(n) => {
                consumed = if fit(n) <= rest.len() { fit(n) } else { 0 };
                assert_eq!(buffer.skip(fit(n)).is_ok(), fit(n) <= rest.len());
            }
            Read::Until(ref delimiter) => {
                let view = buffer.until(delimiter);
                assert_eq!(view.is_err(), delimiter.is_empty());
                consumed = find(rest, delimiter).map_or(0, |found| found + delimiter.len());
                let expected = (consumed > 0).then(|| &rest[..consumed]);
                assert!(view.ok().flatten() == expected);
                self.views.extend(view.ok().flatten().zip(expected));
            }
            Read::IndexOf(ref delimiter, from) => {
                let found = rest.get(fit(from)..).and_then(|rest| find(rest, delimiter));
                let expected = match delimiter[..] {
                    [] => Err(BufferError::InvalidArgument),
                    _ => Ok(found.map(|found| found + fit(from))),
                };
                assert_eq!(buffer.index_of(delimiter, fit(from)), expected);
            }
            _ => consumed = self.read_own(read),
        }
        self.rest = &rest[consumed..];
    }

    /// Reads what is the caller's own. Answers how many bytes that consumes.
    fn read_own(&mut self, read: &Read) -> usize {
        let (buffer, rest) = (self.buffer, self.rest);
        let fit = |n: usize| Pair::fit(n, rest.len());
        let short = Err(BufferError::ShortBuffer);
        match *read {
            Read::Binary(n) => {
                let expected = rest.get(..fit(n)).map(<[u8]>::to_vec);
                let consumed = expected.as_ref().map_or(0, Vec::len);
                assert!(buffer.read_binary(fit(n)).ok() == expected);
                consumed
            }
            Read::String(n) => {
                let expected = rest.get(..fit(n)).map(String::from_utf8_lossy);
                assert!(buffer.read_string(fit(n)).ok().as_deref() == expected.as_deref());
                expected.map_or(0, |_| fit(n))
            }
            Read::Number(kind) => {
                let (number, len) = read_number(buffer, kind);
                assert_eq!(number, expected_number(rest, kind).map_or(short, Ok));
                if number.is_ok() { len } else { 0 }
            }
            Read::PeekNumber(kind, offset) => {
                let ahead = rest.get(fit(offset)..).unwrap_or_default();
                let expected = expected_number(ahead, kind).map_or(short, Ok);
                assert_eq!(peek_number(buffer, kind, fit(offset)), expected);
                0
            }
            Read::Slice(n) => {
                let slice = buffer.slice(fit(n)).ok();
                assert_eq!(slice.is_some(), fit(n) <= rest.len());
                let Some(slice) = slice else { return 0 };
                let mut pair = Pair::new(slice, false);
                pair.model.readable = rest[..fit(n)].to_vec();
                self.slices.push(pair);
                fit(n)
            }
            _ => unreachable!("a read with a view"),
        }
    }
}

/// Six kinds stand for all: each width, both orders, with sign and without, and fractions.
fn read_number(buffer: &NocopyBuffer, kind: u8) -> (Result<u64, BufferError>, usize) {
    match kind % 6 {
        0 => (buffer.read_u8().map(u64::from), 1),
        1 => (buffer.read_u16_le().map(u64::from), 2),
        2 => (
            buffer
                .read_i32_be()
                .map(|number| number.cast_unsigned().into()),
            4,
        ),
        3 => (
            buffer.read_f32_le().map(|number| number.to_bits().into()),
            4,
        ),
        4 => (buffer.read_u64_be(), 8),
        _ => (buffer.read_f64_le().map(f64::to_bits), 8),
    }
}

fn peek_number(buffer: &NocopyBuffer, kind: u8, offset: usize) -> Result<u64, BufferError> {
    match kind % 6 {
        0 => buffer.peek_u8(offset).map(u64::from),
        1 => buffer.peek_u16_le(offset).map(u64::from),
        2 => buffer
            .peek_i32_be(offset)
            .map(|number| number.cast_unsigned().into()),
        3 => buffer
            .peek_f32_le(offset)
            .map(|number| number.to_bits().into()),
        4 => buffer.peek_u64_be(offset),
        _ => buffer.peek_f64_le(offset).map(f64::to_bits),
    }
}

fn expected_number(bytes: &[u8], kind: u8) -> Option<u64> {
    Some(match kind % 6 {
        0 => (*bytes.first()?).into(),
        1 => u16::from_le_bytes(*bytes.first_chunk()?).into(),
        2 => u32::from_be_bytes(*bytes.first_chunk()?).into(),
        3 => u32::from_le_bytes(*bytes.first_chunk()?).into(),
        4 => u64::from_be_bytes(*bytes.first_chunk()?),
        _ => u64::from_le_bytes(*bytes.first_chunk()?),
    })
}

fn write_number(
    buffer: &mut NocopyBuffer,
    kind: u8,
    bytes: &[u8],
) -> (Result<(), BufferError>, usize) {
    let (eight, four) = (*bytes.first_chunk().unwrap(), *bytes.first_chunk().unwrap());
    match kind % 6 {
        0 => (buffer.write_u8(bytes[0]), 1),
        1 => (
            buffer.write_u16_le(u16::from_le_bytes([bytes[0], bytes[1]])),
            2,
        ),
        2 => (buffer.write_i32_be(i32::from_be_bytes(four)), 4),
        3 => (buffer.write_f32_le(f32::from_le_bytes(four)), 4),
        4 => (buffer.write_u64_be(u64::from_be_bytes(eight)), 8),
        _ => (buffer.write_f64_le(f64::from_le_bytes(eight)), 8),
    }
}

/// Runs so many sequences, of `STEPS` steps each but the shrunk ones.
fn run(sequences: u32) {
    let mut runner = TestRunner::new(Config {
        cases: sequences,
        failure_persistence: None,
        // The usual one takes most of the time.
        rng_algorithm: RngAlgorithm::XorShift,
        ..Config::default()
    });
    let steps = prop::collection::vec(step(), 0..2 * STEPS);
    let tested = runner.run(&(steps, any::<u8>()), |(steps, order)| {
        let mut world = World::new();
        for (index, step) in steps.into_iter().enumerate() {
            world.apply(step);
            if index % 8 == 0 {
                world.check();
            }
        }
        world.check();
        world.end(order.into());
        Ok(())
    });
    if let Err(error) = tested {
        panic!("{error}");
    }
}

#[test]
fn h27_h29_h30_h31_h32_h36_every_call_in_every_order_is_that_of_a_flat_vector() {
    run(500);
}

#[test]
#[ignore = "1,000,000 steps take minutes; the default takes a tenth"]
fn h31_a_million_steps_of_every_call_are_those_of_a_flat_vector() {
    run(5000);
}
