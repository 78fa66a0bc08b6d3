//! Makes the process of an attempt. Owns what it gets: directories, variables, descriptors, a control group; what it may
//! do is [`super::confine`]'s.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr};
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown, lchown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Gid, OFlags, Uid};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{getegid, geteuid};
use rustix::time::{ClockId, clock_gettime};

use super::cgroup::{Cgroups, Controller};
use super::confine::Confinement;
use super::journal::Birth;
use super::spawner::{Order, Spawned, is_exhaustion};
use super::vfork::{Program, variable};
use super::wall_ms;
use crate::executors::process::layout;
use crate::executors::process::policy::{Identity, Unenforced};
use crate::executors::{AttemptKey, Launch, Limits};

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const LANG: &str = "C.UTF-8";

/// What all starts share.
pub struct Starter {
    pub data: PathBuf,
    pub cgroups: Arc<Cgroups>,
    pub oom_score: Vec<u8>,
    /// What attempts read from.
    pub nothing: File,
}

/// The limits that this machine can keep for an attempt, or why it is refused. A bound of processes is the server's own
/// precaution, so without a way to keep it the attempt runs; the supervisor has said so at its start.
pub fn enforceable(cgroups: &Cgroups, order: &Order) -> Result<Limits, String> {
    let wanted = order.launch.limits;
    let lacks = |limit: Option<u64>, controller| limit.is_some() && !cgroups.has(controller);
    let lost = [
        (lacks(wanted.memory_bytes, Controller::Memory), "memoryLimit", Controller::Memory),
        (lacks(wanted.cpu_millis, Controller::Cpu), "cpuLimit", Controller::Cpu),
    ];
    for (_, name, controller) in lost.iter().filter(|(lacks, ..)| *lacks) {
        let why = format!(
            "{name} can't be enforced: the supervisor has no control group with the {controller} controller ({})",
            cgroups.obstacles()
        );
        match order.unenforced {
            Unenforced::Refuse => {
                return Err(format!("{why}. A server started with --unenforced-limits ignore runs the job without it"));
            }
            Unenforced::Ignore => tracing::warn!(attempt = %order.launch.key, "{why}; the attempt runs without it"),
        }
    }
    Ok(Limits {
        memory_bytes: wanted.memory_bytes.filter(|_| cgroups.has(Controller::Memory)),
        cpu_millis: wanted.cpu_millis.filter(|_| cgroups.has(Controller::Cpu)),
        processes: wanted.processes.filter(|_| counts_by_user(order) || cgroups.has(Controller::Processes)),
    })
}

/// Whether the kernel can count an attempt's processes as those of its user: that needs no control group.
fn counts_by_user(order: &Order) -> bool {
    order.identity.as_ref().is_some_and(|identity| identity.sole)
}

impl Starter {
    pub fn start(&self, order: &Order, limits: &Limits) -> io::Result<Spawned> {
        let launch = &order.launch;
        let identity = order.identity.as_ref();
        let work = layout::work_directory(&self.data, launch.key);
        make_directory(&work, identity).map_err(|e| match is_exhaustion(&e) {
            true => e,
            false => io::Error::other(format!("its working directory {} can't be made: {e}", work.display())),
        })?;
        let (output, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        rustix::fs::fcntl_setfl(&output, OFlags::NONBLOCK)?;
        if let Some(identity) = identity {
            // It may open /dev/stdout again by its name.
            rustix::fs::fchown(&writer, Some(Uid::from_raw(identity.uid)), Some(Gid::from_raw(identity.gid)))?;
        }
        let by_user = limits.processes.filter(|_| counts_by_user(order));
        let in_group = Limits { processes: limits.processes.filter(|_| by_user.is_none()), ..*limits };
        let mut group = self.cgroups.make(launch.key, &in_group).map_err(|e| match is_exhaustion(&e) {
            true => e,
            false => io::Error::other(format!("its control group can't be made: {e}")),
        })?;
        let entries = match &group {
            Some(group) => group.entries()?,
            None => Vec::new(),
        };
        let confinement = Confinement::new(&self.oom_score, entries, by_user, identity);
        let program = Program::new(&launch.commands, environment(launch, &work)?, &work)?;
        let not_before_ms = since_boot_ms();
        let started_at_ms = wall_ms();
        let started = program.start(self.nothing.as_fd(), writer.as_fd(), &|| confinement.enter());
        let pid = started.inspect_err(|_| {
            if let Some(group) = &mut group {
                group.remove();
            }
        })?;
        let sole_uid = identity.filter(|identity| identity.sole).map(|identity| identity.uid);
        Ok(Spawned {
            birth: Birth {
                pid: pid.as_raw_pid(),
                not_before_ms,
                not_after_ms: since_boot_ms(),
                started_at_ms,
                sole_uid,
            },
            pid,
            output,
            group,
        })
    }
}

/// A clean environment. The marker variables can't be overridden: the tree is found by them.
fn environment(launch: &Launch, work: &Path) -> io::Result<Vec<CString>> {
    let (job, attempt) = (launch.key.job_id.as_hyphenated().to_string(), launch.key.attempt.to_string());
    let mut variables: BTreeMap<&str, &OsStr> = BTreeMap::new();
    variables.extend([("PATH", PATH.as_ref()), ("LANG", LANG.as_ref())]);
    variables.extend([("HOME", work.as_os_str()), ("TMPDIR", work.as_os_str())]);
    variables.extend(launch.environment.iter().map(|(name, value)| (&name[..], value.as_ref())));
    variables.extend([(layout::JOB_ID_VARIABLE, job.as_ref()), (layout::ATTEMPT_VARIABLE, attempt.as_ref())]);
    variables.into_iter().map(|(name, value)| variable(name, value)).collect()
}

/// Makes the working directory, for the attempt's user alone, and at the first attempt of a job the job's, through which
/// that user must get.
fn make_directory(work: &Path, identity: Option<&Identity>) -> io::Result<()> {
    let made = |directory: &Path| match DirBuilder::new().mode(0o700).create(directory) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    };
    if let Some(job) = work.parent() {
        made(job)?;
        if identity.is_some() {
            fs::set_permissions(job, Permissions::from_mode(0o711))?;
        }
    }
    made(work)?;
    match identity {
        Some(identity) => chown(work, Some(identity.uid), Some(identity.gid)),
        None => Ok(()),
    }
}

/// Takes the working directory of an attempt that has ended away from its user, for another attempt may get that one.
pub fn reclaim(data: &Path, key: AttemptKey) {
    let work = layout::work_directory(data, key);
    if let Err(e) = lchown(&work, Some(geteuid().as_raw()), Some(getegid().as_raw()))
        && e.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(directory = %work.display(), "taking a directory back: {e}");
    }
}

/// The clock that `/proc/PID/stat` tells start times in.
pub fn since_boot_ms() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1000 + u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use uuid::Uuid;

    fn order(limits: Limits, unenforced: Unenforced, sole: bool) -> Order {
        let launch = Launch {
            key: AttemptKey { job_id: Uuid::nil(), attempt: 1 },
            commands: vec!["true".into()],
            environment: Vec::new(),
            log_limit_bytes: 1,
            grace_period: Duration::ZERO,
            image: String::new(),
            limits,
            time_limit: None,
        };
        let identity = sole.then(|| Identity { uid: 7, gid: 7, groups: vec![7], sole });
        Order { token: 1, launch: Box::new(launch), identity, unenforced }
    }

    #[test]
    fn without_control_groups_a_limit_that_was_asked_for_refuses_the_start() {
        let none = Cgroups::none("memory: read-only");
        for (limits, name) in [
            (Limits { memory_bytes: Some(1), ..Limits::default() }, "memoryLimit can't be enforced"),
            (Limits { cpu_millis: Some(1), ..Limits::default() }, "cpuLimit can't be enforced"),
        ] {
            let why = enforceable(&none, &order(limits, Unenforced::Refuse, true)).unwrap_err();
            assert!(why.starts_with(name), "{why}");
            assert!(why.contains("(memory: read-only)") && why.contains("--unenforced-limits ignore"), "{why}");
            let kept = enforceable(&none, &order(limits, Unenforced::Ignore, true));
            assert_eq!(kept, Ok(Limits::default()));
        }
    }

    #[test]
    fn the_bound_of_processes_needs_a_user_or_a_control_group() {
        let none = Cgroups::none("");
        let limits = Limits { processes: Some(9), ..Limits::default() };
        assert_eq!(enforceable(&none, &order(limits, Unenforced::Refuse, true)), Ok(limits));
        assert_eq!(enforceable(&none, &order(limits, Unenforced::Refuse, false)), Ok(Limits::default()));
    }
}
