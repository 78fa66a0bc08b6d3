//! The job state machine: the only place that knows which transitions exist.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

// (P)
/// The status of a job; there are no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// The executor can't be reached, so the state can't be told; resolves to another status when it can.
    Unknown,
    /// Received, not yet durable; visible only in events.
    Created,
    /// The metadata is committed.
    Persisted,
    /// Handed to an executor's queue.
    Scheduled,
    /// Held back; `statusMessage` says by what.
    Waiting,
    /// The process or container is up.
    Running,
    /// Ended with exit code 0.
    Finished,
    /// Was running and was lost: killed by a signal or for memory, or its host or server is gone.
    Died,
    /// Canceled on request, by a failed dependency, or for a configuration that can't be launched.
    Canceled,
    /// Ended with another exit code than 0, or ran out of time.
    Failed,
}

/// What can happen to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The metadata was committed.
    Persisted,
    /// A dependency, a lock, a quota, a start time or a retry delay holds the job back.
    Held,
    /// Nothing holds the job back: it was handed to an executor's queue.
    Queued,
    /// The process or container is up.
    Started,
    /// The executor can't start the job as it is configured.
    Refused,
    /// The main process ended with this exit code.
    Exited(i32),
    /// A signal ended the main process.
    Signaled,
    /// The attempt is gone and was not found again.
    Lost,
    /// The time limit is over and the process was stopped for it.
    TimedOut,
    /// The attempt failed or died and the job's retry policy grants another one.
    Retried,
    /// Someone asked for the end, and nothing of the job runs any more.
    Canceled,
    /// The executor can't be reached.
    Unreachable,
}

/// The event is not possible in this status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{event:?} is not possible in {from:?}")]
pub struct IllegalTransition {
    /// The status that stays.
    pub from: Status,
    /// The event that was refused.
    pub event: Event,
}

impl Status {
    /// Every status, in the order of its stored number.
    pub const ALL: [Status; 10] = [
        Status::Unknown,
        Status::Created,
        Status::Persisted,
        Status::Scheduled,
        Status::Waiting,
        Status::Running,
        Status::Finished,
        Status::Died,
        Status::Canceled,
        Status::Failed,
    ];

    /// A terminal status never changes.
    pub fn is_terminal(self) -> bool {
        matches!(self, Status::Finished | Status::Failed | Status::Died | Status::Canceled)
    }

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Status::Unknown => "UNKNOWN",
            Status::Created => "CREATED",
            Status::Persisted => "PERSISTED",
            Status::Scheduled => "SCHEDULED",
            Status::Waiting => "WAITING",
            Status::Running => "RUNNING",
            Status::Finished => "FINISHED",
            Status::Died => "DIED",
            Status::Canceled => "CANCELED",
            Status::Failed => "FAILED",
        }
    }

    /// The number under which stores keep the status; stable.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The status with this stored number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// The status that follows when `event` happens.
    pub fn after(self, event: Event) -> Result<Status, IllegalTransition> {
        use Status as S;
        let placed = matches!(self, S::Scheduled | S::Running | S::Unknown);
        let next = match event {
            Event::Persisted if self == S::Created => S::Persisted,
            Event::Held if matches!(self, S::Persisted | S::Scheduled) => S::Waiting,
            Event::Queued if matches!(self, S::Persisted | S::Waiting | S::Unknown) => S::Scheduled,
            Event::Started if matches!(self, S::Scheduled | S::Unknown) => S::Running,
            Event::Refused if matches!(self, S::Scheduled | S::Unknown) => S::Canceled,
            Event::Exited(code) if matches!(self, S::Running | S::Unknown) => {
                if code == 0 {
                    S::Finished
                } else {
                    S::Failed
                }
            }
            Event::Signaled if matches!(self, S::Running | S::Unknown) => S::Died,
            Event::TimedOut if matches!(self, S::Running | S::Unknown) => S::Failed,
            Event::Lost if placed => S::Died,
            Event::Retried if placed => S::Waiting,
            Event::Unreachable if matches!(self, S::Scheduled | S::Running) => S::Unknown,
            Event::Canceled if !self.is_terminal() => S::Canceled,
            _ => return Err(IllegalTransition { from: self, event }),
        };
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Cause;
    use proptest::prelude::*;

    const EVENTS: [Event; 13] = [
        Event::Persisted,
        Event::Held,
        Event::Queued,
        Event::Started,
        Event::Refused,
        Event::Exited(0),
        Event::Exited(1),
        Event::Signaled,
        Event::Lost,
        Event::TimedOut,
        Event::Retried,
        Event::Canceled,
        Event::Unreachable,
    ];

    #[test]
    fn numbers_and_names_are_stable() {
        let expected = "UNKNOWN CREATED PERSISTED SCHEDULED WAITING RUNNING FINISHED DIED CANCELED FAILED";
        let names: Vec<_> = (0..10).map(|n| Status::from_number(n).expect("ten statuses").name()).collect();
        assert_eq!(names.join(" "), expected);
        assert_eq!(Status::from_number(10), None);
        for status in Status::ALL {
            assert_eq!(serde_json::to_value(status).expect("a string"), status.name());
        }
    }

    #[test]
    fn every_status_but_the_terminal_ones_has_a_way_to_an_end() {
        for status in Status::ALL {
            let ways = EVENTS.iter().filter(|event| status.after(**event).is_ok()).count();
            assert_eq!(ways == 0, status.is_terminal(), "{status:?}");
            if !status.is_terminal() {
                assert_eq!(status.after(Event::Canceled), Ok(Status::Canceled));
            }
        }
    }

    #[test]
    fn the_ends_are_those_of_the_api() {
        use Status as S;
        assert_eq!(S::Running.after(Event::Exited(0)), Ok(S::Finished));
        assert_eq!(S::Running.after(Event::Exited(137)), Ok(S::Failed));
        assert_eq!(S::Running.after(Event::TimedOut), Ok(S::Failed));
        assert_eq!(S::Running.after(Event::Signaled), Ok(S::Died));
        assert_eq!(S::Running.after(Event::Lost), Ok(S::Died));
        assert_eq!(S::Scheduled.after(Event::Refused), Ok(S::Canceled));
        assert!(S::Persisted.after(Event::Started).is_err());
        assert!(S::Waiting.after(Event::Exited(0)).is_err());
    }

    /// What a row of the table in `docs/STATES.md` says: events, from, to.
    fn row(line: &str) -> Option<(Vec<Event>, Vec<Status>, Status)> {
        let cells: Vec<&str> = line.strip_prefix("| `")?.trim_end_matches('|').split('|').map(str::trim).collect();
        let [cause, from, to] = cells[..] else { panic!("three cells: {line}") };
        let (name, code) = cause.split_once('`').expect("a name in marks");
        let status = |name: &str| Status::ALL.into_iter().find(|status| status.name() == name).expect("a status");
        let is_named = |event: &Event| serde_json::to_value(Cause::from(*event)).expect("a string") == name;
        let has_code = |event: &Event| match event {
            Event::Exited(exit) => code.contains("code 0") == (*exit == 0),
            _ => code.is_empty(),
        };
        let events: Vec<_> = EVENTS.into_iter().filter(|event| is_named(event) && has_code(event)).collect();
        assert!(!events.is_empty(), "{line}");
        Some((events, from.split(", ").map(status).collect(), status(to)))
    }

    #[test]
    fn the_documentation_draws_this_machine() {
        let text = include_str!("../../../docs/STATES.md");
        let rows: Vec<_> = text.lines().filter_map(row).collect();
        for event in EVENTS {
            for from in Status::ALL {
                let drawn: Vec<_> = rows
                    .iter()
                    .filter(|(events, sources, _)| events.contains(&event) && sources.contains(&from))
                    .map(|(_, _, to)| *to)
                    .collect();
                let made: Vec<_> = from.after(event).into_iter().collect();
                assert_eq!(drawn, made, "{from:?} {event:?}");
            }
        }
    }

    #[test]
    fn only_attempts_start_end_and_are_retried() {
        use Status as S;
        // What a claim must last through, and what it must end with.
        for from in [S::Created, S::Persisted, S::Waiting] {
            for event in EVENTS {
                let to = from.after(event).ok();
                assert!(!matches!(to, Some(S::Running | S::Unknown | S::Finished | S::Failed | S::Died)), "{event:?}");
                assert!(event != Event::Retried || to.is_none());
            }
        }
    }

    proptest! {
        #[test]
        fn every_sequence_can_be_brought_to_an_end(steps in prop::collection::vec(0..EVENTS.len(), 0..40)) {
            let mut status = Status::Created;
            for step in steps {
                status = status.after(EVENTS[step]).unwrap_or(status);
            }
            prop_assert!(status.is_terminal() || status.after(Event::Canceled) == Ok(Status::Canceled));
        }


        #[test]
        fn no_sequence_leaves_a_terminal_status(steps in prop::collection::vec(0..EVENTS.len(), 0..40)) {
            let mut status = Status::Created;
            for step in steps {
                let next = status.after(EVENTS[step]);
                if status.is_terminal() {
                    prop_assert!(next.is_err());
                }
                if let Ok(next) = next {
                    status = next;
                }
            }
        }
    }
}
