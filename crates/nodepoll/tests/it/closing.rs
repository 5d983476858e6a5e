//! Graceful and other closes.

use std::io::{ErrorKind, Read, Write};
use std::thread;

use nodepoll::{Command, EndReason};

use crate::support::{Bed, Scratch, connect_path, pattern, read_all};

#[test]
fn h95_a_close_with_unread_input_lets_the_reply_through() {
    let mut bed = Bed::new();
    let address = bed.listen();
    for _ in 0..3 {
        let (mut client, name) = bed.connect(address);
        let reply = pattern(1, 4 << 20);
        // A peer that reads only after it has sent all, which is more than the kernel keeps.
        let talking = thread::spawn(move || {
            client.write_all(&vec![7; 16 << 20]).unwrap();
            read_all(&client).unwrap()
        });
        bed.until("input comes", |log| !log.input(name).is_empty());
        bed.write(name, &reply);
        bed.close(name);
        bed.until("it is closed", |log| log.closed(name).is_some());
        assert!(talking.join().unwrap() == reply);
        assert_eq!(bed.log.closed(name), Some(EndReason::Local));
    }
}

#[test]
fn a_close_sends_all_that_is_queued_to_a_slow_reader_then_fin() {
    let mut bed = Bed::new();
    let address = bed.listen();
    let (mut client, name) = bed.connect(address);
    let reply = pattern(3, 16 << 20);
    bed.write(name, &reply);
    bed.close(name);
    bed.settle();
    assert_eq!(bed.log.closed(name), None, "the peer has not read");
    let reading = thread::spawn(move || {
        let mut bytes = Vec::new();
        let mut part = [0; 9999];
        loop {
            match client.read(&mut part).unwrap() {
                0 => return bytes,
                count => bytes.extend_from_slice(&part[..count]),
            }
        }
    });
    bed.until("it is closed", |log| log.closed(name).is_some());
    assert!(reading.join().unwrap() == reply);
}

#[test]
fn a_close_ends_by_itself_if_the_peer_never_does() {
    let mut bed = Bed::new();
    let address = bed.listen();
    let (client, name) = bed.connect(address);
    bed.write(name, b"bye");
    bed.close(name);
    bed.until("it is closed", |log| log.closed(name).is_some());
    assert_eq!(read_all(&client).unwrap(), b"bye");
}

#[test]
fn a_second_close_changes_nothing() {
    let mut bed = Bed::new();
    let address = bed.listen();
    let (client, name) = bed.connect(address);
    bed.write(name, b"bye");
    for _ in 0..3 {
        bed.close(name);
    }
    bed.turn();
    assert_eq!(read_all(&client).unwrap(), b"bye");
    drop(client);
    bed.until("it is closed", |log| log.closed(name).is_some());
    assert_eq!(bed.log.closed(name), Some(EndReason::Local));
}

#[test]
fn a_write_after_close_is_refused_and_its_lease_let_go() {
    let mut bed = Bed::new();
    let address = bed.listen();
    let (client, name) = bed.connect(address);
    bed.close(name);
    bed.write(name, b"too late");
    bed.turn();
    assert_eq!(read_all(&client).unwrap(), b"");
    drop(client);
    bed.until("it is closed", |log| log.closed(name).is_some());
    assert_eq!(bed.counters().stale_commands, 1);
}

#[test]
fn h25_destroy_drops_what_is_queued_and_ends_at_once() {
    let mut bed = Bed::new();
    let address = bed.listen();
    let (mut client, name) = bed.connect(address);
    client.write_all(&pattern(4, 1000)).unwrap();
    bed.until("input comes", |log| log.input(name).len() == 1000);
    bed.write(name, &pattern(5, 16 << 20));
    bed.destroy(name);
    bed.until("it is closed", |log| log.closed(name).is_some());
    assert_eq!(bed.log.closed(name), Some(EndReason::Local));
    let got = match read_all(&client) {
        Ok(bytes) => bytes.len(),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            0
        }
    };
    assert!(got < 16 << 20);
}

#[test]
fn a_close_of_a_unix_socket_delivers_all() {
    let scratch = Scratch::new();
    let path = scratch.file("socket");
    let mut bed = Bed::new();
    let (lane, listener) = bed.listen_path(&path);
    bed.accept(lane, listener);
    let client = connect_path(&path);
    let name = bed.next_accepted();
    let reply = pattern(6, 4 << 20);
    bed.write(name, &reply);
    bed.close(name);
    let reading = thread::spawn(move || read_all(&client).unwrap());
    bed.until("it is closed", |log| log.closed(name).is_some());
    assert!(reading.join().unwrap() == reply);
}

#[test]
fn a_reset_is_one_for_the_peer() {
    let mut bed = Bed::new();
    let address = bed.listen();
    let (client, name) = bed.connect(address);
    bed.write(name, &pattern(7, 16 << 20));
    let (lane, id) = name;
    bed.command(lane, &Command::Reset { id });
    bed.until("it is closed", |log| log.closed(name).is_some());
    assert_eq!(bed.log.closed(name), Some(EndReason::Local));
    let error = read_all(&client).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_reset_and_a_destroy_cut_a_graceful_close_short() {
    let mut bed = Bed::new();
    let address = bed.listen();
    for resets in [false, true] {
        let (client, name) = bed.connect(address);
        let (lane, id) = name;
        bed.write(name, &pattern(8, 16 << 20));
        bed.close(name);
        bed.settle();
        assert_eq!(bed.log.closed(name), None, "the peer has not read");
        let command = if resets {
            Command::Reset { id }
        } else {
            Command::Destroy { id }
        };
        bed.command(lane, &command);
        bed.until("it is closed", |log| log.closed(name).is_some());
        assert_eq!(bed.log.closed(name), Some(EndReason::Local));
        assert_eq!(read_all(&client).is_err(), resets);
    }
}
