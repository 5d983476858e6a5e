//! The driver, turned step by step.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use linkbuf::{CHUNK_BYTES, Chunk, Purpose};
use mio::unix::SourceFd;
use mio::{Interest, Poll, Waker};
use socket2::{Domain, Type};

use super::*;
use crate::address::Address;
use crate::bell::{Bell, Host};
use crate::event::EndReason;
use crate::limits::{READ_NODE_BYTES, RING_RECORDS_MIN};
use crate::options::{DialOptions, Endpoint, LoadBalance};
use crate::record::RECORD_WORDS;
use crate::ring::{Ring, Words};
use crate::sys::socket::{ListeningSocket, Socket};

mod told_otherwise;

struct Nobody;

impl Host for Nobody {
    fn wake(&self) {}
}

/// A driver that the test turns, with the smallest rings.
struct Rig {
    driver: Driver,
    poll: Poll,
    events: Events,
    listener: ListeningSocket,
}

impl Rig {
    fn new() -> Self {
        Self::with_memory(CHUNK_BYTES)
    }

    /// With one chunk, and so many bytes that the arena may have.
    fn with_memory(bytes_max: usize) -> Self {
        let poll = Poll::new().unwrap();
        let waker = Waker::new(poll.registry(), WAKER).unwrap();
        let ring = || Ring::new(Words::boxed(RING_RECORDS_MIN as usize * RECORD_WORDS));
        let arena = Arena::new(bytes_max);
        arena.grant(Chunk::boxed(CHUNK_BYTES)).unwrap();
        let (bell, host) = (Arc::new(Bell::new()), Arc::new(Nobody));
        let seam = Seam::new(ring(), ring(), arena.clone(), bell, host, waker);
        let seam = Arc::new(seam);
        let balancer = Balancer::new(vec![Arc::clone(&seam)], LoadBalance::RoundRobin);
        let registry = poll.registry().try_clone().unwrap();
        let any = "127.0.0.1:0".parse().unwrap();
        Self {
            driver: Driver::new(seam, Arc::new(balancer), registry, arena),
            poll,
            events: Events::with_capacity(64),
            listener: ListeningSocket::bind_tcp(any, 8, false, false).unwrap(),
        }
    }

    /// A client, and the connection on its way to the driver.
    fn connect(&self) -> (TcpStream, Parcel) {
        let Address::Inet(address) = self.listener.address() else {
            panic!("a TCP listener has an address");
        };
        let client = TcpStream::connect(address).unwrap();
        let (socket, remote, local) = self.listener.accept().unwrap();
        let accepted = Accepted {
            socket,
            place: None,
            remote,
            local,
        };
        let parcel = Parcel::Accepted {
            accepted,
            listener: 1,
            window: u32::MAX,
        };
        (client, parcel)
    }

    /// What the kernel has to tell, then a turn, then what the driver has told.
    fn turn(&mut self) -> Vec<Event> {
        self.poll
            .poll(&mut self.events, Some(Duration::from_millis(50)))
            .unwrap();
        self.driver.turn(&self.events);
        self.told()
    }

    fn told(&self) -> Vec<Event> {
        let mut told = self.told_in_all();
        told.retain(|event| *event != Event::NeedMemory);
        told
    }

    fn told_in_all(&self) -> Vec<Event> {
        let ring = &self.driver.io.seam.events;
        let (mut head, tail) = (ring.head(), ring.tail());
        let mut told = Vec::new();
        while head != tail {
            told.extend(Event::decode(ring.read(head)));
            head = head.wrapping_add(1);
        }
        ring.consume(head);
        told
    }

    /// An open connection, and its peer.
    fn open(&mut self) -> (TcpStream, ConnectionId) {
        let (client, parcel) = self.connect();
        self.driver.io.seam.add_load();
        self.driver.take_parcel(parcel);
        let told = self.turn();
        let accepted = told.iter().find_map(|event| match event {
            Event::Accepted { id, .. } => Some(*id),
            _ => None,
        });
        (client, accepted.unwrap())
    }
}

/// Whatever has these as its token is announced as readable, as writable and as failed.
fn announce(rig: &Rig, key: Key) -> [UnixStream; 5] {
    let pair = || {
        let (one, other) = UnixStream::pair().unwrap();
        one.set_nonblocking(true).unwrap();
        (one, other)
    };
    let ((readable, mut talks), (writable, listens), (failed, ends)) = (pair(), pair(), pair());
    talks.write_all(b"foreign").unwrap();
    drop(ends);
    for (socket, interest) in [
        (&readable, Interest::READABLE),
        (&writable, Interest::WRITABLE),
        (&failed, Interest::READABLE | Interest::WRITABLE),
    ] {
        let descriptor = socket.as_raw_fd();
        let mut source = SourceFd(&descriptor);
        let registry = rig.poll.registry();
        registry
            .register(&mut source, key.token(), interest)
            .unwrap();
    }
    [readable, talks, writable, listens, failed]
}

#[test]
fn h5_events_of_a_connection_that_was_closed_do_nothing_to_the_next_one_in_its_row() {
    let mut rig = Rig::new();
    let (_client, dead) = rig.open();
    rig.driver.on_command(Command::Destroy { id: dead });
    rig.driver.settle();
    rig.told();
    let (mut client, live) = rig.open();
    assert_eq!(dead.slot, live.slot, "the same row");
    let before = rig.driver.io.counters;
    let _sockets = announce(&rig, Key::of_id(dead));
    assert_eq!(rig.turn(), []);
    let after = rig.driver.io.counters;
    assert_eq!(after.stale_events, before.stale_events + 3);
    assert_eq!((after.reads, after.writes), (before.reads, before.writes));
    // It is as it was.
    client.write_all(b"mine").unwrap();
    let told = rig.turn();
    assert!(matches!(&told[..], [Event::Data { id, .. }] if *id == live));
}

#[test]
fn h5_a_row_is_not_used_again_in_the_batch_in_which_its_connection_ends() {
    let mut rig = Rig::new();
    let (client, ending) = rig.open();
    let (_late, parcel) = rig.connect();
    rig.driver.io.seam.add_load();
    rig.driver.io.seam.mailbox.put(parcel);
    socket2::SockRef::from(&client)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(client);
    let told = rig.turn();
    let accepted = told.iter().find_map(|event| match event {
        Event::Accepted { id, .. } => Some(*id),
        _ => None,
    });
    let is_its_end = |event: &Event| matches!(event, Event::Closed { id, .. } if *id == ending);
    assert!(told.iter().any(is_its_end));
    assert_ne!(accepted.unwrap().slot, ending.slot);
}

#[test]
fn h93_a_connection_that_cannot_be_registered_is_told_of_and_gone() {
    let mut rig = Rig::new();
    let (_client, parcel) = rig.connect();
    let Parcel::Accepted { accepted, .. } = &parcel else {
        panic!("it is a connection");
    };
    let Socket::Tcp(stream) = &accepted.socket else {
        panic!("it is of TCP");
    };
    // The kernel refuses to watch it twice.
    let descriptor = stream.as_raw_fd();
    let registry = rig.poll.registry();
    registry
        .register(
            &mut SourceFd(&descriptor),
            mio::Token(7),
            Interest::WRITABLE,
        )
        .unwrap();
    rig.driver.io.seam.add_load();
    rig.driver.take_parcel(parcel);
    rig.driver.settle();
    rig.driver.publish();
    let told = rig.told();
    let [
        Event::Accepted { id, .. },
        Event::Closed {
            id: closed, reason, ..
        },
    ] = &told[..]
    else {
        panic!("{told:?}");
    };
    assert_eq!(id, closed);
    assert!(matches!(reason, EndReason::Error { errno, .. } if *errno == libc::EEXIST));
    assert_eq!(rig.driver.entries.len(), 0);
    assert_eq!(rig.driver.io.seam.load(), 0);
}

fn dial(rig: &mut Rig, endpoint: Endpoint) -> Key {
    let options = DialOptions {
        dial: 5,
        endpoint,
        local: None,
        no_delay: true,
        keep_alive: None,
        window: 0,
    };
    let dialing = Dialing::begin(&options).unwrap();
    rig.driver.io.seam.add_load();
    rig.driver.add_dial(Box::new(dialing));
    rig.driver.dials[&5]
}

#[test]
fn h97_a_dial_that_is_announced_before_it_has_connected_stays_pending() {
    let mut rig = Rig::new();
    let full = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    full.bind(&any.into()).unwrap();
    full.listen(0).unwrap();
    let address = full.local_addr().unwrap();
    let _queued: Vec<_> = (0..4)
        .map(|_| {
            let client = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            client.set_nonblocking(true).unwrap();
            // Under way, or waiting: both fill the queue.
            let _ = client.connect(&address);
            client
        })
        .collect();
    let key = dial(&mut rig, Endpoint::Inet(address.as_socket().unwrap()));
    for _ in 0..3 {
        rig.driver.progress_dial(key);
        assert_eq!(rig.turn(), []);
        assert!(matches!(rig.driver.entries[key], Entry::Dialing(Some(_))));
    }
    rig.driver.on_command(Command::CancelDial { dial: 5 });
    rig.driver.settle();
    rig.driver.publish();
    assert!(matches!(
        rig.told()[..],
        [Event::DialFailed { dial: 5, .. }]
    ));
    assert_eq!(rig.driver.entries.len(), 0);
}

#[test]
fn h97_the_error_of_a_dial_is_kept_until_it_is_told() {
    let mut rig = Rig::new();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let (_client, id) = rig.open();
    // No room for another event.
    while rig.driver.io.has_room(0) {
        rig.driver.io.post(&Event::Quiet { id, sent: 0 });
    }
    let key = dial(&mut rig, Endpoint::Inet(address));
    rig.poll
        .poll(&mut rig.events, Some(Duration::from_secs(1)))
        .unwrap();
    rig.driver.turn(&rig.events);
    // The kernel has told it, once.
    let Entry::Dialing(Some(dialing)) = &rig.driver.entries[key] else {
        panic!("it has not been told");
    };
    assert_eq!(dialing.failure, Some(libc::ECONNREFUSED));
    rig.driver.progress_dial(key);
    rig.told();
    let told = rig.turn();
    let expected = Event::DialFailed {
        dial: 5,
        errno: libc::ECONNREFUSED,
    };
    assert_eq!(told, [expected]);
}

#[test]
fn h114_a_wish_for_memory_that_found_no_room_is_told_when_there_is_some() {
    let mut rig = Rig::new();
    while rig.driver.io.has_room(0) {
        let event = Event::DialFailed { dial: 1, errno: 1 };
        rig.driver.io.post(&event);
    }
    rig.driver.io.memory.is_short = true;
    rig.driver.turn(&rig.events);
    let parked = rig.driver.park();
    assert_eq!(parked, None, "nothing to do as long as there is no room");
    let seam = Arc::clone(&rig.driver.io.seam);
    let told = seam.events.tail();
    seam.events.consume(told);
    seam.event_room_made();
    rig.poll
        .poll(&mut rig.events, Some(Duration::ZERO))
        .unwrap();
    assert!(!rig.events.is_empty(), "it is woken");
    rig.driver.turn(&rig.events);
    assert_eq!(seam.events.tail(), told.wrapping_add(1));
    let event = Event::decode(seam.events.read(told));
    assert_eq!(event, Some(Event::NeedMemory));
    assert_eq!(rig.driver.park(), None);
}

#[test]
fn h114_memory_in_pieces_is_a_reason_to_ask_once_and_not_in_each_turn() {
    let mut rig = Rig::with_memory(8 * CHUNK_BYTES);
    let (mut client, _id) = rig.open();
    let arena = rig.driver.io.memory.arena().clone();
    // Half of the memory is free, in pieces of half of what a driver would like.
    let nodes: Vec<_> =
        std::iter::from_fn(|| arena.allocate_for(Purpose::Any, READ_NODE_BYTES / 2)).collect();
    let _kept: Vec<_> = nodes.into_iter().step_by(2).collect();
    client.write_all(b"into a piece").unwrap();
    let asks = |told: Vec<Event>| {
        let is_wish = |event: &&Event| **event == Event::NeedMemory;
        told.iter().filter(is_wish).count()
    };
    rig.poll
        .poll(&mut rig.events, Some(Duration::from_secs(1)))
        .unwrap();
    rig.driver.turn(&rig.events);
    assert_eq!(asks(rig.told_in_all()), 1);
    for _ in 0..3 {
        arena.grant(Chunk::boxed(CHUNK_BYTES)).unwrap();
        rig.events.clear();
        rig.driver.turn(&rig.events);
        assert_eq!(asks(rig.told_in_all()), 0, "nothing has been read since");
    }
}
