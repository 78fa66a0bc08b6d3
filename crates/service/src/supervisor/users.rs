//! Which attempt runs as which user. Owns that no two run as the same of a range, and that one comes back as late as can
//! be: files that an attempt left where everybody may write are then not the next one's.

use std::collections::HashSet;

use crate::executors::process::policy::{Identity, Users};

#[derive(Default)]
pub struct Assigned {
    taken: HashSet<u32>,
    next: u32,
}

impl Assigned {
    /// Begins at a place of the range that is no other supervisor's beginning, as far as chance goes.
    pub fn new() -> Assigned {
        Assigned { taken: HashSet::new(), next: fastrand::u32(..) }
    }

    /// The user of the next attempt, `None` for the supervisor's own.
    ///
    /// # Errors
    /// All of the range run already.
    pub fn take(&mut self, users: &Users) -> Result<Option<Identity>, ()> {
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
        let uid = (begin..=last).chain(first..begin).find(|uid| !self.taken.contains(uid)).ok_or(())?;
        self.taken.insert(uid);
        self.next = if uid == last { first } else { uid + 1 };
        Ok(Some(Identity { uid, gid: uid, groups: vec![uid], sole: true }))
    }

    /// Nothing runs as this user any more.
    pub fn give_back(&mut self, identity: Option<&Identity>) {
        if let Some(identity) = identity.filter(|identity| identity.sole) {
            self.taken.remove(&identity.uid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uid(taken: Result<Option<Identity>, ()>) -> Option<u32> {
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
        assert_eq!(assigned.take(&range), Err(()));
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
}
