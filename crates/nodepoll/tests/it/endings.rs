//! Everything that can end a connection, in every order.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;

use nodepoll::{Command, EndReason};

use crate::descriptors::descriptors;
use crate::support::{Bed, Name, OnData, Random, alone, connect, pattern, read_exactly, reset};

/// What can happen at an end.
#[derive(Clone, Copy, Debug)]
enum Step {
    PeerFin,
    PeerReset,
    Close,
    CloseWrite,
    Destroy,
    Reset,
    Idle,
    Write,
}

const STEPS: [Step; 8] = [
    Step::PeerFin,
    Step::PeerReset,
    Step::Close,
    Step::CloseWrite,
    Step::Destroy,
    Step::Reset,
    Step::Idle,
    Step::Write,
];

fn take(step: Step, bed: &mut Bed, (lane, id): Name, client: &mut Option<TcpStream>) {
    let millis = 0;
    match step {
        Step::PeerFin => {
            if let Some(client) = client {
                // It may have been reset already.
                let _ = client.shutdown(Shutdown::Write);
            }
        }
        Step::PeerReset => {
            if let Some(client) = client.take() {
                reset(client);
            }
        }
        Step::Close => bed.command(lane, &Command::Close { id, millis }),
        Step::CloseWrite => bed.command(lane, &Command::CloseWrite { id }),
        Step::Destroy => bed.command(lane, &Command::Destroy { id }),
        Step::Reset => bed.command(lane, &Command::Reset { id }),
        Step::Idle => bed.command(lane, &Command::Idle { id, millis: 1 }),
        Step::Write => bed.write((lane, id), b"late"),
    }
}

#[test]
fn h1_h2_h6_h9_h93_ends_in_any_order_free_a_row_and_a_descriptor_once() {
    alone(|| {
        let before = descriptors();
        {
            let mut bed = Bed::start(2, 64);
            let address = bed.listen();
            let idle = descriptors();
            let mut random = Random::new(12);
            for _ in 0..60 {
                let mut pairs: Vec<_> = (0..16)
                    .map(|_| {
                        let (client, name) = bed.connect(address);
                        (name, Some(client))
                    })
                    .collect();
                for _ in 0..6 {
                    for (name, client) in &mut pairs {
                        // Some of it in one batch, some not.
                        take(STEPS[random.below(STEPS.len())], &mut bed, *name, client);
                    }
                    if random.below(2) == 0 {
                        bed.turn();
                    }
                }
                for (name, _) in &pairs {
                    bed.destroy(*name);
                }
                for (name, client) in pairs {
                    // The log fails at a second one.
                    bed.until("it has ended", |log| log.closed(name).is_some());
                    if let Some(mut client) = client {
                        // The peer learns of it.
                        let _ = client.read_to_end(&mut Vec::new());
                    }
                }
                bed.poll("each row is free", |bed| bed.counters().connections == 0);
                bed.poll("and each descriptor", |_| descriptors() == idle);
            }
        }
        assert_eq!(descriptors(), before);
    });
}

#[test]
fn h24_an_orderly_end_is_told_once_and_is_no_error() {
    let mut bed = Bed::new();
    let address = bed.listen();
    for round in 0..200 {
        let (mut client, name) = bed.connect(address);
        client.write_all(&pattern(round, 100)).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        bed.until("the end", |log| log.has_ended(name));
        assert_eq!(bed.log.input(name).len(), 100);
        bed.close(name);
        bed.until("it is closed", |log| log.closed(name).is_some());
        assert_eq!(bed.log.closed(name), Some(EndReason::Local));
    }
}

#[test]
fn h80_a_peer_that_never_stops_does_not_keep_others_waiting() {
    let mut bed = Bed::new();
    bed.log.on_data = OnData::Echo;
    let address = bed.listen();
    let (mut flood, flooded) = bed.connect(address);
    let mut drain = flood.try_clone().unwrap();
    let flooding = thread::spawn(move || {
        let part = vec![1; 1 << 20];
        while flood.write_all(&part).is_ok() {}
    });
    let draining = thread::spawn(move || {
        let mut part = vec![0; 1 << 20];
        while matches!(drain.read(&mut part), Ok(1..)) {}
    });
    bed.until("the flood", |log| log.input(flooded).len() > 1 << 20);
    // Each waits until the host has handled the part of the flood that was there before.
    let others = thread::spawn(move || {
        for round in 0..5 {
            let mut client = connect(address);
            let sent = pattern(round, 64);
            client.write_all(&sent).unwrap();
            assert!(read_exactly(&client, 64).unwrap() == sent);
        }
    });
    bed.poll("the others are served", |_| others.is_finished());
    others.join().unwrap();
    bed.destroy(flooded);
    bed.until("it is over", |log| log.closed(flooded).is_some());
    flooding.join().unwrap();
    draining.join().unwrap();
}
