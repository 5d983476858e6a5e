//! Faults between drivers and the kernel, for tests: short reads and writes, calls that would
//! block or are interrupted, resets, a lack of descriptors. They are drawn from a seed.
//!
//! There is no such code without the feature `faults`, and no optimized build with it.

#[cfg(not(all(unix, debug_assertions)))]
compile_error!("the feature `faults` is for tests on unix, in builds with debug assertions");

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use linkbuf::sync::{AtomicU64, Ordering};
use socket2::SockRef;

/// What can be injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A read returns less than there is.
    ShortRead,
    /// The kernel takes less than it could.
    ShortWrite,
    /// `EAGAIN`, for one call or for several in a row. As with the kernel's own, an edge follows.
    Again,
    /// `EINTR`.
    Interrupted,
    /// `ECONNRESET`. The socket is no more from there on.
    Reset,
    /// Accepting fails with `EMFILE`.
    Exhausted,
    /// Accepting fails with `ENOBUFS`.
    NoMemory,
    /// Accepting fails with `ECONNABORTED`.
    Aborted,
    /// The kernel refuses to watch a socket, with `ENOSPC`. It is of no use then.
    Unwatched,
}

impl Fault {
    /// Every one of them.
    pub const ALL: [Self; 9] = [
        Self::ShortRead,
        Self::ShortWrite,
        Self::Again,
        Self::Interrupted,
        Self::Reset,
        Self::Exhausted,
        Self::NoMemory,
        Self::Aborted,
        Self::Unwatched,
    ];
}

/// Which faults happen how often to a number of sockets, and which have happened.
///
/// What happens to a socket depends on the seed, its number and its calls so far. Threads decide
/// in which order sockets are accepted and how many calls they need, so that a run is like another
/// one with the same seed but not equal to it.
#[derive(Debug)]
pub struct Faults {
    seed: u64,
    /// Of 1,000 calls, how many have which fault.
    rates: [u64; Fault::ALL.len()],
    send_buffer: Option<usize>,
    receive_buffer: Option<usize>,
    /// Sockets made so far.
    sockets: AtomicU64,
    injected: [AtomicU64; Fault::ALL.len()],
    cuts: Mutex<Vec<Cut>>,
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Faults>>> = const { RefCell::new(None) };
}

impl Faults {
    /// No faults at first.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            rates: Default::default(),
            send_buffer: None,
            receive_buffer: None,
            sockets: AtomicU64::new(0),
            injected: Default::default(),
            cuts: Mutex::default(),
        }
    }

    /// `fault` happens in `per_mille` of 1,000 calls that it can happen in.
    #[must_use]
    pub fn with(mut self, fault: Fault, per_mille: u64) -> Self {
        self.rates[fault as usize] = per_mille;
        self
    }

    /// Each socket has kernel buffers of about these sizes.
    #[must_use]
    pub fn with_buffers(mut self, send: Option<usize>, receive: Option<usize>) -> Self {
        (self.send_buffer, self.receive_buffer) = (send, receive);
        self
    }

    /// From here on these faults happen to listeners and dials that this thread opens, and to all
    /// connections that come of them, until the guard is dropped.
    #[must_use]
    pub fn install(self: &Arc<Self>) -> Installed {
        CURRENT.with_borrow_mut(|current| *current = Some(Arc::clone(self)));
        Installed(())
    }

    /// How often `fault` has happened.
    #[must_use]
    pub fn injected(&self, fault: Fault) -> u64 {
        // Relaxed: a count for the end of a test.
        self.injected[fault as usize].load(Ordering::Relaxed)
    }

    /// The sockets that are no more by [`Fault::Reset`] or [`Fault::Unwatched`]. One stands here
    /// before its driver learns of it.
    #[must_use]
    pub fn cuts(&self) -> Vec<Cut> {
        self.lock_cuts().clone()
    }

    fn count(&self, fault: Fault) {
        // Relaxed: as in `injected`.
        self.injected[fault as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn lock_cuts(&self) -> std::sync::MutexGuard<'_, Vec<Cut>> {
        self.cuts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a connection came about, and is told from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// Where it was dialled from.
    From(SocketAddr),
    /// Where it was dialled to, as the dialling end of a unix socket has no name.
    To(Arc<Path>),
}

/// A socket that was cut off by injection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Which connection.
    pub route: Route,
    /// Whether it is the end that dialled, and not the one that was accepted.
    pub is_dialer: bool,
}

/// Ends what [`Faults::install`] began.
#[derive(Debug)]
pub struct Installed(());

impl Drop for Installed {
    fn drop(&mut self) {
        CURRENT.with_borrow_mut(Option::take);
    }
}

/// The calls that faults happen in.
#[derive(Clone, Copy)]
pub(crate) enum Call {
    Read,
    Write,
    Accept,
    Register,
}

impl Call {
    fn faults(self) -> &'static [Fault] {
        match self {
            Self::Read => &[
                Fault::Again,
                Fault::Interrupted,
                Fault::Reset,
                Fault::ShortRead,
            ],
            Self::Write => &[
                Fault::Again,
                Fault::Interrupted,
                Fault::Reset,
                Fault::ShortWrite,
            ],
            Self::Accept => &[
                Fault::Again,
                Fault::Interrupted,
                Fault::Aborted,
                Fault::Exhausted,
                Fault::NoMemory,
            ],
            Self::Register => &[Fault::Unwatched],
        }
    }
}

/// What a call is to do.
pub(crate) enum Verdict {
    /// What it does without faults.
    Pass,
    /// To move at most so many bytes.
    Shorten(usize),
    /// To fail with this, and without a system call.
    Fail(Fault),
}

/// The faults of one socket.
pub(crate) struct Injector {
    faults: Arc<Faults>,
    random: RefCell<Random>,
    /// How many calls of each kind will find that they would block.
    delays: [Cell<u64>; 4],
    is_cut: Cell<bool>,
}

impl Injector {
    /// For a socket that this thread opens.
    pub(crate) fn current() -> Option<Self> {
        CURRENT.with_borrow(|current| current.as_ref().map(Self::new))
    }

    /// For another socket, from the same source.
    pub(crate) fn another(&self) -> Self {
        Self::new(&self.faults)
    }

    fn new(faults: &Arc<Faults>) -> Self {
        // Relaxed: only the number counts.
        let number = faults.sockets.fetch_add(1, Ordering::Relaxed);
        Self {
            faults: Arc::clone(faults),
            random: RefCell::new(Random::new(faults.seed ^ number << 48)),
            delays: Default::default(),
            is_cut: Cell::new(false),
        }
    }

    pub(crate) fn decide(&self, call: Call) -> Verdict {
        let delay = &self.delays[call as usize];
        if delay.get() > 0 {
            delay.set(delay.get() - 1);
            return self.inject(Fault::Again);
        }
        let mut random = self.random.borrow_mut();
        let mut drawn = random.below(1000);
        for &fault in call.faults() {
            let rate = self.faults.rates[fault as usize];
            if drawn >= rate {
                drawn -= rate;
                continue;
            }
            if fault == Fault::Again && random.below(4) == 0 {
                delay.set(random.below(8));
            }
            if matches!(fault, Fault::ShortRead | Fault::ShortWrite) {
                let bytes = 1 + random.below_magnitude(13);
                return Verdict::Shorten(usize::try_from(bytes).unwrap_or(1));
            }
            drop(random);
            return self.inject(fault);
        }
        Verdict::Pass
    }

    pub(crate) fn set_buffers(&self, socket: &SockRef<'_>) -> io::Result<()> {
        if let Some(bytes) = self.faults.send_buffer {
            socket.set_send_buffer_size(bytes)?;
        }
        if let Some(bytes) = self.faults.receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        Ok(())
    }

    /// A call has moved fewer bytes because it was to.
    pub(crate) fn shortened(&self, fault: Fault) {
        self.faults.count(fault);
    }

    /// The socket is cut off, in the middle of a call.
    pub(crate) fn cut(&self, cut: Cut) {
        self.is_cut.set(true);
        self.faults.lock_cuts().push(cut);
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut.get()
    }

    /// Either of two ways, by the seed.
    pub(crate) fn toss(&self) -> bool {
        self.random.borrow_mut().below(2) == 0
    }

    fn inject(&self, fault: Fault) -> Verdict {
        self.faults.count(fault);
        Verdict::Fail(fault)
    }
}

/// Numbers that look random and are the same in each run: those of `SplitMix64`.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The numbers of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number of 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `end`.
    ///
    /// # Panics
    /// If `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.draw() % end
    }

    /// A number below 2 to the power of `bits_max`, of any magnitude with the same chance.
    pub fn below_magnitude(&mut self, bits_max: u32) -> u64 {
        let bits = self.below(u64::from(bits_max) + 1);
        self.below(1 << bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(seed: u64) -> Vec<usize> {
        let faults = Faults::new(seed)
            .with(Fault::ShortRead, 300)
            .with(Fault::Again, 300)
            .with(Fault::Interrupted, 300);
        let injector = Injector::new(&Arc::new(faults));
        let mut number = || match injector.decide(Call::Read) {
            Verdict::Pass => 0,
            Verdict::Shorten(bytes) => 100 + bytes,
            Verdict::Fail(fault) => 1 + fault as usize,
        };
        std::iter::repeat_with(&mut number).take(200).collect()
    }

    #[test]
    fn faults_are_the_same_for_the_same_seed_and_others_for_another_one() {
        assert_eq!(verdicts(1), verdicts(1));
        assert_ne!(verdicts(1), verdicts(2));
    }

    #[test]
    fn without_rates_nothing_happens() {
        let injector = Injector::new(&Arc::new(Faults::new(1)));
        for call in [Call::Read, Call::Write, Call::Accept, Call::Register].repeat(100) {
            assert!(matches!(injector.decide(call), Verdict::Pass));
        }
    }
}
