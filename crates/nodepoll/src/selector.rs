use std::io;
use std::time::{Duration, Instant};

use mio::{Events, Poll};

use crate::key::WAKER;
use crate::limits::KERNEL_EVENTS;
use crate::load::Load;
use crate::options::Hosting;
use crate::sys;

/// What a driver learns from the kernel with. Whoever has it, turns the driver.
pub(crate) struct Selector {
    poll: Poll,
    events: Events,
    load: Load,
}

impl Selector {
    pub(crate) fn new(poll: Poll, hosting: Hosting) -> Self {
        Self {
            poll,
            events: Events::with_capacity(KERNEL_EVENTS),
            load: Load::new(hosting),
        }
    }

    /// Waits for sockets, at most for so long, or until somebody wakes the driver.
    pub(crate) fn wait(&mut self, time: Option<Duration>) {
        let time = time.into_iter().chain(sys::SLEEP_MAX).min();
        let waited: io::Result<()> = self.poll.poll(&mut self.events, time);
        if waited.is_err() {
            // A signal may interrupt the wait; then there are just no events.
            self.events.clear();
        }
        let sockets = self.events.iter().filter(|event| event.token() != WAKER);
        self.load.note(sockets.count());
    }

    /// What the last wait has brought.
    pub(crate) fn events(&self) -> &Events {
        &self.events
    }

    pub(crate) fn load(&mut self) -> &mut Load {
        &mut self.load
    }

    /// The other side turns the driver from now on. What the last wait brought has been handled.
    pub(crate) fn switched(&mut self) {
        self.events.clear();
        self.load.switched(Instant::now());
    }

    /// What becomes readable when there are events, if the system has such a thing.
    pub(crate) fn descriptor(&self) -> Option<i32> {
        sys::descriptor(&self.poll)
    }
}
