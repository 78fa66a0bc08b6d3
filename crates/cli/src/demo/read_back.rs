//! Paging through all results, and counting them again.

use crate::failure::Failure;
use crate::partners::Summary;
use docket_client::{Client, ClientError};
use docket_contract::JobId;
use docket_contract::operations::{ListJobRunResults, ListJobRunResultsInput};
use docket_contract::result::{MAX_PAGE, ResultStatus};
use serde::Deserialize;
use std::time::{Duration, Instant};

/// Failed records that are shown.
const SHOWN: usize = 5;

/// What the pages told.
#[derive(Debug, Default)]
pub struct ReadBack {
    /// Counts of all records.
    pub summary: Summary,
    /// The first failed records.
    pub failed: Vec<FailedRecord>,
    /// The total that the first page gave.
    pub total: u64,
    /// Pages.
    pub pages: u64,
    /// Bytes of all pages.
    pub bytes: u64,
    /// Time from the first request to the last byte, without the time that this program took to read the JSON.
    pub paging: Duration,
    /// The time that reading the JSON took.
    pub counting: Duration,
}

/// A failed record.
#[derive(Debug)]
pub struct FailedRecord {
    /// The caller's id of it.
    pub external_id: String,
    /// Its country.
    pub country: String,
    /// Its message.
    pub message: String,
}

/// The part of a page that is looked at.
#[derive(Deserialize)]
struct PageView {
    total: u64,
    values: Vec<ResultView>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResultView {
    external_id: Option<String>,
    business_partner_id: Option<String>,
    country_short_name: Option<String>,
    status: ResultStatus,
    message: Option<String>,
    #[serde(default)]
    result_data: String,
}

/// Reads all results of a job.
pub async fn all(client: &Client, job: JobId, storage: &str) -> Result<ReadBack, Failure> {
    let mut pages = client.pages::<ListJobRunResults>(&first_page(job, storage))?;
    let mut found = ReadBack::default();
    loop {
        let started = Instant::now();
        let page = pages.next().await?;
        found.paging += started.elapsed();
        let Some(page) = page else { return Ok(found) };
        let started = Instant::now();
        let view: PageView = page.decode()?;
        found.add(view)?;
        found.counting += started.elapsed();
        found.bytes += page.body.len() as u64;
    }
}

fn first_page(job: JobId, storage: &str) -> ListJobRunResultsInput {
    ListJobRunResultsInput {
        job_id: job,
        storage_id: storage.to_owned(),
        business_partner_id: Vec::new(),
        data_source_id: None,
        external_id: Vec::new(),
        start_after: None,
        features_on: Vec::new(),
        job_result_status: None,
        limit: Some(MAX_PAGE),
        include_result_data_fields: Vec::new(),
    }
}

impl ReadBack {
    fn add(&mut self, page: PageView) -> Result<(), Failure> {
        if self.pages == 0 {
            self.total = page.total;
        }
        self.pages += 1;
        for result in page.values {
            let failed = result.status == ResultStatus::Failed;
            self.summary
                .add_result(result.country_short_name.as_deref(), failed, &result.result_data)
                .map_err(|error| ClientError::Decode(error.to_string()))?;
            if failed && self.failed.len() < SHOWN {
                self.failed.push(FailedRecord {
                    external_id: result.external_id.or(result.business_partner_id).unwrap_or_default(),
                    country: result.country_short_name.unwrap_or_else(|| "-".to_owned()),
                    message: result.message.unwrap_or_default(),
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_counted() {
        let page = r#"{"limit":2,"total":3,"values":[
            {"id":"1","externalId":"A","countryShortName":"CH","status":"FAILED","message":"no",
             "resultData":"{\"dataDefects\":[{\"rule\":\"NAME_MISSING\"}],\"corrections\":[]}"},
            {"id":"2","businessPartnerId":"B","status":"OK","resultData":"{\"dataDefects\":[],\"corrections\":[]}"}]}"#;
        let mut found = ReadBack::default();
        found.add(serde_json::from_str(page).expect("a page")).expect("ours");
        assert_eq!((found.total, found.summary.records, found.summary.failed), (3, 2, 1));
        assert_eq!(found.summary.by_rule.get("NAME_MISSING"), Some(&1));
        assert_eq!((found.failed[0].external_id.as_str(), found.failed[0].country.as_str()), ("A", "CH"));
        let wrong = PageView {
            total: 1,
            values: vec![serde_json::from_str(r#"{"status":"OK","resultData":"text"}"#).expect("a result")],
        };
        assert!(found.add(wrong).is_err());
    }
}
