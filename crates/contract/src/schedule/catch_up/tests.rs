//! Every policy, slot by slot.

use super::super::timetable::tests::{At, Every, of, second};
use super::*;
use proptest::prelude::*;

const POLICIES: [MisfirePolicy; 3] = [MisfirePolicy::Last, MisfirePolicy::All, MisfirePolicy::None];

fn seconds(slots: &[Slot]) -> Vec<i64> {
    slots.iter().map(|slot| slot.at.as_millis() / 1000).collect()
}

/// The skipped slots as (first, last, count), in seconds.
fn skipped(reckoning: &Reckoning) -> Vec<(i64, i64, Option<usize>)> {
    let of = |time: Timestamp| time.as_millis() / 1000;
    reckoning.skipped.iter().map(|skipped| (of(skipped.first), of(skipped.last), skipped.count)).collect()
}

#[test]
fn on_time_every_policy_fires() {
    for policy in POLICIES {
        let every = Every(10);
        let found = reckon(&of(&every, 0), policy, 100, second(100), second(135));
        assert_eq!((seconds(&found.fire), skipped(&found)), (vec![110, 120, 130], vec![]), "{policy:?}");
        assert_eq!((found.decided, found.next.map(|slot| slot.at)), (second(130), Some(second(140))));
        let early = reckon(&of(&every, 0), policy, 100, second(100), second(109));
        assert_eq!(
            (early.fire.len(), early.decided, early.next.map(|slot| slot.due)),
            (0, second(100), Some(second(110)))
        );
    }
}

#[test]
fn missed_slots_go_by_the_policy() {
    let hourly = Every(3600);
    let one = |hour: i64| (hour * 3600, hour * 3600, Some(1));
    // Down from 00:30 to 05:30: 01:00 to 05:00 were missed.
    let found = |policy, most| reckon(&of(&hourly, 0), policy, most, second(1800), second(5 * 3600 + 1800));
    let last = found(MisfirePolicy::Last, 100);
    assert_eq!((seconds(&last.fire), skipped(&last)), (vec![5 * 3600], vec![one(1), one(2), one(3), one(4)]));
    let all = found(MisfirePolicy::All, 100);
    assert_eq!((seconds(&all.fire), skipped(&all)), ([1, 2, 3, 4, 5].map(|hour| hour * 3600).to_vec(), vec![]));
    let none = found(MisfirePolicy::None, 100);
    assert_eq!((seconds(&none.fire), skipped(&none)), (vec![], vec![one(1), one(2), one(3), one(4), one(5)]));
    // The bound: the newest are made up for, or told one by one.
    let two = found(MisfirePolicy::All, 2);
    assert_eq!((seconds(&two.fire), skipped(&two)), (vec![4 * 3600, 5 * 3600], vec![one(1), one(2), one(3)]));
    let told = found(MisfirePolicy::None, 2);
    assert_eq!(skipped(&told), [(3600, 3 * 3600, Some(3)), one(4), one(5)]);
    // The next slot is there already: the last missed one is not made up for as well.
    let late = reckon(&of(&hourly, 0), MisfirePolicy::Last, 100, second(1800), second(3 * 3600 + 5));
    assert_eq!((seconds(&late.fire), skipped(&late)), (vec![3 * 3600], vec![one(1), one(2)]));
}

#[test]
fn a_year_of_minutes_stays_small() {
    let minute = Every(60);
    let year = 365 * 24 * 3600;
    for policy in POLICIES {
        let found = reckon(&of(&minute, 0), policy, 5, second(0), second(year));
        // The slots of this minute and of the one before are on time.
        let made_up = if policy == MisfirePolicy::All { 5 } else { 0 };
        assert_eq!((found.fire.len(), found.skipped.len()), (2 + made_up, 6), "{policy:?}");
        let first = found.skipped[0];
        assert_eq!((first.first, first.count), (second(60), None));
        assert_eq!((found.decided, found.next.map(|slot| slot.at)), (second(year), Some(second(year + 60))));
    }
}

#[test]
fn a_gap_is_one() {
    let minute = Every(60);
    let table = of(&minute, 0);
    let found = |until| gap(&table, second(30), second(until), SkipReason::Paused);
    assert_eq!(found(59), None);
    let of = |first, last, count| {
        Some(SkippedSlots { first: second(first), last: second(last), count, reason: SkipReason::Paused })
    };
    assert_eq!(found(60), of(60, 60, Some(1)));
    assert_eq!(found(3601), of(60, 3600, Some(60)));
    assert_eq!(found(60 * 2000), of(60, 60 * 2000, Some(2000)));
    assert_eq!(found(60 * 2001), of(60, 60 * 2001, None));
}

proptest! {
    /// Each due slot is fired or skipped once, in order; what is on time fires; and a repetition has nothing left to do.
    #[test]
    fn no_slot_is_lost_and_none_comes_twice(
        slots in prop::collection::btree_set(1_i64..4000, 0..200),
        jitter in 0_i32..100,
        most in 1_usize..20,
        policy in prop::sample::select(&POLICIES),
        stops in prop::collection::btree_set(1_i64..5000, 1..6),
    ) {
        let pattern = At(slots.clone());
        let table = of(&pattern, jitter);
        let mut decided = second(0);
        let mut seen: Vec<i64> = Vec::new();
        for stop in stops {
            let now = second(stop);
            let found = reckon(&table, policy, most, decided, now);
            for part in &found.skipped {
                let (first, last) = (part.first.as_millis() / 1000, part.last.as_millis() / 1000);
                let part_of: Vec<i64> = slots.range(first..=last).copied().collect();
                prop_assert_eq!(part.count, Some(part_of.len()));
                seen.extend(part_of);
            }
            prop_assert!(found.skipped.len() <= most + 1);
            let (missed, on_time): (Vec<Slot>, Vec<Slot>) =
                found.fire.iter().partition(|slot| is_missed(slot, now));
            let made_up = match policy {
                MisfirePolicy::Last => usize::from(on_time.is_empty()),
                MisfirePolicy::All => most,
                MisfirePolicy::None => 0,
            };
            prop_assert!(missed.len() <= made_up);
            seen.extend(seconds(&found.fire));
            prop_assert!(found.fire.iter().all(|slot| slot.due <= now));
            prop_assert!(found.next.is_none_or(|slot| slot.due > now));
            let again = reckon(&table, policy, most, found.decided, now);
            prop_assert_eq!((again.fire.len(), again.skipped.len(), again.decided), (0, 0, found.decided));
            decided = found.decided;
        }
        let due: Vec<i64> = slots.iter().copied().filter(|at| second(*at) <= decided).collect();
        prop_assert_eq!(seen, due);
    }
}
