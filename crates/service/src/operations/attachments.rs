//! Attachments: their files in the file store, their names in the control plane. A file is written before its name, and a
//! name is forgotten before its file: what a crash leaves between is a file without a name, which is swept.

use super::jobs::{job_ended, stale_attempt};
use super::{Service, scope};
use crate::handler::{Encoded, Upload};
use crate::store::files::FileStore;
use crate::store::{Attached, ControlStore, NewAttachment, StoredJob};
use docket_contract::job::Attachment;
use docket_contract::operations::{ATTACHMENT_TYPE, AttachmentInput, File, MAX_ATTACHMENTS};
use docket_contract::{Caller, Code, Error, JobId};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Most files that are written at a time.
const MOST_WRITTEN: usize = 64;
/// How long a file waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// What attachments need beside the stores of the service.
pub struct Attachments {
    files: Arc<dyn FileStore>,
    /// Most bytes of one.
    most: u64,
    turns: Semaphore,
}

impl Attachments {
    /// Attachments of up to `most` bytes, in these files.
    pub fn new(files: Arc<dyn FileStore>, most: u64) -> Self {
        Self { files, most, turns: Semaphore::new(MOST_WRITTEN) }
    }

    /// Removes a file that has no name any more; if that fails, it is swept.
    async fn drop_file(&self, job: JobId, file: &str) {
        if let Err(error) = self.files.remove(job, file).await {
            tracing::warn!(%error, %job, file, "a file of an attachment is left");
        }
    }

    /// Removes the files of a job that is gone.
    pub(super) async fn drop_all(&self, job: JobId) {
        if let Err(error) = self.files.remove_all(job).await {
            tracing::warn!(%error, %job, "files of attachments are left");
        }
    }
}

/// Checks that a job's own token speaks of the running attempt; answers that attempt.
fn running(caller: &Caller, stored: &StoredJob) -> Result<Option<i32>, Error> {
    let Some(own) = caller.job else { return Ok(None) };
    if stored.job.status.is_terminal() {
        return Err(job_ended(stored));
    }
    if own.attempt != stored.job.attempt {
        return Err(stale_attempt());
    }
    Ok(Some(own.attempt))
}

pub(super) async fn put(
    service: &Service,
    caller: &Caller,
    input: AttachmentInput,
    upload: Upload,
) -> Result<Attachment, Error> {
    let Attachments { files, most, turns } = &service.attachments;
    let stored = service.own_job(caller, input.job_id).await?;
    let only_attempt = running(caller, &stored)?;
    let known = stored.job.attachments;
    if known.len() >= MAX_ATTACHMENTS && known.iter().all(|attachment| attachment.name != input.name) {
        return Err(too_many());
    }
    let busy = || Error::new(Code::Overloaded, format!("{MOST_WRITTEN} attachments are being written; try again."));
    let turn = tokio::time::timeout(PATIENCE, turns.acquire()).await;
    let turn = turn.map_err(|_| busy())?.map_err(|_| busy())?;
    let written = files.write(input.job_id, upload.content, *most).await?;
    drop(turn);
    let attachment = Attachment {
        name: input.name,
        content_type: upload.media_type.unwrap_or_else(|| ATTACHMENT_TYPE.to_owned()),
        size: i64::try_from(written.size).unwrap_or(i64::MAX),
        created_at: service.clock.now(),
    };
    let new = NewAttachment { attachment: attachment.clone(), file: written.file.clone(), only_attempt };
    let refusal = match service.control.put_attachment(&scope(caller), input.job_id, new, MAX_ATTACHMENTS).await? {
        Attached::Done { replaced } => {
            if let Some(file) = replaced {
                service.attachments.drop_file(input.job_id, &file).await;
            }
            return Ok(attachment);
        }
        Attached::NotFound => Error::not_found(),
        Attached::Refused(job) if job.job.status.is_terminal() => job_ended(&job),
        Attached::Refused(_) => stale_attempt(),
        Attached::TooMany => too_many(),
    };
    service.attachments.drop_file(input.job_id, &written.file).await;
    Err(refusal)
}

fn too_many() -> Error {
    let detail = format!("the job has {MAX_ATTACHMENTS} attachments, which is the most; delete one, or replace it");
    Error::field("/name", "too_many", detail)
}

fn no_such_attachment() -> Error {
    Error::new(Code::NotFound, "The job has no attachment of this name.")
}

pub(super) async fn read(service: &Service, caller: &Caller, input: AttachmentInput) -> Result<File<Encoded>, Error> {
    service.own_job(caller, input.job_id).await?;
    let found = service.control.read_attachment(&scope(caller), input.job_id, &input.name).await?;
    let found = found.ok_or_else(no_such_attachment)?;
    let content = service.attachments.files.open(input.job_id, &found.file).await?;
    // Replaced or deleted between the two looks; or somebody else has removed it.
    let content = content.ok_or_else(no_such_attachment)?;
    let Attachment { name, content_type, size, .. } = found.attachment;
    let content = Encoded { length: u64::try_from(size).ok(), ..Encoded::new(content) };
    Ok(File { name, media_type: content_type, content })
}

pub(super) async fn delete(service: &Service, caller: &Caller, input: AttachmentInput) -> Result<Attachment, Error> {
    let stored = service.own_job(caller, input.job_id).await?;
    running(caller, &stored)?;
    let found = service.control.delete_attachment(&scope(caller), input.job_id, &input.name).await?;
    let found = found.ok_or_else(no_such_attachment)?;
    service.attachments.drop_file(input.job_id, &found.file).await;
    Ok(found.attachment)
}

/// Removes the files that earlier runs of the server have left without a name. For once after the start, beside all else:
/// files of this run are not looked at.
pub async fn sweep(control: &dyn ControlStore, files: &dyn FileStore) -> Result<usize, Error> {
    let mut swept = 0;
    for job in files.jobs().await? {
        let earlier = files.earlier(job).await?;
        if earlier.is_empty() {
            continue;
        }
        let named: HashSet<String> = control.attachment_files(job).await?.into_iter().collect();
        for file in earlier.iter().filter(|file| !named.contains(*file)) {
            files.remove(job, file).await?;
            swept += 1;
        }
    }
    Ok(swept)
}
