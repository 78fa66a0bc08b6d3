//! After a supervisor that crashed: reads its journal, kills what survived of its attempts, and tells how each of them
//! stands. Owns the meaning of a journal that ends in the middle.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Signal, getpid};

use super::confine::kill_user;
use super::journal::{Birth, Journal, Record};
use super::start::reclaim;
use super::table::Table;
use super::tree::{self, Process, TICK_MS};
use super::users::{Assigned, Claim};
use super::{Doing, SupervisorError, wall_ms};
use crate::executors::process::policy::Identity;
use crate::executors::{AttemptKey, Exit, State, Usage};

/// How long to go on killing survivors. One that can't die (it waits for a device, say) must not hold up everything.
const KILL_LIMIT: Duration = Duration::from_secs(5);
const KILL_PAUSE: Duration = Duration::from_millis(5);

/// Names this boot of the machine and this process-id space: process ids of another one mean nothing here.
pub fn boot() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let space = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!("{} {}", boot.trim(), space.display())
}

/// What is known at the start of a supervisor, and a fresh journal that says so. Working directories of lost attempts
/// are taken away from their users.
pub fn recover(data: &Path, directory: &Path, boot: &str) -> Result<(Table, Journal), SupervisorError> {
    let past = Past::of(Journal::read(directory).doing("reading the journal")?);
    let same_boot = past.boot.as_deref() == Some(boot);
    let lost = past.lost(same_boot);
    if same_boot && !lost.is_empty() {
        kill_survivors(&lost);
    }
    let now = wall_ms();
    let mut table = Table::default();
    for (key, state) in past.finals {
        table.restore(key, state);
    }
    for (key, birth) in lost {
        tracing::warn!(attempt = %key, "lost with an earlier supervisor");
        reclaim(data, key);
        let started_at_ms = birth.map_or(now, |birth| birth.started_at_ms);
        let finished_at_ms = now.max(started_at_ms);
        let state = State::Ended { exit: Exit::Lost, started_at_ms, finished_at_ms, usage: Usage::default() };
        table.restore(key, state);
    }
    let journal = Journal::create(directory, &table.records(boot.to_owned())).doing("writing the journal")?;
    Ok((table, journal))
}

/// A journal, summed up.
#[derive(Default)]
struct Past {
    boot: Option<String>,
    accepted: HashSet<AttemptKey>,
    started: BTreeMap<AttemptKey, Option<Birth>>,
    finals: BTreeMap<AttemptKey, State>,
}

impl Past {
    fn of(records: Vec<Record>) -> Past {
        let mut past = Past::default();
        for record in records {
            match record {
                Record::Boot(boot) => past.boot = Some(boot),
                Record::Accepted(key) => {
                    past.accepted.insert(key);
                }
                Record::Starting(key) => {
                    past.started.entry(key).or_default();
                }
                Record::Started(key, birth) => {
                    past.started.insert(key, Some(birth));
                }
                Record::Final(key, state) => {
                    past.accepted.remove(&key);
                    past.started.remove(&key);
                    past.finals.insert(key, state);
                }
                Record::Forgotten(keys) => {
                    for key in keys {
                        past.finals.remove(&key);
                    }
                }
            }
        }
        past
    }

    /// Attempts that ran, or may have run, and whose end nobody saw. The note of a start outlives a crash of the
    /// supervisor, so one that was only accepted has certainly not run: it is dropped, and the server, which does not
    /// find it listed, launches it again. It does not surely outlive a crash of the machine, so there it counts as lost.
    fn lost(&self, same_boot: bool) -> BTreeMap<AttemptKey, Option<Birth>> {
        let mut lost = self.started.clone();
        if !same_boot {
            for key in &self.accepted {
                lost.entry(*key).or_default();
            }
        }
        lost
    }
}

fn kill_survivors(lost: &BTreeMap<AttemptKey, Option<Birth>>) {
    let deadline = Instant::now() + KILL_LIMIT;
    // Whatever runs as a user that only the attempt had is its own, also without any other trace of it.
    let users: Vec<(Identity, Claim)> =
        lost.values().flatten().filter_map(|birth| Assigned::take_back(birth.sole_uid?)).collect();
    for (identity, _) in &users {
        kill_user(identity);
    }
    let is_theirs = |process: &Process| users.iter().any(|(identity, _)| identity.uid == process.uid);
    loop {
        let all = tree::snapshot();
        let mut survivors = survivors(&all, lost, getpid().as_raw_pid(), tree::marker);
        survivors.extend(all.iter().filter(|process| !process.zombie && is_theirs(process)).copied());
        if survivors.is_empty() {
            return;
        }
        if Instant::now() >= deadline {
            tracing::error!(count = survivors.len(), "processes of lost attempts can't be killed");
            return;
        }
        for process in &survivors {
            tree::signal(process, Signal::KILL);
        }
        sleep(KILL_PAUSE);
    }
}

fn survivors(
    all: &[Process],
    lost: &BTreeMap<AttemptKey, Option<Birth>>,
    own: i32,
    marker: impl Fn(i32) -> Option<AttemptKey>,
) -> Vec<Process> {
    let births: Vec<&Birth> = lost.values().flatten().collect();
    let in_lost_session = |process: &Process| {
        births.iter().any(|birth| {
            (process.session == birth.pid || process.group == birth.pid)
                && match all.iter().find(|leader| leader.pid == birth.pid) {
                    Some(leader) => is_born(leader, birth),
                    // A number is not given away while a session or group has it, so the members are the attempt's.
                    None => process.born_ms + TICK_MS >= birth.not_before_ms,
                }
        })
    };
    let is_root = |process: &&Process| {
        process.pid != own
            && process.pid != 1
            && !process.zombie
            && (in_lost_session(process) || marker(process.pid).is_some_and(|key| lost.contains_key(&key)))
    };
    let roots: HashSet<i32> = all.iter().filter(is_root).map(|process| process.pid).collect();
    let mut survivors = tree::with_descendants(all, &roots, &HashSet::from([own]));
    survivors.retain(|process| !process.zombie);
    survivors
}

fn is_born(process: &Process, birth: &Birth) -> bool {
    process.born_ms + TICK_MS >= birth.not_before_ms && process.born_ms <= birth.not_after_ms
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn key(n: u32) -> AttemptKey {
        AttemptKey { job_id: Uuid::from_u128(1), attempt: n }
    }

    fn birth(pid: i32) -> Birth {
        Birth { pid, not_before_ms: 1000, not_after_ms: 1005, started_at_ms: 77, sole_uid: None }
    }

    fn process(pid: i32, parent: i32, session: i32, born_ms: u64) -> Process {
        Process { pid, parent, group: session, session, born_ms, zombie: false, uid: 0 }
    }

    #[test]
    fn what_was_started_is_lost_and_what_was_accepted_only_on_another_boot() {
        let end = State::Refused { reason: "r".into(), at_ms: 1 };
        let past = Past::of(vec![
            Record::Boot("b".into()),
            Record::Accepted(key(1)),
            Record::Accepted(key(2)),
            Record::Accepted(key(3)),
            Record::Accepted(key(4)),
            Record::Starting(key(2)),
            Record::Starting(key(3)),
            Record::Started(key(3), birth(30)),
            Record::Final(key(4), end.clone()),
            Record::Final(key(5), end.clone()),
            Record::Forgotten(vec![key(5)]),
        ]);
        assert_eq!(past.lost(true), BTreeMap::from([(key(2), None), (key(3), Some(birth(30)))]));
        assert_eq!(past.lost(false).keys().copied().collect::<Vec<_>>(), [key(1), key(2), key(3)]);
        assert_eq!(past.finals, BTreeMap::from([(key(4), end)]));
    }

    #[test]
    fn survivors_are_found_by_session_and_marker_and_strangers_are_spared() {
        let lost = BTreeMap::from([(key(1), Some(birth(10))), (key(2), Some(birth(20))), (key(3), None)]);
        let all = [
            process(1, 0, 1, 0),
            process(11, 1, 10, 2000),
            process(12, 11, 12, 2000),
            process(13, 1, 10, 500),
            process(20, 1, 20, 9000),
            process(21, 20, 20, 9000),
            process(30, 1, 30, 2000),
            process(99, 1, 99, 2000),
        ];
        let marked = |pid| (pid == 30 || pid == 99).then(|| key(3));
        let found: Vec<i32> = survivors(&all, &lost, 99, marked).iter().map(|p| p.pid).collect();
        assert_eq!(found, [11, 12, 30]);
    }

    #[test]
    fn a_living_main_process_is_known_by_its_time() {
        let lost = BTreeMap::from([(key(1), Some(birth(10)))]);
        let same = [process(10, 1, 10, 1000)];
        assert_eq!(survivors(&same, &lost, 99, |_| None).len(), 1);
        let later = [process(10, 1, 10, 1030)];
        assert_eq!(survivors(&later, &lost, 99, |_| None).len(), 0);
    }
}
