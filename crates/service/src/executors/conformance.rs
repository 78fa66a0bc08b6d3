//! The rules that every executor keeps, as checks against the trait. An executor's tests hand in a fixture and run
//! [`all`]; each check gets an executor of its own.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use tokio::time::timeout;
use uuid::Uuid;

use super::{
    AttemptKey, CANCELED_BEFORE_START, Executor, ExecutorError, Exit, Launch, Limits, LogRange, Observed, State,
};

/// No check waits longer for an event.
const PATIENCE: Duration = Duration::from_secs(30);

/// What an attempt is to do, in words that every executor can follow.
#[derive(Clone, Debug)]
pub enum Does {
    /// Ends with this exit code.
    Exit(i32),
    /// Ends by this signal.
    Signal(i32),
    /// Prints these lines and exits with 0.
    Print(Vec<&'static str>),
    /// Runs until it is canceled.
    Hang,
    /// Prints `ready` and from then on ignores the polite signal.
    HangStubbornly,
    /// Can't be started.
    CannotStart,
}

/// An executor's own way to be tested. Dropped after its check.
pub trait Fixture {
    /// What is tested.
    type Executor: Executor;

    /// The executor, empty. Called once.
    fn executor(&self, max_running: u32) -> Self::Executor;

    /// The commands by which an attempt does this.
    fn commands(&self, does: &Does) -> Vec<String>;
}

/// Runs all checks, one after the other.
pub async fn all<F: Fixture>(make: &dyn Fn() -> F) {
    ends_are_told(&make()).await;
    an_ended_attempt_is_listed_until_it_is_forgotten(&make()).await;
    a_second_launch_does_nothing(&make()).await;
    the_queue_keeps_its_order_and_bound(&make()).await;
    a_queued_attempt_is_canceled_unstarted(&make()).await;
    a_running_attempt_is_canceled_politely(&make()).await;
    a_stubborn_attempt_is_killed_after_its_grace(&make()).await;
    canceling_nothing_is_no_error(&make()).await;
    a_time_limit_stops_like_a_cancel(&make()).await;
    a_time_limit_that_was_not_reached_changes_nothing(&make()).await;
    a_cancel_before_the_time_limit_counts(&make()).await;
    logs_are_read_whole_and_from_their_end(&make()).await;
    a_removed_job_has_no_log(&make()).await;
}

/// A launch of a new job.
pub fn launch(commands: Vec<String>) -> Launch {
    Launch {
        key: AttemptKey { job_id: Uuid::now_v7(), attempt: 1 },
        commands,
        environment: Vec::new(),
        log_limit_bytes: 1024 * 1024,
        grace_period: Duration::from_secs(5),
        image: "none".into(),
        limits: Limits::default(),
        time_limit: None,
    }
}

/// Follows the events of an executor.
pub struct Watcher<'a, E> {
    executor: &'a E,
    /// What was reported last of each attempt.
    pub newest: HashMap<AttemptKey, State>,
    /// Keys in the order in which they were seen to have started or ended.
    pub order: Vec<AttemptKey>,
}

impl<'a, E: Executor> Watcher<'a, E> {
    /// Watches this executor.
    pub fn new(executor: &'a E) -> Watcher<'a, E> {
        Watcher { executor, newest: HashMap::new(), order: Vec::new() }
    }

    async fn more(&mut self) {
        let events = self.executor.events();
        let events = patient(events).await.expect("the executor tells events");
        assert!(!events.is_empty());
        for Observed { key, state } in events {
            assert_ne!(state, State::Queued, "queued is no event");
            if let Some(before) = self.newest.insert(key, state.clone()) {
                assert!(!before.is_final() || before == state, "a final state never changes");
            } else {
                self.order.push(key);
            }
        }
    }

    /// The end of an attempt.
    pub async fn end(&mut self, key: AttemptKey) -> State {
        loop {
            match self.newest.get(&key) {
                Some(state) if state.is_final() => return state.clone(),
                _ => self.more().await,
            }
        }
    }

    /// How an attempt that ran has ended.
    pub async fn exit(&mut self, key: AttemptKey) -> Exit {
        match self.end(key).await {
            State::Ended { exit, started_at_ms, finished_at_ms, .. } => {
                assert!(started_at_ms <= finished_at_ms);
                exit
            }
            other => panic!("it never ran: {other:?}"),
        }
    }

    /// Waits until an attempt runs.
    pub async fn running(&mut self, key: AttemptKey) {
        while !self.newest.contains_key(&key) {
            self.more().await;
        }
        assert!(matches!(self.newest[&key], State::Running { .. }), "{:?}", self.newest[&key]);
    }
}

/// Waits, but not for ever.
pub async fn patient<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("it takes too long")
}

async fn ends_are_told(fixture: &impl Fixture) {
    let executor = fixture.executor(2);
    let launches: Vec<Launch> = [Does::Exit(0), Does::Exit(7), Does::Signal(9), Does::CannotStart]
        .iter()
        .map(|does| launch(fixture.commands(does)))
        .collect();
    let keys: Vec<AttemptKey> = launches.iter().map(|launch| launch.key).collect();
    let program = launches[3].commands[0].clone();
    executor.launch(launches).await.expect("launches are taken");
    let mut watcher = Watcher::new(&executor);
    assert_eq!(watcher.exit(keys[0]).await, Exit::Code(0));
    assert_eq!(watcher.exit(keys[1]).await, Exit::Code(7));
    assert_eq!(watcher.exit(keys[2]).await, Exit::Signal(9));
    match watcher.end(keys[3]).await {
        State::Refused { reason, .. } => assert!(reason.contains(&program), "{reason}"),
        other => panic!("it has started: {other:?}"),
    }
}

async fn an_ended_attempt_is_listed_until_it_is_forgotten(fixture: &impl Fixture) {
    let executor = fixture.executor(2);
    assert_eq!(executor.list().await.expect("it lists"), []);
    let ends = launch(fixture.commands(&Does::Exit(3)));
    let hangs = launch(fixture.commands(&Does::Hang));
    let (ended, hanging) = (ends.key, hangs.key);
    executor.launch(vec![ends, hangs]).await.expect("launches are taken");
    let mut watcher = Watcher::new(&executor);
    let end = watcher.end(ended).await;
    watcher.running(hanging).await;
    let listed = executor.list().await.expect("it lists");
    assert_eq!(listed.len(), 2);
    assert!(listed.contains(&Observed { key: ended, state: end }));
    executor.forget(&[ended, hanging]).await.expect("it forgets");
    let listed = executor.list().await.expect("it lists");
    assert!(matches!(&listed[..], [Observed { key, state: State::Running { .. } }] if *key == hanging));
    executor.cancel(hanging, Duration::ZERO).await.expect("it cancels");
    assert_eq!(watcher.exit(hanging).await, Exit::Signal(9));
}

async fn a_second_launch_does_nothing(fixture: &impl Fixture) {
    let executor = fixture.executor(1);
    let first = launch(fixture.commands(&Does::Exit(1)));
    let mut again = first.clone();
    again.commands = fixture.commands(&Does::Exit(2));
    let marker = launch(fixture.commands(&Does::Exit(0)));
    let (key, last) = (first.key, marker.key);
    executor.launch(vec![first, again.clone()]).await.expect("launches are taken");
    let mut watcher = Watcher::new(&executor);
    assert_eq!(watcher.exit(key).await, Exit::Code(1));
    executor.launch(vec![again, marker]).await.expect("launches are taken");
    assert_eq!(watcher.exit(last).await, Exit::Code(0));
    assert_eq!(watcher.exit(key).await, Exit::Code(1));
    assert_eq!(executor.list().await.expect("it lists").len(), 2);
}

async fn the_queue_keeps_its_order_and_bound(fixture: &impl Fixture) {
    let executor = fixture.executor(1);
    let hangs = launch(fixture.commands(&Does::Hang));
    let behind: Vec<Launch> = (0..20).map(|_| launch(fixture.commands(&Does::Exit(0)))).collect();
    let first = hangs.key;
    let keys: Vec<AttemptKey> = behind.iter().map(|launch| launch.key).collect();
    executor.launch(vec![hangs]).await.expect("launches are taken");
    executor.launch(behind).await.expect("launches are taken");
    let mut watcher = Watcher::new(&executor);
    watcher.running(first).await;
    let listed = executor.list().await.expect("it lists");
    let queued = listed.iter().filter(|observed| observed.state == State::Queued);
    assert_eq!(queued.count(), keys.len());
    executor.cancel(first, Duration::ZERO).await.expect("it cancels");
    for key in &keys {
        assert_eq!(watcher.exit(*key).await, Exit::Code(0));
    }
    assert_eq!(watcher.order[1..], keys[..]);
}

async fn a_queued_attempt_is_canceled_unstarted(fixture: &impl Fixture) {
    let executor = fixture.executor(1);
    let hangs = launch(fixture.commands(&Does::Hang));
    let waits = launch(fixture.commands(&Does::Exit(0)));
    let (running, queued) = (hangs.key, waits.key);
    executor.launch(vec![hangs, waits]).await.expect("launches are taken");
    let mut watcher = Watcher::new(&executor);
    watcher.running(running).await;
    executor.cancel(queued, Duration::from_secs(60)).await.expect("it cancels");
    match watcher.end(queued).await {
        State::Refused { reason, .. } => assert_eq!(reason, CANCELED_BEFORE_START),
        other => panic!("it has started: {other:?}"),
    }
    executor.cancel(running, Duration::ZERO).await.expect("it cancels");
    watcher.exit(running).await;
}

async fn a_running_attempt_is_canceled_politely(fixture: &impl Fixture) {
    let executor = fixture.executor(1);
    let hangs = launch(fixture.commands(&Does::Hang));
    let key = hangs.key;
    executor.launch(vec![hangs]).await.expect("launches are taken");
    let mut watcher = Watcher::new(&executor);
    watcher.running(key).await;
    for _ in 0..2 {
        executor.cancel(key, Duration::from_secs(3600)).await.expect("it cancels");
    }
    assert_eq!(watcher.exit(key).await, Exit::Signal(15));
}

async fn a_stubborn_attempt_is_killed_after_its_grace(fixture: &impl Fixture) {
    let executor = fixture.executor(1);
    let hangs = launch(fixture.commands(&Does::HangStubbornly));
    let key = hangs.key;
    executor.launch(vec![hangs]).await.expect("launches are taken");
    let mut watcher = Watcher::new(&executor);
    watcher.running(key).await;
    patient(until_log(&executor, key, b"ready\n")).await;
    executor.cancel(key, Duration::from_secs(3600)).await.expect("it cancels");
    assert!(matches!(executor.list().await.expect("it lists")[0].state, State::Running { .. }));
    executor.cancel(key, Duration::from_millis(20)).await.expect("it cancels");
    assert_eq!(watcher.exit(key).await, Exit::Signal(9));
}

async fn canceling_nothing_is_no_error(fixture: &impl Fixture) {
    let executor = fixture.executor(1);
    let ends = launch(fixture.commands(&Does::Exit(0)));
    let key = ends.key;
    executor.cancel(key, Duration::ZERO).await.expect("an unknown attempt is no error");
    executor.launch(vec![ends]).await.expect("launches are taken");
    let mut watcher = Watcher::new(&executor);
    assert_eq!(watcher.exit(key).await, Exit::Code(0));
    executor.cancel(key, Duration::ZERO).await.expect("an ended attempt is no error");
    executor.forget(&[key]).await.expect("it forgets");
    executor.forget(&[key]).await.expect("forgetting twice is no error");
    assert_eq!(executor.list().await.expect("it lists"), []);
}

async fn a_time_limit_stops_like_a_cancel(fixture: &impl Fixture) {
    let executor = fixture.executor(2);
    let mut polite = launch(fixture.commands(&Does::Hang));
    polite.time_limit = Some(Duration::from_millis(100));
    polite.grace_period = Duration::from_secs(3600);
    let mut stubborn = launch(fixture.commands(&Does::HangStubbornly));
    stubborn.time_limit = Some(Duration::from_millis(100));
    stubborn.grace_period = Duration::from_millis(20);
    let keys = [polite.key, stubborn.key];
    executor.launch(vec![polite, stubborn]).await.expect("launches are taken");
    let mut watcher = Watcher::new(&executor);
    for key in keys {
        assert_eq!(watcher.exit(key).await, Exit::TimedOut);
    }
}

async fn a_time_limit_that_was_not_reached_changes_nothing(fixture: &impl Fixture) {
    let executor = fixture.executor(1);
    let mut ends = launch(fixture.commands(&Does::Exit(3)));
    ends.time_limit = Some(Duration::from_secs(3600));
    let key = ends.key;
    executor.launch(vec![ends]).await.expect("launches are taken");
    assert_eq!(Watcher::new(&executor).exit(key).await, Exit::Code(3));
}

/// The time limit passes while the grace of the cancel lasts: it ends the attempt, but not as its reason.
async fn a_cancel_before_the_time_limit_counts(fixture: &impl Fixture) {
    let executor = fixture.executor(1);
    let mut hangs = launch(fixture.commands(&Does::HangStubbornly));
    hangs.time_limit = Some(Duration::from_secs(3));
    hangs.grace_period = Duration::from_millis(20);
    let key = hangs.key;
    executor.launch(vec![hangs]).await.expect("launches are taken");
    let mut watcher = Watcher::new(&executor);
    watcher.running(key).await;
    patient(until_log(&executor, key, b"ready\n")).await;
    executor.cancel(key, Duration::from_secs(3600)).await.expect("it cancels");
    assert_eq!(watcher.exit(key).await, Exit::Signal(9));
}

async fn logs_are_read_whole_and_from_their_end(fixture: &impl Fixture) {
    let executor = fixture.executor(1);
    let prints = launch(fixture.commands(&Does::Print(vec!["one", "two", "three"])));
    let key = prints.key;
    executor.launch(vec![prints]).await.expect("launches are taken");
    let mut watcher = Watcher::new(&executor);
    assert_eq!(watcher.exit(key).await, Exit::Code(0));
    assert_eq!(log(&executor, key, LogRange::Whole).await, b"one\ntwo\nthree\n");
    assert_eq!(log(&executor, key, LogRange::Tail { lines: 2 }).await, b"two\nthree\n");
    assert_eq!(log(&executor, key, LogRange::Tail { lines: 0 }).await, b"");
    assert_eq!(log(&executor, key, LogRange::Tail { lines: 9 }).await, b"one\ntwo\nthree\n");
    assert_eq!(log(&executor, key, LogRange::From { position: 5 }).await, b"wo\nthree\n");
    assert_eq!(log(&executor, key, LogRange::From { position: 14 }).await, b"");
    let end = executor.read_log(key, LogRange::Tail { lines: 0 }).await.expect("there is a log").position();
    assert_eq!(end, 14);
}

async fn a_removed_job_has_no_log(fixture: &impl Fixture) {
    let executor = fixture.executor(1);
    let prints = launch(fixture.commands(&Does::Print(vec!["one"])));
    let key = prints.key;
    executor.launch(vec![prints]).await.expect("launches are taken");
    let mut watcher = Watcher::new(&executor);
    watcher.exit(key).await;
    executor.remove(key.job_id).await.expect("it removes");
    executor.remove(key.job_id).await.expect("removing twice is no error");
    let read = executor.read_log(key, LogRange::Whole).await;
    assert!(matches!(read.err(), Some(ExecutorError::NoLog(missing)) if missing == key));
}

/// The log as it is now.
pub async fn log(executor: &impl Executor, key: AttemptKey, range: LogRange) -> Vec<u8> {
    let reader = executor.read_log(key, range).await.expect("there is a log");
    reader.collect(usize::MAX).await.expect("it can be read")
}

/// Waits until the log ends so.
pub async fn until_log(executor: &impl Executor, key: AttemptKey, end: &[u8]) {
    while !log(executor, key, LogRange::Whole).await.ends_with(end) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
