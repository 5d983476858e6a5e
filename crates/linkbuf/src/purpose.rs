/// What a node is for, which decides how much memory it must leave to others.
///
/// Input and output need each other: what has arrived is given back when it has been answered, and
/// what was written when the other end has read. So neither may take all the memory, or nothing
/// ever comes back. Each has a [reserve](crate::Arena::reserve):
///
/// ```text
///   ├ output's reserve ┤                                    ├ input's reserve ┤
///   │ not for input    │ whoever comes first                │ not for output  │
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Neither: all that is free.
    Any,
    /// To receive into: leaves output its reserve, unless input would have less than its own.
    Input,
    /// To receive one message into, which may never come: leaves both their reserves, of input's
    /// what input does not have already.
    Room,
    /// To be sent: leaves input its reserve, likewise.
    Output,
}

/// Bytes that one of two parties leaves to the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Reserves {
    pub(crate) input: usize,
    pub(crate) output: usize,
}

impl Purpose {
    /// Whether it may take `bytes` of the `free` ones while input has so many.
    pub(crate) fn allows(
        self,
        bytes: usize,
        free: usize,
        input_bytes: usize,
        reserves: Reserves,
    ) -> bool {
        let leaves = |rest: usize| free >= bytes + rest;
        let of_input = reserves.input.saturating_sub(input_bytes);
        match self {
            Self::Any => true,
            Self::Input => input_bytes + bytes <= reserves.input || leaves(reserves.output),
            Self::Room => leaves(reserves.output + of_input),
            // Bytes of a chunk that is not divided are of no use for input.
            Self::Output => bytes == 0 || leaves(of_input),
        }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const RESERVES: Reserves = Reserves {
        input: 30,
        output: 40,
    };

    #[test]
    fn input_leaves_output_its_reserve_once_it_has_its_own() {
        let allows = |free, input| Purpose::Input.allows(10, free, input, RESERVES);
        assert!(allows(50, 60) && !allows(49, 60));
        assert!(allows(10, 20), "its own reserve is not full");
        assert!(!allows(49, 21), "it would have more than its reserve");
    }

    #[test]
    fn output_leaves_what_input_does_not_have_of_its_reserve() {
        let allows = |free, input| Purpose::Output.allows(10, free, input, RESERVES);
        assert!(allows(40, 0) && !allows(39, 0));
        assert!(allows(15, 25) && !allows(14, 25));
        assert!(allows(10, 30) && allows(10, 500));
    }

    #[test]
    fn room_for_one_message_is_of_no_reserve() {
        let allows = |free, input| Purpose::Room.allows(10, free, input, RESERVES);
        assert!(allows(80, 0) && !allows(79, 0));
        assert!(allows(55, 25) && !allows(54, 25));
        assert!(allows(50, 500) && !allows(49, 500));
    }

    #[test]
    fn output_in_a_chunk_that_is_not_divided_takes_nothing_from_input() {
        assert!(Purpose::Output.allows(0, 0, 0, RESERVES));
        assert!(Purpose::Any.allows(10, 0, 0, RESERVES));
    }

    /// Whatever comes and goes in whatever order: steps of one byte.
    #[test]
    fn h114_neither_takes_all_that_the_other_one_needs() {
        const RESERVES: Reserves = Reserves {
            input: 6,
            output: 8,
        };
        let total = 20;
        let (mut seen, mut steps) = (BTreeSet::new(), vec![(0_usize, 0_usize, 0_usize)]);
        while let Some((input, room, output)) = steps.pop() {
            let free = total - input - room - output;
            let allows = |purpose: Purpose| free > 0 && purpose.allows(1, free, input, RESERVES);
            assert!(allows(Purpose::Input) || input >= RESERVES.input);
            assert!(allows(Purpose::Output) || output >= RESERVES.output);
            let ends = [
                (input.saturating_sub(1), room, output),
                (input, room.saturating_sub(1), output),
                (input, room, output.saturating_sub(1)),
            ];
            let begins = [
                (Purpose::Input, (input + 1, room, output)),
                (Purpose::Room, (input, room + 1, output)),
                (Purpose::Output, (input, room, output + 1)),
            ];
            let allowed = begins.into_iter().filter(|&(purpose, _)| allows(purpose));
            for next in ends.into_iter().chain(allowed.map(|(_, next)| next)) {
                if seen.insert(next) {
                    steps.push(next);
                }
            }
        }
    }
}
