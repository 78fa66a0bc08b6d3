//! Sends batches, and finds out which records of a batch spoil it.

use super::super::Owner;
use super::batch::Record;
use super::report::Refused;
use crate::failure::Failure;
use docket_client::{Client, ClientError, Request};
use docket_contract::operations::{
    InsertJobResults, InsertJobResultsInput, InsertProcessingLogData, InsertProcessingLogDataInput, InsertSummary,
    ResultItems,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

/// What became of some records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// New ones.
    pub created: u64,
    /// Known ones.
    pub updated: u64,
    /// Those that were not taken.
    pub refused: Vec<Refused>,
}

/// Sends to one set.
#[derive(Debug)]
pub struct Sender {
    client: Client,
    request: Request,
}

impl Sender {
    /// To the results of `owner`.
    pub fn new(client: Client, owner: Owner, storage: &str) -> Result<Self, Failure> {
        let request = match owner {
            Owner::Job(job_id) => Request::of::<InsertJobResults>(&InsertJobResultsInput {
                job_id,
                storage_id: storage.to_owned(),
                results: ResultItems(Vec::new()),
                features_on: Vec::new(),
            })?,
            Owner::Log(processing_log_id) => Request::of::<InsertProcessingLogData>(&InsertProcessingLogDataInput {
                storage_id: storage.to_owned(),
                processing_log_id,
                results: ResultItems(Vec::new()),
                features_on: Vec::new(),
            })?,
        };
        // Writing twice has the effect of once; with a key a repeated request is also counted as the first was.
        Ok(Self { client, request: Request { repeatable: false, ..request } })
    }

    /// Sends some records, again and again as long as it makes sense.
    ///
    /// # Errors
    /// What is no fault of a record.
    pub async fn send(&self, records: &[Record]) -> Result<Written, Failure> {
        let mut written = Written::default();
        self.write(records, &mut written).await?;
        Ok(written)
    }

    fn write<'a>(&'a self, records: &'a [Record], written: &'a mut Written) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            if records.is_empty() {
                return Ok(());
            }
            let error = match self.client.send(&self.request.clone().with_body(body(records).into())).await {
                Ok(answer) => return take(&answer, records, written),
                Err(error) => error,
            };
            match (spoiled(&error), records) {
                (Some((code, detail)), [record]) => {
                    written.refused.push(Refused { line: record.line, code, detail, ..Refused::default() });
                    Ok(())
                }
                // One of them spoils the others.
                (Some(_), _) => {
                    let (first, second) = records.split_at(records.len() / 2);
                    self.write(first, written).await?;
                    self.write(second, written).await
                }
                (None, _) => Err(Failure::of_call(error)),
            }
        }
        .boxed()
    }
}

fn body(records: &[Record]) -> Vec<u8> {
    let mut body = Vec::with_capacity(16 + records.iter().map(|record| record.json.len() + 1).sum::<usize>());
    body.extend_from_slice(br#"{"results":["#);
    for (place, record) in records.iter().enumerate() {
        if place > 0 {
            body.push(b',');
        }
        body.extend_from_slice(record.json.as_bytes());
    }
    body.extend_from_slice(b"]}");
    body
}

/// Whether a record may be at fault for the refusal of a whole request: its nesting, or its length.
fn spoiled(error: &ClientError) -> Option<(String, String)> {
    let ClientError::Problem { status: 400 | 413, code, detail, errors, .. } = error else { return None };
    let by_record = errors.iter().all(|error| error.pointer.starts_with("/results"));
    by_record.then(|| (code.clone(), detail.clone()))
}

fn take(answer: &[u8], records: &[Record], written: &mut Written) -> Result<(), Failure> {
    let summary: InsertSummary =
        serde_json::from_slice(answer).map_err(|error| Failure::other(format!("the answer can't be read: {error}")))?;
    let number = |count: i32| u64::try_from(count).unwrap_or(0);
    written.created += number(summary.created);
    written.updated += number(summary.updated);
    for failure in summary.failures {
        let record = usize::try_from(failure.index).ok().and_then(|index| records.get(index));
        let line = record
            .map(|record| record.line)
            .ok_or_else(|| Failure::other(format!("the answer names record {} of {}", failure.index, records.len())))?;
        written.refused.push(Refused {
            line,
            code: failure.code,
            detail: failure.detail,
            external_id: failure.external_id,
            business_partner_id: failure.business_partner_id,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use docket_client::RetryPolicy;
    use docket_client::testing::{answer, scripted};
    use docket_contract::JobId;

    #[tokio::test]
    async fn a_record_that_spoils_its_batch_is_found() {
        let bad = r#"{"code":"malformed_body","detail":"too deep","status":400}"#;
        let wrong = |json: &str| answer("400 Bad Request", "", json);
        let taken = |created: i32| answer("200 OK", "", &format!(r#"{{"created":{created},"updated":0,"failed":0}}"#));
        let (url, requests) = scripted(vec![wrong(bad), taken(1), wrong(bad), wrong(bad), taken(1)]).await;
        let client = Client::new(&url, None).expect("a client").with_retry(RetryPolicy::NONE);
        let sender = Sender::new(client, Owner::Job(JobId::NONE), "s").expect("a sender");
        let records: Vec<_> = [4, 7, 9].map(|line| Record { line, json: format!("{{\"n\":{line}}}") }).to_vec();
        let written = sender.send(&records).await.expect("sent");
        let refused =
            Refused { line: 7, code: "malformed_body".to_owned(), detail: "too deep".to_owned(), ..Refused::default() };
        assert_eq!(written, Written { created: 2, updated: 0, refused: vec![refused] });
        let requests = requests.lock().expect("no panic").clone();
        assert!(requests.iter().all(|request| request.contains("idempotency-key: ")), "{requests:?}");

        let at_fault = r#"{"code":"invalid_request","detail":"storageId","status":400,
            "errors":[{"pointer":"/storageId","code":"too_long","detail":"x"}]}"#;
        let (url, requests) = scripted(vec![wrong(at_fault)]).await;
        let client = Client::new(&url, None).expect("a client").with_retry(RetryPolicy::NONE);
        let sender = Sender::new(client, Owner::Job(JobId::NONE), "s").expect("a sender");
        assert_eq!(sender.send(&records).await.expect_err("no record's fault").code, 3);
        assert_eq!(requests.lock().expect("no panic").len(), 1);
    }
}
