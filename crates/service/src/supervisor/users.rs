//! Which attempt runs as which user. Owns that no two run as the same of a range, on the whole machine, and that one
//! comes back as late as can be: files that an attempt left where everybody may write are then not the next one's.
//!
//! A user that is taken is a locked file below `/run`, so that several supervisors can share a range. Where that can't be
//! written, only this supervisor is sure of its own.

use std::collections::HashMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::executors::process::policy::{Identity, Users};

/// Where the files are that stand for users.
const CLAIMS: &str = "/run/docket/users";

/// A user that nobody else takes, as long as this lives.
pub struct Claim {
    /// Locked.
    _file: Option<File>,
}

/// The directory of the claims, if there can be one.
fn claims(path: &Path) -> Option<PathBuf> {
    match DirBuilder::new().recursive(true).mode(0o700).create(path) {
        Ok(()) => Some(path.to_owned()),
        Err(e) => {
            tracing::warn!("{} can't be made, so users of jobs are not kept from other servers: {e}", path.display());
            None
        }
    }
}

/// Takes a user; nothing when another supervisor has it.
fn claim(claims: Option<&Path>, uid: u32) -> Option<Claim> {
    let locked = |claims: &Path| -> io::Result<File> {
        let path = claims.join(uid.to_string());
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(file)
    };
    match claims.map(locked) {
        None => Some(Claim { _file: None }),
        Some(Ok(file)) => Some(Claim { _file: Some(file) }),
        Some(Err(e)) if e.raw_os_error() == Some(Errno::WOULDBLOCK.raw_os_error()) => None,
        Some(Err(e)) => {
            tracing::warn!(uid, "the user of a job is not kept from other servers: {e}");
            Some(Claim { _file: None })
        }
    }
}

#[derive(Default)]
pub struct Assigned {
    taken: HashMap<u32, Claim>,
    next: u32,
    claims: Option<PathBuf>,
}

impl Assigned {
    /// Begins at a place of the range that is no other supervisor's beginning, as far as chance goes.
    pub fn new() -> Assigned {
        Assigned { taken: HashMap::new(), next: fastrand::u32(..), claims: None }
    }

    /// Prepares for these users.
    pub fn prepare(&mut self, users: &Users) {
        if matches!(users, Users::Range { .. }) && self.claims.is_none() {
            self.claims = claims(Path::new(CLAIMS));
        }
    }

    /// The user of the next attempt, `None` for the supervisor's own.
    ///
    /// # Errors
    /// All of the range run already.
    pub fn take(&mut self, users: &Users) -> Result<Option<Identity>, AllTaken> {
        let (first, last) = match users {
            Users::Own => return Ok(None),
            Users::One(identity) => return Ok(Some(identity.clone())),
            Users::Range { first, last } => (*first, *last),
        };
        let begin = if (first..=last).contains(&self.next) {
            self.next
        } else {
            first + self.next % (last - first).saturating_add(1)
        };
        let free = (begin..=last).chain(first..begin).filter(|uid| !self.taken.contains_key(uid));
        let mut claimed = free.filter_map(|uid| Some((uid, claim(self.claims.as_deref(), uid)?)));
        let (uid, claim) = claimed.next().ok_or(AllTaken)?;
        drop(claimed);
        self.taken.insert(uid, claim);
        self.next = if uid == last { first } else { uid + 1 };
        Ok(Some(Identity { uid, gid: uid, groups: vec![uid], sole: true }))
    }

    /// Takes a user that an attempt of an earlier supervisor had; nothing when another supervisor has it by now.
    pub fn take_back(uid: u32) -> Option<(Identity, Claim)> {
        let claim = claim(claims(Path::new(CLAIMS)).as_deref(), uid)?;
        Some((Identity { uid, gid: uid, groups: vec![uid], sole: true }, claim))
    }

    /// Nothing runs as this user any more.
    pub fn give_back(&mut self, identity: Option<&Identity>) {
        if let Some(identity) = identity.filter(|identity| identity.sole) {
            self.taken.remove(&identity.uid);
        }
    }
}

/// There is no user left for another attempt.
#[derive(Debug, PartialEq, Eq)]
pub struct AllTaken;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn uid(taken: Result<Option<Identity>, AllTaken>) -> Option<u32> {
        taken.unwrap().map(|identity| identity.uid)
    }

    #[test]
    fn no_two_run_as_the_same_and_all_are_used_before_one_comes_back() {
        let range = Users::Range { first: 10, last: 13 };
        let mut assigned = Assigned::new();
        let all: Vec<Option<Identity>> = (0..4).map(|_| assigned.take(&range).unwrap()).collect();
        let uids: HashSet<u32> = all.iter().flatten().map(|identity| identity.uid).collect();
        assert_eq!(uids, HashSet::from([10, 11, 12, 13]));
        assert!(all.iter().flatten().all(|i| i.sole && i.gid == i.uid && i.groups == [i.uid]));
        assert_eq!(assigned.take(&range), Err(AllTaken));
        assigned.give_back(all[2].as_ref());
        assert_eq!(assigned.take(&range).unwrap(), all[2]);
        for identity in &all {
            assigned.give_back(identity.as_ref());
        }
        let again: Vec<Option<u32>> = (0..3).map(|_| uid(assigned.take(&range))).collect();
        assert!(!again.contains(&all[2].as_ref().map(|identity| identity.uid)));
    }

    #[test]
    fn a_shared_user_is_never_used_up() {
        let one = Identity { uid: 7, gid: 8, groups: vec![8], sole: false };
        let mut assigned = Assigned::new();
        for _ in 0..3 {
            assert_eq!(assigned.take(&Users::One(one.clone())).unwrap(), Some(one.clone()));
        }
        assert_eq!(assigned.take(&Users::Own), Ok(None));
        let whole = Users::Range { first: 1, last: u32::MAX - 1 };
        assert!(uid(assigned.take(&whole)).is_some());
    }

    #[test]
    fn what_another_supervisor_has_is_passed_over() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("docket/users");
        let range = Users::Range { first: 10, last: 12 };
        let supervisor = || Assigned { claims: claims(&path), ..Assigned::new() };
        let (mut one, mut other) = (supervisor(), supervisor());
        let first = one.take(&range).unwrap();
        let others: Vec<Option<Identity>> = (0..2).map(|_| other.take(&range).unwrap()).collect();
        assert!(!others.contains(&first));
        assert_eq!((one.take(&range), other.take(&range)), (Err(AllTaken), Err(AllTaken)));
        one.give_back(first.as_ref());
        assert_eq!(other.take(&range).unwrap(), first);
        drop(other);
        assert!(one.take(&range).is_ok());
    }
}
