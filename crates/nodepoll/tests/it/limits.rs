//! How many connections there may be, and where they go.

use std::collections::BTreeMap;
use std::net::TcpStream;

use nodepoll::{Command, KeepAlive, LoadBalance, Treatment};

use crate::support::{Bed, Name, connect};

const USUAL: Treatment = Treatment {
    no_delay: true,
    keep_alive: None,
    limit: None,
};

fn open_by_lane(bed: &Bed) -> BTreeMap<usize, usize> {
    let mut counts = BTreeMap::new();
    for (lane, _) in bed.log.open() {
        *counts.entry(lane).or_default() += 1;
    }
    counts
}

#[test]
fn h78_peers_beyond_the_limit_wait_until_others_have_gone() {
    for pollers in [1, 3] {
        let mut bed = Bed::balanced(pollers, LoadBalance::RoundRobin);
        let (lane, listener, address) = bed.listen_only();
        let limit = Some((1, 10));
        bed.host
            .runtime()
            .treat(lane, listener, &Treatment { limit, ..USUAL });
        bed.accept(lane, listener);
        let clients: Vec<TcpStream> = (0..50).map(|_| connect(address)).collect();
        for served in 0..50 {
            let expected = 10.min(50 - served);
            bed.until("as many as may be are open", |log| {
                log.open().len() == expected
            });
            bed.settle();
            assert_eq!(bed.log.open().len(), expected, "and no more");
            let first = bed.log.open()[0];
            bed.destroy(first);
            bed.until("it is closed", |log| log.closed(first).is_some());
        }
        assert_eq!(bed.log.names.len(), 50, "all were served");
        drop(clients);
    }
}

#[test]
fn listeners_share_a_limit_and_none_of_them_keeps_it() {
    let mut bed = Bed::balanced(2, LoadBalance::RoundRobin);
    let mut addresses = Vec::new();
    for _ in 0..2 {
        let (lane, listener, address) = bed.listen_only();
        let limit = Some((7, 3));
        bed.host
            .runtime()
            .treat(lane, listener, &Treatment { limit, ..USUAL });
        bed.accept(lane, listener);
        addresses.push(address);
    }
    for round in 0..20 {
        let clients: Vec<TcpStream> = (0..6).map(|_| connect(addresses[round % 2])).collect();
        bed.until("three are open", |log| log.open().len() == 3);
        let other = connect(addresses[1 - round % 2]);
        bed.settle();
        assert_eq!(bed.log.open().len(), 3);
        let served = bed.log.names.len();
        while bed.log.names.len() < served + 4 || !bed.log.open().is_empty() {
            for name in bed.log.open() {
                bed.destroy(name);
            }
            bed.turn();
        }
        drop((clients, other));
    }
}

#[test]
fn a_listener_that_is_full_can_be_closed() {
    let mut bed = Bed::new();
    let (lane, listener, address) = bed.listen_only();
    let limit = Some((1, 1));
    bed.host
        .runtime()
        .treat(lane, listener, &Treatment { limit, ..USUAL });
    bed.accept(lane, listener);
    let (_first, name) = bed.connect(address);
    let _second = connect(address);
    bed.command(lane, &Command::CloseListener { listener });
    bed.settle();
    assert!(
        bed.log.listeners_closed.is_empty(),
        "somebody waits to be served"
    );
    bed.destroy(name);
    bed.until("the other is served", |log| log.names.len() == 2);
    let name = bed.log.names[1];
    bed.destroy(name);
    bed.until("it is closed", |log| {
        log.listeners_closed.contains_key(&listener)
    });
}

#[test]
fn each_rule_spreads_connections_as_it_says() {
    for (balance, least, most) in [
        (LoadBalance::RoundRobin, 100, 100),
        (LoadBalance::Random, 60, 140),
        (LoadBalance::LeastConnections, 100, 100),
    ] {
        let mut bed = Bed::balanced(4, balance);
        let address = bed.listen();
        let clients: Vec<TcpStream> = (0..400).map(|_| connect(address)).collect();
        bed.until("all are open", |log| log.names.len() == 400);
        let counts = open_by_lane(&bed);
        assert_eq!(counts.len(), 4, "{balance:?}");
        for count in counts.values() {
            assert!((least..=most).contains(count), "{balance:?}: {counts:?}");
        }
        drop(clients);
    }
}

#[test]
fn h93_the_fewest_connections_are_those_that_are_open_now() {
    let mut bed = Bed::balanced(3, LoadBalance::LeastConnections);
    let address = bed.listen();
    let mut clients: Vec<TcpStream> = (0..300).map(|_| connect(address)).collect();
    bed.until("all are open", |log| log.names.len() == 300);
    let of_lane_0: Vec<Name> = bed
        .log
        .open()
        .into_iter()
        .filter(|name| name.0 == 0)
        .collect();
    for &name in &of_lane_0 {
        bed.destroy(name);
    }
    bed.until("they are closed", |log| log.open().len() == 200);
    clients.extend((0..100).map(|_| connect(address)));
    bed.until("others are open", |log| log.open().len() == 300);
    let counts = open_by_lane(&bed);
    assert_eq!(counts.into_values().collect::<Vec<_>>(), [100, 100, 100]);
}

#[test]
fn h54_options_of_sockets_reach_the_kernel() {
    let mut bed = Bed::new();
    let probes = KeepAlive {
        idle_seconds: 77,
        interval_seconds: 11,
        count: 3,
    };
    for (no_delay, keep_alive) in [(true, None), (false, None), (true, Some(probes))] {
        let (lane, listener, address) = bed.listen_only();
        let treatment = Treatment {
            no_delay,
            keep_alive,
            limit: None,
        };
        bed.host.runtime().treat(lane, listener, &treatment);
        bed.accept(lane, listener);
        let (client, name) = bed.connect(address);
        let (lane, id) = name;
        assert_eq!(options_of_other_end(&client), (no_delay, keep_alive));
        bed.command(lane, &Command::NoDelay { id, on: !no_delay });
        let keep_alive = keep_alive.is_none().then_some(probes);
        bed.command(lane, &Command::KeepAlive { id, keep_alive });
        bed.settle();
        assert_eq!(options_of_other_end(&client), (!no_delay, keep_alive));
    }
}

/// What the kernel has noted of our end of a connection.
fn options_of_other_end(client: &TcpStream) -> (bool, Option<KeepAlive>) {
    let file = crate::descriptors::other_end(client);
    let socket = socket2::SockRef::from(&file);
    let seconds = |time: std::time::Duration| u32::try_from(time.as_secs()).unwrap();
    let keep_alive = socket.keepalive().unwrap().then(|| KeepAlive {
        idle_seconds: seconds(socket.tcp_keepalive_time().unwrap()),
        interval_seconds: seconds(socket.tcp_keepalive_interval().unwrap()),
        count: socket.tcp_keepalive_retries().unwrap(),
    });
    (socket.tcp_nodelay().unwrap(), keep_alive)
}
