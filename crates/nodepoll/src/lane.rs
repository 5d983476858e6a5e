use linkbuf::sync::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::Duration;

use mio::Events;

use crate::command::Command;
use crate::driver::Driver;
use crate::handover::Handover;
use crate::limits::DIRECT_COMMANDS;
use crate::options::Hosting;
use crate::record::{self, LANE_COMMAND_HEAD, LANE_COMMAND_TAIL, LANE_EVENT_HEAD, LANE_EVENT_TAIL};
use crate::seam::Seam;
use crate::selector::Selector;

/// One poller's driver behind its lock, and all that can be done without the lock.
///
/// Whoever holds the lock drives: who turns the driver, a thread of its own or the host, and who
/// sleeps without the lock; or the host for a few commands while that thread sleeps. There is one
/// order of operations, because there is one lock and one ring that commands come from; nothing
/// sent directly can overtake what is queued.
pub(crate) struct Lane {
    pub(crate) seam: Arc<Seam>,
    /// `None` after a panic.
    driver: Mutex<Option<Driver>>,
    /// Who may turn the driver.
    pub(crate) hosting: Hosting,
    selector: Handover<Selector>,
    /// The selector lies ready for the host.
    is_offered: AtomicBool,
    /// The host turns the driver. Only the host's thread touches this.
    is_inline: AtomicBool,
    switches: AtomicUsize,
}

/// What a poller does after a turn.
pub(crate) enum Turn {
    /// Sleep, for so long at most.
    Sleep(Option<Duration>),
    /// The driver has failed: end.
    Failed,
}

impl Lane {
    pub(crate) fn new(
        seam: Arc<Seam>,
        driver: Driver,
        selector: Selector,
        hosting: Hosting,
    ) -> Self {
        let lane = Self {
            seam,
            driver: Mutex::new(Some(driver)),
            hosting,
            selector: Handover::new(),
            is_offered: AtomicBool::new(hosting.begins_with_host()),
            is_inline: AtomicBool::new(false),
            switches: AtomicUsize::new(0),
        };
        if hosting.begins_with_host() {
            lane.selector.give_to_host(selector);
        } else {
            lane.selector.give_to_thread(selector);
        }
        lane
    }

    /// Waits until the thread is the one to turn the driver. `None` when the runtime stops.
    pub(crate) fn take_for_thread(&self) -> Option<Selector> {
        self.selector.take_for_thread()
    }

    /// The host is to turn the driver: from the thread.
    pub(crate) fn offer_to_host(&self, selector: Selector) {
        self.selector.give_to_host(selector);
        // Relaxed: the selector has a lock of its own; a host that misses the mark is woken.
        self.is_offered.store(true, Ordering::Relaxed);
        self.seam.call_host();
    }

    /// Takes the driver over, if it is offered: for the host's thread.
    pub(crate) fn take_over(&self) -> Option<Selector> {
        // Relaxed here and below: see `offer_to_host`, and who uses the marks.
        if !self.is_offered.load(Ordering::Relaxed)
            || !self.is_offered.swap(false, Ordering::Relaxed)
        {
            return None;
        }
        let selector = self.selector.take_for_host()?;
        self.is_inline.store(true, Ordering::Relaxed);
        self.switches.fetch_add(1, Ordering::Relaxed);
        Some(selector)
    }

    /// The thread is to turn the driver: from the host.
    pub(crate) fn give_to_thread(&self, selector: Selector) {
        self.is_inline.store(false, Ordering::Relaxed);
        self.switches.fetch_add(1, Ordering::Relaxed);
        self.selector.give_to_thread(selector);
    }

    /// How often the driver has changed hands.
    pub(crate) fn switches(&self) -> usize {
        self.switches.load(Ordering::Relaxed)
    }

    /// Makes the thread end, wherever it waits.
    pub(crate) fn stop(&self) {
        self.seam.stop();
        self.selector.close();
    }

    /// A turn, by the poller thread or the host.
    pub(crate) fn turn(&self, events: &Events) -> Turn {
        // Waits at most for a few sends of the host, never for JavaScript.
        let mut driver = self.driver.lock().unwrap_or_else(PoisonError::into_inner);
        let sleep = self.guarded(&mut driver, |driver| {
            driver.turn(events);
            driver.park()
        });
        if let Some(time) = sleep {
            return Turn::Sleep(time);
        }
        self.seam.wake_host();
        Turn::Failed
    }

    /// The host's half of an exchange with this lane: takes note of the events it has read, and
    /// hands over the commands it has written. `words` are the lane's control words.
    pub(crate) fn submit(&self, words: &[AtomicI32]) {
        let seam = &*self.seam;
        let head = load(words, LANE_EVENT_HEAD);
        if head != seam.events.head() && seam.events.holds(head) {
            seam.events.consume(head);
            seam.event_room_made();
        }
        let tail = load(words, LANE_COMMAND_TAIL);
        if !seam.commands.fits(tail) {
            return;
        }
        let count = tail.wrapping_sub(seam.commands.tail());
        seam.commands.publish(tail);
        if seam.has_failed() {
            // Also what was handed over before the failure and not taken.
            return self.discard_commands();
        }
        let is_lone = count <= DIRECT_COMMANDS && seam.parking.is_parked();
        let is_direct = is_lone || self.is_inline.load(Ordering::Relaxed);
        if count > 0 && !(is_direct && self.drive()) {
            seam.wake_poller();
        }
    }

    /// Shows the host what has come. Whether there are events to read.
    pub(crate) fn collect(&self, words: &[AtomicI32]) -> bool {
        let (events, commands) = (&self.seam.events, &self.seam.commands);
        let tail = events.tail();
        store(words, LANE_EVENT_TAIL, tail);
        store(words, LANE_COMMAND_HEAD, commands.head());
        tail != events.head()
    }

    /// Whether there are events that the host has not read.
    pub(crate) fn has_events(&self) -> bool {
        self.seam.events.tail() != self.seam.events.head()
    }

    /// Lets go of the driver and all its sockets, and of those on their way to it.
    pub(crate) fn shut(&self) {
        let mut driver = self.driver.lock().unwrap_or_else(PoisonError::into_inner);
        drop(driver.take());
        // One that holds a place which a listener of this driver waits for would keep all alive.
        self.seam.refuse_parcels();
    }

    /// Carries out the commands on the host's thread, unless the poller has the lock. Whether
    /// nothing is left for the poller.
    fn drive(&self) -> bool {
        let mut driver = match self.driver.try_lock() {
            Ok(driver) => driver,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        self.guarded(&mut driver, Driver::drive)
            .is_none_or(|more| !more)
    }

    /// Runs `work` on the driver. A panic in it costs this driver all its connections, which the
    /// host is told of, and costs nobody else anything. `None` if there is no driver (any more).
    fn guarded<T>(
        &self,
        slot: &mut Option<Driver>,
        work: impl FnOnce(&mut Driver) -> T,
    ) -> Option<T> {
        let driver = slot.as_mut()?;
        // Unwind safety: after a panic the driver is only taken apart.
        if let Ok(value) = catch_unwind(AssertUnwindSafe(|| work(driver))) {
            return Some(value);
        }
        // Before the host can see the last event: what it gives away after that goes elsewhere, and
        // what it gave away before is over with that event.
        self.seam.fail();
        if let Some(driver) = slot.take() {
            // Even taking it apart may fail; then its sockets leak, and the host is still told.
            let _ = catch_unwind(AssertUnwindSafe(|| driver.abandon()));
        }
        self.seam.refuse_parcels();
        None
    }

    /// Nobody takes commands any more: gives the leases in them back.
    fn discard_commands(&self) {
        let commands = &self.seam.commands;
        while !commands.is_empty() {
            let head = commands.head();
            let leased = match Command::decode(commands.read(head)) {
                Some(Command::Write { segment, .. }) => Some(segment),
                Some(Command::Fill { room, .. }) => Some(room),
                _ => None,
            };
            if let Some(leased) = leased {
                self.seam.arena.release(leased.node, 1);
            }
            commands.consume(head.wrapping_add(1));
        }
    }
}

fn load(words: &[AtomicI32], word: i32) -> u32 {
    // Relaxed: control words are the host's, and this runs on its thread.
    words[index(word)].load(Ordering::Relaxed).cast_unsigned()
}

fn store(words: &[AtomicI32], word: i32, value: u32) {
    // Relaxed: as in `load`.
    words[index(word)].store(value.cast_signed(), Ordering::Relaxed);
}

const fn index(word: i32) -> usize {
    assert!(
        word < record::LANE_WORDS,
        "a lane has so many control words"
    );
    word.cast_unsigned() as usize
}
