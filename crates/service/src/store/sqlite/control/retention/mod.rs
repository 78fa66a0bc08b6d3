//! Retention: policies and rounds, and walks of ended jobs.

mod ended;
mod policies;

use super::SqliteControl;
use crate::store::{EndPosition, JobGroup, Made, RetentionStore, StoreError};
use async_trait::async_trait;
use docket_contract::JobId;
use docket_contract::retention::{PolicyKey, RetentionPolicy, RetentionRound, RetentionRule};

#[async_trait]
impl RetentionStore for SqliteControl {
    async fn put_policy(
        &self,
        organization: &str,
        rule: RetentionRule,
        made: Made,
        most: usize,
    ) -> Result<Option<RetentionPolicy>, StoreError> {
        let organization = organization.to_owned();
        self.writer
            .write((rule, made), move |tx, (rule, made)| policies::put(tx, &organization, rule, made, most))
            .await
    }

    async fn delete_policy(&self, organization: &str, key: &PolicyKey) -> Result<Option<RetentionPolicy>, StoreError> {
        let organization = organization.to_owned();
        self.writer.write(key.clone(), move |tx, key| policies::delete(tx, &organization, key)).await
    }

    async fn policies(&self, organization: &str) -> Result<Vec<RetentionPolicy>, StoreError> {
        let organization = organization.to_owned();
        self.readers.read(move |connection| policies::list(connection, &organization)).await
    }

    async fn organizations(&self, after: Option<&str>, limit: usize) -> Result<Vec<String>, StoreError> {
        let after = after.unwrap_or_default().to_owned();
        self.readers.read(move |connection| policies::organizations(connection, &after, limit)).await
    }

    async fn ended_groups(
        &self,
        organization: &str,
        after: Option<&JobGroup>,
        limit: usize,
    ) -> Result<Vec<JobGroup>, StoreError> {
        let (organization, after) = (organization.to_owned(), after.cloned());
        self.readers.read(move |connection| ended::groups(connection, &organization, after.as_ref(), limit)).await
    }

    async fn newest_ended(
        &self,
        group: &JobGroup,
        before: Option<EndPosition>,
        nth: usize,
    ) -> Result<Option<EndPosition>, StoreError> {
        let group = group.clone();
        self.readers.read(move |connection| ended::newest(connection, &group, before, nth)).await
    }

    async fn ended_jobs(
        &self,
        group: &JobGroup,
        after: Option<EndPosition>,
        before: EndPosition,
        limit: usize,
    ) -> Result<Vec<(EndPosition, JobId)>, StoreError> {
        let group = group.clone();
        self.readers.read(move |connection| ended::jobs(connection, &group, after, before, limit)).await
    }

    async fn count_ended(&self, group: &JobGroup, before: EndPosition, limit: usize) -> Result<usize, StoreError> {
        let group = group.clone();
        self.readers.read(move |connection| ended::count(connection, &group, before, limit)).await
    }

    async fn save_round(&self, organization: &str, round: RetentionRound) -> Result<(), StoreError> {
        let organization = organization.to_owned();
        self.writer.write(round, move |tx, round| policies::save_round(tx, &organization, round)).await
    }

    async fn last_round(&self, organization: &str) -> Result<Option<RetentionRound>, StoreError> {
        let organization = organization.to_owned();
        self.readers.read(move |connection| policies::last_round(connection, &organization)).await
    }
}
