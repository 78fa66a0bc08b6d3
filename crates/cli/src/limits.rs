//! Settings of how many jobs of an organization run at once, beside the slots.
//!
//! For every organization: `jobs-per-organization` and `jobs-per-type`. For single ones only in the file:
//! `[organizations.acme]` with `jobs` and `[organizations.acme.jobs-per-type]`; what that leaves open is as for every one.

use crate::failure::Failure;
use docket_contract::job::is_job_type;
use docket_service::store::queue::{Limits, Room};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::str::FromStr;

/// The largest number that a limit may be: as many as there may be slots.
const MOST: usize = 100_000;

/// `TYPE=N`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TypeLimit {
    job_type: String,
    jobs: usize,
}

impl FromStr for TypeLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (job_type, jobs) = text.split_once('=').ok_or("must be TYPE=N, such as DATA_CURATION_JOB=4")?;
        let jobs = jobs.parse().map_err(|_| format!("{jobs:?} is no number of jobs"))?;
        Ok(Self { job_type: job_type.to_owned(), jobs })
    }
}

/// Reads the table of the file: `DATA_CURATION_JOB = 4`.
pub(crate) fn table<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<TypeLimit>>, D::Error> {
    let table = BTreeMap::<String, usize>::deserialize(deserializer)?;
    Ok(Some(table.into_iter().map(|(job_type, jobs)| TypeLimit { job_type, jobs }).collect()))
}

/// The limits of one organization, in the file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct OrganizationLimits {
    jobs: Option<usize>,
    #[serde(deserialize_with = "table")]
    jobs_per_type: Option<Vec<TypeLimit>>,
}

/// Checks and joins them.
pub(crate) fn limits(
    jobs: Option<usize>,
    types: Option<Vec<TypeLimit>>,
    organizations: Option<BTreeMap<String, OrganizationLimits>>,
) -> Result<Limits, Failure> {
    let single = |(name, own): (String, OrganizationLimits)| {
        let room = room(&format!("organizations.{name}.jobs"), own.jobs, own.jobs_per_type)?;
        Ok((name, room))
    };
    Ok(Limits {
        each: room("jobs-per-organization", jobs, types)?,
        organizations: organizations.unwrap_or_default().into_iter().map(single).collect::<Result<_, Failure>>()?,
    })
}

fn room(name: &str, jobs: Option<usize>, types: Option<Vec<TypeLimit>>) -> Result<Room, Failure> {
    let within = |name: &str, jobs: usize| match jobs {
        0..=MOST => Ok(jobs),
        _ => Err(Failure::usage(format!("{name} must be from 0 to {MOST}, is {jobs}"))),
    };
    let mut room = Room { jobs: jobs.map(|jobs| within(name, jobs)).transpose()?, types: BTreeMap::new() };
    for TypeLimit { job_type, jobs } in types.unwrap_or_default() {
        if !is_job_type(&job_type) {
            let message = format!("jobs-per-type: {job_type:?} must match [A-Z][A-Z0-9_]{{0,62}}_JOB");
            return Err(Failure::usage(message));
        }
        within(&format!("jobs-per-type {job_type}"), jobs)?;
        room.types.insert(job_type, jobs);
    }
    Ok(room)
}
