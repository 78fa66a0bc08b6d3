//! The settings of jobs that run as containers.

use super::{ServeArguments, check_url, within};
use crate::failure::Failure;
use docket_contract::job::ExecutorKind;
use docket_service::app::DockerLane;
use docket_service::executors::docker::DockerSettings;
use docket_service::executors::docker::settings::{DEFAULT_SOCKET, User, parse_socket};
use std::path::PathBuf;
use std::time::Duration;

/// How containers run, if they do: a socket was named, or containers are what runs jobs by default.
pub(super) fn lane(given: &ServeArguments, slots: usize) -> Result<Option<DockerLane>, Failure> {
    let by_default = given.executor == Some(ExecutorKind::Docker);
    let named = given.docker_socket.clone().or_else(|| by_default.then(from_environment));
    let Some(socket) = named else { return Ok(None) };
    let wrong = |name: &'static str| move |reason: String| Failure::usage(format!("{name}: {reason}"));
    // The data directory is filled in by the server.
    let defaults = DockerSettings::new(PathBuf::new());
    let user = given.docker_user.as_deref().map(User::parse).transpose().map_err(wrong("docker-user"))?;
    let work = given.docker_work_size.unwrap_or(defaults.work_bytes);
    let pull = given.docker_pull_timeout.unwrap_or(defaults.pull_limit.as_secs());
    Ok(Some(DockerLane {
        executor: DockerSettings {
            socket: parse_socket(&socket).map_err(wrong("docker-socket"))?,
            network: given.docker_network.clone().unwrap_or(defaults.network),
            user: user.unwrap_or(defaults.user),
            work_bytes: within("docker-work-size", work, 4096, 1 << 40)?,
            pull_limit: Duration::from_secs(within("docker-pull-timeout", pull, 0, 86_400)?),
            capabilities: given.docker_capability.clone().unwrap_or_default(),
            writable_root: given.docker_writable_root.unwrap_or(false),
            ..defaults
        },
        slots: within("docker-slots", given.docker_slots.unwrap_or(slots), 0, 100_000)?,
        url: given.docker_url.as_deref().map(|url| check_url("docker-url", url)).transpose()?,
    }))
}

/// Where Docker's own command would look.
fn from_environment() -> String {
    std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty()).unwrap_or_else(|| DEFAULT_SOCKET.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(change: impl FnOnce(&mut ServeArguments)) -> Result<Option<DockerLane>, Failure> {
        let mut given = ServeArguments::default();
        change(&mut given);
        lane(&given, 3)
    }

    #[test]
    fn containers_run_only_where_a_daemon_is_named() {
        assert!(given(|_| {}).expect("valid").is_none());
        let named = given(|given| given.docker_socket = Some("unix:///run/d.sock".into()));
        let lane = named.expect("valid").expect("a lane");
        assert_eq!((lane.executor.socket, lane.slots), ("/run/d.sock".into(), 3));
        assert!(!lane.executor.writable_root && lane.executor.capabilities.is_empty());
    }

    #[test]
    fn a_wrong_setting_is_named() {
        let with = |change: fn(&mut ServeArguments)| {
            let failed = given(|given| {
                given.docker_socket = Some("/run/d.sock".into());
                change(given);
            });
            failed.expect_err("wrong").message
        };
        for (message, name) in [
            (with(|given| given.docker_socket = Some("tcp://x".into())), "docker-socket"),
            (with(|given| given.docker_user = Some("root".into())), "docker-user"),
            (with(|given| given.docker_work_size = Some(1)), "docker-work-size"),
            (with(|given| given.docker_url = Some("ftp://x".into())), "docker-url"),
        ] {
            assert!(message.contains(name), "{message}");
        }
    }
}
