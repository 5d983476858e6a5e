//! What a round trip through a host in Rust costs, and a record. The client is a blocking one of
//! the standard library and runs on the same machine, so that its share is in every number.

#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use linkbuf::SegmentId;
use nodepoll::{
    Address, Command, ConnectionId, Endpoint, Event, ListenOptions, RuntimeOptions, RustHost,
};

/// An echo server on a thread of its own, which ends with it.
struct Server {
    address: SocketAddr,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start() -> Self {
        let (sender, receiver) = mpsc::channel();
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopping);
        let thread = thread::spawn(move || {
            let mut host =
                RustHost::start(&RuntimeOptions::default(), 64 << 20).expect("pollers start");
            sender.send(listen(&mut host)).expect("somebody waits");
            while !stop.load(Ordering::Relaxed) {
                if host.exchange(answer) == 0 {
                    host.wait(Duration::from_millis(100));
                }
            }
        });
        Self {
            address: receiver.recv().expect("the server listens"),
            stopping,
            thread: Some(thread),
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("the server accepts");
        stream.set_nodelay(true).expect("a fresh socket");
        stream
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the server ends");
        }
    }
}

fn listen(host: &mut RustHost) -> SocketAddr {
    let options = ListenOptions {
        listener: 1,
        endpoint: Endpoint::Inet(([127, 0, 0, 1], 0).into()),
        backlog: 128,
        ipv6_only: false,
        reuse_port: false,
    };
    let (lane, address) = host.listen(&options).expect("a free port");
    host.send(
        lane,
        &Command::Accept {
            listener: 1,
            window: u32::MAX,
        },
    );
    match address {
        Address::Inet(address) => address,
        Address::Unix => unreachable!("it listens on a port"),
    }
}

fn answer(host: &mut RustHost, lane: usize, event: Event) {
    let command = match event {
        Event::Data { id, segment, .. } => Command::Write { id, segment },
        Event::End { id, .. } => Command::Close { id, millis: 0 },
        _ => return,
    };
    while !host.send(lane, &command) {
        host.hand_over();
    }
}

/// One message on each connection, then all answers.
fn round_trip(clients: &mut [TcpStream], message: &[u8], answer: &mut [u8]) {
    for client in &mut *clients {
        client.write_all(message).expect("the server reads");
    }
    for client in clients {
        client.read_exact(answer).expect("the server answers");
    }
}

fn echo(criterion: &mut Criterion) {
    let server = Server::start();
    let mut group = criterion.benchmark_group("echo");
    for (bytes, connections) in [(64, 1), (1024, 1), (1024, 16)] {
        let mut clients: Vec<_> = (0..connections).map(|_| server.connect()).collect();
        let (message, mut answer) = (vec![7; bytes], vec![0; bytes]);
        group.throughput(Throughput::Elements(connections));
        let id = BenchmarkId::new(format!("{bytes} B"), connections);
        group.bench_function(id, |bencher| {
            bencher.iter(|| round_trip(&mut clients, &message, &mut answer));
        });
    }
    group.finish();
}

fn records(criterion: &mut Criterion) {
    let id = ConnectionId {
        slot: 1,
        generation: 3,
    };
    let segment = SegmentId {
        node: 16,
        offset: 65_536,
        len: 1024,
    };
    let sent = 1 << 20;
    let data = Event::Data {
        id,
        segment,
        front: 0,
        sent,
    };
    criterion.bench_function("event/encode and decode", |bencher| {
        bencher.iter(|| Event::decode(black_box(black_box(&data).encode())));
    });
    let write = Command::Write { id, segment };
    criterion.bench_function("command/encode and decode", |bencher| {
        bencher.iter(|| Command::decode(black_box(black_box(&write).encode())));
    });
}

criterion_group!(benches, echo, records);
criterion_main!(benches);
