//! Scheduled jobs and their runs.

mod rows;
mod runs;
mod step;

use super::SqliteControl;
use crate::store::{
    DueSchedules, NewSchedule, Page, ScheduleStep, ScheduleStore, Scope, Stepped, StoreError, StoredSchedule,
};
use async_trait::async_trait;
use docket_contract::schedule::ScheduledJobRun;
use docket_contract::{JobId, ScheduledJobId, Timestamp};

#[async_trait]
impl ScheduleStore for SqliteControl {
    async fn insert_schedule(&self, schedule: NewSchedule) -> Result<StoredSchedule, StoreError> {
        let spec = rows::encode(&schedule.spec)?;
        self.writer.write((schedule, spec), |tx, (new, spec)| rows::insert(tx, new, spec)).await
    }

    async fn read_schedule(&self, scope: &Scope, id: ScheduledJobId) -> Result<Option<StoredSchedule>, StoreError> {
        let scope = scope.clone();
        self.readers.read(move |connection| rows::read(connection, &scope, id)).await
    }

    async fn list_schedules(
        &self,
        scope: &Scope,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Page<StoredSchedule>, StoreError> {
        let scope = scope.clone();
        self.readers.read(move |connection| rows::list(connection, &scope, after, limit)).await
    }

    async fn due_schedules(&self, now: Timestamp, limit: usize) -> Result<DueSchedules, StoreError> {
        self.readers.read(move |connection| rows::due(connection, now, limit)).await
    }

    async fn active_jobs(&self, id: ScheduledJobId, limit: usize) -> Result<Vec<JobId>, StoreError> {
        self.readers.read(move |connection| rows::active(connection, id, limit)).await
    }

    async fn step_schedules(&self, steps: Vec<ScheduleStep>) -> Result<Vec<Stepped>, StoreError> {
        self.writer.write(steps, |tx, steps| steps.iter().map(|made| step::make(tx, made)).collect()).await
    }

    async fn schedule_runs(
        &self,
        scope: &Scope,
        id: ScheduledJobId,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Option<Page<ScheduledJobRun>>, StoreError> {
        let scope = scope.clone();
        self.readers.read(move |connection| runs::page(connection, &scope, id, after, limit)).await
    }

    async fn delete_schedule(&self, scope: &Scope, id: ScheduledJobId) -> Result<Option<StoredSchedule>, StoreError> {
        let scope = scope.clone();
        self.writer.write((), move |tx, ()| rows::delete(tx, &scope, id)).await
    }
}
