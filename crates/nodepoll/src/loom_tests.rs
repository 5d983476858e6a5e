//! What host and driver share, under every order of steps that their threads can take.

use std::sync::Arc as StdArc;
use std::time::Duration;

use linkbuf::Arena;
use linkbuf::sync::{Arc, AtomicU32, Mutex, Ordering};
use loom::model::Builder;
use loom::sync::Notify;
use loom::thread;
use mio::net::UnixStream;

use crate::address::Address;
use crate::bell::{Bell, Host};
use crate::event::Event;
use crate::event_sink::EventSink;
use crate::handover::Handover;
use crate::key::WAKER;
use crate::listener::Accepted;
use crate::mailbox::Parcel;
use crate::parking::Parking;
use crate::record::RECORD_WORDS;
use crate::ring::{Ring, Words};
use crate::seam::Seam;
use crate::sys::socket::Socket;

fn ring(records: usize) -> Ring {
    Ring::new(Words::boxed(records * RECORD_WORDS))
}

/// Writes the first and the last word of the record at `tail`, and publishes it.
///
/// Positions are handed in, as host and driver know their own: loom does not try an order in which
/// another thread comes between a load and a store of one thread to the same word.
fn produce(ring: &Ring, tail: u32, value: i32) {
    let words = ring.record(tail);
    words[0].store(value, Ordering::Relaxed);
    words[RECORD_WORDS - 1].store(value, Ordering::Relaxed);
    ring.publish(tail.wrapping_add(1));
}

/// Reads all records from `head` on that are published now.
fn consume(ring: &Ring, mut head: u32) -> Vec<i32> {
    let tail = ring.tail();
    let mut values = Vec::new();
    while head != tail {
        let words = ring.record(head);
        let value = words[0].load(Ordering::Relaxed);
        let last = words[RECORD_WORDS - 1].load(Ordering::Relaxed);
        // A record must be complete when it is seen. Who expects these values fails otherwise: a
        // panic in here would leave the other thread waiting for ever.
        values.push(if value == last { value } else { -1 });
        head = head.wrapping_add(1);
        ring.consume(head);
    }
    values
}

/// A model of so many steps that not all orders of them can be tried: those with at most three
/// interruptions are.
fn bounded(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

#[test]
fn loom_h89_a_record_is_complete_when_it_is_seen() {
    loom::model(|| {
        let ring = Arc::new(ring(2));
        // One record before the positions wrap.
        let start = u32::MAX;
        ring.publish(start);
        ring.consume(start);
        let shared = Arc::clone(&ring);
        let producer = thread::spawn(move || {
            produce(&shared, start, 1);
            produce(&shared, start.wrapping_add(1), 2);
            // A third one lies where the first was: only once that has been read.
            let is_read = shared.head() != start;
            if is_read {
                produce(&shared, start.wrapping_add(2), 3);
            }
            is_read
        });
        let mut values = consume(&ring, start);
        let count = u32::try_from(values.len()).unwrap();
        let is_three = producer.join().unwrap();
        values.extend(consume(&ring, start.wrapping_add(count)));
        assert_eq!(values, [1, 2, 3][..2 + usize::from(is_three)]);
    });
}

/// A host that looks for events as [`Runtime::exchange`](crate::Runtime::exchange) does. Whether
/// there are any; if not, it is idle.
fn exchange(rings: &[Ring], bell: &Bell) -> bool {
    let collect = || rings.iter().any(|ring| !ring.is_empty());
    let mut ready = collect();
    if !ready {
        bell.announce_idle();
        ready = collect();
    }
    if ready {
        bell.retract();
    }
    ready
}

struct Events<const LANES: usize> {
    rings: [Ring; LANES],
    bell: Bell,
    /// The drivers, each with its position.
    drivers: [Mutex<u32>; LANES],
    rings_of_the_bell: AtomicU32,
}

impl<const LANES: usize> Events<LANES> {
    fn new() -> Arc<Self> {
        let events = Self {
            rings: std::array::from_fn(|_| ring(2)),
            bell: Bell::new(),
            drivers: std::array::from_fn(|_| Mutex::new(0)),
            rings_of_the_bell: AtomicU32::new(0),
        };
        events.bell.retract();
        Arc::new(events)
    }

    /// A poller that posts one event.
    fn post(&self, lane: usize) {
        let mut driver = self.drivers[lane].lock().unwrap();
        produce(&self.rings[lane], *driver, 1);
        *driver += 1;
        if self.bell.claim() {
            self.rings_of_the_bell.fetch_add(1, Ordering::Relaxed);
        }
        drop(driver);
    }

    fn check(&self, is_ready: bool) {
        let unread = self.rings.iter().any(|ring| !ring.is_empty());
        let rung = self.rings_of_the_bell.load(Ordering::Relaxed);
        assert!(is_ready || !unread || rung == 1, "a lost wake-up");
        assert!(rung <= 1, "one wake-up is enough");
    }
}

#[test]
fn loom_h59_an_event_is_seen_or_the_host_is_woken() {
    loom::model(|| {
        let events = Events::<1>::new();
        let shared = Arc::clone(&events);
        let poller = thread::spawn(move || shared.post(0));
        let is_ready = exchange(&events.rings, &events.bell);
        poller.join().unwrap();
        events.check(is_ready);
    });
}

#[test]
fn loom_h59_an_event_is_seen_or_the_host_is_woken_also_when_the_host_has_driven() {
    loom::model(|| {
        let events = Events::<1>::new();
        let shared = Arc::clone(&events);
        let poller = thread::spawn(move || shared.post(0));
        let drove = events.drivers[0].try_lock().is_ok_and(|mut driver| {
            // Published without a look at the bell: the host itself looks at the ring next.
            produce(&events.rings[0], *driver, 2);
            *driver += 1;
            true
        });
        let is_ready = exchange(&events.rings, &events.bell);
        assert!(
            is_ready || !drove,
            "the host sees what it has posted itself"
        );
        poller.join().unwrap();
        events.check(is_ready);
    });
}

#[test]
fn loom_h59_two_pollers_wake_the_host_once() {
    bounded(|| {
        let events = Events::<2>::new();
        let pollers = [0, 1].map(|lane| {
            let shared = Arc::clone(&events);
            thread::spawn(move || shared.post(lane))
        });
        let is_ready = exchange(&events.rings, &events.bell);
        for poller in pollers {
            poller.join().unwrap();
        }
        events.check(is_ready);
    });
}

fn value_at(position: u32) -> i32 {
    position.cast_signed() + 1
}

struct Commands {
    ring: Ring,
    parking: Parking,
    /// What the driver has taken so far.
    driver: Mutex<Vec<i32>>,
    wakes: AtomicU32,
}

impl Commands {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            ring: ring(2),
            parking: Parking::new(),
            driver: Mutex::new(Vec::new()),
            wakes: AtomicU32::new(0),
        })
    }

    /// A turn of the poller and its look before it sleeps. Whether it sleeps.
    fn turn(&self) -> bool {
        let mut taken = self.driver.lock().unwrap();
        self.take(&mut taken);
        self.parking.announce();
        let sleeps = self.ring.is_empty();
        if !sleeps {
            self.parking.leave();
        }
        sleeps
    }

    /// The host hands a command over as [`Lane`](crate::lane::Lane) does.
    fn submit(&self, position: u32) {
        self.publish(position);
        if !self.parking.is_parked() || !self.drive() {
            self.wake();
        }
    }

    fn drive(&self) -> bool {
        let Ok(mut taken) = self.driver.try_lock() else {
            return false;
        };
        self.take(&mut taken);
        true
    }

    fn take(&self, taken: &mut Vec<i32>) {
        let head = u32::try_from(taken.len()).unwrap();
        taken.extend(consume(&self.ring, head));
    }

    fn publish(&self, position: u32) {
        produce(&self.ring, position, value_at(position));
    }

    fn wake(&self) {
        if self.parking.claim() {
            self.wakes.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[test]
fn loom_h60_a_command_is_taken_or_the_poller_is_woken() {
    loom::model(|| {
        let commands = Commands::new();
        let shared = Arc::clone(&commands);
        let poller = thread::spawn(move || shared.turn());
        commands.submit(0);
        let sleeps = poller.join().unwrap();
        let woken = commands.wakes.load(Ordering::Relaxed);
        assert!(!sleeps || commands.ring.is_empty() || woken == 1);
        assert!(woken <= 1);
    });
}

#[test]
fn loom_h60_h79_commands_are_taken_in_order_whoever_takes_them() {
    bounded(|| {
        let commands = Commands::new();
        let shared = Arc::clone(&commands);
        let poller = thread::spawn(move || {
            let mut naps = 1;
            while !shared.turn() {
                naps += 1;
            }
            naps
        });
        commands.submit(0);
        commands.submit(1);
        let naps = poller.join().unwrap();
        assert!(commands.ring.is_empty() || !commands.parking.is_parked());
        let woken = commands.wakes.load(Ordering::Relaxed);
        assert!(woken <= naps, "one wake-up a nap");
        commands.turn();
        assert_eq!(*commands.driver.lock().unwrap(), [1, 2]);
    });
}

#[test]
fn loom_h60_of_two_who_wake_a_sleeping_poller_one_does() {
    loom::model(|| {
        let commands = Commands::new();
        assert!(commands.turn());
        let shared = Arc::clone(&commands);
        let other = thread::spawn(move || shared.wake());
        commands.wake();
        other.join().unwrap();
        assert_eq!(commands.wakes.load(Ordering::Relaxed), 1);
        commands.parking.leave();
        commands.wake();
        assert_eq!(commands.wakes.load(Ordering::Relaxed), 1, "it is awake");
        assert!(commands.turn());
        commands.wake();
        assert_eq!(commands.wakes.load(Ordering::Relaxed), 2, "a nap later");
    });
}

#[test]
fn loom_h60_a_poller_that_sleeps_for_good_has_missed_nothing() {
    bounded(|| {
        let commands = Commands::new();
        let alarm = Arc::new(Notify::new());
        let (shared, sleep) = (Arc::clone(&commands), Arc::clone(&alarm));
        let poller = thread::spawn(move || {
            let mut taken = 0;
            // Loom reports a sleep that nobody ends.
            while taken < 2 {
                let sleeps = shared.turn();
                taken = shared.driver.lock().unwrap().len();
                if sleeps && taken < 2 {
                    sleep.wait();
                    shared.parking.leave();
                }
            }
        });
        for position in 0..2 {
            // More commands than the host sends by itself: all by way of the poller.
            commands.publish(position);
            if commands.parking.claim() {
                alarm.notify();
            }
        }
        poller.join().unwrap();
    });
}

#[test]
fn loom_h85_with_both_rings_full_both_sides_go_on() {
    const MESSAGES: u32 = 3;
    bounded(|| {
        let (commands, events) = (Arc::new(ring(1)), Arc::new(ring(1)));
        let (taking, posting) = (Arc::clone(&commands), Arc::clone(&events));
        let driver = thread::spawn(move || {
            let mut sink = EventSink::default();
            let (mut head, mut owed, mut posted) = (0, 0, 0);
            while posted < MESSAGES {
                // Commands are taken while events wait for room.
                let taken = consume(&taking, head).len();
                head += u32::try_from(taken).unwrap();
                owed += taken;
                let has_room = posting.is_empty();
                if owed > 0 && has_room {
                    sink.post(&posting, &Event::NeedMemory);
                    sink.publish(&posting);
                    (owed, posted) = (owed - 1, posted + 1);
                } else {
                    thread::yield_now();
                }
            }
        });
        let (mut sent, mut seen) = (0, 0);
        while seen < MESSAGES {
            // What finds no room is kept, and events are taken all the same.
            if sent < MESSAGES && commands.is_empty() {
                produce(&commands, sent, 1);
                sent += 1;
            } else if !events.is_empty() {
                assert_eq!(Event::decode(events.read(seen)), Some(Event::NeedMemory));
                seen += 1;
                events.consume(seen);
            } else {
                thread::yield_now();
            }
        }
        driver.join().unwrap();
    });
}

struct Nobody;

impl Host for Nobody {
    fn wake(&self) {}
}

/// A seam of rings of so many records, and the poller that its waker wakes.
fn seam(records: usize) -> (StdArc<Seam>, mio::Poll) {
    let poll = mio::Poll::new().unwrap();
    let waker = mio::Waker::new(poll.registry(), WAKER).unwrap();
    let seam = Seam::new(
        ring(1),
        ring(records),
        Arena::new(0),
        StdArc::new(Bell::new()),
        StdArc::new(Nobody),
        waker,
    );
    (StdArc::new(seam), poll)
}

fn parcel() -> Parcel {
    let (socket, _) = UnixStream::pair().unwrap();
    let accepted = Accepted {
        socket: Socket::Unix(socket),
        place: None,
        remote: Address::Unix,
        local: Address::Unix,
    };
    Parcel::Accepted {
        accepted,
        listener: 1,
        window: 0,
    }
}

fn is_woken(poll: &mut mio::Poll) -> bool {
    let mut events = mio::Events::with_capacity(1);
    poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
    !events.is_empty()
}

#[test]
fn loom_h58_a_driver_that_waits_for_room_sees_it_or_is_woken() {
    loom::model(|| {
        let (seam, mut poll) = seam(32);
        // As full as reading may make it.
        seam.events.publish(16);
        let shared = StdArc::clone(&seam);
        let host = thread::spawn(move || {
            shared.events.consume(16);
            shared.event_room_made();
        });
        seam.parking.announce();
        seam.announce_stall(true);
        let sleeps = !seam.has_event_room();
        host.join().unwrap();
        assert!(seam.has_event_room());
        assert!(!sleeps || is_woken(&mut poll), "a lost wake-up");
    });
}

#[test]
fn loom_h71_a_driver_that_waits_for_memory_sees_it_or_is_woken() {
    loom::model(|| {
        let (seam, mut poll) = seam(1);
        let shared = StdArc::clone(&seam);
        let other = thread::spawn(move || shared.memory_came());
        seam.parking.announce();
        let sleeps = !seam.has_memory_come();
        other.join().unwrap();
        assert!(!sleeps || is_woken(&mut poll), "a lost wake-up");
        assert!(seam.take_memory_came());
        assert!(!seam.take_memory_came());
    });
}

#[test]
fn loom_h60_a_parcel_is_taken_or_the_poller_is_woken() {
    loom::model(|| {
        let (seam, mut poll) = seam(1);
        let shared = StdArc::clone(&seam);
        let other = thread::spawn(move || shared.deliver(parcel()));
        let mut taken = seam.mailbox.take().len();
        seam.parking.announce();
        let sleeps = !seam.mailbox.is_filled();
        other.join().unwrap();
        assert!(
            taken == 1 || !sleeps || is_woken(&mut poll),
            "a lost wake-up"
        );
        taken += seam.mailbox.take().len();
        assert_eq!(taken, 1, "it comes once");
    });
}

#[test]
fn loom_h47_a_poller_that_is_to_stop_sees_it_or_is_woken() {
    loom::model(|| {
        let (seam, mut poll) = seam(1);
        let shared = StdArc::clone(&seam);
        let other = thread::spawn(move || shared.stop());
        seam.parking.announce();
        let sleeps = !seam.is_stopping();
        other.join().unwrap();
        assert!(!sleeps || is_woken(&mut poll), "a lost wake-up");
    });
}

#[test]
fn loom_h65_who_has_seen_the_last_event_of_a_driver_knows_that_it_has_failed() {
    loom::model(|| {
        let (seam, _poll) = seam(1);
        let shared = StdArc::clone(&seam);
        let poller = thread::spawn(move || {
            shared.fail();
            produce(&shared.events, 0, 1);
        });
        assert!(seam.events.is_empty() || seam.has_failed());
        poller.join().unwrap();
    });
}

#[test]
fn loom_h65_a_parcel_for_a_driver_that_fails_is_not_left_lying() {
    loom::model(|| {
        let (seam, _poll) = seam(1);
        let shared = StdArc::clone(&seam);
        let other = thread::spawn(move || shared.deliver(parcel()));
        seam.fail();
        seam.refuse_parcels();
        other.join().unwrap();
        assert!(!seam.mailbox.is_filled());
    });
}

#[test]
fn loom_h86_one_side_at_a_time_turns_the_driver_and_none_waits_in_vain() {
    bounded(|| {
        let handover = Arc::new(Handover::new());
        let offered = Arc::new(Notify::new());
        // The token counts its turns: a `Selector` that cannot be copied has one owner.
        handover.give_to_thread(0);
        let poller = {
            let (handover, offered) = (Arc::clone(&handover), Arc::clone(&offered));
            thread::spawn(move || {
                let mut turns = 0;
                while let Some(token) = handover.take_for_thread() {
                    turns += 1;
                    handover.give_to_host(token + 1);
                    offered.notify();
                }
                turns
            })
        };
        for round in 1..=2 {
            let token = loop {
                match handover.take_for_host() {
                    Some(token) => break token,
                    None => offered.wait(),
                }
            };
            assert_eq!(token + 1, 2 * round);
            assert!(handover.take_for_host().is_none(), "there is only one");
            if round == 1 {
                handover.give_to_thread(token + 1);
            }
        }
        handover.close();
        assert_eq!(poller.join().unwrap(), 2);
    });
}

#[test]
fn loom_h47_a_thread_that_waits_for_its_driver_ends_with_the_runtime() {
    bounded(|| {
        let handover = Arc::new(Handover::<()>::new());
        let poller = {
            let handover = Arc::clone(&handover);
            thread::spawn(move || handover.take_for_thread().is_some())
        };
        handover.close();
        assert!(!poller.join().unwrap());
    });
}
