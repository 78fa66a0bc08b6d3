//! Control groups: limits, accounting and the sure end of an attempt, as far as this machine gives them to the
//! supervisor. Owns one group below which each attempt that needs one gets a group of its own, in every hierarchy that
//! it needs (one in version 2, one for each controller in version 1). Decides nothing about attempts.
//!
//! What can be written is found by trying, once, at the start of the supervisor.

mod find;
mod v1;
mod v2;

use std::fmt;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::executors::{AttemptKey, Limits, Usage};

/// What a supervisor's own group is called, before the part that tells supervisors apart.
const PREFIX: &str = "docket-";
/// How long to try to get rid of what a supervisor that crashed has left.
const CLEAR_LIMIT: Duration = Duration::from_secs(5);
const CLEAR_PAUSE: Duration = Duration::from_millis(5);
/// Levels of groups below an attempt's own that are looked at; jobs that run as root could make some.
const DEPTH: usize = 8;

/// What can be limited.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Controller {
    Memory,
    Cpu,
    Processes,
}

impl Controller {
    pub const ALL: [Controller; 3] = [Controller::Memory, Controller::Cpu, Controller::Processes];

    /// The kernel's name.
    fn name(self) -> &'static str {
        match self {
            Controller::Memory => "memory",
            Controller::Cpu => "cpu",
            Controller::Processes => "pids",
        }
    }
}

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One tree of groups and how its files are used.
trait Hierarchy: Send + Sync {
    /// The supervisor's own group. It is there only while attempts need it.
    fn root(&self) -> &Path;
    fn make_root(&self) -> io::Result<()>;
    fn controls(&self, controller: Controller) -> bool;
    /// Sets those of the limits that this hierarchy has a controller for.
    fn limit(&self, group: &Path, limits: &Limits) -> io::Result<()>;
    fn usage(&self, group: &Path) -> Usage;
    /// How many processes were killed for want of memory.
    fn memory_kills(&self, group: &Path) -> u64;
    /// Kills all in the group, once.
    fn kill(&self, group: &Path);
    fn is_empty(&self, group: &Path) -> bool;
}

/// The hierarchies of which the supervisor can use a part.
pub struct Cgroups {
    hierarchies: Vec<Arc<dyn Hierarchy>>,
    /// Why the others can't be used, for people.
    obstacles: Vec<String>,
}

impl Cgroups {
    /// Finds what can be used, and kills and removes what an earlier supervisor of this identity has left there.
    pub fn open(identity: &str) -> Cgroups {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let places = find::places(&own, &mounts);
        let name = format!("{PREFIX}{identity}");
        let mut cgroups = Cgroups { hierarchies: Vec::new(), obstacles: places.obstacles };
        if let Some(place) = places.v2 {
            match v2::Unified::prepare(&place, &name) {
                Ok(unified) => cgroups.hierarchies.push(Arc::new(unified)),
                Err(why) => cgroups.obstacles.push(why),
            }
        }
        for place in places.v1 {
            match v1::Single::prepare(&place, &name) {
                Ok(single) => cgroups.hierarchies.push(Arc::new(single)),
                Err(why) => cgroups.obstacles.push(why),
            }
        }
        cgroups.clear();
        cgroups.close();
        cgroups
    }

    /// A machine that gives nothing.
    #[cfg(test)]
    pub fn none(obstacle: &str) -> Cgroups {
        Cgroups { hierarchies: Vec::new(), obstacles: vec![obstacle.to_owned()] }
    }

    pub fn has(&self, controller: Controller) -> bool {
        self.hierarchies.iter().any(|hierarchy| hierarchy.controls(controller))
    }

    /// Why something is missing, on one line.
    pub fn obstacles(&self) -> String {
        match self.obstacles.is_empty() {
            true => "the kernel offers no such control group".into(),
            false => self.obstacles.join("; "),
        }
    }

    /// A group for an attempt, in every hierarchy that these limits need; `None` when they need none. All of them must
    /// be ones that the machine [has](Cgroups::has).
    pub fn make(&self, key: AttemptKey, limits: &Limits) -> io::Result<Option<Group>> {
        let needed: Vec<Controller> = Controller::ALL.into_iter().filter(|c| wanted(limits, *c).is_some()).collect();
        let mut group = Group { parts: Vec::new() };
        for hierarchy in &self.hierarchies {
            if !needed.iter().any(|controller| hierarchy.controls(*controller)) {
                continue;
            }
            let directory = hierarchy.root().join(name(key));
            let made = match make_empty(hierarchy.as_ref(), &directory) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    hierarchy.make_root().and_then(|()| make_empty(hierarchy.as_ref(), &directory))
                }
                other => other,
            };
            group.parts.push(Part { hierarchy: Arc::clone(hierarchy), directory: directory.clone() });
            if let Err(e) = made.and_then(|()| hierarchy.limit(&directory, limits)) {
                group.remove();
                return Err(e);
            }
        }
        Ok((!group.parts.is_empty()).then_some(group))
    }

    /// Kills and removes all groups of attempts.
    fn clear(&self) {
        let deadline = Instant::now() + CLEAR_LIMIT;
        for hierarchy in &self.hierarchies {
            for directory in children(hierarchy.root()) {
                tracing::warn!(group = %directory.display(), "left by an earlier supervisor: killed and removed");
                while !remove(&directory, DEPTH) && Instant::now() < deadline {
                    hierarchy.kill(&directory);
                    sleep(CLEAR_PAUSE);
                }
            }
        }
    }

    /// Removes the supervisor's own groups, as far as no attempt is left in them.
    pub fn close(&self) {
        for hierarchy in &self.hierarchies {
            // Refused as long as there is a group below.
            let _ = fs::remove_dir(hierarchy.root());
        }
    }
}

fn wanted(limits: &Limits, controller: Controller) -> Option<u64> {
    match controller {
        Controller::Memory => limits.memory_bytes,
        Controller::Cpu => limits.cpu_millis,
        Controller::Processes => limits.processes,
    }
}

fn name(key: AttemptKey) -> String {
    format!("{}-{}", key.job_id.as_hyphenated(), key.attempt)
}

/// Makes the directory of a group. One that is there already holds what an attempt of the same name has left.
fn make_empty(hierarchy: &dyn Hierarchy, directory: &Path) -> io::Result<()> {
    match fs::create_dir(directory) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            hierarchy.kill(directory);
            remove(directory, DEPTH);
            fs::create_dir(directory)
        }
        other => other,
    }
}

/// An attempt's group.
pub struct Group {
    parts: Vec<Part>,
}

struct Part {
    hierarchy: Arc<dyn Hierarchy>,
    directory: PathBuf,
}

impl Group {
    /// The files into which a process writes `0` to join.
    pub fn entries(&self) -> io::Result<Vec<OwnedFd>> {
        let open = |part: &Part| {
            let path = part.directory.join("cgroup.procs");
            Ok(rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?)
        };
        self.parts.iter().map(open).collect()
    }

    /// Kills all that is in it, once. Who forks meanwhile may need another time.
    pub fn kill(&self) {
        for part in &self.parts {
            part.hierarchy.kill(&part.directory);
        }
    }

    /// Whether no process is left.
    pub fn is_empty(&self) -> bool {
        self.parts.iter().all(|part| part.hierarchy.is_empty(&part.directory))
    }

    pub fn usage(&self) -> Usage {
        self.parts.iter().fold(Usage::default(), |sum, part| {
            let usage = part.hierarchy.usage(&part.directory);
            Usage {
                memory_peak_bytes: sum.memory_peak_bytes.or(usage.memory_peak_bytes),
                cpu_time_ms: sum.cpu_time_ms.or(usage.cpu_time_ms),
            }
        })
    }

    /// Whether the kernel has killed a process of it for want of memory.
    pub fn ran_out_of_memory(&self) -> bool {
        self.parts.iter().any(|part| part.hierarchy.memory_kills(&part.directory) > 0)
    }

    /// Removes it; false while the kernel does not let go of it.
    pub fn remove(&mut self) -> bool {
        self.parts.retain(|part| !remove(&part.directory, DEPTH));
        self.parts.is_empty()
    }
}

/// Removes the directory of a group and those below it. One that is gone is removed.
fn remove(directory: &Path, depth: usize) -> bool {
    let gone = |result: io::Result<()>| match result {
        Err(e) => e.kind() == io::ErrorKind::NotFound,
        Ok(()) => true,
    };
    if gone(fs::remove_dir(directory)) {
        return true;
    }
    if depth == 0 {
        return false;
    }
    for child in children(directory) {
        remove(&child, depth - 1);
    }
    gone(fs::remove_dir(directory))
}

fn children(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let directories = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    directories.map(|entry| entry.path()).collect()
}

/// The processes of a group and of those so many levels below it.
fn members(directory: &Path, depth: usize) -> Vec<i32> {
    let list = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    let mut found: Vec<i32> = list.lines().filter_map(|line| line.trim().parse().ok()).collect();
    if depth > 0 {
        found.extend(children(directory).iter().flat_map(|child| members(child, depth - 1)));
    }
    found
}

/// Sends SIGKILL to every process of a group, and to no other that has got the number of one of them.
fn kill_members(directory: &Path) {
    let Some(name) = directory.file_name().and_then(|name| name.to_str()) else {
        return;
    };
    for number in members(directory, DEPTH) {
        if let Some(pid) = Pid::from_raw(number)
            && let Ok(descriptor) = pidfd_open(pid, PidfdFlags::empty())
            && fs::read_to_string(format!("/proc/{number}/cgroup")).is_ok_and(|own| own.contains(name))
        {
            // An error says that it has ended meanwhile.
            let _ = pidfd_send_signal(descriptor, Signal::KILL);
        }
    }
}

/// The number on a line of `key value`.
fn field(file: &Path, key: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(name, _)| *name == key)?.1.trim().parse().ok()
}

/// A file with one number; `None` also for one that says `max`.
fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// The period and the quota for so many thousandths of a core, in microseconds. The kernel takes no quota under 1 ms,
/// and no period over 1 s.
fn cpu_bandwidth(millis: u64) -> (u64, u64) {
    let period: u64 = if millis < 10 { 1_000_000 } else { 100_000 };
    (period, (period / 1000).saturating_mul(millis.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn bandwidth_keeps_to_the_bounds_of_the_kernel() {
        assert_eq!(cpu_bandwidth(1), (1_000_000, 1_000));
        assert_eq!(cpu_bandwidth(9), (1_000_000, 9_000));
        assert_eq!(cpu_bandwidth(10), (100_000, 1_000));
        assert_eq!(cpu_bandwidth(2_500), (100_000, 250_000));
    }

    #[test]
    fn a_group_is_made_where_its_limits_need_it() {
        let place = tempfile::tempdir().unwrap();
        let hierarchy = |controllers: &[Controller]| -> Arc<dyn Hierarchy> {
            let root = place.path().join(controllers[0].name());
            fs::create_dir(&root).unwrap();
            Arc::new(v1::Single::at(root, controllers.to_vec()))
        };
        let hierarchies = vec![hierarchy(&[Controller::Memory]), hierarchy(&[Controller::Cpu, Controller::Processes])];
        let cgroups = Cgroups { hierarchies, obstacles: Vec::new() };
        let key = AttemptKey { job_id: Uuid::nil(), attempt: 3 };
        assert!(cgroups.make(key, &Limits::default()).unwrap().is_none());
        let limits = Limits { processes: Some(7), ..Limits::default() };
        let group = cgroups.make(key, &limits).unwrap().unwrap();
        let directory = place.path().join("cpu/00000000-0000-0000-0000-000000000000-3");
        assert_eq!(group.parts.iter().map(|part| &part.directory).collect::<Vec<_>>(), [&directory]);
        assert_eq!(fs::read_to_string(directory.join("pids.max")).unwrap(), "7");
        assert!(!place.path().join("memory").join(name(key)).exists());
    }

    #[test]
    fn groups_are_removed_with_those_below() {
        let place = tempfile::tempdir().unwrap();
        let group = place.path().join("group");
        fs::create_dir_all(group.join("a/b")).unwrap();
        assert!(remove(&group, DEPTH));
        assert!(!group.exists());
        assert!(remove(&group, DEPTH));
    }
}
