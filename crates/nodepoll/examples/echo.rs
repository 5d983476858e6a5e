//! An echo server without any JavaScript: `cargo run --release --example echo -- 127.0.0.1:7000`.

#![expect(clippy::print_stdout, reason = "a program talks to its user")]

use std::error::Error;
use std::time::Duration;

use nodepoll::{Command, Endpoint, Event, ListenOptions, RuntimeOptions, RustHost};

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:7000".to_owned());
    let mut host = RustHost::start(&RuntimeOptions::default(), 1 << 30)?;
    let (lane, bound) = host.listen(&ListenOptions {
        listener: 0,
        endpoint: Endpoint::Inet(address.parse()?),
        backlog: 1024,
        ipv6_only: false,
        reuse_port: false,
    })?;
    host.send(
        lane,
        &Command::Accept {
            listener: 0,
            window: u32::MAX,
        },
    );
    println!("listening on {bound:?}");
    loop {
        // What arrived goes back as it is: the lease on it moves from the event to the command.
        let events = host.exchange(|host, lane, event| {
            let reply = match event {
                Event::Data { id, segment, .. } => Command::Write { id, segment },
                Event::End { id, .. } => Command::Close { id, millis: 0 },
                _ => return,
            };
            while !host.send(lane, &reply) {
                host.hand_over();
            }
        });
        if events == 0 {
            host.wait(Duration::MAX);
        }
    }
}
