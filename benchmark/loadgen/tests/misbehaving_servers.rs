//! The program against servers that do not do what an echo server should.

#![expect(
    clippy::unwrap_used,
    reason = "a test whose own server fails has failed"
)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::process::{Command, Output};
use std::thread;

/// Serves each connection on a thread of its own, until the test process ends.
fn serve(behaviour: fn(TcpStream) -> std::io::Result<()>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || behaviour(stream.unwrap()));
        }
    });
    address
}

fn echo(mut stream: TcpStream) -> std::io::Result<()> {
    let mut writer = stream.try_clone()?;
    std::io::copy(&mut stream, &mut writer)?;
    Ok(())
}

/// An echo that passes what it got through `change`, together with its position in the stream.
fn echo_changed(mut stream: TcpStream, change: fn(u64, &mut Vec<u8>)) -> std::io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    let mut position = 0;
    loop {
        let size = stream.read(&mut buffer)?;
        if size == 0 {
            return Ok(());
        }
        let mut bytes = buffer[..size].to_vec();
        change(position, &mut bytes);
        position += size as u64;
        stream.write_all(&bytes)?;
    }
}

/// The index of a byte of the stream in the bytes at `position`, if it is among them.
fn index_of(byte: u64, position: u64, bytes: &[u8]) -> Option<usize> {
    let index = usize::try_from(byte.checked_sub(position)?).unwrap();
    (index < bytes.len()).then_some(index)
}

fn loadgen(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_nodepoll-loadgen"))
        .args(["--connections=3", "--seconds=0.3", "--warmup=0"])
        .args(arguments)
        .output()
        .unwrap()
}

fn load(server: SocketAddr, arguments: &[&str]) -> Output {
    let port = format!("--port={}", server.port());
    loadgen(&[&[port.as_str()], arguments].concat())
}

#[track_caller]
fn assert_fails_with(output: &Output, message: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains(message), "{stderr}");
    assert!(output.stdout.is_empty(), "a failed run has no result");
}

#[track_caller]
fn assert_passes(output: &Output) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stderr}");
    assert!(stdout.starts_with("{\"mode\":\""), "{stdout}");
    assert_eq!(stdout.lines().count(), 1, "{stdout}");
}

#[test]
fn an_honest_server_passes_in_every_mode() {
    let server = serve(echo);
    assert_passes(&load(server, &[]));
    assert_passes(&load(server, &["--size=70000", "--depth=4"]));
    assert_passes(&load(server, &["--size=1", "--depth=1000"]));
    assert_passes(&load(server, &["--mode=short"]));
    assert_passes(&load(server, &["--mode=idle"]));
}

/// Answers each frame with one that has the same payload, and ends where there is none.
fn answer_frames(mut stream: TcpStream) -> std::io::Result<()> {
    let mut header = [0; 4];
    while stream.read_exact(&mut header).is_ok() {
        let size = usize::try_from(u32::from_be_bytes(header)).unwrap();
        if size > 100_000 {
            break;
        }
        let mut reply = header.to_vec();
        reply.resize(4 + size, 0);
        stream.read_exact(&mut reply[4..])?;
        stream.write_all(&reply)?;
    }
    Ok(())
}

#[test]
fn a_server_of_frames_is_sent_frames_only_if_wanted() {
    let server = serve(answer_frames);
    assert_passes(&load(server, &["--framed"]));
    assert_passes(&load(server, &["--framed", "--size=70000", "--depth=4"]));
    assert_passes(&load(server, &["--framed", "--mode=short", "--size=1"]));
    assert_fails_with(&load(server, &[]), "closed early");
}

#[test]
fn idle_connections_make_one_request_and_are_verified_to_their_end() {
    let server = serve(echo);
    let output = load(server, &["--idle=50", "--progress"]);
    assert_passes(&output);
    let phases = String::from_utf8_lossy(&output.stderr);
    assert_eq!(phases, "measuring\nmeasured\n");
    let server = serve(|mut stream| {
        let mut writer = stream.try_clone()?;
        let had_one_request = std::io::copy(&mut stream, &mut writer)? == 1024;
        writer.write_all(if had_one_request { b"x" } else { b"" })
    });
    assert_passes(&load(server, &[]));
    assert_fails_with(&load(server, &["--idle=1"]), "surplus bytes");
}

#[test]
fn a_unix_socket_is_served_too() {
    let path = std::env::temp_dir().join(format!("nodepoll-loadgen-{}", std::process::id()));
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut writer = stream.try_clone().unwrap();
            thread::spawn(move || std::io::copy(&mut stream, &mut writer));
        }
    });
    let path_argument = format!("--path={}", path.display());
    let outputs = ["echo", "short"].map(|mode| loadgen(&[&path_argument, "--mode", mode]));
    std::fs::remove_file(&path).unwrap();
    outputs.iter().for_each(assert_passes);
}

#[test]
fn one_changed_byte_is_caught() {
    let server = serve(|stream| {
        echo_changed(stream, |position, bytes| {
            if let Some(index) = index_of(5000, position, bytes) {
                bytes[index] ^= 0x20;
            }
        })
    });
    assert_fails_with(&load(server, &[]), "corrupt byte");
    assert_fails_with(&load(server, &[]), "position 5000:");
}

#[test]
fn one_doubled_byte_is_caught() {
    let server = serve(|stream| {
        echo_changed(stream, |position, bytes| {
            if let Some(index) = index_of(5000, position, bytes) {
                bytes.insert(index, bytes[index]);
            }
        })
    });
    assert_fails_with(&load(server, &[]), "corrupt byte");
}

#[test]
fn one_lost_byte_is_caught() {
    let server = serve(|stream| {
        echo_changed(stream, |position, bytes| {
            if let Some(index) = index_of(5000, position, bytes) {
                bytes.remove(index);
            }
        })
    });
    assert_fails_with(&load(server, &[]), "corrupt byte");
}

#[test]
fn a_request_answered_twice_is_caught() {
    let server = serve(|stream| echo_changed(stream, |_, bytes| bytes.extend_from_within(..)));
    assert_fails_with(&load(server, &["--size=16"]), "surplus bytes");
}

#[test]
fn a_byte_after_the_last_reply_is_caught() {
    let server = serve(|mut stream| {
        let mut writer = stream.try_clone()?;
        std::io::copy(&mut stream, &mut writer)?;
        writer.write_all(b"x")
    });
    assert_fails_with(&load(server, &[]), "surplus bytes");
}

#[test]
fn a_connection_that_ends_early_is_caught() {
    let server = serve(|mut stream| {
        let mut request = [0; 1024];
        stream.read_exact(&mut request)?;
        stream.write_all(&request)
    });
    assert_fails_with(&load(server, &[]), "closed early");
    assert_fails_with(&load(server, &["--mode=idle"]), "closed early");
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let message = format!("cannot connect to {address}");
    assert_fails_with(&load(address, &[]), &message);
}
