//! An executor that plays a script instead of starting anything, for tests and the mock. Owns attempts in memory only.
//!
//! The commands of a launch are the script, one step a string: `print=TEXT` (a line of log), `sleep=MILLISECONDS`,
//! `until=MILLISECONDS` (since the start), `cue=TEXT` (does what the stage's [`Cues`] do at it), `exit=CODE`, `signal=NUMBER`, `vanish` (ends as lost), `hang` (until it is canceled), `stubborn` (from here on the
//! polite signal is ignored). `queue=MILLISECONDS` as the first step lets the attempt stay in the queue so long;
//! `refuse=REASON` as the first or next step refuses the start, as does an unknown step or an empty script. A script that runs out exits with 0.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

use super::log::Bytes;
use super::{
    AttemptKey, CANCELED_BEFORE_START, EVENT_BATCH, Executor, ExecutorError, Exit, Launch, LogRange, LogReader,
    Observed, State, Usage,
};

const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;

/// Plays scripts.
#[derive(Clone)]
pub struct ScriptedExecutor {
    inner: Arc<Inner>,
}

struct Inner {
    max_running: usize,
    clock: Box<dyn Fn() -> i64 + Send + Sync>,
    cues: Option<Arc<dyn Cues>>,
    stage: Mutex<Stage>,
    changed: Notify,
}

#[derive(Default)]
struct Stage {
    attempts: HashMap<AttemptKey, Attempt>,
    queue: VecDeque<AttemptKey>,
    running: usize,
    untold: VecDeque<AttemptKey>,
    disconnected: bool,
}

struct Attempt {
    launch: Launch,
    state: State,
    log: Vec<u8>,
    forgotten: bool,
    /// When the tree is to be killed; set by a cancel or by the time limit.
    kill_at: watch::Sender<Option<Instant>>,
}

/// What happens at the cues of the scripts.
#[async_trait]
pub trait Cues: Send + Sync + 'static {
    /// Acts; the script goes on when this is done, unless the attempt is ended meanwhile.
    async fn act(&self, key: AttemptKey, cue: &str);
}

enum Step {
    Print(String),
    Sleep(Duration),
    Until(Duration),
    Cue(String),
    End(Exit),
    Hang,
    Stubborn,
}

impl ScriptedExecutor {
    /// At most `max_running` scripts play at once. `clock` gives milliseconds since 1970.
    pub fn new(max_running: usize, clock: impl Fn() -> i64 + Send + Sync + 'static) -> ScriptedExecutor {
        Self::with(max_running, Box::new(clock), None)
    }

    /// The same, with somebody who acts at the cues.
    pub fn with_cues(
        max_running: usize,
        clock: impl Fn() -> i64 + Send + Sync + 'static,
        cues: Arc<dyn Cues>,
    ) -> ScriptedExecutor {
        Self::with(max_running, Box::new(clock), Some(cues))
    }

    fn with(
        max_running: usize,
        clock: Box<dyn Fn() -> i64 + Send + Sync>,
        cues: Option<Arc<dyn Cues>>,
    ) -> ScriptedExecutor {
        ScriptedExecutor {
            inner: Arc::new(Inner { max_running, clock, cues, stage: Mutex::default(), changed: Notify::new() }),
        }
    }

    /// Lets the next call of `events` say that the runner can't be reached; scripts play on.
    pub fn disconnect(&self) {
        self.inner.stage().disconnected = true;
        self.inner.changed.notify_one();
    }
}

impl Inner {
    fn stage(&self) -> MutexGuard<'_, Stage> {
        // A test that panicked while it held the lock has failed anyway.
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, stage: &mut Stage, key: AttemptKey, state: State) {
        if let Some(attempt) = stage.attempts.get_mut(&key) {
            attempt.state = state;
            if !stage.untold.contains(&key) {
                stage.untold.push_back(key);
            }
            self.changed.notify_one();
        }
    }

    /// Starts what may play now.
    fn start_next(self: &Arc<Inner>, stage: &mut Stage) {
        while stage.running < self.max_running
            && let Some(key) = stage.queue.pop_front()
        {
            let Some(attempt) = stage.attempts.get(&key) else {
                continue;
            };
            match parse(&attempt.launch.commands) {
                Ok(steps) => {
                    let kill_at = attempt.kill_at.subscribe();
                    let started_at_ms = (self.clock)();
                    let limit = attempt.launch.time_limit.map(|limit| (limit, attempt.launch.grace_period));
                    stage.running += 1;
                    self.set(stage, key, State::Running { started_at_ms });
                    tokio::spawn(Arc::clone(self).play(key, started_at_ms, steps, kill_at, limit));
                }
                Err(reason) => {
                    let at_ms = (self.clock)();
                    self.set(stage, key, State::Refused { reason, at_ms });
                }
            }
        }
    }

    async fn play(
        self: Arc<Inner>,
        key: AttemptKey,
        started_at_ms: i64,
        steps: Vec<Step>,
        mut kill_at: watch::Receiver<Option<Instant>>,
        limit: Option<(Duration, Duration)>,
    ) {
        let stubborn = watch::Sender::new(false);
        let mut stubbornness = stubborn.subscribe();
        let ending = async {
            tokio::select! {
                exit = self.act(key, steps, &stubborn) => exit,
                exit = killed(&mut kill_at, &mut stubbornness) => exit,
            }
        };
        let timing = self.time_out(key, limit);
        tokio::pin!(ending, timing);
        let exit = tokio::select! {
            exit = &mut ending => exit,
            first = &mut timing => match (first, ending.await) {
                (true, _) => Exit::TimedOut,
                (false, exit) => exit,
            },
        };
        let finished_at_ms = (self.clock)().max(started_at_ms);
        let mut stage = self.stage();
        stage.running -= 1;
        let state = State::Ended { exit, started_at_ms, finished_at_ms, usage: Usage::default() };
        self.set(&mut stage, key, state);
        self.start_next(&mut stage);
    }

    /// Waits for the end of the time limit, then stops the attempt like a cancel. Tells whether no cancel came before.
    async fn time_out(&self, key: AttemptKey, limit: Option<(Duration, Duration)>) -> bool {
        let Some((limit, grace)) = limit else { return std::future::pending().await };
        sleep(limit).await;
        let stage = self.stage();
        let Some(attempt) = stage.attempts.get(&key) else { return false };
        kill_by(&attempt.kill_at, Instant::now() + grace)
    }

    /// Puts an attempt into the queue, once it may be there.
    fn enqueue(self: &Arc<Inner>, stage: &mut Stage, key: AttemptKey, after: Duration) {
        if after.is_zero() {
            stage.queue.push_back(key);
            return;
        }
        let inner = Arc::clone(self);
        tokio::spawn(async move {
            sleep(after).await;
            let mut stage = inner.stage();
            // It may have been canceled meanwhile.
            if stage.attempts.get(&key).is_some_and(|attempt| attempt.state == State::Queued) {
                stage.queue.push_back(key);
                inner.start_next(&mut stage);
            }
        });
    }

    async fn act(&self, key: AttemptKey, steps: Vec<Step>, stubborn: &watch::Sender<bool>) -> Exit {
        let begin = Instant::now();
        for step in steps {
            match step {
                Step::Print(text) => {
                    if let Some(attempt) = self.stage().attempts.get_mut(&key) {
                        attempt.log.extend_from_slice(text.as_bytes());
                        attempt.log.push(b'\n');
                    }
                }
                Step::Sleep(time) => sleep(time).await,
                Step::Until(time) => sleep_until(begin + time).await,
                Step::Cue(cue) => {
                    if let Some(cues) = &self.cues {
                        cues.act(key, &cue).await;
                    }
                }
                Step::End(exit) => return exit,
                Step::Hang => std::future::pending().await,
                Step::Stubborn => {
                    stubborn.send_replace(true);
                }
            }
        }
        Exit::Code(0)
    }
}

/// Lets the kill come at this time, or when it is due before. Tells whether none was due.
fn kill_by(kill_at: &watch::Sender<Option<Instant>>, at: Instant) -> bool {
    let before = *kill_at.borrow();
    if before.is_none_or(|before| at < before) {
        kill_at.send_replace(Some(at));
    }
    before.is_none()
}

/// Waits for a cancel and then for what it does.
async fn killed(kill_at: &mut watch::Receiver<Option<Instant>>, stubborn: &mut watch::Receiver<bool>) -> Exit {
    loop {
        let at = *kill_at.borrow_and_update();
        match at {
            Some(at) if at > Instant::now() => {
                if !*stubborn.borrow_and_update() {
                    return Exit::Signal(SIGTERM);
                }
                tokio::select! {
                    () = sleep_until(at) => return Exit::Signal(SIGKILL),
                    _ = kill_at.changed() => {}
                }
            }
            Some(_) => return Exit::Signal(SIGKILL),
            None => {
                if kill_at.changed().await.is_err() {
                    // The attempt was removed from the stage: nobody can cancel it any more.
                    std::future::pending::<()>().await;
                }
            }
        }
    }
}

/// How long a script wants to stay in the queue, and its other steps.
fn queued(commands: &[String]) -> (Duration, &[String]) {
    let Some((first, rest)) = commands.split_first() else { return (Duration::ZERO, commands) };
    match first.strip_prefix("queue=").and_then(|millis| millis.parse().ok()) {
        Some(millis) => (Duration::from_millis(millis), rest),
        None => (Duration::ZERO, commands),
    }
}

fn parse(commands: &[String]) -> Result<Vec<Step>, String> {
    let (_, commands) = queued(commands);
    if commands.is_empty() {
        return Err("commands is empty: there is no script to play".into());
    }
    commands.iter().map(|step| parse_step(step)).collect()
}

fn parse_step(step: &str) -> Result<Step, String> {
    let (word, value) = step.split_once('=').unwrap_or((step, ""));
    let unknown = || format!("program {step:?} can't be started: it is no step of a script");
    Ok(match word {
        "print" => Step::Print(value.to_owned()),
        "sleep" => Step::Sleep(Duration::from_millis(value.parse().map_err(|_| unknown())?)),
        "until" => Step::Until(Duration::from_millis(value.parse().map_err(|_| unknown())?)),
        "cue" => Step::Cue(value.to_owned()),
        "exit" => Step::End(Exit::Code(value.parse().map_err(|_| unknown())?)),
        "signal" => Step::End(Exit::Signal(value.parse().map_err(|_| unknown())?)),
        "vanish" => Step::End(Exit::Lost),
        "hang" => Step::Hang,
        "stubborn" => Step::Stubborn,
        "refuse" => return Err(value.to_owned()),
        _ => return Err(unknown()),
    })
}

#[async_trait]
impl Executor for ScriptedExecutor {
    async fn launch(&self, launches: Vec<Launch>) -> Result<(), ExecutorError> {
        let mut stage = self.inner.stage();
        for launch in launches {
            let key = launch.key;
            if stage.attempts.get(&key).is_some_and(|attempt| !attempt.forgotten) {
                continue;
            }
            let (after, _) = queued(&launch.commands);
            let attempt = Attempt {
                launch,
                state: State::Queued,
                log: Vec::new(),
                forgotten: false,
                kill_at: watch::Sender::new(None),
            };
            stage.attempts.insert(key, attempt);
            self.inner.enqueue(&mut stage, key, after);
        }
        self.inner.start_next(&mut stage);
        Ok(())
    }

    async fn cancel(&self, key: AttemptKey, grace: Duration) -> Result<(), ExecutorError> {
        let mut stage = self.inner.stage();
        let Some(attempt) = stage.attempts.get(&key) else {
            return Ok(());
        };
        match attempt.state {
            State::Queued => {
                stage.queue.retain(|queued| *queued != key);
                let state = State::Refused { reason: CANCELED_BEFORE_START.into(), at_ms: (self.inner.clock)() };
                self.inner.set(&mut stage, key, state);
            }
            State::Running { .. } => {
                kill_by(&attempt.kill_at, Instant::now() + grace);
            }
            State::Ended { .. } | State::Refused { .. } => {}
        }
        Ok(())
    }

    async fn list(&self) -> Result<Vec<Observed>, ExecutorError> {
        let stage = self.inner.stage();
        let known = stage.attempts.iter().filter(|(_, attempt)| !attempt.forgotten);
        let observed = known.map(|(key, attempt)| Observed { key: *key, state: attempt.state.clone() });
        Ok(observed.collect())
    }

    async fn forget(&self, keys: &[AttemptKey]) -> Result<(), ExecutorError> {
        let mut stage = self.inner.stage();
        for key in keys {
            if let Some(attempt) = stage.attempts.get_mut(key) {
                attempt.forgotten |= attempt.state.is_final();
            }
        }
        Ok(())
    }

    async fn events(&self) -> Result<Vec<Observed>, ExecutorError> {
        loop {
            {
                let mut stage = self.inner.stage();
                let n = stage.untold.len().min(EVENT_BATCH);
                let keys: Vec<AttemptKey> = stage.untold.drain(..n).collect();
                let told = keys.into_iter().filter_map(|key| {
                    let state = stage.attempts.get(&key)?.state.clone();
                    Some(Observed { key, state })
                });
                let events: Vec<Observed> = told.collect();
                if !events.is_empty() {
                    return Ok(events);
                }
                if std::mem::take(&mut stage.disconnected) {
                    return Err(ExecutorError::Unreachable("disconnected by the script".into()));
                }
            }
            self.inner.changed.notified().await;
        }
    }

    async fn read_log(&self, key: AttemptKey, range: LogRange) -> Result<LogReader, ExecutorError> {
        let stage = self.inner.stage();
        let attempt = stage.attempts.get(&key).ok_or(ExecutorError::NoLog(key))?;
        match attempt.state {
            State::Queued | State::Refused { .. } => Err(ExecutorError::NoLog(key)),
            _ => Ok(LogReader::new(Bytes::new(&attempt.log, range))),
        }
    }

    async fn remove(&self, job_id: Uuid) -> Result<(), ExecutorError> {
        let mut stage = self.inner.stage();
        stage.attempts.retain(|key, attempt| key.job_id != job_id || !attempt.state.is_final());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executors::conformance::{self, Does, Fixture};

    struct Stage;

    impl Fixture for Stage {
        type Executor = ScriptedExecutor;

        fn executor(&self, max_running: u32) -> ScriptedExecutor {
            ScriptedExecutor::new(max_running as usize, || 1_000)
        }

        fn commands(&self, does: &Does) -> Vec<String> {
            match does {
                Does::Exit(code) => vec![format!("exit={code}")],
                Does::Signal(number) => vec![format!("signal={number}")],
                Does::Print(lines) => lines.iter().map(|line| format!("print={line}")).collect(),
                Does::Hang => vec!["hang".into()],
                Does::HangStubbornly => {
                    vec!["stubborn".into(), "print=ready".into(), "hang".into()]
                }
                Does::CannotStart => vec!["no-such-step".into()],
            }
        }
    }

    #[tokio::test]
    async fn keeps_the_rules_of_executors() {
        conformance::all(&|| Stage).await;
    }

    /// Tells which cues came, and when, in milliseconds since the test began.
    struct Heard(tokio::sync::mpsc::UnboundedSender<(String, u128)>, Instant);

    #[async_trait]
    impl Cues for Heard {
        async fn act(&self, _key: AttemptKey, cue: &str) {
            self.0.send((cue.to_owned(), self.1.elapsed().as_millis())).unwrap();
            sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn cues_come_at_their_time_behind_the_queue() {
        let (heard, mut cues) = tokio::sync::mpsc::unbounded_channel();
        let executor = ScriptedExecutor::with_cues(1, || 1_000, Arc::new(Heard(heard, Instant::now())));
        let script = ["queue=100", "cue=a", "until=50", "cue=b", "until=20", "cue=c", "exit=3"];
        let launch = conformance::launch(script.map(str::to_owned).to_vec());
        let key = launch.key;
        executor.launch(vec![launch]).await.unwrap();
        assert_eq!(executor.list().await.unwrap(), [Observed { key, state: State::Queued }]);
        for expected in [("a", 100), ("b", 150), ("c", 160)] {
            let (cue, at) = cues.recv().await.unwrap();
            assert_eq!((cue.as_str(), at), expected);
        }
        let mut last = None;
        while !last.as_ref().is_some_and(State::is_final) {
            last = executor.events().await.unwrap().pop().map(|observed| observed.state);
        }
        assert!(matches!(last, Some(State::Ended { exit: Exit::Code(3), .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_canceled_in_the_queue_never_starts() {
        let executor = ScriptedExecutor::new(1, || 1_000);
        let launch = conformance::launch(vec!["queue=100".into(), "exit=0".into()]);
        let key = launch.key;
        executor.launch(vec![launch]).await.unwrap();
        executor.cancel(key, Duration::ZERO).await.unwrap();
        sleep(Duration::from_millis(200)).await;
        let refused = State::Refused { reason: CANCELED_BEFORE_START.into(), at_ms: 1_000 };
        assert_eq!(executor.events().await.unwrap(), [Observed { key, state: refused.clone() }]);
        assert_eq!(executor.list().await.unwrap(), [Observed { key, state: refused }]);
    }

    #[tokio::test]
    async fn a_break_is_told_once_behind_what_came_before() {
        let executor = ScriptedExecutor::new(1, || 1_000);
        let launch = conformance::launch(vec!["vanish".into()]);
        let key = launch.key;
        executor.launch(vec![launch]).await.unwrap();
        let mut states = Vec::new();
        while states.last().is_none_or(|state: &State| !state.is_final()) {
            states.extend(executor.events().await.unwrap().into_iter().map(|o| o.state));
        }
        assert!(matches!(states.last(), Some(State::Ended { exit: Exit::Lost, .. })));
        executor.disconnect();
        assert!(matches!(executor.events().await, Err(ExecutorError::Unreachable(_))));
        assert_eq!(executor.list().await.unwrap()[0].key, key);
    }
}
