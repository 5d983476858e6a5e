//! A host that does not come, and rings that are full.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use nodepoll::Command;
use nodepoll::limits::{DIRECT_COMMANDS, RING_RECORDS_MIN};

use crate::support::{Bed, Name, OnData, Random, connect, pattern, read_all, read_exactly};

#[test]
fn h51_h58_reading_pauses_while_the_host_is_away_and_nothing_is_dropped() {
    let mut bed = Bed::start(1, RING_RECORDS_MIN);
    let address = bed.listen();
    let (mut flood, flooding) = bed.connect(address);
    let (mut other, othering) = bed.connect(address);
    let writer = std::thread::spawn(move || {
        let bytes = pattern(1, 4 << 20);
        for part in bytes.chunks(1000) {
            flood.write_all(part).unwrap();
        }
        flood.shutdown(Shutdown::Write).unwrap();
        flood
    });
    bed.neglect_until("reading pauses", |counters| counters.pauses_for_events > 0);
    // While the ring is full: bytes, an end, and a connection that comes and goes.
    other.write_all(b"wait").unwrap();
    other.shutdown(Shutdown::Write).unwrap();
    let mut late = connect(address);
    late.write_all(b"late").unwrap();
    late.shutdown(Shutdown::Write).unwrap();
    let read = bed.counters().bytes_read;
    bed.host.wait(Duration::from_millis(50));
    bed.host.wait(Duration::from_millis(50));
    assert_eq!(bed.counters().bytes_read, read, "nobody reads any more");
    bed.until("all have ended", |log| {
        log.names.len() == 3 && log.names.iter().all(|&name| log.has_ended(name))
    });
    assert!(bed.log.input(flooding) == pattern(1, 4 << 20));
    assert_eq!(bed.log.input(othering), b"wait");
    let late = bed.accepted(late.local_addr().unwrap());
    assert_eq!(bed.log.input(late), b"late");
    writer.join().unwrap();
}

#[test]
fn h58_ends_that_found_no_room_are_told_once_there_is_some() {
    let mut bed = Bed::start(1, RING_RECORDS_MIN);
    let address = bed.listen();
    let mut clients = Vec::new();
    for _ in 0..3 * RING_RECORDS_MIN {
        clients.push(bed.connect(address));
    }
    bed.settle();
    // The poller finds all of them ended at once.
    for &(_, (lane, id)) in &clients {
        bed.host.send(lane, &Command::Destroy { id });
        bed.host.hand_over();
    }
    bed.until("all are closed", |log| log.open().is_empty());
}

#[test]
fn h58_ends_that_found_no_room_while_the_host_drove_are_told_once_there_is_some() {
    let mut bed = Bed::start(1, RING_RECORDS_MIN);
    let address = bed.listen();
    let clients: Vec<_> = (0..3 * RING_RECORDS_MIN)
        .map(|_| bed.connect(address))
        .collect();
    bed.settle();
    let drives = bed.counters().drives;
    // One at a time and with pauses, so that the poller is parked and the host drives.
    for &(_, (lane, id)) in &clients {
        bed.host.send(lane, &Command::Destroy { id });
        bed.host.hand_over();
        bed.host.wait(Duration::from_millis(1));
    }
    assert!(bed.counters().drives > drives + 10, "the host has driven");
    bed.until("all are closed", |log| log.open().is_empty());
}

/// Fills the event ring with answers that the host does not read.
fn fill_events(bed: &mut Bed, (lane, id): Name) {
    for _ in 0..2 * RING_RECORDS_MIN {
        bed.command(lane, &Command::Acknowledge { id });
        bed.host.hand_over();
    }
}

#[test]
fn h95_a_close_discards_input_that_waited_for_room() {
    let mut bed = Bed::start(1, RING_RECORDS_MIN);
    let address = bed.listen();
    let (_other, othering) = bed.connect(address);
    let (mut client, name) = bed.connect(address);
    bed.settle();
    fill_events(&mut bed, othering);
    // A peer that reads only after it has sent all, which is more than the kernel keeps.
    let talking = std::thread::spawn(move || {
        client.write_all(&vec![7; 16 << 20]).unwrap();
        read_all(&client).unwrap()
    });
    bed.neglect_until("it waits", |counters| counters.pauses_for_events > 0);
    let reply = pattern(2, 8 << 20);
    bed.write(name, &reply);
    bed.close(name);
    bed.host.hand_over();
    // The host stays away until the peer has got all.
    assert!(talking.join().unwrap() == reply);
    bed.until("it is closed", |log| log.closed(name).is_some());
}

#[test]
fn a_probe_reads_what_waited_for_room_and_then_tells_that_nothing_is_left() {
    let mut bed = Bed::start(1, RING_RECORDS_MIN);
    let address = bed.listen();
    let (_other, othering) = bed.connect(address);
    let (mut client, name) = bed.connect(address);
    bed.settle();
    fill_events(&mut bed, othering);
    client.write_all(b"waits").unwrap();
    bed.neglect_until("it waits", |counters| counters.pauses_for_events > 0);
    bed.command(name.0, &Command::Probe { id: name.1 });
    bed.until("nothing is left", |log| log.seen(name).quiet == 1);
    assert_eq!(bed.log.input(name), b"waits");
}

#[test]
fn h85_full_rings_on_both_sides_do_not_lock_each_other_up() {
    let mut bed = Bed::start(1, RING_RECORDS_MIN);
    bed.log.on_data = OnData::Echo;
    bed.log.closes_on_end = true;
    let address = bed.listen();
    let clients: Vec<(TcpStream, _)> = (0..8).map(|_| bed.connect(address)).collect();
    std::thread::scope(|scope| {
        let mut readers = Vec::new();
        for (seed, (client, _)) in (0_u64..).zip(&clients) {
            let sent = pattern(seed, 300_000);
            let (mut writer, copy) = (client.try_clone().unwrap(), sent.clone());
            scope.spawn(move || {
                let mut random = Random::new(seed);
                let mut rest = &copy[..];
                while !rest.is_empty() {
                    let (part, later) = rest.split_at(rest.len().min(1 + random.below(300)));
                    writer.write_all(part).unwrap();
                    rest = later;
                }
                writer.shutdown(Shutdown::Write).unwrap();
            });
            readers.push(scope.spawn(move || read_all(client).unwrap() == sent));
        }
        bed.until("all echoes are over", |log| log.open().is_empty());
        for reader in readers {
            assert!(reader.join().unwrap());
        }
    });
}

#[test]
fn h60_a_lone_command_is_never_left_lying() {
    let mut bed = Bed::new();
    let address = bed.listen();
    let (client, name) = bed.connect(address);
    let mut random = Random::new(7);
    for round in 0_u32..2000 {
        let sent = round.to_le_bytes();
        // Now and then more than the host sends by itself.
        let copies = 1 + random.below(2 * DIRECT_COMMANDS as usize);
        for _ in 0..copies {
            bed.write(name, &sent);
        }
        bed.turn();
        let back = read_exactly(&client, 4 * copies).unwrap();
        assert_eq!(back, sent.repeat(copies));
        for _ in 0..random.below(3000) {
            std::hint::spin_loop();
        }
    }
}

#[test]
fn h59_a_lone_event_is_never_left_lying() {
    let mut bed = Bed::new();
    bed.log.on_data = OnData::Echo;
    let address = bed.listen();
    let (mut client, name) = bed.connect(address);
    let asker = std::thread::spawn(move || {
        let mut random = Random::new(8);
        for round in 0_u32..2000 {
            client.write_all(&round.to_le_bytes()).unwrap();
            assert_eq!(read_exactly(&client, 4).unwrap(), round.to_le_bytes());
            for _ in 0..random.below(3000) {
                std::hint::spin_loop();
            }
        }
        client
    });
    bed.until("all has come", |log| log.input(name).len() == 8000);
    bed.turn();
    let client = asker.join().unwrap();
    bed.destroy(name);
    bed.until("it is closed", |log| log.closed(name).is_some());
    drop(client);
    assert!(bed.counters().host_wakeups <= bed.counters().events);
}

#[test]
fn h58_a_listener_that_is_made_while_the_event_ring_is_full_accepts() {
    let mut bed = Bed::start(1, RING_RECORDS_MIN);
    let address = bed.listen();
    let (mut flood, flooding) = bed.connect(address);
    let writer = std::thread::spawn(move || {
        flood.write_all(&pattern(1, 4 << 20)).unwrap();
        flood
    });
    bed.neglect_until("reading pauses", |counters| counters.pauses_for_events > 0);
    let address = bed.listen();
    bed.host.hand_over();
    let (mut client, name) = bed.connect(address);
    client.write_all(b"hello").unwrap();
    bed.until("both are read", |log| {
        log.input(name) == b"hello" && log.input(flooding).len() == 4 << 20
    });
    writer.join().unwrap();
}
