//! Which due slots fire: those on time, and of those that were missed what the misfire policy says.

use super::{MisfirePolicy, SkipReason, Slot, Timetable};
use crate::time::Timestamp;

/// A slot is missed when the server comes to it more than this many milliseconds after it was due (D). Below it a slow
/// disk or a restart makes no slot a missed one.
pub const MISSED_AFTER_MS: i64 = 60_000;
/// Due slots that are looked at one by one, in one reckoning (D). Of more than these only the newest are, and the others
/// are one row without a number: a year of missed minutes costs what a day and a half do.
pub const MOST_SLOTS: usize = 2000;
/// Slots that can be on time at once: one a second.
const MOST_ON_TIME: usize = 61;

/// Skipped slots that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SkippedSlots {
    /// The first of them.
    pub first: Timestamp,
    /// The last of them; the same if it is one.
    pub last: Timestamp,
    /// How many; `None` if they are too many to count.
    pub count: Option<usize>,
    /// Why.
    pub reason: SkipReason,
}

/// What is to be done about the slots that are due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reckoning {
    /// To be skipped; all stand before those that fire.
    pub skipped: Vec<SkippedSlots>,
    /// To fire, in their order.
    pub fire: Vec<Slot>,
    /// All slots up to this time are decided.
    pub decided: Timestamp,
    /// The slot behind them.
    pub next: Option<Slot>,
}

/// Decides about all slots after `decided` that are due by `now`.
///
/// Under every policy a slot that is not missed fires. Skipped slots are told one by one, the newest `most` of them, and
/// the older ones as one.
pub fn reckon(
    table: &Timetable<'_>,
    policy: MisfirePolicy,
    most: usize,
    decided: Timestamp,
    now: Timestamp,
) -> Reckoning {
    let Due { slots, mut older } = due(table, most, decided, now);
    let (missed, on_time) = slots.split_at(slots.partition_point(|slot| is_missed(slot, now)));
    let made_up = match policy {
        MisfirePolicy::None => 0,
        MisfirePolicy::Last if on_time.is_empty() => 1,
        MisfirePolicy::Last => 0,
        MisfirePolicy::All => most,
    };
    let (skipped, made_up) = missed.split_at(missed.len().saturating_sub(made_up));
    let (together, one_by_one) = skipped.split_at(skipped.len().saturating_sub(most));
    if let (Some(first), Some(last)) = (together.first(), together.last()) {
        let count = older.map_or(Some(together.len()), |_| None);
        let first = older.map_or(first.at, |older| older.first);
        older = Some(SkippedSlots { first, last: last.at, count, reason: SkipReason::Missed });
    }
    let single =
        |slot: &Slot| SkippedSlots { first: slot.at, last: slot.at, count: Some(1), reason: SkipReason::Missed };
    let skipped = older.into_iter().chain(one_by_one.iter().map(single)).collect();
    let decided = slots.last().map_or(decided, |slot| slot.at);
    Reckoning { skipped, fire: [made_up, on_time].concat(), decided, next: table.next(decided) }
}

fn is_missed(slot: &Slot, now: Timestamp) -> bool {
    now.as_millis() - slot.due.as_millis() > MISSED_AFTER_MS
}

struct Due {
    /// In their order; the newest if there are too many.
    slots: Vec<Slot>,
    /// What stands before them.
    older: Option<SkippedSlots>,
}

fn due(table: &Timetable<'_>, most: usize, decided: Timestamp, now: Timestamp) -> Due {
    let mut slots: Vec<Slot> = Vec::new();
    let mut at = decided;
    while let Some(slot) = table.next(at).filter(|slot| slot.due <= now) {
        if slots.len() == MOST_SLOTS {
            return newest(table, most + MOST_ON_TIME, slots[0].at, decided, now);
        }
        at = slot.at;
        slots.push(slot);
    }
    Due { slots, older: None }
}

/// The newest due slots, found from the end.
fn newest(table: &Timetable<'_>, most: usize, first: Timestamp, decided: Timestamp, now: Timestamp) -> Due {
    let mut slots = Vec::with_capacity(most);
    let mut until = now;
    while slots.len() < most
        && let Some(at) = table.last(decided, until)
    {
        until = at.plus_millis(-1);
        // One whose spread is not over is still to come.
        slots.extend(table.next(until).filter(|slot| slot.due <= now));
    }
    slots.reverse();
    let last = table.last(decided, until);
    let older = last.map(|last| SkippedSlots { first, last, count: None, reason: SkipReason::Missed });
    Due { slots, older }
}

/// The slots after `from` and not after `until`, as one: what a pause has cost.
pub fn gap(table: &Timetable<'_>, from: Timestamp, until: Timestamp, reason: SkipReason) -> Option<SkippedSlots> {
    let first = table.next(from).filter(|slot| slot.at <= until)?.at;
    let last = table.last(from, until).unwrap_or(first);
    let (mut count, mut at) = (1, first);
    while at < last && count <= MOST_SLOTS {
        at = table.next(at)?.at;
        count += 1;
    }
    Some(SkippedSlots { first, last, count: (at >= last && count <= MOST_SLOTS).then_some(count), reason })
}

#[cfg(test)]
mod tests;
