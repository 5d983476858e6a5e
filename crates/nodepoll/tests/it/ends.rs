//! What the peer does last: FIN, RST, urgent bytes, and data that comes with them.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;

use nodepoll::record::SYSCALL_READ;
use nodepoll::{Command, EndReason};
use socket2::SockRef;

use crate::support::{Bed, Name, Scratch, connect, connect_path, pattern, read_all, reset};

const SIZES: [usize; 8] = [1, 100, 4095, 4096, 4097, 20_000, 32_768, 65_536];

/// A client that has done `first` before its connection is accepted, so that the driver finds all
/// of it in one event.
fn accepted_after<T>(bed: &mut Bed, first: impl FnOnce(TcpStream) -> T) -> (T, Name) {
    let (lane, listener, address) = bed.listen_only();
    let done = first(connect(address));
    bed.accept(lane, listener);
    (done, bed.next_accepted())
}

#[test]
fn h37_data_and_fin_in_one_event_are_data_then_end() {
    let mut bed = Bed::new();
    for len in SIZES {
        let sent = pattern(1, len);
        let (client, name) = accepted_after(&mut bed, |mut client| {
            client.write_all(&sent).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            client
        });
        bed.until("the end has come", |log| log.has_ended(name));
        assert!(bed.log.input(name) == sent, "{len} bytes");
        bed.close(name);
        bed.until("it is closed", |log| log.closed(name).is_some());
        assert_eq!(bed.log.closed(name), Some(EndReason::Local));
        drop(client);
    }
}

#[test]
fn h113_data_and_fin_of_a_unix_socket_in_one_event_are_data_then_end() {
    let scratch = Scratch::new();
    let mut bed = Bed::new();
    for len in SIZES {
        let path = scratch.file(&len.to_string());
        let (lane, listener) = bed.listen_path(&path);
        let sent = pattern(2, len);
        let mut client: UnixStream = connect_path(&path);
        client.write_all(&sent).unwrap();
        drop(client);
        bed.accept(lane, listener);
        let name = bed.next_accepted();
        bed.until("the end has come", |log| log.has_ended(name));
        assert!(bed.log.input(name) == sent, "{len} bytes");
        bed.destroy(name);
    }
}

#[test]
fn h113_a_read_that_fills_its_space_exactly_is_not_the_last() {
    let mut bed = Bed::new();
    let sent = pattern(3, 3 * 65_536);
    let (client, name) = accepted_after(&mut bed, |client| {
        let mut writer = client.try_clone().unwrap();
        let sent = sent.clone();
        let writing = std::thread::spawn(move || writer.write_all(&sent).unwrap());
        (client, writing)
    });
    bed.until("all has come", |log| log.input(name).len() == sent.len());
    assert!(bed.log.input(name) == sent);
    client.1.join().unwrap();
}

#[test]
fn h113_urgent_bytes_do_not_stall_what_follows_them() {
    let mut bed = Bed::new();
    let (early, name) = accepted_after(&mut bed, |mut client| {
        client.write_all(b"before").unwrap();
        SockRef::from(&client).send_out_of_band(b"!").unwrap();
        client.write_all(b"after").unwrap();
        client
    });
    bed.until("all but the urgent byte has come", |log| {
        log.input(name).len() == 11
    });
    assert_eq!(bed.log.input(name), b"beforeafter");
    // The same to a connection that is open, again and again.
    let mut client = early;
    for round in 2..50 {
        client.write_all(b"before").unwrap();
        SockRef::from(&client).send_out_of_band(b"!").unwrap();
        client.write_all(b"after").unwrap();
        bed.until("all but the urgent byte has come", |log| {
            log.input(name).len() == 11 * round
        });
    }
    assert_eq!(bed.log.input(name), b"beforeafter".repeat(49));
}

#[test]
fn h76_what_came_before_a_reset_is_delivered_and_the_reset_is_no_end() {
    let mut bed = Bed::new();
    for len in [1, 4096, 32_768] {
        let sent = pattern(4, len);
        let ((), name) = accepted_after(&mut bed, |mut client| {
            client.write_all(&sent).unwrap();
            reset(client);
        });
        bed.until("it is closed", |log| log.closed(name).is_some());
        assert!(bed.log.input(name) == sent, "{len} bytes");
        assert!(!bed.log.has_ended(name), "a reset is not FIN");
        let errno = libc::ECONNRESET;
        let syscall = SYSCALL_READ;
        assert_eq!(
            bed.log.closed(name),
            Some(EndReason::Error { errno, syscall })
        );
    }
}

#[test]
fn h53_a_reset_of_an_open_connection_is_told_without_traffic() {
    let mut bed = Bed::new();
    let address = bed.listen();
    let (client, name) = bed.connect(address);
    bed.settle();
    reset(client);
    bed.until("it is closed", |log| log.closed(name).is_some());
    let reason = bed.log.closed(name).unwrap();
    assert!(matches!(reason, EndReason::Error { errno, .. } if errno == libc::ECONNRESET));
}

#[test]
fn h53_a_reset_after_the_peers_fin_is_told_without_traffic() {
    let mut bed = Bed::new();
    let address = bed.listen();
    let (client, name) = bed.connect(address);
    client.shutdown(Shutdown::Write).unwrap();
    bed.until("it has ended", |log| log.has_ended(name));
    reset(client);
    bed.until("it is closed", |log| log.closed(name).is_some());
    assert!(matches!(
        bed.log.closed(name),
        Some(EndReason::Error { .. })
    ));
}

#[test]
fn h75_a_peer_that_has_ended_still_gets_the_whole_reply() {
    let mut bed = Bed::new();
    let address = bed.listen();
    let (mut client, name) = bed.connect(address);
    client.write_all(b"request").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    bed.until("it has ended", |log| log.has_ended(name));
    assert_eq!(bed.log.input(name), b"request");
    let reply = pattern(5, 8 << 20);
    bed.write(name, &reply);
    bed.close(name);
    let reader = std::thread::spawn(move || read_all(&client).unwrap());
    bed.until("it is closed", |log| log.closed(name).is_some());
    assert!(reader.join().unwrap() == reply);
    assert_eq!(bed.log.closed(name), Some(EndReason::Local));
}

#[test]
fn h75_a_half_closed_connection_stays_until_the_host_ends_it() {
    let mut bed = Bed::new();
    let address = bed.listen();
    let (client, name) = bed.connect(address);
    client.shutdown(Shutdown::Write).unwrap();
    bed.until("it has ended", |log| log.has_ended(name));
    bed.settle();
    assert_eq!(bed.log.closed(name), None);
    let turns = bed.counters().turns;
    assert!(!bed.host.wait(std::time::Duration::from_millis(100)));
    assert!(bed.counters().turns <= turns + 1, "nothing spins (H10)");
    bed.write(name, b"still here");
    bed.turn();
    let reader = std::thread::spawn(move || read_all(&client).unwrap());
    bed.close(name);
    bed.until("it is closed", |log| log.closed(name).is_some());
    assert_eq!(reader.join().unwrap(), b"still here");
}

#[test]
fn a_probe_tells_of_all_that_has_arrived_and_then_that_nothing_is_left() {
    let mut bed = Bed::start(1, 64);
    let address = bed.listen();
    let (mut client, name) = bed.connect(address);
    let (lane, id) = name;
    bed.settle();
    assert_eq!(bed.log.seen(name).quiet, 0, "nobody has asked");
    let mut sent = 0;
    for round in 1..=100 {
        client.write_all(&vec![7; round]).unwrap();
        sent += round;
        bed.command(lane, &Command::Probe { id });
        bed.until("nothing is left", |log| log.seen(name).quiet == round);
        assert_eq!(bed.log.input(name).len(), sent, "it was there before");
    }
    bed.settle();
    assert_eq!(bed.log.seen(name).quiet, 100, "once for each probe");
}

#[test]
fn h20_a_probe_of_a_paused_connection_tells_that_nothing_has_arrived_and_reads_nothing() {
    let mut bed = Bed::new();
    let address = bed.listen();
    let (mut client, name) = bed.connect(address);
    let (lane, id) = name;
    bed.command(lane, &Command::Pause { id });
    bed.command(lane, &Command::Probe { id });
    bed.until("nothing has arrived", |log| log.seen(name).quiet == 1);
    client.write_all(b"something").unwrap();
    bed.settle();
    bed.command(lane, &Command::Probe { id });
    bed.settle();
    assert_eq!(bed.log.seen(name).quiet, 1, "something has arrived");
    assert_eq!(bed.log.input(name), b"");
    client.shutdown(Shutdown::Write).unwrap();
    bed.settle();
    assert_eq!(bed.log.seen(name).quiet, 1, "and is still there");
    bed.command(lane, &Command::Resume { id });
    bed.until("all is read", |log| log.has_ended(name));
    assert_eq!(bed.log.input(name), b"something");
}

#[test]
fn h53_a_probe_of_a_paused_connection_finds_its_reset() {
    let mut bed = Bed::new();
    let address = bed.listen();
    for with_data in [false, true] {
        let (mut client, name) = bed.connect(address);
        let (lane, id) = name;
        bed.command(lane, &Command::Pause { id });
        bed.settle();
        if with_data {
            client.write_all(b"lost").unwrap();
        }
        reset(client);
        bed.command(lane, &Command::Probe { id });
        bed.until("it is closed", |log| log.closed(name).is_some());
        let closed = bed.log.closed(name);
        let is_reset = matches!(
            closed,
            Some(EndReason::Error { errno, .. }) if errno == libc::ECONNRESET
        );
        assert!(is_reset, "{closed:?}");
    }
}

#[test]
fn a_probe_of_a_connection_that_ends_is_not_held_against_it() {
    let mut bed = Bed::new();
    let address = bed.listen();
    let (client, name) = bed.connect(address);
    let (lane, id) = name;
    client.shutdown(Shutdown::Write).unwrap();
    bed.command(lane, &Command::Probe { id });
    bed.until("it has ended", |log| log.has_ended(name));
    bed.command(lane, &Command::Probe { id });
    bed.close(name);
    bed.command(lane, &Command::Probe { id });
    bed.turn();
    assert_eq!(read_all(&client).unwrap(), b"");
    bed.until("it is closed", |log| log.closed(name).is_some());
    bed.command(lane, &Command::Probe { id });
    bed.poll("it is stale", |bed| bed.counters().stale_commands >= 1);
}

#[test]
fn h42_however_ends_and_room_for_output_come_together_there_is_one_outcome() {
    let mut bed = Bed::new();
    let address = bed.listen();
    for case in 0..16 {
        let [with_reset, with_data, is_pending, is_paused] = [1, 2, 4, 8].map(|bit| case & bit > 0);
        let (mut client, name) = bed.connect(address);
        let (lane, id) = name;
        if is_pending {
            bed.write(name, &pattern(1, 8 << 20));
            bed.command(lane, &Command::Acknowledge { id });
        }
        if is_paused {
            bed.command(lane, &Command::Pause { id });
        }
        bed.commands_are_taken(lane);
        bed.settle();
        // While the host is away, so that the driver finds all of it at once.
        let sent = pattern(2, if with_data { 10_000 } else { 0 });
        client.write_all(&sent).unwrap();
        if with_reset {
            reset(client);
            bed.until("it is closed", |log| log.closed(name).is_some());
            let Some(EndReason::Error { errno, .. }) = bed.log.closed(name) else {
                panic!("case {case}: {:?}", bed.log.closed(name));
            };
            assert!([libc::ECONNRESET, libc::EPIPE].contains(&errno));
            assert!(bed.log.input(name) == sent, "case {case}");
            continue;
        }
        client.shutdown(Shutdown::Write).unwrap();
        if is_paused {
            bed.settle();
            assert!(!bed.log.has_ended(name), "case {case}");
            bed.command(lane, &Command::Resume { id });
        } else {
            bed.until("it has ended", |log| log.has_ended(name));
        }
        let reading = std::thread::spawn(move || read_all(client).unwrap().len());
        bed.until("the end has come", |log| log.has_ended(name));
        assert!(bed.log.input(name) == sent, "case {case}");
        bed.close(name);
        bed.until("it is closed", |log| log.closed(name).is_some());
        assert_eq!(bed.log.closed(name), Some(EndReason::Local));
        let expected = if is_pending { 8 << 20 } else { 0 };
        assert_eq!(reading.join().unwrap(), expected, "case {case}");
    }
}
