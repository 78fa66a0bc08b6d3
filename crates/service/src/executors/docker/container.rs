//! What a container is made of: the request that creates it. Owns the hardening; everything an attempt must not do is
//! decided here and by the settings, nothing by the job.

use std::collections::{BTreeMap, HashMap};

use bollard::models::RestartPolicyNameEnum;
use bollard::models::{ContainerCreateBody, HealthConfig, HostConfig, HostConfigLogConfig, RestartPolicy};

use super::image::Facts;
use super::names::Plan;
use super::settings::{DockerSettings, User};
use crate::executors::Launch;

/// The work directory: where programs start unless the image says otherwise, and their `HOME`.
pub const WORK: &str = "/work";
/// The name by which a container on a bridge reaches its host.
pub const HOST_NAME: &str = "host.docker.internal";
/// The daemon keeps so much of a log, twice: what the server has not read yet survives a restart of the server.
const DAEMON_LOG_BYTES: &str = "16m";
/// A container dies before the server when the machine runs out of memory.
const OOM_SCORE: i64 = 500;

/// What the daemon can do.
#[derive(Clone, Copy, Debug)]
pub struct Abilities {
    /// It has a program that reaps children and passes on signals.
    pub init: bool,
    /// It keeps logs in its own format, which leaves bytes as they are. Podman has not.
    pub local_log: bool,
    /// It gives file systems in memory an owner. Podman does not; there they are anybody's.
    pub owned_memory: bool,
}

/// Why these words can't start a program, if they can't.
pub fn refusal(launch: &Launch, image: &Facts) -> Option<String> {
    if launch.commands.is_empty() && !image.has_program {
        return Some("commands is empty, and the image names no program".into());
    }
    if launch.commands.first().is_some_and(String::is_empty) {
        return Some("commands[0] is empty".into());
    }
    if let Some(index) = launch.commands.iter().position(|word| word.contains('\0')) {
        return Some(format!("commands[{index}] holds a NUL character"));
    }
    for (index, (name, value)) in launch.environment.iter().enumerate() {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Some(format!("the name of environmentVariables[{index}] is empty or holds = or NUL"));
        }
        if value.contains('\0') {
            return Some(format!("the value of environmentVariables[{index}] holds a NUL character"));
        }
    }
    None
}

/// The request for this launch.
pub fn body(
    launch: &Launch,
    image: &Facts,
    settings: &DockerSettings,
    installation: &str,
    able: Abilities,
) -> ContainerCreateBody {
    let user = user(settings, &image.user);
    let owner = owner(user.as_deref().unwrap_or(&image.user));
    // The daemon makes the directory when it is the working directory, as root's; who is not known by number could not
    // write there then.
    let starts_at_work = matches!(image.working_directory.as_str(), "" | "/") && owner.is_some();
    let health = HealthConfig { test: Some(vec!["NONE".into()]), ..Default::default() };
    ContainerCreateBody {
        image: Some(launch.image.clone()),
        // Given as entry point, no entry point of the image stands before it.
        entrypoint: (!launch.commands.is_empty()).then(|| launch.commands.clone()),
        env: Some(environment(launch)),
        user,
        working_dir: starts_at_work.then(|| WORK.to_owned()),
        labels: Some(Plan::of(launch).labels(installation)),
        healthcheck: Some(health),
        host_config: Some(host(launch, settings, owner, able)),
        ..Default::default()
    }
}

fn host(launch: &Launch, settings: &DockerSettings, owner: Option<(u32, u32)>, able: Abilities) -> HostConfig {
    let memory = launch.limits.memory_bytes.map(signed);
    let owner = owner.filter(|_| able.owned_memory);
    let owned = owner.map(|(user, group)| format!(",uid={user},gid={group}")).unwrap_or_default();
    let file_system = |bytes: u64| format!("rw,nosuid,nodev,exec,mode=1777{owned},size={bytes}");
    let tmpfs = HashMap::from([
        (WORK.to_owned(), file_system(settings.work_bytes)),
        ("/tmp".to_owned(), file_system(settings.tmp_bytes)),
    ]);
    let has_bridge = !matches!(settings.network.as_str(), "none" | "host");
    let reaches_host =
        has_bridge && launch.environment.iter().any(|(name, value)| name == "DOCKET_URL" && value.contains(HOST_NAME));
    HostConfig {
        network_mode: Some(settings.network.clone()),
        extra_hosts: reaches_host.then(|| vec![format!("{HOST_NAME}:host-gateway")]),
        memory,
        // The same bound with swap: none of it.
        memory_swap: memory,
        nano_cpus: launch.limits.cpu_millis.map(|millis| signed(millis.saturating_mul(1_000_000))),
        pids_limit: Some(signed(launch.limits.processes.unwrap_or(settings.processes))),
        oom_score_adj: Some(OOM_SCORE),
        init: Some(able.init),
        security_opt: Some(vec!["no-new-privileges".into()]),
        cap_drop: Some(vec!["ALL".into()]),
        cap_add: (!settings.capabilities.is_empty()).then(|| settings.capabilities.clone()),
        readonly_rootfs: Some(!settings.writable_root),
        tmpfs: Some(tmpfs),
        ipc_mode: Some("private".into()),
        restart_policy: Some(RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None }),
        log_config: Some(log(able)),
        ..Default::default()
    }
}

fn log(able: Abilities) -> HostConfigLogConfig {
    let option = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut config = HashMap::from([option("max-size", DAEMON_LOG_BYTES)]);
    if !able.local_log {
        return HostConfigLogConfig { typ: Some("json-file".into()), config: Some(config) };
    }
    config.extend([option("max-file", "2"), option("compress", "false")]);
    HostConfigLogConfig { typ: Some("local".into()), config: Some(config) }
}

/// Of a name given twice the last counts.
fn environment(launch: &Launch) -> Vec<String> {
    let mut variables = BTreeMap::from([("HOME", WORK)]);
    // The init of Docker passes signals on to the whole group of the main process, not just to it.
    variables.insert("TINI_KILL_PROCESS_GROUP", "1");
    variables.extend(launch.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    variables.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

/// Whom to run as, where it is not left to the image.
fn user(settings: &DockerSettings, of_image: &str) -> Option<String> {
    let name = of_image.split(':').next().unwrap_or_default();
    let is_root = matches!(name, "" | "root") || name.parse() == Ok(0u32);
    match &settings.user {
        User::NotRoot(ids) if is_root => Some(ids.clone()),
        _ => None,
    }
}

/// The user and group of a container, where they are known by number.
fn owner(user: &str) -> Option<(u32, u32)> {
    let (user, group) = user.split_once(':').unwrap_or((user, "0"));
    let user = if matches!(user, "" | "root") { 0 } else { user.parse().ok()? };
    Some((user, group.parse().unwrap_or_default()))
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executors::conformance;
    use std::path::PathBuf;

    fn made(change: impl FnOnce(&mut Launch, &mut DockerSettings, &mut Facts)) -> ContainerCreateBody {
        let mut launch = conformance::launch(vec!["sh".into(), "-c".into(), "true".into()]);
        let mut settings = DockerSettings::new(PathBuf::from("/d"));
        let mut image = Facts::default();
        change(&mut launch, &mut settings, &mut image);
        body(&launch, &image, &settings, "here", Abilities { init: true, local_log: true, owned_memory: true })
    }

    #[test]
    fn podman_is_asked_for_nothing_that_it_refuses() {
        let launch = conformance::launch(vec!["true".into()]);
        let able = Abilities { init: false, local_log: false, owned_memory: false };
        let settings = DockerSettings::new(PathBuf::from("/d"));
        let host = body(&launch, &Facts::default(), &settings, "here", able).host_config.unwrap();
        assert!(!host.tmpfs.unwrap()[WORK].contains("uid="));
        assert_eq!((host.init, host.log_config.unwrap().typ.as_deref()), (Some(false), Some("json-file")));
    }

    #[test]
    fn a_container_is_hardened_unless_configuration_relaxes_it() {
        let host = made(|_, _, _| {}).host_config.unwrap();
        assert_eq!(host.security_opt, Some(vec!["no-new-privileges".to_owned()]));
        assert_eq!(host.cap_drop, Some(vec!["ALL".to_owned()]));
        assert_eq!((host.cap_add, host.readonly_rootfs, host.init), (None, Some(true), Some(true)));
        assert_eq!((host.pids_limit, host.binds, host.privileged), (Some(1024), None, None));
        let relaxed = made(|_, settings, _| {
            settings.capabilities = vec!["CHOWN".into()];
            settings.writable_root = true;
        });
        let host = relaxed.host_config.unwrap();
        assert_eq!((host.cap_add, host.readonly_rootfs), (Some(vec!["CHOWN".to_owned()]), Some(false)));
    }

    #[test]
    fn root_of_an_image_is_replaced_and_its_other_users_stay() {
        let user = |of_image: &str| made(|_, _, image| image.user = of_image.into()).user;
        for root in ["", "root", "0", "0:0", "root:users"] {
            assert_eq!(user(root).as_deref(), Some("65534:65534"), "{root}");
        }
        for other in ["app", "1000", "1000:0"] {
            assert_eq!(user(other), None, "{other}");
        }
        assert_eq!(made(|_, settings, _| settings.user = User::Image).user, None);
    }

    #[test]
    fn the_working_directory_of_an_image_stays() {
        let directory = |of_image: &str| made(|_, _, image| image.working_directory = of_image.into()).working_dir;
        assert_eq!(directory("").as_deref(), Some(WORK));
        assert_eq!(directory("/").as_deref(), Some(WORK));
        assert_eq!(directory("/app"), None);
        let named = made(|_, _, image| image.user = "app".into());
        assert_eq!(named.working_dir, None, "it could not write there");
        let tmpfs = |made: ContainerCreateBody| made.host_config.unwrap().tmpfs.unwrap()[WORK].clone();
        assert!(tmpfs(made(|_, _, _| {})).contains("uid=65534,gid=65534"));
        assert!(tmpfs(made(|_, _, image| image.user = "1000".into())).contains("uid=1000,gid=0"));
        assert!(!tmpfs(named).contains("uid="));
    }

    #[test]
    fn limits_and_addresses_are_passed_on() {
        let made = made(|launch, _, _| {
            launch.limits.memory_bytes = Some(64 << 20);
            launch.limits.cpu_millis = Some(250);
            launch.limits.processes = Some(7);
            launch.environment =
                [("A", "1"), ("A", "2"), ("DOCKET_URL", "http://host.docker.internal:8080"), ("HOME", "/h")]
                    .map(|(name, value)| (name.into(), value.into()))
                    .to_vec();
        });
        let host = made.host_config.unwrap();
        assert_eq!((host.memory, host.memory_swap), (Some(64 << 20), Some(64 << 20)));
        assert_eq!((host.nano_cpus, host.pids_limit), (Some(250_000_000), Some(7)));
        assert_eq!(host.extra_hosts, Some(vec!["host.docker.internal:host-gateway".to_owned()]));
        let expected = ["A=2", "DOCKET_URL=http://host.docker.internal:8080", "HOME=/h", "TINI_KILL_PROCESS_GROUP=1"];
        assert_eq!(made.env, Some(expected.map(str::to_owned).to_vec()));
    }

    #[test]
    fn words_that_start_nothing_are_refused() {
        let image = Facts::default();
        let why = |commands: &[&str]| {
            let launch = conformance::launch(commands.iter().map(|word| (*word).to_owned()).collect());
            refusal(&launch, &image).unwrap_or_default()
        };
        assert!(why(&[]).contains("the image names no program"));
        assert!(why(&[""]).contains("commands[0] is empty"));
        assert!(why(&["a", "b\0"]).contains("commands[1] holds a NUL"));
        assert_eq!(why(&["a"]), "");
        let with_program = Facts { has_program: true, ..Facts::default() };
        assert_eq!(refusal(&conformance::launch(Vec::new()), &with_program), None);
    }
}
