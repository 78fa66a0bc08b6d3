//! When a failed delivery is tried again.

use std::time::Duration;

/// The delays that Standard Webhooks recommends, in seconds: ten attempts in three days.
const STANDARD: [u64; 9] = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400];
/// Delays vary by this share of them in both directions, so that receivers are not asked by all at once.
const JITTER: f64 = 0.1;
/// A receiver's own wish is granted up to this.
const LONGEST_WISH: Duration = Duration::from_secs(24 * 60 * 60);

/// The delays between the attempts.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule(Vec<Duration>);

impl Default for Schedule {
    fn default() -> Self {
        Self(STANDARD.map(Duration::from_secs).to_vec())
    }
}

impl Schedule {
    /// These delays, one between each attempt and the next; without any there is one attempt.
    pub fn new(delays: Vec<Duration>) -> Self {
        Self(delays)
    }

    /// How long to wait after so many attempts; `None` after the last. `wish` is what the receiver asked for, `chance`
    /// a number from 0 to 1.
    pub fn after(&self, attempts: u32, wish: Option<Duration>, chance: f64) -> Option<Duration> {
        let index = usize::try_from(attempts.checked_sub(1)?).ok()?;
        let delay = self.0.get(index)?.mul_f64(1.0 - JITTER + 2.0 * JITTER * chance.clamp(0.0, 1.0));
        Some(delay.max(wish.unwrap_or_default().min(LONGEST_WISH)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule_is_the_standards() {
        let schedule = Schedule::default();
        let delays: Vec<_> = (1..).map_while(|attempts| schedule.after(attempts, None, 0.5)).collect();
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        let short = [5, 300, 1800].map(Duration::from_secs);
        assert_eq!(delays[..3], short);
        assert_eq!(delays[3..], [2, 5, 10, 14, 20, 24].map(hours));
        assert_eq!((schedule.after(0, None, 0.5), schedule.after(10, None, 0.5)), (None, None));
    }

    #[test]
    fn delays_vary_and_wishes_are_bounded() {
        let schedule = Schedule::new(vec![Duration::from_secs(100)]);
        let after = |wish, chance| schedule.after(1, wish, chance).expect("another attempt").as_secs();
        assert_eq!((after(None, 0.0), after(None, 1.0)), (90, 110));
        assert_eq!(after(Some(Duration::from_secs(500)), 0.0), 500);
        assert_eq!(after(Some(Duration::from_secs(1)), 0.0), 90);
        assert_eq!(after(Some(Duration::MAX), 0.0), 86_400);
        assert_eq!(Schedule::new(Vec::new()).after(1, None, 0.0), None);
    }
}
