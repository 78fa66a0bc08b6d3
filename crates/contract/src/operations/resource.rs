//! The resources that operations belong to: what the documentation is divided by.

/// The resource that an operation belongs to: those of the vendor's page, then our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Resource {
    /// Jobs.
    Jobs,
    /// Job Results.
    JobResults,
    /// Processing logs.
    ProcessingLogs,
    /// Scheduled Jobs.
    ScheduledJobs,
    /// Retention and erasure.
    Retention,
    /// Workers.
    Workers,
}

impl Resource {
    /// All resources, in the order of the documentation.
    pub const ALL: [Resource; 6] = [
        Resource::Jobs,
        Resource::JobResults,
        Resource::ProcessingLogs,
        Resource::ScheduledJobs,
        Resource::Retention,
        Resource::Workers,
    ];

    /// The vendor's title, or one in its manner.
    pub fn title(self) -> &'static str {
        match self {
            Resource::Jobs => "Jobs",
            Resource::JobResults => "Job Results",
            Resource::ProcessingLogs => "Processing logs",
            Resource::ScheduledJobs => "Scheduled Jobs",
            Resource::Retention => "Retention and erasure",
            Resource::Workers => "Workers",
        }
    }

    /// What it stands for, for the documentation.
    pub fn description(self) -> &'static str {
        match self {
            Resource::Jobs => "Jobs are executed asynchronously: they are started, watched, canceled and deleted.",
            Resource::JobResults => "What a job found out about each record: written by the job, read page by page.",
            Resource::ProcessingLogs => {
                "What is known of each record now: its newest result, whichever job wrote it. Jobs mirror their results into \
                 the log that they name."
            }
            Resource::ScheduledJobs => {
                "Jobs that start by a timetable: each of its times starts one job, once, or is recorded as skipped with the \
                 reason."
            }
            Resource::Retention => {
                "How long ended jobs and what they leave are kept: policies for storages and types of jobs, whose rounds remove \
                 the rest in small steps. And what goes at once, because a business partner is to be forgotten."
            }
            Resource::Workers => {
                "Programs of your own that ask for jobs, run them wherever they are, and report their ends. A job is theirs \
                 under a lease that they renew."
            }
        }
    }
}
