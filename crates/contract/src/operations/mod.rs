//! The table of operations. Every face is made from it: an operation added here appears in all of them.
//!
//! An operation is a unit type with its name, path, role, input, output, possible errors and example. What it does is
//! one method of [`Behaviour`], which the table also declares.

mod diff;
mod erasure;
mod exports;
mod jobs;
mod last;
mod logs;
mod resource;
mod results;
mod retention;
mod schedules;
mod statistics;
mod workers;

pub use diff::*;
pub use erasure::*;
pub use exports::*;
pub use jobs::*;
pub use last::*;
pub use logs::*;
pub use resource::*;
pub use results::*;
pub use retention::*;
pub use schedules::*;
pub use statistics::*;
pub use workers::*;

use self::jobs::example_spec;
use crate::caller::{Call, Role};
use crate::error::{Code, Error};
use crate::job::{Job, JobId};
use crate::validate::Validate;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::future::Future;
use utoipa::ToSchema;

/// An HTTP method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Method {
    /// Reads.
    Get,
    /// Creates or acts.
    Post,
    /// Changes.
    Put,
    /// Removes.
    Delete,
}

impl Method {
    /// The method's name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
        }
    }
}

/// An operation's input: its path and query parameters and the members of its body, all in one struct.
pub trait Input: DeserializeOwned + Serialize + ToSchema + Validate + Send + 'static {
    /// The job that the request names.
    fn job(&self) -> Option<JobId> {
        None
    }

    /// Unknown fields that only the input itself saw.
    fn ignored(&self) -> Vec<String> {
        Vec::new()
    }
}

/// What an operation answers: the typed output, its bytes where they exist already (a page of results, a log), or a file.
#[derive(Debug)]
pub enum Reply<T, B> {
    /// To be encoded by the face.
    Typed(T),
    /// Encoded as the operation's [`Operation::MEDIA_TYPE`] says.
    Encoded(B),
    /// A file, of an operation with [`Operation::GIVES_FILE`].
    File(File<B>),
}

/// A file as it is answered: for whoever asked to keep, never to be shown as a part of this server.
#[derive(Debug)]
pub struct File<B> {
    /// Its name; any characters but control characters.
    pub name: String,
    /// Its media type, as its writer sent it: visible ASCII.
    pub media_type: String,
    /// Its bytes.
    pub content: B,
}

impl<T, B> From<T> for Reply<T, B> {
    fn from(output: T) -> Self {
        Self::Typed(output)
    }
}

/// How a client walks the pages of an operation: `nextStartAfter` of an answer is the `startAfter` of the next request,
/// and absent on the last page. The items stand in `values`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paging {
    /// The item of `featuresOn` without which there is no `nextStartAfter`.
    pub feature: Option<&'static str>,
}

/// A header that gives a field of an input, besides the parameter of the query that the field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// The header's value is the field's, and goes before the query's. An empty one counts as absent.
    Value {
        /// The header, in small letters.
        header: &'static str,
        /// The field.
        field: &'static str,
    },
    /// The field is true when `Accept` names this media type by itself, not only by a wildcard.
    Accepts {
        /// The media type.
        media_type: &'static str,
        /// The field.
        field: &'static str,
    },
}

/// The header by which a client of server-sent events tells how far it has come (WHATWG HTML, 9.2).
pub const LAST_EVENT_ID: Header = Header::Value { header: "last-event-id", field: "lastEventId" };

/// The media type of server-sent events.
pub const EVENT_STREAM: &str = "text/event-stream";

/// One row of the table.
pub trait Operation: Send + Sync + 'static {
    /// `operationId`, SOAP element and client method.
    const NAME: &'static str;
    /// The vendor's title, or one in its manner.
    const TITLE: &'static str;
    /// What it does, for the documentation.
    const DESCRIPTION: &'static str;
    /// The resource it belongs to.
    const RESOURCE: Resource;
    /// The HTTP method.
    const METHOD: Method;
    /// The path template; its parameters are fields of the input.
    const PATH: &'static str;
    /// For POST and PUT: the fields of the input that stand in the query. For GET and DELETE all but the path's do.
    const QUERY: &'static [&'static str] = &[];
    /// Query parameters whose occurrences are matched literally, because they may hold commas.
    const LITERAL: &'static [&'static str] = &[];
    /// Headers that give fields of the input.
    const HEADERS: &'static [Header] = &[];
    /// The role that it needs.
    const ROLE: Role;
    /// Whether a running job's own token may call it, for that job.
    const OPEN_TO_JOBS: bool = false;
    /// The media type of a success.
    const MEDIA_TYPE: &'static str = "application/json";
    /// Other media types that a success has where the input asks for it.
    const OTHER_MEDIA_TYPES: &'static [&'static str] = &[];
    /// Whether its answer goes on until there is nothing more to tell, which may be never.
    const STREAMS: bool = false;
    /// Whether the vendor's page calls it deprecated.
    const DEPRECATED: bool = false;
    /// Whether carrying it out twice has the effect of once, so that a client may send it again when it can't know
    /// whether the first one was carried out. A DELETE is none: the second answer would deny what the first one did.
    const REPEATABLE: bool = matches!(Self::METHOD, Method::Get | Method::Put);
    /// How its pages are walked, if it answers page by page.
    const PAGING: Option<Paging> = None;
    /// Whether it has a SOAP form. One whose answer streams without end (a followed log, events, an export) has none.
    const SOAP: bool = true;
    /// Whether the body of a request is a file of any media type, which is streamed, instead of members of the input. For a
    /// PUT whose input stands in the path and the query.
    const TAKES_FILE: bool = false;
    /// Whether a success is a file in a media type of its own; `MEDIA_TYPE` is that of a file without one.
    const GIVES_FILE: bool = false;
    /// Headers of a success besides those that any has.
    const ANSWER_HEADERS: &'static [&'static str] = &[];
    /// Fields behind the end of a success (RFC 9110, 6.5), for clients that ask for them with `TE: trailers`.
    const TRAILERS: &'static [&'static str] = &[];
    /// The codes that it can answer with, besides those that any operation can.
    const ERRORS: &'static [Code];

    /// What it takes.
    type Input: Input;
    /// What it answers.
    type Output: Serialize + DeserializeOwned + ToSchema + Send + 'static;

    /// An input and the output that fits it.
    fn example() -> (Self::Input, Self::Output);

    /// Outputs with a name each, the example's own first: what the documents show and the mock can be asked for.
    fn examples() -> Vec<(&'static str, Self::Output)> {
        vec![("default", Self::example().1)]
    }

    /// Calls the method of [`Behaviour`] that belongs to it. `file` is for one with [`Operation::TAKES_FILE`].
    fn run<B: Behaviour>(
        behaviour: &B,
        call: Call,
        input: Self::Input,
        file: Option<B::Upload>,
    ) -> impl Future<Output = Result<Reply<Self::Output, B::Body>, Error>> + Send;
}

/// The codes that any operation can answer with.
pub const COMMON_ERRORS: &[Code] = &[
    Code::InvalidRequest,
    Code::Unauthenticated,
    Code::Forbidden,
    Code::RateLimited,
    Code::Internal,
    Code::Overloaded,
    Code::ShuttingDown,
];

/// Whether the table says that the operation can answer with this code.
pub fn declares<O: Operation>(code: Code) -> bool {
    O::ERRORS.contains(&code) || COMMON_ERRORS.contains(&code)
}

/// Is shown every row of the table, as a type.
pub trait Visitor {
    /// Sees one operation.
    fn visit<O: Operation>(&mut self);
}

macro_rules! table {
    ($($method:ident $(($file:ident))?: $operation:ident,)+) => {
        /// What the operations do: one method a row. The real service implements it; a mock need not.
        pub trait Behaviour: Send + Sync + 'static {
            /// The bytes of an answer that is encoded already.
            type Body: Send + 'static;
            /// A file on its way in; the default is an empty one.
            type Upload: Default + Send + 'static;

            $(
                #[doc = concat!("[`", stringify!($operation), "`]")]
                fn $method(
                    &self,
                    call: Call,
                    input: <$operation as Operation>::Input,
                    $($file: Self::Upload,)?
                ) -> impl Future<Output = Result<Reply<<$operation as Operation>::Output, Self::Body>, Error>> + Send;
            )+
        }

        /// Shows every row of the table to a visitor, in the order of the documentation.
        pub fn walk(visitor: &mut impl Visitor) {
            $(visitor.visit::<$operation>();)+
        }
    };
}

/// Implements the method that leads from an operation's type to its behaviour, with the file that it takes if it does.
macro_rules! run {
    ($method:ident) => {
        run!(@ $method, _file);
    };
    ($method:ident, file) => {
        run!(@ $method, file, file.unwrap_or_default());
    };
    (@ $method:ident, $file:ident $(, $given:expr)?) => {
        fn run<B: crate::operations::Behaviour>(
            behaviour: &B,
            call: crate::caller::Call,
            input: Self::Input,
            $file: Option<B::Upload>,
        ) -> impl std::future::Future<
            Output = Result<crate::operations::Reply<Self::Output, B::Body>, crate::error::Error>,
        > + Send {
            behaviour.$method(call, input $(, $given)?)
        }
    };
}
use run;

table! {
    start_job: StartJob,
    list_jobs: ListJobs,
    read_job: ReadJob,
    update_job: UpdateJob,
    cancel_job: CancelJob,
    delete_job: DeleteJob,
    update_result_data: UpdateResultData,
    list_job_types: ListJobTypes,
    read_job_log: ReadJobLog,
    read_job_history: ReadJobHistory,
    read_job_report: ReadJobReport,
    rerun_job: RerunJob,
    list_rerun_records: ListRerunRecords,
    put_attachment(file): PutAttachment,
    read_attachment: ReadAttachment,
    delete_attachment: DeleteAttachment,
    stream_job_events: StreamJobEvents,
    stream_events: StreamEvents,
    list_job_webhooks: ListJobWebhooks,
    list_job_run_results: ListJobRunResults,
    insert_job_results: InsertJobResults,
    delete_job_results: DeleteJobResults,
    fetch_last_results: FetchLastResults,
    read_job_statistics: ReadJobStatistics,
    diff_job_results: DiffJobResults,
    export_job_results: ExportJobResults,
    list_processing_log_data: ListProcessingLogData,
    insert_processing_log_data: InsertProcessingLogData,
    delete_processing_log_data: DeleteProcessingLogData,
    read_processing_log_statistics: ReadProcessingLogStatistics,
    export_processing_log: ExportProcessingLog,
    create_scheduled_job: CreateScheduledJob,
    list_scheduled_jobs: ListScheduledJobs,
    read_scheduled_job: ReadScheduledJob,
    update_scheduled_job: UpdateScheduledJob,
    delete_scheduled_job: DeleteScheduledJob,
    pause_scheduled_job: PauseScheduledJob,
    resume_scheduled_job: ResumeScheduledJob,
    trigger_scheduled_job: TriggerScheduledJob,
    preview_scheduled_job: PreviewScheduledJob,
    list_scheduled_job_runs: ListScheduledJobRuns,
    erase_records: EraseRecords,
    read_erasure_key: ReadErasureKey,
    put_retention_policy: PutRetentionPolicy,
    delete_retention_policy: DeleteRetentionPolicy,
    list_retention_policies: ListRetentionPolicies,
    preview_retention: PreviewRetention,
    run_retention: RunRetention,
    claim_jobs: ClaimJobs,
    heartbeat_job: HeartbeatJob,
    complete_job: CompleteJob,
}

/// The job that stands in the examples: the vendor's.
fn example_job_id() -> JobId {
    JobId(uuid::uuid!("35f23c03-1c22-45fe-9484-3ffe769325de"))
}

/// The storage that stands in the examples: the vendor's.
fn example_storage() -> String {
    "72d6900fce6b326088f5d9d91049e3e6".to_owned()
}

fn example_job() -> Job {
    let at = crate::time::Timestamp::from_millis(1_598_892_420_000);
    Job {
        id: example_job_id(),
        spec: example_spec(),
        status: crate::state::Status::Running,
        status_message: None,
        progress: 40,
        user: "nightly".to_owned(),
        created_at: at,
        modified_at: at.plus_millis(2000),
        started_at: Some(at.plus_millis(1000)),
        finished_at: None,
        expires_at: None,
        attempt: 1,
        exit_code: None,
        result_data: None,
        rerun_of: None,
        only_failed_records: false,
        scheduled_job_id: None,
        scheduled_for: None,
        attachments: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
