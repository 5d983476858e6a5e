use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use crate::lane::{Lane, Turn};
use crate::selector::Selector;

/// Starts the thread that turns a lane's driver whenever the host does not, until the runtime
/// stops.
pub(crate) fn start(lane: Arc<Lane>, index: usize) -> io::Result<JoinHandle<()>> {
    Builder::new()
        .name(format!("nodepoll-{index}"))
        .spawn(move || {
            while let Some(selector) = lane.take_for_thread() {
                let Some(selector) = run(&lane, selector) else {
                    return;
                };
                lane.offer_to_host(selector);
            }
        })
}

/// Turns the driver until the host is the better one for it, or until the end: then `None`.
fn run(lane: &Lane, mut selector: Selector) -> Option<Selector> {
    while !lane.seam.is_stopping() {
        let Turn::Sleep(sleep) = lane.turn(selector.events()) else {
            return None;
        };
        let is_idle = sleep != Some(Duration::ZERO) && lane.hosting.switches();
        if is_idle && selector.load().is_low(Instant::now) {
            selector.switched();
            return Some(selector);
        }
        selector.wait(sleep);
        lane.seam.parking.leave();
    }
    None
}
