//! Dials: each settles exactly once.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::thread;

use nodepoll::limits::RING_RECORDS_MIN;
use nodepoll::{Command, Endpoint};
use socket2::{Domain, Socket, Type};

use crate::support::{Bed, OnData, Random, Scratch, read_all};

/// An address where nobody listens, and the socket that keeps it so.
fn refusing() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

/// A listener whose queue is full, so that connects to it never get an answer.
struct Silent {
    listener: Socket,
    /// Held, as they are what fills the queue.
    _queued: Vec<Socket>,
}

impl Silent {
    fn new() -> Self {
        let (listener, address) = refusing();
        listener.listen(0).unwrap();
        let queued = (0..4).map(|_| {
            let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            client.set_nonblocking(true).unwrap();
            // Under way, or waiting: both fill the queue.
            let _ = client.connect(&address.into());
            client
        });
        Self {
            _queued: queued.collect(),
            listener,
        }
    }

    fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap().as_socket().unwrap()
    }
}

#[test]
fn a_dial_becomes_a_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut bed = Bed::new();
    bed.log.on_data = OnData::Echo;
    let address = listener.local_addr().unwrap();
    let (_, dial) = bed.dial(Endpoint::Inet(address));
    let (mut server, from) = listener.accept().unwrap();
    bed.until("it is connected", |log| log.dialed(dial).is_some());
    let name = bed.log.dialed(dial).unwrap();
    assert_eq!(
        bed.log.seen(name).remote,
        nodepoll::Address::Inet(address),
        "from {from}"
    );
    server.write_all(b"hello").unwrap();
    bed.until("it comes", |log| log.input(name) == b"hello");
    bed.close(name);
    bed.turn();
    assert_eq!(read_all(&server).unwrap(), b"hello");
    drop(server);
    bed.until("it is closed", |log| log.closed(name).is_some());
}

#[test]
fn h71_data_that_comes_with_the_connect_needs_no_further_edge() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        for _ in 0..100 {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"welcome").unwrap();
        }
    });
    let mut bed = Bed::new();
    bed.log.closes_on_end = true;
    for _ in 0..100 {
        let (_, dial) = bed.dial(Endpoint::Inet(address));
        bed.until("it is greeted", |log| {
            let name = log.dialed(dial);
            name.is_some_and(|name| log.input(name) == b"welcome" && log.closed(name).is_some())
        });
    }
    server.join().unwrap();
}

#[test]
fn h71_data_that_came_while_a_dial_waited_for_room_needs_no_further_edge() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut bed = Bed::start(1, RING_RECORDS_MIN);
    let address = bed.listen();
    let (_client, (lane, id)) = bed.connect(address);
    bed.settle();
    // Each of them is answered at once, until the event ring is full.
    for _ in 0..2 * RING_RECORDS_MIN {
        bed.command(lane, &Command::Acknowledge { id });
        bed.host.hand_over();
    }
    let (_, dial) = bed.dial(Endpoint::Inet(listener.local_addr().unwrap()));
    let (mut server, _) = listener.accept().unwrap();
    bed.neglect_until("the dial waits for room", |counters| {
        counters.pauses_for_events >= 1
    });
    for byte in b"welcome" {
        // An edge for each, but for one that tells of the connect as well.
        let turns = bed.counters().turns;
        server.write_all(&[*byte]).unwrap();
        bed.neglect_until("it has been told of the data", |counters| {
            counters.turns > turns
        });
    }
    assert_eq!(bed.counters().pauses_for_events, 1, "it waits once");
    bed.until("the data is read", |log| {
        log.dialed(dial)
            .is_some_and(|name| log.input(name) == b"welcome")
    });
}

#[test]
fn a_dial_to_nobody_is_refused() {
    let (_socket, address) = refusing();
    let mut bed = Bed::new();
    let (_, dial) = bed.dial(Endpoint::Inet(address));
    bed.until("it fails", |log| log.dial_failures.contains_key(&dial));
    assert_eq!(bed.log.dial_failures[&dial], libc::ECONNREFUSED);
    assert!(bed.log.names.is_empty());
}

#[test]
fn a_dial_to_a_unix_socket_connects_or_is_refused_at_once() {
    let scratch = Scratch::new();
    let path = scratch.file("socket");
    let mut bed = Bed::new();
    let listener = UnixListener::bind(&path).unwrap();
    let (_, dial) = bed.dial(Endpoint::Path(path.clone()));
    bed.until("it is connected", |log| log.dialed(dial).is_some());
    drop(listener);
    let options = nodepoll::DialOptions {
        dial: 99,
        endpoint: Endpoint::Path(path),
        local: None,
        no_delay: false,
        keep_alive: None,
        window: u32::MAX,
    };
    let error = bed.host.dial(&options).unwrap_err().system().unwrap();
    assert_eq!(
        (error.errno, error.syscall),
        (libc::ECONNREFUSED, "connect")
    );
}

#[test]
fn h96_a_dial_that_reaches_itself_is_refused() {
    let mut bed = Bed::new();
    let (socket, address) = refusing();
    drop(socket);
    let (_, dial) = bed.dial_from(Endpoint::Inet(address), Some(address));
    bed.until("it fails", |log| log.dial_failures.contains_key(&dial));
    assert_eq!(bed.log.dial_failures[&dial], libc::ECONNREFUSED);
    assert!(bed.log.names.is_empty());
}

#[test]
fn a_canceled_dial_fails_once_and_a_second_cancel_is_stale() {
    let silent = Silent::new();
    let mut bed = Bed::new();
    let (lane, dial) = bed.dial(Endpoint::Inet(silent.address()));
    bed.settle();
    assert!(bed.log.dial_failures.is_empty() && bed.log.names.is_empty());
    bed.command(lane, &Command::CancelDial { dial });
    bed.command(lane, &Command::CancelDial { dial });
    bed.until("it fails", |log| log.dial_failures.contains_key(&dial));
    assert_eq!(bed.log.dial_failures[&dial], libc::ECANCELED);
    bed.poll("the second one is counted", |bed| {
        bed.counters().stale_commands == 1
    });
    bed.poll("its row is free", |bed| bed.counters().connections == 0);
}

#[test]
fn h3_h97_a_thousand_dials_settle_once_each() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let accepting = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            if std::io::Read::read(&mut &stream, &mut [0]).unwrap_or(0) == 1 {
                return;
            }
        }
    });
    let (_socket, refusing) = refusing();
    let silent = Silent::new();
    let targets = [accepting, refusing, silent.address()];
    let mut bed = Bed::start(2, 64);
    let mut random = Random::new(9);
    for batch in 1..=20 {
        let mut canceled = Vec::new();
        for _ in 0..50 {
            let target = targets[random.below(3)];
            let (lane, dial) = bed.dial(Endpoint::Inet(target));
            // The silent one only ends so; to the others the cancel comes at some moment.
            if target == silent.address() || random.below(3) == 0 {
                canceled.push((lane, dial));
            }
        }
        if random.below(2) == 0 {
            bed.turn();
        }
        for (lane, dial) in canceled {
            bed.command(lane, &Command::CancelDial { dial });
        }
        bed.until("the batch is settled", |log| {
            log.names.len() + log.dial_failures.len() == 50 * batch
        });
        for name in bed.log.open() {
            bed.destroy(name);
        }
    }
    bed.until("all are closed", |log| log.open().is_empty());
    let of = |errno| {
        let failures = bed.log.dial_failures.values();
        failures.filter(move |&&failure| failure == errno).count()
    };
    let (refused, canceled) = (of(libc::ECONNREFUSED), of(libc::ECANCELED));
    assert_eq!(refused + canceled, bed.log.dial_failures.len());
    assert!(refused > 100 && canceled > 300 && bed.log.names.len() > 100);
    bed.poll("all rows are free", |bed| bed.counters().connections == 0);
    let mut last = std::net::TcpStream::connect(accepting).unwrap();
    last.write_all(b"!").unwrap();
    server.join().unwrap();
}
