//! How fast attempts end, and so how many are worth handing over ahead.

use docket_contract::Timestamp;

/// The time over which ends are counted, in milliseconds.
const WINDOW: i64 = 200;
/// Attempts handed over ahead are those that end within this time, in milliseconds.
const AHEAD: i64 = 25;
/// Most attempts that are handed over ahead.
const MOST: i64 = 64;

/// Counts ends window by window.
#[derive(Debug, Default)]
pub(super) struct Pace {
    begin: i64,
    ended: i64,
    /// Ends in the window before.
    before: i64,
}

impl Pace {
    /// An attempt ended.
    pub fn ended(&mut self, now: Timestamp) {
        let now = now.as_millis();
        let age = now - self.begin;
        if !(0..WINDOW).contains(&age) {
            self.before = if (0..2 * WINDOW).contains(&age) { self.ended } else { 0 };
            self.begin = now;
            self.ended = 0;
        }
        self.ended += 1;
    }

    /// How many attempts to hand over ahead; 0 when fewer than one ends in a moment.
    pub fn ahead(&self, now: Timestamp) -> usize {
        let age = now.as_millis() - self.begin;
        let in_a_window = if (0..2 * WINDOW).contains(&age) { self.ended.max(self.before) } else { 0 };
        usize::try_from((in_a_window * AHEAD / WINDOW).min(MOST)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn slow_jobs_are_not_handed_over_ahead() {
        let mut pace = Pace::default();
        for second in 0..10 {
            pace.ended(at(second * 1000));
            assert_eq!(pace.ahead(at(second * 1000)), 0);
        }
    }

    #[test]
    fn fast_jobs_are_and_no_longer_when_they_stop() {
        let mut pace = Pace::default();
        for millis in 1000..2000 {
            pace.ended(at(millis));
        }
        assert_eq!(pace.ahead(at(2000)), 25);
        assert_eq!(pace.ahead(at(3000)), 0);
        assert_eq!(pace.ahead(at(0)), 0, "the clock went back");
    }
}
