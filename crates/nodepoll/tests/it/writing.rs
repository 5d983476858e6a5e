//! Output: many pieces, slow peers, acknowledgements, peers that are gone.

use std::thread;
use std::time::Duration;

use nodepoll::record::SYSCALL_WRITE;
use nodepoll::{Command, EndReason};

use crate::support::{
    Bed, Name, Random, Scratch, alone, connect_path, pattern, read_all, read_exactly,
};

#[test]
fn h34_h70_three_thousand_pieces_arrive_in_order() {
    let mut bed = Bed::new();
    let address = bed.listen();
    let (client, name) = bed.connect(address);
    // First so much that the socket blocks, so that the pieces gather behind it.
    let mut expected = pattern(1, 8 << 20);
    bed.write(name, &expected);
    let mut node = bed.node(64 << 10);
    for piece in 0_u32..3000 {
        let bytes = piece.to_le_bytes();
        let segment = node.write(&bytes).into_lease();
        // A gap, so that neighbours do not join.
        drop(node.write(b"gap"));
        bed.write_leased(name, segment);
        expected.extend_from_slice(&bytes);
    }
    drop(node);
    bed.close(name);
    bed.settle();
    let writes = bed.counters().writes;
    let reading = thread::spawn(move || read_all(&client).unwrap());
    bed.until("it is closed", |log| log.closed(name).is_some());
    assert!(reading.join().unwrap() == expected);
    assert!(bed.counters().writes - writes < 1000, "pieces go together");
}

#[test]
fn h39_h72_output_to_peers_that_read_in_bursts_is_exact() {
    let mut bed = Bed::start(2, 64);
    let address = bed.listen();
    let mut random = Random::new(3);
    let mut readers = Vec::new();
    let mut names = Vec::new();
    for seed in 0..4 {
        let (client, name) = bed.connect(address);
        let expected = pattern(seed, 3 << 20);
        names.push((name, expected.clone()));
        readers.push(thread::spawn(move || {
            let mut random = Random::new(seed);
            let mut rest = &expected[..];
            while !rest.is_empty() {
                let len = rest.len().min(1 + random.below(200_000));
                let got = read_exactly(&client, len).unwrap();
                assert!(got == rest[..len]);
                rest = &rest[len..];
                thread::yield_now();
            }
            client
        }));
    }
    let mut written = vec![0; names.len()];
    while written.iter().any(|&bytes| bytes < 3 << 20) {
        let which = random.below(names.len());
        let (name, bytes) = &names[which];
        let rest = &bytes[written[which]..];
        let part = &rest[..rest.len().min(random.below(60_000))];
        if !part.is_empty() {
            bed.write(*name, part);
            written[which] += part.len();
            bed.turn();
        }
    }
    for &((lane, id), _) in &names {
        bed.command(lane, &Command::Acknowledge { id });
    }
    bed.until("the kernel has taken all", |log| {
        names
            .iter()
            .all(|&(name, _)| log.sent(name) == Some(3 << 20))
    });
    for reader in readers {
        reader.join().unwrap();
    }
}

#[test]
fn h41_an_acknowledgement_comes_when_the_kernel_has_taken_all_and_not_before() {
    let mut bed = Bed::new();
    let address = bed.listen();
    let (client, name) = bed.connect(address);
    let (lane, id) = name;
    bed.command(lane, &Command::Acknowledge { id });
    bed.until("nothing is queued", |log| log.sent(name) == Some(0));
    bed.write(name, &pattern(1, 16 << 20));
    bed.command(lane, &Command::Acknowledge { id });
    bed.settle();
    assert!(bed.log.sent(name) < Some(16 << 20), "the peer has not read");
    let reading = thread::spawn(move || {
        read_exactly(&client, 16 << 20).unwrap();
        client
    });
    bed.until("the kernel has taken all", |log| {
        log.sent(name) == Some(16 << 20)
    });
    reading.join().unwrap();
}

#[test]
fn h35_memory_of_sent_output_is_free_while_the_poller_sleeps() {
    let mut bed = Bed::new();
    let address = bed.listen();
    let (client, name) = bed.connect(address);
    let reading = thread::spawn(move || {
        read_exactly(&client, 4 << 20).unwrap();
        client
    });
    bed.write(name, &pattern(1, 4 << 20));
    bed.command(name.0, &Command::Acknowledge { id: name.1 });
    bed.until("it is sent", |log| log.sent(name) == Some(4 << 20));
    let _client = reading.join().unwrap();
    let stats = bed.host.runtime().arena().stats();
    assert_eq!(stats.nodes, 0, "nothing was read, and nothing is queued");
}

#[test]
fn h94_a_write_to_a_peer_that_is_gone_is_an_error_and_no_signal() {
    alone(|| {
        // SAFETY: it sets no handler, and no other thread relies on the signal being ignored.
        let before = unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        assert_ne!(before, libc::SIG_ERR);
        let scratch = Scratch::new();
        let path = scratch.file("socket");
        let mut bed = Bed::new();
        let (lane, listener) = bed.listen_path(&path);
        bed.accept(lane, listener);
        for pieces in [1, 3] {
            drop(connect_path(&path));
            let name = bed.next_accepted();
            bed.until("the peer has ended", |log| log.has_ended(name));
            // One piece is sent by a plain call, several by a vectored one.
            for _ in 0..pieces {
                bed.write(name, b"hello?");
            }
            bed.until("it is closed", |log| log.closed(name).is_some());
            let (errno, syscall) = (libc::EPIPE, SYSCALL_WRITE);
            assert_eq!(
                bed.log.closed(name),
                Some(EndReason::Error { errno, syscall })
            );
        }
    });
}

#[test]
fn h53_input_that_came_before_a_failed_write_is_still_delivered() {
    let scratch = Scratch::new();
    let path = scratch.file("socket");
    let mut bed = Bed::new();
    let (lane, listener) = bed.listen_path(&path);
    bed.accept(lane, listener);
    for _ in 0..50 {
        let mut client = connect_path(&path);
        let name = bed.next_accepted();
        std::io::Write::write_all(&mut client, b"last words").unwrap();
        drop(client);
        // Whichever the driver sees first: the write that fails, or the peer's end.
        bed.write(name, b"hello?");
        bed.until("it is closed or has ended", |log| {
            log.closed(name).is_some() || log.has_ended(name)
        });
        assert_eq!(bed.log.input(name), b"last words");
        bed.destroy(name);
    }
}

#[test]
fn h105_a_short_rest_that_the_peer_does_not_take_holds_no_node() {
    const PART: usize = 3000;
    let mut bed = Bed::new();
    let address = bed.listen();
    let (client, name) = bed.connect(address);
    let mut expected = Vec::new();
    // So much that the socket is full, and all of it is taken in the end.
    while is_taken(&mut bed, name, &mut expected, 256 << 10) {}
    let mut read = Vec::new();
    while bed.log.sent(name) != Some(expected.len() as u64) {
        read.extend(read_exactly(&client, PART).unwrap());
        bed.turn();
    }
    // Then little by little, until it is full again.
    while is_taken(&mut bed, name, &mut expected, PART) {}
    bed.settle();
    assert!(bed.counters().bytes_copied > 0);
    assert_eq!(bed.host.runtime().arena().stats().nodes, 0);
    read.extend(read_exactly(&client, expected.len() - read.len()).unwrap());
    assert!(read == expected);
}

/// Writes so many bytes more. Whether the kernel takes all within some time.
fn is_taken(bed: &mut Bed, name: Name, all: &mut Vec<u8>, len: usize) -> bool {
    let (lane, id) = name;
    let bytes = pattern(4, len);
    bed.write(name, &bytes);
    bed.command(lane, &Command::Acknowledge { id });
    all.extend_from_slice(&bytes);
    (0..30).any(|_| {
        bed.turn();
        bed.host.wait(Duration::from_millis(1));
        bed.log.sent(name) == Some(all.len() as u64)
    })
}
