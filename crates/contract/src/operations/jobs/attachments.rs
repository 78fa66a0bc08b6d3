//! Files that a job leaves.

use super::super::{Input, Method, Operation, Resource, example_job, example_job_id, run};
use crate::caller::Role;
use crate::error::Code;
use crate::job::{Attachment, JobId};
use crate::validate::{Problems, Validate};
use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

/// Most attachments of a job (D).
pub const MAX_ATTACHMENTS: usize = 100;
/// The media type of an attachment that was sent without one (D).
pub const ATTACHMENT_TYPE: &str = "application/octet-stream";

/// Which attachment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttachmentInput {
    /// The job.
    pub job_id: JobId,
    /// The attachment's name: a name, not a path.
    #[schema(min_length = 1, max_length = 255, example = "summary.json")]
    pub name: String,
}

impl Validate for AttachmentInput {
    fn validate(&mut self, problems: &mut Problems) {
        problems.id("/name", Some(&self.name));
    }
}

impl Input for AttachmentInput {
    fn job(&self) -> Option<JobId> {
        Some(self.job_id)
    }
}

fn example_input() -> AttachmentInput {
    AttachmentInput { job_id: example_job_id(), name: "summary.json".to_owned() }
}

fn example_attachment() -> Attachment {
    Attachment {
        name: "summary.json".to_owned(),
        content_type: "application/json".to_owned(),
        size: 17,
        created_at: example_job().modified_at,
    }
}

/// The content of a file, as its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FileContent(pub String);

impl PartialSchema for FileContent {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
            .description(Some("The bytes of a file."))
            .into()
    }
}

impl ToSchema for FileContent {}

// (D)
/// Put Attachment.
pub struct PutAttachment;

impl Operation for PutAttachment {
    const NAME: &'static str = "putAttachment";
    const TITLE: &'static str = "Put Attachment";
    const DESCRIPTION: &'static str = "Attach a file to a job: the body is the file, of any media type, which is kept. It replaces the attachment of the \
        same name. The answer comes when the file is durable; one that breaks off leaves nothing. A job has at most 100 \
        attachments, and each has at most as many bytes as the server's configuration says (64 MiB).";
    const RESOURCE: Resource = Resource::Jobs;
    const METHOD: Method = Method::Put;
    const PATH: &'static str = "/jobs/{jobId}/attachments/{name}";
    const ROLE: Role = Role::Worker;
    const OPEN_TO_JOBS: bool = true;
    const SOAP: bool = false;
    const TAKES_FILE: bool = true;
    const ERRORS: &'static [Code] = &[
        Code::NotFound,
        Code::JobEnded,
        Code::StaleAttempt,
        Code::StorageFull,
        Code::BodyTooLarge,
        Code::MalformedBody,
        Code::RequestTimeout,
        Code::UnsupportedMediaType,
    ];
    type Input = AttachmentInput;
    type Output = Attachment;

    fn example() -> (Self::Input, Self::Output) {
        (example_input(), example_attachment())
    }

    run!(put_attachment, file);
}

// (D)
/// Read Attachment.
pub struct ReadAttachment;

impl Operation for ReadAttachment {
    const NAME: &'static str = "readAttachment";
    const TITLE: &'static str = "Read Attachment";
    const DESCRIPTION: &'static str =
        "Read a file that was attached to a job, in its own media type and as a download.";
    const RESOURCE: Resource = Resource::Jobs;
    const METHOD: Method = Method::Get;
    const PATH: &'static str = "/jobs/{jobId}/attachments/{name}";
    const ROLE: Role = Role::Reader;
    const OPEN_TO_JOBS: bool = true;
    const SOAP: bool = false;
    const GIVES_FILE: bool = true;
    const MEDIA_TYPE: &'static str = ATTACHMENT_TYPE;
    const ERRORS: &'static [Code] = &[Code::NotFound];
    type Input = AttachmentInput;
    type Output = FileContent;

    fn example() -> (Self::Input, Self::Output) {
        (example_input(), FileContent(r#"{"records":30000}"#.to_owned()))
    }

    run!(read_attachment);
}

// (D)
/// Delete Attachment.
pub struct DeleteAttachment;

impl Operation for DeleteAttachment {
    const NAME: &'static str = "deleteAttachment";
    const TITLE: &'static str = "Delete Attachment";
    const DESCRIPTION: &'static str = "Remove a file that was attached to a job; answers what it was.";
    const RESOURCE: Resource = Resource::Jobs;
    const METHOD: Method = Method::Delete;
    const PATH: &'static str = "/jobs/{jobId}/attachments/{name}";
    const ROLE: Role = Role::Worker;
    const OPEN_TO_JOBS: bool = true;
    const SOAP: bool = false;
    const ERRORS: &'static [Code] = &[Code::NotFound, Code::JobEnded, Code::StaleAttempt, Code::StorageFull];
    type Input = AttachmentInput;
    type Output = Attachment;

    fn example() -> (Self::Input, Self::Output) {
        (example_input(), example_attachment())
    }

    run!(delete_attachment);
}
