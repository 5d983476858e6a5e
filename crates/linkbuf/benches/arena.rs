//! What a node, a segment and a lease cost.

#![allow(missing_docs, reason = "criterion's macros make public functions")]

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use linkbuf::{Arena, CHUNK_BYTES, Chunk};
use std::hint::black_box;

fn arena() -> Arena {
    let arena = Arena::new(CHUNK_BYTES);
    arena
        .grant(Chunk::boxed(CHUNK_BYTES))
        .expect("the first chunk fits");
    arena
}

fn allocate(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("allocate and drop");
    for kib in [4_usize, 64, 256] {
        group.bench_function(
            BenchmarkId::from_parameter(format!("{kib} KiB")),
            |bencher| {
                let arena = arena();
                bencher.iter(|| black_box(arena.allocate(kib << 10)));
            },
        );
    }
    group.finish();
}

fn commit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("commit and drop");
    for bytes in [64_usize, 1024] {
        group.bench_function(
            BenchmarkId::from_parameter(format!("{bytes} B")),
            |bencher| {
                let arena = arena();
                let allocate = || arena.allocate(64 << 10).expect("one node at a time");
                let mut node = allocate();
                bencher.iter(|| {
                    if node.room() < bytes {
                        node = allocate();
                    }
                    black_box(node.commit(bytes))
                });
            },
        );
    }
    group.finish();
}

fn lease(criterion: &mut Criterion) {
    let arena = arena();
    let mut node = arena.allocate(4096).expect("a fresh chunk has room");
    let segment = node.write(b"bytes");
    criterion.bench_function("lease and release", |bencher| {
        bencher.iter(|| {
            let id = black_box(&segment).lease();
            arena.release(black_box(id.node), 1)
        });
    });
    criterion.bench_function("lease and take", |bencher| {
        bencher.iter(|| {
            let id = black_box(&segment).lease();
            arena.take_leased(black_box(id))
        });
    });
}

criterion_group!(benches, allocate, commit, lease);
criterion_main!(benches);
