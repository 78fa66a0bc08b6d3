//! The settings of the server: flags, `DOCKET_…` variables and a TOML file, in this order of strength.
//!
//! Every setting has one name in three spellings: `--log-limit`, `DOCKET_LOG_LIMIT`, `log-limit`.

mod docker;

use crate::failure::Failure;
use crate::limits::{self, OrganizationLimits, TypeLimit};
use crate::retention;
use clap::Args;
use docket_contract::job::ExecutorKind;
use docket_service::app;
use docket_service::compare::CompareOptions;
use docket_service::executors::process::policy::Unenforced;
use docket_service::operations::AllowedImages;
use docket_service::webhooks::{Guard, Schedule, WebhookSettings};
use ipnet::IpNet;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Declares the settings once, for clap and TOML, and how a stronger source goes before a weaker one.
macro_rules! settings {
    ($($(#[$meta:meta])* $name:ident: $type:ty,)+) => {
        /// What `docket serve` can be told.
        #[derive(Args, Clone, Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        pub(crate) struct ServeArguments {
            $($(#[$meta])* $name: Option<$type>,)+
        }

        impl ServeArguments {
            /// These settings, and what they do not say as `weaker` says.
            fn or(self, weaker: Self) -> Self {
                Self { $($name: self.$name.or(weaker.$name),)+ }
            }
        }
    };
}

settings! {
    /// A TOML file with settings.
    #[arg(long, env = "DOCKET_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    config: PathBuf,
    /// Address and port to listen on; without keys only loopback [default: 127.0.0.1:8080].
    #[arg(long, env = "DOCKET_LISTEN", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// The data directory [default: ./docket-data].
    #[arg(long, env = "DOCKET_DATA", value_name = "DIR")]
    data: PathBuf,
    /// Most jobs that run at once; 0 runs none [default: number of cores].
    #[arg(long, env = "DOCKET_SLOTS", value_name = "N")]
    slots: usize,
    /// What runs the jobs that do not say: process, docker, kubernetes or worker [default: process].
    #[arg(long, env = "DOCKET_EXECUTOR", value_name = "KIND")]
    executor: ExecutorKind,
    /// Most jobs of an organization that run at once; 0 runs none [default: any number].
    #[arg(long, env = "DOCKET_JOBS_PER_ORGANIZATION", value_name = "N")]
    jobs_per_organization: usize,
    /// Most jobs of a type that an organization runs at once; repeat or separate by commas [default: any number].
    #[arg(long, env = "DOCKET_JOBS_PER_TYPE", value_name = "TYPE=N", value_delimiter = ',')]
    #[serde(default, deserialize_with = "limits::table")]
    jobs_per_type: Vec<TypeLimit>,
    /// The same for single organizations.
    #[arg(skip)]
    organizations: BTreeMap<String, OrganizationLimits>,
    /// Where running jobs reach this server [default: the address it listens on].
    #[arg(long, env = "DOCKET_PUBLIC_URL", value_name = "URL")]
    public_url: String,
    /// Images whose jobs may run, or prefixes ending in *; repeat or separate by commas
    /// [default: any on loopback, none otherwise].
    #[arg(long = "allow-image", env = "DOCKET_ALLOW_IMAGE", value_name = "IMAGE", value_delimiter = ',')]
    allow_image: Vec<String>,
    /// Bytes of log kept of an attempt: the first half and the newest half [default: 10485760].
    #[arg(long, env = "DOCKET_LOG_LIMIT", value_name = "BYTES")]
    log_limit: u64,
    /// The key behind page and job tokens: 64 hexadecimal digits [default: secret.key in the data directory].
    #[arg(long, env = "DOCKET_SECRET", value_name = "HEX", hide_env_values = true)]
    secret: String,
    /// Largest request body, in bytes, once decompressed [default: 100663296].
    #[arg(long, env = "DOCKET_MAX_BODY", value_name = "BYTES")]
    max_body: usize,
    /// Most bytes of request bodies held at a time [default: 134217728].
    #[arg(long, env = "DOCKET_BODY_MEMORY", value_name = "BYTES")]
    body_memory: usize,
    /// Largest attachment, in bytes [default: 67108864].
    #[arg(long, env = "DOCKET_MAX_ATTACHMENT", value_name = "BYTES")]
    max_attachment: u64,
    /// Most exports at a time; further ones are refused for a while [default: 4].
    #[arg(long, env = "DOCKET_MAX_EXPORTS", value_name = "N")]
    max_exports: usize,
    /// Memory of the comparison of results that is being made, in bytes [default: 67108864].
    #[arg(long, env = "DOCKET_COMPARE_MEMORY", value_name = "BYTES")]
    compare_memory: usize,
    /// Bytes of comparisons that are kept on disk for their pages [default: 1073741824].
    #[arg(long, env = "DOCKET_COMPARE_CACHE", value_name = "BYTES")]
    compare_cache: u64,
    /// Seconds after which a comparison that nobody asked for is removed [default: 86400].
    #[arg(long, env = "DOCKET_COMPARE_KEEP", value_name = "SECONDS")]
    compare_keep: u64,
    /// Seconds that a request waits for a comparison that is being made [default: 60].
    #[arg(long, env = "DOCKET_COMPARE_WAIT", value_name = "SECONDS")]
    compare_wait: u64,
    /// Seconds between two rounds of retention, which remove what policies don't keep; 0 makes none [default: 3600].
    #[arg(long, env = "DOCKET_RETENTION_EVERY", value_name = "SECONDS")]
    retention_every: u64,
    /// Policies of retention.
    #[arg(skip)]
    retention: Vec<retention::Policy>,
    /// Most connections at a time; further ones wait [default: 10000].
    #[arg(long, env = "DOCKET_MAX_CONNECTIONS", value_name = "N")]
    max_connections: usize,
    /// Seconds in which a client takes none of the bytes sent to it, after which it is cut off [default: 60].
    #[arg(long, env = "DOCKET_STALL_TIMEOUT", value_name = "SECONDS")]
    stall_timeout: u64,
    /// Seconds that requests in flight get when the server stops [default: 20].
    #[arg(long, env = "DOCKET_SHUTDOWN_TIMEOUT", value_name = "SECONDS")]
    shutdown_timeout: u64,
    /// Networks that webhooks may reach besides public addresses, such as 10.1.0.0/16; repeat or separate by commas
    /// [default: none].
    #[arg(long = "webhook-allow", env = "DOCKET_WEBHOOK_ALLOW", value_name = "NETWORK", value_delimiter = ',')]
    webhook_allow: Vec<String>,
    /// Seconds between the attempts to tell a webhook; repeat or separate by commas
    /// [default: 5,300,1800,7200,18000,36000,50400,72000,86400].
    #[arg(long = "webhook-retries", env = "DOCKET_WEBHOOK_RETRIES", value_name = "SECONDS", value_delimiter = ',')]
    webhook_retries: Vec<f64>,
    /// Believe X-Forwarded-Proto, -Host, -Port and -Prefix: a proxy in front sets them [default: false].
    #[arg(long, env = "DOCKET_TRUST_PROXY", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    trust_proxy: bool,
    /// As whom jobs run as processes: a name, UID, UID:GID or FIRST-LAST, where each running job is one of its own
    /// [default: 80000-89999 when the server is root, else its own user].
    #[arg(long, env = "DOCKET_JOB_USER", value_name = "USER")]
    job_user: String,
    /// Most processes and threads of a job at a time; 0 sets no bound [default: 1024].
    #[arg(long, env = "DOCKET_MAX_PROCESSES", value_name = "N")]
    max_processes: u64,
    /// What becomes of a job whose memory or CPU limit this machine can't enforce: refuse or ignore [default: refuse].
    #[arg(long, env = "DOCKET_UNENFORCED_LIMITS", value_name = "WHAT")]
    unenforced_limits: UnenforcedLimits,
    /// The container daemon for jobs whose executor is docker, such as unix:///var/run/docker.sock
    /// [default: none; with --executor docker DOCKER_HOST, or unix:///var/run/docker.sock].
    #[arg(long, env = "DOCKET_DOCKER_SOCKET", value_name = "SOCKET")]
    docker_socket: String,
    /// Most containers that run at once [default: as slots].
    #[arg(long, env = "DOCKET_DOCKER_SLOTS", value_name = "N")]
    docker_slots: usize,
    /// The network of containers: bridge, none, host or the name of one [default: bridge].
    #[arg(long, env = "DOCKET_DOCKER_NETWORK", value_name = "NETWORK")]
    docker_network: String,
    /// Where containers reach this server [default: public-url, or host.docker.internal with the port].
    #[arg(long, env = "DOCKET_DOCKER_URL", value_name = "URL")]
    docker_url: String,
    /// Whom containers run as when their image says root: UID:GID; or image to let it be root [default: 65534:65534].
    #[arg(long, env = "DOCKET_DOCKER_USER", value_name = "USER")]
    docker_user: String,
    /// Bytes of a container's work directory, which is in memory [default: 268435456].
    #[arg(long, env = "DOCKET_DOCKER_WORK_SIZE", value_name = "BYTES")]
    docker_work_size: u64,
    /// Seconds that pulling an image may take; 0 pulls none [default: 300].
    #[arg(long, env = "DOCKET_DOCKER_PULL_TIMEOUT", value_name = "SECONDS")]
    docker_pull_timeout: u64,
    /// Capabilities that containers keep, such as NET_BIND_SERVICE; repeat or separate by commas [default: none].
    #[arg(long, env = "DOCKET_DOCKER_CAPABILITY", value_name = "NAME", value_delimiter = ',')]
    docker_capability: Vec<String>,
    /// Let containers write to their root file system, on the daemon's disk and without a bound [default: false].
    #[arg(long, env = "DOCKET_DOCKER_WRITABLE_ROOT", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    docker_writable_root: bool,
    /// What to log, such as info or docket_service=debug [default: info].
    #[arg(long, env = "DOCKET_LOG", value_name = "FILTER")]
    log: String,
    /// How to log: human or json [default: human on a terminal, json otherwise].
    #[arg(long, env = "DOCKET_LOG_FORMAT", value_name = "FORMAT")]
    log_format: crate::logging::Format,
    /// Write the port that the server listens on to this file, once it does.
    #[arg(long, env = "DOCKET_PORT_FILE", value_name = "FILE")]
    port_file: PathBuf,
}

/// What becomes of a job whose limits can't be enforced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum UnenforcedLimits {
    /// It is canceled, with the reason.
    #[default]
    Refuse,
    /// It runs without the limit.
    Ignore,
}

/// What `docket serve` does: the service's settings and those of the command itself.
#[derive(Debug)]
pub(crate) struct ServeSettings {
    pub app: app::Settings,
    pub log: String,
    pub log_format: crate::logging::Format,
    pub port_file: Option<PathBuf>,
}

impl ServeArguments {
    /// Reads the file, fills in the defaults and checks what can be checked without starting.
    pub(crate) fn resolve(self) -> Result<ServeSettings, Failure> {
        let file = self.config.as_deref().map(read).transpose()?.unwrap_or_default();
        let given = self.or(file);
        let listen = given.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8080)));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let slots = within("slots", given.slots.unwrap_or(cores), 0, 100_000)?;
        let docker = docker::lane(&given, slots)?;
        let images = match given.allow_image {
            Some(images) => AllowedImages::Only(images),
            None if listen.ip().is_loopback() => AllowedImages::Any,
            None => AllowedImages::Only(Vec::new()),
        };
        let app = app::Settings {
            listen,
            data: given.data.unwrap_or_else(|| PathBuf::from("docket-data")),
            slots,
            executor: given.executor.unwrap_or_default(),
            public_url: given.public_url.map(|url| check_url("public-url", &url)).transpose()?,
            limits: limits::limits(given.jobs_per_organization, given.jobs_per_type, given.organizations)?,
            images,
            log_limit_bytes: within("log-limit", given.log_limit.unwrap_or(10 << 20), 4096, 1 << 40)?,
            secret: given.secret.map(|secret| parse_secret(&secret)).transpose()?,
            max_body_bytes: within("max-body", given.max_body.unwrap_or(96 << 20), 1024, 1 << 30)?,
            body_memory_bytes: within("body-memory", given.body_memory.unwrap_or(128 << 20), 1024, 1 << 40)?,
            attachment_bytes: within("max-attachment", given.max_attachment.unwrap_or(64 << 20), 0, 1 << 40)?,
            max_exports: within("max-exports", given.max_exports.unwrap_or(4), 1, 10_000)?,
            compare: CompareOptions {
                memory: within("compare-memory", given.compare_memory.unwrap_or(64 << 20), 1 << 20, 1 << 40)?,
                cache_bytes: within("compare-cache", given.compare_cache.unwrap_or(1 << 30), 0, 1 << 50)?,
                cache_age: Duration::from_secs(within(
                    "compare-keep",
                    given.compare_keep.unwrap_or(86_400),
                    0,
                    31_536_000,
                )?),
                wait: Duration::from_secs(within("compare-wait", given.compare_wait.unwrap_or(60), 0, 3600)?),
            },
            max_connections: within("max-connections", given.max_connections.unwrap_or(10_000), 1, 1_000_000)?,
            stall_timeout: Duration::from_secs(within("stall-timeout", given.stall_timeout.unwrap_or(60), 1, 86_400)?),
            shutdown_timeout: Duration::from_secs(within(
                "shutdown-timeout",
                given.shutdown_timeout.unwrap_or(20),
                0,
                86_400,
            )?),
            webhooks: WebhookSettings {
                guard: given.webhook_allow.map(|networks| guard(&networks)).transpose()?.unwrap_or_default(),
                schedule: given.webhook_retries.map(|delays| schedule(&delays)).transpose()?.unwrap_or_default(),
            },
            trust_proxy: given.trust_proxy.unwrap_or(false),
            job_user: given.job_user,
            max_processes: within("max-processes", given.max_processes.unwrap_or(1024), 0, 4_194_304)?,
            unenforced_limits: match given.unenforced_limits.unwrap_or_default() {
                UnenforcedLimits::Refuse => Unenforced::Refuse,
                UnenforcedLimits::Ignore => Unenforced::Ignore,
            },
            retention: retention::settings(given.retention_every, given.retention)?,
            docker,
        };
        if app.body_memory_bytes < app.max_body_bytes {
            return Err(Failure::usage("body-memory must be at least max-body"));
        }
        Ok(ServeSettings {
            app,
            log: given.log.unwrap_or_else(|| "info".to_owned()),
            log_format: given.log_format.unwrap_or_default(),
            port_file: given.port_file,
        })
    }
}

fn read(path: &Path) -> Result<ServeArguments, Failure> {
    let text =
        std::fs::read_to_string(path).map_err(|error| Failure::usage(format!("config {}: {error}", path.display())))?;
    toml::from_str(&text).map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        let reason = error.message().lines().next().unwrap_or_default();
        Failure::usage(format!("config {} line {line}: {reason}", path.display()))
    })
}

fn within<N: PartialOrd + std::fmt::Display>(name: &str, value: N, min: N, max: N) -> Result<N, Failure> {
    if value >= min && value <= max {
        return Ok(value);
    }
    Err(Failure::usage(format!("{name} must be from {min} to {max}, is {value}")))
}

fn check_url(name: &str, url: &str) -> Result<String, Failure> {
    let uri: http::Uri =
        url.parse().map_err(|error| Failure::usage(format!("{name} {url:?} is not a URL: {error}")))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() {
        return Err(Failure::usage(format!("{name} {url:?} must begin with http:// or https:// and name a host")));
    }
    Ok(url.trim_end_matches('/').to_owned())
}

/// Networks as `10.1.0.0/16`, or single addresses.
fn guard(networks: &[String]) -> Result<Guard, Failure> {
    let parse = |text: &String| {
        let net = text.trim().parse::<IpNet>().or_else(|_| text.trim().parse::<IpAddr>().map(IpNet::from));
        net.map_err(|_| Failure::usage(format!("webhook-allow {text:?} is no network such as 10.1.0.0/16")))
    };
    networks.iter().map(parse).collect::<Result<_, _>>().map(Guard::new)
}

/// Most attempts to tell a webhook, after the first.
const MOST_RETRIES: usize = 20;
/// Longest delay between two of them: a week.
const LONGEST_RETRY: f64 = 604_800.0;

fn schedule(seconds: &[f64]) -> Result<Schedule, Failure> {
    within("webhook-retries: their number", seconds.len(), 0, MOST_RETRIES)?;
    let delay = |seconds: &f64| within("webhook-retries", *seconds, 0.0, LONGEST_RETRY).map(Duration::from_secs_f64);
    seconds.iter().map(delay).collect::<Result<_, _>>().map(Schedule::new)
}

/// The key behind page and job tokens, from its 64 hexadecimal digits.
pub(crate) fn parse_secret(hex: &str) -> Result<[u8; 32], Failure> {
    let wrong = || Failure::usage("secret must have 64 hexadecimal digits");
    let mut key = [0; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return Err(wrong());
    }
    for (byte, digits) in key.iter_mut().zip(hex.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).map_err(|_| wrong())?;
        *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use docket_contract::retention::RetentionRule;
    use docket_service::operations::{ConfiguredPolicy, RetentionSettings};

    fn file(text: &str) -> Result<ServeSettings, Failure> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("written");
        let arguments = ServeArguments { config: Some(file.path().to_owned()), ..ServeArguments::default() };
        arguments.resolve()
    }

    #[test]
    fn the_file_fills_what_flags_leave_open() {
        let settings = file("listen = \"127.0.0.1:9000\"\nslots = 7\nlog-format = \"json\"").expect("valid");
        assert_eq!(settings.app.listen.port(), 9000);
        assert_eq!(settings.app.slots, 7);
        assert_eq!(settings.log_format, crate::logging::Format::Json);
        let stronger = ServeArguments { slots: Some(3), ..ServeArguments::default() };
        let weaker = ServeArguments { slots: Some(7), log_limit: Some(5000), ..ServeArguments::default() };
        let both = stronger.or(weaker);
        assert_eq!((both.slots, both.log_limit), (Some(3), Some(5000)));
    }

    #[test]
    fn limits_are_for_every_organization_and_for_single_ones() {
        let settings = file(
            "jobs-per-organization = 50\n[jobs-per-type]\nA_JOB = 4\n[organizations.acme]\njobs = 10\n\
             [organizations.acme.jobs-per-type]\nA_JOB = 1\n[organizations.other.jobs-per-type]\nB_JOB = 0",
        );
        let limits = settings.expect("valid").app.limits;
        assert_eq!((limits.of_organization("acme"), limits.of_organization("other")), (Some(10), Some(50)));
        assert_eq!((limits.of_type("acme", "A_JOB"), limits.of_type("other", "A_JOB")), (Some(1), Some(4)));
        assert_eq!((limits.of_type("acme", "B_JOB"), limits.of_type("other", "B_JOB")), (None, Some(0)));
        assert!(file("").expect("valid").app.limits.is_empty());
        let flag: TypeLimit = "A_JOB=3".parse().expect("a limit");
        let flags = ServeArguments { jobs_per_type: Some(vec![flag]), ..ServeArguments::default() };
        assert_eq!(flags.resolve().expect("valid").app.limits.of_type("x", "A_JOB"), Some(3));
        for wrong in ["A_JOB", "A_JOB=", "A_JOB=-1", "A_JOB=many"] {
            assert!(wrong.parse::<TypeLimit>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_wrong_setting_is_one_line_that_names_it() {
        for (text, sign) in [
            ("slots = \"many\"", "line 1"),
            ("\nlisten = \"nowhere\"", "line 2"),
            ("colour = \"red\"", "colour"),
            ("secret = \"abc\"", "secret must have 64"),
            ("max-body = 1", "max-body must be from 1024"),
            ("public-url = \"ftp://x\"", "public-url"),
            ("body-memory = 2000", "body-memory"),
            ("jobs-per-organization = 100001", "jobs-per-organization must be from 0"),
            ("[jobs-per-type]\nA = 1", "jobs-per-type: \"A\" must match"),
            ("[jobs-per-type]\nA_JOB = -1", "line 2"),
            ("[organizations.acme]\njob = 1", "job"),
            ("[organizations.acme]\njobs = 100001", "organizations.acme.jobs must be"),
            ("retention-every = 31536001", "retention-every must be from 0 to 31536000"),
            ("[[retention]]\nkeep-days = 0", "retention, policy 1: keep-days must be from 1 to 36500, is 0"),
            ("[[retention]]\nkeep-days = 1\n[[retention]]\ntype = \"x\"\nkeep-runs = 1", "policy 2: type must match"),
            ("[[retention]]\nstorage-id = \"s\"", "keep-days is required where there is neither keep-runs"),
            ("[[retention]]\ntype = \"A_JOB\"\nkeep-log-days = 1", "keep-log-days is for policies without type"),
            ("[[retention]]\norganization = \"\"\nkeep-days = 1", "organization must have"),
            ("[[retention]]\nkeep-days = 1\n[[retention]]\nkeep-runs = 1", "policy 2: there is one"),
            ("[[retention]]\nkeep-weeks = 1", "keep-weeks"),
            ("webhook-allow = [\"10.0.0.0/33\"]", "webhook-allow"),
            ("webhook-retries = [1.0, -2.0]", "webhook-retries must be from 0"),
        ] {
            let failure = file(text).expect_err(text);
            assert!(failure.message.contains(sign), "{text}: {}", failure.message);
            assert!(!failure.message.contains('\n'), "{text}: {}", failure.message);
            assert_eq!(failure.code, 2);
        }
    }

    #[test]
    fn policies_of_retention_are_tables_of_the_file() {
        let settings = file(
            "retention-every = 60\n[[retention]]\nkeep-days = 90\n[[retention]]\norganization = \"acme\"\n\
             storage-id = \"s\"\ntype = \"A_JOB\"\nkeep-runs = 5\n[[retention]]\nstorage-id = \"s\"\nkeep-log-days = 7",
        );
        let RetentionSettings { every, policies } = settings.expect("valid").app.retention;
        assert_eq!(every, Some(Duration::from_secs(60)));
        let rule = |policy: &ConfiguredPolicy| {
            let RetentionRule { keep_days, keep_runs, keep_log_days, .. } = policy.rule;
            (policy.organization.clone(), policy.rule.key(), [keep_days, keep_runs, keep_log_days])
        };
        let own = |text: &str| Some(text.to_owned());
        let expected = [
            (None, (None, None), [Some(90), None, None]),
            (own("acme"), (own("s"), own("A_JOB")), [None, Some(5), None]),
            (None, (own("s"), None), [None, None, Some(7)]),
        ];
        assert_eq!(policies.iter().map(rule).collect::<Vec<_>>(), expected);
        let every = |text| file(text).expect("valid").app.retention.every;
        assert_eq!((every(""), every("retention-every = 0")), (Some(Duration::from_secs(3600)), None));
    }

    #[test]
    fn webhooks_reach_what_is_named() {
        let text = "webhook-allow = [\"10.1.0.0/16\", \"::1\"]\nwebhook-retries = [0.5]";
        let WebhookSettings { guard, schedule } = file(text).expect("valid").app.webhooks;
        let reaches = |address: &str| guard.check(address.parse().expect(address)).is_ok();
        assert_eq!(
            [reaches("10.1.9.9"), reaches("::1"), reaches("10.2.0.0"), reaches("::2")],
            [true, true, false, false]
        );
        assert_eq!(schedule, Schedule::new(vec![Duration::from_millis(500)]));
        assert_eq!(file("").expect("valid").app.webhooks, WebhookSettings::default());
    }

    #[test]
    fn images_are_open_on_loopback_only() {
        let images = |listen: &str| file(&format!("listen = \"{listen}\"")).expect("valid").app.images;
        assert_eq!(images("127.0.0.1:1"), AllowedImages::Any);
        assert_eq!(images("0.0.0.0:1"), AllowedImages::Only(Vec::new()));
    }
}
