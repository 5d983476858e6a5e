use crate::limits::COPIES_SEARCHED;
use std::cell::{Cell, OnceCell};

/// How many slots the first bucket has.
const FIRST_SLOTS: usize = 4;
const BUCKETS: usize = 40;

/// Copies of bytes that lay across nodes, kept for as long as views of them may be held.
///
/// They are added through a shared reference and stay where they are, so that a view of one may
/// be held while the next one is made: a list of buckets that are never moved, each twice as long
/// as the one before.
///
/// ```text
/// Copies { first, more ─▶ [ bucket of 4 ][ bucket of 8 ] … }
/// ```
///
/// One copy between two releases is the usual case, so the first takes no list.
#[derive(Default)]
pub(crate) struct Copies {
    first: OnceCell<Copied>,
    more: OnceCell<Box<Buckets>>,
}

struct Buckets {
    count: Cell<usize>,
    buckets: [OnceCell<Bucket>; BUCKETS],
}

type Bucket = Box<[OnceCell<Copied>]>;

/// A range of the buffer, by the place of its first byte.
struct Copied {
    start: usize,
    bytes: Box<[u8]>,
}

impl Copies {
    /// Shows `len` bytes from `start` on, if they are there. Looks at the latest copies only.
    pub(crate) fn find(&self, start: usize, len: usize) -> Option<&[u8]> {
        let first = self.first.get()?;
        let more = self.more.get().into_iter();
        let mut latest = more.flat_map(|more| more.latest(COPIES_SEARCHED));
        let found = latest.find_map(|copied| copied.show(start, len));
        found.or_else(|| first.show(start, len))
    }

    /// Keeps a copy of the bytes from `start` on, and shows it.
    pub(crate) fn keep(&self, start: usize, bytes: Box<[u8]>) -> &[u8] {
        let mut copied = Some(Copied { start, bytes });
        let mut take = || copied.take().expect("it is kept once");
        let first = self.first.get_or_init(&mut take);
        if let Some(copied) = copied {
            let more = self.more.get_or_init(|| Box::new(Buckets::new()));
            return more.keep(copied);
        }
        &first.bytes
    }

    pub(crate) fn clear(&mut self) {
        if self.first.take().is_some() {
            self.more = OnceCell::new();
        }
    }

    pub(crate) fn count(&self) -> usize {
        let more = self.more.get().map_or(0, |more| more.count.get());
        usize::from(self.first.get().is_some()) + more
    }
}

impl Buckets {
    fn new() -> Self {
        Self {
            count: Cell::new(0),
            buckets: [const { OnceCell::new() }; BUCKETS],
        }
    }

    fn keep(&self, copied: Copied) -> &[u8] {
        let index = self.count.get();
        let (bucket, slot) = place(index);
        let new_bucket = || {
            let slots = std::iter::repeat_with(OnceCell::new);
            slots.take(FIRST_SLOTS << bucket).collect()
        };
        let slot = &self.buckets[bucket].get_or_init(new_bucket)[slot];
        self.count.set(index + 1);
        &slot.get_or_init(|| copied).bytes
    }

    /// The copies that were kept last, the latest first.
    fn latest(&self, count_max: usize) -> impl Iterator<Item = &Copied> {
        let indices = (0..self.count.get()).rev().take(count_max);
        indices.filter_map(|index| {
            let (bucket, slot) = place(index);
            self.buckets[bucket].get()?[slot].get()
        })
    }
}

impl Copied {
    fn show(&self, start: usize, len: usize) -> Option<&[u8]> {
        let skipped = start.checked_sub(self.start)?;
        self.bytes.get(skipped..)?.get(..len)
    }
}

/// Where a copy is: the bucket, and the slot in it.
fn place(index: usize) -> (usize, usize) {
    let index = index + FIRST_SLOTS;
    let bucket = (index / FIRST_SLOTS).ilog2() as usize;
    (bucket, index - (FIRST_SLOTS << bucket))
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn copies_stay_where_they_are_while_others_come() {
        let copies = Copies::default();
        let bytes = |index: usize| vec![index.to_le_bytes()[0]; 2].into_boxed_slice();
        let kept: Vec<&[u8]> = (0..1000)
            .map(|index| copies.keep(index * 10, bytes(index)))
            .collect();
        assert_eq!(copies.count(), 1000);
        for (index, kept) in kept.into_iter().enumerate() {
            assert_eq!(kept, &*bytes(index));
        }
    }

    #[test]
    fn a_copy_is_found_by_any_part_of_it_and_only_among_the_latest() {
        let mut copies = Copies::default();
        assert_eq!(copies.find(0, 1), None);
        for start in 0..200 {
            copies.keep(start * 10, b"01234".to_vec().into());
        }
        assert_eq!(copies.find(1993, 2), Some(&b"34"[..]));
        assert_eq!(copies.find(1993, 3), None);
        assert_eq!(copies.find(1989, 1), None);
        assert_eq!(
            copies.find((200 - COPIES_SEARCHED) * 10, 5),
            Some(&b"01234"[..])
        );
        assert_eq!(copies.find((199 - COPIES_SEARCHED) * 10, 5), None);
        assert_eq!(copies.find(0, 5), Some(&b"01234"[..]));
        copies.clear();
        assert_eq!((copies.find(0, 5), copies.count()), (None, 0));
        assert!(copies.more.get().is_none());
    }
}
