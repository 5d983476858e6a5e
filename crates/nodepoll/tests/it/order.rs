//! Bytes and the order of events, over every size of ring and number of pollers.

use std::io::Write;
use std::net::{Shutdown, SocketAddr};
use std::thread;

use nodepoll::EndReason;
use nodepoll::limits::RING_RECORDS_MIN;

use crate::support::{
    Bed, OnData, Random, Scratch, connect, connect_path, pattern, read_all, read_exactly,
};

/// Sends messages of random sizes and checks what comes back.
pub(crate) fn converse(address: SocketAddr, seed: u64, rounds: usize) {
    let mut client = connect(address);
    let mut random = Random::new(seed);
    for round in 0..rounds {
        let magnitude = random.below(17);
        let len = 1 + random.below(1 << magnitude);
        let sent = pattern(seed * 1000 + round as u64, len);
        let mut writer = client.try_clone().unwrap();
        let copy = sent.clone();
        thread::scope(|scope| {
            scope.spawn(move || writer.write_all(&copy).unwrap());
            assert!(
                read_exactly(&client, len).unwrap() == sent,
                "seed {seed} {round}"
            );
        });
    }
    client.write_all(b"last words").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&client).unwrap(), b"last words");
}

#[test]
fn h86_an_echo_is_exact_and_in_order_for_any_number_of_pollers_and_size_of_ring() {
    for (pollers, records) in [(1, RING_RECORDS_MIN), (2, 64), (3, 128), (4, 2048)] {
        let mut bed = Bed::start(pollers, records);
        bed.log.on_data = OnData::Echo;
        bed.log.closes_on_end = true;
        let address = bed.listen();
        let clients: Vec<_> = (0..8)
            .map(|seed| thread::spawn(move || converse(address, seed, 20)))
            .collect();
        bed.until("eight conversations are over", |log| {
            log.names.len() == 8 && log.open().is_empty()
        });
        for client in clients {
            client.join().unwrap();
        }
        let local = |seen: &crate::support::Seen| seen.closed == Some(EndReason::Local);
        assert!(bed.log.connections.values().all(local));
        let lanes = bed.log.names.iter().map(|name| name.0);
        let mut used: Vec<_> = lanes.collect();
        used.sort_unstable();
        used.dedup();
        assert_eq!(used.len(), pollers, "each poller has had connections");
    }
}

#[test]
fn h86_many_short_connections_through_the_smallest_rings() {
    for pollers in [1, 4] {
        let mut bed = Bed::start(pollers, RING_RECORDS_MIN);
        bed.log.on_data = OnData::Echo;
        bed.log.closes_on_end = true;
        let address = bed.listen();
        let clients: Vec<_> = (0..4)
            .map(|seed| {
                thread::spawn(move || {
                    for (round, len) in (0..60).zip((1..).step_by(37)) {
                        let sent = pattern(seed * 100 + round, len);
                        let mut client = connect(address);
                        client.write_all(&sent).unwrap();
                        client.shutdown(Shutdown::Write).unwrap();
                        assert_eq!(read_all(&client).unwrap(), sent);
                    }
                })
            })
            .collect();
        bed.until("all connections are over", |log| {
            log.names.len() == 240 && log.open().is_empty()
        });
        for client in clients {
            client.join().unwrap();
        }
        assert!(bed.log.connections.values().all(|seen| seen.has_ended));
    }
}

#[test]
fn an_echo_over_a_unix_socket_is_exact() {
    let scratch = Scratch::new();
    let path = scratch.file("echo");
    let mut bed = Bed::start(2, 64);
    bed.log.on_data = OnData::Echo;
    bed.log.closes_on_end = true;
    let (lane, listener) = bed.listen_path(&path);
    bed.accept(lane, listener);
    let client = thread::spawn(move || {
        let client = connect_path(&path);
        let sent = pattern(1, 1 << 20);
        let (mut writer, copy) = (client.try_clone().unwrap(), sent.clone());
        thread::scope(|scope| {
            scope.spawn(move || {
                writer.write_all(&copy).unwrap();
                writer.shutdown(Shutdown::Write).unwrap();
            });
            assert!(read_all(&client).unwrap() == sent);
        });
    });
    bed.until("the conversation is over", |log| {
        log.names.len() == 1 && log.open().is_empty()
    });
    client.join().unwrap();
}
