//! The id of a scheduled job.

crate::ids::uuid_id!(
    /// The id of a scheduled job: a UUID of version 7, in lower case with hyphens.
    ScheduledJobId,
    "Unique identifier of the scheduled job.",
    "0198c5a2-7d14-7e2b-9c53-2f6b1d0a4e77"
);
