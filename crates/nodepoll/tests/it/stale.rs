//! Commands for what is no more.

use std::io::Write;

use nodepoll::Command;

use crate::support::{Bed, OnData, read_exactly};

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

#[test]
fn h4_a_reused_row_starts_afresh() {
    let mut bed = Bed::new();
    let address = bed.listen();
    // Ends in the middle of everything: queued output, a wish to be told, a close under way.
    let (client, old) = bed.connect(address);
    bed.write(old, &vec![1; 8 << 20]);
    bed.command(old.0, &Command::Acknowledge { id: old.1 });
    bed.close(old);
    bed.destroy(old);
    bed.until("it is closed", |log| log.closed(old).is_some());
    drop(client);
    let (mut client, new) = bed.connect(address);
    assert_eq!(old.1.slot, new.1.slot, "same row");
    client.write_all(b"in").unwrap();
    bed.until("input comes", |log| log.input(new) == b"in");
    bed.write(new, b"out");
    bed.command(new.0, &Command::Acknowledge { id: new.1 });
    bed.until("output is sent", |log| log.sent(new) == Some(3));
    assert_eq!(read_exactly(&client, 3).unwrap(), b"out");
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
