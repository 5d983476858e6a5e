use std::sync::LazyLock;

use nodepoll::faults::Random;

/// Longer than a piece that is written or read at once; a prime, so that no length of a buffer or
/// node divides it.
const PERIOD: usize = 1_000_003;

static TABLE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut random = Random::new(0);
    let draw = std::iter::repeat_with(|| random.draw().to_le_bytes());
    draw.flatten().take(PERIOD).collect()
});

/// What one end of one connection sends: each byte follows from its position, and a stretch of
/// some bytes is found nowhere else, neither here nor in another stream.
#[derive(Clone, Copy)]
pub(crate) struct Stream {
    start: usize,
}

impl Stream {
    pub(crate) fn new(pair: usize, side: usize) -> Self {
        let mut random = Random::new((2 * pair + side) as u64 + 1);
        let start = usize::try_from(random.below(PERIOD as u64)).unwrap();
        Self { start }
    }

    /// As many of the bytes from `position` as lie in one piece, at most `len`.
    pub(crate) fn bytes(self, position: u64, len: usize) -> &'static [u8] {
        let position = usize::try_from(position).unwrap();
        let first = (self.start + position) % PERIOD;
        &TABLE[first..PERIOD.min(first + len)]
    }

    /// Where `bytes` are not those from `position`.
    pub(crate) fn difference(self, position: u64, bytes: &[u8]) -> Option<u64> {
        let (mut rest, mut at) = (bytes, position);
        while !rest.is_empty() {
            let expected = self.bytes(at, rest.len());
            let (part, later) = rest.split_at(expected.len());
            if part != expected {
                let same = part
                    .iter()
                    .zip(expected)
                    .take_while(|(one, other)| one == other);
                return Some(at + same.count() as u64);
            }
            at += part.len() as u64;
            rest = later;
        }
        None
    }
}
