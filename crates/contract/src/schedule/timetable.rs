//! The slots of a scheduled job: the next one, the last one before a time, and when each is due.

use super::{ScheduledJobId, ScheduledJobSpec};
use crate::cron::{Cron, Zone};
use crate::time::Timestamp;

/// Something that fires at whole seconds.
pub trait Pattern: Send + Sync {
    /// The first time after `after` at which it fires; none if it never does again.
    fn next_after(&self, after: Timestamp) -> Option<Timestamp>;
}

/// An expression in its time zone.
pub struct Zoned {
    /// The expression.
    pub cron: Cron,
    /// Where its times are told.
    pub zone: Zone,
}

impl Pattern for Zoned {
    fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        self.cron.next_after(after, &self.zone)
    }
}

/// A slot, and when it is due: spread, but before the slot behind it, so that slots are due in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    /// The time of the timetable.
    pub at: Timestamp,
    /// When its job is to start.
    pub due: Timestamp,
}

/// All slots of a scheduled job.
#[derive(Clone, Copy)]
pub struct Timetable<'a> {
    pattern: &'a dyn Pattern,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    jitter_ms: i64,
    id: ScheduledJobId,
}

const SECOND: i64 = 1000;

impl<'a> Timetable<'a> {
    /// The timetable of a scheduled job whose expression was read as `pattern`.
    pub fn new(pattern: &'a dyn Pattern, id: ScheduledJobId, spec: &ScheduledJobSpec) -> Self {
        let jitter_ms = i64::from(spec.jitter_seconds.unwrap_or(0)) * SECOND;
        Self { pattern, start: spec.start_at, end: spec.end_at, jitter_ms, id }
    }

    /// The first slot after a time.
    pub fn next(&self, after: Timestamp) -> Option<Slot> {
        self.at_after(after).map(|at| Slot { at, due: self.due(at) })
    }

    /// The last slot after `after` and not after `until`. Takes some forty looks at the expression at most, however many
    /// slots lie between.
    pub fn last(&self, after: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let within = |low: Timestamp| self.at_after(low).filter(|at| *at <= until);
        // Further and further back from the end, until a slot is there.
        let mut step = SECOND;
        let mut found = loop {
            let low = until.plus_millis(-step).max(after);
            match within(low) {
                Some(at) => break at,
                None if low <= after => return None,
                None => step = step.saturating_mul(2),
            }
        };
        // No slot stands in (high, until].
        let mut high = until;
        while high.as_millis() - found.as_millis() > SECOND {
            let middle = found.plus_millis((high.as_millis() - found.as_millis()) / 2);
            match within(middle) {
                Some(at) => found = at,
                None => high = middle,
            }
        }
        Some(within(found).unwrap_or(found))
    }

    fn at_after(&self, after: Timestamp) -> Option<Timestamp> {
        let after = self.start.map_or(after, |start| after.max(start.plus_millis(-1)));
        self.pattern.next_after(after).filter(|at| self.end.is_none_or(|end| *at <= end))
    }

    fn due(&self, at: Timestamp) -> Timestamp {
        if self.jitter_ms == 0 {
            return at;
        }
        let gap = self.pattern.next_after(at).map_or(i64::MAX, |next| next.as_millis() - at.as_millis());
        // The delay is from 0 to the jitter, both included, but never the whole gap.
        let choices = self.jitter_ms.saturating_add(1).min(gap).max(1);
        let spread = mix(self.id, at) % choices.unsigned_abs();
        at.plus_millis(i64::try_from(spread).unwrap_or(0))
    }
}

/// A number for a slot of a scheduled job, the same each time: the finalizer of SplitMix64, which spreads neighbours.
fn mix(id: ScheduledJobId, at: Timestamp) -> u64 {
    let (high, low) = id.0.as_u64_pair();
    let mut mixed = 0;
    for part in [high, low, at.as_millis().unsigned_abs()] {
        mixed = (mixed ^ part).wrapping_add(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
    }
    mixed
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use uuid::Uuid;

    /// Fires at these seconds.
    pub(crate) struct At(pub BTreeSet<i64>);

    impl Pattern for At {
        fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
            let from = after.as_millis().div_euclid(1000) + 1;
            self.0.range(from..).next().map(|second| Timestamp::from_millis(second * 1000))
        }
    }

    /// Fires every so many seconds.
    pub(crate) struct Every(pub i64);

    impl Pattern for Every {
        fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
            let period = self.0 * 1000;
            Some(Timestamp::from_millis((after.as_millis().div_euclid(period) + 1) * period))
        }
    }

    pub(crate) fn second(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1000)
    }

    pub(crate) fn of(pattern: &dyn Pattern, jitter_seconds: i32) -> Timetable<'_> {
        let spec = ScheduledJobSpec { jitter_seconds: Some(jitter_seconds), ..ScheduledJobSpec::default() };
        Timetable::new(pattern, ScheduledJobId(Uuid::from_u128(7)), &spec)
    }

    #[test]
    fn start_and_end_are_included() {
        let every = Every(10);
        let spec =
            ScheduledJobSpec { start_at: Some(second(20)), end_at: Some(second(40)), ..ScheduledJobSpec::default() };
        let table = Timetable::new(&every, ScheduledJobId::NONE, &spec);
        let mut at = second(0);
        let mut slots = Vec::new();
        while let Some(slot) = table.next(at) {
            at = slot.at;
            slots.push(slot.at);
        }
        assert_eq!(slots, [20, 30, 40].map(second));
        assert_eq!(table.last(second(0), second(19)), None);
        assert_eq!(table.last(second(0), second(1000)), Some(second(40)));
    }

    #[test]
    fn a_spread_is_the_same_each_time_and_uses_its_room() {
        let every = Every(3600);
        let table = of(&every, 60);
        let mut delays = BTreeSet::new();
        let mut at = second(0);
        for _ in 0..500 {
            let slot = table.next(at).expect("another");
            assert_eq!(table.next(at), Some(slot));
            let delay = slot.due.as_millis() - slot.at.as_millis();
            assert!((0..=60_000).contains(&delay));
            delays.insert(delay / 10_000);
            at = slot.at;
        }
        assert!(delays.len() >= 6, "{delays:?}");
        // Another one has other delays.
        let spec = ScheduledJobSpec { jitter_seconds: Some(60), ..ScheduledJobSpec::default() };
        let other = Timetable::new(&every, ScheduledJobId(Uuid::from_u128(8)), &spec);
        assert_ne!(other.next(second(0)), table.next(second(0)));
    }

    proptest! {
        #[test]
        fn the_last_slot_is_found_by_a_search(
            seconds in prop::collection::btree_set(0_i64..100_000, 0..40),
            after in 0_i64..100_000,
            span in 0_i64..100_000,
        ) {
            let pattern = At(seconds.clone());
            let until = after + span;
            let expected = seconds.range(after + 1..).take_while(|at| **at <= until).last().copied().map(second);
            prop_assert_eq!(of(&pattern, 0).last(second(after), second(until)), expected);
        }

        #[test]
        fn slots_are_due_in_their_order(
            seconds in prop::collection::btree_set(0_i64..1000, 1..40),
            jitter in 0_i32..2000,
        ) {
            let pattern = At(seconds);
            let table = of(&pattern, jitter);
            let mut at = second(-1);
            let mut last = second(-1);
            while let Some(slot) = table.next(at) {
                prop_assert!(slot.due > last && slot.due >= slot.at);
                prop_assert!(table.next(slot.at).is_none_or(|next| slot.due < next.at));
                (at, last) = (slot.at, slot.due);
            }
        }
    }
}
