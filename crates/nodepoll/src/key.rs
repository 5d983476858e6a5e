use mio::Token;
use slotmap::{Key as _, KeyData, new_key_type};

use crate::record::ConnectionId;

/// The waker's token. No row has it: the table refuses to grow so far.
pub(crate) const WAKER: Token = Token(usize::MAX);

const _: () = assert!(
    usize::BITS >= 64,
    "a kernel token carries a row and its generation"
);

new_key_type! {
    /// A row of the driver's table and its generation, which counts up each time the row changes
    /// hands and wraps only after 2³¹ times. As a number it is the kernel's token.
    pub(crate) struct Key;
}

impl Key {
    pub(crate) fn of_token(token: Token) -> Self {
        KeyData::from_ffi(token.0 as u64).into()
    }

    pub(crate) fn of_id(id: ConnectionId) -> Self {
        KeyData::from_ffi(u64::from(id.generation) << 32 | u64::from(id.slot)).into()
    }

    pub(crate) fn token(self) -> Token {
        Token(usize::try_from(self.data().as_ffi()).expect("a word has 64 bits, see above"))
    }

    pub(crate) fn id(self) -> ConnectionId {
        let bits = self.data().as_ffi();
        let half = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).expect("masked above");
        ConnectionId {
            slot: half(bits),
            generation: half(bits >> 32),
        }
    }
}

#[cfg(test)]
mod tests {
    use slotmap::SlotMap;

    use super::*;

    #[test]
    fn h57_h92_a_row_that_is_used_again_has_another_token_and_another_id() {
        let mut rows = SlotMap::<Key, ()>::with_key();
        let mut seen = Vec::new();
        for _ in 0..1000 {
            let key = rows.insert(());
            assert_eq!(Key::of_id(key.id()), key);
            assert_eq!(Key::of_token(key.token()), key);
            assert_ne!(key.token(), WAKER);
            assert_eq!(key.id().slot, 1, "the same row");
            for &old in &seen {
                assert!(!rows.contains_key(old) && Key::of_id(old.id()) != key);
            }
            seen.push(key);
            rows.remove(key);
        }
    }

    #[test]
    fn h69_h92_rows_and_generations_of_any_size_survive_their_token_and_their_id() {
        for slot in [1, 0x7fff_ffff, 0x8000_0000, u32::MAX - 1, u32::MAX] {
            // Those of rows in use are odd.
            for generation in [1, 0x7fff_ffff, 0x8000_0001, u32::MAX - 2, u32::MAX] {
                let id = ConnectionId { slot, generation };
                let key = Key::of_id(id);
                assert_eq!(key.id(), id);
                assert_eq!(Key::of_token(key.token()), key);
                let is_last = slot == u32::MAX && generation == u32::MAX;
                assert_eq!(key.token() == WAKER, is_last, "{id:?}");
            }
        }
    }

    #[test]
    fn h92_the_token_of_the_waker_names_no_row() {
        let mut rows = SlotMap::<Key, ()>::with_key();
        for _ in 0..1000 {
            rows.insert(());
        }
        assert!(!rows.contains_key(Key::of_token(WAKER)));
        let nobody = ConnectionId {
            slot: u32::MAX,
            generation: u32::MAX,
        };
        assert!(!rows.contains_key(Key::of_id(nobody)));
    }
}
