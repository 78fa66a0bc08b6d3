//! A set of sequences: a list while it is small, a bitmap when one id has very many results.

/// Sequences above which a list becomes a bitmap.
const LIST: usize = 1 << 20;
/// Highest sequence that a bitmap holds: 512 MiB. Beyond, a list stays one.
const BITMAP: u64 = 1 << 32;

/// The set; in order once it was [sorted](Sequences::sorted).
#[derive(Default, Debug)]
pub struct Sequences {
    list: Vec<u64>,
    bits: Vec<u64>,
}

impl Sequences {
    /// Adds a sequence, in any order.
    pub fn push(&mut self, sequence: u64) {
        self.list.push(sequence);
        if self.list.len() >= LIST {
            self.spill();
        }
    }

    /// Moves the list to the bitmap.
    fn spill(&mut self) {
        let bits = &mut self.bits;
        self.list.retain(|sequence| {
            if *sequence >= BITMAP {
                return true;
            }
            let word = (sequence / 64) as usize;
            if word >= bits.len() {
                bits.resize(word + 1, 0);
            }
            bits[word] |= 1 << (sequence % 64);
            false
        });
    }

    /// Brings what was pushed in order, each once.
    pub fn sorted(mut self) -> Self {
        if !self.bits.is_empty() {
            self.spill();
        }
        self.list.sort_unstable();
        self.list.dedup();
        self
    }

    fn contains(&self, sequence: u64) -> bool {
        let word = self.bits.get((sequence / 64) as usize).copied().unwrap_or(0);
        word >> (sequence % 64) & 1 == 1 || self.list.binary_search(&sequence).is_ok()
    }

    /// What both hold; both must be in order.
    pub fn and(&self, other: &Self) -> Self {
        let mut both = Self::default();
        self.iter().filter(|sequence| other.contains(*sequence)).for_each(|sequence| both.push(sequence));
        both.sorted()
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.starting_at(0)
    }

    /// Those behind a sequence, in order.
    pub fn behind(&self, after: u64) -> impl Iterator<Item = u64> + '_ {
        self.starting_at(after.saturating_add(1))
    }

    fn starting_at(&self, first: u64) -> impl Iterator<Item = u64> + '_ {
        let words = (first / 64).min(self.bits.len() as u64) as usize;
        let bits = self.bits.iter().enumerate().skip(words).flat_map(move |(word, bits)| {
            let mut bits = if word as u64 == first / 64 { bits & u64::MAX << (first % 64) } else { *bits };
            std::iter::from_fn(move || {
                let bit = bits.trailing_zeros();
                bits &= bits.wrapping_sub(1);
                (bit < 64).then(|| word as u64 * 64 + u64::from(bit))
            })
        });
        let list = self.list.partition_point(|sequence| *sequence < first);
        bits.chain(self.list[list..].iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(sequences: impl IntoIterator<Item = u64>) -> Sequences {
        let mut set = Sequences::default();
        sequences.into_iter().for_each(|sequence| set.push(sequence));
        set.sorted()
    }

    #[test]
    fn lists_and_bitmaps_hold_the_same() {
        let few = [BITMAP + 7, 64, 3, 63, 3, 1 << 20];
        assert_eq!(of(few).iter().collect::<Vec<_>>(), [3, 63, 64, 1 << 20, BITMAP + 7]);
        let many = of((0..LIST as u64 + 5).rev().map(|number| number * 2).chain(few));
        assert!(!many.bits.is_empty());
        assert!(many.iter().is_sorted_by(|one, other| one < other));
        assert_eq!(many.iter().count(), LIST + 5 + 3);
        for after in [0, 1, 2, 63, 64, 127, 128, LIST as u64 * 2, BITMAP, BITMAP + 7] {
            let behind: Vec<u64> = many.iter().filter(|sequence| *sequence > after).collect();
            assert_eq!(many.behind(after).collect::<Vec<_>>(), behind);
            assert_eq!(of(few).behind(after).count(), of(few).iter().filter(|sequence| *sequence > after).count());
        }
        assert_eq!(many.and(&of(few)).iter().collect::<Vec<_>>(), of(few).iter().collect::<Vec<_>>());
        assert_eq!(of([2, 5, 63]).and(&many).iter().collect::<Vec<_>>(), [2, 63]);
        assert_eq!(of([]).and(&many).iter().count(), 0);
    }
}
