//! What is known of attachments: the jobs list them, here are the files that hold their content.

use super::jobs::Jobs;
use crate::store::{Attached, NewAttachment, Scope, StoreError, StoredAttachment};
use docket_contract::JobId;
use docket_contract::job::Attachment;
use std::collections::{BTreeMap, HashMap};

/// The files of jobs by the names of their attachments.
#[derive(Default)]
pub(super) struct Attachments(HashMap<JobId, BTreeMap<String, StoredAttachment>>);

impl Attachments {
    /// Names an attachment's file, in place of the one that has the name already.
    pub(super) fn put(
        &mut self,
        jobs: &mut Jobs,
        scope: &Scope,
        id: JobId,
        new: NewAttachment,
        most: usize,
    ) -> Result<Attached, StoreError> {
        let Some(stored) = jobs.read(scope, id)? else { return Ok(Attached::NotFound) };
        if !new.admits(&stored.job) {
            return Ok(Attached::Refused(Box::new(stored)));
        }
        let known = self.0.entry(id).or_default();
        let name = new.attachment.name.clone();
        if !known.contains_key(&name) && known.len() >= most {
            return Ok(Attached::TooMany);
        }
        let before = known.insert(name, StoredAttachment { attachment: new.attachment, file: new.file });
        jobs.list_attachments(id, listed(known));
        Ok(Attached::Done { replaced: before.map(|before| before.file) })
    }

    /// One attachment of a job of the scope.
    pub(super) fn read(&self, jobs: &Jobs, scope: &Scope, id: JobId, name: &str) -> Option<StoredAttachment> {
        jobs.find_in(scope, id)?;
        self.0.get(&id)?.get(name).cloned()
    }

    /// Forgets an attachment; answers it as it was.
    pub(super) fn delete(&mut self, jobs: &mut Jobs, scope: &Scope, id: JobId, name: &str) -> Option<StoredAttachment> {
        jobs.find_in(scope, id)?;
        let known = self.0.get_mut(&id)?;
        let found = known.remove(name)?;
        jobs.list_attachments(id, listed(known));
        Some(found)
    }

    /// Forgets all attachments of a job.
    pub(super) fn delete_all(&mut self, id: JobId) {
        self.0.remove(&id);
    }

    /// The files of a job's attachments.
    pub(super) fn files(&self, id: JobId) -> Vec<String> {
        self.0.get(&id).into_iter().flat_map(BTreeMap::values).map(|stored| stored.file.clone()).collect()
    }
}

fn listed(known: &BTreeMap<String, StoredAttachment>) -> Vec<Attachment> {
    known.values().map(|stored| stored.attachment.clone()).collect()
}
