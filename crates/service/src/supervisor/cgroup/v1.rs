//! Control groups of version 1: each hierarchy has controllers of its own, and a process is in one group of each.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::find::Place;
use super::{Controller, Hierarchy, cpu_bandwidth, field, kill_members, number};
use crate::executors::{Limits, Usage};

/// One hierarchy.
pub struct Single {
    root: PathBuf,
    controllers: Vec<Controller>,
}

impl Single {
    /// Makes the supervisor's group below the own one, or says why that can't be.
    pub fn prepare(place: &Place, name: &str) -> Result<Single, String> {
        let single = Single::at(place.own.join(name), place.controllers.clone());
        single.make_root().map_err(|e| {
            let names = place.controllers.iter().map(Controller::to_string).collect::<Vec<_>>().join(",");
            format!("{names}: no group can be made in {}: {e}", place.own.display())
        })?;
        Ok(single)
    }

    pub fn at(root: PathBuf, controllers: Vec<Controller>) -> Single {
        Single { root, controllers }
    }

    fn limit_memory(group: &Path, bytes: u64) -> io::Result<()> {
        fs::write(group.join("memory.limit_in_bytes"), bytes.to_string())?;
        // Memory and swap together; a kernel that does not count swap has no such file.
        let with_swap = group.join("memory.memsw.limit_in_bytes");
        match with_swap.exists() {
            true => fs::write(with_swap, bytes.to_string()),
            false => Ok(()),
        }
    }

    fn limit_cpu(group: &Path, millis: u64) -> io::Result<()> {
        let (period, quota) = cpu_bandwidth(millis);
        fs::write(group.join("cpu.cfs_period_us"), period.to_string())?;
        match fs::write(group.join("cpu.cfs_quota_us"), quota.to_string()) {
            // More than a group above may use: then that one holds the attempt to less.
            Err(e) if e.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => Ok(()),
            other => other,
        }
    }
}

impl Hierarchy for Single {
    fn root(&self) -> &Path {
        &self.root
    }

    fn make_root(&self) -> io::Result<()> {
        match fs::create_dir(&self.root) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    fn controls(&self, controller: Controller) -> bool {
        self.controllers.contains(&controller)
    }

    fn limit(&self, group: &Path, limits: &Limits) -> io::Result<()> {
        if let (true, Some(bytes)) = (self.controls(Controller::Memory), limits.memory_bytes) {
            Single::limit_memory(group, bytes)?;
        }
        if let (true, Some(millis)) = (self.controls(Controller::Cpu), limits.cpu_millis) {
            Single::limit_cpu(group, millis)?;
        }
        if let (true, Some(processes)) = (self.controls(Controller::Processes), limits.processes) {
            fs::write(group.join("pids.max"), processes.to_string())?;
        }
        Ok(())
    }

    fn usage(&self, group: &Path) -> Usage {
        Usage {
            memory_peak_bytes: number(&group.join("memory.max_usage_in_bytes")),
            // There where the accounting of CPU time shares the hierarchy of its limit, as it usually does.
            cpu_time_ms: number(&group.join("cpuacct.usage")).map(|nanoseconds| nanoseconds / 1_000_000),
        }
    }

    fn memory_kills(&self, group: &Path) -> u64 {
        field(&group.join("memory.oom_control"), "oom_kill").unwrap_or(0)
    }

    /// Nobody in it can fork from then on, where the hierarchy counts processes.
    fn kill(&self, group: &Path) {
        if self.controls(Controller::Processes) {
            // Without it the killing takes more rounds.
            let _ = fs::write(group.join("pids.max"), "0");
        }
        kill_members(group);
    }

    fn is_empty(&self, group: &Path) -> bool {
        super::members(group, super::DEPTH).is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(group: &Path, file: &str) -> String {
        fs::read_to_string(group.join(file)).unwrap()
    }

    #[test]
    fn limits_and_usage_are_files_of_the_group() {
        let place = tempfile::tempdir().unwrap();
        let group = place.path();
        let single = Single::at(group.to_owned(), Controller::ALL.to_vec());
        fs::write(group.join("memory.memsw.limit_in_bytes"), "").unwrap();
        let limits = Limits { memory_bytes: Some(1 << 20), cpu_millis: Some(500), processes: Some(9) };
        single.limit(group, &limits).unwrap();
        assert_eq!(read(group, "memory.limit_in_bytes"), "1048576");
        assert_eq!(read(group, "memory.memsw.limit_in_bytes"), "1048576");
        assert_eq!(
            (read(group, "cpu.cfs_period_us"), read(group, "cpu.cfs_quota_us")),
            ("100000".into(), "50000".into())
        );
        assert_eq!(read(group, "pids.max"), "9");
        assert_eq!((single.usage(group), single.memory_kills(group)), (Usage::default(), 0));
        fs::write(group.join("memory.max_usage_in_bytes"), "4096\n").unwrap();
        fs::write(group.join("cpuacct.usage"), "7000000\n").unwrap();
        fs::write(group.join("memory.oom_control"), "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n").unwrap();
        assert_eq!(single.usage(group), Usage { memory_peak_bytes: Some(4096), cpu_time_ms: Some(7) });
        assert_eq!(single.memory_kills(group), 2);
        fs::write(group.join("cgroup.procs"), "999999999\n").unwrap();
        assert!(!single.is_empty(group));
        single.kill(group);
        assert_eq!(read(group, "pids.max"), "0");
    }

    #[test]
    fn only_what_the_hierarchy_controls_is_set() {
        let place = tempfile::tempdir().unwrap();
        let single = Single::at(place.path().to_owned(), vec![Controller::Cpu]);
        let limits = Limits { memory_bytes: Some(1 << 20), cpu_millis: Some(5), processes: Some(9) };
        single.limit(place.path(), &limits).unwrap();
        assert_eq!(read(place.path(), "cpu.cfs_quota_us"), "5000");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_place_that_takes_no_group_is_named() {
        let place = Place { mount: "/".into(), own: "/proc/self".into(), controllers: vec![Controller::Memory] };
        let why = Single::prepare(&place, "docket-x").err().unwrap();
        assert!(why.starts_with("memory: no group can be made in /proc/self"), "{why}");
    }
}
