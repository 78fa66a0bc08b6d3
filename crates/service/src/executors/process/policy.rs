//! Under which rules attempts run as processes of this host: as which users, and what becomes of a limit that the
//! machine can't enforce. Owns the reading of these settings and what the machine must offer for them; changes no
//! process and no file.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid, User, getgrouplist};
use rustix::thread::CapabilitySet;
use serde::{Deserialize, Serialize};

/// The rules, as the server hands them to its supervisor. They hold for attempts started from then on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// As whom attempts run.
    pub users: Users,
    /// What becomes of limits that can't be enforced.
    pub unenforced: Unenforced,
}

/// As whom attempts run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Users {
    /// As the user of the supervisor itself.
    #[default]
    Own,
    /// All as this one.
    One(Identity),
    /// Each running attempt as one of its own, with the group of the same number and no other.
    Range {
        /// The first of them.
        first: u32,
        /// The last of them.
        last: u32,
    },
}

/// A user of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The user's number.
    pub uid: u32,
    /// The number of its group.
    pub gid: u32,
    /// All groups that it is in.
    pub groups: Vec<u32>,
    /// Whether no other attempt runs as this user.
    pub sole: bool,
}

/// What becomes of an attempt whose memory or CPU limit the machine can't enforce.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unenforced {
    /// It is refused, with the reason.
    #[default]
    Refuse,
    /// It runs without that limit; the supervisor's log tells.
    Ignore,
}

/// The users that jobs get when nothing else is said and the server is root: far from those of people and services, and
/// the numbers that another scheduler uses for the same purpose.
const USUAL: (u32, u32) = (80_000, 89_999);
/// The user that owns nothing, where the usual ones do not exist: in a container with 65,536 numbers.
const NOBODY: u32 = 65_534;
/// What a supervisor needs to start, own and stop processes of other users.
const NEEDED: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID);

/// What this process may do about users.
#[derive(Clone, Debug)]
pub struct Powers {
    own: u32,
    may_switch: bool,
    uids: Vec<(u32, u32)>,
    gids: Vec<(u32, u32)>,
}

impl Powers {
    /// Those of the calling process.
    pub fn of_this_process() -> Powers {
        let effective = rustix::thread::capabilities(None).map(|sets| sets.effective);
        let map = |name: &str| mapped(&fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default());
        Powers {
            own: rustix::process::geteuid().as_raw(),
            may_switch: effective.is_ok_and(|set| set.contains(NEEDED)),
            uids: map("uid_map"),
            gids: map("gid_map"),
        }
    }

    fn exist(&self, first: u32, last: u32) -> bool {
        let within = |map: &[(u32, u32)]| map.iter().any(|(begin, end)| *begin <= first && last <= *end);
        within(&self.uids) && within(&self.gids)
    }
}

/// The numbers that a user namespace knows: lines of `inside outside count`.
fn mapped(map: &str) -> Vec<(u32, u32)> {
    let line = |line: &str| {
        let numbers: Vec<u32> = line.split_ascii_whitespace().filter_map(|number| number.parse().ok()).collect();
        let [inside, _, count] = numbers[..] else { return None };
        Some((inside, inside.checked_add(count.checked_sub(1)?)?))
    };
    map.lines().filter_map(line).collect()
}

impl Users {
    /// Reads the setting: a name, `UID`, `UID:GID` or `FIRST-LAST`; `root` keeps root. Nothing said means the usual
    /// range when this process may switch users, and its own user otherwise.
    ///
    /// # Errors
    /// One line that begins with the setting's name.
    pub fn resolve(setting: Option<&str>, powers: &Powers) -> Result<Users, String> {
        let Some(setting) = setting.map(str::trim) else {
            return Ok(Users::usual(powers));
        };
        let users = parse(setting)?;
        if let Users::One(identity) = &users
            && identity.uid == powers.own
        {
            return Ok(Users::Own);
        }
        if !powers.may_switch {
            return Err(format!("job-user {setting}: only root can run jobs as another user"));
        }
        let (first, last) = match &users {
            Users::Range { first, last } => (*first, *last),
            Users::One(identity) => (identity.uid, identity.uid),
            Users::Own => return Ok(users),
        };
        match powers.exist(first, last) {
            true => Ok(users),
            false => Err(format!("job-user {setting}: this container has no user of that number")),
        }
    }

    fn usual(powers: &Powers) -> Users {
        let (first, last) = USUAL;
        match powers.may_switch {
            true if powers.exist(first, last) => Users::Range { first, last },
            true if powers.exist(NOBODY, NOBODY) => {
                Users::One(Identity { uid: NOBODY, gid: NOBODY, groups: vec![NOBODY], sole: false })
            }
            _ => Users::Own,
        }
    }

    /// Whether attempts run as somebody else than the supervisor.
    pub fn are_others(&self) -> bool {
        *self != Users::Own
    }

    /// The first directory on the way to `path` that does not let these users through. They still work in their
    /// directories, but can't reach them, or programs below, by an absolute path.
    pub fn stopped_at(&self, path: &Path) -> Option<PathBuf> {
        let (user, groups) = match self {
            Users::Own => return None,
            Users::One(identity) => (Some(identity.uid), &identity.groups[..]),
            Users::Range { .. } => (None, &[][..]),
        };
        let mut ancestors: Vec<&Path> = path.ancestors().skip(1).collect();
        ancestors.reverse();
        let closed = ancestors.into_iter().find(|directory| {
            fs::metadata(directory).is_ok_and(|metadata| {
                let bit = match () {
                    () if user == Some(metadata.uid()) => 0o100,
                    () if groups.contains(&metadata.gid()) => 0o010,
                    () => 0o001,
                };
                metadata.mode() & bit == 0
            })
        });
        closed.map(Path::to_owned)
    }
}

fn parse(setting: &str) -> Result<Users, String> {
    let wrong = || format!("job-user {setting:?} is no user: give a name, UID, UID:GID or FIRST-LAST");
    let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number != u32::MAX);
    if let Some((first, last)) = setting.split_once('-')
        && let (Some(first), Some(last)) = (number(first), number(last))
    {
        return match first > 0 && first <= last {
            true => Ok(Users::Range { first, last }),
            false => Err(format!("job-user {setting}: a range goes upwards and leaves out 0")),
        };
    }
    let unreadable = |error| format!("job-user {setting}: the users of this machine can't be read: {error}");
    if let Some((uid, gid)) = setting.split_once(':') {
        let (uid, gid) = (number(uid).ok_or_else(wrong)?, number(gid).ok_or_else(wrong)?);
        return Ok(Users::One(Identity { uid, gid, groups: vec![gid], sole: false }));
    }
    let user = match number(setting) {
        Some(uid) => match User::from_uid(Uid::from_raw(uid)).map_err(unreadable)? {
            Some(user) => user,
            None => return Ok(Users::One(Identity { uid, gid: uid, groups: vec![uid], sole: false })),
        },
        None if setting.is_empty() => return Err(wrong()),
        None => User::from_name(setting)
            .map_err(unreadable)?
            .ok_or_else(|| format!("job-user {setting}: there is no user of that name"))?,
    };
    let name = std::ffi::CString::new(user.name).map_err(|_| wrong())?;
    let groups = getgrouplist(&name, user.gid).map_err(unreadable)?;
    let groups = groups.into_iter().map(Gid::as_raw).collect();
    Ok(Users::One(Identity { uid: user.uid.as_raw(), gid: user.gid.as_raw(), groups, sole: false }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn powers(own: u32, last: u32) -> Powers {
        Powers { own, may_switch: own == 0, uids: vec![(0, last)], gids: vec![(0, last)] }
    }

    fn one(uid: u32, gid: u32) -> Users {
        Users::One(Identity { uid, gid, groups: vec![gid], sole: false })
    }

    #[test]
    fn root_gives_each_job_a_user_and_others_their_own() {
        let all = powers(0, u32::MAX - 1);
        assert_eq!(Users::resolve(None, &all), Ok(Users::Range { first: 80_000, last: 89_999 }));
        assert_eq!(Users::resolve(None, &powers(0, 65_535)), Ok(one(NOBODY, NOBODY)));
        assert_eq!(Users::resolve(None, &powers(0, 999)), Ok(Users::Own));
        assert_eq!(Users::resolve(None, &powers(1000, u32::MAX - 1)), Ok(Users::Own));
        let weak = Powers { may_switch: false, ..all };
        assert_eq!(Users::resolve(None, &weak), Ok(Users::Own));
    }

    #[test]
    fn the_setting_names_a_user_a_pair_or_a_range() {
        let all = powers(0, u32::MAX - 1);
        let read = |setting: &str| Users::resolve(Some(setting), &all);
        assert_eq!(read("root"), Ok(Users::Own));
        assert_eq!(read("0"), Ok(Users::Own));
        assert_eq!(read("7001:7002"), Ok(one(7001, 7002)));
        assert_eq!(read("3999999999"), Ok(one(3_999_999_999, 3_999_999_999)));
        assert_eq!(read("500-600"), Ok(Users::Range { first: 500, last: 600 }));
        assert_eq!(Users::resolve(Some("1000"), &powers(1000, 70_000)), Ok(Users::Own));
    }

    #[test]
    fn what_is_no_user_here_is_refused_by_name() {
        let all = powers(0, u32::MAX - 1);
        for (setting, powers, sign) in [
            ("", &all, "is no user"),
            ("1:x", &all, "is no user"),
            ("4294967295:1", &all, "is no user"),
            ("0-9", &all, "leaves out 0"),
            ("9-8", &all, "goes upwards"),
            ("no such user", &all, "no user of that name"),
            ("80000-89999", &powers(0, 65_535), "this container has no user"),
            ("1001", &powers(1000, 70_000), "only root"),
        ] {
            let error = Users::resolve(Some(setting), powers).expect_err(setting);
            assert!(error.starts_with("job-user") && error.contains(sign), "{setting}: {error}");
        }
    }

    #[test]
    fn maps_of_user_namespaces_are_ranges() {
        assert_eq!(mapped("         0          0 4294967295\n"), [(0, 4_294_967_294)]);
        assert_eq!(mapped("0 1000 1\n1 100000 65536\nx y z\n7 7 0\n"), [(0, 0), (1, 65_536)]);
    }

    #[test]
    fn a_closed_directory_on_the_way_is_named() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let open = |mode| fs::set_permissions(root.path(), fs::Permissions::from_mode(mode)).unwrap();
        let range = Users::Range { first: 3_000_000_000, last: 3_000_000_001 };
        open(0o700);
        assert_eq!(range.stopped_at(&inner), Some(root.path().to_owned()));
        assert_eq!(Users::Own.stopped_at(&inner), None);
        let group = fs::metadata(root.path()).unwrap().gid();
        open(0o710);
        assert_eq!(one(3_000_000_000, group).stopped_at(&inner), None);
        open(0o711);
        assert_eq!(range.stopped_at(&inner), None);
    }
}
