//! Whether slots that fire may start while jobs of the same scheduled job have not ended.

use super::{OverlapPolicy, SkipReason};

/// What becomes of a slot that fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Its job starts.
    Start,
    /// Its job waits for the end of those that have not ended.
    Wait,
    /// Those that have not ended are canceled, and its job waits for their end.
    Replace,
    /// It is skipped.
    Skip(SkipReason),
}

/// Decides about `slots` slots that are due together, in their order, while `active` jobs have not ended.
pub fn turns(policy: OverlapPolicy, active: usize, slots: usize) -> Vec<Turn> {
    let mut active = active;
    let mut turn = |place: usize| {
        let turn = match (policy, active) {
            (OverlapPolicy::Allow, _) => Turn::Start,
            // Its job would be canceled by the next one at once.
            (OverlapPolicy::CancelRunning, _) if place + 1 < slots => Turn::Skip(SkipReason::Superseded),
            (_, 0) => Turn::Start,
            (OverlapPolicy::CancelRunning, _) => Turn::Replace,
            (OverlapPolicy::QueueOne, 1) => Turn::Wait,
            (OverlapPolicy::Skip | OverlapPolicy::QueueOne, _) => Turn::Skip(SkipReason::Overlap),
        };
        active += usize::from(!matches!(turn, Turn::Skip(_)));
        turn
    };
    (0..slots).map(&mut turn).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_policy_says_who_may_start() {
        use OverlapPolicy as P;
        const OVERLAP: Turn = Turn::Skip(SkipReason::Overlap);
        const SUPERSEDED: Turn = Turn::Skip(SkipReason::Superseded);
        for (policy, active, expected) in [
            (P::Skip, 0, [Turn::Start, OVERLAP, OVERLAP]),
            (P::Skip, 1, [OVERLAP; 3]),
            (P::QueueOne, 0, [Turn::Start, Turn::Wait, OVERLAP]),
            (P::QueueOne, 1, [Turn::Wait, OVERLAP, OVERLAP]),
            (P::QueueOne, 2, [OVERLAP; 3]),
            (P::Allow, 0, [Turn::Start; 3]),
            (P::Allow, 9, [Turn::Start; 3]),
            (P::CancelRunning, 0, [SUPERSEDED, SUPERSEDED, Turn::Start]),
            (P::CancelRunning, 2, [SUPERSEDED, SUPERSEDED, Turn::Replace]),
        ] {
            assert_eq!(turns(policy, active, 3), expected, "{policy:?} {active}");
        }
        assert_eq!(turns(P::Skip, 0, 0), []);
        assert_eq!(turns(P::CancelRunning, 1, 1), [Turn::Replace]);
    }
}
