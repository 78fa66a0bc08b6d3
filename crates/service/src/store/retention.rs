//! Retention: policies and rounds as they are stored, and walks of the jobs that have ended.

use super::StoreError;
use async_trait::async_trait;
use docket_contract::retention::{PolicyKey, RetentionPolicy, RetentionRound, RetentionRule};
use docket_contract::{JobId, Timestamp};

/// What retention needs of the control plane. Walks of ended jobs go by an index and end after a bounded number of its
/// entries, however many jobs there are.
#[async_trait]
pub trait RetentionStore: Send + Sync + 'static {
    /// Stores a policy, in place of the one for the same storage and type. `None`, with nothing stored, if it would be one
    /// more than `most`.
    async fn put_policy(
        &self,
        organization: &str,
        rule: RetentionRule,
        made: Made,
        most: usize,
    ) -> Result<Option<RetentionPolicy>, StoreError>;

    /// Removes the policy for a storage and type; answers it as it was.
    async fn delete_policy(&self, organization: &str, key: &PolicyKey) -> Result<Option<RetentionPolicy>, StoreError>;

    /// The policies of an organization, by storage and type.
    async fn policies(&self, organization: &str) -> Result<Vec<RetentionPolicy>, StoreError>;

    /// Organizations that have jobs, keys or policies, by their names: `limit` at most, behind a name.
    async fn organizations(&self, after: Option<&str>, limit: usize) -> Result<Vec<String>, StoreError>;

    /// The pairs of storage and type that an organization's ended jobs have: `limit` at most, behind a pair, in an order of
    /// the store's own. Each costs one look, however many jobs it has.
    async fn ended_groups(
        &self,
        organization: &str,
        after: Option<&JobGroup>,
        limit: usize,
    ) -> Result<Vec<JobGroup>, StoreError>;

    /// Of the jobs of a group that ended before a position, the `nth` newest one, from 1; without a position of all. `None`
    /// if there are fewer. It walks over `nth` entries.
    async fn newest_ended(
        &self,
        group: &JobGroup,
        before: Option<EndPosition>,
        nth: usize,
    ) -> Result<Option<EndPosition>, StoreError>;

    /// The jobs of a group that ended between two positions, both excluded, the oldest first; `limit` at most.
    async fn ended_jobs(
        &self,
        group: &JobGroup,
        after: Option<EndPosition>,
        before: EndPosition,
        limit: usize,
    ) -> Result<Vec<(EndPosition, JobId)>, StoreError>;

    /// How many jobs of a group ended before a position; `limit` if there are more.
    async fn count_ended(&self, group: &JobGroup, before: EndPosition, limit: usize) -> Result<usize, StoreError>;

    /// Stores how a round stands, in place of what is stored of the organization's last one.
    async fn save_round(&self, organization: &str, round: RetentionRound) -> Result<(), StoreError>;

    /// The organization's last round.
    async fn last_round(&self, organization: &str) -> Result<Option<RetentionRound>, StoreError>;
}

/// Who made a policy, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// Who.
    pub user: String,
    /// When.
    pub at: Timestamp,
}

/// Jobs of an organization that share storage and type.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobGroup {
    /// Whose.
    pub organization: String,
    /// Their `resultStorageId`, if they have one.
    pub storage_id: Option<String>,
    /// Their type, if they have one.
    pub job_type: Option<String>,
}

/// Where a job stands among those of its group, by its end; of jobs that ended together the one that was made last is the
/// newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndPosition {
    /// When it ended.
    pub at: Timestamp,
    /// Its place in the order of creation, from 1.
    pub place: u64,
}

impl EndPosition {
    /// Behind all jobs.
    pub fn last() -> Self {
        Self { at: Timestamp::from_millis(i64::MAX), place: u64::MAX }
    }

    /// Before all jobs that ended at this time or later.
    pub fn before(at: Timestamp) -> Self {
        Self { at, place: 0 }
    }
}
