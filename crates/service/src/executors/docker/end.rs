//! How a container ended, in the words of executors. Owns the reading of the daemon's state; asks nobody.

use bollard::models::{ContainerState, ContainerStateStatusEnum as Status};

use super::notes::Notes;
use crate::executors::{Exit, State, Usage};

/// The code that a daemon gives to a container whose end it missed while it was away.
const UNKNOWN: i32 = 255;

/// How far a container has come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Never started.
    Created,
    /// Up, also when someone paused it.
    Running {
        /// When it was started.
        started_at_ms: i64,
    },
    /// Over.
    Ended {
        /// When it was started.
        started_at_ms: i64,
    },
}

/// The stage in the daemon's words. A start that failed leaves a container in the first stage.
pub fn stage(state: &ContainerState) -> Stage {
    let Some(started_at_ms) = millis(state.started_at.as_deref()) else { return Stage::Created };
    match state.status {
        Some(Status::CREATED) => Stage::Created,
        Some(Status::RUNNING | Status::PAUSED | Status::RESTARTING | Status::STOPPING) => {
            Stage::Running { started_at_ms }
        }
        _ => Stage::Ended { started_at_ms },
    }
}

/// The final state of a container that has ended.
pub fn ended(state: &ContainerState, memory_bytes: Option<u64>, notes: &Notes) -> State {
    let started_at_ms = millis(state.started_at.as_deref()).unwrap_or_else(now_ms);
    let finished_at_ms = millis(state.finished_at.as_deref()).unwrap_or_else(now_ms).max(started_at_ms);
    let exit = exit(state, notes);
    let mut usage = notes.usage;
    if exit == Exit::OutOfMemory {
        // It had all that it may, whatever was seen last.
        usage.memory_peak_bytes = usage.memory_peak_bytes.max(memory_bytes);
    }
    State::Ended { exit, started_at_ms, finished_at_ms, usage }
}

/// The end of a container that nobody can tell anything of: someone removed it.
pub fn lost(started_at_ms: i64) -> State {
    State::Ended {
        exit: Exit::Lost,
        started_at_ms,
        finished_at_ms: now_ms().max(started_at_ms),
        usage: Usage::default(),
    }
}

/// Docker tells 128 + n for a main process that was ended by signal n as well as for one that returned this code, as
/// shells do for their children. The names of signals go to 31; what is beyond is a code.
fn exit(state: &ContainerState, notes: &Notes) -> Exit {
    let Some(code) = state.exit_code.and_then(|code| i32::try_from(code).ok()) else { return Exit::Lost };
    if notes.timed_out {
        return Exit::TimedOut;
    }
    if code == UNKNOWN && notes.daemon_went {
        return Exit::Lost;
    }
    if state.oom_killed == Some(true) && code != 0 {
        return Exit::OutOfMemory;
    }
    match code {
        129..=159 => Exit::Signal(code - 128),
        0..=255 => Exit::Code(code),
        _ => Exit::Lost,
    }
}

/// A time of the daemon, in milliseconds since 1970; nothing for its zero time.
pub fn millis(time: Option<&str>) -> Option<i64> {
    let time: jiff::Timestamp = time?.parse().ok()?;
    Some(time.as_millisecond()).filter(|millis| *millis > 0)
}

/// The present time in milliseconds since 1970.
pub fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: &str = "0001-01-01T00:00:00Z";

    fn state(status: Status, started: &str) -> ContainerState {
        ContainerState {
            status: Some(status),
            started_at: Some(started.into()),
            finished_at: Some("2026-11-23T22:36:59.891891768Z".into()),
            ..Default::default()
        }
    }

    #[test]
    fn a_container_is_created_running_or_ended() {
        assert_eq!(stage(&state(Status::CREATED, NEVER)), Stage::Created);
        assert_eq!(stage(&state(Status::EXITED, NEVER)), Stage::Created, "its start failed");
        let started = "1970-01-01T00:00:07.5Z";
        for status in [Status::RUNNING, Status::PAUSED] {
            assert_eq!(stage(&state(status, started)), Stage::Running { started_at_ms: 7500 });
        }
        for status in [Status::EXITED, Status::DEAD, Status::REMOVING] {
            assert_eq!(stage(&state(status, started)), Stage::Ended { started_at_ms: 7500 });
        }
    }

    #[test]
    fn exits_are_told_as_well_as_docker_can() {
        let told = |code: i64, oom: bool, timed_out: bool| {
            let state = ContainerState { exit_code: Some(code), oom_killed: Some(oom), ..Default::default() };
            exit(&state, &Notes { timed_out, ..Notes::default() })
        };
        assert_eq!(told(0, false, false), Exit::Code(0));
        assert_eq!(told(0, true, false), Exit::Code(0), "it got over it");
        assert_eq!(told(5, true, false), Exit::OutOfMemory);
        assert_eq!(told(137, true, false), Exit::OutOfMemory);
        assert_eq!(told(137, false, false), Exit::Signal(9));
        assert_eq!(told(137, false, true), Exit::TimedOut);
        assert_eq!(told(128, false, false), Exit::Code(128));
        assert_eq!(told(255, false, false), Exit::Code(255));
        let missed = ContainerState { exit_code: Some(255), ..Default::default() };
        assert_eq!(exit(&missed, &Notes { daemon_went: true, ..Notes::default() }), Exit::Lost);
        assert_eq!(told(-1, false, false), Exit::Lost);
    }

    #[test]
    fn an_end_never_comes_before_its_start() {
        let started = "2026-11-23T23:36:59Z";
        let ended = ended(&state(Status::EXITED, started), None, &Notes::default());
        let State::Ended { started_at_ms, finished_at_ms, .. } = ended else { panic!("{ended:?}") };
        assert_eq!((Some(started_at_ms), finished_at_ms), (millis(Some(started)), started_at_ms));
    }
}
