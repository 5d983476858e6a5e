mod events;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use linkbuf::{CHUNK_BYTES, SegmentId};
use nodepoll::faults::{Fault, Faults, Installed, Route};
use nodepoll::limits::READ_NODE_BYTES;
use nodepoll::{Command, DialOptions, Hosting, RustHost, Treatment};

use crate::door::Door;
use crate::flow::Cut;
use crate::local::{Name, send};
use crate::pair::{End, Pair};
use crate::scenario::{Act, PairPlan, Scenario, Step};
use crate::strays::Strays;

/// After this time something is not slow but stuck.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often commands are handed over in a row while no event is read: each time other threads may
/// have the processor.
const NEGLECT: usize = 50;

const LISTENER: u32 = 1;

/// A time without a byte that passes in all tests.
const SILENCE_MILLIS: u32 = 3;

/// A time without a byte that does not pass while bytes come so often, and how often they come.
const BUSY_MILLIS: u32 = 60;
const BUSY_PAUSE: Duration = Duration::from_millis(10);
const BUSY_TIMES: usize = 12;

/// A runtime with connections, and what is known of each of them.
pub(crate) struct World {
    /// `None` only once it is left alone.
    host: Option<RustHost>,
    faults: Arc<Faults>,
    hosting: Hosting,
    /// How many accepted connections may be open.
    places: usize,
    /// What has been seen so far.
    seen: Outcome,
    /// There is so little memory that what one connection holds is missed by others.
    is_short: bool,
    /// Memory that nobody uses: what is left is little.
    ballast: Vec<SegmentId>,
    pairs: Vec<Pair>,
    names: BTreeMap<Name, (usize, usize)>,
    /// Made with the first of them.
    strays: Option<Strays>,
    /// Door 0 is that of TCP.
    doors: Vec<Door>,
    listener_errors: Vec<i32>,
    _installed: Installed,
}

/// What has come of a seed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) connections: u64,
    pub(crate) bytes: u64,
    /// Streams of which all bytes have arrived.
    pub(crate) streams_whole: u64,
    /// See [`Pair::is_late`].
    pub(crate) closes_late: u64,
    /// Connections that both FINs have ended.
    pub(crate) ends_by_peer: u64,
    /// Closes whose time was over.
    pub(crate) timeouts: u64,
    /// Times without a byte that were told of.
    pub(crate) idles: u64,
    /// Times of either kind that were over much too early.
    pub(crate) early: u64,
    /// Dials that came to nothing.
    pub(crate) strays: u64,
    /// How often a driver has changed hands.
    pub(crate) switches: u64,
    /// Seeds in which peers had to wait for others to end.
    pub(crate) crowds: u64,
    pub(crate) pauses_for_events: u64,
    pub(crate) pauses_for_memory: u64,
    pub(crate) pauses_for_input: u64,
}

impl World {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let installed = scenario.faults.install();
        let memory_max = scenario.chunks * CHUNK_BYTES;
        let host = RustHost::start(&scenario.runtime, memory_max).unwrap();
        host.grant();
        host.grant();
        let mut doors = vec![Door::open(&host, LISTENER, Door::tcp())];
        let mut pairs = Vec::new();
        for (index, plan) in scenario.pairs.iter().enumerate() {
            let door = if plan.is_unix { doors.len() } else { 0 };
            if plan.is_unix {
                let number = LISTENER + u32::try_from(door).unwrap();
                doors.push(Door::open(&host, number, Door::unix()));
            }
            pairs.push(Pair::new(index, plan, door));
        }
        let arena = host.runtime().arena();
        let (count, purpose) = scenario.ballast;
        let ballast = (0..count).map_while(|_| arena.lease_node_for(purpose, READ_NODE_BYTES));
        let ballast = ballast.collect();
        let mut world = Self {
            host: Some(host),
            faults: Arc::clone(&scenario.faults),
            places: scenario.places.map_or(usize::MAX, |it| it as usize),
            seen: Outcome::default(),
            hosting: scenario.runtime.hosting,
            is_short: scenario.chunks == 1,
            ballast,
            pairs,
            names: BTreeMap::new(),
            strays: None,
            doors,
            listener_errors: Vec::new(),
            _installed: installed,
        };
        world.begin(scenario.places, scenario.pairs[0].ends[1].window);
        world
    }

    /// Has all doors accept, with one limit to what is open.
    fn begin(&mut self, places: Option<u32>, window: u32) {
        for index in 0..self.doors.len() {
            let &Door { lane, number, .. } = &self.doors[index];
            if let Some(places) = places {
                let treatment = Treatment {
                    no_delay: true,
                    keep_alive: None,
                    limit: Some((LISTENER, places)),
                };
                self.host().runtime().treat(lane, number, &treatment);
            }
            let listener = number;
            self.command(lane, &Command::Accept { listener, window });
        }
    }

    pub(crate) fn step(&mut self, step: Step) {
        match step {
            Step::Open(pair) => self.open(pair),
            Step::DialRefused => self.dial_astray(true),
            Step::DialSilent => self.dial_astray(false),
            Step::Cancel => self.cancel(),
            Step::Shut(pair) => self.shut(self.pairs[pair].door),
            Step::Act { pair, side, act } => self.act(pair, side, act),
            Step::Acknowledge => self.all_act(Act::Acknowledge),
            Step::HandOver => (0..NEGLECT).for_each(|_| self.host().hand_over()),
            Step::Look(micros) => {
                self.look(Duration::from_micros(micros));
                // Of two events of different lanes the later one may be seen first.
                self.until("no more are open than may be", |world| {
                    world.open_count() <= world.places
                });
            }
        }
    }

    /// Waits until all have been served. As many as others wait for are ended.
    pub(crate) fn serve_all(&mut self, plans: &[PairPlan]) {
        // In a crowd nobody needs what the others have to wait for.
        self.drop_ballast();
        loop {
            self.until("all are opened, or as many as may be", |world| {
                let mut pairs = world.pairs.iter();
                pairs.all(Pair::is_known) || world.open_count() >= world.places
            });
            self.until("no more are open than may be", |world| {
                world.open_count() <= world.places
            });
            if self.pairs.iter().all(Pair::is_known) {
                return;
            }
            self.seen.crowds = 1;
            let Some(index) = self.pairs.iter().position(Pair::has_place) else {
                continue;
            };
            for (side, plan) in plans[index].ends.iter().enumerate() {
                self.let_go(index, side);
                if self.pairs[index].flows[side].is_open() {
                    self.act(index, side, plan.ending);
                }
            }
            self.until("there is a place", |world| !world.pairs[index].has_place());
        }
    }

    /// Waits until all that was sent on connections that nobody has cut has arrived.
    pub(crate) fn bring_all_through(&mut self) {
        self.all_act(Act::Acknowledge);
        self.until("closes are over in time", |world| {
            let mut pairs = world.pairs.iter();
            pairs.all(|pair| !pair.times_out(0) && !pair.times_out(1))
        });
        if !self.is_short {
            // What one side does not take holds up nothing that goes the other way.
            let first = self.pairs.len() % 2;
            self.let_all_go(first);
            self.until("all bytes and ends have arrived at one side", |world| {
                world.pairs.iter().all(|pair| !pair.owes(first))
            });
        }
        self.let_all_go(0);
        self.let_all_go(1);
        self.until("all bytes and ends have arrived", |world| {
            let mut pairs = world.pairs.iter();
            pairs.all(|pair| {
                [0, 1]
                    .iter()
                    .all(|&side| !pair.owes(side) && !pair.lasts(side))
            })
        });
        // What was asked for before must come without another question.
        self.until("what was asked for is told", Self::are_answered);
        self.all_act(Act::Acknowledge);
        self.all_act(Act::Probe);
        self.all_act(Act::Idle(SILENCE_MILLIS));
        self.until("what is asked for is told", Self::are_answered);
    }

    /// Bytes come and go so often that no connection is idle, and then none do.
    pub(crate) fn keep_busy(&mut self) {
        self.all_act(Act::Idle(BUSY_MILLIS));
        for _ in 0..BUSY_TIMES {
            for index in 0..self.pairs.len() {
                // One end only sends, and the other one only receives.
                let (bytes, pieces) = (1, 1);
                self.act(index, index % 2, Act::Write { bytes, pieces });
            }
            let until = Instant::now() + BUSY_PAUSE;
            while Instant::now() < until {
                self.look(Duration::from_micros(500));
            }
        }
        self.until("what is asked for is told", Self::are_answered);
    }

    fn drop_ballast(&mut self) {
        for node in std::mem::take(&mut self.ballast) {
            let arena = self.host().runtime().arena();
            assert!(arena.release(node.node, node.len));
        }
    }

    /// Nothing holds up the input of one side of each pair any more.
    fn let_all_go(&mut self, side: usize) {
        for index in 0..self.pairs.len() {
            self.let_go(index, side);
        }
    }

    fn let_go(&mut self, index: usize, side: usize) {
        let host = self.host.as_mut().expect("it is not left alone");
        let Pair { ends, flows, .. } = &mut self.pairs[index];
        match &mut ends[side] {
            End::Local(local) if local.name.is_some() => local.let_go(&mut flows[side], host),
            End::Local(_) => {}
            End::Foreign(foreign) => foreign.is_paused = false,
        }
    }

    /// Ends all that is left, and waits until it is over.
    pub(crate) fn end_all(&mut self, plans: &[PairPlan]) {
        for (pair, plan) in plans.iter().enumerate() {
            for (side, plan) in plan.ends.iter().enumerate() {
                if self.pairs[pair].flows[side].is_open() {
                    self.act(pair, side, plan.ending);
                }
            }
        }
        self.until("all connections are over", |world| {
            world.pairs.iter().all(Pair::is_over)
        });
        self.cancel();
        self.until("all dials have failed that had to", |world| {
            world.strays.iter().all(Strays::are_over)
        });
        let exhausted = [Fault::Exhausted, Fault::NoMemory].map(|it| self.faults.injected(it));
        if exhausted != [0, 0] {
            self.until("a lack of descriptors is told", |world| {
                !world.listener_errors.is_empty()
            });
        }
        (0..self.doors.len()).for_each(|index| self.close_listener(index));
        self.until("all listeners are closed", |world| {
            world.doors.iter().all(|door| door.accepted.is_some())
        });
        self.until("nothing is left", Self::is_clean);
    }

    /// What can only be said at the end.
    pub(crate) fn judge(&self) -> Outcome {
        let accepted = self.doors.iter().filter_map(|door| door.accepted);
        let accepted = usize::try_from(accepted.sum::<u32>()).unwrap();
        let is_accepted = |pair: &&Pair| self.doors[pair.door].accepted != Some(0);
        assert_eq!(accepted, self.pairs.iter().filter(is_accepted).count());
        let stats = self.host().runtime().arena().stats();
        assert_eq!(stats.stale, 0, "no lease is given back twice");
        let errnos = [libc::EMFILE, libc::ENOBUFS];
        let told = &self.listener_errors;
        assert!(told.iter().all(|errno| errnos.contains(errno)), "{told:?}");
        let mut whole = 0;
        for (index, pair) in self.pairs.iter().enumerate() {
            for side in [0, 1] {
                let verdict = pair.judge(side);
                assert!(verdict.is_ok(), "pair {index} side {side}: {verdict:?}");
                whole += u64::from(verdict == Ok(true));
            }
        }
        let late = self.pairs.iter().filter(|pair| pair.is_late()).count();
        let counters = self.host().runtime().counters();
        Outcome {
            connections: self.pairs.len() as u64,
            bytes: counters.bytes_read,
            streams_whole: whole,
            closes_late: late as u64,
            switches: self.host().runtime().switches() as u64,
            pauses_for_events: counters.pauses_for_events,
            pauses_for_memory: counters.pauses_for_memory,
            pauses_for_input: counters.pauses_for_input,
            ..self.seen.clone()
        }
    }

    fn open(&mut self, index: usize) {
        let pair = &mut self.pairs[index];
        pair.is_opened = true;
        let (endpoint, from) = self.doors[pair.door].route(index);
        match &mut pair.ends[0] {
            End::Foreign(foreign) => foreign.connect(&endpoint, from),
            End::Local(local) => {
                let options = DialOptions {
                    dial: u32::try_from(index).unwrap(),
                    endpoint,
                    local: from,
                    no_delay: true,
                    keep_alive: None,
                    window: local.plan.window,
                };
                let host = self.host.as_ref().expect("it is not left alone");
                host.dial(&options).unwrap();
            }
        }
    }

    fn dial_astray(&mut self, is_refused: bool) {
        let strays = self.strays.get_or_insert_with(Strays::new);
        let host = self.host.as_ref().expect("it is not left alone");
        strays.dial(host, is_refused);
        self.seen.strays += 1;
    }

    fn cancel(&mut self) {
        let host = self.host.as_mut().expect("it is not left alone");
        if let Some(strays) = &mut self.strays {
            strays.cancel(host);
        }
    }

    /// Closes a door that only one connection comes in at. The kernel knows of it by then.
    fn shut(&mut self, door: usize) {
        if door > 0 {
            self.close_listener(door);
        }
    }

    fn close_listener(&mut self, door: usize) {
        self.doors[door].is_shut = true;
        let &Door { lane, number, .. } = &self.doors[door];
        let listener = number;
        self.command(lane, &Command::CloseListener { listener });
    }

    fn act(&mut self, index: usize, side: usize, act: Act) {
        let host = self.host.as_mut().expect("it is not left alone");
        let pair = &mut self.pairs[index];
        let flow = &mut pair.flows[side];
        match &mut pair.ends[side] {
            End::Local(local) => {
                local.act(flow, host, act);
                if local.name.is_some() {
                    flow.discards |= matches!(act, Act::Close(_)) && !flow.has_ended;
                    flow.note(act);
                }
            }
            End::Foreign(foreign) => {
                flow.note(act);
                match act {
                    Act::Write { bytes, .. } if flow.takes_output() => {
                        flow.wrote(bytes, Instant::now());
                    }
                    Act::Pause => foreign.is_paused = true,
                    Act::Resume => foreign.is_paused = false,
                    Act::Destroy => foreign.drop_socket(flow, false),
                    Act::Reset => foreign.drop_socket(flow, true),
                    _ => {}
                }
            }
        }
    }

    /// One exchange, and what the other sockets can do. Waits if nothing has come.
    fn look(&mut self, time: Duration) {
        let mut events = Vec::new();
        let host = self.host.as_mut().expect("it is not left alone");
        host.exchange(|_, lane, event| events.push((lane, event)));
        let mut has_worked = !events.is_empty();
        for (lane, event) in events {
            self.on_event(lane, event);
        }
        for index in 0..self.pairs.len() {
            has_worked |= self.work(index);
        }
        if !has_worked || self.hosting != Hosting::Thread {
            self.host.as_mut().expect("as above").wait(time);
        }
    }

    /// What a socket of the standard library can do.
    fn work(&mut self, index: usize) -> bool {
        let pair = &mut self.pairs[index];
        let sender = pair.flows[1].stream;
        let End::Foreign(foreign) = &mut pair.ends[0] else {
            return false;
        };
        let knew_the_end = pair.flows[0].has_ended;
        let worked = foreign.work(&mut pair.flows[0], sender);
        let has_ended = pair.flows[0].has_ended;
        if worked.is_err() || has_ended && !knew_the_end {
            self.suspect(index);
        }
        let pair = &self.pairs[index];
        if has_ended && !knew_the_end {
            let (may_end, pair) = (pair.may_end(0), pair.describe());
            assert!(may_end, "pair {index} side 0 ends without a reason{pair}");
        }
        if let Err(error) = &worked {
            assert!(pair.may_fail(0), "pair {index} side 0 fails with {error}");
        }
        worked.unwrap_or(true)
    }

    /// How many accepted connections are open.
    fn open_count(&self) -> usize {
        self.pairs.iter().filter(|pair| pair.has_place()).count()
    }

    fn all_act(&mut self, act: Act) {
        for index in 0..self.pairs.len() {
            for side in [0, 1] {
                if self.pairs[index].is_opened {
                    self.act(index, side, act);
                }
            }
        }
    }

    fn are_answered(&self) -> bool {
        let mut pairs = self.pairs.iter();
        pairs.all(|pair| pair.is_answered(0) && pair.is_answered(1))
    }

    fn look_up_cuts(&mut self) {
        let cuts = self.faults.cuts();
        for cut in cuts.iter().filter(|cut| !Strays::are_at(&cut.route)) {
            let index = self.pair_of(&cut.route);
            let flow = &mut self.pairs[index].flows[usize::from(!cut.is_dialer)];
            flow.cut.get_or_insert(Cut::Fault);
        }
    }

    fn pair_of(&self, route: &Route) -> usize {
        let is_it = |(index, pair): (usize, &Pair)| self.doors[pair.door].has(route, index);
        let mut pairs = self.pairs.iter().enumerate();
        pairs.position(is_it).expect("somebody has dialled")
    }

    fn is_clean(&self) -> bool {
        let runtime = self.host().runtime();
        let (stats, counters) = (runtime.arena().stats(), runtime.counters());
        // Each driver may keep the node it receives into.
        stats.leases == 0
            && stats.nodes <= runtime.lane_count()
            && (counters.connections, counters.listeners) == (0, 0)
            && !self.doors.iter().filter_map(Door::file).any(Path::exists)
    }

    /// Goes on until it is `done`.
    fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.look_up_cuts();
            if done(self) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "in vain: {what}\n{}",
                self.describe()
            );
            // Nobody tells of the sockets of the standard library.
            self.look(Duration::from_micros(200));
        }
    }

    fn command(&mut self, lane: usize, command: &Command) {
        let host = self.host.as_mut().expect("it is not left alone");
        send(host, lane, command);
    }

    fn host(&self) -> &RustHost {
        self.host.as_ref().expect("it is not left alone")
    }

    /// Where it stands, for a failure.
    fn describe(&self) -> String {
        let mut text = String::new();
        for (index, pair) in self.pairs.iter().enumerate() {
            let _ = writeln!(text, "  pair {index}: {}", pair.describe());
        }
        let runtime = self.host().runtime();
        let stats = runtime.arena().stats();
        let _ = writeln!(text, "  {:?}\n  {stats:?}", runtime.counters());
        let injected = Fault::ALL.map(|fault| (fault, self.faults.injected(fault)));
        let _ = write!(text, "  {injected:?} {:?}", self.listener_errors);
        text
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for file in self.doors.iter().filter_map(Door::file) {
                // It may be gone by itself.
                let _ = std::fs::remove_file(file);
            }
            // A driver that goes round in circles would have to be waited for.
            std::mem::forget(self.host.take());
        }
    }
}
