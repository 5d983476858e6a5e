//! Listeners.

use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::time::Duration;

use nodepoll::limits::{ACCEPT_BATCH, RING_RECORDS, RING_RECORDS_MIN};
use nodepoll::{Address, Command, Endpoint, ListenOptions};

use crate::support::{Bed, OnData, Scratch, connect, connect_path, read_all, read_exactly};

#[test]
fn nothing_is_accepted_before_the_host_says_so() {
    let mut bed = Bed::new();
    let (lane, listener, address) = bed.listen_only();
    let mut client = connect(address);
    client.write_all(b"early").unwrap();
    bed.settle();
    assert_eq!((bed.log.names.len(), bed.counters().accepts), (0, 0));
    bed.accept(lane, listener);
    let name = bed.accepted(client.local_addr().unwrap());
    bed.until("what came early comes", |log| log.input(name) == b"early");
    assert_eq!(bed.log.seen(name).number, listener);
}

#[test]
fn h77_a_listener_that_closes_takes_those_who_wait_first() {
    for (pollers, records) in [(1, RING_RECORDS), (3, RING_RECORDS_MIN)] {
        let count = 3 * ACCEPT_BATCH;
        let mut bed = Bed::start(pollers, records);
        bed.log.on_data = OnData::Echo;
        let (lane, listener, address) = bed.listen_only();
        let mut clients: Vec<_> = (0..count).map(|_| connect(address)).collect();
        bed.accept(lane, listener);
        bed.command(lane, &Command::CloseListener { listener });
        let accepted = u32::try_from(count).unwrap();
        bed.until("all are accepted and the listener is closed", |log| {
            log.names.len() == count && log.listeners_closed.get(&listener) == Some(&accepted)
        });
        let error = TcpStream::connect(address).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        for client in &mut clients {
            client.write_all(b"ping").unwrap();
        }
        bed.until("all have come", |log| {
            let mut names = log.names.iter();
            names.all(|&name| log.input(name) == b"ping")
        });
        bed.turn();
        for client in &clients {
            assert_eq!(read_exactly(client, 4).unwrap(), b"ping");
        }
        bed.command(lane, &Command::CloseListener { listener });
        bed.poll("a second close is stale", |bed| {
            bed.counters().stale_commands == 1
        });
        assert_eq!(bed.counters().listeners, 0);
    }
}

#[test]
fn a_listener_that_never_accepted_sends_those_who_wait_away() {
    let mut bed = Bed::new();
    let (lane, listener, address) = bed.listen_only();
    let client = connect(address);
    bed.command(lane, &Command::CloseListener { listener });
    bed.until("it is closed", |log| {
        log.listeners_closed.contains_key(&listener)
    });
    assert_eq!(bed.log.listeners_closed[&listener], 0);
    let ended = read_all(&client).map_err(|error| error.kind());
    assert_eq!(ended, Err(ErrorKind::ConnectionReset));
}

#[test]
fn h78_accepting_pauses_while_the_host_is_away_and_goes_on_without_an_edge() {
    let mut bed = Bed::start(1, RING_RECORDS_MIN);
    let address = bed.listen();
    bed.settle();
    let count = 4 * RING_RECORDS_MIN as usize;
    let clients: Vec<_> = (0..count).map(|_| connect(address)).collect();
    bed.neglect_until("accepting pauses", |counters| {
        counters.pauses_for_events > 0
    });
    assert!(bed.counters().accepts < u64::from(RING_RECORDS_MIN));
    bed.until("all are accepted", |log| log.names.len() == count);
    drop(clients);
    bed.until("all have ended", |log| {
        log.names.iter().all(|&name| log.has_ended(name))
    });
}

#[test]
fn h98_connections_that_die_in_the_queue_do_not_stop_the_listener() {
    let mut bed = Bed::new();
    let (lane, listener, address) = bed.listen_only();
    for _ in 0..100 {
        crate::support::reset(connect(address));
    }
    bed.accept(lane, listener);
    let (_client, name) = bed.connect(address);
    assert!(bed.log.listener_errors.is_empty());
    assert_eq!(bed.log.closed(name), None);
    bed.until("only it is left", |log| log.open() == [name]);
}

#[test]
fn an_address_in_use_is_an_error_of_listen() {
    let mut bed = Bed::new();
    let (_, _, address) = bed.listen_only();
    let options = ListenOptions {
        listener: 50,
        endpoint: Endpoint::Inet(address),
        backlog: 1,
        ipv6_only: false,
        reuse_port: false,
    };
    let error = bed.host.listen(&options).unwrap_err().system().unwrap();
    assert_eq!((error.errno, error.syscall), (libc::EADDRINUSE, "listen"));
}

#[test]
fn h99_the_file_of_a_unix_socket_goes_with_its_listener_but_not_a_successors() {
    let scratch = Scratch::new();
    let path = scratch.file("socket");
    let mut bed = Bed::new();
    let (lane, first) = bed.listen_path(&path);
    assert!(path.exists());
    // A successor takes the path over, then the first one closes.
    std::fs::remove_file(&path).unwrap();
    let (second_lane, second) = bed.listen_path(&path);
    bed.command(lane, &Command::CloseListener { listener: first });
    bed.until("the first is closed", |log| {
        log.listeners_closed.contains_key(&first)
    });
    bed.accept(second_lane, second);
    let _client = connect_path(&path);
    let name = bed.next_accepted();
    assert_eq!(bed.log.seen(name).number, second);
    bed.command(second_lane, &Command::CloseListener { listener: second });
    bed.until("the second is closed", |log| {
        log.listeners_closed.contains_key(&second)
    });
    assert!(!path.exists());
    let long = scratch.file(&"x".repeat(200));
    let options = ListenOptions {
        listener: 51,
        endpoint: Endpoint::Path(long.clone()),
        backlog: 1,
        ipv6_only: false,
        reuse_port: false,
    };
    let error = bed.host.listen(&options).unwrap_err().system().unwrap();
    assert_eq!(error.errno, libc::ENAMETOOLONG);
    assert!(!long.exists());
}

#[test]
fn a_wildcard_listener_says_which_address_was_dialed() {
    let mut bed = Bed::new();
    let options = ListenOptions {
        listener: 52,
        endpoint: Endpoint::Inet("0.0.0.0:0".parse().unwrap()),
        backlog: 8,
        ipv6_only: false,
        reuse_port: false,
    };
    let (lane, address) = bed.host.listen(&options).unwrap();
    let Address::Inet(bound) = address else {
        panic!("{address:?}");
    };
    bed.accept(lane, 52);
    let client = connect(([127, 0, 0, 1], bound.port()).into());
    let mut local = None;
    while local.is_none() {
        bed.host.exchange(|_, _, event| {
            if let nodepoll::Event::Accepted { local: address, .. } = event {
                local = Some(address);
            }
        });
        bed.host.wait(Duration::from_millis(1));
    }
    assert_eq!(local, Some(Address::Inet(client.peer_addr().unwrap())));
    // Its connection was not written down, so it ends with the runtime.
    bed.end_abruptly();
}
