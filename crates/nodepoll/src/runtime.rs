use linkbuf::sync::{AtomicI32, AtomicUsize, Ordering};
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use linkbuf::Arena;
use mio::{Poll, Waker};

use crate::address::Address;
use crate::balance::Balancer;
use crate::bell::{Bell, Host};
use crate::counters::Counters;
use crate::dialer::Dialing;
use crate::driver::Driver;
use crate::error::{OpenError, StartError};
use crate::gate::Gates;
use crate::inline_driver::{AfterTurn, InlineDriver};
use crate::key::WAKER;
use crate::lane::Lane;
use crate::limits::{
    INPUT_RESERVE_NODES, INPUT_RESERVE_PART, LEASE_CHANGES, OUTPUT_RESERVE_BYTES, POLLERS_MAX,
    READ_NODE_BYTES, RING_RECORDS_MIN,
};
use crate::listener::Listener;
use crate::mailbox::Parcel;
use crate::options::{DialOptions, Hosting, ListenOptions, LoadBalance, RuntimeOptions, Treatment};
use crate::poller;
use crate::record::{
    CONTROL_LANES, CONTROL_LANES_READY, CONTROL_LEASE_CHANGES, LANE_WORDS, RECORD_WORDS, index,
};
use crate::ring::{Ring, Words};
use crate::seam::Seam;
use crate::selector::Selector;

/// The memory through which a host and its runtime speak. The host keeps its own view of it.
pub struct SeamMemory {
    /// Words that one side writes before an exchange and the other reads in it: see
    /// [`record`](crate::record).
    pub control: Words,
    /// Pairs of node and count: leases that the host gives back (below zero) or adds.
    pub lease_changes: Words,
    /// Each lane's rings: commands, events.
    pub lanes: Vec<(Words, Words)>,
}

impl SeamMemory {
    /// Words in the control block of a runtime with so many lanes.
    #[must_use]
    pub fn control_words(lanes: usize) -> usize {
        index(CONTROL_LANES) + lanes * index(LANE_WORDS)
    }

    /// Words in the list of lease changes.
    pub const LEASE_WORDS: usize = 2 * LEASE_CHANGES;

    /// Memory of Rust's own, for a host in Rust.
    #[must_use]
    pub fn boxed(options: &RuntimeOptions) -> Self {
        let ring = || Words::boxed(options.ring_records as usize * RECORD_WORDS);
        Self {
            control: Words::boxed(Self::control_words(options.pollers)),
            lease_changes: Words::boxed(Self::LEASE_WORDS),
            lanes: (0..options.pollers).map(|_| (ring(), ring())).collect(),
        }
    }
}

/// Poller threads, their drivers and the arena they share: one runtime serves one host.
///
/// Dropping it stops the pollers, joins their threads, closes all sockets and lets go of all
/// memory, in this order.
pub struct Runtime {
    arena: Arena,
    control: Words,
    lease_changes: Words,
    bell: Arc<Bell>,
    lanes: Vec<Arc<Lane>>,
    threads: Vec<JoinHandle<()>>,
    balancer: Arc<Balancer>,
    gates: Gates,
    exchanges: AtomicUsize,
}

impl Runtime {
    /// Starts the pollers. Drivers that the host may turn are with it at first: it has to
    /// [take them over](Self::take_over).
    ///
    /// # Errors
    /// If the system refuses a descriptor or a thread, or has nothing that a host could watch.
    /// Nothing is left behind then.
    ///
    /// # Panics
    /// If the rings of `memory` are not a power of two of records, or too few.
    pub fn start(
        memory: SeamMemory,
        arena: Arena,
        host: &Arc<dyn Host>,
        hosting: Hosting,
        balance: LoadBalance,
    ) -> Result<Self, StartError> {
        let count = memory.lanes.len();
        if count == 0 || count > POLLERS_MAX {
            return Err(StartError(io::Error::from(io::ErrorKind::InvalidInput)));
        }
        let input = (count + INPUT_RESERVE_NODES) * READ_NODE_BYTES;
        let input = input.min(arena.stats().bytes_max / INPUT_RESERVE_PART);
        arena.reserve(input, OUTPUT_RESERVE_BYTES);
        let bell = Arc::new(Bell::new());
        let mut polls = Vec::with_capacity(count);
        let mut seams = Vec::with_capacity(count);
        for (commands, events) in memory.lanes {
            let poll = Poll::new().map_err(StartError)?;
            let waker = Waker::new(poll.registry(), WAKER).map_err(StartError)?;
            let (commands, events) = (Ring::new(commands), Ring::new(events));
            assert!(
                events.capacity() >= RING_RECORDS_MIN,
                "a ring has room for its reserve"
            );
            let (bell, host) = (Arc::clone(&bell), Arc::clone(host));
            seams.push(Arc::new(Seam::new(
                commands,
                events,
                arena.clone(),
                bell,
                host,
                waker,
            )));
            polls.push(poll);
        }
        let balancer = Arc::new(Balancer::new(seams, balance));
        let mut runtime = Self {
            arena,
            control: memory.control,
            lease_changes: memory.lease_changes,
            bell,
            lanes: Vec::with_capacity(count),
            threads: Vec::with_capacity(count),
            balancer: Arc::clone(&balancer),
            gates: Gates::default(),
            exchanges: AtomicUsize::new(0),
        };
        for (index, poll) in polls.into_iter().enumerate() {
            let seam = Arc::clone(balancer.lane(index));
            let registry = poll.registry().try_clone().map_err(StartError)?;
            let driver = Driver::new(
                Arc::clone(&seam),
                Arc::clone(&balancer),
                registry,
                runtime.arena.clone(),
            );
            let selector = Selector::new(poll, hosting.of_lane(index));
            if hosting.begins_with_host() && selector.descriptor().is_none() {
                return Err(StartError(io::Error::from(io::ErrorKind::Unsupported)));
            }
            let lane = Arc::new(Lane::new(Arc::clone(&seam), driver, selector, hosting));
            // Weak: the seam has a handle on the arena, which must not keep itself alive.
            let waiting = Arc::downgrade(&seam);
            runtime.arena.on_room(Box::new(move || {
                if let Some(seam) = waiting.upgrade() {
                    seam.memory_came();
                }
            }));
            runtime.lanes.push(Arc::clone(&lane));
            if hosting != Hosting::Inline {
                // On failure the runtime is dropped, which stops and joins the earlier threads.
                let thread = poller::start(lane, index).map_err(StartError)?;
                runtime.threads.push(thread);
            }
        }
        Ok(runtime)
    }

    /// The arena that input arrives in and output is sent from.
    #[must_use]
    pub fn arena(&self) -> &Arena {
        &self.arena
    }

    /// How many lanes there are.
    #[must_use]
    pub fn lane_count(&self) -> usize {
        self.lanes.len()
    }

    /// The rings of a lane: commands, events. For a host in Rust.
    pub(crate) fn rings(&self, lane: usize) -> (&Ring, &Ring) {
        let seam = &self.lanes[lane].seam;
        (&seam.commands, &seam.events)
    }

    /// What is shared with a lane's driver: for tests.
    #[cfg(all(test, unix, not(loom), not(feature = "faults")))]
    pub(crate) fn seam(&self, lane: usize) -> &Arc<Seam> {
        &self.lanes[lane].seam
    }

    /// Hands over what the host has written and shows it what has come: once a batch, on the
    /// host's thread only. It never waits: a lane whose lock is taken is awake, and takes the
    /// commands from its ring before it sleeps.
    ///
    /// If no lane has events, the host is noted as idle, and is woken for the next one.
    pub fn exchange(&self) {
        // Relaxed here and below: only the host's thread touches these words.
        self.exchanges.fetch_add(1, Ordering::Relaxed);
        self.change_leases();
        for (index, lane) in self.lanes.iter().enumerate() {
            lane.submit(self.lane_words(index));
        }
        let mut ready = self.collect();
        if ready == 0 {
            self.bell.announce_idle();
            ready = self.collect();
        }
        if ready > 0 {
            self.bell.retract();
        }
    }

    /// The drivers that have been offered to the host since the last time. From now on the host
    /// turns them, at once for the first time: there may be work already.
    pub fn take_over(&self) -> impl Iterator<Item = InlineDriver> + '_ {
        let lanes = self.lanes.iter().enumerate();
        lanes.filter_map(|(index, lane)| {
            let selector = lane.take_over()?;
            Some(InlineDriver::new(Arc::clone(lane), selector, index))
        })
    }

    /// Turns a driver on the host's thread. Whether there are events that nobody else will tell
    /// the host of: they are shown already, as an exchange shows them.
    pub fn turn(&self, driver: &mut InlineDriver) -> (AfterTurn, bool) {
        driver.wait(Some(Duration::ZERO));
        self.handle(driver)
    }

    /// The rest of a turn, after the wait.
    pub(crate) fn handle(&self, driver: &mut InlineDriver) -> (AfterTurn, bool) {
        // Nobody has to ring for what the host sees for itself. If it was awake before, it comes
        // for the events anyway.
        let was_idle = self.bell.wake_up();
        let after = driver.turn();
        let has_events = was_idle && self.has_news();
        if has_events {
            self.collect();
        }
        (after, has_events)
    }

    /// Gives a driver to its thread.
    pub fn give_back(&self, driver: InlineDriver) {
        driver.give_back();
    }

    /// How often a driver has changed hands between host and thread.
    #[must_use]
    pub fn switches(&self) -> usize {
        self.lanes.iter().map(|lane| lane.switches()).sum()
    }

    /// Binds and listens at once; accepting begins as soon as a poller has taken the listener over.
    /// Returns the lane that has it, and the address it got.
    ///
    /// # Errors
    /// What the operating system said; [`OpenError::LoopFailed`] if no driver is left.
    pub fn listen(&self, options: &ListenOptions) -> Result<(usize, Address), OpenError> {
        let listener = Box::new(Listener::bind(options)?);
        let address = listener.address();
        Ok((self.deliver(Parcel::Listener(listener))?, address))
    }

    /// Begins to dial. Whether it succeeds is told by an event of the lane that is returned.
    ///
    /// # Errors
    /// What the operating system said, if it refused at once; [`OpenError::LoopFailed`] if no
    /// driver is left.
    pub fn dial(&self, options: &DialOptions) -> Result<usize, OpenError> {
        let dialing = Box::new(Dialing::begin(options)?);
        self.deliver(Parcel::Dial(dialing))
    }

    /// Says what is special about the connections of a listener: before it begins to accept.
    pub fn treat(&self, lane: usize, listener: u32, treatment: &Treatment) {
        let gate = treatment.limit;
        self.lanes[lane].seam.deliver(Parcel::Treatment {
            listener,
            no_delay: treatment.no_delay,
            keep_alive: treatment.keep_alive,
            gate: gate.map(|(number, max)| self.gates.get(number, max)),
        });
    }

    /// How often a poller that slept was woken by the host or another poller.
    #[must_use]
    pub fn poller_wakeups(&self) -> usize {
        let wakeups = |lane: &Arc<Lane>| lane.seam.poller_wakeups();
        self.lanes.iter().map(wakeups).sum()
    }

    /// What all drivers together have done so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.lanes
            .iter()
            .fold(Counters::default(), |mut sum, lane| {
                sum += lane.seam.counters.read();
                sum
            })
    }

    /// How often the host has called [`exchange`](Self::exchange).
    #[must_use]
    pub fn exchanges(&self) -> usize {
        self.exchanges.load(Ordering::Relaxed)
    }

    /// Stops the pollers, joins their threads and closes all sockets. For a second time it does
    /// nothing.
    pub fn stop(&mut self) {
        for lane in &self.lanes {
            lane.stop();
        }
        for thread in self.threads.drain(..) {
            // A poller catches its panics; nothing of it is left to be told here.
            let _ = thread.join();
        }
        for lane in self.lanes.drain(..) {
            lane.shut();
        }
    }

    /// Gives a parcel to the next lane that lives.
    fn deliver(&self, parcel: Parcel) -> Result<usize, OpenError> {
        let lane = self.balancer.choose().ok_or(OpenError::LoopFailed)?;
        let seam = self.balancer.lane(lane);
        if matches!(parcel, Parcel::Dial(_)) {
            seam.add_load();
        }
        seam.deliver(parcel);
        Ok(lane)
    }

    /// The control words of a lane.
    pub(crate) fn lane_words(&self, lane: usize) -> &[AtomicI32] {
        let words = index(LANE_WORDS);
        self.control
            .range(index(CONTROL_LANES) + lane * words, words)
    }

    fn collect(&self) -> i32 {
        let ready = |(index, lane): (usize, &Arc<Lane>)| lane.collect(self.lane_words(index));
        let lanes = self.lanes.iter().enumerate();
        let ready = lanes.map(ready).map(i32::from).sum();
        let word = self.control.range(index(CONTROL_LANES_READY), 1);
        word[0].store(ready, Ordering::Relaxed);
        ready
    }

    /// Whether there are events, for a host that goes idle if there are none.
    fn has_news(&self) -> bool {
        let any = || self.lanes.iter().any(|lane| lane.has_events());
        if any() {
            return true;
        }
        self.bell.announce_idle();
        // Whoever else has seen the announcement first, rings.
        any() && self.bell.wake_up()
    }

    fn change_leases(&self) {
        let count = self.control.range(index(CONTROL_LEASE_CHANGES), 1);
        let pairs = count[0].swap(0, Ordering::Relaxed).max(0);
        let words = self
            .lease_changes
            .range(0, 2 * index(pairs).min(LEASE_CHANGES));
        for pair in words.chunks_exact(2) {
            let node = pair[0].load(Ordering::Relaxed).cast_unsigned();
            let change = pair[1].load(Ordering::Relaxed);
            // A change that names no lease is counted by the arena and does nothing else.
            let _ = if change < 0 {
                self.arena.release(node, change.unsigned_abs())
            } else {
                self.arena.retain(node, change.unsigned_abs())
            };
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.stop();
    }
}
