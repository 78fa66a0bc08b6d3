//! Tells when cron expressions fire. Reads one JSON object a line from standard input,
//! `{"cron": "30 2 * * *", "zone": "Europe/Zurich", "after": 1743202800, "count": 3}`, and answers each with a line: an array
//! of the next `count` times, in seconds since the epoch like `after`, or a text that says what is wrong.
//!
//! `scripts/cron-peers` compares the answers with other programs'.

use docket_contract::{Cron, Timestamp, Zone};
use serde::Deserialize;
use std::collections::HashMap;
use std::io::{BufWriter, Write as _};

#[derive(Deserialize)]
struct Question {
    cron: String,
    zone: String,
    after: i64,
    count: usize,
}

fn answer(line: &str, parsed: &mut HashMap<String, Cron>) -> Result<Vec<i64>, String> {
    let question: Question = serde_json::from_str(line).map_err(|e| e.to_string())?;
    let cron = match parsed.get(&question.cron) {
        Some(cron) => cron.clone(),
        None => Cron::parse(&question.cron).map_err(|e| e.to_string())?,
    };
    parsed.insert(question.cron, cron.clone());
    let zone = Zone::parse(&question.zone).map_err(|e| e.to_string())?;
    let mut at = Timestamp::from_millis(question.after.saturating_mul(1000));
    let times = std::iter::from_fn(|| {
        at = cron.next_after(at, &zone)?;
        Some(at.as_millis() / 1000)
    });
    Ok(times.take(question.count).collect())
}

fn main() -> std::io::Result<()> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut parsed = HashMap::new();
    for line in std::io::stdin().lines() {
        match answer(&line?, &mut parsed) {
            Ok(times) => serde_json::to_writer(&mut out, &times)?,
            Err(reason) => serde_json::to_writer(&mut out, &reason)?,
        }
        out.write_all(b"\n")?;
    }
    out.flush()
}
