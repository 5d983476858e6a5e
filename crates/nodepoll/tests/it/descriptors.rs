//! Descriptors and threads, which belong to a whole process: each test has one of its own.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use nodepoll::limits::{ACCEPT_RETRY, RING_RECORDS, RING_RECORDS_MIN};
use nodepoll::{Command, Endpoint, RuntimeOptions, RustHost};
use socket2::{Domain, Socket, Type};

use crate::support::{Bed, OnData, PATIENCE, alone, connect, read_exactly};

const DESCRIPTORS_MAX: usize = 128;

/// One for what a poller learns from, and one to wake it. With poll(2) there is the second only.
const POLLERS_HAVE_DESCRIPTORS: bool = cfg!(not(mio_unsupported_force_poll_poll));

pub(crate) fn descriptors() -> usize {
    // One of them is that of the folder itself, each time.
    fs::read_dir("/proc/self/fd").unwrap().count()
}

fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

/// Limits them, within what may be limited anew later.
fn limit_descriptors(max: usize) {
    let limit = libc::rlimit {
        rlim_cur: max as u64,
        rlim_max: 1024,
    };
    // SAFETY: `limit` is a value of this function that lives during the call, which only reads it.
    let done = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    assert_eq!(done, 0);
}

fn exhaust() -> Vec<File> {
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

/// Sockets made while there were descriptors, to connect when there are none.
fn sockets(count: usize) -> Vec<TcpStream> {
    let socket = || {
        Socket::new(Domain::IPV4, Type::STREAM, None)
            .unwrap()
            .into()
    };
    (0..count).map(|_| socket()).collect()
}

fn connect_all(clients: &[TcpStream], address: SocketAddr) {
    for client in clients {
        socket2::SockRef::from(client)
            .connect(&address.into())
            .unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
    }
}

#[test]
fn h46_h73_without_descriptors_accepting_rests_and_goes_on_without_a_new_client() {
    alone(|| {
        limit_descriptors(DESCRIPTORS_MAX);
        let mut bed = Bed::new();
        bed.log.on_data = OnData::Echo;
        let address = bed.listen();
        bed.settle();
        let clients = sockets(20);
        let mut files = exhaust();
        connect_all(&clients, address);
        bed.until("the error is told", |log| !log.listener_errors.is_empty());
        assert_eq!(bed.log.listener_errors, [(1, libc::EMFILE)]);
        // Now nothing happens but a try from time to time.
        bed.settle();
        let turns = bed.counters().turns;
        assert!(!bed.host.wait(5 * ACCEPT_RETRY), "nothing more is told");
        bed.turn();
        let turns = bed.counters().turns - turns;
        assert!((2..=14).contains(&turns), "{turns} turns");
        assert_eq!(bed.log.listener_errors.len(), 1, "told once");
        assert_eq!(bed.log.names.len(), 0);
        // One at a time: each lets one peer in, and the next one finds the lack that was told.
        for accepted in 1..=3 {
            files.pop();
            bed.until("one is accepted", |log| log.names.len() == accepted);
        }
        assert!(!bed.host.wait(2 * ACCEPT_RETRY), "nothing more is told");
        assert_eq!(bed.log.listener_errors.len(), 1, "still told once");
        drop(files);
        let freed = Instant::now();
        bed.until("all are accepted", |log| log.names.len() == 20);
        assert!(freed.elapsed() < Duration::from_millis(1500));
        for mut client in &clients {
            client.write_all(b"ping").unwrap();
        }
        bed.until("all have come", |log| {
            log.connections.values().all(|seen| seen.input == b"ping")
        });
        bed.turn();
        for client in &clients {
            assert_eq!(read_exactly(client, 4).unwrap(), b"ping");
        }
        assert_eq!(bed.log.listener_errors.len(), 1);
    });
}

#[test]
fn h46_each_lack_of_descriptors_is_told_anew() {
    alone(|| {
        limit_descriptors(DESCRIPTORS_MAX);
        let mut bed = Bed::new();
        let address = bed.listen();
        bed.settle();
        for episode in 1..=2 {
            let clients = sockets(3);
            let files = exhaust();
            connect_all(&clients, address);
            bed.until("the error is told", |log| {
                log.listener_errors.len() == episode
            });
            drop(files);
            bed.until("all are accepted", |log| log.names.len() == 3 * episode);
        }
    });
}

#[test]
fn h22_a_listener_closes_while_it_waits_to_try_again() {
    alone(|| {
        limit_descriptors(DESCRIPTORS_MAX);
        let mut bed = Bed::new();
        let (lane, listener, address) = bed.listen_only();
        bed.accept(lane, listener);
        bed.settle();
        let clients = sockets(3);
        let files = exhaust();
        connect_all(&clients, address);
        bed.until("the error is told", |log| !log.listener_errors.is_empty());
        let before = Instant::now();
        bed.command(lane, &Command::CloseListener { listener });
        bed.until("it is closed", |log| {
            log.listeners_closed.contains_key(&listener)
        });
        assert!(before.elapsed() < Duration::from_secs(1));
        bed.settle();
        let turns = bed.counters().turns;
        assert!(!bed.host.wait(3 * ACCEPT_RETRY));
        let turns = bed.counters().turns - turns;
        assert!(turns <= 2, "no try is left: {turns} turns");
        drop(files);
        for mut client in clients {
            let ended = client.read(&mut [0]).map_err(|error| error.kind());
            assert!(matches!(ended, Ok(0) | Err(ErrorKind::ConnectionReset)));
        }
    });
}

#[test]
fn h46_a_listener_that_closes_without_descriptors_takes_who_waits_if_some_come_back() {
    alone(|| {
        limit_descriptors(DESCRIPTORS_MAX);
        let mut bed = Bed::new();
        let (lane, listener, address) = bed.listen_only();
        bed.accept(lane, listener);
        bed.settle();
        let clients = sockets(3);
        let files = exhaust();
        connect_all(&clients, address);
        bed.until("the error is told", |log| !log.listener_errors.is_empty());
        bed.command(lane, &Command::CloseListener { listener });
        // It tries once more at once, in vain.
        bed.settle();
        drop(files);
        bed.until("it is closed", |log| {
            log.listeners_closed.contains_key(&listener)
        });
        assert_eq!(bed.log.listeners_closed[&listener], 3, "all were accepted");
        bed.until("all are told of", |log| log.names.len() == 3);
    });
}

#[test]
fn h7_h47_a_runtime_that_ends_in_mid_traffic_leaves_no_descriptor_and_no_thread() {
    alone(|| {
        let (descriptors_before, threads_before) = (descriptors(), threads());
        for round in 0..50 {
            let mut bed = Bed::start(2, 64);
            bed.log.on_data = OnData::Echo;
            let address = bed.listen();
            let (_, _, waiting) = bed.listen_only();
            let queued = connect(waiting);
            let clients: Vec<_> = (0..4)
                .map(|_| {
                    thread::spawn(move || {
                        let mut client = connect(address);
                        let mut part = [7; 2000];
                        // Until the other side is gone.
                        while client.write_all(&part).is_ok() && client.read(&mut part).is_ok() {
                            if part[0] == 0 {
                                break;
                            }
                            part[0] = 0;
                        }
                    })
                })
                .collect();
            bed.until("traffic flows", |log| {
                let all = log.names.len() == 4;
                all && log.connections.values().all(|seen| seen.input.len() > 2000)
            });
            if round % 2 == 0 {
                // Connections in the mailbox of a driver, and a dial under way.
                bed.dial(Endpoint::Inet(address));
            }
            bed.end_abruptly();
            for client in clients {
                client.join().unwrap();
            }
            drop(queued);
        }
        assert_eq!(descriptors(), descriptors_before);
        assert_eq!(threads(), threads_before);
    });
}

#[test]
fn h7_a_start_that_fails_leaves_nothing_and_can_be_tried_again() {
    alone(|| {
        let options = RuntimeOptions {
            pollers: 4,
            ring_records: RING_RECORDS,
            ..RuntimeOptions::default()
        };
        let (descriptors_before, threads_before) = (descriptors(), threads());
        // With each number of descriptors too few, until it works.
        for spare in 0..64 {
            limit_descriptors(descriptors_before - 1 + spare);
            let started = RustHost::start(&options, 1 << 20);
            limit_descriptors(DESCRIPTORS_MAX);
            match started {
                Ok(host) => {
                    let least = if POLLERS_HAVE_DESCRIPTORS { 4 } else { 0 };
                    assert!(spare > least, "four pollers need more than {spare}");
                    drop(host);
                    assert_eq!(descriptors(), descriptors_before);
                    return;
                }
                Err(error) => assert_eq!(error.errno(), Some(libc::EMFILE)),
            }
            assert_eq!(descriptors(), descriptors_before, "with {spare}");
            assert_eq!(threads(), threads_before);
        }
        panic!("it never started");
    });
}

/// Limits the memory that this process may map.
fn limit_memory(max: u64) {
    let limit = libc::rlimit {
        rlim_cur: max,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: `limit` is a value of this function that lives during the call, which only reads it.
    let done = unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) };
    assert_eq!(done, 0);
}

fn mapped_bytes() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = pages.split(' ').next().unwrap().parse().unwrap();
    pages * 4096
}

#[test]
fn h7_a_thread_that_cannot_be_made_is_an_error_and_leaves_nothing() {
    alone(|| {
        let options = RuntimeOptions {
            ring_records: RING_RECORDS_MIN,
            ..RuntimeOptions::default()
        };
        if mapped_bytes() > 1 << 40 {
            // A sanitizer maps nearly all there is, and ends the process when it gets no more.
            return;
        }
        let (descriptors_before, threads_before) = (descriptors(), threads());
        // Less than a thread's stack.
        limit_memory(mapped_bytes() + (1 << 20));
        let started = RustHost::start(&options, 1 << 20);
        limit_memory(libc::RLIM_INFINITY);
        let errno = started
            .err()
            .expect("there is no memory for a stack")
            .errno();
        assert_eq!(errno, Some(libc::EAGAIN));
        assert_eq!(descriptors(), descriptors_before);
        assert_eq!(threads(), threads_before);
        drop(RustHost::start(&options, 1 << 20).unwrap());
        assert_eq!(descriptors(), descriptors_before);
    });
}

#[test]
fn h7_no_pollers_and_too_many_are_refused() {
    for pollers in [0, nodepoll::limits::POLLERS_MAX + 1] {
        let options = RuntimeOptions {
            pollers,
            ring_records: RING_RECORDS,
            ..RuntimeOptions::default()
        };
        assert!(RustHost::start(&options, 1 << 20).is_err());
    }
}

/// The descriptor of this process that is the other end of `client`.
pub(crate) fn other_end(client: &TcpStream) -> File {
    use std::os::fd::BorrowedFd;

    let wanted = client.local_addr().unwrap();
    let names = fs::read_dir("/proc/self/fd").unwrap();
    let numbers = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    for number in numbers.map(|name| name.parse().unwrap()) {
        // SAFETY: the number is only lent for calls that fail on a descriptor that is not open.
        let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
        let socket = socket2::SockRef::from(&borrowed);
        let peer = socket.peer_addr().ok().and_then(|peer| peer.as_socket());
        if peer == Some(wanted) {
            let copy = borrowed.try_clone_to_owned().unwrap();
            return File::from(copy);
        }
    }
    panic!("nobody has {wanted} as its peer");
}

#[test]
fn h11_a_connection_whose_descriptor_somebody_else_holds_ends_all_the_same() {
    alone(|| {
        let mut bed = Bed::new();
        let address = bed.listen();
        let (mut client, name) = bed.connect(address);
        let copy = other_end(&client);
        bed.destroy(name);
        bed.until("it is closed", |log| log.closed(name).is_some());
        assert_eq!(client.read(&mut [0]).unwrap(), 0, "FIN came");
        bed.settle();
        // What the peer does now makes no event, although the socket lives on in the copy.
        let before = bed.counters();
        let _ = client.write_all(b"anybody there?");
        assert!(!bed.host.wait(Duration::from_millis(100)));
        let after = bed.counters();
        assert_eq!(after.stale_events, before.stale_events);
        assert!(after.turns <= before.turns + 1);
        drop(copy);
    });
}
