use super::*;
use crate::store::memory::MemoryControl;
use crate::store::{AttemptEnd, JobChange, NewJob, Scope, Transition};
use docket_contract::history::{Actor, Cause};
use docket_contract::job::JobSpec;
use docket_contract::{Status, Timestamp};
use proptest::prelude::*;
use std::time::Duration;
use tokio::time::timeout;

/// Jobs whose events are followed.
struct Jobs {
    control: Arc<dyn ControlStore>,
    feed: Feed,
    started: u128,
}

impl Jobs {
    fn new(kept: usize, listeners: usize) -> Self {
        let control: Arc<dyn ControlStore> = Arc::new(MemoryControl::default());
        Self { feed: Feed::keeping(control.clone(), listeners, kept), control, started: 0 }
    }

    /// Starts a job: one event.
    async fn start(&mut self, organization: &str) -> StoredJob {
        self.started += 1;
        let job = NewJob {
            id: JobId(uuid::Uuid::from_u128(self.started)),
            organization: organization.to_owned(),
            user: "ann".to_owned(),
            spec: JobSpec { docker_image_url: "host".to_owned(), ..JobSpec::default() },
            status: Status::Scheduled,
            created_at: Timestamp::default(),
            rerun: None,
            scheduled: None,
        };
        self.control.insert_job(job).await.expect("stored")
    }

    /// Ends a job: another event.
    async fn cancel(&self, id: JobId) {
        let transition = Transition {
            id,
            attempt: 0,
            from: Status::Scheduled,
            claimed: false,
            to: Status::Canceled,
            at: Timestamp::default(),
            started_at: None,
            status_message: None,
            exit_code: None,
            cause: Cause::Canceled,
            actor: Actor::user("ann"),
            end: AttemptEnd::default(),
            due_at: None,
        };
        let made = self.control.transition(vec![transition]).await.expect("stored");
        assert!(made[0].is_some());
    }

    async fn report(&self, job: &StoredJob, progress: i32) {
        let change = JobChange { progress: Some(progress), ..JobChange::default() };
        let changed = self.control.change_job(&Scope::Everything, job.job.id, change, Timestamp::default()).await;
        let Ok(crate::store::Changed::Done(job)) = changed else { panic!("{changed:?}") };
        self.feed.progress(&job);
    }

    fn newest(&self) -> u64 {
        *self.control.newest_event().borrow()
    }
}

fn of(organization: &str) -> Scope {
    Scope::Organization(organization.to_owned())
}

async fn next(follower: &mut Follower) -> Next {
    timeout(Duration::from_secs(3600), follower.next()).await.expect("in time").expect("the store is well")
}

/// The ids in frames.
fn ids(frames: &[u8]) -> Vec<u64> {
    let text = std::str::from_utf8(frames).expect("UTF-8");
    text.lines().filter_map(|line| line.strip_prefix("id: ")?.parse().ok()).collect()
}

/// Reads until the event `last`; answers the ids of all that came.
async fn read_to(follower: &mut Follower, last: u64) -> Vec<u64> {
    let mut seen = Vec::new();
    while seen.last().is_none_or(|id| *id < last) {
        match next(follower).await {
            Next::Frames(frames) => seen.extend(ids(&frames)),
            other => panic!("{other:?}"),
        }
    }
    seen
}

/// What is done to a feed.
#[derive(Clone, Debug)]
enum Step {
    Start(usize),
    Cancel(usize),
    /// Somebody begins to follow: an organization, or everything, from so many events back.
    Follow(Option<usize>, u64),
    Read(usize),
    Leave(usize),
    /// Lets the task work.
    Yield,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0usize..2).prop_map(Step::Start),
        3 => any::<usize>().prop_map(Step::Cancel),
        2 => (prop::option::of(0usize..2), 0u64..40).prop_map(|(whose, back)| Step::Follow(whose, back)),
        3 => any::<usize>().prop_map(Step::Read),
        1 => any::<usize>().prop_map(Step::Leave),
        2 => Just(Step::Yield),
    ]
}

struct Reader {
    follower: Follower,
    organization: Option<&'static str>,
    after: u64,
    seen: Vec<u64>,
}

async fn play(kept: usize, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let organizations = ["a", "b"];
    let mut jobs = Jobs::new(kept, 1000);
    let mut open: Vec<JobId> = Vec::new();
    let mut readers: Vec<Reader> = Vec::new();
    let expected = async |jobs: &Jobs, reader: &Reader| {
        let all = jobs.control.events_after(reader.after, usize::MAX).await.expect("readable");
        let own = all.iter().filter(|event| reader.organization.is_none_or(|own| own == event.organization));
        own.map(|event| event.id).collect::<Vec<_>>()
    };
    for step in steps {
        match step {
            Step::Start(whose) => open.push(jobs.start(organizations[whose]).await.job.id),
            Step::Cancel(which) if !open.is_empty() => {
                let job = open.swap_remove(which % open.len());
                jobs.cancel(job).await;
            }
            Step::Follow(whose, back) => {
                let organization = whose.map(|whose| organizations[whose]);
                let after = jobs.newest().saturating_sub(back);
                let scope = organization.map_or(Scope::Everything, of);
                let after_or_now = (back > 0).then_some(after);
                let follower = jobs.feed.follow(Whose::Jobs(scope), Vec::new(), after_or_now, None).expect("room");
                readers.push(Reader { follower, organization, after, seen: Vec::new() });
            }
            Step::Read(which) if !readers.is_empty() => {
                let which = which % readers.len();
                let reader = &mut readers[which];
                if expected(&jobs, reader).await.len() > reader.seen.len() {
                    let Next::Frames(frames) = next(&mut reader.follower).await else { panic!("it is open") };
                    reader.seen.extend(ids(&frames));
                }
            }
            Step::Leave(which) if !readers.is_empty() => {
                let which = which % readers.len();
                drop(readers.swap_remove(which));
            }
            Step::Yield => tokio::task::yield_now().await,
            Step::Cancel(_) | Step::Read(_) | Step::Leave(_) => {}
        }
    }
    for reader in &mut readers {
        let expected = expected(&jobs, reader).await;
        while reader.seen.len() < expected.len() {
            let Next::Frames(frames) = next(&mut reader.follower).await else { panic!("it is open") };
            reader.seen.extend(ids(&frames));
        }
        prop_assert_eq!(&reader.seen, &expected);
    }
    drop(readers);
    prop_assert_eq!(jobs.feed.shared.state().topics.listeners(), 0);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn each_reader_gets_every_event_once_and_in_order(kept in 1usize..12, steps in prop::collection::vec(step(), 0..120)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.expect("a runtime").block_on(play(kept, steps))?;
    }
}

#[tokio::test(start_paused = true)]
async fn one_job_is_followed_to_its_end() {
    let mut jobs = Jobs::new(KEPT, 10);
    let (job, other) = (jobs.start("a").await, jobs.start("a").await);
    let whose = Whose::Job(of("a"), job.job.id);
    let mut follower = jobs.feed.follow(whose.clone(), Vec::new(), Some(0), None).expect("room");
    assert_eq!(read_to(&mut follower, 1).await, [1]);
    jobs.cancel(other.job.id).await;
    assert_eq!(next(&mut follower).await, Next::Quiet);
    jobs.cancel(job.job.id).await;
    assert_eq!(read_to(&mut follower, 4).await, [4]);
    assert_eq!(next(&mut follower).await, Next::Ended(Some(Status::Canceled)));
    // Behind its last event there is only the end.
    let mut late = jobs.feed.follow(whose.clone(), Vec::new(), Some(4), Some(Status::Canceled)).expect("room");
    assert_eq!(next(&mut late).await, Next::Ended(Some(Status::Canceled)));
    jobs.control.delete_job(&of("a"), job.job.id).await.expect("deleted");
    let mut gone = jobs.feed.follow(whose, Vec::new(), Some(0), None).expect("room");
    assert_eq!(next(&mut gone).await, Next::Ended(None));
}

#[tokio::test(start_paused = true)]
async fn a_deleted_job_ends_its_followers_also_if_its_end_was_never_told() {
    let mut jobs = Jobs::new(KEPT, 10);
    let job = jobs.start("a").await.job.id;
    let mut follower = jobs.feed.follow(Whose::Job(of("a"), job), Vec::new(), Some(0), None).expect("room");
    read_to(&mut follower, 1).await;
    // Nothing between lets the task read.
    jobs.cancel(job).await;
    jobs.control.delete_job(&of("a"), job).await.expect("deleted");
    jobs.feed.gone(job);
    assert_eq!(next(&mut follower).await, Next::Ended(None));
}

#[tokio::test(start_paused = true)]
async fn statuses_are_chosen() {
    let mut jobs = Jobs::new(KEPT, 10);
    let statuses = vec![Status::Canceled];
    let mut live = jobs.feed.follow(Whose::Jobs(of("a")), statuses.clone(), None, None).expect("room");
    let job = jobs.start("a").await.job.id;
    jobs.cancel(job).await;
    let mut later = jobs.feed.follow(Whose::Jobs(of("a")), statuses, Some(0), None).expect("room");
    assert_eq!(read_to(&mut live, 2).await, [2]);
    assert_eq!(read_to(&mut later, 2).await, [2]);
}

#[tokio::test(start_paused = true)]
async fn listeners_are_bounded_and_end_with_the_feed() {
    let jobs = Jobs::new(KEPT, 2);
    let follow = || jobs.feed.follow(Whose::Jobs(Scope::Everything), Vec::new(), None, None);
    let mut first = follow().expect("room");
    let second = follow().expect("room");
    assert_eq!(follow().err().map(|error| error.code), Some(Code::Overloaded));
    drop(second);
    let third = follow();
    assert!(third.is_ok(), "who leaves makes room");
    let waiting = tokio::spawn(async move { next(&mut first).await });
    tokio::task::yield_now().await;
    jobs.feed.close();
    assert_eq!(waiting.await.expect("no panic"), Next::Closed);
    assert_eq!(follow().err().map(|error| error.code), Some(Code::ShuttingDown));
}

#[tokio::test(start_paused = true)]
async fn of_many_reports_the_first_and_the_newest_are_told() {
    let mut jobs = Jobs::new(KEPT, 10);
    let job = jobs.start("a").await;
    let mut follower = jobs.feed.follow(Whose::Jobs(of("a")), Vec::new(), None, None).expect("room");
    for progress in 1..=99 {
        jobs.report(&job, progress).await;
    }
    let told = async |follower: &mut Follower| match next(follower).await {
        Next::Frames(frames) => String::from_utf8(frames.to_vec()).expect("UTF-8"),
        other => panic!("{other:?}"),
    };
    let first = told(&mut follower).await;
    assert!(first.starts_with("event: progress\n") && first.contains("\"progress\":1}"), "{first}");
    let second = told(&mut follower).await;
    assert!(second.contains("\"progress\":99}"), "{second}");
    assert_eq!(next(&mut follower).await, Next::Quiet);
    // Before a transition what waits is told first.
    jobs.report(&job, 3).await;
    jobs.report(&job, 4).await;
    jobs.cancel(job.job.id).await;
    let mut rest = String::new();
    while !rest.contains("CANCELED") {
        rest.push_str(&told(&mut follower).await);
    }
    let place = |part: &str| rest.find(part).unwrap_or_else(|| panic!("no {part} in {rest}"));
    assert!(place("\"progress\":3}") < place("\"progress\":4}") && place("\"progress\":4}") < place("CANCELED"));
}
