//! The loop: connect, ask, verify, ask again; then let everything come home.

use std::mem;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use crate::args::{Args, Mode};
use crate::connection::Connection;
use crate::failure::Failure;
use crate::histogram::Histogram;
use crate::payload::Payload;
use crate::report::Report;
use crate::target::Target;

const EVENTS_MAX: usize = 1024;
const SCRATCH_SIZE: usize = 256 * 1024;

/// How long replies and ends may take once the load has stopped.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest wait for an event, so that clocks are looked at.
const TURN_MAX: Duration = Duration::from_millis(100);

const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// Runs the load the arguments describe and prints its report.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let mut generator = Generator::new(args)?;
    let started = Instant::now();
    generator.open_all()?;
    match args.mode {
        Mode::Echo | Mode::Short => {
            generator.ask()?;
            generator.turn_until(Instant::now() + args.warmup)?;
            let (replies, elapsed) = generator.measure()?;
            generator.drain()?;
            generator.finish()?;
            generator.report(replies, elapsed).print();
        }
        Mode::Idle => {
            generator.report(generator.total, started.elapsed()).print();
            generator.turn_until(Instant::now() + args.seconds)?;
            generator.finish()?;
        }
    }
    Ok(())
}

struct Generator<'a> {
    args: &'a Args,
    target: Target,
    poll: Poll,
    events: Events,
    /// A connection's index is its token.
    connections: Vec<Connection>,
    opened: u64,
    scratch: Vec<u8>,
    is_asking: bool,
    latencies: Histogram,
    total: u64,
    progress: Progress,
}

impl<'a> Generator<'a> {
    fn new(args: &'a Args) -> Result<Self, Failure> {
        Ok(Self {
            args,
            target: Target::of(args)?,
            poll: Poll::new().map_err(Failure::io("poll"))?,
            events: Events::with_capacity(EVENTS_MAX),
            connections: Vec::with_capacity(args.connections + args.idle),
            opened: 0,
            scratch: vec![0; SCRATCH_SIZE],
            is_asking: false,
            latencies: Histogram::new(),
            total: 0,
            progress: Progress::new(),
        })
    }

    /// Connects all and waits for one reply on each. A busy server accepts slowly: load that
    /// began before all are accepted would be measured on those that came first.
    fn open_all(&mut self) -> Result<(), Failure> {
        for index in 0..self.args.connections + self.args.idle {
            let connection = self.open(index, 1)?;
            self.connections.push(connection);
        }
        self.drain()
    }

    /// Makes the first requests; from here on a reply brings the next request. Idle connections
    /// have had theirs.
    fn ask(&mut self) -> Result<(), Failure> {
        self.is_asking = true;
        for connection in &mut self.connections[..self.args.connections] {
            connection.request(self.args.depth, Instant::now());
            connection.send(&mut self.scratch)?;
        }
        Ok(())
    }

    fn open(&mut self, index: usize, request_count: usize) -> Result<Connection, Failure> {
        let stream = self.target.connect(index as u64)?;
        let mut payload = Payload::new(self.opened);
        if self.args.framed {
            payload = payload.framed(self.args.request_size());
        }
        let size = self.args.request_size();
        let mut connection = Connection::new(self.opened, stream, payload, size);
        self.opened += 1;
        self.poll
            .registry()
            .register(
                connection.stream_mut(),
                Token(index),
                Interest::READABLE | Interest::WRITABLE,
            )
            .map_err(Failure::io("watch a connection"))?;
        connection.request(request_count, Instant::now());
        connection.send(&mut self.scratch)?;
        Ok(connection)
    }

    /// What is still in flight at the end counts as a latency when it comes, so that a starved
    /// connection shows, but not as a reply of the measured time.
    fn measure(&mut self) -> Result<(u64, Duration), Failure> {
        self.latencies = Histogram::new();
        let replies_before = self.total;
        self.tell("measuring");
        let started = Instant::now();
        self.turn_until(started + self.args.seconds)?;
        let elapsed = started.elapsed();
        self.tell("measured");
        Ok((self.total - replies_before, elapsed))
    }

    /// Stops asking and waits for the replies still owed, so that the last bytes are verified too.
    fn drain(&mut self) -> Result<(), Failure> {
        self.is_asking = false;
        self.wait_for("reply", |connection| connection.in_flight() == 0)
    }

    /// Ends every connection and waits for the server to do the same.
    fn finish(&mut self) -> Result<(), Failure> {
        for connection in &mut self.connections {
            connection.finish()?;
        }
        self.wait_for("end", Connection::has_ended)
    }

    fn wait_for(
        &mut self,
        missing: &'static str,
        is_done: impl Fn(&Connection) -> bool,
    ) -> Result<(), Failure> {
        let deadline = Instant::now() + DRAIN_TIMEOUT;
        loop {
            let waiting = self.connections.iter().filter(|one| !is_done(one)).count();
            if waiting == 0 {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(Failure::Stalled {
                    missing,
                    connections: waiting,
                    waited: DRAIN_TIMEOUT,
                });
            }
            self.turn(TURN_MAX)?;
        }
    }

    fn turn_until(&mut self, end: Instant) -> Result<(), Failure> {
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.turn(left.min(TURN_MAX))?;
            if self.args.progress {
                self.progress.tell(self.total);
            }
        }
    }

    fn turn(&mut self, timeout: Duration) -> Result<(), Failure> {
        let mut events = mem::replace(&mut self.events, Events::with_capacity(0));
        match self.poll.poll(&mut events, Some(timeout)) {
            Err(error) if error.kind() != std::io::ErrorKind::Interrupted => {
                return Err(Failure::io("poll")(error));
            }
            _ => {}
        }
        for event in &events {
            self.attend(event.token().0, event.is_read_closed())?;
        }
        self.events = events;
        Ok(())
    }

    fn attend(&mut self, index: usize, is_read_closed: bool) -> Result<(), Failure> {
        let mut replies = 0;
        let connection = &mut self.connections[index];
        connection.receive(&mut self.scratch, is_read_closed, |latency| {
            self.latencies.record(latency);
            replies += 1;
        })?;
        self.total += replies as u64;
        if replies > 0 && self.is_asking {
            if self.args.mode == Mode::Echo {
                connection.request(replies, Instant::now());
            } else if connection.in_flight() == 0 {
                return self.replace(index);
            }
        }
        connection.send(&mut self.scratch)
    }

    fn replace(&mut self, index: usize) -> Result<(), Failure> {
        let fresh = self.open(index, self.args.depth)?;
        let mut stream = mem::replace(&mut self.connections[index], fresh).into_stream();
        self.poll
            .registry()
            .deregister(&mut stream)
            .and_then(|()| stream.reset())
            .map_err(Failure::io("close a connection"))
    }

    /// For who starts the generator, and looks at the server meanwhile.
    fn tell(&self, phase: &str) {
        if self.args.progress {
            eprintln!("{phase}");
        }
    }

    fn report(&self, replies: u64, elapsed: Duration) -> Report<'_> {
        Report {
            args: self.args,
            replies,
            elapsed,
            latencies: &self.latencies,
            total: self.total,
        }
    }
}

struct Progress {
    told_at: Instant,
    replies: u64,
}

impl Progress {
    fn new() -> Self {
        Self {
            told_at: Instant::now(),
            replies: 0,
        }
    }

    fn tell(&mut self, replies: u64) {
        let elapsed = self.told_at.elapsed();
        if elapsed < PROGRESS_INTERVAL {
            return;
        }
        let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        eprintln!("{} requests/s", (replies - self.replies) * 1000 / millis);
        *self = Self {
            told_at: Instant::now(),
            replies,
        };
    }
}
