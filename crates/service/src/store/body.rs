//! From a record to its stored text: in a processing log it begins with the member that names its job.
//!
//! A job's set says once for all of its records whose they are; a log holds the records of many jobs. Shared by the
//! drivers. Nothing is parsed and nothing is joined: the text is written in two parts.

use super::SetOwner;
use docket_contract::JobId;
use docket_contract::result::Record;

/// Begins the stored text of a log's record.
const OPEN: &str = "{\"jobId\":\"";
/// Bytes of the member, with brace and comma: a UUID has 36 characters.
const MEMBER_BYTES: usize = OPEN.len() + 36 + 2;

/// The member that names a job.
#[derive(Clone, Copy)]
pub struct JobMember([u8; MEMBER_BYTES]);

impl JobMember {
    /// Of a job.
    pub fn new(job: JobId) -> Self {
        let mut member = [b'"'; MEMBER_BYTES];
        let (open, rest) = member.split_at_mut(OPEN.len());
        open.copy_from_slice(OPEN.as_bytes());
        job.0.hyphenated().encode_lower(rest);
        member[MEMBER_BYTES - 1] = b',';
        Self(member)
    }
}

/// Which job the stored texts of a set's records name.
#[derive(Clone, Copy)]
pub enum Naming {
    /// None: the set is a job's.
    Set,
    /// Each the one that it was sent with, if any.
    Record,
    /// This one, which has written all of them.
    Job(JobMember),
}

impl Naming {
    /// For records that are written to a set, not mirrored into it.
    pub fn of(owner: SetOwner) -> Self {
        match owner {
            SetOwner::Job(_) => Self::Set,
            SetOwner::Log(_) => Self::Record,
        }
    }

    /// For records that are mirrored from a set into a log.
    pub fn mirrored(from: SetOwner) -> Self {
        match from {
            SetOwner::Job(job) => Self::Job(JobMember::new(job)),
            SetOwner::Log(_) => Self::Record,
        }
    }

    /// The stored text of a record.
    pub fn body(self, record: &Record) -> Body<'_> {
        let member = match self {
            Self::Set => None,
            Self::Record => record.job_id.map(JobMember::new),
            Self::Job(member) => Some(member),
        };
        // An object that is not empty: it has a status.
        Body { member, ..Body::plain(record.json.as_bytes()) }
    }
}

/// The stored text of a record.
#[derive(Clone, Copy)]
pub struct Body<'a> {
    member: Option<JobMember>,
    json: &'a [u8],
}

impl<'a> Body<'a> {
    /// A text as it is.
    pub fn plain(json: &'a [u8]) -> Self {
        Self { member: None, json }
    }

    /// Bytes of the text.
    pub fn length(&self) -> usize {
        self.json.len() + if self.member.is_some() { MEMBER_BYTES - 1 } else { 0 }
    }

    /// Appends the text.
    pub fn write(&self, out: &mut Vec<u8>) {
        let json = match &self.member {
            Some(JobMember(member)) => {
                out.extend_from_slice(member);
                self.json.get(1..).unwrap_or_default()
            }
            None => self.json,
        };
        out.extend_from_slice(json);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use docket_contract::ProcessingLogId;
    use docket_contract::result::ResultItem;

    #[test]
    fn a_log_names_the_job_first() {
        let job = "35f23c03-1c22-45fe-9484-3ffe769325de";
        let parsed = |json: &str| match ResultItem::parse(json) {
            ResultItem::Record(record, _) => record,
            ResultItem::Rejected(failure) => panic!("{failure:?}"),
        };
        let (plain, named) =
            (r#"{"externalId":"e","status":"OK"}"#, format!(r#"{{"jobId":"{job}","externalId":"e","status":"OK"}}"#));
        let job: JobId = job.parse().expect("an id");
        let (of_job, of_log) = (SetOwner::Job(job), SetOwner::Log(ProcessingLogId::CurationLog));
        for (naming, sent, expected) in [
            (Naming::of(of_job), named.as_str(), plain),
            (Naming::of(of_log), named.as_str(), named.as_str()),
            (Naming::of(of_log), plain, plain),
            (Naming::mirrored(of_job), plain, named.as_str()),
        ] {
            let record = parsed(sent);
            let body = naming.body(&record);
            let mut out = Vec::new();
            body.write(&mut out);
            assert_eq!((out.len(), std::str::from_utf8(&out)), (body.length(), Ok(expected)));
        }
    }
}
