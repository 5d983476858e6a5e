use linkbuf::sync::{AtomicBool, Mutex, MutexGuard, Ordering};
use std::sync::{Arc, PoisonError};

use crate::dialer::Dialing;
use crate::gate::Gate;
use crate::listener::{Accepted, Listener};
use crate::options::KeepAlive;

/// Something with a socket that a driver is to take over.
pub(crate) enum Parcel {
    /// A listener, bound and listening.
    Listener(Box<Listener>),
    /// A socket whose connect is under way.
    Dial(Box<Dialing>),
    /// A connection that another driver has accepted.
    Accepted {
        accepted: Accepted,
        listener: u32,
        window: u32,
    },
    /// How the connections of a listener are to be treated.
    Treatment {
        listener: u32,
        no_delay: bool,
        keep_alive: Option<KeepAlive>,
        gate: Option<Arc<Gate>>,
    },
    /// There is room for more connections of a listener that has found none.
    Retry { listener: u32 },
}

/// Parcels on their way to a driver. They are rare, so a lock and a list will do; the flag keeps
/// the usual look at an empty box free of both.
#[derive(Default)]
pub(crate) struct Mailbox {
    filled: AtomicBool,
    parcels: Mutex<Vec<Parcel>>,
}

impl Mailbox {
    pub(crate) fn put(&self, parcel: Parcel) {
        let mut parcels = self.lock();
        parcels.push(parcel);
        // Relaxed: who looks after having been told of the parcel by a command or a wake-up, sees
        // it by that; who looks by chance may miss it. The list has its own lock.
        self.filled.store(true, Ordering::Relaxed);
    }

    /// Whether it is worth looking inside.
    pub(crate) fn is_filled(&self) -> bool {
        // Relaxed: as in `put`; before parking, the fence of `Parking` orders it.
        self.filled.load(Ordering::Relaxed)
    }

    pub(crate) fn take(&self) -> Vec<Parcel> {
        if self.is_filled() {
            self.take_all()
        } else {
            Vec::new()
        }
    }

    /// Looks inside whatever the flag says: who has put something in before sees what was done
    /// before this, or it is taken here.
    pub(crate) fn take_all(&self) -> Vec<Parcel> {
        let mut parcels = self.lock();
        self.filled.store(false, Ordering::Relaxed);
        std::mem::take(&mut *parcels)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Parcel>> {
        // Nothing in here panics while holding the lock, and a list of sockets is always whole.
        self.parcels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
