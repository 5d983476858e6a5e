//! What the world is told, and whether that may be.

use std::time::Instant;

use linkbuf::SegmentId;
use nodepoll::faults::{Fault, Route};
use nodepoll::{Address, ConnectionId, EndReason, Endpoint, Event};

use super::{LISTENER, World};
use crate::flow::Cut;
use crate::local::Name;
use crate::pair::End;
use crate::silence::is_early;

/// How often a listener that is to be closed tries at least to accept who waits.
const TRIES_MIN: u64 = 4;

impl World {
    pub(super) fn on_event(&mut self, lane: usize, event: Event) {
        match event {
            Event::Accepted {
                id,
                listener,
                remote,
                ..
            } => {
                let door = &self.doors[(listener - LISTENER) as usize];
                let route = match (remote, &door.endpoint) {
                    (Address::Inet(from), _) => Route::From(from),
                    (Address::Unix, Endpoint::Path(path)) => Route::To(path.as_path().into()),
                    _ => panic!("{remote:?} has come in at {:?}", door.endpoint),
                };
                self.opened((lane, id), self.pair_of(&route), 1);
            }
            Event::Connected { id, dial, .. } => self.opened((lane, id), dial as usize, 0),
            Event::DialFailed { dial, errno } => {
                let mut strays = self.strays.iter_mut();
                if strays.any(|strays| strays.failed(dial, errno)) {
                    return;
                }
                self.suspect(dial as usize);
                let pair = &mut self.pairs[dial as usize];
                assert!(pair.may_fail(0), "dial {dial} fails with {errno}");
                assert!(pair.flows[0].over_at.is_none(), "a dial fails once");
                pair.flows[0].over_at = Some(Instant::now());
            }
            Event::ListenerClosed { listener, accepted } => {
                let index = (listener - LISTENER) as usize;
                let door = &mut self.doors[index];
                assert_eq!(door.accepted.replace(accepted), None, "it is closed once");
                if index > 0 && accepted == 0 {
                    let mut pairs = self.pairs.iter();
                    let pair = pairs.position(|pair| pair.door == index);
                    self.turn_away(pair.expect("there is one for each"));
                }
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
        assert!(pair.is_opened, "{name:?} is opened by itself");
        assert!(
            pair.flows[side].over_at.is_none(),
            "{name:?} is let in after all"
        );
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
        match event {
            Event::End { .. } => self.suspect(index),
            Event::Closed { reason, .. } => match reason {
                EndReason::Error { .. } => self.suspect(index),
                _ => self.look_up_cuts(),
            },
            _ => {}
        }
        let pair = &mut self.pairs[index];
        let written = pair.flows[side].written;
        let flow = &pair.flows[side];
        let End::Local(local) = &mut pair.ends[side] else {
            unreachable!("only those of the runtime have names");
        };
        let place = (index, side);
        assert!(flow.over_at.is_none(), "{place:?}: {event:?} after Closed");
        match event {
            Event::Data { segment, front, .. } => self.on_data(index, side, segment, front),
            Event::End { .. } => self.on_end(index, side),
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

    fn on_data(&mut self, index: usize, side: usize, segment: SegmentId, front: u32) {
        let host = self.host.as_mut().expect("it is not left alone");
        let pair = &mut self.pairs[index];
        let (sender, sent_to_it) = (pair.flows[1 - side].stream, pair.flows[1 - side].written);
        let (flow, End::Local(local)) = (&mut pair.flows[side], &mut pair.ends[side]) else {
            unreachable!("only those of the runtime are told of");
        };
        local.check_place(flow.received, segment, front);
        let segment = host.runtime().arena().take_leased(segment);
        let segment = segment.expect("what has arrived has a lease");
        flow.receive(sender, segment.as_slice());
        let is_sent = flow.received <= sent_to_it;
        assert!(is_sent, "{:?}: nobody has sent that", (index, side));
        local.received(flow, host, segment.into_lease());
        if flow.received > local.granted {
            self.look_up_cuts();
            let may_fail = self.pairs[index].may_fail(side);
            assert!(may_fail, "{:?}: its window", (index, side));
        }
    }

    fn on_end(&mut self, index: usize, side: usize) {
        let place = (index, side);
        let pair = &mut self.pairs[index];
        let is_first = !std::mem::replace(&mut pair.flows[side].has_ended, true);
        assert!(is_first, "{place:?}: the other side ends once");
        let is_due = pair.may_hear_of_end(side);
        assert!(is_due, "{place:?}: no reason to end{}", pair.describe());
        let End::Local(local) = &pair.ends[side] else {
            unreachable!("only those of the runtime are told of");
        };
        let act = local.plan.on_end.filter(|_| pair.flows[side].is_open());
        if let Some(act) = act {
            self.act(index, side, act);
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

    /// Pair `index`, which seems to end: if its door was shut before it was let in, that is why.
    /// The event that says so is another lane's, and may be seen later.
    pub(super) fn suspect(&mut self, index: usize) {
        self.look_up_cuts();
        let pair = &self.pairs[index];
        let is_in = matches!(&pair.ends[1], End::Local(local) if local.name.is_some());
        if self.doors[pair.door].is_shut && !is_in && !pair.is_cut() {
            self.turn_away(index);
        }
    }

    /// The door was shut before the pair had been let in: for a lack of something, or as nobody
    /// seemed to wait.
    fn turn_away(&mut self, index: usize) {
        let [hidden, exhausted, lacking] =
            [Fault::Again, Fault::Exhausted, Fault::NoMemory].map(|it| self.faults.injected(it));
        assert!(hidden > 0 || exhausted + lacking >= TRIES_MIN);
        let flow = &mut self.pairs[index].flows[1];
        flow.cut = Some(Cut::User);
        flow.over_at = Some(Instant::now());
    }
}
