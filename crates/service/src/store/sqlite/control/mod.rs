//! The control plane in one SQLite file: jobs, scheduled jobs, keys and idempotency records.
//!
//! Writes go through one thread that commits those that arrive together at once (`writer`); reads use a few connections
//! beside it (`readers`). Lists are merged from ordered walks of indexes (`plan`, `walks`, `list`). It decides nothing
//! about jobs: statuses and conditions come in with the calls.

mod attachments;
pub mod check;
mod connection;
mod counts;
mod deliveries;
mod events;
mod filter;
mod jobs;
mod keys;
mod list;
mod names;
mod plan;
mod queue;
mod readers;
mod regressions;
mod requests;
mod retention;
mod rows;
mod schedules;
#[cfg(test)]
mod tests;
mod transitions;
mod walks;
mod workers;
mod writer;

use self::jobs::Inserted;
use self::readers::Readers;
use self::writer::{Tx, Writer};
use crate::store::queue::{self as turns, Due, Limits, Resolved};
use crate::store::{
    Attached, Changed, CheckEnd, ControlStore, Delivery, DeliveryEnd, DeliveryKey, DueChecks, DueReceivers, EventPage,
    Idempotency, IdempotencyKey, JobChange, JobList, JobQuery, NewAttachment, NewJob, Scope, StoreError,
    StoredAttachment, StoredEvent, StoredJob, StoredKey, StoredReply, Transition, Unmeasured, Wanted, WorkerClaim,
};
use async_trait::async_trait;
use docket_contract::job::{ExecutorKind, Figures};
use docket_contract::{JobId, Timestamp};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

mod migrations {
    refinery::embed_migrations!("src/store/sqlite/control/migrations");
}

/// The control plane in a SQLite file.
pub struct SqliteControl {
    writer: Writer,
    readers: Readers,
    limits: Mutex<Arc<Limits>>,
}

impl SqliteControl {
    /// Opens the file, or creates it (mode 0600), and brings its tables up to date. Blocks.
    ///
    /// Only one process may have it open.
    ///
    /// # Errors
    /// `Damaged` if the file is no database, `Full` if it can't grow.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let mut connection = connection::open_writer(path)?;
        migrations::migrations::runner().run(&mut connection).map_err(connection::migration_failed)?;
        Ok(Self { readers: Readers::open(path)?, writer: Writer::start(connection)?, limits: Mutex::default() })
    }

    fn limits(&self) -> Arc<Limits> {
        Arc::clone(&self.limits.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl ControlStore for SqliteControl {
    async fn insert_job(&self, job: NewJob) -> Result<StoredJob, StoreError> {
        let spec = jobs::encode(&job.spec)?;
        let insert = |tx: &mut Tx<'_>, (job, spec): &(NewJob, String)| jobs::insert(tx, job, spec);
        let ((job, _), inserted) = self.writer.write_and_return((job, spec), insert).await?;
        match inserted {
            Inserted::New => Ok(job.stored()),
            Inserted::As(stored) => Ok(*stored),
            Inserted::NoDependency(index) => Err(StoreError::NoDependency(index)),
        }
    }

    async fn read_job(&self, scope: &Scope, id: JobId) -> Result<Option<StoredJob>, StoreError> {
        let scope = scope.clone();
        self.readers.read(move |connection| jobs::read(connection, &scope, id)).await
    }

    async fn list_jobs(&self, query: JobQuery) -> Result<JobList, StoreError> {
        self.readers.read(move |connection| list::list(connection, &query)).await
    }

    async fn job_types(&self, scope: &Scope) -> Result<Vec<String>, StoreError> {
        let scope = scope.clone();
        self.readers.read(move |connection| list::types(connection, &scope)).await
    }

    async fn change_job(
        &self,
        scope: &Scope,
        id: JobId,
        change: JobChange,
        now: Timestamp,
    ) -> Result<Changed, StoreError> {
        let scope = scope.clone();
        self.writer.write((), move |tx, ()| jobs::change(tx, &scope, id, &change, now)).await
    }

    async fn transition(&self, transitions: Vec<Transition>) -> Result<Vec<Option<StoredJob>>, StoreError> {
        self.writer.write((), move |tx, ()| transitions::make(tx, &transitions)).await
    }

    async fn claim_due(
        &self,
        executor: ExecutorKind,
        now: Timestamp,
        free: usize,
    ) -> Result<Vec<StoredJob>, StoreError> {
        let mut claimed: Vec<StoredJob> = Vec::new();
        loop {
            let (limits, room) = (self.limits(), free - claimed.len());
            let claim = move |tx: &mut Tx<'_>, (): &()| transitions::claim_due(tx, &limits, executor, now, room);
            match self.writer.write((), claim).await {
                Ok(step) => {
                    claimed.extend(step.claimed);
                    if !step.more {
                        return Ok(claimed);
                    }
                }
                // What was claimed is durable: it must not get lost.
                Err(error) if claimed.is_empty() => return Err(error),
                Err(_) => return Ok(claimed),
            }
        }
    }

    async fn limit(&self, limits: &Limits, now: Timestamp, step: usize) -> Result<bool, StoreError> {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(limits.clone());
        let limits = self.limits();
        let recall = move |tx: &mut Tx<'_>, (): &()| turns::recall(tx, &limits, now, step);
        Ok(self.writer.write((), recall).await? == step)
    }

    async fn resolve_dependents(&self, now: Timestamp, step: usize) -> Result<Resolved, StoreError> {
        self.writer.write((), move |tx, ()| turns::resolve(tx, now, step)).await
    }

    async fn unmeasured_jobs(&self, after: u64, limit: usize) -> Result<Vec<Unmeasured>, StoreError> {
        self.readers.read(move |connection| queue::unmeasured(connection, after, limit)).await
    }

    async fn measure(&self, measured: Vec<(JobId, Figures)>) -> Result<(), StoreError> {
        self.writer.write((), move |tx, ()| queue::measure(tx, &measured)).await
    }

    async fn release_due(&self, now: Timestamp, step: usize) -> Result<Due, StoreError> {
        self.writer.write((), move |tx, ()| turns::due(tx, now, step)).await
    }

    async fn expired_jobs(&self, now: Timestamp, limit: usize) -> Result<Vec<StoredJob>, StoreError> {
        self.readers.read(move |connection| queue::expired(connection, now, limit)).await
    }

    async fn claim_for_worker(&self, claim: WorkerClaim) -> Result<Vec<StoredJob>, StoreError> {
        let limits = self.limits();
        let work = move |tx: &mut Tx<'_>, claim: &WorkerClaim| workers::claim(tx, &limits, claim);
        self.writer.write(claim, work).await
    }

    async fn ready_for_workers(&self, wanted: Vec<(Wanted, usize)>) -> Result<Vec<(Wanted, Vec<String>)>, StoreError> {
        self.readers.read(move |connection| workers::ready_types(connection, wanted)).await
    }

    async fn claimed_jobs(&self, executor: ExecutorKind) -> Result<Vec<StoredJob>, StoreError> {
        self.readers.read(move |connection| transitions::claimed(connection, executor)).await
    }

    async fn job_events(
        &self,
        scope: &Scope,
        id: JobId,
        after: u64,
        limit: usize,
    ) -> Result<Option<EventPage>, StoreError> {
        let scope = scope.clone();
        self.readers.read(move |connection| events::of_job(connection, &scope, id, after, limit)).await
    }

    async fn last_events(&self, scope: &Scope, id: JobId, limit: usize) -> Result<Option<EventPage>, StoreError> {
        let scope = scope.clone();
        self.readers.read(move |connection| events::last_of_job(connection, &scope, id, limit)).await
    }

    async fn events_after(&self, after: u64, limit: usize) -> Result<Vec<StoredEvent>, StoreError> {
        self.readers.read(move |connection| events::after(connection, after, limit)).await
    }

    fn newest_event(&self) -> watch::Receiver<u64> {
        self.writer.newest_event()
    }

    async fn due_receivers(&self, now: Timestamp, limit: usize) -> Result<DueReceivers, StoreError> {
        self.readers.read(move |connection| deliveries::due_receivers(connection, now, limit)).await
    }

    async fn due_deliveries(&self, receiver: &str, now: Timestamp, limit: usize) -> Result<Vec<Delivery>, StoreError> {
        let receiver = receiver.to_owned();
        self.readers.read(move |connection| deliveries::due(connection, &receiver, now, limit)).await
    }

    async fn end_delivery(&self, key: DeliveryKey, end: DeliveryEnd) -> Result<(), StoreError> {
        self.writer.write((), move |tx, ()| deliveries::end(tx, key, &end)).await
    }

    async fn job_deliveries(
        &self,
        scope: &Scope,
        id: JobId,
        limit: usize,
    ) -> Result<Option<Vec<Delivery>>, StoreError> {
        let scope = scope.clone();
        self.readers.read(move |connection| deliveries::of_job(connection, &scope, id, limit)).await
    }

    fn new_deliveries(&self) -> watch::Receiver<u64> {
        self.writer.new_deliveries()
    }

    async fn due_checks(&self, now: Timestamp, limit: usize) -> Result<DueChecks, StoreError> {
        self.readers.read(move |connection| regressions::due(connection, now, limit)).await
    }

    async fn end_check(&self, key: DeliveryKey, end: CheckEnd) -> Result<(), StoreError> {
        self.writer.write(end, move |tx, end| regressions::end(tx, key, end)).await
    }

    async fn previous_run(&self, id: JobId) -> Result<Option<JobId>, StoreError> {
        self.readers.read(move |connection| regressions::previous_run(connection, id)).await
    }

    async fn delete_job(&self, scope: &Scope, id: JobId) -> Result<Changed, StoreError> {
        let scope = scope.clone();
        self.writer.write((), move |tx, ()| jobs::delete(tx, &scope, id)).await
    }

    async fn put_attachment(
        &self,
        scope: &Scope,
        id: JobId,
        attachment: NewAttachment,
        most: usize,
    ) -> Result<Attached, StoreError> {
        let scope = scope.clone();
        self.writer.write((), move |tx, ()| attachments::put(tx, &scope, id, &attachment, most)).await
    }

    async fn read_attachment(
        &self,
        scope: &Scope,
        id: JobId,
        name: &str,
    ) -> Result<Option<StoredAttachment>, StoreError> {
        let (scope, name) = (scope.clone(), name.to_owned());
        self.readers.read(move |connection| attachments::read(connection, &scope, id, &name)).await
    }

    async fn delete_attachment(
        &self,
        scope: &Scope,
        id: JobId,
        name: &str,
    ) -> Result<Option<StoredAttachment>, StoreError> {
        let (scope, name) = (scope.clone(), name.to_owned());
        self.writer.write((), move |tx, ()| attachments::delete(tx, &scope, id, &name)).await
    }

    async fn attachment_files(&self, id: JobId) -> Result<Vec<String>, StoreError> {
        self.readers.read(move |connection| attachments::files(connection, id)).await
    }

    async fn note_storage(&self, id: JobId, storage_id: &str) -> Result<bool, StoreError> {
        let storage_id = storage_id.to_owned();
        self.writer.write((), move |tx, ()| jobs::note_storage(tx, id, &storage_id)).await
    }

    async fn noted_storages(&self, id: JobId) -> Result<Vec<String>, StoreError> {
        self.readers.read(move |connection| jobs::noted_storages(connection, id)).await
    }

    async fn jobs_of_type(&self, scope: &Scope, ids: Vec<JobId>, job_type: &str) -> Result<Vec<JobId>, StoreError> {
        let (scope, job_type) = (scope.clone(), job_type.to_owned());
        self.readers.read(move |connection| jobs::of_type(connection, &scope, ids, &job_type)).await
    }

    async fn begin_request(&self, key: &IdempotencyKey, id: JobId, now: Timestamp) -> Result<Idempotency, StoreError> {
        let key = key.clone();
        self.writer.write((), move |tx, ()| requests::begin(tx, &key, id, now)).await
    }

    async fn end_request(&self, key: &IdempotencyKey, reply: Option<StoredReply>) -> Result<(), StoreError> {
        let key = key.clone();
        self.writer.write((), move |tx, ()| requests::end(tx, &key, reply.as_ref())).await
    }

    async fn forget_requests(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        self.writer.write((), move |tx, ()| requests::forget(tx, before, limit)).await
    }

    async fn forget_answers(
        &self,
        organization: &str,
        texts: Arc<[Vec<u8>]>,
        after: &str,
        limit: usize,
    ) -> Result<Option<String>, StoreError> {
        let (of, after) = (organization.to_owned(), after.to_owned());
        let find = move |connection: &_| requests::find(connection, &of, &texts, &after, limit);
        let requests::Found { keys, next } = self.readers.read(find).await?;
        if !keys.is_empty() {
            let organization = organization.to_owned();
            self.writer.write((), move |tx, ()| requests::forget_answers(tx, &organization, &keys)).await?;
        }
        Ok(next)
    }

    async fn insert_key(&self, key: StoredKey) -> Result<(), StoreError> {
        self.writer.write((), move |tx, ()| keys::insert(tx, &key)).await
    }

    async fn read_key(&self, id: &str) -> Result<Option<StoredKey>, StoreError> {
        let id = id.to_owned();
        self.readers.read(move |connection| keys::read(connection, &id)).await
    }

    async fn list_keys(&self, scope: &Scope) -> Result<Vec<StoredKey>, StoreError> {
        let scope = scope.clone();
        self.readers.read(move |connection| keys::list(connection, &scope)).await
    }

    async fn revoke_key(&self, scope: &Scope, id: &str, now: Timestamp) -> Result<bool, StoreError> {
        let (scope, id) = (scope.clone(), id.to_owned());
        self.writer.write((), move |tx, ()| keys::revoke(tx, &scope, &id, now)).await
    }

    async fn has_keys(&self) -> Result<bool, StoreError> {
        self.readers.read(keys::any).await
    }

    async fn close(&self) {
        self.writer.close().await;
        self.readers.close().await;
    }
}
