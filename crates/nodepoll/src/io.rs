use std::collections::VecDeque;
use std::sync::Arc;

use linkbuf::Arena;
use mio::Registry;

use crate::connection::Connection;
use crate::counters::Counters;
use crate::event::Event;
use crate::event_sink::EventSink;
use crate::intake::Waiting;
use crate::key::Key;
use crate::listener::Listener;
use crate::moment::Moment;
use crate::read::ReadMemory;
use crate::seam::Seam;
use crate::timer::Timers;

/// What the operations on one socket need of the rest of the driver.
pub(crate) struct Io {
    pub(crate) seam: Arc<Seam>,
    pub(crate) registry: Registry,
    pub(crate) memory: ReadMemory,
    pub(crate) timers: Timers,
    pub(crate) counters: Counters,
    pub(crate) now: Moment,
    /// Connections with output that was flushed in this batch.
    pub(crate) dirty: Vec<Key>,
    /// Rows to be freed after this batch.
    pub(crate) dead: Vec<Key>,
    /// Connections with events that found no room.
    pub(crate) owing: Vec<Key>,
    /// Where discarded input goes. Empty until it is needed.
    pub(crate) discard: Vec<u8>,
    pub(crate) events: EventSink,
    /// Sockets to be read or accepted from although no edge will tell.
    pub(crate) ready: VecDeque<Key>,
    /// Sockets to be read once the event ring has room.
    pub(crate) stalled: Vec<Key>,
    /// Sockets to be read once the arena has memory.
    pub(crate) starved: Vec<Key>,
    /// Likewise, after those: it has had some of what there was.
    pub(crate) sated: Vec<Key>,
}

impl Io {
    pub(crate) fn new(seam: Arc<Seam>, registry: Registry, arena: Arena) -> Self {
        Self {
            seam,
            registry,
            memory: ReadMemory::new(arena),
            timers: Timers::default(),
            counters: Counters::default(),
            now: Moment::now(),
            dirty: Vec::new(),
            dead: Vec::new(),
            owing: Vec::new(),
            discard: Vec::new(),
            events: EventSink::default(),
            ready: VecDeque::new(),
            stalled: Vec::new(),
            starved: Vec::new(),
            sated: Vec::new(),
        }
    }

    /// Whether the event ring has room for one event beside `reserved` ones.
    pub(crate) fn has_room(&mut self, reserved: u32) -> bool {
        self.events.has_room(&self.seam.events, reserved + 2)
    }

    pub(crate) fn post(&mut self, event: &Event) {
        self.counters.events += 1;
        self.events.post(&self.seam.events, event);
    }

    /// Reads from the connection again in the next turn, without an edge.
    pub(crate) fn queue(&mut self, connection: &mut Connection) {
        if !connection.listed.queued {
            connection.listed.queued = true;
            self.ready.push_back(connection.key);
        }
    }

    /// Reads from the connection again when the event ring has room.
    pub(crate) fn stall(&mut self, connection: &mut Connection) {
        if !connection.listed.queued {
            connection.listed.queued = true;
            self.stall_key(connection.key);
        }
    }

    /// Reads from the connection again when there is memory. One that has just had some comes
    /// after those who have had none.
    pub(crate) fn starve(&mut self, connection: &mut Connection, has_read: bool) {
        if !connection.listed.queued {
            connection.listed.queued = true;
            connection.intake.waiting = Waiting::Memory;
            self.counters.pauses_for_memory += 1;
            self.memory.is_short |= self.starved.is_empty() && self.sated.is_empty();
            let waiting = if has_read {
                &mut self.sated
            } else {
                &mut self.starved
            };
            waiting.push(connection.key);
        }
    }

    /// Reads from a connection that waited for memory in the next turn.
    pub(crate) fn feed(&mut self, connection: &mut Connection) {
        if connection.intake.starves() {
            connection.intake.waiting = Waiting::Nothing;
            self.ready.push_back(connection.key);
        }
    }

    pub(crate) fn stall_key(&mut self, key: Key) {
        self.counters.pauses_for_events += 1;
        self.stalled.push(key);
    }

    pub(crate) fn queue_listener(&mut self, listener: &mut Listener, key: Key) {
        if !listener.queued {
            listener.queued = true;
            self.ready.push_back(key);
        }
    }
}
