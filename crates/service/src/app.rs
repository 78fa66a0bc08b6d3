//! The one place that chooses concrete types: from settings to a server that runs.

pub mod mock;

use crate::access::Keys;
use crate::clock::{Clock, SystemClock};
use crate::compare::{CompareOptions, Comparisons, Regressions};
use crate::data::{self, ATTACHMENTS_DIRECTORY, COMPARISONS_DIRECTORY, CONTROL_FILE, RESULTS_DIRECTORY};
use crate::engine::{Engine, LaneSettings, LaunchSettings};
use crate::executors::docker::{self, DockerExecutor, DockerSettings};
use crate::executors::process::policy::{Policy, Powers, Unenforced, Users};
use crate::executors::process::{ProcessExecutor, ProcessSettings};
use crate::faces::docs;
use crate::faces::listener::{self, ServerOptions};
use crate::faces::rest::{self, BodyLimits, Ready, RestOptions, RestState};
use crate::faces::soap::{self, SoapOptions};
use crate::feed::{Feed, Growth};
use crate::handler::Live;
use crate::operations::{
    AllowedImages, Attachments, Counting, Erasures, Executors, Exports, Gates, JobIds, Retention, RetentionSettings,
    Service, expire, retention, sweep,
};
use crate::secrets::Secrets;
use crate::store::disk::DiskFiles;
use crate::store::files::FileStore;
use crate::store::queue::Limits;
use crate::store::sqlite::{ResultsOptions, SqliteControl, SqliteResults};
use crate::store::{ControlStore, ResultStore, RetentionStore, ScheduleStore, StoreError};
use crate::webhooks::{WebhookSettings, Webhooks};
use docket_contract::job::ExecutorKind;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// How long the engine may take to stop.
const ENGINE_STOP: Duration = Duration::from_secs(5);

/// What the server needs to know; all checked but for what only starting can tell.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The data directory; made with mode 0700 when missing.
    pub data: PathBuf,
    /// Most jobs that run at once; 0 runs none.
    pub slots: usize,
    /// What runs the jobs that do not say.
    pub executor: ExecutorKind,
    /// Where running jobs reach this server, if not at the address it listens on.
    pub public_url: Option<String>,
    /// How many jobs may run at once, beside the slots.
    pub limits: Limits,
    /// Which images may be started.
    pub images: AllowedImages,
    /// Bytes of log kept of an attempt.
    pub log_limit_bytes: u64,
    /// The key behind page and job tokens, if not the data directory's own.
    pub secret: Option<[u8; 32]>,
    /// Largest request body once decompressed.
    pub max_body_bytes: usize,
    /// Most bytes of request bodies held at a time.
    pub body_memory_bytes: usize,
    /// Most bytes of an attachment.
    pub attachment_bytes: u64,
    /// Most exports at a time.
    pub max_exports: usize,
    /// Most connections at a time.
    pub max_connections: usize,
    /// How long a client may take none of the bytes sent to it.
    pub stall_timeout: Duration,
    /// What requests in flight get when the server stops.
    pub shutdown_timeout: Duration,
    /// Which addresses webhooks may reach, and when they are tried again.
    pub webhooks: WebhookSettings,
    /// Whether `X-Forwarded-…` come from a proxy that can be trusted to set them.
    pub trust_proxy: bool,
    /// As whom jobs run as processes: a name, `UID`, `UID:GID` or `FIRST-LAST`.
    pub job_user: Option<String>,
    /// Most processes and threads of an attempt; 0 sets no bound.
    pub max_processes: u64,
    /// What becomes of jobs whose limits this machine can't enforce.
    pub unenforced_limits: Unenforced,
    /// What comparisons of results may take.
    pub compare: CompareOptions,
    /// What is removed by itself.
    pub retention: RetentionSettings,
    /// Where jobs run as containers, if they may.
    pub docker: Option<DockerLane>,
}

/// How jobs run as containers.
#[derive(Clone, Debug)]
pub struct DockerLane {
    /// The daemon and what containers may do; data directory and number are filled in at the start.
    pub executor: DockerSettings,
    /// Most containers at once; 0 runs none.
    pub slots: usize,
    /// Where containers reach this server, if the network does not tell.
    pub url: Option<String>,
}

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting does not fit the machine or another setting.
    #[error("{0}")]
    Settings(String),
    /// A store can't be opened.
    #[error("{what}: {source}")]
    Store {
        /// Which one.
        what: &'static str,
        /// Why.
        source: StoreError,
    },
    /// A file or the network failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
}

/// A server that has everything it needs and listens, but does not answer yet.
pub struct App {
    settings: Settings,
    listener: TcpListener,
    address: SocketAddr,
    control: Arc<dyn ControlStore>,
    results: Arc<dyn ResultStore>,
    files: Arc<dyn FileStore>,
    engine: Engine,
    feed: Feed,
    service: Arc<Service>,
    webhooks: Webhooks,
    router: axum::Router,
    /// Held as long as the server lives: two servers never share a data directory.
    _lock: File,
}

impl App {
    /// Opens the stores and binds the address.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        let data = &settings.data;
        let refused = |error| StartError::Settings(format!("data {}: {error}", data.display()));
        let lock = data::claim(data).map_err(refused)?;
        let secrets = Arc::new(match &settings.secret {
            Some(key) => Secrets::new(key),
            None => Secrets::load(data).map_err(io_error("the secret"))?,
        });
        let (control, results) = open_stores(data.clone()).await?;
        let schedules: Arc<dyn ScheduleStore> = control.clone();
        let policies: Arc<dyn RetentionStore> = control.clone();
        let control: Arc<dyn ControlStore> = control;
        let loopback = settings.listen.ip().is_loopback();
        let keys = control.has_keys().await.map_err(|source| StartError::Store { what: CONTROL_FILE, source })?;
        if !keys && !loopback {
            let message =
                "listen: without keys the server listens on loopback only; make one with `docket keys create`";
            return Err(StartError::Settings(message.to_owned()));
        }
        let listener =
            TcpListener::bind(settings.listen).await.map_err(io_error(&format!("listen {}", settings.listen)))?;
        let address = listener.local_addr().map_err(io_error("listen"))?;
        if !keys {
            tracing::warn!("no key is configured: everybody on this machine is administrator");
        }

        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let users = Users::resolve(settings.job_user.as_deref(), &Powers::of_this_process());
        let policy = Policy { users: users.map_err(StartError::Settings)?, unenforced: settings.unenforced_limits };
        let executor = ProcessExecutor::new(ProcessSettings {
            data: data.clone(),
            program: PathBuf::from("/proc/self/exe"),
            arguments: vec!["supervise".to_owned()],
            max_running: u32::try_from(settings.slots.max(1)).unwrap_or(u32::MAX),
            policy,
        })
        .map_err(io_error("the process executor"))?;
        let launch = LaunchSettings {
            url: settings.public_url.clone().unwrap_or_else(|| url(address)),
            log_limit_bytes: settings.log_limit_bytes,
            max_processes: (settings.max_processes > 0).then_some(settings.max_processes),
        };
        let lane = LaneSettings {
            kind: ExecutorKind::Process,
            executor: Arc::new(executor),
            slots: settings.slots,
            launch: launch.clone(),
        };
        let mut lanes = vec![lane];
        if let Some(docker) = &settings.docker {
            lanes.push(docker_lane(&settings, docker, address)?);
        }
        let configured = lanes.iter().map(|lane| lane.kind).chain([ExecutorKind::Worker]).collect();
        let executors = Executors::new(settings.executor, configured);
        let executors = executors.map_err(StartError::Settings)?;
        let engine = Engine::new(
            control.clone(),
            results.clone(),
            clock.clone(),
            secrets.clone(),
            settings.limits.clone(),
            lanes,
            launch,
        );
        // The rest of the connections is for everybody else.
        let feed = Feed::new(control.clone(), settings.max_connections / 4 * 3);
        let told = feed.clone();
        engine.workers().on_progress(move |job| told.progress(job));
        let ids = JobIds::default();
        let run = ids.next(clock.now());
        let files = data.join(ATTACHMENTS_DIRECTORY);
        let files = tokio::task::spawn_blocking(move || DiskFiles::open(&files, run.0)).await;
        let files = files.map_err(io::Error::other).flatten().map_err(io_error(ATTACHMENTS_DIRECTORY))?;
        let files: Arc<dyn FileStore> = Arc::new(files);
        let (directory, options) = (data.join(COMPARISONS_DIRECTORY), settings.compare.clone());
        let (compared, told) = (results.clone(), clock.clone());
        let comparisons =
            tokio::task::spawn_blocking(move || Comparisons::open(Some(directory), compared, told, options)).await;
        let comparisons = comparisons.map_err(io::Error::other).flatten().map_err(io_error(COMPARISONS_DIRECTORY))?;
        let service = Arc::new(Service {
            control: control.clone(),
            schedules,
            results: results.clone(),
            engine: engine.clone(),
            clock: clock.clone(),
            secrets: secrets.clone(),
            images: settings.images.clone(),
            executors,
            webhooks: settings.webhooks.guard.clone(),
            ids,
            attachments: Attachments::new(files.clone(), settings.attachment_bytes),
            exports: Exports::new(settings.max_exports),
            gates: Gates::default(),
            feed: feed.clone(),
            growth: Growth::default(),
            comparisons,
            counting: Counting::default(),
            erasures: Erasures::default(),
            retention: Retention::new(policies, settings.retention.clone()),
        });
        let webhooks = Webhooks::new(control.clone(), clock.clone(), secrets.clone(), settings.webhooks.clone());
        let bodies = BodyLimits {
            max_bytes: settings.max_body_bytes,
            max_bytes_in_memory: settings.body_memory_bytes,
            ..BodyLimits::default()
        };
        // Whoever can reach the server can use the mock: its bodies get a share of the memory of their own.
        let mock = BodyLimits { max_bytes_in_memory: bodies.max_bytes, ..bodies.clone() };
        let mock = crate::mock::operations(RestOptions { bodies: mock, ..RestOptions::default() });
        let faces = Arc::new(RestState::new(
            Live(service.clone()),
            Arc::new(Keys::new(control.clone(), secrets, loopback)),
            control.clone(),
            clock,
            run,
            ready(control.clone()),
            RestOptions { bodies, ..RestOptions::default() },
        ));
        let docs = docs::router(&[(crate::mock::PATH, "A mock: answers with examples, keeps nothing")]);
        let soap = soap::router(Arc::clone(&faces), SoapOptions { trust_proxy: settings.trust_proxy });
        let router = rest::router(faces).merge(soap).nest(crate::mock::PATH, mock).merge(docs);
        Ok(Self {
            settings,
            listener,
            address,
            control,
            results,
            files,
            engine,
            feed,
            service,
            webhooks,
            router,
            _lock: lock,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers and runs jobs until `stop` is ready; then finishes what is in flight. Jobs go on without the server.
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        tracing::info!(url = url(self.address), data = %self.settings.data.display(), "listening");
        let (stopping, stopped) = watch::channel(false);
        let webhooks = tokio::spawn(self.webhooks.run(stopped.clone()));
        let engine = self.engine.clone();
        let expiry = expire::run(self.service.clone(), stopped.clone());
        let retention = retention::run(self.service.clone(), stopped.clone());
        let comparisons = self.service.comparisons.clone();
        let regressions = Regressions::new(self.control.clone(), comparisons.clone(), self.service.clock.clone());
        let comparisons = comparisons.run(stopped.clone());
        let regressions = regressions.run(stopped.clone());
        let comparisons = tokio::spawn(async move { tokio::join!(comparisons, regressions) });
        let schedules = engine.schedules(self.service.schedules.clone(), self.service.clone());
        let schedules = schedules.run(stopped.clone());
        let engine = tokio::spawn(async move { tokio::join!(engine.run(stopped), expiry, retention, schedules) });
        let (control, files) = (self.control.clone(), self.files.clone());
        let sweeping = tokio::spawn(async move {
            match sweep(&*control, &*files).await {
                Ok(0) => {}
                Ok(swept) => tracing::info!(swept, "removed what broken off attachments had left"),
                Err(error) => tracing::error!(%error, "sweeping attachments failed"),
            }
        });
        let options = ServerOptions {
            max_connections: self.settings.max_connections,
            stall_timeout: self.settings.stall_timeout,
            drain_timeout: self.settings.shutdown_timeout,
            ..ServerOptions::default()
        };
        let (feed, workers) = (self.feed, self.engine.workers().clone());
        let stop = async move {
            stop.await;
            // Requests that have an end get the time to come to it; these have none.
            feed.close();
            // Claims that wait have one, but would hold the stop up.
            workers.send_home();
        };
        let served = listener::serve(self.listener, self.router, options, stop).await;
        tracing::info!("stopping; jobs go on under their supervisor");
        // The engine's receivers live as long as it does: a send without one needs no answer.
        let _ = stopping.send(true);
        if tokio::time::timeout(ENGINE_STOP, engine).await.is_err() {
            tracing::warn!("the engine did not stop in time");
        }
        if let Err(error) = webhooks.await {
            tracing::error!(%error, "the webhooks failed");
        }
        if let Err(error) = comparisons.await {
            tracing::error!(%error, "the comparisons failed");
        }
        // What is left of it is for the next start.
        sweeping.abort();
        self.results.close().await;
        self.control.close().await;
        served
    }
}

fn docker_lane(settings: &Settings, docker: &DockerLane, address: SocketAddr) -> Result<LaneSettings, StartError> {
    let executor = DockerExecutor::new(DockerSettings {
        data: settings.data.clone(),
        max_running: u32::try_from(docker.slots.max(1)).unwrap_or(u32::MAX),
        ..docker.executor.clone()
    })
    .map_err(io_error("the docker executor"))?;
    let on_host = matches!(docker.executor.network.as_str(), "host" | "none");
    let told = docker.url.clone().or_else(|| settings.public_url.clone());
    if told.is_none() && !on_host && address.ip().is_loopback() {
        tracing::warn!("containers can't reach a server that listens on loopback only; see docker-url and listen");
    }
    let by_network = || if on_host { url(address) } else { format!("http://{}:{}", docker::HOST_NAME, address.port()) };
    Ok(LaneSettings {
        kind: ExecutorKind::Docker,
        executor: Arc::new(executor),
        slots: docker.slots,
        launch: LaunchSettings {
            url: told.unwrap_or_else(by_network),
            log_limit_bytes: settings.log_limit_bytes,
            max_processes: (settings.max_processes > 0).then_some(settings.max_processes),
        },
    })
}

/// Ready is who can read the control plane.
fn ready(control: Arc<dyn ControlStore>) -> Ready {
    Box::new(move || {
        let control = control.clone();
        Box::pin(async move { control.has_keys().await.map(|_| ()).map_err(|error| error.to_string()) })
    })
}

fn url(address: SocketAddr) -> String {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        std::net::IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        std::net::IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    format!("http://{}", SocketAddr::new(ip, address.port()))
}

/// Opening reads and may migrate: not on an async thread.
async fn open_stores(data: PathBuf) -> Result<(Arc<SqliteControl>, Arc<dyn ResultStore>), StartError> {
    let open = move || {
        let control = SqliteControl::open(&data.join(CONTROL_FILE))
            .map_err(|source| StartError::Store { what: CONTROL_FILE, source })?;
        let results = SqliteResults::open(&data.join(RESULTS_DIRECTORY), ResultsOptions::default())
            .map_err(|source| StartError::Store { what: RESULTS_DIRECTORY, source })?;
        Ok((Arc::new(control), Arc::new(results) as Arc<dyn ResultStore>))
    };
    match tokio::task::spawn_blocking(open).await {
        Ok(opened) => opened,
        Err(error) => Err(StartError::Io { what: "opening the stores".to_owned(), source: io::Error::other(error) }),
    }
}

fn io_error(what: &str) -> impl FnOnce(io::Error) -> StartError {
    let what = what.to_owned();
    move |source| StartError::Io { what, source }
}
