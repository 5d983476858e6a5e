//! The same behaviour whoever turns the driver, also while that changes.

use std::io::Write;
use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

use nodepoll::limits::{LOAD_HIGH, RING_RECORDS, RING_RECORDS_MIN};
use nodepoll::{Command, EndReason, Endpoint, Hosting};

use crate::order::converse;
use crate::support::{Bed, OnData, connect, read_all, read_exactly};

/// Serves so many clients that all speak at once, until they are done.
fn serve(bed: &mut Bed, address: std::net::SocketAddr, clients: u64, rounds: usize) {
    let known = bed.log.names.len();
    let clients: Vec<_> = (0..clients)
        .map(|seed| thread::spawn(move || converse(address, seed, rounds)))
        .collect();
    bed.until("all conversations are over", |log| {
        log.names.len() == known + clients.len() && log.open().is_empty()
    });
    for client in clients {
        client.join().unwrap();
    }
}

fn echo(hosting: Hosting, ring_records: u32) -> (Bed, std::net::SocketAddr) {
    let mut bed = Bed::hosted(hosting, ring_records);
    bed.log.on_data = OnData::Echo;
    bed.log.closes_on_end = true;
    let address = bed.listen();
    (bed, address)
}

#[test]
fn h86_an_echo_is_exact_when_the_host_turns_the_driver() {
    for records in [RING_RECORDS_MIN, RING_RECORDS] {
        let (mut bed, address) = echo(Hosting::Inline, records);
        serve(&mut bed, address, 8, 20);
        assert_eq!(
            bed.host.runtime().switches(),
            1,
            "taken over once, and kept"
        );
    }
}

#[test]
fn h86_an_echo_is_exact_while_the_driver_changes_hands() {
    let (mut bed, address) = echo(Hosting::Auto, RING_RECORDS);
    let crowd: Vec<_> = (0..4 * LOAD_HIGH).map(|_| bed.connect(address).0).collect();
    let mut lone = connect(address);
    let mut rounds = 0;
    let end = Instant::now() + Duration::from_secs(10);
    while bed.host.runtime().switches() < 40 && Instant::now() < end {
        rounds += 1;
        // Alternately all together and one by one, longer than a driver stays where it is.
        let until = Instant::now() + Duration::from_millis(12);
        let is_crowded = rounds % 2 == 0;
        while Instant::now() < until {
            let mut speakers: Vec<_> = if is_crowded {
                crowd.iter().collect()
            } else {
                vec![&lone]
            };
            for (number, speaker) in speakers.iter_mut().enumerate() {
                let said = format!("{number:>8}{rounds:>8}");
                speaker.write_all(said.as_bytes()).unwrap();
            }
            let before = bed.counters().bytes_written;
            let total = 16 * speakers.len() as u64;
            bed.poll("all is answered", |bed| {
                bed.counters().bytes_written == before + total
            });
            for (number, speaker) in speakers.iter().enumerate() {
                let heard = read_exactly(*speaker, 16).unwrap();
                assert_eq!(heard, format!("{number:>8}{rounds:>8}").as_bytes());
            }
        }
    }
    assert!(bed.host.runtime().switches() >= 40, "it went to and fro");
    lone.write_all(b"last words").unwrap();
    lone.shutdown(Shutdown::Write).unwrap();
    bed.until("the lone one has ended", |log| {
        log.names.iter().any(|&name| log.closed(name).is_some())
    });
    assert_eq!(read_all(&lone).unwrap(), b"last words");
}

#[test]
fn h86_many_are_served_and_then_few() {
    let (mut bed, address) = echo(Hosting::Auto, RING_RECORDS);
    serve(&mut bed, address, 2 * u64::from(LOAD_HIGH), 30);
    // Also after the last of many, when few are left.
    serve(&mut bed, address, 1, 30);
}

#[test]
fn h95_deadlines_pass_when_the_host_turns_the_driver() {
    let (mut bed, address) = echo(Hosting::Inline, RING_RECORDS);
    let (client, name) = bed.connect(address);
    // A peer that does not end its side: only the driver's own deadline ends the connection.
    bed.close(name);
    bed.until("it ends by itself", |log| log.closed(name).is_some());
    assert_eq!(bed.log.closed(name), Some(EndReason::Local));
    assert_eq!(read_all(&client).unwrap(), b"");
}

#[test]
fn h65_a_panic_on_the_hosts_thread_is_told_and_nothing_hangs() {
    let (mut bed, address) = echo(Hosting::Inline, RING_RECORDS);
    let (client, _) = bed.connect(address);
    bed.command(0, &Command::Fault);
    bed.until("the failure is told", |log| log.failed.contains(&0));
    assert_eq!(read_all(&client).unwrap(), b"");
    // The connections have gone with their driver.
    bed.log.connections.clear();
}

#[test]
fn h47_a_runtime_ends_whoever_has_the_driver() {
    for hosting in [Hosting::Auto, Hosting::Inline] {
        // Before it has been taken over.
        drop(Bed::hosted(hosting, RING_RECORDS));
        let (mut bed, address) = echo(hosting, RING_RECORDS);
        let (client, _) = bed.connect(address);
        bed.end_abruptly();
        assert!(read_all(&client).is_ok_and(|bytes| bytes.is_empty()));
    }
}

#[test]
fn h60_a_dial_and_more_commands_than_a_host_sends_otherwise_are_carried_out_at_once() {
    let (mut bed, address) = echo(Hosting::Inline, RING_RECORDS);
    let dials: Vec<_> = (0..8)
        .map(|_| bed.dial(Endpoint::Inet(address)).1)
        .collect();
    bed.until("all are connected", |log| {
        dials.iter().all(|&dial| log.dialed(dial).is_some()) && log.open().len() == 16
    });
    let names: Vec<_> = dials
        .iter()
        .map(|&dial| bed.log.dialed(dial).unwrap())
        .collect();
    let drives = bed.counters().drives;
    for &name in &names {
        bed.destroy(name);
    }
    bed.turn();
    assert_eq!(bed.counters().drives, drives + 1, "by the exchange itself");
    bed.until("all have ended", |log| log.open().is_empty());
}
