//! What the calls of a buffer cost by the size they are made with, beside `bytes` and a
//! `VecDeque<u8>` that do the same for a caller.

#![allow(missing_docs, reason = "criterion's macros make public functions")]
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use bytes::{Buf, BufMut, Bytes, BytesMut};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, criterion_group, criterion_main};
use linkbuf::{Arena, CHUNK_BYTES, Chunk, NocopyBuffer, Segment};
use std::collections::VecDeque;
use std::hint::black_box;
use std::io::Read;
use std::time::Duration;

const SIZES: [usize; 4] = [64, 1 << 10, 16 << 10, 256 << 10];
/// What is read is one long piece, so that it is seldom put back.
const LONG: usize = 16 << 20;
/// What is written is let go of when there is so much of it.
const WRITTEN_MAX: usize = 256 << 10;

fn arena() -> Arena {
    let arena = Arena::new(4 * CHUNK_BYTES);
    for _ in 0..4 {
        arena.grant(Chunk::boxed(CHUNK_BYTES)).unwrap();
    }
    arena
}

fn name(size: usize) -> String {
    match size {
        0..1024 => format!("{size} B"),
        _ => format!("{} KiB", size >> 10),
    }
}

fn each_size(
    criterion: &mut Criterion,
    group: &str,
    bench: impl Fn(&mut BenchmarkGroup<'_, WallTime>, usize),
) {
    let mut group = criterion.benchmark_group(group);
    group.warm_up_time(Duration::from_millis(100));
    group.measurement_time(Duration::from_millis(300));
    group.sample_size(10);
    for size in SIZES {
        bench(&mut group, size);
    }
    group.finish();
}

fn id(rival: &str, size: usize) -> BenchmarkId {
    BenchmarkId::new(rival, name(size))
}

fn let_go(buffer: &mut NocopyBuffer) {
    if buffer.len() >= WRITTEN_MAX {
        buffer.skip(buffer.len()).unwrap();
        buffer.release();
    }
}

fn malloc_flush(criterion: &mut Criterion) {
    each_size(criterion, "malloc, flush", |group, size| {
        group.bench_function(id("linkbuf", size), |bencher| {
            let mut buffer = NocopyBuffer::new(&arena());
            bencher.iter(|| {
                black_box(buffer.malloc(size).unwrap());
                buffer.flush();
                let_go(&mut buffer);
            });
        });
    });
    each_size(criterion, "write, flush", |group, size| {
        let source = vec![1; size];
        group.bench_function(id("linkbuf", size), |bencher| {
            let mut buffer = NocopyBuffer::new(&arena());
            bencher.iter(|| {
                buffer.write_binary(black_box(&source)).unwrap();
                buffer.flush();
                let_go(&mut buffer);
            });
        });
        group.bench_function(id("bytes", size), |bencher| {
            let mut buffer = BytesMut::new();
            bencher.iter(|| {
                buffer.put_slice(black_box(&source));
                if buffer.len() >= WRITTEN_MAX {
                    buffer.clear();
                }
            });
        });
        group.bench_function(id("VecDeque", size), |bencher| {
            let mut buffer: VecDeque<u8> = VecDeque::new();
            bencher.iter(|| {
                buffer.extend(black_box(&source));
                if buffer.len() >= WRITTEN_MAX {
                    buffer.clear();
                }
            });
        });
    });
}

fn next(criterion: &mut Criterion) {
    let long = Segment::own(vec![1; LONG]).unwrap();
    each_size(criterion, "next within a node", |group, size| {
        group.bench_function(id("linkbuf", size), |bencher| {
            let mut buffer = NocopyBuffer::read_only();
            bencher.iter(|| {
                if buffer.len() < size {
                    buffer.release();
                    buffer.receive(long.clone());
                }
                black_box(buffer.next(size).unwrap());
            });
        });
        group.bench_function(id("bytes", size), |bencher| {
            let all = Bytes::from(vec![1; LONG]);
            let mut buffer = Bytes::new();
            bencher.iter(|| {
                if buffer.len() < size {
                    buffer = all.clone();
                }
                black_box(buffer.split_to(size))
            });
        });
        group.bench_function(id("VecDeque", size), |bencher| {
            let mut buffer: VecDeque<u8> = VecDeque::new();
            bencher.iter(|| {
                if buffer.len() < size {
                    buffer.resize(WRITTEN_MAX, 1);
                }
                black_box(take(&mut buffer, size))
            });
        });
    });
}

/// The fastest way to get contiguous bytes out of a deque.
fn take(deque: &mut VecDeque<u8>, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    deque.read_exact(&mut bytes).unwrap();
    bytes
}

/// Two nodes, each with a little more than a half of what is asked for.
fn halves(size: usize) -> NocopyBuffer {
    let mut buffer = NocopyBuffer::read_only();
    for _ in 0..2 {
        buffer.receive(Segment::own(vec![1; size / 2 + 8]).unwrap());
    }
    buffer
}

fn peek(criterion: &mut Criterion) {
    each_size(criterion, "peek across nodes", |group, size| {
        group.bench_function(id("linkbuf, first", size), |bencher| {
            let mut buffer = halves(size);
            bencher.iter(|| {
                black_box(buffer.peek(size, 0).unwrap());
                buffer.release();
            });
        });
        group.bench_function(id("linkbuf, again", size), |bencher| {
            let buffer = halves(size);
            bencher.iter(|| black_box(buffer.peek(size, 0).unwrap().len()));
        });
        group.bench_function(id("bytes", size), |bencher| {
            let half = Bytes::from(vec![1; size / 2 + 8]);
            bencher.iter(|| half.clone().chain(half.clone()).copy_to_bytes(size));
        });
        group.bench_function(id("VecDeque", size), |bencher| {
            let buffer: VecDeque<u8> = std::iter::repeat_n(1, size).collect();
            bencher.iter(|| buffer.iter().copied().collect::<Vec<u8>>());
        });
    });
}

fn until(criterion: &mut Criterion) {
    each_size(criterion, "until", |group, size| {
        let mut line = vec![1; size - 2];
        line.extend(b"\r\n");
        let lines = line.repeat(LONG / size);
        let long = Segment::own(lines.clone()).unwrap();
        group.bench_function(id("linkbuf", size), |bencher| {
            let mut buffer = NocopyBuffer::read_only();
            bencher.iter(|| {
                if buffer.is_empty() {
                    buffer.release();
                    buffer.receive(long.clone());
                }
                black_box(buffer.until(b"\r\n").unwrap());
            });
        });
        group.bench_function(id("bytes", size), |bencher| {
            let all = Bytes::from(lines.clone());
            let mut buffer = Bytes::new();
            bencher.iter(|| {
                if buffer.is_empty() {
                    buffer = all.clone();
                }
                let found = buffer.windows(2).position(|two| two == b"\r\n");
                black_box(buffer.split_to(found.unwrap() + 2))
            });
        });
        group.bench_function(id("VecDeque", size), |bencher| {
            let mut buffer: VecDeque<u8> = VecDeque::new();
            bencher.iter(|| {
                if buffer.is_empty() {
                    buffer.extend(&lines[..size.max(4096)]);
                }
                let found = buffer.iter().position(|&byte| byte == b'\n');
                black_box(take(&mut buffer, found.unwrap() + 1))
            });
        });
    });
}

fn slice(criterion: &mut Criterion) {
    let long = Segment::own(vec![1; LONG]).unwrap();
    each_size(criterion, "slice and drop", |group, size| {
        group.bench_function(id("linkbuf", size), |bencher| {
            let mut buffer = NocopyBuffer::read_only();
            bencher.iter(|| {
                if buffer.len() < size {
                    buffer.release();
                    buffer.receive(long.clone());
                }
                black_box(buffer.slice(size).unwrap())
            });
        });
        group.bench_function(id("bytes", size), |bencher| {
            let all = Bytes::from(vec![1; LONG]);
            bencher.iter(|| black_box(all.slice(8..8 + size)));
        });
        group.bench_function(id("VecDeque, copies", size), |bencher| {
            let all: VecDeque<u8> = std::iter::repeat_n(1, WRITTEN_MAX).collect();
            bencher.iter(|| black_box(all.range(..size).copied().collect::<VecDeque<u8>>()));
        });
    });
}

fn append(criterion: &mut Criterion) {
    each_size(
        criterion,
        "receive, append, flush, release",
        |group, size| {
            group.bench_function(id("linkbuf", size), |bencher| {
                let piece = Segment::own(vec![1; size]).unwrap();
                let mut source = NocopyBuffer::read_only();
                let mut target = NocopyBuffer::new(&arena());
                bencher.iter(|| {
                    source.receive(piece.clone());
                    target.append(&mut source).unwrap();
                    target.flush();
                    target.skip(size).unwrap();
                    target.release();
                });
            });
            group.bench_function(id("bytes, copies", size), |bencher| {
                let piece = Bytes::from(vec![1; size]);
                let mut target = BytesMut::new();
                bencher.iter(|| {
                    target.put(piece.clone());
                    target.clear();
                });
            });
            group.bench_function(id("VecDeque, copies", size), |bencher| {
                let piece = vec![1_u8; size];
                let mut source: VecDeque<u8> = VecDeque::new();
                let mut target = VecDeque::new();
                bencher.iter(|| {
                    source.extend(black_box(&piece));
                    target.append(&mut source);
                    target.clear();
                });
            });
        },
    );
}

fn write_direct(criterion: &mut Criterion) {
    each_size(
        criterion,
        "malloc 64, write_direct, flush, release",
        |group, size| {
            group.bench_function(id("linkbuf", size), |bencher| {
                let piece = Segment::own(vec![1; size]).unwrap();
                let mut buffer = NocopyBuffer::new(&arena());
                bencher.iter(|| {
                    buffer.malloc(64).unwrap().fill(1);
                    buffer.write_direct(piece.clone(), 32).unwrap();
                    buffer.flush();
                    buffer.skip(size + 64).unwrap();
                    buffer.release();
                });
            });
            group.bench_function(id("bytes, copies", size), |bencher| {
                let piece = Bytes::from(vec![1; size]);
                let mut buffer = BytesMut::new();
                bencher.iter(|| {
                    buffer.put_bytes(1, 32);
                    buffer.put(piece.clone());
                    buffer.put_bytes(1, 32);
                    buffer.clear();
                });
            });
            group.bench_function(id("VecDeque, copies", size), |bencher| {
                let piece = vec![1_u8; size];
                let mut buffer: VecDeque<u8> = VecDeque::new();
                bencher.iter(|| {
                    buffer.extend([1; 32]);
                    buffer.extend(black_box(&piece));
                    buffer.extend([1; 32]);
                    buffer.clear();
                });
            });
        },
    );
}

criterion_group!(
    benches,
    malloc_flush,
    next,
    peek,
    until,
    slice,
    append,
    write_direct
);
criterion_main!(benches);
