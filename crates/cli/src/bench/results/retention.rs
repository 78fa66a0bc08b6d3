//! What writers lose to the removal of what is not kept: straight at the store, where results can be old.
//!
//! In turns: for a while records are written alone, then as long as a share of the removal takes. So a disturbance of the
//! machine hits both.

use super::Run;
use crate::bench::ceiling::{open, results};
use crate::bench::load::{Measured, Meter, Tally};
use crate::bench::records::{Order, Records};
use crate::failure::Failure;
use crate::output;
use docket_contract::cursor::Position;
use docket_contract::retention::days_before;
use docket_contract::{JobId, ProcessingLogId};
use docket_service::clock::{Clock, SystemClock};
use docket_service::operations::Pacer;
use docket_service::store::{ResultStore, SetKey, SetOwner, StorageKey};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Ended jobs among which the records are parted.
const SETS: u64 = 20;
/// Turns of both kinds.
const TURNS: u64 = 5;
/// How long a turn of writing alone takes, and one beside the removal at least.
const WINDOW: Duration = Duration::from_secs(5);
/// Writers whose rate is measured.
const WRITERS: usize = 2;
/// Writers that prepare what is to be removed.
const PREPARING: usize = 4;
/// How old that is, in days, and what is kept.
const AGE: i32 = 10;
const KEPT: i32 = 5;

/// Writes records into a set, batch by batch, until there is none left or it is to stop.
#[derive(Clone)]
struct Writing {
    store: Arc<dyn ResultStore>,
    set: SetKey,
    records: Arc<Records>,
    next: Arc<AtomicU64>,
    end: u64,
    batch: u64,
    /// As old as this, in days.
    age: i32,
    stop: Arc<AtomicBool>,
}

impl Writing {
    async fn run(self) -> Result<Tally, Failure> {
        let mut tally = Tally::default();
        while !self.stop.load(Ordering::Relaxed) {
            let start = self.next.fetch_add(self.batch, Ordering::Relaxed);
            if start >= self.end {
                break;
            }
            let batch = results::parse(&self.records, &Order::Key, start..self.end.min(start + self.batch))?;
            let (count, at) = (batch.len() as u64, days_before(SystemClock.now(), self.age));
            let begun = Instant::now();
            let upserted = self.store.upsert_results(&self.set, batch, at).await.map_err(Failure::other)?;
            tally.latencies.add(begun.elapsed());
            if u64::from(upserted.created) != count {
                return Err(Failure::other(format!("{} of {count} records were new", upserted.created)));
            }
            tally.items += count;
        }
        Ok(tally)
    }

    /// So many of them at once, until all have ended.
    fn start(&self, writers: usize) -> JoinSet<Result<Tally, Failure>> {
        let mut tasks = JoinSet::new();
        for _ in 0..writers {
            tasks.spawn(self.clone().run());
        }
        tasks
    }
}

async fn ended(mut tasks: JoinSet<Result<Tally, Failure>>) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    while let Some(task) = tasks.join_next().await {
        tally.merge(task.map_err(Failure::other)??);
    }
    Ok(tally)
}

/// What is removed, step by step.
enum Old {
    Sets(Vec<SetKey>),
    Log(SetKey, Option<Position>),
}

/// What the removal has come to.
#[derive(Default)]
struct Removal {
    records: u64,
    steps: u64,
    longest: Duration,
    time: Duration,
}

impl Old {
    /// The next step; `None` when nothing is left.
    async fn step(&mut self, store: &dyn ResultStore) -> Result<Option<u64>, Failure> {
        match self {
            Self::Sets(sets) => match sets.pop() {
                Some(set) => Ok(Some(store.delete_set(&set).await.map_err(Failure::other)?)),
                None => Ok(None),
            },
            Self::Log(_, None) => Ok(None),
            Self::Log(set, next) => {
                let (after, before) = (next.unwrap_or_default(), days_before(SystemClock.now(), KEPT));
                let step = store.remove_older(set, before, after).await.map_err(Failure::other)?;
                *next = step.next;
                Ok(Some(step.removed))
            }
        }
    }

    /// Removes until so many records are gone in all, at the pace of the server.
    async fn remove(
        &mut self,
        store: &dyn ResultStore,
        pacer: &mut Pacer,
        goal: u64,
        removal: &mut Removal,
    ) -> Result<(), Failure> {
        let turn = Instant::now();
        while removal.records < goal {
            let begun = Instant::now();
            let Some(removed) = self.step(store).await? else { break };
            let step = begun.elapsed();
            removal.records += removed;
            removal.steps += 1;
            removal.longest = removal.longest.max(step);
            pacer.rest(step).await;
        }
        removal.time += turn.elapsed();
        Ok(())
    }
}

/// Measures writers as long as something goes on beside them.
async fn beside<T>(
    writing: &Writing,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<(Measured, T), Failure> {
    writing.stop.store(false, Ordering::Relaxed);
    let meter = Meter::start(None);
    let tasks = writing.start(WRITERS);
    let done = work.await;
    writing.stop.store(true, Ordering::Relaxed);
    let tally = ended(tasks).await?;
    Ok((meter.stop(tally, WRITERS), done?))
}

async fn wait() -> Result<(), Failure> {
    tokio::time::sleep(WINDOW).await;
    Ok(())
}

fn set(owner: SetOwner) -> SetKey {
    let storage = StorageKey { organization: "bench".to_owned(), storage_id: "retention".to_owned() };
    SetKey { storage, owner }
}

fn new_job() -> SetOwner {
    SetOwner::Job(JobId(uuid::Uuid::now_v7()))
}

impl Run {
    pub(super) async fn retention(&mut self) -> Result<(), Failure> {
        let records = self.args.records;
        let sets: Vec<SetKey> = (0..SETS).map(|_| set(new_job())).collect();
        let share = |number: u64| records * number / SETS..records * (number + 1) / SETS;
        let parts = (0..SETS).zip(sets.iter().cloned()).map(|(number, set)| (set, share(number))).collect();
        let what = format!(
            "{SETS} sets of ended jobs, {} records together, are deleted as retention deletes them; their space comes back \
             behind",
            output::count(records)
        );
        self.in_turns(["retention-sets-alone", "retention-sets"], parts, Old::Sets(sets), &what).await?;
        let log = set(SetOwner::Log(ProcessingLogId::ValidationLog));
        let what = format!(
            "A processing log of {} entries, all of them old, is emptied as retention does it",
            output::count(records)
        );
        let old = Old::Log(log.clone(), Some(Position::default()));
        self.in_turns(["retention-log-alone", "retention-log"], vec![(log, 0..records)], old, &what).await
    }

    async fn in_turns(
        &mut self,
        names: [&str; 2],
        parts: Vec<(SetKey, Range<u64>)>,
        mut old: Old,
        what: &str,
    ) -> Result<(), Failure> {
        self.progress.begin(&format!("{}: writing what is to be removed, not measured", names[1]));
        let directory = self.args.common.scratch()?;
        let store = open::results(directory.path())?;
        let writing = Writing {
            store: store.clone(),
            set: set(new_job()),
            records: self.records.clone(),
            next: Arc::new(AtomicU64::new(0)),
            end: u64::MAX,
            batch: self.args.batch,
            age: 0,
            stop: Arc::new(AtomicBool::new(false)),
        };
        for (set, places) in parts {
            let (next, end) = (Arc::new(AtomicU64::new(places.start)), places.end);
            ended(Writing { set, next, end, age: AGE, ..writing.clone() }.start(PREPARING)).await?;
        }
        beside(&writing, wait()).await?;

        self.progress.begin(names[1]);
        let (_go_on, stop) = watch::channel(false);
        let mut pacer = Pacer::new(stop);
        let (mut removal, mut alone, mut disturbed) = (Removal::default(), None, None);
        for turn in 1..=TURNS {
            add(&mut alone, beside(&writing, wait()).await?.0);
            let goal = self.args.records * turn / TURNS;
            let work = async {
                // At least as long as the writers are alone: what the removal leaves to be done behind it counts.
                let (removed, waited) = tokio::join!(old.remove(&*store, &mut pacer, goal, &mut removal), wait());
                removed.and(waited)
            };
            add(&mut disturbed, beside(&writing, work).await?.0);
        }
        store.close().await;
        if removal.records != self.args.records {
            return Err(Failure::other(format!("{} of {} were removed", removal.records, self.args.records)));
        }
        let (Some(alone), Some(disturbed)) = (alone, disturbed) else { return Ok(()) };
        let told = format!(
            "{WRITERS} writers straight at the store, {} records a call into another set of the same storage; made durable \
             call by call; parsing included",
            self.args.batch
        );
        let in_turns = format!("in {TURNS} turns with the same beside the removal");
        let alone = alone.figure(names[0], format!("{told}; {in_turns}."), "records");
        let disturbed = disturbed.figure(
            names[1],
            format!("{what}; steps and rests are the server's. Meanwhile: {told}."),
            "records",
        );
        let cost = 100.0 * (1.0 - disturbed.per_second / alone.per_second);
        let disturbed = disturbed
            .with("costPercent", cost)
            .with("longestStepMs", removal.longest.as_secs_f64() * 1000.0)
            .with("steps", removal.steps as f64)
            .with("removalSeconds", removal.time.as_secs_f64());
        self.add("retention", alone);
        self.add("retention", disturbed);
        Ok(())
    }
}

fn add(sum: &mut Option<Measured>, other: Measured) {
    match sum {
        Some(sum) => sum.add(other),
        None => *sum = Some(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn all_that_is_old_goes_and_nothing_else() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = open::results(directory.path()).expect("a store");
        let sets = [set(new_job()), set(new_job())];
        let (log, newer) = (set(SetOwner::Log(ProcessingLogId::ValidationLog)), set(new_job()));
        let writing = |set: &SetKey, age| Writing {
            store: store.clone(),
            set: set.clone(),
            records: Arc::new(Records::new(1, 100)),
            next: Arc::new(AtomicU64::new(0)),
            end: 1050,
            batch: 100,
            age,
            stop: Arc::new(AtomicBool::new(false)),
        };
        for (set, age) in [(&sets[0], AGE), (&sets[1], AGE), (&log, AGE), (&newer, 0)] {
            assert_eq!(ended(writing(set, age).start(2)).await.expect("written").items, 1050);
        }
        let (_go_on, stop) = watch::channel(false);
        let mut pacer = Pacer::new(stop);
        for (mut old, expected) in
            [(Old::Sets(sets.to_vec()), 2100), (Old::Log(log.clone(), Some(Position::default())), 1050)]
        {
            let mut removal = Removal::default();
            old.remove(&*store, &mut pacer, u64::MAX, &mut removal).await.expect("removed");
            assert_eq!(removal.records, expected);
            assert!(removal.steps > 0 && removal.time >= removal.longest && !removal.longest.is_zero());
        }
        for (set, left) in [(&sets[0], false), (&log, false), (&newer, true)] {
            assert_eq!(!store.statistics(set).await.expect("read").is_empty(), left);
        }
        store.close().await;
    }
}
