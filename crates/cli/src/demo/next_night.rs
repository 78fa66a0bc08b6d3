//! The second night: the same partners, of which some were corrected, spoiled, removed and added meanwhile, and the
//! comparison of both runs.

use super::server::Server;
use super::{Args, STORAGE, input, validate};
use crate::failure::Failure;
use crate::output::{self, count, say};
use crate::partners::Compared;
use docket_client::Client;
use docket_contract::JobId;
use docket_contract::operations::{DiffCounts, DiffJobResults, DiffJobResultsInput, JobResultsDiff, RecordChange};
use docket_contract::result::MAX_PAGE;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// What the comparison told.
struct Found {
    counts: DiffCounts,
    /// Records on all pages, by change.
    listed: BTreeMap<RecordChange, i64>,
    /// Time to the first page, in which the comparison was made.
    compared: Duration,
    /// Time of the other pages.
    paged: Duration,
    /// A record that failed newly: its id and why.
    example: Option<(String, String)>,
}

/// Runs the second night against the first; answers its job.
pub async fn run(
    args: &Args,
    program: &Path,
    work: &Path,
    client: &Client,
    server: &mut Server,
    first: JobId,
) -> Result<JobId, Failure> {
    let (path, planted) = input::prepare_next(args, work).await?;
    let records = planted.newly_failed + planted.fixed + planted.changed + planted.unchanged + planted.new;
    say!("\nNext night   {} partners: some corrected, spoiled, removed and added", count(records));
    let (job, _) = validate(program, &path, client, server).await?;
    let found = compare(client, job.id, first).await?;
    show(&found, &planted);
    check(&found, &planted)?;
    say!("\nChecked: the comparison agrees with what was planted, in its counts and on its pages.");
    Ok(job.id)
}

/// Compares the runs, and counts the records on all pages.
async fn compare(client: &Client, job: JobId, against: JobId) -> Result<Found, Failure> {
    let input = DiffJobResultsInput {
        storage_id: Some(STORAGE.to_owned()),
        limit: Some(MAX_PAGE),
        ..DiffJobResultsInput::of(job, against)
    };
    let mut pages = client.pages::<DiffJobResults>(&input)?;
    let mut found: Option<Found> = None;
    loop {
        let started = Instant::now();
        let Some(page) = pages.next().await? else { break };
        let took = started.elapsed();
        let JobResultsDiff { counts, values, .. } = page.decode()?;
        let found = match &mut found {
            Some(found) => {
                found.paged += took;
                found
            }
            none => none.insert(Found {
                counts,
                listed: BTreeMap::new(),
                compared: took,
                paged: Duration::ZERO,
                example: None,
            }),
        };
        for value in values {
            *found.listed.entry(value.change).or_default() += 1;
            if let (RecordChange::NewlyFailed, None, Some(after)) = (value.change, &found.example, value.after) {
                let id = after.written.external_id.unwrap_or_default();
                found.example = Some((id, after.written.message.unwrap_or_default()));
            }
        }
    }
    found.ok_or_else(|| Failure::other("the comparison has no page"))
}

/// What is told, what was planted, and what it is called.
fn rows(counts: &DiffCounts, planted: &Compared) -> [(&'static str, i64, u64); 6] {
    [
        ("newly failed", counts.newly_failed, planted.newly_failed),
        ("fixed", counts.fixed, planted.fixed),
        ("changed", counts.changed, planted.changed),
        ("unchanged", counts.unchanged, planted.unchanged),
        ("missing", counts.missing, planted.missing),
        ("new", counts.new, planted.new),
    ]
}

fn show(found: &Found, planted: &Compared) {
    let mut table = output::numbers(["against the first night", "compared", "planted"]);
    for (name, told, planted) in rows(&found.counts, planted) {
        table.add_row([name.to_owned(), count(told.unsigned_abs()), count(planted)]);
    }
    say!("\n{table}");
    if let Some((id, message)) = &found.example {
        say!("\nNewly failed, for example {id}: {}", output::cut(message, 100));
    }
    say!(
        "\nCompared             {:.2} s to the first page, {:.2} s for the rest",
        found.compared.as_secs_f64(),
        found.paged.as_secs_f64(),
    );
}

fn check(found: &Found, planted: &Compared) -> Result<(), Failure> {
    let mut wrong = Vec::new();
    for (name, told, planted) in rows(&found.counts, planted) {
        if u64::try_from(told) != Ok(planted) {
            wrong.push(format!("{name}: the comparison has {told}, planted were {planted}"));
        }
    }
    for change in RecordChange::ALL {
        let (listed, counted) = (found.listed.get(&change).copied().unwrap_or(0), found.counts.of(change));
        if listed != counted {
            wrong.push(format!("{}: its pages have {listed} records, its count is {counted}", change.name()));
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Failure::other(format!("the comparison is not what it should be:\n  {}", wrong.join("\n  "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_that_is_wrong_is_told() {
        let counts = DiffCounts { newly_failed: 1, unchanged: 9, ..DiffCounts::default() };
        let listed = BTreeMap::from([(RecordChange::NewlyFailed, 1)]);
        let mut found = Found { counts, listed, compared: Duration::ZERO, paged: Duration::ZERO, example: None };
        let planted = Compared { newly_failed: 1, unchanged: 9, ..Compared::default() };
        assert!(check(&found, &planted).is_ok());
        found.listed.clear();
        found.counts.fixed = 2;
        let failure = check(&found, &planted).expect_err("wrong");
        for sign in ["fixed: the comparison has 2", "NEWLY_FAILED: its pages have 0", "FIXED: its pages have 0"] {
            assert!(failure.message.contains(sign), "{failure}");
        }
    }
}
