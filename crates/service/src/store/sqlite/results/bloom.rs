//! A blocked Bloom filter over index keys: one cache line a question, about 1.2 % false alarms at 10 bits a key.
//!
//! A key has a head, which many keys may share, or is its own. The head chooses the line and some of the bits, so that the
//! filter also tells, with about 6 % false alarms, whether any key with a head is there.

/// Words of a block: a cache line.
const BLOCK: usize = 8;
const BLOCK_BYTES: usize = BLOCK * 8;
/// Bits that a key sets in its block.
const PROBES: u32 = 7;
/// Those of them that its head sets.
const HEAD_PROBES: u32 = 4;

const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Words of a line, each with a bit, that some of the probes of a key look at.
fn places(key: u64, probes: std::ops::Range<u32>) -> impl Iterator<Item = (usize, u64)> {
    let spread = key.wrapping_mul(SPREAD);
    let bits = (spread ^ key.rotate_left(29)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    probes.map(move |probe| {
        let bits = bits >> (9 * probe);
        ((bits >> 6 & 7) as usize, 1 << (bits & 63))
    })
}

/// Which keys may be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bloom {
    blocks: Vec<[u64; BLOCK]>,
}

impl Bloom {
    /// An empty filter for `keys` keys.
    pub fn new(keys: usize, bits_a_key: usize) -> Self {
        let blocks = (keys * bits_a_key).div_ceil(BLOCK_BYTES * 8).max(1);
        Self { blocks: vec![[0; BLOCK]; blocks] }
    }

    /// Memory in bytes.
    pub fn size(&self) -> usize {
        self.blocks.len() * BLOCK_BYTES
    }

    /// The line of a head.
    fn line(&self, head: u64) -> usize {
        // Most keys are hashes, but their highest bits are their kind, and some count up: multiplying spreads them.
        let spread = head.wrapping_mul(SPREAD);
        ((u128::from(spread) * self.blocks.len() as u128) >> 64) as usize
    }

    /// Adds a key.
    pub fn insert(&mut self, head: u64, key: u64) {
        let line = self.line(head);
        let line = &mut self.blocks[line];
        let mut set = |(word, bit): (usize, u64)| line[word] |= bit;
        places(head, 0..HEAD_PROBES).for_each(&mut set);
        places(key, HEAD_PROBES..PROBES).for_each(set);
    }

    /// Whether the key may have been added; `false` is certain.
    pub fn may_contain(&self, head: u64, key: u64) -> bool {
        let line = &self.blocks[self.line(head)];
        let is_set = |(word, bit): (usize, u64)| line[word] & bit != 0;
        places(head, 0..HEAD_PROBES).all(is_set) && places(key, HEAD_PROBES..PROBES).all(is_set)
    }

    /// Whether any key with this head may have been added; `false` is certain.
    pub fn may_contain_head(&self, head: u64) -> bool {
        let line = &self.blocks[self.line(head)];
        places(head, 0..HEAD_PROBES).all(|(word, bit)| line[word] & bit != 0)
    }

    /// One of the parts of at most `size` bytes that the filter can be cut in; `None` behind the last.
    pub fn part(&self, number: usize, size: usize) -> Option<Vec<u8>> {
        let part = self.blocks.chunks((size / BLOCK_BYTES).max(1)).nth(number)?;
        Some(part.as_flattened().iter().flat_map(|word| word.to_le_bytes()).collect())
    }

    /// Puts the parts together again; `None` if they are no filter.
    pub fn from_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Option<Self> {
        let mut blocks = Vec::new();
        for part in parts {
            let (words, rest) = part.as_chunks::<8>();
            let (lines, odd) = words.as_chunks::<BLOCK>();
            if !rest.is_empty() || !odd.is_empty() {
                return None;
            }
            blocks.extend(lines.iter().map(|line| line.map(u64::from_le_bytes)));
        }
        (!blocks.is_empty()).then_some(Self { blocks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_nothing_and_rarely_lies() {
        let mut random = fastrand_like(1);
        let keys: Vec<u64> = (0..100_000).map(|_| random() >> 2).collect();
        let mut bloom = Bloom::new(keys.len(), 10);
        keys.iter().for_each(|key| bloom.insert(*key, *key));
        assert!(keys.iter().all(|key| bloom.may_contain(*key, *key)));
        let lies = (0..100_000).map(|_| random() >> 2 | 1 << 62).filter(|key| bloom.may_contain(*key, *key)).count();
        assert!(lies < 2000, "{lies} of 100000");
        let parts: Vec<Vec<u8>> = (0..).map_while(|number| bloom.part(number, 1000)).collect();
        assert_eq!(Bloom::from_parts(parts.iter().map(Vec::as_slice)), Some(bloom));
        assert_eq!(Bloom::from_parts([&[0; 7][..]]), None);
        assert_eq!(Bloom::from_parts([]), None);
    }

    /// Keys that share heads, as the same ids in many sets do.
    #[test]
    fn knows_heads() {
        let mut random = fastrand_like(2);
        let heads: Vec<u64> = (0..2000).map(|_| random() >> 3 & !0xffff).collect();
        let mut bloom = Bloom::new(heads.len() * 50, 10);
        heads.iter().for_each(|head| (0..50).for_each(|set| bloom.insert(*head, head | set)));
        assert!(heads.iter().all(|head| bloom.may_contain_head(*head)));
        assert!(heads.iter().all(|head| (0..50).all(|set| bloom.may_contain(*head, head | set))));
        let lies = (0..10_000).filter(|_| bloom.may_contain_head(random() >> 3 & !0xffff)).count();
        assert!(lies < 1500, "{lies} of 10000 heads");
        let lies = heads.iter().flat_map(|head| (50..55).map(move |set| (head, set)));
        let lies = lies.filter(|(head, set)| bloom.may_contain(**head, *head | set)).count();
        assert!(lies < 3000, "{lies} of 10000 keys");
    }

    /// SplitMix64.
    fn fastrand_like(mut state: u64) -> impl FnMut() -> u64 {
        move || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }
    }
}
