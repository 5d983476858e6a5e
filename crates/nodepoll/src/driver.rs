use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use linkbuf::Arena;
use mio::event::Event as KernelEvent;
use mio::{Events, Registry};
use rustc_hash::FxHashMap;
use slotmap::SlotMap;

use crate::balance::Balancer;
use crate::command::Command;
use crate::connection::Connection;
use crate::dialer::Dialing;
use crate::error::errno_of;
use crate::event::{EndReason, Event};
use crate::io::Io;
use crate::key::{Key, WAKER};
use crate::limits::EVENTS_RESERVED;
use crate::listener::{Accepted, Accepting, Listener};
use crate::mailbox::Parcel;
use crate::record::{ConnectionId, SYSCALL_READ};
use crate::seam::Seam;

/// The whole state of one poller: its table of sockets and what is under way in it.
///
/// It sits behind a lock, and whoever holds the lock drives: the poller thread, or the host for a
/// few commands while the poller sleeps. It never blocks and does not know who calls it.
pub(crate) struct Driver {
    pub(crate) entries: SlotMap<Key, Entry>,
    pub(crate) listeners: FxHashMap<u32, Key>,
    pub(crate) dials: FxHashMap<u32, Key>,
    /// Parcels that wait for room in the event ring.
    parcels: VecDeque<Parcel>,
    /// Spreads accepted connections over all drivers of the runtime.
    balancer: Arc<Balancer>,
    /// When the poller wakes up by itself, if it sleeps.
    parked_until: Option<Instant>,
    pub(crate) io: Io,
}

/// What a row of the table can be.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all rows are connections, and would have to be looked for"
)]
pub(crate) enum Entry {
    Connection(Connection),
    /// Empty only while it becomes a connection.
    Dialing(Option<Box<Dialing>>),
    Listener(Box<Listener>),
}

impl Driver {
    pub(crate) fn new(
        seam: Arc<Seam>,
        balancer: Arc<Balancer>,
        registry: Registry,
        arena: Arena,
    ) -> Self {
        Self {
            entries: SlotMap::with_key(),
            listeners: FxHashMap::default(),
            dials: FxHashMap::default(),
            parcels: VecDeque::new(),
            balancer,
            parked_until: None,
            io: Io::new(seam, registry, arena),
        }
    }

    /// One turn: reads what the kernel has announced, tells the host, then does what the host
    /// wants. The host works on the events while its earlier commands are carried out.
    pub(crate) fn turn(&mut self, kernel_events: &Events) {
        self.io.counters.turns += 1;
        self.io.now = Instant::now();
        self.parked_until = None;
        self.resume_waiting();
        for event in kernel_events {
            self.on_kernel_event(event);
        }
        self.run_ready();
        self.fire_timers();
        self.io.ask_for_memory();
        self.tell_host();
        self.take_commands();
        self.settle();
        self.tell_host();
    }

    /// Carries out the commands of the host on the host's own thread. The host looks for events
    /// afterwards by itself. Whether the poller has to be woken for what is left.
    pub(crate) fn drive(&mut self) -> bool {
        self.io.counters.drives += 1;
        self.io.now = Instant::now();
        self.take_commands();
        self.settle();
        self.publish();
        let sooner = match (self.io.timers.next(), self.parked_until) {
            (Some(next), Some(until)) => next < until,
            (next, _) => next.is_some(),
        };
        // The poller could not announce before it parked what has found no room here.
        let waits = self.waits_for_room();
        self.io.seam.announce_stall(waits);
        sooner || !self.io.ready.is_empty() || (waits && self.io.seam.has_event_room())
    }

    /// Time the poller may sleep: `Some(ZERO)` if there is work, `None` for as long as it likes.
    pub(crate) fn park(&mut self) -> Option<Duration> {
        let seam = Arc::clone(&self.io.seam);
        seam.parking.announce();
        if self.has_work() {
            seam.parking.leave();
            return Some(Duration::ZERO);
        }
        self.parked_until = self.io.timers.next();
        self.io.timers.wait(Instant::now())
    }

    /// Frees all sockets after a panic, and says so as the last event.
    pub(crate) fn abandon(mut self) {
        self.io.post(&Event::Failed);
        self.io.events.publish(&self.io.seam.events);
    }

    /// Whether anything is to be done that no kernel event will tell of.
    fn has_work(&self) -> bool {
        let seam = &self.io.seam;
        let waits = self.waits_for_room();
        seam.announce_stall(waits);
        !self.io.ready.is_empty()
            || !seam.commands.is_empty()
            || seam.mailbox.is_filled()
            || seam.has_memory_come()
            || seam.is_stopping()
            || (waits && seam.has_event_room())
    }

    fn waits_for_room(&self) -> bool {
        let Io {
            stalled,
            owing,
            dead,
            ..
        } = &self.io;
        !(stalled.is_empty() && owing.is_empty() && dead.is_empty() && self.parcels.is_empty())
    }

    /// Gives sockets that waited for room or memory another chance.
    fn resume_waiting(&mut self) {
        let has_room = self.waits_for_room() && self.io.seam.has_event_room();
        let io = &mut self.io;
        if has_room {
            io.ready.extend(io.stalled.drain(..));
            for key in std::mem::take(&mut io.owing) {
                if let Some(Entry::Connection(connection)) = self.entries.get_mut(key) {
                    connection.report(io);
                }
            }
        }
        if io.seam.take_memory_came() {
            let starved = std::mem::take(&mut io.starved);
            for key in starved.into_iter().chain(std::mem::take(&mut io.sated)) {
                if let Some(Entry::Connection(connection)) = self.entries.get_mut(key) {
                    io.feed(connection);
                }
            }
        }
    }

    fn on_kernel_event(&mut self, event: &KernelEvent) {
        if event.token() == WAKER {
            return;
        }
        let io = &mut self.io;
        let key = Key::of_token(event.token());
        match self.entries.get_mut(key) {
            None => io.counters.stale_events += 1,
            Some(Entry::Connection(connection)) => on_connection_event(connection, event, io),
            Some(Entry::Listener(listener)) => io.queue_listener(listener, key),
            Some(Entry::Dialing(_)) => self.progress_dial(key),
        }
    }

    /// Reads from the sockets that no edge will tell of, each once.
    fn run_ready(&mut self) {
        for _ in 0..self.io.ready.len() {
            let Some(key) = self.io.ready.pop_front() else {
                return;
            };
            match self.entries.get_mut(key) {
                Some(Entry::Connection(connection)) => {
                    connection.listed.queued = false;
                    connection.receive(&mut self.io);
                }
                Some(Entry::Listener(listener)) => {
                    listener.queued = false;
                    self.accept(key);
                }
                Some(Entry::Dialing(_)) => self.progress_dial(key),
                None => {}
            }
        }
    }

    fn accept(&mut self, key: Key) {
        let Some(Entry::Listener(listener)) = self.entries.get_mut(key) else {
            return;
        };
        let mut batch = Vec::new();
        let outcome = listener.accept(&mut self.io, &mut batch);
        let (number, window) = (listener.number, listener.window);
        let closing = listener.is_closing();
        match outcome {
            Accepting::Full => {}
            Accepting::Empty if !closing => {}
            Accepting::Exhausted if !closing => listener.retry_later(&mut self.io, key),
            Accepting::Empty | Accepting::Exhausted => self.io.dead.push(key),
            Accepting::More => self.io.queue_listener(listener, key),
            Accepting::NoRoom => {
                listener.queued = true;
                self.io.stall_key(key);
            }
        }
        self.io.counters.accepts += batch.len() as u64;
        let balancer = Arc::clone(&self.balancer);
        for accepted in batch {
            let parcel = Parcel::Accepted {
                accepted,
                listener: number,
                window,
            };
            // This one lives, so that there is one.
            let lane = balancer.choose().map(|lane| balancer.lane(lane));
            let lane = lane.unwrap_or(&self.io.seam);
            lane.add_load();
            if Arc::ptr_eq(lane, &self.io.seam) {
                self.take_parcel(parcel);
            } else {
                lane.deliver(parcel);
            }
        }
    }

    fn fire_timers(&mut self) {
        while let Some(key) = self.io.timers.due(self.io.now) {
            match self.entries.get_mut(key) {
                Some(Entry::Connection(connection)) => connection.look_at_time(&mut self.io),
                Some(Entry::Listener(listener))
                    if listener.retry_at.is_some_and(|at| at <= self.io.now) =>
                {
                    listener.retry_at = None;
                    self.io.queue_listener(listener, key);
                }
                _ => {}
            }
        }
        let entries = &self.entries;
        let lives = |key| entries.contains_key(key);
        self.io.timers.forget(entries.len(), lives);
    }

    /// Takes the commands that are published now, and the parcels that came before them.
    fn take_commands(&mut self) {
        let seam = Arc::clone(&self.io.seam);
        // The ring's end is read first: a parcel is delivered before the commands about it, so
        // that all that belong to these commands are in the box by now.
        let tail = seam.commands.tail();
        for parcel in seam.mailbox.take() {
            // Only a connection needs room for an event at once. The others are taken before the
            // commands about them.
            match parcel {
                Parcel::Accepted { .. } => self.parcels.push_back(parcel),
                _ => self.take_parcel(parcel),
            }
        }
        while self.io.has_room(EVENTS_RESERVED)
            && let Some(parcel) = self.parcels.pop_front()
        {
            self.take_parcel(parcel);
        }
        let mut head = seam.commands.head();
        while head != tail {
            let command = Command::decode(seam.commands.read(head));
            head = head.wrapping_add(1);
            seam.commands.consume(head);
            self.io.counters.commands += 1;
            if let Some(command) = command {
                self.on_command(command);
            }
        }
    }

    fn take_parcel(&mut self, parcel: Parcel) {
        match parcel {
            Parcel::Listener(listener) => self.add_listener(listener),
            Parcel::Dial(dialing) => self.add_dial(dialing),
            Parcel::Treatment {
                listener,
                no_delay,
                keep_alive,
                gate,
            } => self.on_listener(listener, |listener| {
                listener.treat(no_delay, keep_alive, gate);
            }),
            Parcel::Retry { listener } => {
                // It may have been closed since.
                if let Some(&key) = self.listeners.get(&listener)
                    && let Some(Entry::Listener(listener)) = self.entries.get_mut(key)
                {
                    self.io.queue_listener(listener, key);
                }
            }
            Parcel::Accepted {
                accepted,
                listener,
                window,
            } => {
                let (remote, local) = (accepted.remote, accepted.local);
                let id = self.add_connection(accepted, window);
                self.io.post(&Event::Accepted {
                    id,
                    listener,
                    remote,
                    local,
                });
            }
        }
    }

    fn add_listener(&mut self, mut listener: Box<Listener>) {
        let number = listener.number;
        let io = &mut self.io;
        let key = self.entries.insert_with_key(|key| {
            if listener.register(io, key).is_err() {
                // Out of kernel memory: what can be told is that it is closed.
                io.dead.push(key);
            }
            Entry::Listener(listener)
        });
        self.listeners.insert(number, key);
    }

    fn add_connection(
        &mut self,
        Accepted { socket, place, .. }: Accepted,
        window: u32,
    ) -> ConnectionId {
        let io = &mut self.io;
        let key = self.entries.insert_with_key(|key| {
            let mut connection = Connection::new(key, socket, window, io.now, place);
            if let Err(error) = connection.socket.register(&io.registry, key.token()) {
                // The host is told all the same: it waits for each that its listener has counted.
                let (errno, syscall) = (errno_of(&error), SYSCALL_READ);
                connection.end(EndReason::Error { errno, syscall }, io);
            }
            Entry::Connection(connection)
        });
        key.id()
    }

    /// The end of a batch: sends what was flushed in it, then frees the rows that have ended.
    fn settle(&mut self) {
        let mut dirty = std::mem::take(&mut self.io.dirty);
        for key in dirty.drain(..) {
            if let Some(Entry::Connection(connection)) = self.entries.get_mut(key) {
                connection.send(&mut self.io);
            }
        }
        // Sending makes nothing dirty; the list is kept for its memory.
        self.io.dirty = dirty;
        if !self.io.dead.is_empty() {
            self.bury();
        }
    }

    /// Frees the rows that have ended, once the host has been told. Dropping a socket closes its
    /// descriptor, and that is the last thing that happens to a row.
    fn bury(&mut self) {
        let mut untold = Vec::new();
        for key in std::mem::take(&mut self.io.dead) {
            let told = match self.entries.get_mut(key) {
                Some(Entry::Connection(connection)) => connection.report_closed(&mut self.io),
                Some(Entry::Listener(listener)) => listener.report_closed(&mut self.io),
                Some(Entry::Dialing(_)) | None => true,
            };
            if !told {
                untold.push(key);
            } else if let Some(entry) = self.entries.remove(key) {
                self.free(entry);
            }
        }
        self.io.dead = untold;
    }

    fn free(&mut self, entry: Entry) {
        match entry {
            Entry::Connection(mut connection) => {
                connection.retire(&self.io);
                self.io.seam.remove_load();
            }
            Entry::Dialing(Some(mut dialing)) => {
                dialing.socket.deregister(&self.io.registry);
                self.io.seam.remove_load();
            }
            Entry::Dialing(None) => {}
            Entry::Listener(mut listener) => {
                listener.retire(&self.io);
                self.listeners.remove(&listener.number);
            }
        }
    }

    fn tell_host(&mut self) {
        if self.publish() && self.io.seam.wake_host() {
            self.io.counters.host_wakeups += 1;
        }
    }

    fn publish(&mut self) -> bool {
        let rows = self.entries.len() - self.listeners.len();
        self.io.counters.connections = rows as u64;
        self.io.counters.listeners = self.listeners.len() as u64;
        self.io.seam.counters.publish(&self.io.counters);
        self.io.events.publish(&self.io.seam.events)
    }
}

fn on_connection_event(connection: &mut Connection, event: &KernelEvent, io: &mut Io) {
    let ending = event.is_read_closed() || event.is_write_closed() || event.is_error();
    connection.ending |= ending || event.is_priority();
    connection.intake.broken |= event.is_error();
    if event.is_readable() || ending {
        connection.receive(io);
    }
    if event.is_writable() {
        connection.send(io);
    }
    // What has arrived cannot be told without memory, but that the connection is no more can.
    if event.is_error() && (connection.intake.starves() || !connection.state.delivers_input()) {
        connection.end_on_error(io);
    }
}

#[cfg(all(test, unix, not(loom), not(feature = "faults")))]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    use linkbuf::{CHUNK_BYTES, Chunk};
    use mio::unix::SourceFd;
    use mio::{Interest, Poll, Waker};
    use socket2::{Domain, Type};

    use super::*;
    use crate::address::Address;
    use crate::bell::{Bell, Host};
    use crate::limits::RING_RECORDS_MIN;
    use crate::options::{DialOptions, Endpoint, LoadBalance};
    use crate::record::RECORD_WORDS;
    use crate::ring::Ring;
    use crate::sys::socket::{ListeningSocket, Socket};
    use crate::sys::words::Words;

    struct Nobody;

    impl Host for Nobody {
        fn wake(&self) {}
    }

    /// A driver that the test turns, with the smallest rings.
    struct Rig {
        driver: Driver,
        poll: Poll,
        events: Events,
        listener: ListeningSocket,
    }

    impl Rig {
        fn new() -> Self {
            let poll = Poll::new().unwrap();
            let waker = Waker::new(poll.registry(), WAKER).unwrap();
            let ring = || Ring::new(Words::boxed(RING_RECORDS_MIN as usize * RECORD_WORDS));
            let arena = Arena::new(CHUNK_BYTES);
            arena.grant(Chunk::boxed(CHUNK_BYTES)).unwrap();
            let (bell, host) = (Arc::new(Bell::new()), Arc::new(Nobody));
            let seam = Seam::new(ring(), ring(), arena.clone(), bell, host, waker);
            let seam = Arc::new(seam);
            let balancer = Balancer::new(vec![Arc::clone(&seam)], LoadBalance::RoundRobin);
            let registry = poll.registry().try_clone().unwrap();
            let any = "127.0.0.1:0".parse().unwrap();
            Self {
                driver: Driver::new(seam, Arc::new(balancer), registry, arena),
                poll,
                events: Events::with_capacity(64),
                listener: ListeningSocket::bind_tcp(any, 8, false, false).unwrap(),
            }
        }

        /// A client, and the connection on its way to the driver.
        fn connect(&self) -> (TcpStream, Parcel) {
            let Address::Inet(address) = self.listener.address() else {
                panic!("a TCP listener has an address");
            };
            let client = TcpStream::connect(address).unwrap();
            let (socket, remote, local) = self.listener.accept().unwrap();
            let accepted = Accepted {
                socket,
                place: None,
                remote,
                local,
            };
            let parcel = Parcel::Accepted {
                accepted,
                listener: 1,
                window: u32::MAX,
            };
            (client, parcel)
        }

        /// What the kernel has to tell, then a turn, then what the driver has told.
        fn turn(&mut self) -> Vec<Event> {
            self.poll
                .poll(&mut self.events, Some(Duration::from_millis(50)))
                .unwrap();
            self.driver.turn(&self.events);
            self.told()
        }

        fn told(&self) -> Vec<Event> {
            let ring = &self.driver.io.seam.events;
            let (mut head, tail) = (ring.head(), ring.tail());
            let mut told = Vec::new();
            while head != tail {
                told.extend(Event::decode(ring.read(head)));
                head = head.wrapping_add(1);
            }
            ring.consume(head);
            told.retain(|event| *event != Event::NeedMemory);
            told
        }

        /// An open connection, and its peer.
        fn open(&mut self) -> (TcpStream, ConnectionId) {
            let (client, parcel) = self.connect();
            self.driver.io.seam.add_load();
            self.driver.take_parcel(parcel);
            let told = self.turn();
            let accepted = told.iter().find_map(|event| match event {
                Event::Accepted { id, .. } => Some(*id),
                _ => None,
            });
            (client, accepted.unwrap())
        }
    }

    /// Whatever has these as its token is announced as readable, as writable and as failed.
    fn announce(rig: &Rig, key: Key) -> [UnixStream; 5] {
        let pair = || {
            let (one, other) = UnixStream::pair().unwrap();
            one.set_nonblocking(true).unwrap();
            (one, other)
        };
        let ((readable, mut talks), (writable, listens), (failed, ends)) = (pair(), pair(), pair());
        talks.write_all(b"foreign").unwrap();
        drop(ends);
        for (socket, interest) in [
            (&readable, Interest::READABLE),
            (&writable, Interest::WRITABLE),
            (&failed, Interest::READABLE | Interest::WRITABLE),
        ] {
            let descriptor = socket.as_raw_fd();
            let mut source = SourceFd(&descriptor);
            let registry = rig.poll.registry();
            registry
                .register(&mut source, key.token(), interest)
                .unwrap();
        }
        [readable, talks, writable, listens, failed]
    }

    #[test]
    fn h5_events_of_a_connection_that_was_closed_do_nothing_to_the_next_one_in_its_row() {
        let mut rig = Rig::new();
        let (_client, dead) = rig.open();
        rig.driver.on_command(Command::Destroy { id: dead });
        rig.driver.settle();
        rig.told();
        let (mut client, live) = rig.open();
        assert_eq!(dead.slot, live.slot, "the same row");
        let before = rig.driver.io.counters;
        let _sockets = announce(&rig, Key::of_id(dead));
        assert_eq!(rig.turn(), []);
        let after = rig.driver.io.counters;
        assert_eq!(after.stale_events, before.stale_events + 3);
        assert_eq!((after.reads, after.writes), (before.reads, before.writes));
        // It is as it was.
        client.write_all(b"mine").unwrap();
        let told = rig.turn();
        assert!(matches!(&told[..], [Event::Data { id, .. }] if *id == live));
    }

    #[test]
    fn h5_a_row_is_not_used_again_in_the_batch_in_which_its_connection_ends() {
        let mut rig = Rig::new();
        let (client, ending) = rig.open();
        let (_late, parcel) = rig.connect();
        rig.driver.io.seam.add_load();
        rig.driver.io.seam.mailbox.put(parcel);
        socket2::SockRef::from(&client)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(client);
        let told = rig.turn();
        let accepted = told.iter().find_map(|event| match event {
            Event::Accepted { id, .. } => Some(*id),
            _ => None,
        });
        let is_its_end = |event: &Event| matches!(event, Event::Closed { id, .. } if *id == ending);
        assert!(told.iter().any(is_its_end));
        assert_ne!(accepted.unwrap().slot, ending.slot);
    }

    #[test]
    fn h93_a_connection_that_cannot_be_registered_is_told_of_and_gone() {
        let mut rig = Rig::new();
        let (_client, parcel) = rig.connect();
        let Parcel::Accepted { accepted, .. } = &parcel else {
            panic!("it is a connection");
        };
        let Socket::Tcp(stream) = &accepted.socket else {
            panic!("it is of TCP");
        };
        // The kernel refuses to watch it twice.
        let descriptor = stream.as_raw_fd();
        let registry = rig.poll.registry();
        registry
            .register(
                &mut SourceFd(&descriptor),
                mio::Token(7),
                Interest::WRITABLE,
            )
            .unwrap();
        rig.driver.io.seam.add_load();
        rig.driver.take_parcel(parcel);
        rig.driver.settle();
        rig.driver.publish();
        let told = rig.told();
        let [
            Event::Accepted { id, .. },
            Event::Closed {
                id: closed, reason, ..
            },
        ] = &told[..]
        else {
            panic!("{told:?}");
        };
        assert_eq!(id, closed);
        assert!(matches!(reason, EndReason::Error { errno, .. } if *errno == libc::EEXIST));
        assert_eq!(rig.driver.entries.len(), 0);
        assert_eq!(rig.driver.io.seam.load(), 0);
    }

    fn dial(rig: &mut Rig, endpoint: Endpoint) -> Key {
        let options = DialOptions {
            dial: 5,
            endpoint,
            local: None,
            no_delay: true,
            keep_alive: None,
            window: 0,
        };
        let dialing = Dialing::begin(&options).unwrap();
        rig.driver.io.seam.add_load();
        rig.driver.add_dial(Box::new(dialing));
        rig.driver.dials[&5]
    }

    #[test]
    fn h97_a_dial_that_is_announced_before_it_has_connected_stays_pending() {
        let mut rig = Rig::new();
        let full = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
        full.bind(&any.into()).unwrap();
        full.listen(0).unwrap();
        let address = full.local_addr().unwrap();
        let _queued: Vec<_> = (0..4)
            .map(|_| {
                let client = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
                client.set_nonblocking(true).unwrap();
                // Under way, or waiting: both fill the queue.
                let _ = client.connect(&address);
                client
            })
            .collect();
        let key = dial(&mut rig, Endpoint::Inet(address.as_socket().unwrap()));
        for _ in 0..3 {
            rig.driver.progress_dial(key);
            assert_eq!(rig.turn(), []);
            assert!(matches!(rig.driver.entries[key], Entry::Dialing(Some(_))));
        }
        rig.driver.on_command(Command::CancelDial { dial: 5 });
        rig.driver.settle();
        rig.driver.publish();
        assert!(matches!(
            rig.told()[..],
            [Event::DialFailed { dial: 5, .. }]
        ));
        assert_eq!(rig.driver.entries.len(), 0);
    }

    #[test]
    fn h97_the_error_of_a_dial_is_kept_until_it_is_told() {
        let mut rig = Rig::new();
        let gone = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = gone.local_addr().unwrap();
        drop(gone);
        let (_client, id) = rig.open();
        // No room for another event.
        while rig.driver.io.has_room(0) {
            rig.driver.io.post(&Event::Quiet { id, sent: 0 });
        }
        let key = dial(&mut rig, Endpoint::Inet(address));
        rig.poll
            .poll(&mut rig.events, Some(Duration::from_secs(1)))
            .unwrap();
        rig.driver.turn(&rig.events);
        // The kernel has told it, once.
        let Entry::Dialing(Some(dialing)) = &rig.driver.entries[key] else {
            panic!("it has not been told");
        };
        assert_eq!(dialing.failure, Some(libc::ECONNREFUSED));
        rig.driver.progress_dial(key);
        rig.told();
        let told = rig.turn();
        let expected = Event::DialFailed {
            dial: 5,
            errno: libc::ECONNREFUSED,
        };
        assert_eq!(told, [expected]);
    }
}
