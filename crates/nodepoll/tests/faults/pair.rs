use std::time::{Duration, Instant};

use nodepoll::limits::LINGER_TIME;

use crate::bytes::Stream;
use crate::flow::{Cut, Fin, Flow};
use crate::foreign::Foreign;
use crate::local::Local;
use crate::scenario::PairPlan;

/// A close that takes so long has most likely waited until its time was over.
const LATE: Duration = LINGER_TIME.checked_div(2).expect("two is not zero");

/// Both ends of a connection. Side 0 dials, side 1 is accepted.
pub(crate) struct Pair {
    pub(crate) flows: [Flow; 2],
    pub(crate) ends: [End; 2],
    pub(crate) is_opened: bool,
    /// Which of the doors it comes in at.
    pub(crate) door: usize,
    is_unix: bool,
}

/// Whose socket it is.
pub(crate) enum End {
    Local(Box<Local>),
    Foreign(Foreign),
}

impl Pair {
    pub(crate) fn new(index: usize, plan: &PairPlan, door: usize) -> Self {
        let dialed = if plan.is_foreign {
            End::Foreign(Foreign::new())
        } else {
            End::Local(Box::new(Local::new(plan.ends[0])))
        };
        Self {
            flows: [0, 1].map(|side| Flow::new(Stream::new(index, side))),
            ends: [dialed, End::Local(Box::new(Local::new(plan.ends[1])))],
            is_opened: false,
            door,
            is_unix: plan.is_unix,
        }
    }

    /// Whether the runtime has told of all its ends.
    pub(crate) fn is_known(&self) -> bool {
        let mut ends = self.ends.iter().zip(&self.flows);
        ends.all(|(end, flow)| match end {
            End::Local(local) => local.name.is_some() || flow.over_at.is_some(),
            End::Foreign(_) => true,
        })
    }

    /// Whether its accepted end is open.
    pub(crate) fn has_place(&self) -> bool {
        let is_accepted = matches!(&self.ends[1], End::Local(local) if local.name.is_some());
        is_accepted && self.flows[1].over_at.is_none()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.flows.iter().all(|flow| flow.over_at.is_some())
    }

    /// Somebody has cut it: what was under way may be lost.
    pub(crate) fn is_cut(&self) -> bool {
        self.flows.iter().any(|flow| flow.cut.is_some())
    }

    /// Whether this side may see the other one's end now.
    pub(crate) fn may_end(&self, side: usize) -> bool {
        let (flow, sender) = (&self.flows[side], &self.flows[1 - side]);
        let is_whole = sender.finishes() && flow.received == sender.written;
        // After a time to close that was over there is a reset and no FIN; but a unix socket knows
        // no reset, and its peer cannot tell this end from another one.
        let looks_like_an_end = |cut| cut != Cut::Time || self.is_unix;
        let is_cut = |flow: &Flow| flow.cut.is_some_and(looks_like_an_end);
        let may_be_late = self.is_unix && self.is_hasty(1 - side);
        self.flows.iter().any(is_cut) || may_be_late || is_whole
    }

    /// Whether this side may find the connection broken.
    pub(crate) fn may_fail(&self, side: usize) -> bool {
        self.is_cut() || self.flows[1 - side].has_lingered() || self.is_hasty(1 - side)
    }

    /// Whether this side closes in a short time: it may have been over, and nobody told.
    fn is_hasty(&self, side: usize) -> bool {
        let End::Local(local) = &self.ends[side] else {
            return false;
        };
        local.close_millis.is_some() && local.closed.is_none()
    }

    /// Whether the time of a close is running out: the kernel has not taken all, for all we know.
    pub(crate) fn times_out(&self, side: usize) -> bool {
        let (flow, End::Local(local)) = (&self.flows[side], &self.ends[side]) else {
            return false;
        };
        self.is_hasty(side) && flow.over_at.is_none() && local.sent < flow.written
    }

    /// Whether this side may be told that its time to close is over, when it has sent so much.
    pub(crate) fn may_time_out(&self, side: usize, sent: u64) -> bool {
        self.is_hasty(side) && sent < self.flows[side].written
    }

    /// When a byte has come to this side or left it last, or before, if it has sent so much.
    pub(crate) fn active_since(&self, side: usize, sent: u64) -> Instant {
        let (flow, sender) = (&self.flows[side], &self.flows[1 - side]);
        let sent_at = flow.diary.written_at(sent);
        sent_at.max(sender.diary.written_at(flow.received))
    }

    /// Whether something is still to arrive at this side.
    pub(crate) fn owes(&self, side: usize) -> bool {
        let (flow, sender) = (&self.flows[side], &self.flows[1 - side]);
        if flow.cut == Some(Cut::Fault) {
            // Nobody has to ask for its end.
            return flow.over_at.is_none();
        }
        let is_missing = flow.received < sender.written || (sender.finishes() && !flow.has_ended);
        is_missing && !self.is_cut() && !flow.discards && flow.over_at.is_none()
    }

    /// Whether this side is still to end by itself: both have sent FIN, or are about to.
    pub(crate) fn lasts(&self, side: usize) -> bool {
        let (flow, sender) = (&self.flows[side], &self.flows[1 - side]);
        let is_due = flow.is_half_closed && sender.finishes() && !self.is_cut();
        is_due && flow.over_at.is_none()
    }

    /// Whether this side may be told that both FINs have ended it, when it has sent so much.
    pub(crate) fn may_end_by_peer(&self, side: usize, sent: u64) -> bool {
        let flow = &self.flows[side];
        let is_sent = sent == flow.written || self.is_cut();
        flow.is_half_closed && is_sent && self.may_end(side)
    }

    /// Whether this side may be told that the other one has ended, before it has ended itself.
    pub(crate) fn may_hear_of_end(&self, side: usize) -> bool {
        // Who ends second has got our FIN, so that its own is the second one.
        let is_second =
            self.flows[side].is_half_closed && self.flows[1 - side].fin == Some(Fin::Second);
        self.may_end(side) && (self.is_cut() || !is_second)
    }

    /// Whether a side, if it can still tell, has told of all that the host has asked for.
    pub(crate) fn is_answered(&self, side: usize) -> bool {
        let (flow, End::Local(local)) = (&self.flows[side], &self.ends[side]) else {
            return true;
        };
        let is_told =
            local.sent >= local.sent_due && (local.quiets >= local.quiets_due || flow.has_ended);
        let is_told = is_told && !local.silence.is_awaited();
        is_told || self.is_cut() || self.may_fail(side) || !flow.is_open()
    }

    /// Whether this side has got all that the other one sent; or what is wrong.
    pub(crate) fn judge(&self, side: usize) -> Result<bool, String> {
        let (flow, sender) = (&self.flows[side], &self.flows[1 - side]);
        if let End::Local(local) = &self.ends[1 - side] {
            let has_left = local.closed.is_some();
            if has_left && flow.received > local.sent {
                return Err(format!("{} of {} sent", flow.received, local.sent));
            }
        }
        let is_whole = flow.received == sender.written;
        if is_whole || self.is_cut() || flow.discards || self.may_fail(side) {
            return Ok(is_whole);
        }
        Err(format!("{} of {} bytes", flow.received, sender.written))
    }

    /// Whether an end was over only long after both were asked for it, though nobody has cut it.
    pub(crate) fn is_late(&self) -> bool {
        let is_late = |flow: &Flow| {
            let [one, other] = self.flows.each_ref().map(|flow| flow.closing_since);
            let since = one.max(other).filter(|_| one.is_some() && other.is_some());
            let took = |since| Some(flow.over_at?.saturating_duration_since(since));
            since.and_then(took).is_some_and(|took| took >= LATE)
        };
        !self.is_cut() && self.flows.iter().any(is_late)
    }

    pub(crate) fn describe(&self) -> String {
        let side = |side: usize| {
            let flow = &self.flows[side];
            let name = match &self.ends[side] {
                End::Local(local) => local.describe(),
                End::Foreign(foreign) => foreign.describe(),
            };
            let owes = if self.owes(side) { "is owed: " } else { "" };
            format!(
                "{owes}{name} wrote {} got {} half {} closing {} cut {:?} ended {}",
                flow.written,
                flow.received,
                flow.is_half_closed,
                flow.closing_since.is_some(),
                flow.cut,
                flow.has_ended
            )
        };
        format!("\n    0: {}\n    1: {}", side(0), side(1))
    }
}
