//! Starts a job, reads all results of its storage page by page, and its log as it streams. The same code stands in
//! `docs/CLIENTS.md`.
//!
//! usage: cargo run --example read_results [URL]

use docket_client::Client;
use docket_contract::job::JobSpec;
use docket_contract::operations::{ListJobRunResults, ListJobRunResultsInput, ReadJobLog, ReadJobLogInput, StartJob};
use docket_contract::result::JobResultData;
use futures_util::TryStreamExt;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:8080".to_owned());

    let client = Client::new(&url, std::env::var("DOCKET_KEY").ok().as_deref())?;
    let spec = JobSpec { docker_image_url: "host".to_owned(), ..JobSpec::default() };
    let job = client.call::<StartJob>(&spec).await?;

    // All results, page by page; one page is held at a time.
    let input = serde_json::json!({"jobId": job.id, "storageId": "tour"});
    let input: ListJobRunResultsInput = serde_json::from_value(input)?;
    let mut results = std::pin::pin!(client.pages::<ListJobRunResults>(&input)?.items::<JobResultData>());
    while let Some(result) = results.try_next().await? {
        println!("{} {:?}", result.id, result.written.status);
    }

    // A long answer streams.
    let input = ReadJobLogInput::of(job.id);
    let mut log = client.open::<ReadJobLog>(&input).await?;
    while let Some(part) = log.next().await? {
        print!("{}", String::from_utf8_lossy(&part));
    }
    Ok(())
}
