use linkbuf::sync::Mutex;
use std::sync::{Arc, PoisonError, Weak};

use rustc_hash::FxHashMap;

use crate::mailbox::Parcel;
use crate::seam::Seam;

/// A limit to the number of open connections, which several listeners may share. Beyond it peers
/// wait in the kernel's queue.
pub(crate) struct Gate {
    inside: Mutex<Inside>,
}

struct Inside {
    free: u32,
    /// Listeners that have found no place, and would not look again by themselves.
    waiting: Vec<(Arc<Seam>, u32)>,
}

/// A place within the limit. Dropping it makes room for another connection.
pub(crate) struct Place(Arc<Gate>);

impl Gate {
    fn new(max: u32) -> Self {
        Self {
            inside: Mutex::new(Inside {
                free: max,
                waiting: Vec::new(),
            }),
        }
    }

    /// A place for one more connection. Without one the listener is told as soon as there is.
    pub(crate) fn enter(self: &Arc<Self>, seam: &Arc<Seam>, listener: u32) -> Option<Place> {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        if inside.free > 0 {
            inside.free -= 1;
            return Some(Place(Arc::clone(self)));
        }
        if !inside.waiting.iter().any(|&(_, waits)| waits == listener) {
            inside.waiting.push((Arc::clone(seam), listener));
        }
        None
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let waiting = {
            let mut inside = self.0.inside.lock().unwrap_or_else(PoisonError::into_inner);
            inside.free += 1;
            std::mem::take(&mut inside.waiting)
        };
        // Not under the lock: a driver that takes the parcel may come here.
        for (seam, listener) in waiting {
            seam.deliver(Parcel::Retry { listener });
        }
    }
}

/// The gates in use, by the numbers that the host gave them.
#[derive(Default)]
pub(crate) struct Gates(Mutex<FxHashMap<u32, Weak<Gate>>>);

impl Gates {
    /// The gate of this number; the first to ask decides how many places it has.
    pub(crate) fn get(&self, number: u32, max: u32) -> Arc<Gate> {
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gates.retain(|_, gate| gate.strong_count() > 0);
        if let Some(gate) = gates.get(&number).and_then(Weak::upgrade) {
            return gate;
        }
        let gate = Arc::new(Gate::new(max));
        gates.insert(number, Arc::downgrade(&gate));
        gate
    }
}

// With injected faults a socket is made in another way, and nothing else differs.
#[cfg(test)]
#[cfg(all(unix, not(loom), not(feature = "faults")))]
mod tests {
    use mio::net::UnixStream;

    use super::*;
    use crate::address::Address;
    use crate::listener::Accepted;
    use crate::options::{Hosting, RuntimeOptions};
    use crate::rust_host::RustHost;
    use crate::sys::socket::Socket;

    #[test]
    fn h47_h93_a_connection_in_the_mailbox_does_not_outlive_its_runtime() {
        let options = RuntimeOptions {
            // Nobody takes parcels then, as with a poller that has just stopped.
            hosting: Hosting::Inline,
            ..RuntimeOptions::default()
        };
        let host = RustHost::start(&options, 0).unwrap();
        let (gate, seam) = (Gates::default().get(1, 1), host.runtime().seam(0));
        let place = gate.enter(seam, 1);
        assert!(place.is_some() && gate.enter(seam, 1).is_none());
        let (socket, mut peer) = UnixStream::pair().unwrap();
        seam.deliver(Parcel::Accepted {
            accepted: Accepted {
                socket: Socket::Unix(socket),
                place,
                remote: Address::Unix,
                local: Address::Unix,
            },
            listener: 1,
            window: 0,
        });
        drop(gate);
        drop(host);
        let ended = std::io::Read::read(&mut peer, &mut [0]).unwrap();
        assert_eq!(ended, 0, "its socket is closed");
    }
}
