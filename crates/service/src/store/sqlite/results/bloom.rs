//! A blocked Bloom filter over index keys: one cache line a question, about 1.2 % false alarms at 10 bits a key.

/// Words of a block: a cache line.
const BLOCK: usize = 8;
const BLOCK_BYTES: usize = BLOCK * 8;
/// Bits that a key sets in its block.
const PROBES: u32 = 7;

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

    fn place(&self, key: u64) -> (usize, u64) {
        // Most keys are hashes, but their highest bits are their kind, and some count up: multiplying spreads them.
        let spread = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let block = (u128::from(spread) * self.blocks.len() as u128) >> 64;
        (block as usize, (spread ^ key.rotate_left(29)).wrapping_mul(0xd6e8_feb8_6659_fd93))
    }

    /// Adds a key.
    pub fn insert(&mut self, key: u64) {
        let (block, mut bits) = self.place(key);
        let block = &mut self.blocks[block];
        for _ in 0..PROBES {
            block[(bits >> 6 & 7) as usize] |= 1 << (bits & 63);
            bits >>= 9;
        }
    }

    /// Whether the key may have been added; `false` is certain.
    pub fn may_contain(&self, key: u64) -> bool {
        let (block, mut bits) = self.place(key);
        let block = &self.blocks[block];
        (0..PROBES).all(|_| {
            let set = block[(bits >> 6 & 7) as usize] >> (bits & 63) & 1 == 1;
            bits >>= 9;
            set
        })
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
        keys.iter().for_each(|key| bloom.insert(*key));
        assert!(keys.iter().all(|key| bloom.may_contain(*key)));
        let lies = (0..100_000).filter(|_| bloom.may_contain(random() >> 2 | 1 << 62)).count();
        assert!(lies < 2000, "{lies} of 100000");
        let parts: Vec<Vec<u8>> = (0..).map_while(|number| bloom.part(number, 1000)).collect();
        assert_eq!(Bloom::from_parts(parts.iter().map(Vec::as_slice)), Some(bloom));
        assert_eq!(Bloom::from_parts([&[0; 7][..]]), None);
        assert_eq!(Bloom::from_parts([]), None);
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
