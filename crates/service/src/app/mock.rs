//! `docket mock`: the mock by itself, or the real service playing a scenario, in memory.

use super::{StartError, io_error, ready, url};
use crate::clock::{Clock, SystemClock};
use crate::compare::{CompareOptions, Comparisons};
use crate::engine::{Engine, LaneSettings, LaunchSettings, Schedules};
use crate::executors::Executor;
use crate::faces::docs;
use crate::faces::listener::{self, ServerOptions};
use crate::faces::rest::{RestOptions, RestState};
use crate::feed::{Feed, Growth};
use crate::handler::Live;
use crate::mock::scenario::{Director, Faulty, Scenario};
use crate::mock::{self, Everybody};
use crate::operations::{
    AllowedImages, Attachments, Counting, Erasures, Executors, Exports, Gates, JobIds, Retention, RetentionSettings,
    Service, retention,
};
use crate::secrets::{self, Secrets};
use crate::store::memory::{MemoryControl, MemoryFiles, MemoryResults};
use crate::store::queue::Limits;
use crate::store::{ControlStore, ResultStore, RetentionStore, ScheduleStore};
use crate::webhooks::Guard;
use axum::Router;
use docket_contract::job::ExecutorKind;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Bytes of log that a job's environment names as kept; a scenario's lines are few.
const LOG_LIMIT: u64 = 10 << 20;

/// Most bytes of an attachment of a scenario.
const ATTACHMENT_BYTES: u64 = 16 << 20;

/// What the mock server needs to know.
#[derive(Debug)]
pub struct MockSettings {
    /// Where to listen. No key is needed, wherever that is.
    pub listen: SocketAddr,
    /// What to play; without one every operation answers with its example.
    pub scenario: Option<Scenario>,
}

/// A mock server that listens, but does not answer yet.
pub struct MockApp {
    listener: TcpListener,
    address: SocketAddr,
    router: Router,
    /// What runs the jobs of a scenario, and tells of them.
    playing: Option<(Duties, Feed)>,
}

/// What works beside the answers.
struct Duties {
    engine: Engine,
    schedules: Schedules,
    /// Makes rounds of retention for those who ask.
    service: Arc<Service>,
}

impl MockApp {
    /// Binds the address.
    pub async fn start(settings: MockSettings) -> Result<Self, StartError> {
        let listener =
            TcpListener::bind(settings.listen).await.map_err(io_error(&format!("listen {}", settings.listen)))?;
        let address = listener.local_addr().map_err(io_error("listen"))?;
        let (router, playing) = match settings.scenario {
            Some(scenario) => {
                let (router, duties, feed) = stage(scenario, url(address))?;
                (router, Some((duties, feed)))
            }
            None => (mock::router(RestOptions::default()), None),
        };
        let router = router.merge(docs::router(&[]));
        Ok(Self { listener, address, router, playing })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` is ready; then finishes what is in flight.
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        tracing::info!(url = url(self.address), scenario = self.playing.is_some(), "listening");
        let (stopping, stopped) = watch::channel(false);
        let (duties, feed) = self.playing.unzip();
        let playing = duties.map(|Duties { engine, schedules, service }| {
            let retention = retention::run(service, stopped.clone());
            tokio::spawn(async move { tokio::join!(engine.run(stopped.clone()), schedules.run(stopped), retention) })
        });
        let stop = async move {
            stop.await;
            feed.iter().for_each(Feed::close);
        };
        let served = listener::serve(self.listener, self.router, ServerOptions::default(), stop).await;
        if let Some(playing) = playing {
            // The engine may have failed, and then hears nothing.
            let _ = stopping.send(true);
            if tokio::time::timeout(super::ENGINE_STOP, playing).await.is_err() {
                tracing::warn!("the engine did not stop in time");
            }
        }
        served
    }
}

/// The real service on stores in memory, with jobs that live as the scenario says, at the paths of the mock.
fn stage(scenario: Scenario, url: String) -> Result<(Router, Duties, Feed), StartError> {
    let scenario = Arc::new(scenario);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let control = Arc::new(MemoryControl::default());
    let schedules: Arc<dyn ScheduleStore> = control.clone();
    let policies: Arc<dyn RetentionStore> = control.clone();
    let control: Arc<dyn ControlStore> = control;
    let mut key = [0; 32];
    secrets::random(&mut key).map_err(io_error("the secret"))?;
    let secrets = Arc::new(Secrets::new(&key));
    let director = Arc::new(Director::new(Arc::clone(&scenario), control.clone(), clock.clone()));
    let launch = LaunchSettings { url, log_limit_bytes: LOG_LIMIT, max_processes: None };
    let lane = LaneSettings {
        kind: ExecutorKind::Process,
        executor: Arc::clone(&director) as Arc<dyn Executor>,
        slots: scenario.slots(),
        launch: launch.clone(),
    };
    let results: Arc<dyn ResultStore> = Arc::new(MemoryResults::default());
    let engine = Engine::new(
        control.clone(),
        results.clone(),
        clock.clone(),
        secrets.clone(),
        Limits::default(),
        vec![lane],
        launch,
    );
    let feed = Feed::new(control.clone(), ServerOptions::default().max_connections / 4 * 3);
    let comparisons = Comparisons::open(None, results.clone(), clock.clone(), CompareOptions::default());
    let comparisons = comparisons.map_err(io_error("the comparisons"))?;
    let service = Arc::new(Service {
        control: control.clone(),
        schedules: schedules.clone(),
        results,
        engine: engine.clone(),
        clock: clock.clone(),
        secrets,
        images: AllowedImages::Any,
        executors: Executors::default(),
        // Nothing is delivered here; what a server would refuse is refused.
        webhooks: Guard::default(),
        ids: JobIds::default(),
        attachments: Attachments::new(Arc::new(MemoryFiles::default()), ATTACHMENT_BYTES),
        exports: Exports::default(),
        gates: Gates::default(),
        feed: feed.clone(),
        growth: Growth::default(),
        comparisons,
        counting: Counting::default(),
        erasures: Erasures::default(),
        retention: Retention::new(policies, RetentionSettings::default()),
    });
    director.direct(&service);
    let schedules = engine.schedules(schedules, service.clone());
    let run = service.ids.next(clock.now());
    let state = Arc::new(RestState::new(
        Faulty::new(Live(service.clone()), &scenario),
        Arc::new(Everybody),
        control.clone(),
        clock,
        run,
        ready(control),
        RestOptions::default(),
    ));
    Ok((mock::everywhere(state), Duties { engine, schedules, service }, feed))
}
