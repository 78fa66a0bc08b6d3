//! What the demonstration prints.

use super::read_back::ReadBack;
use crate::output::{self, count, figure, say};
use crate::partners::{Summary, rule};
use crate::validate::Outcome;
use docket_contract::JobId;

/// Countries that have a row of their own.
const COUNTRIES: usize = 15;

/// Prints what was found, and how fast.
pub fn results(found: &ReadBack, outcome: &Outcome) {
    let summary = &found.summary;
    say!("\n{} records, {} failed\n", count(summary.records), count(summary.failed));
    say!("{}\n\n{}", rules(summary), countries(summary));
    if !found.failed.is_empty() {
        let mut table = output::text(["failed record", "country", "first error"]);
        for record in &found.failed {
            let message = output::cut(&record.message, 160);
            table.add_row([output::cut(&record.external_id, 24), record.country.clone(), message]);
        }
        say!("\n{table}");
    }
    let seconds = outcome.seconds.max(1e-9);
    say!(
        "\nChecked and written  {} records/s  ({:.2} s in the job: read, check, write, durable)",
        figure(outcome.records as f64 / seconds),
        outcome.seconds,
    );
    let paging = found.paging.as_secs_f64().max(1e-9);
    say!(
        "Paged back           {} records/s, {} MB/s  ({} pages, one connection, {:.2} s;\n                     reading their JSON here took another {:.2} s)",
        figure(summary.records as f64 / paging),
        figure(found.bytes as f64 / 1e6 / paging),
        count(found.pages),
        paging,
        found.counting.as_secs_f64(),
    );
}

/// Defects by rule, most first.
fn rules(summary: &Summary) -> comfy_table::Table {
    let mut rules: Vec<_> = summary.by_rule.iter().collect();
    rules.sort_by(|one, other| other.1.cmp(one.1).then(one.0.cmp(other.0)));
    let mut table = output::text(["rule", "records", "strikes when"]);
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(comfy_table::CellAlignment::Right);
    }
    for (code, records) in rules {
        let what = rule(code).map_or("", |rule| rule.description);
        table.add_row([code.clone(), count(*records), what.to_owned()]);
    }
    table
}

/// Records by country, most first; the small ones together.
fn countries(summary: &Summary) -> comfy_table::Table {
    let mut countries: Vec<_> = summary.by_country.iter().map(|(code, count)| (code.clone(), *count)).collect();
    countries.sort_by(|one, other| other.1.records.cmp(&one.1.records).then(one.0.cmp(&other.0)));
    if countries.len() > COUNTRIES + 1 {
        let rest = countries.split_off(COUNTRIES);
        let mut sum = rest[0].1;
        for (_, count) in &rest[1..] {
            sum.records += count.records;
            sum.failed += count.failed;
        }
        countries.push((format!("{} others", rest.len()), sum));
    }
    let mut table = output::numbers(["country", "records", "failed", "failed %"]);
    for (code, counts) in countries {
        let share = counts.failed as f64 * 100.0 / counts.records.max(1) as f64;
        let code = if code == "-" { "not known".to_owned() } else { code };
        table.add_row([code, count(counts.records), count(counts.failed), format!("{share:.1}")]);
    }
    table
}

/// Prints where to go on.
pub fn next_steps(base: &str, job: JobId, second: Option<JobId>, storage: &str) {
    say!("\nGo on with:");
    let diff = second.map(|second| {
        let path = format!("/jobs/{second}/results/diff?against={job}&change=NEWLY_FAILED&limit=5");
        ("what failed newly the second night", path)
    });
    let paths = [
        ("the job", format!("/jobs/{job}")),
        ("all jobs", "/jobs".to_owned()),
        ("a page of results", format!("/jobs/{job}/results?storageId={storage}&limit=5")),
        ("failed ones", format!("/jobs/{job}/results?storageId={storage}&jobResultStatus=FAILED&limit=5")),
        ("one record", format!("/jobs/{job}/results?storageId={storage}&externalId=ERP-0000001")),
        ("statistics", format!("/jobs/{job}/results/statistics?storageId={storage}")),
        ("the job's log", format!("/jobs/{job}/log?tail=20")),
        ("the API", "/openapi.json".to_owned()),
    ];
    for (what, path) in diff.into_iter().chain(paths) {
        say!("  # {what}\n  curl '{base}{path}'");
    }
    if second.is_none() {
        say!("\n`docket demo --nights 2` checks the partners again a night later, and compares both runs.");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_and_fit() {
        let mut summary = Summary::default();
        for number in 0u8..30 {
            let country = format!("{}{}", 'A', char::from(b'A' + number % 26));
            for _ in 0..=number {
                summary.add(Some(&country), number % 2 == 0, ["NAME_MISSING"]);
            }
        }
        summary.add(None, true, ["POSTAL_CODE_INVALID"]);
        let table = countries(&summary).to_string();
        assert!(table.lines().nth(2).is_some_and(|line| line.contains("AD")), "{table}");
        assert!(table.contains("others"));
        let rules = rules(&summary).to_string();
        assert!(rules.find("NAME_MISSING") < rules.find("POSTAL_CODE_INVALID"), "{rules}");
        assert!(table.lines().chain(rules.lines()).all(|line| line.chars().count() <= 80), "{rules}");
    }
}
