//! Exports: a whole result set as a file, at one moment.

use super::results::set;
use super::{Service, scope};
use crate::export::{Form, Whole, pieces};
use crate::handler::{Closing, Encoded};
use crate::store::{ResultFilter, Scope, SetKey, SetOwner, Snapshot, SnapshotQuery, Span, StorageKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use docket_contract::cursor::{Position, Scope as TokenScope};
use docket_contract::operations::{
    COUNT_HEADER, DIGEST_TRAILER, ExportFormat, ExportJobResultsInput, ExportProcessingLogInput, File, SNAPSHOT_HEADER,
};
use docket_contract::{Caller, Code, Error};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long an export waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many exports go on at once.
pub struct Exports {
    turns: Arc<Semaphore>,
    most: usize,
}

impl Exports {
    /// At most so many: each holds some MiB of memory, one as Parquet some tens.
    pub fn new(most: usize) -> Self {
        let most = most.clamp(1, Semaphore::MAX_PERMITS);
        Self { turns: Arc::new(Semaphore::new(most)), most }
    }

    async fn turn(&self) -> Result<OwnedSemaphorePermit, Error> {
        let busy = || Error::new(Code::Overloaded, format!("{} exports are going on; try again.", self.most));
        let turn = tokio::time::timeout(PATIENCE, Arc::clone(&self.turns).acquire_owned()).await;
        turn.map_err(|_| busy())?.map_err(|_| busy())
    }
}

impl Default for Exports {
    fn default() -> Self {
        Self::new(4)
    }
}

/// What an export was asked for.
struct Wanted {
    filter: ResultFilter,
    start_after: Option<String>,
    snapshot: Option<String>,
    form: Form,
    /// The file's name, without its ending.
    name: String,
}

fn form(format: ExportFormat, fields: Vec<String>, escape_formulas: Option<bool>) -> Form {
    let fields = (!fields.is_empty()).then(|| fields.into());
    Form { format, fields, escape_formulas: escape_formulas.unwrap_or(false) }
}

pub(super) async fn of_job(
    service: &Service,
    caller: &Caller,
    input: ExportJobResultsInput,
) -> Result<File<Encoded>, Error> {
    let stored = service.own_job(caller, input.job_id).await?;
    let wanted = Wanted {
        filter: ResultFilter {
            business_partner_ids: input.business_partner_id,
            external_ids: input.external_id,
            data_source_ids: input.data_source_id.into_iter().collect(),
            status: input.job_result_status,
            ..ResultFilter::default()
        },
        start_after: input.start_after,
        snapshot: input.snapshot,
        form: form(input.format, input.include_result_data_fields, input.escape_formulas),
        name: "results".to_owned(),
    };
    export(service, &set(&stored, input.storage_id), wanted).await
}

pub(super) async fn of_log(
    service: &Service,
    caller: &Caller,
    input: ExportProcessingLogInput,
) -> Result<File<Encoded>, Error> {
    let Scope::Organization(organization) = scope(caller) else { return Err(Error::not_found()) };
    let storage = StorageKey { organization, storage_id: input.storage_id };
    let set = SetKey { storage, owner: SetOwner::Log(input.processing_log_id) };
    let wanted = Wanted {
        filter: ResultFilter {
            business_partner_ids: input.business_partner_id,
            external_ids: input.external_id,
            data_source_ids: input.data_source_id,
            status: input.status,
            created: Span { from: input.created_from, to: input.created_to },
            modified: Span { from: input.modified_from, to: input.modified_to },
        },
        start_after: input.start_after,
        snapshot: input.snapshot,
        form: form(input.format, input.include_result_data_fields, input.escape_formulas),
        name: input.processing_log_id.name().to_ascii_lowercase(),
    };
    export(service, &set, wanted).await
}

async fn export(service: &Service, set: &SetKey, wanted: Wanted) -> Result<File<Encoded>, Error> {
    let Wanted { filter, start_after, snapshot, form, name } = wanted;
    let wrong = || Error::field("/startAfter", "invalid_format", "startAfter must be a result id in decimal digits");
    let after = start_after.map(|id| Position::parse(&id).ok_or_else(wrong)).transpose()?.unwrap_or_default();
    let token_scope = token_scope(set);
    let at = snapshot.map(|token| open(service, &token, &token_scope)).transpose()?;
    let turn = service.exports.turn().await?;
    let mut reader = service.results.open_snapshot(set, SnapshotQuery { filter, after, at }).await?;
    // Read at once, so that a damaged storage answers with a problem instead of a torn file.
    let first = reader.next().await?;
    let mark = service.secrets.seal_bytes(&reader.snapshot().to_bytes(), &token_scope)?;
    let mut headers = vec![(SNAPSHOT_HEADER, mark)];
    headers.extend(reader.total().map(|total| (COUNT_HEADER, total.to_string())));
    let (format, closing) = (form.format, Closing::default());
    let told = closing.clone();
    let ended = move |Whole { count, digest }| {
        let digest = format!("sha-256=:{}:", STANDARD.encode(digest));
        told.set(vec![(COUNT_HEADER, count.to_string()), (DIGEST_TRAILER, digest)]);
    };
    let stream = pieces(set, form, first, reader, turn, ended)?;
    let content = Encoded { headers, closing: Some(closing), ..Encoded::new(stream) };
    Ok(File { name: format!("{name}.{}", format.name()), media_type: format.media_type().to_owned(), content })
}

/// What the mark of a moment is bound to: the set. Not to the filters and the format: the same moment can be had in any.
fn token_scope(set: &SetKey) -> TokenScope {
    let mut scope = TokenScope::new("snapshot", &set.storage.organization);
    scope.add("storageId", [set.storage.storage_id.as_str()]);
    match set.owner {
        SetOwner::Job(job) => scope.add("jobId", [job.to_string().as_str()]),
        SetOwner::Log(log) => scope.add("processingLogId", [log.name()]),
    }
    scope
}

fn open(service: &Service, token: &str, scope: &TokenScope) -> Result<Snapshot, Error> {
    let bytes = service.secrets.open_bytes(token, scope).and_then(|bytes| bytes.try_into().ok());
    bytes.map(Snapshot::from_bytes).ok_or_else(|| {
        let detail = "snapshot is not a mark that this server issued for this storage and job or processing log.";
        Error::new(Code::InvalidPageToken, detail)
    })
}
