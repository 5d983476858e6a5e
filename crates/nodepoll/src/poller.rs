use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use mio::{Events, Poll};

use crate::lane::{Lane, Turn};
use crate::limits::KERNEL_EVENTS;

/// Starts the thread that turns a lane's driver until the runtime stops.
pub(crate) fn start(lane: Arc<Lane>, poll: Poll, index: usize) -> io::Result<JoinHandle<()>> {
    Builder::new()
        .name(format!("nodepoll-{index}"))
        .spawn(move || run(&lane, poll))
}

fn run(lane: &Lane, mut poll: Poll) {
    let mut events = Events::with_capacity(KERNEL_EVENTS);
    while !lane.seam.is_stopping() {
        let Turn::Sleep(sleep) = lane.turn(&events) else {
            return;
        };
        // A signal may interrupt the wait; then there are just no events.
        let waited = poll.poll(&mut events, sleep);
        lane.seam.parking.leave();
        if waited.is_err() {
            events.clear();
        }
    }
}
