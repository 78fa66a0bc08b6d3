//! Where the control groups of this process lie, from what the kernel tells in `/proc/self/cgroup` and
//! `/proc/self/mountinfo`. Reads nothing itself and writes nothing.

use std::path::{Path, PathBuf};

use super::Controller;

/// The directories of the own groups.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Places {
    pub v2: Option<Place>,
    /// One for each hierarchy of version 1 that has a controller of interest.
    pub v1: Vec<Place>,
    /// Why others can't be reached.
    pub obstacles: Vec<String>,
}

/// The own group in one hierarchy.
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    /// Where the hierarchy, or the part of it that can be seen, is mounted.
    pub mount: PathBuf,
    pub own: PathBuf,
    /// In version 1 those of interest that the hierarchy has; in version 2 the groups themselves tell.
    pub controllers: Vec<Controller>,
}

struct Mount {
    point: PathBuf,
    /// Which part of the hierarchy is mounted.
    root: PathBuf,
    v2: bool,
    /// Options of the hierarchy, in version 1 the controllers among them.
    options: Vec<String>,
}

pub fn places(own: &str, mountinfo: &str) -> Places {
    let mounts: Vec<Mount> = mountinfo.lines().filter_map(mount).collect();
    let mut places = Places::default();
    for line in own.lines() {
        // hierarchy number, controllers, path: the path may hold colons.
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(names), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let has = |controller: &Controller| names.split(',').any(|name| name == controller.name());
        let controllers: Vec<Controller> = Controller::ALL.into_iter().filter(has).collect();
        let v2 = names.is_empty();
        if !v2 && controllers.is_empty() {
            continue;
        }
        let what = if v2 { "control groups of version 2" } else { names };
        let carries = |mount: &&Mount| match v2 {
            true => mount.v2,
            false => !mount.v2 && mount.options.iter().any(|option| option == controllers[0].name()),
        };
        let mut candidates = mounts.iter().filter(carries).peekable();
        if candidates.peek().is_none() {
            places.obstacles.push(format!("{what}: not mounted"));
            continue;
        }
        let path = Path::new(path);
        let Some(place) = candidates.find_map(|mount| {
            let below = path.strip_prefix(&mount.root).ok()?;
            let own = if below.as_os_str().is_empty() { mount.point.clone() } else { mount.point.join(below) };
            Some(Place { mount: mount.point.clone(), own, controllers: controllers.clone() })
        }) else {
            places.obstacles.push(format!("{what}: the own group {} is not mounted", path.display()));
            continue;
        };
        match v2 {
            true => places.v2 = Some(place),
            false => places.v1.push(place),
        }
    }
    places
}

fn mount(line: &str) -> Option<Mount> {
    let (front, back) = line.split_once(" - ")?;
    let mut front = front.split(' ').skip(3);
    let (root, point) = (front.next()?, front.next()?);
    let mut back = back.split(' ');
    let (kind, _, options) = (back.next()?, back.next()?, back.next()?);
    let v2 = match kind {
        "cgroup2" => true,
        "cgroup" => false,
        _ => return None,
    };
    let options = options.split(',').map(str::to_owned).collect();
    Some(Mount { point: unescaped(point), root: unescaped(root), v2, options })
}

/// Blanks, tabs, line ends and backslashes stand as a backslash and three octal digits.
fn unescaped(path: &str) -> PathBuf {
    let mut parts = path.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                plain.push(char::from(byte));
                plain.push_str(&part[3..]);
            }
            None => {
                plain.push('\\');
                plain.push_str(part);
            }
        }
    }
    plain.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Controller::{Cpu, Memory, Processes};

    fn place(mount: &str, own: &str, controllers: &[Controller]) -> Place {
        Place { mount: mount.into(), own: own.into(), controllers: controllers.to_vec() }
    }

    #[test]
    fn a_unified_hierarchy() {
        let mounts = "25 30 0:23 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
        let found = places("0::/system.slice/docket.service\n", mounts);
        let own = "/sys/fs/cgroup/system.slice/docket.service";
        assert_eq!(found.v2, Some(place("/sys/fs/cgroup", own, &[])));
        assert_eq!((found.v1, found.obstacles), (vec![], vec![]));
    }

    #[test]
    fn hierarchies_of_version_1_with_a_part_mounted() {
        let own = "9:name=systemd:/\n8:pids:/\n5:devices:/\n4:memory:/docker/a:b\n3:cpu,cpuacct:/docker/c\n0::/\n";
        let mounts = "31 1 0:1 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n\
                      32 1 0:2 /docker/a:b /sys/fs/cgroup/with\\040blank rw - cgroup cgroup rw,memory\n\
                      33 1 0:3 /docker/other /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
                      34 1 0:4 / /proc rw - proc proc rw\n";
        let found = places(own, mounts);
        assert_eq!(
            found.v1,
            [
                place("/sys/fs/cgroup/pids", "/sys/fs/cgroup/pids", &[Processes]),
                place("/sys/fs/cgroup/with blank", "/sys/fs/cgroup/with blank", &[Memory]),
            ]
        );
        assert_eq!(found.v2, None);
        assert_eq!(
            found.obstacles,
            ["cpu,cpuacct: the own group /docker/c is not mounted", "control groups of version 2: not mounted"]
        );
    }

    #[test]
    fn controllers_that_share_a_hierarchy_are_one_place() {
        let found = places("4:cpu,cpuacct,memory:/x\n", "1 1 0:1 / /cg rw - cgroup none rw,cpu,cpuacct,memory\n");
        assert_eq!(found.v1, [place("/cg", "/cg/x", &[Memory, Cpu])]);
        assert_eq!(places("", ""), Places::default());
    }
}
