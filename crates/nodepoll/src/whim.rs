/// Changes of hands without a reason, for tests: at moments that follow from a seed.
pub(crate) struct Whim {
    state: u64,
    /// Turns until the next one.
    turns_left: u64,
}

impl Whim {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            state: seed,
            turns_left: 0,
        }
    }

    /// Whether the driver changes hands after this turn. Now and then it does several times in a
    /// row, and now and then it stays for some dozens of turns.
    pub(crate) fn strikes(&mut self) -> bool {
        if self.turns_left > 0 {
            self.turns_left -= 1;
            return false;
        }
        let drawn = self.draw();
        // Each length up to a power of two, and each power of two, is as likely as the next.
        self.turns_left = (drawn >> 8) % (1 << (drawn % 7));
        true
    }

    /// The next number of splitmix64.
    fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn it_strikes_at_the_same_turns_for_the_same_seed_and_at_others_for_another() {
        let strikes = |seed| {
            let mut whim = Whim::new(seed);
            (0..1000).map(|_| whim.strikes()).collect::<Vec<_>>()
        };
        assert_eq!(strikes(7), strikes(7));
        assert_ne!(strikes(7), strikes(8));
    }

    #[test]
    fn there_are_changes_in_a_row_and_long_stays() {
        let mut whim = Whim::new(1);
        let turns: Vec<bool> = (0..10_000).map(|_| whim.strikes()).collect();
        let stays = || turns.split(|&strikes| strikes);
        assert!(stays().any(|stay| stay.len() > 40));
        assert!(turns.windows(3).any(|three| three == [true; 3]));
        assert!(stays().all(|stay| stay.len() < 64));
    }
}
