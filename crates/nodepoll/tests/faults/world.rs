use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use linkbuf::{CHUNK_BYTES, SegmentId};
use nodepoll::faults::{Fault, Faults, Installed};
use nodepoll::limits::READ_NODE_BYTES;
use nodepoll::{Address, Command, DialOptions, EndReason, Endpoint, Event, ListenOptions};
use nodepoll::{ConnectionId, Hosting, RustHost, Treatment};

use crate::flow::Cut;
use crate::local::{Name, send};
use crate::pair::{End, Pair};
use crate::scenario::{Act, PairPlan, Scenario, Step};
use crate::silence::is_early;

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
    listener: (usize, SocketAddr),
    listener_errors: Vec<i32>,
    /// How many connections the listener says to have accepted in all.
    accepted: Option<u32>,
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
        let options = ListenOptions {
            listener: LISTENER,
            endpoint: Endpoint::Inet((Ipv4Addr::LOCALHOST, 0).into()),
            backlog: 1024,
            ipv6_only: false,
            reuse_port: false,
        };
        let (lane, address) = host.listen(&options).unwrap();
        let Address::Inet(address) = address else {
            panic!("{address:?} is not where it listens");
        };
        let arena = host.runtime().arena();
        let (count, purpose) = scenario.ballast;
        let ballast = (0..count).map_while(|_| arena.lease_node_for(purpose, READ_NODE_BYTES));
        let ballast = ballast.collect();
        let pairs = scenario.pairs.iter().enumerate();
        let mut world = Self {
            host: Some(host),
            faults: Arc::clone(&scenario.faults),
            places: scenario.places.map_or(usize::MAX, |it| it as usize),
            seen: Outcome::default(),
            hosting: scenario.runtime.hosting,
            is_short: scenario.chunks == 1,
            ballast,
            pairs: pairs.map(|(index, plan)| Pair::new(index, plan)).collect(),
            names: BTreeMap::new(),
            listener: (lane, address),
            listener_errors: Vec::new(),
            accepted: None,
            _installed: installed,
        };
        if let Some(places) = scenario.places {
            let treatment = Treatment {
                no_delay: true,
                keep_alive: None,
                limit: Some((LISTENER, places)),
            };
            world.host().runtime().treat(lane, LISTENER, &treatment);
        }
        let (listener, window) = (LISTENER, scenario.pairs[0].ends[1].window);
        world.command(lane, &Command::Accept { listener, window });
        world
    }

    pub(crate) fn step(&mut self, step: Step) {
        match step {
            Step::Open(pair) => self.open(pair),
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
        let exhausted = [Fault::Exhausted, Fault::NoMemory].map(|it| self.faults.injected(it));
        if exhausted != [0, 0] {
            self.until("a lack of descriptors is told", |world| {
                !world.listener_errors.is_empty()
            });
        }
        let listener = LISTENER;
        self.command(self.listener.0, &Command::CloseListener { listener });
        self.until("the listener is closed", |world| world.accepted.is_some());
        self.until("nothing is left", Self::is_clean);
    }

    /// What can only be said at the end.
    pub(crate) fn judge(&self) -> Outcome {
        assert_eq!(self.accepted, u32::try_from(self.pairs.len()).ok());
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
            pauses_for_events: counters.pauses_for_events,
            pauses_for_memory: counters.pauses_for_memory,
            pauses_for_input: counters.pauses_for_input,
            ..self.seen.clone()
        }
    }

    fn open(&mut self, index: usize) {
        let to = self.listener.1;
        let pair = &mut self.pairs[index];
        pair.is_opened = true;
        let from = SocketAddr::from((pair.ip, 0));
        match &mut pair.ends[0] {
            End::Foreign(foreign) => foreign.connect(from, to),
            End::Local(local) => {
                let options = DialOptions {
                    dial: u32::try_from(index).unwrap(),
                    endpoint: Endpoint::Inet(to),
                    local: Some(from),
                    no_delay: true,
                    keep_alive: None,
                    window: local.plan.window,
                };
                let host = self.host.as_ref().expect("it is not left alone");
                host.dial(&options).unwrap();
            }
        }
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
        self.look_up_resets();
        let pair = &self.pairs[index];
        if has_ended && !knew_the_end {
            assert!(pair.may_end(0), "pair {index} side 0 ends without a reason");
        }
        if let Err(error) = &worked {
            assert!(pair.may_fail(0), "pair {index} side 0 fails with {error}");
        }
        worked.unwrap_or(true)
    }

    fn on_event(&mut self, lane: usize, event: Event) {
        match event {
            Event::Accepted { id, remote, .. } => {
                let is_it = |pair: &Pair| pair.is_at(remote);
                let index = self.pairs.iter().position(is_it);
                self.opened((lane, id), index.expect("somebody has dialled"), 1);
            }
            Event::Connected { id, dial, .. } => self.opened((lane, id), dial as usize, 0),
            Event::DialFailed { dial, errno } => {
                self.look_up_resets();
                let pair = &mut self.pairs[dial as usize];
                assert!(pair.may_fail(0), "dial {dial} fails with {errno}");
                assert!(pair.flows[0].over_at.is_none(), "a dial fails once");
                pair.flows[0].over_at = Some(Instant::now());
            }
            Event::ListenerClosed { accepted, .. } => {
                assert_eq!(self.accepted.replace(accepted), None, "it is closed once");
            }
            Event::ListenerError { errno, .. } => self.listener_errors.push(errno),
            Event::NeedMemory => unreachable!("the host grants it by itself"),
            Event::Failed => panic!("the driver of lane {lane} has panicked"),
            Event::Data { id, .. }
            | Event::End { id, .. }
            | Event::Drained { id, .. }
            | Event::Quiet { id, .. }
            | Event::Idle { id, .. }
            | Event::Closed { id, .. } => self.on_connection_event(lane, id, event),
        }
    }

    fn opened(&mut self, name: Name, index: usize, side: usize) {
        let before = self.names.insert(name, (index, side));
        assert_eq!(before, None, "{name:?} is opened twice");
        let pair = &mut self.pairs[index];
        assert!(pair.is_opened && pair.flows[side].over_at.is_none());
        let End::Local(local) = &mut pair.ends[side] else {
            panic!("{name:?} is opened, whose socket is not the runtime's");
        };
        assert_eq!(local.name.replace(name), None, "it is opened once");
        for act in std::mem::take(&mut local.deferred) {
            self.act(index, side, act);
        }
    }

    fn on_connection_event(&mut self, lane: usize, id: ConnectionId, event: Event) {
        let (index, side) = *self.names.get(&(lane, id)).expect("it is opened first");
        if matches!(event, Event::End { .. } | Event::Closed { .. }) {
            self.look_up_resets();
        }
        let host = self.host.as_mut().expect("it is not left alone");
        let pair = &mut self.pairs[index];
        let (sender, written) = (pair.flows[1 - side].stream, pair.flows[side].written);
        let sent_to_it = pair.flows[1 - side].written;
        let flow = &mut pair.flows[side];
        let End::Local(local) = &mut pair.ends[side] else {
            unreachable!("only those of the runtime have names");
        };
        let place = (index, side);
        assert!(flow.over_at.is_none(), "{place:?}: {event:?} after Closed");
        match event {
            Event::Data { segment, front, .. } => {
                local.check_place(flow.received, segment, front);
                let segment = host.runtime().arena().take_leased(segment);
                let segment = segment.expect("what has arrived has a lease");
                flow.receive(sender, segment.as_slice());
                assert!(
                    flow.received <= sent_to_it,
                    "{place:?}: nobody has sent that"
                );
                local.received(flow, host, segment.into_lease());
                if flow.received > local.granted {
                    self.look_up_resets();
                    assert!(self.pairs[index].may_fail(side), "{place:?}: its window");
                }
            }
            Event::End { .. } => {
                assert!(!flow.has_ended, "{place:?}: the other side ends once");
                flow.has_ended = true;
                let on_end = local.plan.on_end;
                assert!(pair.may_hear_of_end(side), "{place:?}: no reason to end");
                if let Some(act) = on_end.filter(|_| pair.flows[side].is_open()) {
                    self.act(index, side, act);
                }
            }
            Event::Drained { sent, .. } => {
                assert!((local.sent..=written).contains(&sent), "{place:?}: {sent}");
                local.sent = sent;
            }
            Event::Quiet { .. } => {
                local.quiets += 1;
                assert!(local.quiets <= local.probes, "{place:?}: nobody has asked");
            }
            Event::Closed { reason, sent, .. } => {
                assert!((local.sent..=written).contains(&sent), "{place:?}: {sent}");
                let was_asked = flow.closing_since.is_some() || flow.cut == Some(Cut::User);
                let is_due = match reason {
                    EndReason::Local => was_asked,
                    EndReason::Peer => pair.may_end_by_peer(side, sent),
                    EndReason::Error { .. } => pair.may_fail(side),
                    EndReason::Timeout => pair.may_time_out(side, sent),
                };
                assert!(is_due, "{place:?} is closed: {reason:?}");
                self.on_closed(index, side, reason, sent);
            }
            Event::Idle { millis, sent, .. } => {
                assert!((local.sent..=written).contains(&sent), "{place:?}: {sent}");
                assert!(local.silence.told(millis), "{place:?}: nobody has asked");
                let since = pair.active_since(side, sent);
                self.seen.idles += 1;
                self.seen.early += u64::from(is_early(since, millis));
            }
            _ => unreachable!("the others are not about a connection"),
        }
    }

    fn on_closed(&mut self, index: usize, side: usize, reason: EndReason, sent: u64) {
        let pair = &mut self.pairs[index];
        let (flow, End::Local(local)) = (&mut pair.flows[side], &mut pair.ends[side]) else {
            unreachable!("only those of the runtime are told of");
        };
        local.sent = sent;
        local.closed = Some(reason);
        flow.over_at = Some(Instant::now());
        match (reason, flow.closing_since, local.close_millis) {
            (EndReason::Timeout, Some(since), Some(millis)) => {
                flow.cut.get_or_insert(Cut::Time);
                self.seen.timeouts += 1;
                self.seen.early += u64::from(is_early(since, millis));
            }
            (EndReason::Peer, ..) => self.seen.ends_by_peer += 1,
            _ => {}
        }
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

    fn look_up_resets(&mut self) {
        for reset in self.faults.resets() {
            let is_it = |pair: &&mut Pair| pair.is_at(reset.dialer);
            let pair = self.pairs.iter_mut().find(is_it);
            let pair = pair.expect("a reset is some connection's");
            let flow = &mut pair.flows[usize::from(!reset.is_dialer)];
            flow.cut.get_or_insert(Cut::Fault);
        }
    }

    fn is_clean(&self) -> bool {
        let runtime = self.host().runtime();
        let (stats, counters) = (runtime.arena().stats(), runtime.counters());
        // Each driver may keep the node it receives into.
        stats.leases == 0
            && stats.nodes <= runtime.lane_count()
            && (counters.connections, counters.listeners) == (0, 0)
    }

    /// Goes on until it is `done`.
    fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.look_up_resets();
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
            // A driver that goes round in circles would have to be waited for.
            std::mem::forget(self.host.take());
        }
    }
}
