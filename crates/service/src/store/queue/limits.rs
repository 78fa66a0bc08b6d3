//! How many jobs may run at once: what the configuration says.

use super::gates::{Gate, GateKind};
use std::collections::BTreeMap;

/// Limits of running jobs. By default there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// For every organization, one by one.
    pub each: Room,
    /// For single organizations; what they leave open is as for every one.
    pub organizations: BTreeMap<String, Room>,
}

/// How many jobs of one organization may run at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// All jobs; 0 runs none.
    pub jobs: Option<usize>,
    /// Jobs of a type; 0 runs none.
    pub types: BTreeMap<String, usize>,
}

impl Limits {
    /// Whether there is none at all.
    pub fn is_empty(&self) -> bool {
        self.each == Room::default() && self.organizations.is_empty()
    }

    /// How many jobs of an organization may run.
    pub fn of_organization(&self, organization: &str) -> Option<usize> {
        self.organizations.get(organization).and_then(|own| own.jobs).or(self.each.jobs)
    }

    /// How many jobs of a type an organization may run.
    pub fn of_type(&self, organization: &str, job_type: &str) -> Option<usize> {
        let own = self.organizations.get(organization).and_then(|own| own.types.get(job_type));
        own.or_else(|| self.each.types.get(job_type)).copied()
    }

    /// How many jobs may hold a gate; `None` for any number.
    pub fn capacity(&self, gate: &Gate) -> Option<usize> {
        match gate.kind {
            GateKind::Lock => Some(1),
            GateKind::Organization => self.of_organization(&gate.organization),
            GateKind::Type => self.of_type(&gate.organization, &gate.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_organization_s_own_limits_go_before_those_of_every_one() {
        let room = |jobs, types: &[(&str, usize)]| Room {
            jobs,
            types: types.iter().map(|(name, most)| ((*name).to_owned(), *most)).collect(),
        };
        let limits = Limits {
            each: room(Some(50), &[("A_JOB", 4), ("B_JOB", 2)]),
            organizations: BTreeMap::from([
                ("acme".to_owned(), room(Some(10), &[("A_JOB", 1)])),
                ("open".to_owned(), room(None, &[("C_JOB", 0)])),
            ]),
        };
        for (organization, expected) in [("acme", Some(10)), ("open", Some(50)), ("other", Some(50))] {
            assert_eq!(limits.of_organization(organization), expected, "{organization}");
        }
        for (organization, job_type, expected) in [
            ("acme", "A_JOB", Some(1)),
            ("acme", "B_JOB", Some(2)),
            ("open", "A_JOB", Some(4)),
            ("open", "C_JOB", Some(0)),
            ("other", "C_JOB", None),
        ] {
            assert_eq!(limits.of_type(organization, job_type), expected, "{organization} {job_type}");
        }
        assert!(Limits::default().is_empty());
        assert!(!limits.is_empty());
    }
}
