//! Control groups of version 2: one hierarchy, in which a group either has processes or hands controllers down to the
//! groups below it. So the supervisor needs a group without processes above those of its attempts.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::find::Place;
use super::{Controller, Hierarchy, PREFIX, children, cpu_bandwidth, field, kill_members, number};
use crate::executors::{Limits, Usage};

/// The group into which the supervisor and its server move when theirs has to hand controllers down.
const LEAF: &str = "docket";
/// How often to move them: they may fork meanwhile.
const MOVES: usize = 5;

/// The part of the hierarchy that is the supervisor's.
pub struct Unified {
    root: PathBuf,
    controllers: Vec<Controller>,
}

impl Unified {
    /// Makes the supervisor's group, or says why that can't be. It lies below the group above the own one when that was
    /// delegated with a place for the server in it, or below the own one, or else at the top, where only root may write.
    pub fn prepare(place: &Place, name: &str) -> Result<Unified, String> {
        let mut obstacles = Vec::new();
        for base in bases(place) {
            match hand_down(&base, &is_same_program).and_then(|controllers| below(&base, name, controllers)) {
                Ok(unified) => return Ok(unified),
                Err(why) => obstacles.push(format!("{}: {why}", base.display())),
            }
        }
        Err(obstacles.join("; "))
    }
}

/// Where to look, best first.
fn bases(place: &Place) -> Vec<PathBuf> {
    let above = place.own.parent().filter(|_| place.own != place.mount);
    let is_leaf = place.own.file_name().is_some_and(|name| name == LEAF);
    let mut bases: Vec<PathBuf> =
        above.filter(|above| is_leaf || is_delegated(above, &place.own)).map(Path::to_owned).into_iter().collect();
    if !is_leaf {
        bases.push(place.own.clone());
    }
    if !bases.contains(&place.mount) {
        bases.push(place.mount.clone());
    }
    bases
}

/// Whether a group has no processes, and no groups but the own one and those of supervisors: so it looks when a service
/// manager has put the server into a group of its own below the one that it delegates.
fn is_delegated(above: &Path, own: &Path) -> bool {
    let is_ours = |child: &PathBuf| {
        let name = child.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        child == own || name.starts_with(PREFIX)
    };
    super::members(above, 0).is_empty() && children(above).iter().all(is_ours)
}

/// Lets the groups below this one use its controllers. Answers which of those of interest they have then.
fn hand_down(base: &Path, is_own: &dyn Fn(i32) -> bool) -> Result<Vec<Controller>, String> {
    let offered = words(&base.join("cgroup.controllers"));
    let wanted: Vec<Controller> = Controller::ALL.into_iter().filter(|c| offered.contains(c.name())).collect();
    if wanted.is_empty() {
        return Err("no controller is delegated to it".into());
    }
    let handed = base.join("cgroup.subtree_control");
    let mut why = String::new();
    for controller in &wanted {
        if words(&handed).contains(controller.name()) {
            continue;
        }
        let mut moved = Ok(());
        for _ in 0..MOVES {
            match fs::write(&handed, format!("+{controller}")) {
                Err(e) if e.raw_os_error() == Some(Errno::BUSY.raw_os_error()) => {
                    moved = move_own(base, is_own);
                    if moved.is_err() {
                        break;
                    }
                }
                Err(e) => {
                    moved = Err(format!("it can't hand down {controller}: {e}"));
                    break;
                }
                Ok(()) => break,
            }
        }
        if let Err(obstacle) = moved {
            why = obstacle;
        }
    }
    let handed = words(&handed);
    let usable: Vec<Controller> = wanted.into_iter().filter(|c| handed.contains(c.name())).collect();
    match usable.is_empty() {
        true => Err(why),
        false => Ok(usable),
    }
}

/// Moves the processes of a group one step down, when all of them are Docket's own.
fn move_own(base: &Path, is_own: &dyn Fn(i32) -> bool) -> Result<(), String> {
    let members = super::members(base, 0);
    if members.iter().any(|pid| !is_own(*pid)) {
        return Err("it can't hand down controllers, for other programs run in it".into());
    }
    let leaf = base.join(LEAF);
    let make = match fs::create_dir(&leaf) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    };
    make.map_err(|e| format!("no group can be made in it: {e}"))?;
    for pid in members {
        if let Err(e) = fs::write(leaf.join("cgroup.procs"), pid.to_string())
            && e.raw_os_error() != Some(Errno::SRCH.raw_os_error())
        {
            return Err(format!("the server can't be moved into {}: {e}", leaf.display()));
        }
    }
    Ok(())
}

/// Whether a process runs this very program.
fn is_same_program(pid: i32) -> bool {
    let identity = |path: &str| fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino())).ok();
    let own = identity("/proc/self/exe");
    own.is_some() && own == identity(&format!("/proc/{pid}/exe"))
}

/// The supervisor's group within one that hands controllers down.
fn below(base: &Path, name: &str, controllers: Vec<Controller>) -> Result<Unified, String> {
    let unified = Unified { root: base.join(name), controllers };
    unified.make_root().map_err(|e| format!("no group can be made in it: {e}"))?;
    Ok(unified)
}

fn words(file: &Path) -> BTreeSet<String> {
    fs::read_to_string(file).unwrap_or_default().split_ascii_whitespace().map(str::to_owned).collect()
}

impl Hierarchy for Unified {
    fn root(&self) -> &Path {
        &self.root
    }

    fn make_root(&self) -> io::Result<()> {
        match fs::create_dir(&self.root) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            other => other?,
        }
        for controller in &self.controllers {
            fs::write(self.root.join("cgroup.subtree_control"), format!("+{controller}"))?;
        }
        Ok(())
    }

    fn controls(&self, controller: Controller) -> bool {
        self.controllers.contains(&controller)
    }

    fn limit(&self, group: &Path, limits: &Limits) -> io::Result<()> {
        if let (true, Some(bytes)) = (self.controls(Controller::Memory), limits.memory_bytes) {
            fs::write(group.join("memory.max"), bytes.to_string())?;
            // Swap would let it use more. A kernel without swap has no such file.
            let swap = group.join("memory.swap.max");
            if swap.exists() {
                fs::write(swap, "0")?;
            }
            // All or nothing: half a tree is of no use. Kernels before 4.19 can't.
            let _ = fs::write(group.join("memory.oom.group"), "1");
        }
        if let (true, Some(millis)) = (self.controls(Controller::Cpu), limits.cpu_millis) {
            let (period, quota) = cpu_bandwidth(millis);
            fs::write(group.join("cpu.max"), format!("{quota} {period}"))?;
        }
        if let (true, Some(processes)) = (self.controls(Controller::Processes), limits.processes) {
            fs::write(group.join("pids.max"), processes.to_string())?;
        }
        Ok(())
    }

    /// Kernels before 5.19 do not keep the peak: then it is not known here.
    fn usage(&self, group: &Path) -> Usage {
        Usage {
            memory_peak_bytes: number(&group.join("memory.peak")),
            cpu_time_ms: field(&group.join("cpu.stat"), "usage_usec").map(|microseconds| microseconds / 1000),
        }
    }

    fn memory_kills(&self, group: &Path) -> u64 {
        field(&group.join("memory.events"), "oom_kill").unwrap_or(0)
    }

    fn kill(&self, group: &Path) {
        // Kernels before 5.14 have no such file, and a plain file is not made here.
        let all_at_once = group.join("cgroup.kill");
        if all_at_once.exists() && fs::write(all_at_once, "1").is_ok() {
            return;
        }
        if self.controls(Controller::Processes) {
            // Without it the killing takes more rounds.
            let _ = fs::write(group.join("pids.max"), "0");
        }
        kill_members(group);
    }

    fn is_empty(&self, group: &Path) -> bool {
        field(&group.join("cgroup.events"), "populated") == Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn group(parent: &Path, name: &str, controllers: &str) -> PathBuf {
        let directory = parent.join(name);
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("cgroup.controllers"), controllers).unwrap();
        fs::write(directory.join("cgroup.subtree_control"), controllers).unwrap();
        fs::write(directory.join("cgroup.procs"), "").unwrap();
        directory
    }

    #[test]
    fn limits_and_usage_are_files_of_the_group() {
        let place = tempfile::tempdir().unwrap();
        let group = place.path();
        let unified = Unified { root: group.to_owned(), controllers: Controller::ALL.to_vec() };
        fs::write(group.join("memory.swap.max"), "max").unwrap();
        let limits = Limits { memory_bytes: Some(1 << 20), cpu_millis: Some(1500), processes: Some(9) };
        unified.limit(group, &limits).unwrap();
        let read = |file: &str| fs::read_to_string(group.join(file)).unwrap();
        assert_eq!((read("memory.max"), read("memory.swap.max")), ("1048576".into(), "0".into()));
        assert_eq!((read("cpu.max"), read("pids.max")), ("150000 100000".into(), "9".into()));
        assert_eq!(read("memory.oom.group"), "1");
        assert_eq!((unified.usage(group), unified.memory_kills(group)), (Usage::default(), 0));
        fs::write(group.join("memory.peak"), "4096\n").unwrap();
        fs::write(group.join("cpu.stat"), "usage_usec 7000\nuser_usec 1\n").unwrap();
        fs::write(group.join("memory.events"), "low 0\noom 3\noom_kill 1\noom_group_kill 1\n").unwrap();
        assert_eq!(unified.usage(group), Usage { memory_peak_bytes: Some(4096), cpu_time_ms: Some(7) });
        assert_eq!(unified.memory_kills(group), 1);
        fs::write(group.join("cgroup.events"), "populated 1\nfrozen 0\n").unwrap();
        assert!(!unified.is_empty(group));
        fs::write(group.join("cgroup.events"), "populated 0\nfrozen 0\n").unwrap();
        assert!(unified.is_empty(group));
        fs::write(group.join("cgroup.kill"), "").unwrap();
        unified.kill(group);
        assert_eq!((read("cgroup.kill"), read("pids.max")), ("1".into(), "9".into()));
    }

    #[test]
    fn the_own_group_is_used_when_it_hands_down_and_the_leaf_leads_back_to_it() {
        let place = tempfile::tempdir().unwrap();
        let service = group(place.path(), "docket.service", "cpu memory pids io");
        let leaf = group(&service, LEAF, "");
        for own in [&service, &leaf] {
            let place = Place { mount: place.path().into(), own: own.clone(), controllers: Vec::new() };
            let unified = Unified::prepare(&place, "docket-1").unwrap();
            assert_eq!(unified.root, service.join("docket-1"));
            assert_eq!(unified.controllers, Controller::ALL);
        }
    }

    #[test]
    fn a_server_in_a_group_of_its_own_uses_the_delegated_one_above() {
        let place = tempfile::tempdir().unwrap();
        let service = group(place.path(), "docket.service", "memory");
        let own = group(&service, "main", "");
        let place = Place { mount: place.path().into(), own: own.clone(), controllers: Vec::new() };
        for name in ["docket-1", "docket-2"] {
            let unified = Unified::prepare(&place, name).unwrap();
            assert_eq!((unified.root, unified.controllers), (service.join(name), vec![Controller::Memory]));
            // By now the group above hands down to the own one as well.
            fs::write(own.join("cgroup.controllers"), "memory").unwrap();
        }
    }

    #[test]
    fn without_a_controller_nothing_is_used_and_the_reasons_are_told() {
        let place = tempfile::tempdir().unwrap();
        let own = group(place.path(), "session", "");
        group(&own, "other", "");
        let place = Place { mount: place.path().into(), own, controllers: Vec::new() };
        let why = Unified::prepare(&place, "docket-1").err().unwrap();
        assert_eq!(why.matches("no controller is delegated to it").count(), 2, "{why}");
        assert!(!place.own.join("docket-1").exists());
    }

    #[test]
    fn processes_move_into_the_leaf_only_when_all_are_docket() {
        let place = tempfile::tempdir().unwrap();
        let base = group(place.path(), "base", "memory");
        fs::write(base.join("cgroup.procs"), "11\n12\n").unwrap();
        assert!(move_own(&base, &|pid| pid == 11).unwrap_err().contains("other programs"));
        assert!(!base.join(LEAF).exists());
        move_own(&base, &|_| true).unwrap();
        assert_eq!(fs::read_to_string(base.join(LEAF).join("cgroup.procs")).unwrap(), "12");
        assert!(is_same_program(rustix::process::getpid().as_raw_pid()));
        assert!(!is_same_program(1_999_999_999));
    }

    /// A mounted hierarchy of version 2, gone with it. Only root can have one.
    struct Mounted(tempfile::TempDir);

    impl Mounted {
        fn new() -> Option<Mounted> {
            let place = tempfile::tempdir().unwrap();
            let mount = Command::new("mount").args(["-t", "cgroup2", "none"]).arg(place.path()).output();
            mount.is_ok_and(|output| output.status.success()).then(|| Mounted(place))
        }
    }

    impl Drop for Mounted {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg(self.0.path()).status();
        }
    }

    #[test]
    fn a_real_group_is_joined_killed_and_removed() {
        let Some(mounted) = Mounted::new() else {
            let may_mount = rustix::thread::capabilities(None).unwrap().effective;
            assert!(!may_mount.contains(rustix::thread::CapabilitySet::SYS_ADMIN), "who may mount can");
            return;
        };
        let root = mounted.0.path().join(format!("docket-test-{}", std::process::id()));
        fs::create_dir(&root).unwrap();
        let unified = Unified { root: root.clone(), controllers: Vec::new() };
        let group = root.join("group");
        fs::create_dir(&group).unwrap();
        assert!(unified.is_empty(&group));
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        fs::write(group.join("cgroup.procs"), child.id().to_string()).unwrap();
        assert!(!unified.is_empty(&group));
        unified.kill(&group);
        let ended = child.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended), Some(9));
        assert!(unified.is_empty(&group));
        assert!(unified.usage(&group).cpu_time_ms.is_some());
        assert!(super::super::remove(&root, 2));
    }
}
