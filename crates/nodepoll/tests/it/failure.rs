//! A panic costs one driver its connections, and nobody else anything.

use std::io::{ErrorKind, Write};
use std::net::TcpStream;

use nodepoll::Command;
use nodepoll::ConnectionId;
use nodepoll::limits::DIRECT_COMMANDS;

use crate::support::{Bed, Name, OnData, connect, read_all, read_exactly};

/// Two lanes, a listener in the first, and connections in both.
struct Pair {
    bed: Bed,
    address: std::net::SocketAddr,
    clients: Vec<(TcpStream, Name)>,
}

impl Pair {
    fn new() -> Self {
        let mut bed = Bed::start(2, 64);
        bed.log.on_data = OnData::Echo;
        let address = bed.listen();
        let clients: Vec<_> = (0..6).map(|_| bed.connect(address)).collect();
        let of_lane = |lane| clients.iter().filter(|(_, name)| name.0 == lane).count();
        assert_eq!((of_lane(0), of_lane(1)), (3, 3));
        bed.settle();
        Self {
            bed,
            address,
            clients,
        }
    }

    /// The lane has failed: its clients are let go, those of the other one are served.
    fn check(&mut self, failed: usize) {
        let bed = &mut self.bed;
        assert!(bed.log.failed.iter().eq([&failed]));
        for (client, name) in &mut self.clients {
            if name.0 == failed {
                let ended = read_all(&*client);
                assert!(ended.is_ok_and(|bytes| bytes.is_empty()), "FIN, no more");
                continue;
            }
            let known = bed.log.input(*name).len();
            client.write_all(b"alive").unwrap();
            bed.until("the other lane hears", |log| {
                log.input(*name)[known..] == *b"alive"
            });
            bed.turn();
            assert_eq!(read_exactly(&*client, 5).unwrap(), b"alive");
        }
    }
}

/// So many commands that the host leaves them to the poller.
fn crowd(bed: &mut Bed, lane: usize) {
    let id = ConnectionId {
        slot: 0,
        generation: 0,
    };
    for _ in 0..=DIRECT_COMMANDS {
        bed.command(lane, &Command::Acknowledge { id });
    }
}

#[test]
fn h65_a_panic_on_the_poller_ends_its_lane_only() {
    let mut pair = Pair::new();
    crowd(&mut pair.bed, 1);
    pair.bed.command(1, &Command::Fault);
    pair.bed.until("it fails", |log| log.failed.contains(&1));
    pair.check(1);
}

#[test]
fn h65_a_panic_on_the_hosts_thread_ends_its_lane_only() {
    // The host drives only while the poller is parked, which cannot be seen from here. If it did,
    // the failure is there with the exchange that handed the command over.
    for _ in 0..10 {
        let mut pair = Pair::new();
        pair.bed.command(1, &Command::Fault);
        pair.bed.turn();
        let at_once = pair.bed.log.failed.contains(&1);
        pair.bed.until("it fails", |log| log.failed.contains(&1));
        pair.check(1);
        if at_once {
            return;
        }
    }
    panic!("the poller was never parked");
}

#[test]
fn h65_a_lane_that_failed_gets_no_more_connections() {
    let mut pair = Pair::new();
    pair.bed.command(1, &Command::Fault);
    pair.bed.until("it fails", |log| log.failed.contains(&1));
    let address = pair.address;
    for _ in 0..6 {
        let (mut client, name) = pair.bed.connect(address);
        assert_eq!(name.0, 0);
        client.write_all(b"hello").unwrap();
        pair.bed
            .until("it is served", |log| log.input(name) == b"hello");
    }
}

#[test]
fn h65_who_has_seen_that_a_lane_has_failed_gives_it_nothing_new() {
    for _ in 0..20 {
        let mut pair = Pair::new();
        let more: Vec<_> = (0..50).map(|_| pair.bed.connect(pair.address)).collect();
        crowd(&mut pair.bed, 1);
        pair.bed.command(1, &Command::Fault);
        // Without a pause, to see it as soon as it can be seen.
        while pair.bed.log.failed.is_empty() {
            pair.bed.turn();
        }
        for _ in 0..2 {
            let (lane, ..) = pair.bed.listen_only();
            assert_eq!(lane, 0);
        }
        drop(more);
    }
}

#[test]
fn h65_a_failed_lane_takes_its_listeners_along() {
    let mut pair = Pair::new();
    crowd(&mut pair.bed, 0);
    pair.bed.command(0, &Command::Fault);
    pair.bed.until("it fails", |log| log.failed.contains(&0));
    let error = TcpStream::connect(pair.address).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    pair.check(0);
    // A new listener goes to the lane that lives.
    let address = pair.bed.listen();
    let client = connect(address);
    let known = pair.bed.accepted(client.local_addr().unwrap());
    assert_eq!(known.0, 1);
}

#[test]
fn h65_leases_in_commands_to_a_failed_lane_are_freed() {
    let mut pair = Pair::new();
    pair.bed.command(1, &Command::Fault);
    pair.bed.until("it fails", |log| log.failed.contains(&1));
    for index in 0..6 {
        let name = pair.clients[index].1;
        if name.0 == 1 {
            pair.bed.write(name, b"nobody hears");
        }
    }
    pair.bed.turn();
    let stats = pair.bed.host.runtime().arena().stats();
    assert_eq!(stats.leases, 0);
}

#[test]
fn h65_rooms_in_commands_to_a_failed_lane_are_freed() {
    let mut pair = Pair::new();
    pair.bed.command(1, &Command::Fault);
    pair.bed.until("it fails", |log| log.failed.contains(&1));
    let &(_, (lane, id)) = pair.clients.iter().find(|(_, name)| name.0 == 1).unwrap();
    let arena = pair.bed.host.runtime().arena();
    let leased = arena.lease_node(4096).unwrap();
    assert!(arena.release(leased.node, leased.len - 1));
    let (room, position) = (leased, 0);
    pair.bed
        .command(lane, &Command::Fill { id, room, position });
    pair.bed.turn();
    let stats = pair.bed.host.runtime().arena().stats();
    assert_eq!(stats.leases, 0);
}

#[test]
fn h65_leases_in_commands_behind_the_panic_are_freed() {
    for crowded in [false, true] {
        let mut pair = Pair::new();
        if crowded {
            crowd(&mut pair.bed, 1);
        }
        pair.bed.command(1, &Command::Fault);
        let (_, name) = pair.clients.iter().find(|(_, name)| name.0 == 1).unwrap();
        let name = *name;
        pair.bed.write(name, b"behind it");
        pair.bed.until("it fails", |log| log.failed.contains(&1));
        pair.bed.poll("the lease is freed", |bed| {
            bed.host.runtime().arena().stats().leases == 0
        });
    }
}
