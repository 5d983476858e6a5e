//! FIN in one direction, while the other goes on.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use nodepoll::{Command, EndReason};

use crate::support::{Bed, Name, Scratch, connect_path, pattern, read_all};

fn close_write(bed: &mut Bed, (lane, id): Name) {
    bed.command(lane, &Command::CloseWrite { id });
}

#[test]
fn h75_fin_follows_all_that_is_queued_and_input_still_comes() {
    let mut bed = Bed::new();
    let address = bed.listen();
    let (mut client, name) = bed.connect(address);
    let reply = pattern(75, 8 << 20);
    bed.write(name, &reply);
    close_write(&mut bed, name);
    // Once more changes nothing, and nothing may follow.
    close_write(&mut bed, name);
    bed.write(name, b"too late");
    let reading = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        let mut bytes = Vec::new();
        client.read_to_end(&mut bytes).unwrap();
        client.write_all(b"still here").unwrap();
        bytes
    });
    bed.until("input after our FIN", |log| {
        log.input(name) == b"still here"
    });
    assert!(reading.join().unwrap() == reply);
    // The peer has gone by now: that was the second FIN.
    bed.until("the end", |log| log.closed(name).is_some());
    assert_eq!(bed.log.closed(name), Some(EndReason::Peer));
}

#[test]
fn h75_both_fins_make_one_end_whichever_comes_first() {
    let mut bed = Bed::new();
    let address = bed.listen();
    for ours_first in [true, false] {
        for output in [0, 4 << 20] {
            let (client, name) = bed.connect(address);
            let reply = pattern(76, output);
            if ours_first {
                bed.write(name, &reply);
                close_write(&mut bed, name);
                bed.settle();
                client.shutdown(Shutdown::Write).unwrap();
            } else {
                client.shutdown(Shutdown::Write).unwrap();
                bed.until("their FIN", |log| log.has_ended(name));
                bed.write(name, &reply);
                close_write(&mut bed, name);
            }
            let reading = thread::spawn(move || read_all(&client).unwrap());
            bed.until("the end", |log| log.closed(name).is_some());
            assert_eq!(bed.log.closed(name), Some(EndReason::Peer));
            assert!(reading.join().unwrap() == reply);
        }
    }
}

#[test]
fn h75_their_fin_is_told_while_our_last_output_still_leaves() {
    let mut bed = Bed::new();
    let address = bed.listen();
    let (client, name) = bed.connect(address);
    let reply = pattern(78, 16 << 20);
    bed.write(name, &reply);
    close_write(&mut bed, name);
    bed.settle();
    client.shutdown(Shutdown::Write).unwrap();
    bed.until("their FIN", |log| log.has_ended(name));
    assert_eq!(bed.log.closed(name), None, "the reply is on its way");
    let reading = thread::spawn(move || read_all(&client).unwrap());
    bed.until("the end", |log| log.closed(name).is_some());
    assert_eq!(bed.log.closed(name), Some(EndReason::Peer));
    assert!(reading.join().unwrap() == reply);
}

#[test]
fn a_unix_socket_is_closed_for_writing_as_well() {
    let scratch = Scratch::new();
    let path = scratch.file("half");
    let mut bed = Bed::new();
    let (lane, listener) = bed.listen_path(&path);
    bed.accept(lane, listener);
    let mut client: UnixStream = connect_path(&path);
    let name = bed.next_accepted();
    bed.write(name, b"last words");
    close_write(&mut bed, name);
    bed.settle();
    let mut words = String::new();
    client.read_to_string(&mut words).unwrap();
    assert_eq!(words, "last words");
    client.write_all(b"and an answer").unwrap();
    bed.until("the answer", |log| log.input(name) == b"and an answer");
    drop(client);
    bed.until("the end", |log| log.closed(name).is_some());
    assert_eq!(bed.log.closed(name), Some(EndReason::Peer));
}

#[test]
fn a_close_after_our_fin_waits_a_second_for_theirs() {
    let mut bed = Bed::new();
    let address = bed.listen();
    let (mut client, name) = bed.connect(address);
    close_write(&mut bed, name);
    bed.settle();
    bed.close(name);
    bed.settle();
    assert_eq!(bed.log.closed(name), None, "the peer has not closed");
    // Input is thrown away now.
    client.write_all(b"unheard").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    bed.until("the end", |log| log.closed(name).is_some());
    assert_eq!(bed.log.closed(name), Some(EndReason::Local));
    assert!(bed.log.input(name).is_empty());

    let (client, name) = bed.connect(address);
    close_write(&mut bed, name);
    bed.close(name);
    bed.until("the end", |log| log.closed(name).is_some());
    assert_eq!(bed.log.closed(name), Some(EndReason::Local));
    drop(client);
}

#[test]
fn a_close_while_the_last_output_leaves_is_bounded_by_its_time() {
    let mut bed = Bed::new();
    let address = bed.listen();
    let (mut client, name) = bed.connect(address);
    bed.write(name, &pattern(77, 32 << 20));
    close_write(&mut bed, name);
    bed.settle();
    let (lane, id) = name;
    bed.command(lane, &Command::Close { id, millis: 50 });
    bed.until("the end", |log| log.closed(name).is_some());
    assert_eq!(bed.log.closed(name), Some(EndReason::Timeout));
    // What the kernel had may still come, or not: it ends with a reset.
    let error = client.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}
