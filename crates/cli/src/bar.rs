//! Progress bars on standard error, where that is a terminal.

use crate::output;
use indicatif::{ProgressBar, ProgressStyle};

const BYTES: &str = "{msg:>11} [{bar:30}] {percent:>3} %  {bytes} of {total_bytes}  {bytes_per_sec}  {eta}";
const RESULTS: &str = "{msg:>11} [{bar:30}] {percent:>3} %  {human_pos} of {human_len} results  {per_sec}  {eta}";
const FLOW: &str = "{msg:>11} {bytes}  {bytes_per_sec}  {elapsed}";

/// A bar over bytes.
pub fn bytes(doing: &'static str, total: u64) -> ProgressBar {
    styled(ProgressBar::new(total), BYTES, doing)
}

/// A bar over results.
pub fn results(doing: &'static str, total: u64) -> ProgressBar {
    styled(ProgressBar::new(total), RESULTS, doing)
}

/// Bytes that come without a known end.
pub fn flow(doing: &'static str) -> ProgressBar {
    styled(ProgressBar::no_length(), FLOW, doing)
}

fn styled(bar: ProgressBar, template: &str, doing: &'static str) -> ProgressBar {
    let bar = bar.with_message(doing);
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        // The test reads every template.
        Err(_) => bar,
    }
}

/// Bytes for people.
pub fn amount(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", output::figure(bytes as f64 / 1e3)),
        1_000_000..1_000_000_000 => format!("{} MB", output::figure(bytes as f64 / 1e6)),
        _ => format!("{} GB", output::figure(bytes as f64 / 1e9)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_one() {
        for template in [BYTES, RESULTS, FLOW] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
