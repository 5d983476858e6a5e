use crate::limits::REFERENCES_MAX;
use crate::sync::{AtomicU64, Ordering, fence};

const REFERENCE: u64 = 1;
/// What makes a lease of a reference that is there already.
const LEASE_MARK: u64 = 1 << 32;
/// A lease is a reference as well.
const LEASE: u64 = LEASE_MARK + REFERENCE;

/// How many references a node has, and how many of them are leases.
///
/// One word holds the references in its low half and the leases in its high half. Both change in
/// one step, so leases ≤ references holds at every moment:
///
/// ```text
///            open, open_leased            add_reference  +1      add_lease    +lease
///  at rest ───────────────▶ live ──┐      drop_reference −1      try_release  −n leases
///  (0, 0)  ◀─────────────── (r, l) ◀┘     try_add_reference, try_end_lease: taking a lease
///            references reach 0: exactly one caller is told so, and frees
/// ```
///
/// Only opening leaves (0, 0). All steps that an untrusted number can cause require a lease to be
/// there, so they cannot bring back a node at rest; and they take away no more than leases, so
/// they cannot end a reference that a `Node` or `Segment` holds.
///
/// It has nothing but the atomic: the step that ends a reference may be followed, before its
/// method returns, by the end of the memory that the count is in, and only bytes in a cell may
/// go while a method still borrows them.
pub(crate) struct NodeCount {
    word: AtomicU64,
}

/// What became of an attempt to give leases back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Released {
    /// There were fewer leases; nothing happened.
    Stale,
    /// The node lives on.
    Held,
    /// These were the last references: the caller must free the node.
    Last,
}

impl NodeCount {
    pub(crate) fn new() -> Self {
        Self {
            word: AtomicU64::new(0),
        }
    }

    /// Begins a life with one reference.
    pub(crate) fn open(&self) {
        self.begin(REFERENCE);
    }

    /// Begins a life with so many leases, and no other reference.
    pub(crate) fn open_leased(&self, lease_count: u32) {
        self.begin(LEASE * u64::from(lease_count));
    }

    /// Counts one more reference. The caller has one already.
    ///
    /// # Panics
    /// If there are too many.
    #[inline]
    pub(crate) fn add_reference(&self) {
        // Relaxed: the caller's reference keeps the node alive, and who is given the new one is
        // given it in a way that orders what came before.
        let before = self.word.fetch_add(REFERENCE, Ordering::Relaxed);
        debug_assert!(references(before) > 0, "a reference is made from another");
        if references(before) >= REFERENCES_MAX {
            // Relaxed: this takes back what nobody has used; the caller keeps its reference.
            self.word.fetch_sub(REFERENCE, Ordering::Relaxed);
            too_many();
        }
    }

    /// Counts one more lease. The caller has a reference already.
    ///
    /// # Panics
    /// If there are too many.
    #[inline]
    pub(crate) fn add_lease(&self) {
        // Release: the bytes that the caller wrote must be seen by who turns the lease into a
        // reference, and the number alone carries no order. Compared before it is changed, as a
        // lease that is there for a moment only could be released in that moment.
        let added = self
            .word
            .fetch_update(Ordering::Release, Ordering::Relaxed, |count| {
                (references(count) < REFERENCES_MAX).then(|| count + LEASE)
            });
        if added.is_err() {
            too_many();
        }
    }

    /// Makes a lease of the caller's reference.
    #[inline]
    pub(crate) fn reference_to_lease(&self) {
        // Release: as in `add_lease`.
        self.word.fetch_add(LEASE_MARK, Ordering::Release);
    }

    /// Ends the caller's reference. True if it was the last: the caller must free the node.
    #[inline]
    #[must_use]
    pub(crate) fn drop_reference(&self) -> bool {
        // Release: what the caller read or wrote comes before the node's next life.
        let before = self.word.fetch_sub(REFERENCE, Ordering::Release);
        debug_assert!(references(before) > leases(before), "leases stay counted");
        if references(before) != 1 {
            return false;
        }
        // Acquire: all other references ended, each with a release in this word; the node's
        // memory may be written again only after all of their reads.
        fence(Ordering::Acquire);
        true
    }

    /// Counts one more reference if there is a lease. If so the caller owns it, and sees what the
    /// maker of the lease wrote.
    #[must_use]
    pub(crate) fn try_add_reference(&self) -> bool {
        // Acquire: pairs with the release that made the lease, so `written` and the bytes below
        // it are seen. The steps in between read and modify, hence keep up that release.
        // Relaxed on failure: nothing is looked at then.
        let added = self
            .word
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, |count| {
                // Above REFERENCES_MAX too: it is one a thread, and a lease ends in turn.
                let fits = references(count) < u32::MAX;
                (leases(count) > 0 && fits).then(|| count + REFERENCE)
            });
        added.is_ok()
    }

    /// Ends one lease if there is one, by a caller who has a reference too.
    #[must_use]
    pub(crate) fn try_end_lease(&self) -> bool {
        // Relaxed: the caller's own reference ends later, and with a release.
        let ended = self
            .word
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
                (leases(count) > 0).then(|| count - LEASE)
            });
        ended.is_ok()
    }

    /// Ends the lease of a node that has no other, by a caller whose reference is the only one
    /// beside it. Whether so; then the caller is alone, and nobody can make another reference.
    #[must_use]
    pub(crate) fn try_end_only_lease(&self) -> bool {
        // Acquire: as in `is_one_reference`. Relaxed on failure: nothing is looked at then.
        let alone = self.word.compare_exchange(
            LEASE + REFERENCE,
            REFERENCE,
            Ordering::Acquire,
            Ordering::Relaxed,
        );
        alone.is_ok()
    }

    /// Counts more leases if there is one already and the count can hold them.
    #[must_use]
    pub(crate) fn try_retain(&self, lease_count: u32) -> bool {
        let more = LEASE * u64::from(lease_count);
        // Relaxed: as for any new reference made from one that is there.
        let retained = self
            .word
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
                let fits = references(count)
                    .checked_add(lease_count)
                    .is_some_and(|sum| sum <= REFERENCES_MAX);
                (leases(count) > 0 && fits).then(|| count + more)
            });
        retained.is_ok()
    }

    /// Ends leases if there are that many, and one at least.
    #[must_use]
    pub(crate) fn try_release(&self, lease_count: u32) -> Released {
        let less = LEASE * u64::from(lease_count);
        // Release on success: as in `drop_reference`. Relaxed on the load and on failure: only
        // the numbers matter then.
        let released = self
            .word
            .fetch_update(Ordering::Release, Ordering::Relaxed, |count| {
                (leases(count) >= lease_count.max(1)).then(|| count - less)
            });
        after_release(released, less)
    }

    /// Ends all leases, when nobody is left who could give them back.
    #[must_use]
    pub(crate) fn release_all(&self) -> Released {
        let mut less = 0;
        // The same orderings as in `try_release`.
        let released = self
            .word
            .fetch_update(Ordering::Release, Ordering::Relaxed, |count| {
                less = LEASE * u64::from(leases(count));
                (less > 0).then(|| count - less)
            });
        after_release(released, less)
    }

    /// Whether the caller's reference is the only one, and no lease. Nobody else can make one
    /// then, as it would be made from another.
    #[must_use]
    pub(crate) fn is_one_reference(&self) -> bool {
        // Acquire: all other references ended, each with a release in this word; who is alone may
        // write the node's memory again, and only after all of their reads.
        self.word.load(Ordering::Acquire) == REFERENCE
    }

    /// How many leases the node has at this moment.
    pub(crate) fn lease_count(&self) -> u32 {
        // Relaxed: a number for statistics.
        leases(self.word.load(Ordering::Relaxed))
    }

    fn begin(&self, count: u64) {
        // Relaxed: nobody changes a count of zero, and the last who did came before the lock
        // under which the node's range was found free.
        let before = self.word.load(Ordering::Relaxed);
        assert_eq!(before, 0, "a node's lives do not overlap");
        // Release: who finds a lease here (`try_add_reference`) must also find `written` of
        // this life. A plain store is enough as nobody changes a count of zero.
        self.word.store(count, Ordering::Release);
    }
}

#[cold]
fn too_many() -> ! {
    panic!("too many references to one node");
}

fn after_release(released: Result<u64, u64>, less: u64) -> Released {
    let Ok(before) = released else {
        return Released::Stale;
    };
    if before != less {
        return Released::Held;
    }
    // Acquire: as in `drop_reference`.
    fence(Ordering::Acquire);
    Released::Last
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
fn references(count: u64) -> u32 {
    count as u32
}

#[inline]
fn leases(count: u64) -> u32 {
    references(count >> 32)
}
