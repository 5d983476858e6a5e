use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use linkbuf::{CHUNK_BYTES, NODE_BYTES_MAX, Node, SegmentId};
use nodepoll::limits::RING_RECORDS;
use nodepoll::{Address, Command, ConnectionId, Counters, DialOptions, Endpoint, ListenOptions};
use nodepoll::{Hosting, LoadBalance, RuntimeOptions, RustHost};

use super::log::{Log, Name, send};

/// After this time something is not slow but stuck.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A runtime with a host that writes down what it is told. At its end it closes all connections
/// and checks that nothing is left of them.
pub(crate) struct Bed {
    pub(crate) host: RustHost,
    pub(crate) log: Log,
    listeners: u32,
    dials: u32,
    ends_abruptly: bool,
}

impl Bed {
    pub(crate) fn new() -> Self {
        Self::start(1, RING_RECORDS)
    }

    pub(crate) fn start(pollers: usize, ring_records: u32) -> Self {
        Self::with_memory(pollers, ring_records, 256 * CHUNK_BYTES)
    }

    pub(crate) fn with_memory(pollers: usize, ring_records: u32, memory_max: usize) -> Self {
        let options = RuntimeOptions {
            pollers,
            ring_records,
            hosting: Hosting::Thread,
            ..RuntimeOptions::default()
        };
        Self::with_options(&options, memory_max)
    }

    #[cfg(not(mio_unsupported_force_poll_poll))]
    pub(crate) fn hosted(hosting: Hosting, ring_records: u32) -> Self {
        let options = RuntimeOptions {
            pollers: 1,
            ring_records,
            hosting,
            ..RuntimeOptions::default()
        };
        Self::with_options(&options, 256 * CHUNK_BYTES)
    }

    pub(crate) fn balanced(pollers: usize, balance: LoadBalance) -> Self {
        let options = RuntimeOptions {
            pollers,
            balance,
            ..RuntimeOptions::default()
        };
        Self::with_options(&options, 256 * CHUNK_BYTES)
    }

    fn with_options(options: &RuntimeOptions, memory_max: usize) -> Self {
        let host = RustHost::start(options, memory_max).unwrap();
        // As the JavaScript side does: one in use, one ahead.
        host.grant();
        host.grant();
        Self {
            host,
            log: Log::new(),
            listeners: 0,
            dials: 0,
            ends_abruptly: false,
        }
    }

    /// Listens on a free port and accepts.
    pub(crate) fn listen(&mut self) -> SocketAddr {
        let (lane, listener, address) = self.listen_only();
        self.accept(lane, listener);
        address
    }

    /// Begins to accept connections without a limit for their input.
    pub(crate) fn accept(&mut self, lane: usize, listener: u32) {
        let window = u32::MAX;
        self.command(lane, &Command::Accept { listener, window });
    }

    /// Listens on a free port: its lane, its number and its address.
    pub(crate) fn listen_only(&mut self) -> (usize, u32, SocketAddr) {
        let endpoint = Endpoint::Inet("127.0.0.1:0".parse().unwrap());
        let (lane, number, address) = self.listen_at(endpoint);
        let Address::Inet(address) = address else {
            panic!("{address:?} is not where it listens");
        };
        (lane, number, address)
    }

    pub(crate) fn listen_path(&mut self, path: &Path) -> (usize, u32) {
        let (lane, number, address) = self.listen_at(Endpoint::Path(path.to_owned()));
        assert_eq!(address, Address::Unix);
        (lane, number)
    }

    /// Begins to dial, by the number that is returned.
    pub(crate) fn dial(&mut self, endpoint: Endpoint) -> (usize, u32) {
        self.dial_from(endpoint, None)
    }

    pub(crate) fn dial_from(
        &mut self,
        endpoint: Endpoint,
        local: Option<SocketAddr>,
    ) -> (usize, u32) {
        self.dials += 1;
        let options = DialOptions {
            dial: self.dials,
            endpoint,
            local,
            no_delay: true,
            keep_alive: None,
            window: u32::MAX,
        };
        (self.host.dial(&options).unwrap(), self.dials)
    }

    /// A client and the connection that it has become here.
    pub(crate) fn connect(&mut self, address: SocketAddr) -> (TcpStream, Name) {
        let client = super::connect(address);
        let name = self.accepted(client.local_addr().unwrap());
        (client, name)
    }

    /// Waits for the connection from `client`.
    pub(crate) fn accepted(&mut self, client: SocketAddr) -> Name {
        let mut found = None;
        self.until("the client is accepted", |log| {
            let is_it = |&&name: &&Name| log.seen(name).remote == Address::Inet(client);
            found = log.names.iter().rev().find(is_it).copied();
            found.is_some()
        });
        found.unwrap()
    }

    /// Waits for the next connection after those known.
    pub(crate) fn next_accepted(&mut self) -> Name {
        let known = self.log.names.len();
        self.until("a connection is opened", |log| log.names.len() > known);
        self.log.names[known]
    }

    pub(crate) fn command(&mut self, lane: usize, command: &Command) {
        send(&mut self.host, lane, command);
    }

    pub(crate) fn close(&mut self, (lane, id): Name) {
        self.command(lane, &Command::Close { id, millis: 0 });
    }

    pub(crate) fn destroy(&mut self, (lane, id): Name) {
        self.command(lane, &Command::Destroy { id });
    }

    pub(crate) fn write(&mut self, name: Name, bytes: &[u8]) {
        for part in bytes.chunks(NODE_BYTES_MAX) {
            let segment = self.lease(part);
            self.write_leased(name, segment);
        }
    }

    pub(crate) fn write_leased(&mut self, (lane, id): Name, segment: SegmentId) {
        self.command(lane, &Command::Write { id, segment });
    }

    /// Bytes in a node of their own, leased.
    pub(crate) fn lease(&self, bytes: &[u8]) -> SegmentId {
        self.node(bytes.len()).write(bytes).into_lease()
    }

    pub(crate) fn node(&self, bytes: usize) -> Node {
        let arena = self.host.runtime().arena();
        // The driver may take what has been granted before it is taken here.
        let mut granted = std::iter::repeat_with(|| {
            self.host.grant();
            arena.allocate(bytes)
        });
        let node = arena.allocate(bytes);
        let node = node.or_else(|| granted.by_ref().take(32).flatten().next());
        node.expect("memory for output")
    }

    /// One exchange. How many events it brought.
    pub(crate) fn turn(&mut self) -> usize {
        let Self { host, log, .. } = self;
        host.exchange(|host, lane, event| log.note(host, lane, event))
    }

    /// Exchanges until it is `done`, and sleeps in between until it is woken: what is not told, or
    /// told without a wake-up, ends here as a failure.
    pub(crate) fn until(&mut self, what: &str, mut done: impl FnMut(&Log) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(&self.log) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "in vain: {what}; {:?}", self.counters());
            if self.turn() == 0 {
                self.host.wait(left);
            }
        }
    }

    /// Exchanges again and again until it is `done`: for what no event tells of.
    pub(crate) fn poll(&mut self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        self.turn();
        while !done(self) {
            assert!(Instant::now() < deadline, "in vain: {what}");
            self.host.wait(Duration::from_millis(1));
            self.turn();
        }
    }

    /// Waits until the driver has taken all commands so far: one for nobody, which is counted,
    /// comes behind them.
    pub(crate) fn commands_are_taken(&mut self, lane: usize) {
        let before = self.counters().stale_commands;
        let nobody = ConnectionId {
            slot: 0,
            generation: 0,
        };
        self.command(lane, &Command::Destroy { id: nobody });
        self.poll("all commands are taken", |bed| {
            bed.counters().stale_commands > before
        });
    }

    /// Waits without an exchange, as a host that is busy elsewhere.
    pub(crate) fn neglect_until(&self, what: &str, mut done: impl FnMut(Counters) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self.counters()) {
            assert!(Instant::now() < deadline, "in vain: {what}");
            std::thread::yield_now();
        }
    }

    /// Exchanges until nothing has come for a while, so that the pollers are parked.
    pub(crate) fn settle(&mut self) {
        while self.turn() > 0 || self.host.wait(Duration::from_millis(30)) {}
    }

    pub(crate) fn counters(&self) -> Counters {
        self.host.runtime().counters()
    }

    /// Gives back the leases that were kept.
    pub(crate) fn release_kept(&mut self) {
        for segment in self.log.kept.drain(..) {
            assert!(self.host.release(segment));
        }
    }

    /// Drops the runtime as it is.
    pub(crate) fn end_abruptly(mut self) {
        self.ends_abruptly = true;
    }

    fn listen_at(&mut self, endpoint: Endpoint) -> (usize, u32, Address) {
        self.listeners += 1;
        let options = ListenOptions {
            listener: self.listeners,
            endpoint,
            backlog: 1024,
            ipv6_only: false,
            reuse_port: false,
        };
        let (lane, address) = self.host.listen(&options).unwrap();
        (lane, self.listeners, address)
    }

    fn is_clean(&self) -> bool {
        let stats = self.host.runtime().arena().stats();
        // Each driver may keep the node it receives into.
        stats.leases == 0 && stats.nodes <= self.host.runtime().lane_count()
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if self.ends_abruptly || std::thread::panicking() {
            return;
        }
        for name in self.log.open() {
            self.destroy(name);
        }
        self.until("all connections are closed", |log| log.open().is_empty());
        self.release_kept();
        self.poll("no memory is in use", Self::is_clean);
        let stats = self.host.runtime().arena().stats();
        assert_eq!(stats.stale, 0, "no lease was given back twice");
        if self.log.failed.is_empty() {
            assert_eq!(self.counters().connections, 0);
        }
    }
}
