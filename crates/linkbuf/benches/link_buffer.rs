//! What a trip through a queue costs: push segments, point at them, skip them.

#![allow(missing_docs, reason = "criterion's macros make public functions")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use linkbuf::{Arena, CHUNK_BYTES, Chunk, LinkBuffer, Segment};
use std::hint::black_box;
use std::io::IoSlice;

const SEGMENT_BYTES: usize = 1024;
const SEGMENTS_MAX: usize = 64;

/// Segments that do not join: pushed from the last to the first, none follows another.
fn segments() -> Vec<Segment> {
    let arena = Arena::new(CHUNK_BYTES);
    arena
        .grant(Chunk::boxed(CHUNK_BYTES))
        .expect("the first chunk fits");
    let mut node = arena
        .allocate(SEGMENT_BYTES * SEGMENTS_MAX)
        .expect("a fresh chunk has room");
    let mut segments: Vec<Segment> = (0..SEGMENTS_MAX)
        .map(|_| node.commit(SEGMENT_BYTES))
        .collect();
    segments.reverse();
    segments
}

fn round_trip(criterion: &mut Criterion) {
    let segments = segments();
    let mut group = criterion.benchmark_group("push, io_slices, skip");
    for count in [1_usize, 16, 64] {
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            let mut buffer = LinkBuffer::new();
            bencher.iter(|| {
                for segment in &segments[..count] {
                    buffer.push(segment.clone());
                }
                let mut slices = [IoSlice::new(&[]); SEGMENTS_MAX];
                let (_, bytes) = buffer.io_slices(&mut slices);
                black_box(&slices);
                buffer.skip(bytes);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, round_trip);
criterion_main!(benches);
