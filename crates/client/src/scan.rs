//! Looking at a long answer while it streams by, without keeping or parsing it.

use super::{ClientError, find_next_start_after};
use memchr::memmem;

/// Bytes kept of the beginning of an answer: what stands in front of a page's records.
const HEAD: usize = 4 * 1024;
/// Bytes kept of its end: what stands behind them.
const TAIL: usize = 4 * 1024;
/// Stands once in each result.
const MARK: &[u8] = br#""createdAt":""#;

/// What was seen of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Length of the body, in bytes.
    pub bytes: u64,
    /// The first 4 KiB.
    pub head: Vec<u8>,
    /// The last 4 KiB.
    pub tail: Vec<u8>,
    /// How many results it holds, if they were counted.
    pub results: Option<u64>,
}

impl Scan {
    /// The token of the next page.
    pub fn next_start_after(&self) -> Option<&str> {
        find_next_start_after(&self.tail)
    }

    /// The `total` of a page, which stands in front of the records.
    ///
    /// # Errors
    /// [`ClientError::Decode`] when the answer does not begin like a page.
    pub fn total(&self) -> Result<u64, ClientError> {
        let values = memmem::find(&self.head, br#""values":"#).unwrap_or(self.head.len());
        let head = &self.head[..values];
        let total = memmem::rfind(head, br#""total":"#).map(|at| head[at + 8..].trim_ascii_start());
        let digits = total.and_then(|rest| {
            let end = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
            str::from_utf8(&rest[..end]).ok()?.parse().ok()
        });
        digits.ok_or_else(|| ClientError::Decode("the page has no total in front of its values".to_owned()))
    }
}

/// Takes an answer part by part.
#[derive(Debug)]
pub struct Scanner {
    scan: Scan,
    /// The bytes before the present part that may begin a mark.
    seam: Vec<u8>,
}

impl Scanner {
    /// A scanner; `count` has it count results, which costs a pass over the bytes.
    pub fn new(count: bool) -> Self {
        Self { scan: Scan { results: count.then_some(0), ..Scan::default() }, seam: Vec::new() }
    }

    /// The next part.
    pub fn take(&mut self, part: &[u8]) {
        let scan = &mut self.scan;
        scan.bytes += part.len() as u64;
        let missing = HEAD - scan.head.len();
        scan.head.extend_from_slice(&part[..missing.min(part.len())]);
        keep_end(&mut scan.tail, part, TAIL);
        if let Some(results) = &mut scan.results {
            let edge = MARK.len() - 1;
            // A mark that lies over the edge of two parts: neither half of the seam is long enough to hold one alone.
            self.seam.extend_from_slice(&part[..edge.min(part.len())]);
            *results += memmem::find_iter(&self.seam, MARK).count() as u64;
            *results += memmem::find_iter(part, MARK).count() as u64;
            if part.len() >= edge {
                self.seam.clear();
            }
            // A short part stays in the seam as it is; cut what can't begin a mark any more.
            if part.len() >= edge {
                self.seam.extend_from_slice(&part[part.len() - edge..]);
            } else {
                let excess = self.seam.len().saturating_sub(edge);
                self.seam.drain(..excess);
            }
        }
    }

    /// What was seen.
    pub fn finish(self) -> Scan {
        self.scan
    }
}

/// Appends `part` and keeps only the last `limit` bytes.
fn keep_end(end: &mut Vec<u8>, part: &[u8], limit: usize) {
    let part = &part[part.len().saturating_sub(limit)..];
    let excess = (end.len() + part.len()).saturating_sub(limit);
    end.drain(..excess);
    end.extend_from_slice(part);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn page(results: usize, next: Option<&str>) -> String {
        let value = r#"{"id":"1","createdAt":"2026-11-23T16:21:00.123Z","resultData":"{\"nextStartAfter\":\"no\"}"}"#;
        let next = next.map(|next| format!(r#","nextStartAfter":"{next}""#)).unwrap_or_default();
        let values = vec![value; results].join(",");
        format!(r#"{{"startAfter":"x","limit":5000,"total":12345,"values":[{values}]{next}}}"#)
    }

    fn scan(page: &str, cuts: &[usize]) -> Scan {
        let mut scanner = Scanner::new(true);
        let mut rest = page.as_bytes();
        for cut in cuts {
            let (part, behind) = rest.split_at((*cut).min(rest.len()));
            scanner.take(part);
            rest = behind;
        }
        scanner.take(rest);
        scanner.finish()
    }

    proptest! {
        #[test]
        fn parts_make_no_difference(results in 0usize..200, cuts in prop::collection::vec(0usize..300, 0..60)) {
            let page = page(results, Some("abc-_9"));
            let scan = scan(&page, &cuts);
            prop_assert_eq!(scan.results, Some(results as u64));
            prop_assert_eq!(scan.bytes, page.len() as u64);
            prop_assert_eq!(scan.total(), Ok(12345));
            prop_assert_eq!(scan.next_start_after(), Some("abc-_9"));
            let ends = (page.len().min(HEAD), page.len() - page.len().min(TAIL));
            prop_assert_eq!(&scan.head, &page.as_bytes()[..ends.0]);
            prop_assert_eq!(&scan.tail, &page.as_bytes()[ends.1..]);
        }
    }

    #[test]
    fn the_last_page_has_no_token() {
        assert_eq!(scan(&page(3, None), &[]).next_start_after(), None);
        assert!(scan("[]", &[]).total().is_err());
    }
}
