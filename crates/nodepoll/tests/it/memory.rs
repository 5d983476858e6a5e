//! An arena without memory.

use std::io::Write;
use std::net::{Shutdown, TcpStream};

use linkbuf::{CHUNK_BYTES, GRANULE_BYTES, Purpose};
use nodepoll::limits::{LINGER_TIME, OUTPUT_RESERVE_BYTES, READ_NODE_BYTES, RING_RECORDS};
use nodepoll::{Command, EndReason, Endpoint};

use crate::support::{Bed, Name, OnData, pattern, read_all};

/// A runtime of one chunk whose every byte is kept by its host.
struct Exhausted {
    bed: Bed,
    hog: TcpStream,
}

impl Exhausted {
    /// `clients` are connected before the memory runs out.
    fn new(clients: usize) -> (Self, Vec<(TcpStream, Name)>) {
        let mut bed = Bed::with_memory(1, RING_RECORDS, CHUNK_BYTES);
        bed.log.on_data = OnData::Keep;
        let address = bed.listen();
        let (hog, _) = bed.connect(address);
        let clients = (0..clients).map(|_| bed.connect(address)).collect();
        (Self { bed, hog }, clients)
    }

    fn exhaust(&mut self) {
        let mut hog = self.hog.try_clone().unwrap();
        // What no longer fits waits in the kernel.
        hog.set_nonblocking(true).unwrap();
        self.bed.poll("memory runs out", |bed| {
            // The socket may be full for the moment.
            let _ = hog.write(&[7; 4000]);
            bed.counters().pauses_for_memory > 0
        });
        let free = self.bed.host.runtime().arena().bytes_free();
        assert!(
            free < OUTPUT_RESERVE_BYTES + READ_NODE_BYTES,
            "{free} bytes"
        );
    }
}

#[test]
fn h71_h114_sockets_that_waited_for_memory_go_on_without_an_edge() {
    let (mut exhausted, mut clients) = Exhausted::new(4);
    exhausted.exhaust();
    let Exhausted { mut bed, hog: _hog } = exhausted;
    for (index, (client, _)) in clients.iter_mut().enumerate() {
        client.write_all(&pattern(index as u64, 3000)).unwrap();
    }
    clients[3].0.shutdown(Shutdown::Write).unwrap();
    bed.poll("all wait for memory", |bed| {
        bed.counters().pauses_for_memory >= 5
    });
    bed.settle();
    let turns = bed.counters().turns;
    assert!(!bed.host.wait(std::time::Duration::from_millis(50)));
    assert!(bed.counters().turns <= turns + 1, "nothing spins (H10)");
    bed.log.on_data = OnData::Release;
    bed.release_kept();
    bed.until("all has come", |log| {
        let come = |(_, name): &(TcpStream, Name)| log.input(*name).len() == 3000;
        clients.iter().all(come) && log.has_ended(clients[3].1)
    });
    for (index, (_, name)) in clients.iter().enumerate() {
        assert!(bed.log.input(*name) == pattern(index as u64, 3000));
    }
}

#[test]
fn h114_a_grant_helps_as_well_as_a_release() {
    let mut bed = Bed::with_memory(1, RING_RECORDS, 2 * CHUNK_BYTES);
    bed.log.on_data = OnData::Keep;
    let address = bed.listen();
    let (mut client, name) = bed.connect(address);
    // The driver asks for the second chunk by itself while the first one fills.
    let sent = pattern(1, CHUNK_BYTES + (CHUNK_BYTES >> 1));
    let writing = std::thread::spawn(move || {
        client.write_all(&sent).unwrap();
        (client, sent)
    });
    bed.until("more than a chunk has come", |log| {
        log.input(name).len() == CHUNK_BYTES + (CHUNK_BYTES >> 1)
    });
    let (_client, sent) = writing.join().unwrap();
    assert!(bed.log.input(name) == sent);
    assert_eq!(
        bed.host.runtime().arena().stats().bytes_granted,
        2 * CHUNK_BYTES
    );
}

#[test]
fn h114_a_runtime_without_memory_asks_for_it_and_begins_to_read() {
    let mut bed = Bed::with_memory(1, RING_RECORDS, CHUNK_BYTES);
    let address = bed.listen();
    let (mut client, name) = bed.connect(address);
    client.write_all(b"hello").unwrap();
    bed.until("it comes", |log| log.input(name) == b"hello");
}

#[test]
fn h114_connections_that_wait_for_memory_can_be_destroyed() {
    let (mut exhausted, mut clients) = Exhausted::new(1);
    exhausted.exhaust();
    let Exhausted { mut bed, hog: _hog } = exhausted;
    let (client, name) = &mut clients[0];
    client.write_all(b"waits").unwrap();
    bed.poll("it waits", |bed| bed.counters().pauses_for_memory >= 2);
    bed.destroy(*name);
    bed.until("it is closed", |log| log.closed(*name).is_some());
    assert_eq!(bed.log.closed(*name), Some(EndReason::Local));
}

#[test]
fn h114_an_end_is_told_and_a_question_answered_without_memory() {
    let (mut exhausted, clients) = Exhausted::new(2);
    exhausted.exhaust();
    let Exhausted { mut bed, hog: _hog } = exhausted;
    let [(ending, ended), (_idle, asked)] = &clients[..] else {
        panic!("there are two");
    };
    ending.shutdown(Shutdown::Write).unwrap();
    bed.until("the end is told", |log| log.has_ended(*ended));
    let (lane, id) = *asked;
    bed.command(lane, &Command::Probe { id });
    bed.until("nothing is found", |log| log.seen(*asked).quiet == 1);
    assert_eq!(bed.counters().pauses_for_memory, 1, "nobody else waits");
}

#[test]
fn h95_h114_a_close_discards_input_that_waited_for_memory() {
    let mut bed = Bed::with_memory(1, RING_RECORDS, CHUNK_BYTES);
    bed.log.on_data = OnData::Keep;
    let address = bed.listen();
    let (hog, _) = bed.connect(address);
    let (mut client, name) = bed.connect(address);
    let reply = pattern(8, 200_000);
    let segment = bed.lease(&reply);
    // Kept for longer than it takes to send it, so that no memory comes back by that.
    assert!(bed.host.runtime().arena().retain(segment.node, 1));
    bed.log.kept.push(segment);
    let mut exhausted = Exhausted { bed, hog };
    exhausted.exhaust();
    let Exhausted { mut bed, hog: _hog } = exhausted;
    client.write_all(b"unread").unwrap();
    bed.poll("it waits", |bed| bed.counters().pauses_for_memory >= 2);
    // Nobody reads at the other end, until our side has given up waiting for its FIN.
    bed.write_leased(name, segment);
    bed.close(name);
    bed.until("it is closed", |log| log.closed(name).is_some());
    assert!(LINGER_TIME < crate::support::PATIENCE);
    assert!(
        read_all(&client).unwrap() == reply,
        "the reply came through"
    );
}

#[test]
fn h114_input_is_received_into_pieces_and_the_host_is_asked_for_something_longer() {
    // Without another chunk, and with one.
    for chunks in [2, 3] {
        let mut bed = Bed::with_memory(1, RING_RECORDS, chunks * CHUNK_BYTES);
        let arena = bed.host.runtime().arena().clone();
        let taken = std::iter::from_fn(|| arena.lease_node(GRANULE_BYTES));
        let (kept, pieces): (Vec<_>, Vec<_>) =
            taken.partition(|leased| leased.node.is_multiple_of(2));
        for piece in pieces {
            assert!(arena.release(piece.node, piece.len));
        }
        assert!(arena.allocate(2 * GRANULE_BYTES).is_none());
        let address = bed.listen();
        let (mut client, name) = bed.connect(address);
        let sent = pattern(1, 100_000);
        client.write_all(&sent).unwrap();
        bed.until("all has come", |log| log.input(name).len() == sent.len());
        assert!(bed.log.input(name) == sent);
        assert_eq!(arena.bytes_granted(), chunks * CHUNK_BYTES);
        for node in kept {
            assert!(arena.release(node.node, node.len));
        }
    }
}

/// Writes on one connection after the other until no memory is left for output, and the kernel
/// takes no more of it. What was written on each.
fn jam(bed: &mut Bed, names: &[Name]) -> Vec<Vec<u8>> {
    let mut written = vec![Vec::new(); names.len()];
    let mut next = 0;
    loop {
        let before = next;
        while let Some(mut node) = {
            let arena = bed.host.runtime().arena();
            arena.allocate_for(Purpose::Output, READ_NODE_BYTES)
        } {
            let bytes = pattern(next as u64, READ_NODE_BYTES);
            let index = next % names.len();
            bed.write_leased(names[index], node.write(&bytes).into_lease());
            written[index].extend(bytes);
            next += 1;
        }
        if next == before {
            return written;
        }
        bed.settle();
    }
}

#[test]
fn h114_output_that_nobody_takes_does_not_make_the_driver_deaf() {
    let mut bed = Bed::with_memory(1, RING_RECORDS, CHUNK_BYTES);
    let address = bed.listen();
    let (_idle, slow) = bed.connect(address);
    let (mut client, name) = bed.connect(address);
    jam(&mut bed, &[slow]);
    // More than what the driver has had for itself all the time.
    let sent = pattern(1, 4 * READ_NODE_BYTES);
    let writing = std::thread::spawn(move || {
        client.write_all(&sent).unwrap();
        (client, sent)
    });
    bed.until("what another peer sends has come", |log| {
        log.input(name).len() == 4 * READ_NODE_BYTES
    });
    let (_client, sent) = writing.join().unwrap();
    assert!(bed.log.input(name) == sent);
}

#[test]
fn h114_output_of_both_ends_gets_through_though_it_has_had_all_the_memory() {
    for pollers in [1, 3] {
        let mut bed = Bed::with_memory(pollers, RING_RECORDS, CHUNK_BYTES);
        let address = bed.listen();
        bed.dial(Endpoint::Inet(address));
        bed.until("both ends are open", |log| log.names.len() == 2);
        let ends = bed.log.names.clone();
        for &(lane, id) in &ends {
            bed.command(lane, &Command::Pause { id });
        }
        let written = jam(&mut bed, &ends);
        for &(lane, id) in &ends {
            bed.command(lane, &Command::Resume { id });
        }
        bed.until("all has come at both ends", |log| {
            let has_all = |side: usize| log.input(ends[side]).len() == written[1 - side].len();
            has_all(0) && has_all(1)
        });
        assert!(bed.log.input(ends[0]) == written[1]);
        assert!(bed.log.input(ends[1]) == written[0]);
    }
}
