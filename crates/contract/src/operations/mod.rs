//! The table of operations. Every face is made from it: an operation added here appears in all of them.
//!
//! An operation is a unit type with its name, path, role, input, output, possible errors and example. What it does is
//! one method of [`Behaviour`], which the table also declares.

mod jobs;
mod results;
mod workers;

pub use jobs::*;
pub use results::*;
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

/// The resource that an operation belongs to: those of the vendor's page, then our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Resource {
    /// Jobs.
    Jobs,
    /// Job Results.
    JobResults,
    /// Workers.
    Workers,
}

impl Resource {
    /// All resources, in the order of the documentation.
    pub const ALL: [Resource; 3] = [Resource::Jobs, Resource::JobResults, Resource::Workers];

    /// The vendor's title, or one in its manner.
    pub fn title(self) -> &'static str {
        match self {
            Resource::Jobs => "Jobs",
            Resource::JobResults => "Job Results",
            Resource::Workers => "Workers",
        }
    }

    /// What it stands for, for the documentation.
    pub fn description(self) -> &'static str {
        match self {
            Resource::Jobs => "Jobs are executed asynchronously: they are started, watched, canceled and deleted.",
            Resource::JobResults => "What a job found out about each record: written by the job, read page by page.",
            Resource::Workers => {
                "Programs of your own that ask for jobs, run them wherever they are, and report their ends. A job is theirs \
                 under a lease that they renew."
            }
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
    read_job_statistics: ReadJobStatistics,
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
        attachments: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::Problems;
    use serde_json::{Value, json};
    use std::collections::BTreeSet;
    use utoipa::PartialSchema;

    /// Walks the table: what must hold for every row, whatever is added.
    #[derive(Default)]
    struct Rules {
        names: BTreeSet<&'static str>,
        roads: BTreeSet<(&'static str, String)>,
        rows: usize,
    }

    impl Visitor for Rules {
        fn visit<O: Operation>(&mut self) {
            self.rows += 1;
            assert!(self.names.insert(O::NAME), "{} stands twice", O::NAME);
            // Two templates that differ only in a parameter's name are one road.
            let shape = O::PATH.split('/').map(|part| if part.starts_with('{') { "{}" } else { part });
            let road = (O::METHOD.name(), shape.collect::<Vec<_>>().join("/"));
            assert!(self.roads.insert(road), "{} has a path that is taken", O::NAME);
            assert!(!O::TITLE.is_empty() && O::DESCRIPTION.ends_with('.'), "{}", O::NAME);
            for code in O::ERRORS {
                assert!(!COMMON_ERRORS.contains(code), "{} repeats the common {code}", O::NAME);
            }

            assert!(!O::TAKES_FILE || O::METHOD == Method::Put && !O::SOAP, "{}", O::NAME);
            assert!(!O::GIVES_FILE || O::METHOD == Method::Get && !O::SOAP, "{}", O::NAME);

            let (mut input, output) = O::example();
            let json = serde_json::to_value(&input).expect("an example is JSON");
            let mut problems = Problems::default();
            input.validate(&mut problems);
            problems.into_result().unwrap_or_else(|e| panic!("{}: the example is not valid: {e:?}", O::NAME));
            let text = json.to_string();
            let again: O::Input = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}: {text}", O::NAME));
            assert_eq!(serde_json::to_value(&again).expect("JSON"), json, "{}", O::NAME);
            for part in O::PATH.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
                assert!(json.get(part).is_some(), "{}: no input field {part}", O::NAME);
            }
            let in_body =
                |name: &&String| !O::PATH.contains(&format!("{{{name}}}")) && !O::QUERY.contains(&name.as_str());
            let members = json.as_object().into_iter().flatten().map(|(name, _)| name).filter(in_body);
            assert!(!O::TAKES_FILE || members.count() == 0, "{}: a file has no members", O::NAME);

            let has = |schema: &Value, name: &str| schema.pointer(&format!("/properties/{name}")).is_some();
            let takes = serde_json::to_value(O::Input::schema()).expect("a schema is JSON");
            let gives = serde_json::to_value(O::Output::schema()).expect("a schema is JSON");
            let paged = has(&takes, "startAfter") && has(&gives, "nextStartAfter") && has(&gives, "values");
            assert_eq!(O::PAGING.is_some(), paged, "{}", O::NAME);
            if let Some(feature) = O::PAGING.and_then(|paging| paging.feature) {
                let mut input = json.clone();
                input["featuresOn"] = json!([feature]);
                assert!(serde_json::from_value::<O::Input>(input).is_ok(), "{}: no feature {feature}", O::NAME);
            }

            for header in O::HEADERS {
                let (Header::Value { field, .. } | Header::Accepts { field, .. }) = header;
                assert!(has(&takes, field), "{}: no field {field}", O::NAME);
            }
            assert!(!(O::STREAMS && O::SOAP), "{}: an envelope can't stream", O::NAME);

            let first = serde_json::to_string(&output).expect("an example is JSON");
            let mut names = BTreeSet::new();
            for (place, (name, output)) in O::examples().iter().enumerate() {
                assert!(names.insert(*name), "{} has two examples {name}", O::NAME);
                let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
                assert!(!name.is_empty() && name.bytes().all(plain), "{}: {name}", O::NAME);
                let text = serde_json::to_string(output).expect("an example is JSON");
                assert_eq!(text == first, place == 0, "{}: {name}", O::NAME);
                let again: O::Output =
                    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}: {text}", O::NAME));
                assert_eq!(serde_json::to_string(&again).expect("JSON"), text, "{}: {name}", O::NAME);
            }
            assert!(!names.is_empty(), "{}", O::NAME);
        }
    }

    #[test]
    fn every_row_keeps_the_rules() {
        let mut rules = Rules::default();
        walk(&mut rules);
        assert_eq!(rules.rows, rules.names.len());
        assert!(rules.names.contains("listJobRunResults"));
    }
}
