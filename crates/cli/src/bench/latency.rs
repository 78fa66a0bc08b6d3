//! Exact percentiles: every latency is kept, 4 bytes each.

use serde::Serialize;
use std::time::Duration;

/// The latencies of a run, in microseconds; what is longer than 71 minutes counts as that.
#[derive(Clone, Debug, Default)]
pub struct Latencies(Vec<u32>);

/// A distribution, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Distribution {
    /// The shortest.
    pub min: f64,
    /// Half are at most this long.
    pub p50: f64,
    /// Nine of ten are at most this long.
    pub p90: f64,
    /// 99 of 100 are at most this long.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

impl Latencies {
    /// Adds one.
    pub fn add(&mut self, latency: Duration) {
        self.0.push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
    }

    /// Adds those of another worker.
    pub fn merge(&mut self, other: Latencies) {
        self.0.extend(other.0);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Their distribution; `None` when there are none.
    pub fn distribution(mut self) -> Option<Distribution> {
        self.0.sort_unstable();
        let at = |share: f64| self.0.get(rank(share, self.0.len())?).map(|micros| f64::from(*micros) / 1000.0);
        Some(Distribution { min: at(0.0)?, p50: at(0.5)?, p90: at(0.9)?, p99: at(0.99)?, max: at(1.0)? })
    }
}

/// The place of a percentile in `count` sorted values: the nearest rank, never interpolated.
fn rank(share: f64, count: usize) -> Option<usize> {
    let last = count.checked_sub(1)?;
    let rank = (share * count as f64).ceil() as usize;
    Some(rank.saturating_sub(1).min(last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn percentiles_are_ranks() {
        assert_eq!(Latencies::default().distribution(), None);
        let mut latencies = Latencies::default();
        for millis in (1..=100).rev() {
            latencies.add(Duration::from_millis(millis));
        }
        let expected = Distribution { min: 1.0, p50: 50.0, p90: 90.0, p99: 99.0, max: 100.0 };
        assert_eq!(latencies.distribution(), Some(expected));
        let mut one = Latencies::default();
        one.add(Duration::from_micros(1500));
        let expected = Distribution { min: 1.5, p50: 1.5, p90: 1.5, p99: 1.5, max: 1.5 };
        assert_eq!(one.distribution(), Some(expected));
    }

    proptest! {
        #[test]
        fn a_percentile_covers_its_share(mut micros in prop::collection::vec(0u32..10_000, 1..300), share in 0.0..=1.0) {
            micros.sort_unstable();
            let value = micros[rank(share, micros.len()).expect("not empty")];
            let covered = micros.iter().filter(|other| **other <= value).count() as f64;
            prop_assert!(covered >= share * micros.len() as f64 - 1e-9);
        }
    }
}
