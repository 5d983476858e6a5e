use linkbuf::sync::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use linkbuf::{Arena, CHUNK_BYTES, Chunk, SegmentId};

use crate::bell::Host;
use crate::command::Command;
use crate::error::{OpenError, StartError};
use crate::event::Event;
use crate::inline_driver::{AfterTurn, InlineDriver};
use crate::options::{DialOptions, ListenOptions, RuntimeOptions};
use crate::record::{LANE_COMMAND_TAIL, LANE_EVENT_HEAD, index};
use crate::runtime::{Runtime, SeamMemory};

/// A host in Rust: what the JavaScript side does in Node, for programs and tests without it.
pub struct RustHost {
    runtime: Runtime,
    doorbell: Arc<Doorbell>,
    lanes: Vec<Cursors>,
    /// The driver, while this thread turns it.
    inline: Option<InlineDriver>,
    /// Time until the driver has to be turned again.
    sleep: Duration,
}

/// Where the host stands in the rings of one lane.
#[derive(Clone, Copy, Default)]
struct Cursors {
    commands: u32,
    events: u32,
}

#[derive(Default)]
struct Doorbell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Host for Doorbell {
    fn wake(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_one();
    }
}

impl RustHost {
    /// Starts a runtime with an arena of at most `memory_max` bytes.
    ///
    /// # Errors
    /// If the system refuses a descriptor or a thread.
    ///
    /// # Panics
    /// If this thread is to turn more than one driver: it can wait for one only.
    pub fn start(options: &RuntimeOptions, memory_max: usize) -> Result<Self, StartError> {
        let doorbell = Arc::new(Doorbell::default());
        let host: Arc<dyn Host> = Arc::<Doorbell>::clone(&doorbell);
        assert!(
            !options.hosting.begins_with_host() || options.pollers == 1,
            "a host in Rust turns one driver at most"
        );
        let memory = SeamMemory::boxed(options);
        let runtime = Runtime::start(
            memory,
            Arena::new(memory_max),
            &host,
            options.hosting,
            options.balance,
        )?;
        let lanes = vec![Cursors::default(); options.pollers];
        Ok(Self {
            runtime,
            doorbell,
            lanes,
            inline: None,
            sleep: Duration::ZERO,
        })
    }

    /// The runtime itself.
    #[must_use]
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// See [`Runtime::listen`].
    ///
    /// # Errors
    /// See there.
    pub fn listen(&self, options: &ListenOptions) -> Result<(usize, crate::Address), OpenError> {
        self.runtime.listen(options)
    }

    /// See [`Runtime::dial`].
    ///
    /// # Errors
    /// See there.
    pub fn dial(&self, options: &DialOptions) -> Result<usize, OpenError> {
        self.runtime.dial(options)
    }

    /// Writes a command, to be handed over in the next exchange. `false`, and nothing is written,
    /// if the ring is full: exchange first.
    pub fn send(&mut self, lane: usize, command: &Command) -> bool {
        let cursors = &mut self.lanes[lane];
        let (ring, _) = self.runtime.rings(lane);
        if cursors.commands.wrapping_sub(ring.head()) == ring.capacity() {
            return false;
        }
        for (word, value) in ring.record(cursors.commands).iter().zip(command.encode()) {
            // Relaxed: the exchange publishes them.
            word.store(value, Ordering::Relaxed);
        }
        cursors.commands = cursors.commands.wrapping_add(1);
        true
    }

    /// Gives a lease back.
    pub fn release(&self, segment: SegmentId) -> bool {
        self.runtime.arena().release(segment.node, 1)
    }

    /// Hands over the commands without looking for events, for the case that the ring is full in
    /// the middle of a batch.
    pub fn hand_over(&self) {
        self.store_cursors();
        self.runtime.exchange();
        std::thread::yield_now();
    }

    /// Hands over the commands, and calls `on_event` for all events that have come since the last
    /// time. A wish for memory is granted here. How many events there were.
    ///
    /// # Panics
    /// If a driver has posted what is no event.
    pub fn exchange(&mut self, mut on_event: impl FnMut(&mut Self, usize, Event)) -> usize {
        self.store_cursors();
        self.runtime.exchange();
        let mut count = 0;
        for lane in 0..self.lanes.len() {
            let tail = self.runtime.rings(lane).1.tail();
            while self.lanes[lane].events != tail {
                let record = self.runtime.rings(lane).1.read(self.lanes[lane].events);
                self.lanes[lane].events = self.lanes[lane].events.wrapping_add(1);
                count += 1;
                match Event::decode(record).expect("a driver posts what it can decode") {
                    Event::NeedMemory => self.grant(),
                    event => on_event(self, lane, event),
                }
            }
        }
        count
    }

    /// Waits until the host is woken, or turns the driver if that is up to the host. Whether there
    /// may be events, in `time`.
    pub fn wait(&mut self, time: Duration) -> bool {
        let taken_over = self.runtime.take_over().next();
        if let Some(driver) = taken_over {
            return self.turn(driver, Duration::ZERO);
        }
        match self.inline.take() {
            Some(driver) => self.turn(driver, time),
            None => self.wait_for_bell(time),
        }
    }

    /// Whether there may be events.
    fn turn(&mut self, mut driver: InlineDriver, time: Duration) -> bool {
        driver.wait(Some(time.min(self.sleep)));
        // Nobody else posts events, so that the host need not be told of them by the runtime.
        let (after, _) = self.runtime.handle(&mut driver);
        match after {
            AfterTurn::Watch(sleep) => {
                self.sleep = sleep.unwrap_or(Duration::MAX);
                self.inline = Some(driver);
            }
            AfterTurn::GiveBack => {
                self.runtime.give_back(driver);
                // From here on the thread rings, once an exchange has said that nobody is awake.
                return true;
            }
            AfterTurn::Failed => {}
        }
        let (_, events) = self.runtime.rings(0);
        events.tail() != self.lanes[0].events
    }

    fn wait_for_bell(&self, time: Duration) -> bool {
        let rung = self
            .doorbell
            .rung
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (mut rung, _) = self
            .doorbell
            .changed
            .wait_timeout_while(rung, time, |rung| !*rung)
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *rung)
    }

    /// Grants a chunk, if the arena takes it.
    pub fn grant(&self) {
        // A full arena refuses, and its sockets wait for memory to come back.
        let _ = self.runtime.arena().grant(Chunk::boxed(CHUNK_BYTES));
    }

    fn store_cursors(&self) {
        for (lane, cursors) in self.lanes.iter().enumerate() {
            let words = self.runtime.lane_words(lane);
            let store = |word: i32, value: u32| {
                // Relaxed: read on this same thread.
                words[index(word)].store(value.cast_signed(), Ordering::Relaxed);
            };
            store(LANE_COMMAND_TAIL, cursors.commands);
            store(LANE_EVENT_HEAD, cursors.events);
        }
    }
}
