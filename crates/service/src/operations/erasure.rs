//! Erasing what was recorded about a business partner.
//!
//! Storage by storage, some at a time: each removes the results in short durable steps, so an erasure that breaks off has
//! erased some of them, and the same one again does the others. Then goes what was made of the results: comparisons,
//! and kept answers that name the partner.

use super::Service;
use crate::faces::kept_forms;
use crate::failpoint;
use crate::receipts::ReceiptKey;
use crate::store::{DataSubject, Erased, SetOwner, StorageKey, Storages, StoreError};
use docket_contract::caller::Call;
use docket_contract::operations::{
    EraseRecordsInput, ErasedSet, ErasureId, ErasureKey, ErasureReceipt, ErasureSubject, MAX_ERASED_SETS,
};
use docket_contract::{Code, Error};
use futures_util::{StreamExt, stream};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::OwnedMutexGuard;

/// Storages that are erased from at a time: each waits for a disk.
const ABREAST: usize = 4;
/// How long an erasure waits for another one of its organization.
const PATIENCE: Duration = Duration::from_secs(30);
/// When to ask again behind that, in seconds.
const ASK_AGAIN: u32 = 10;
/// Kept answers that are looked at in one step.
const STEP: usize = 500;

/// Whose turn it is: in an organization one erasure follows the other, so that each receipt tells what its own removed.
#[derive(Debug, Default)]
pub struct Erasures {
    turns: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Erasures {
    async fn turn(&self, organization: &str) -> Result<OwnedMutexGuard<()>, Error> {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            // Those that nobody holds or waits for are dropped.
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(turns.entry(organization.to_owned()).or_default())
        };
        tokio::time::timeout(PATIENCE, turn.lock_owned()).await.map_err(|_| {
            let detail = "Another erasure of the organization is going on; try again.";
            Error { retry_after: Some(ASK_AGAIN), ..Error::new(Code::Overloaded, detail) }
        })
    }
}

pub(super) fn key(service: &Service) -> Result<ErasureKey, Error> {
    Ok(ReceiptKey::of(&service.secrets)?.public().clone())
}

pub(super) async fn erase(service: &Service, call: Call, input: EraseRecordsInput) -> Result<ErasureReceipt, Error> {
    let Call { caller, seed } = call;
    let (subject, field, id) = subject(&input)?;
    // Nothing is erased that could not be told.
    let key = ReceiptKey::of(&service.secrets)?;
    let _turn = service.erasures.turn(&caller.organization).await?;
    let Storages { keys, unreadable } = service.results.storages(&caller.organization).await?;
    // What can't be read may hold the partner, too: there is no receipt then.
    let (mut found, mut failed) = (Found::default(), unreadable);
    let mut erasing = stream::iter(keys)
        .map(|storage| async {
            let erased = service.results.erase(&storage, &subject).await;
            failpoint::pass("erased");
            (storage, erased)
        })
        .buffered(ABREAST);
    while let Some((storage, erased)) = erasing.next().await {
        match erased {
            Ok(sets) => found.add(&storage, &sets),
            // What can be erased is, also where one storage is damaged.
            Err(error) => drop(failed.get_or_insert(error)),
        }
    }
    drop(erasing);
    service.comparisons.forget(&caller.organization).await;
    forget_answers(service, &caller.organization, field, id).await?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    let id = seed.unwrap_or_else(|| service.ids.next(service.clock.now()));
    let receipt = key.seal(ErasureReceipt {
        erasure_id: ErasureId(id.0),
        organization: caller.organization,
        subject: ErasureSubject { business_partner_id: input.business_partner_id, external_id: input.external_id },
        erased_at: service.clock.now(),
        erased_by: caller.user,
        results: found.results,
        sets: found.sets,
        more_sets: found.more,
        key_id: String::new(),
        signature: String::new(),
    })?;
    let (organization, results) = (&receipt.organization, receipt.results);
    // Without the id of the partner: the log is not erased.
    tracing::info!(erasure = %receipt.erasure_id, organization, results, "records erased");
    Ok(receipt)
}

/// Whose records, and the field and the id that were given.
fn subject(input: &EraseRecordsInput) -> Result<(DataSubject, &'static str, &str), Error> {
    match (&input.business_partner_id, &input.external_id) {
        (Some(id), None) => Ok((DataSubject::BusinessPartner(id.clone()), "businessPartnerId", id)),
        (None, Some(id)) => Ok((DataSubject::External(id.clone()), "externalId", id)),
        _ => Err(Error::field("/businessPartnerId", "required", "is required, or externalId in its place")),
    }
}

/// What was erased so far.
#[derive(Default)]
struct Found {
    results: i64,
    sets: Vec<ErasedSet>,
    more: i64,
}

impl Found {
    fn add(&mut self, storage: &StorageKey, sets: &[Erased]) {
        for set in sets {
            let results = i64::try_from(set.results).unwrap_or(i64::MAX);
            self.results = self.results.saturating_add(results);
            if self.sets.len() == MAX_ERASED_SETS {
                self.more += 1;
                continue;
            }
            let (job_id, processing_log_id) = match set.owner {
                SetOwner::Job(job) => (Some(job), None),
                SetOwner::Log(log) => (None, Some(log)),
            };
            self.sets.push(ErasedSet { storage_id: storage.storage_id.clone(), job_id, processing_log_id, results });
        }
    }
}

/// Forgets the answers to requests with an idempotency key that name the partner: records that could not be saved, and
/// receipts of erasures before this one.
async fn forget_answers(service: &Service, organization: &str, field: &str, id: &str) -> Result<(), StoreError> {
    let texts: Arc<[Vec<u8>]> = kept_forms(field, id).into();
    let mut after = String::new();
    while let Some(next) = service.control.forget_answers(organization, Arc::clone(&texts), &after, STEP).await? {
        after = next;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use docket_contract::{JobId, ProcessingLogId};
    use futures_util::FutureExt;
    use uuid::Uuid;

    #[tokio::test(start_paused = true)]
    async fn erasures_of_an_organization_wait_for_each_other_but_not_for_long() {
        let erasures = Erasures::default();
        let first = erasures.turn("a").await.expect("a turn");
        assert!(erasures.turn("b").now_or_never().is_some(), "another organization is not held up");
        let busy = erasures.turn("a").await.expect_err("the first goes on");
        assert_eq!((busy.code, busy.retry_after), (Code::Overloaded, Some(ASK_AGAIN)));
        let mut second = Box::pin(erasures.turn("a"));
        assert!(second.as_mut().now_or_never().is_none());
        // Whoever waits keeps its turn when others come.
        drop((erasures.turn("c").await, first));
        drop(second.await.expect("a turn"));
        drop(erasures.turn("d").await.expect("a turn"));
        assert_eq!(erasures.turns.lock().expect("no panic").len(), 1, "turns that nobody has are dropped");
    }

    #[test]
    fn a_receipt_names_so_many_sets_and_counts_all() {
        let storage = |id: &str| StorageKey { organization: "a".to_owned(), storage_id: id.to_owned() };
        let job = |number: u128| SetOwner::Job(JobId(Uuid::from_u128(number << 64)));
        let sets: Vec<_> = (1..=999).map(|number| Erased { owner: job(number), results: 2 }).collect();
        let log = |log| Erased { owner: SetOwner::Log(log), results: 5 };
        let mut found = Found::default();
        found.add(&storage("s"), &sets);
        found.add(&storage("t"), &[log(ProcessingLogId::CurationLog), log(ProcessingLogId::OverlapLog)]);
        found.add(&storage("u"), &[log(ProcessingLogId::CurationLog)]);
        assert_eq!((found.sets.len(), found.more, found.results), (MAX_ERASED_SETS, 2, 2 * 999 + 15));
        let named =
            |set: &ErasedSet| (set.storage_id.clone(), set.job_id.is_some(), set.processing_log_id, set.results);
        assert_eq!(named(&found.sets[998]), ("s".to_owned(), true, None, 2));
        assert_eq!(named(&found.sets[999]), ("t".to_owned(), false, Some(ProcessingLogId::CurationLog), 5));
    }
}
