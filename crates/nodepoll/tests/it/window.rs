//! How far the host lets the driver receive, and into what.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use linkbuf::{CHUNK_BYTES, SegmentId};
use nodepoll::record::SYSCALL_READ;
use nodepoll::{Command, EndReason};

use crate::support::{Bed, Name, OnData, Random, pattern, reset};

/// A client whose connection may receive `window` bytes.
fn connect_with(bed: &mut Bed, window: u32) -> (TcpStream, Name) {
    let (lane, listener, address) = bed.listen_only();
    bed.command(lane, &Command::Accept { listener, window });
    bed.connect(address)
}

fn widen(bed: &mut Bed, (lane, id): Name, position: u32) {
    bed.command(lane, &Command::Window { id, position });
}

fn pause(bed: &mut Bed, (lane, id): Name) {
    bed.command(lane, &Command::Pause { id });
    bed.commands_are_taken(lane);
}

fn resume(bed: &mut Bed, (lane, id): Name) {
    bed.command(lane, &Command::Resume { id });
}

#[test]
fn h82_one_byte_less_than_the_window_and_one_more() {
    const WINDOW: u32 = 10_000;
    for sent in [WINDOW - 1, WINDOW, WINDOW + 1] {
        let mut bed = Bed::new();
        let (mut client, name) = connect_with(&mut bed, WINDOW);
        let bytes = pattern(1, sent as usize);
        client.write_all(&bytes).unwrap();
        let come = sent.min(WINDOW) as usize;
        bed.until("it comes", |log| log.input(name).len() == come);
        bed.settle();
        assert_eq!(bed.log.input(name).len(), come);
        widen(&mut bed, name, WINDOW + 1);
        bed.until("the rest comes", |log| log.input(name).len() == bytes.len());
        assert!(bed.log.input(name) == bytes);
    }
}

#[test]
fn h83_a_peer_that_sends_for_ever_is_stopped_and_goes_on_exactly() {
    const WINDOW: u32 = 1 << 20;
    let mut bed = Bed::new();
    let (client, name) = connect_with(&mut bed, WINDOW);
    let sent = pattern(2, 64 << 20);
    let bytes = sent.clone();
    let writing = std::thread::spawn(move || (&client).write_all(&bytes).map(|()| client));
    bed.until("the window is full", |log| {
        log.input(name).len() == WINDOW as usize
    });
    bed.settle();
    assert_eq!(bed.log.input(name).len(), WINDOW as usize);
    assert!(!writing.is_finished(), "the peer waits");
    assert!(bed.counters().pauses_for_input > 0);
    let mut random = Random::new(3);
    while bed.log.input(name).len() < sent.len() {
        let position = bed.log.input(name).len() + 1 + random.below(4 << 20);
        widen(&mut bed, name, u32::try_from(position).unwrap());
        let come = position.min(sent.len());
        bed.until("it goes on", |log| log.input(name).len() == come);
    }
    assert!(bed.log.input(name) == sent);
    writing.join().unwrap().unwrap();
}

#[test]
fn a_position_that_is_passed_changes_nothing() {
    let mut bed = Bed::new();
    let (mut client, name) = connect_with(&mut bed, 1000);
    client.write_all(&[7; 2000]).unwrap();
    bed.until("the window is full", |log| log.input(name).len() == 1000);
    for position in [0, 1000, u32::MAX] {
        widen(&mut bed, name, position);
    }
    bed.settle();
    assert_eq!(bed.log.input(name).len(), 1000);
}

#[test]
fn h71_what_came_while_reading_was_paused_comes_without_an_edge() {
    let mut bed = Bed::new();
    let (mut client, name) = connect_with(&mut bed, u32::MAX);
    pause(&mut bed, name);
    client.write_all(b"silent now").unwrap();
    bed.poll("it is held back", |bed| bed.counters().pauses_by_host == 1);
    bed.settle();
    assert_eq!(bed.log.input(name), b"");
    resume(&mut bed, name);
    bed.until("it comes", |log| log.input(name) == b"silent now");
    assert_eq!(bed.counters().pauses_by_host, 1);
}

#[test]
fn h10_h71_a_fin_that_came_while_reading_was_paused_comes_after_the_data() {
    let mut bed = Bed::new();
    let (mut client, name) = connect_with(&mut bed, u32::MAX);
    pause(&mut bed, name);
    client.write_all(b"the last").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    bed.settle();
    let turns = bed.counters().turns;
    assert!(!bed.host.wait(Duration::from_millis(100)));
    assert!(bed.counters().turns <= turns + 1, "nothing spins");
    assert!(!bed.log.has_ended(name));
    resume(&mut bed, name);
    bed.until("it has ended", |log| log.has_ended(name));
    assert_eq!(bed.log.input(name), b"the last");
}

#[test]
fn h10_h76_a_reset_is_told_while_reading_is_paused_after_all_data() {
    for window in [0, u32::MAX] {
        let mut bed = Bed::new();
        let (mut client, name) = connect_with(&mut bed, window);
        pause(&mut bed, name);
        let sent = pattern(4, 40_000);
        client.write_all(&sent).unwrap();
        bed.settle();
        assert_eq!(bed.log.input(name), b"");
        reset(client);
        bed.until("it is closed", |log| log.closed(name).is_some());
        assert!(bed.log.input(name) == sent);
        let syscall = SYSCALL_READ;
        let errno = libc::ECONNRESET;
        assert_eq!(
            bed.log.closed(name),
            Some(EndReason::Error { errno, syscall })
        );
    }
}

#[test]
fn a_close_discards_what_was_paused() {
    let mut bed = Bed::new();
    let (mut client, name) = connect_with(&mut bed, 0);
    client.write_all(&pattern(5, 100_000)).unwrap();
    pause(&mut bed, name);
    bed.close(name);
    client.shutdown(Shutdown::Write).unwrap();
    bed.until("it is closed", |log| log.closed(name).is_some());
    assert_eq!(bed.log.closed(name), Some(EndReason::Local));
}

#[test]
fn h71_random_pauses_and_windows_lose_nothing() {
    let mut bed = Bed::new();
    let (client, name) = connect_with(&mut bed, 1000);
    let sent = pattern(5, 4 << 20);
    let bytes = sent.clone();
    let writing = std::thread::spawn(move || {
        let mut random = Random::new(6);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (part, later) = rest.split_at(rest.len().min(1 + random.below(60_000)));
            (&client).write_all(part).unwrap();
            rest = later;
        }
        client
    });
    let mut random = Random::new(7);
    let mut window = 1000;
    while bed.log.input(name).len() < sent.len() {
        let (lane, id) = name;
        match random.below(4) {
            0 => bed.command(lane, &Command::Pause { id }),
            1 => bed.command(lane, &Command::Resume { id }),
            _ => {
                window = window.max(bed.log.input(name).len()) + random.below(100_000);
                widen(&mut bed, name, u32::try_from(window).unwrap());
            }
        }
        if bed.turn() == 0 {
            bed.host.wait(Duration::from_micros(100));
        }
        assert!(bed.log.input(name).len() <= window);
    }
    assert!(bed.log.input(name) == sent);
    writing.join().unwrap();
}

/// Room of which the host has one lease, as it would provide it.
fn room_of(bed: &Bed, bytes: usize) -> SegmentId {
    let arena = bed.host.runtime().arena();
    let leased = arena.lease_node(bytes).unwrap();
    assert!(arena.release(leased.node, leased.len - 1));
    let len = u32::try_from(bytes).unwrap();
    SegmentId { len, ..leased }
}

#[test]
fn what_is_waited_for_lands_in_one_node_and_at_its_place() {
    let mut bed = Bed::new();
    bed.log.on_data = OnData::Keep;
    let (mut client, name) = connect_with(&mut bed, u32::MAX);
    let (lane, id) = name;
    let sent = pattern(8, 200_000);
    client.write_all(&sent[..150]).unwrap();
    bed.until("the beginning comes", |log| log.input(name).len() == 150);
    let room = room_of(&bed, 100_000);
    // As if the host had not seen the last 50 bytes, nor consumed the first 100.
    let position = 0;
    bed.command(lane, &Command::Fill { id, room, position });
    bed.settle();
    client.write_all(&sent[150..]).unwrap();
    bed.until("all comes", |log| log.input(name).len() == sent.len());
    assert!(bed.log.input(name) == sent);
    let kept = &bed.log.kept[1..];
    let inside: Vec<_> = kept.iter().filter(|part| part.node == room.node).collect();
    assert_eq!(inside[0].offset, room.offset + 150);
    let bytes: u32 = inside.iter().map(|part| part.len).sum();
    assert_eq!(bytes, 100_000 - 150, "the rest goes where all input goes");
    bed.release_kept();
}

#[test]
fn room_that_comes_too_late_or_for_nobody_is_given_back() {
    let mut bed = Bed::new();
    let (mut client, name) = connect_with(&mut bed, u32::MAX);
    let (lane, id) = name;
    client.write_all(&[7; 5000]).unwrap();
    bed.until("it comes", |log| log.input(name).len() == 5000);
    let arena = bed.host.runtime().arena().clone();
    for position in [0, 5001, u32::MAX] {
        let room = room_of(&bed, 5000);
        bed.command(lane, &Command::Fill { id, room, position });
        bed.settle();
        assert!(arena.stats().nodes <= 1, "position {position}");
    }
    let room = room_of(&bed, 5000);
    let position = 5000;
    bed.command(lane, &Command::Fill { id, room, position });
    bed.settle();
    assert_eq!(arena.stats().nodes, 2, "it waits to be filled");
    bed.destroy(name);
    bed.until("it is closed", |log| log.closed(name).is_some());
    let room = room_of(&bed, 5000);
    bed.command(lane, &Command::Fill { id, room, position });
    bed.settle();
    assert!(arena.stats().nodes <= 1);
    assert_eq!(bed.counters().stale_commands, 1);
}

/// Sends until the arena has no memory.
fn exhaust(bed: &mut Bed, hog: &mut TcpStream) {
    hog.set_nonblocking(true).unwrap();
    bed.poll("memory runs out", |bed| {
        // The socket may be full for the moment.
        let _ = hog.write(&[7; 4000]);
        bed.counters().pauses_for_memory > 0
    });
}

#[test]
fn h114_a_connection_with_room_of_its_own_goes_on_without_memory() {
    let mut bed = Bed::with_memory(1, nodepoll::limits::RING_RECORDS, CHUNK_BYTES);
    bed.log.on_data = OnData::Keep;
    let (mut client, name) = connect_with(&mut bed, u32::MAX);
    let (lane, id) = name;
    let room = room_of(&bed, 100_000);
    let (mut hog, _) = connect_with(&mut bed, u32::MAX);
    exhaust(&mut bed, &mut hog);
    let sent = pattern(9, 50_000);
    client.write_all(&sent).unwrap();
    bed.poll("it waits", |bed| bed.counters().pauses_for_memory > 1);
    let position = 0;
    bed.command(lane, &Command::Fill { id, room, position });
    bed.until("it comes", |log| log.input(name).len() == sent.len());
    assert!(bed.log.input(name) == sent);
    bed.release_kept();
}

#[test]
fn h114_a_reset_is_told_while_there_is_no_memory() {
    let mut bed = Bed::with_memory(1, nodepoll::limits::RING_RECORDS, CHUNK_BYTES);
    bed.log.on_data = OnData::Keep;
    let (mut client, name) = connect_with(&mut bed, u32::MAX);
    let (mut hog, _) = connect_with(&mut bed, u32::MAX);
    exhaust(&mut bed, &mut hog);
    client.write_all(b"never read").unwrap();
    bed.poll("it waits", |bed| bed.counters().pauses_for_memory > 1);
    reset(client);
    bed.until("it is closed", |log| log.closed(name).is_some());
    bed.release_kept();
}

#[test]
fn h71_h114_a_pause_while_it_waits_for_memory_does_not_lose_its_place() {
    let mut bed = Bed::with_memory(1, nodepoll::limits::RING_RECORDS, CHUNK_BYTES);
    bed.log.on_data = OnData::Keep;
    let (mut client, name) = connect_with(&mut bed, u32::MAX);
    let (mut hog, hogs) = connect_with(&mut bed, u32::MAX);
    exhaust(&mut bed, &mut hog);
    let (lane, id) = hogs;
    bed.command(lane, &Command::Pause { id });
    let pauses = bed.counters().pauses_for_memory;
    client.write_all(b"one ").unwrap();
    bed.poll("it waits", |bed| bed.counters().pauses_for_memory > pauses);
    pause(&mut bed, name);
    // An edge for a connection that is paused and waits for memory.
    client.write_all(b"two").unwrap();
    bed.settle();
    bed.release_kept();
    bed.settle();
    assert_eq!(bed.log.input(name), b"");
    resume(&mut bed, name);
    bed.until("it comes", |log| log.input(name) == b"one two");
}
