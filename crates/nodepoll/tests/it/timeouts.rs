//! Times without a byte, and the time of a close.

use std::io::Write;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nodepoll::Command;

use crate::support::{Bed, Name, read_exactly};

fn tell_when_idle(bed: &mut Bed, (lane, id): Name, millis: u32) {
    bed.command(lane, &Command::Idle { id, millis });
}

#[test]
fn h101_a_silent_connection_is_told_of_once_and_not_early() {
    let mut bed = Bed::new();
    let address = bed.listen();
    let (_client, name) = bed.connect(address);
    let asked = Instant::now();
    tell_when_idle(&mut bed, name, 200);
    bed.until("it is idle", |log| !log.seen(name).idle.is_empty());
    // The last byte may have come or gone in the turn before: it is that old.
    assert!(asked.elapsed() >= Duration::from_millis(150));
    bed.settle();
    sleep(Duration::from_millis(250));
    bed.settle();
    assert_eq!(bed.log.seen(name).idle, [200]);
    tell_when_idle(&mut bed, name, 1);
    bed.until("it is idle again", |log| log.seen(name).idle == [200, 1]);
}

#[test]
fn h101_bytes_in_either_direction_keep_it_busy() {
    for comes_in in [true, false] {
        let mut bed = Bed::new();
        let address = bed.listen();
        let (mut client, name) = bed.connect(address);
        tell_when_idle(&mut bed, name, 800);
        for _ in 0..12 {
            if comes_in {
                client.write_all(b"x").unwrap();
            } else {
                bed.write(name, b"x");
                bed.settle();
                read_exactly(&client, 1).unwrap();
            }
            sleep(Duration::from_millis(75));
            bed.settle();
        }
        assert!(bed.log.seen(name).idle.is_empty());
        bed.until("it is idle", |log| !log.seen(name).idle.is_empty());
    }
}

#[test]
fn h91_no_timer_reaches_the_next_tenant_of_a_row() {
    let mut bed = Bed::new();
    let address = bed.listen();
    for round in 0..300 {
        let (_client, name) = bed.connect(address);
        if round % 2 == 0 {
            tell_when_idle(&mut bed, name, 20);
            sleep(Duration::from_millis(round % 8));
        } else {
            sleep(Duration::from_millis(2));
            bed.settle();
            assert!(bed.log.seen(name).idle.is_empty(), "it never asked for it");
        }
        bed.destroy(name);
        bed.until("it is closed", |log| log.closed(name).is_some());
    }
}

#[test]
fn a_time_that_is_changed_or_taken_back_counts_from_then_on() {
    let mut bed = Bed::new();
    let address = bed.listen();
    let (_client, name) = bed.connect(address);
    tell_when_idle(&mut bed, name, 3_600_000);
    tell_when_idle(&mut bed, name, 100);
    tell_when_idle(&mut bed, name, 0);
    sleep(Duration::from_millis(200));
    bed.settle();
    assert!(bed.log.seen(name).idle.is_empty());
    let turns = bed.counters().turns;
    sleep(Duration::from_millis(200));
    assert!(
        bed.counters().turns - turns < 3,
        "nothing is left to wake up for"
    );
    tell_when_idle(&mut bed, name, 50);
    bed.until("it is idle", |log| log.seen(name).idle == [50]);
}

#[test]
fn h68_a_connection_that_is_closed_is_not_told_to_be_idle() {
    let mut bed = Bed::new();
    let address = bed.listen();
    let (client, name) = bed.connect(address);
    tell_when_idle(&mut bed, name, 50);
    bed.close(name);
    bed.until("it is closed", |log| log.closed(name).is_some());
    assert!(bed.log.seen(name).idle.is_empty());
    drop(client);
}
