use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use linkbuf::Arena;
use mio::{Events, Registry, Token};
use rustc_hash::FxHashMap;
use slotmap::SlotMap;

use crate::balance::Balancer;
use crate::command::Command;
use crate::connection::Connection;
use crate::dialer::Dialing;
use crate::error::errno_of;
use crate::event::Event;
use crate::io::Io;
use crate::key::{Key, WAKER};
use crate::limits::EVENTS_RESERVED;
use crate::listener::{Accepted, Accepting, Listener};
use crate::mailbox::Parcel;
use crate::moment::Moment;
use crate::readiness::Readiness;
use crate::record::ConnectionId;
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
    parked_until: Option<Moment>,
    pub(crate) io: Io,
}

/// What a row of the table can be.
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
        self.turn_on(
            kernel_events
                .iter()
                .map(|event| (event.token(), Readiness::of(event))),
        );
    }

    fn turn_on(&mut self, told: impl Iterator<Item = (Token, Readiness)>) {
        self.io.counters.turns += 1;
        self.io.now = Moment::now();
        self.parked_until = None;
        self.resume_waiting();
        for (token, readiness) in told {
            self.on_readiness(token, readiness);
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
        self.io.now = Moment::now();
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
        self.io.timers.wait(Moment::now())
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
            memory,
            ..
        } = &self.io;
        let nobody =
            stalled.is_empty() && owing.is_empty() && dead.is_empty() && self.parcels.is_empty();
        // Or else the host is to be asked for memory.
        !nobody || memory.is_short
    }

    /// Gives sockets that waited for room or memory another chance.
    fn resume_waiting(&mut self) {
        let has_room = self.waits_for_room() && self.io.seam.has_event_room();
        let io = &mut self.io;
        if has_room {
            let lives = |key: &&Key| self.entries.contains_key(**key);
            debug_assert!(
                io.owing.iter().filter(lives).count() <= self.entries.len(),
                "each stands there once"
            );
            io.ready.extend(io.stalled.drain(..));
            for key in std::mem::take(&mut io.owing) {
                if let Some(Entry::Connection(connection)) = self.entries.get_mut(key) {
                    connection.listed.owing = false;
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

    fn on_readiness(&mut self, token: Token, readiness: Readiness) {
        if token == WAKER {
            return;
        }
        let io = &mut self.io;
        let key = Key::of_token(token);
        match self.entries.get_mut(key) {
            None => io.counters.stale_events += 1,
            Some(Entry::Connection(connection)) => connection.on_readiness(readiness, io),
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
                Some(Entry::Dialing(dialing)) => {
                    if let Some(dialing) = dialing {
                        dialing.stalled = false;
                    }
                    self.progress_dial(key);
                }
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
        listener.report_error(&mut self.io);
        let (number, window) = (listener.number, listener.window);
        let closing = listener.is_closing();
        match outcome {
            Accepting::Full => {}
            Accepting::Empty if !closing => {}
            Accepting::Exhausted if listener.try_later(&mut self.io, key) => {}
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
                // Out of kernel memory. The host, which counts those that are accepted, is told of
                // it all the same, and then of its end.
                connection.read_failed(errno_of(&error), io);
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

#[cfg(test)]
#[cfg(all(unix, not(loom), not(feature = "faults")))]
mod tests;
