//! Who calls: organization, role, and the job that a job's own token is bound to.

use crate::error::{Code, Error};
use crate::job::JobId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a key may do; each role may do all that the ones before it may (api.md section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads.
    Reader,
    /// Also writes results and reports on jobs.
    Worker,
    /// Also starts, cancels, updates and deletes jobs.
    Operator,
    /// Also manages keys, and may read every organization.
    Admin,
}

impl Role {
    /// All roles, weakest first.
    pub const ALL: [Role; 4] = [Role::Reader, Role::Worker, Role::Operator, Role::Admin];

    /// The role's name as it is written in keys and documents.
    pub fn name(self) -> &'static str {
        match self {
            Role::Reader => "reader",
            Role::Worker => "worker",
            Role::Operator => "operator",
            Role::Admin => "admin",
        }
    }
}

impl std::str::FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Role::ALL
            .into_iter()
            .find(|role| role.name() == text)
            .ok_or_else(|| format!("role must be one of reader, worker, operator, admin, not {text:?}"))
    }
}

/// The caller of an operation. Every operation gets one, and every statement is scoped by its organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The organization whose things the caller sees.
    pub organization: String,
    /// What the caller may do.
    pub role: Role,
    /// The name that jobs started by this caller carry as `user`.
    pub user: String,
    /// For a job's own token: the only job that it may touch.
    pub job: Option<OwnJob>,
}

/// What a running job's own token (`DOCKET_TOKEN`) stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnJob {
    /// The job.
    pub id: JobId,
    /// The attempt that was given the token; reports of an outdated one are refused.
    pub attempt: i32,
}

/// One call of an operation: who makes it, and what identifies it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Who calls.
    pub caller: Caller,
    /// For a request with an idempotency key: the id that a job started by it gets, the same at each repetition.
    pub seed: Option<JobId>,
}

impl Caller {
    /// Checks the role, and for a job's own token that the operation is one for jobs and is about that very job.
    ///
    /// `job` is the job that the request names. A token that names another job gets the answer for an unknown one.
    pub fn authorize(&self, needed: Role, open_to_jobs: bool, job: Option<JobId>) -> Result<(), Error> {
        if let Some(own) = self.job {
            if !open_to_jobs {
                return Err(Error::new(Code::Forbidden, "A job's own token does not allow this operation."));
            }
            return if job == Some(own.id) { Ok(()) } else { Err(Error::not_found()) };
        }
        if self.role < needed {
            let detail = format!("The role {} is needed; the key has {}.", needed.name(), self.role.name());
            return Err(Error::new(Code::Forbidden, detail));
        }
        Ok(())
    }

    /// Whether the caller sees environment values: those who may start jobs do.
    pub fn sees_environment(&self) -> bool {
        self.role >= Role::Operator && self.job.is_none()
    }
}
