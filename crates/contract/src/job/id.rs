//! The id of a job.

crate::ids::uuid_id!(
    /// The id of a job: a UUID of version 7, in lower case with hyphens.
    JobId,
    "Unique identifier of the job.",
    "35f23c03-1c22-45fe-9484-3ffe769325de"
);
