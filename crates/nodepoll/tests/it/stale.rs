//! Commands for what is no more.

use std::io::Write;
use std::net::{Shutdown, TcpStream};

use nodepoll::{Command, EndReason};

use crate::support::{Bed, Name, OnData, Random, pattern, read_all, read_exactly};

#[test]
fn h57_commands_for_a_dead_generation_do_nothing_to_the_next_tenant_of_its_row() {
    for beyond_direct in [false, true] {
        let mut bed = Bed::new();
        bed.log.on_data = OnData::Echo;
        let address = bed.listen();
        let (_first, dead) = bed.connect(address);
        bed.destroy(dead);
        bed.until("it is closed", |log| log.closed(dead).is_some());
        let (mut second, live) = bed.connect(address);
        assert_eq!((dead.0, dead.1.slot), (live.0, live.1.slot), "same row");
        assert_ne!(dead.1.generation, live.1.generation);
        bed.settle();

        let stale = bed.counters().stale_commands;
        let (lane, id) = dead;
        let segment = bed.lease(b"foreign");
        bed.command(lane, &Command::Write { id, segment });
        bed.command(lane, &Command::Acknowledge { id });
        bed.command(lane, &Command::Close { id, millis: 0 });
        bed.command(lane, &Command::Destroy { id });
        if beyond_direct {
            // The fifth one leaves all of them to the poller.
            bed.command(lane, &Command::Reset { id });
        }
        let expected = stale + 4 + u64::from(beyond_direct);
        bed.poll("all are counted", |bed| {
            bed.counters().stale_commands == expected
        });
        bed.poll("the lease is freed", |bed| {
            bed.host.runtime().arena().stats().leases == 0
        });
        second.write_all(b"mine").unwrap();
        bed.until("it comes", |log| log.input(live) == b"mine");
        bed.turn();
        assert_eq!(read_exactly(&second, 4).unwrap(), b"mine");
        assert_eq!(bed.log.closed(live), None);
    }
}

#[test]
fn h57_commands_for_numbers_that_name_nothing_are_counted() {
    let mut bed = Bed::new();
    let address = bed.listen();
    let (_client, (lane, id)) = bed.connect(address);
    let strange = nodepoll::ConnectionId {
        slot: u32::MAX,
        generation: u32::MAX,
    };
    bed.accept(lane, 77);
    bed.command(lane, &Command::CloseListener { listener: 77 });
    bed.command(lane, &Command::CancelDial { dial: 77 });
    bed.command(lane, &Command::Destroy { id: strange });
    let nobody = nodepoll::ConnectionId {
        slot: 0,
        generation: 0,
    };
    bed.command(lane, &Command::Destroy { id: nobody });
    bed.poll("all are counted", |bed| bed.counters().stale_commands == 5);
    bed.close((lane, id));
}

/// Does something to a connection that is about to end.
fn disturb(bed: &mut Bed, (lane, id): Name, client: &mut TcpStream, random: &mut Random) {
    let millis = 1 + u32::try_from(random.below(20)).unwrap();
    let position = u32::try_from(random.below(100_000)).unwrap();
    let on = random.below(2) == 0;
    match random.below(14) {
        0 => bed.write((lane, id), &vec![1; random.below(300_000)]),
        1 => bed.command(lane, &Command::Acknowledge { id }),
        2 => bed.command(lane, &Command::Pause { id }),
        3 => bed.command(lane, &Command::Resume { id }),
        4 => bed.command(lane, &Command::Idle { id, millis }),
        5 => bed.command(lane, &Command::Probe { id }),
        6 => bed.command(lane, &Command::CloseWrite { id }),
        7 => bed.command(lane, &Command::Close { id, millis }),
        8 => bed.command(lane, &Command::NoDelay { id, on }),
        9 => bed.command(lane, &Command::Window { id, position }),
        10 => drop(client.write(&vec![2; 1 + random.below(100_000)])),
        11 => drop(client.shutdown(Shutdown::Write)),
        12 => drop(client.shutdown(Shutdown::Both)),
        _ => drop(bed.turn()),
    }
}

/// Talks to a connection of which nobody wants anything else, and is told what any other is.
fn is_as_new(bed: &mut Bed, name: Name, client: &mut TcpStream) {
    let (lane, id) = name;
    let input = pattern(1, 300_000);
    client.write_all(&input).unwrap();
    bed.until("all input comes", |log| {
        log.input(name).len() == input.len()
    });
    assert!(bed.log.input(name) == input);
    let output = pattern(2, 300_000);
    bed.write(name, &output);
    assert!(bed.log.seen(name).drained.is_empty(), "nobody has asked");
    bed.command(lane, &Command::Acknowledge { id });
    bed.turn();
    assert!(read_exactly(&*client, output.len()).unwrap() == output);
    bed.until("output is sent", |log| log.sent(name) == Some(300_000));
    client.shutdown(Shutdown::Write).unwrap();
    bed.until("the end comes", |log| log.has_ended(name));
    let seen = bed.log.seen(name);
    assert_eq!((seen.quiet, seen.idle.len(), seen.closed), (0, 0, None));
    // It may still send, until it is closed.
    bed.write(name, b"bye");
    bed.close(name);
    bed.turn();
    assert_eq!(read_all(&*client).unwrap(), b"bye");
    bed.until("it is closed", |log| log.closed(name).is_some());
    assert_eq!(bed.log.closed(name), Some(EndReason::Local));
}

fn reuse_a_row(mut bed: Bed) {
    let address = bed.listen();
    let mut random = Random::new(4);
    for _ in 0..60 {
        let (mut client, old) = bed.connect(address);
        client.set_nonblocking(true).unwrap();
        for _ in 0..random.below(12) {
            disturb(&mut bed, old, &mut client, &mut random);
        }
        bed.destroy(old);
        bed.until("it is closed", |log| log.closed(old).is_some());
        bed.poll("its row is free", |bed| bed.counters().connections == 0);
        let (mut client, new) = bed.connect(address);
        assert_eq!(old.1.slot, new.1.slot, "same row");
        is_as_new(&mut bed, new, &mut client);
        bed.poll("its row is free", |bed| bed.counters().connections == 0);
    }
}

#[test]
fn h4_whatever_a_connection_was_in_the_middle_of_the_next_one_in_its_row_is_as_new() {
    reuse_a_row(Bed::new());
}

#[cfg(not(mio_unsupported_force_poll_poll))]
#[test]
fn h4_whatever_a_connection_was_in_the_middle_of_the_next_one_is_as_new_when_the_host_drives() {
    reuse_a_row(Bed::hosted(
        nodepoll::Hosting::Inline,
        nodepoll::limits::RING_RECORDS,
    ));
}

#[test]
fn h56_a_write_whose_lease_is_not_there_sends_nothing() {
    let mut bed = Bed::new();
    let address = bed.listen();
    let (client, name) = bed.connect(address);
    let segment = bed.lease(b"once");
    bed.write_leased(name, segment);
    bed.write_leased(name, segment);
    bed.write(name, b"after");
    bed.turn();
    assert_eq!(read_exactly(&client, 9).unwrap(), b"onceafter");
    let stats = bed.host.runtime().arena().stats();
    assert_eq!((stats.stale, stats.leases), (1, 0));
    // It ends without the usual check, for the one stale lease that is meant to be.
    bed.end_abruptly();
}
