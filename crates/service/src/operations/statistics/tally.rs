//! How often each value of a member comes, within bounds.

use docket_contract::operations::{MAX_DISTINCT, MemberCounts, ValueCount};
use std::cmp::Reverse;
use std::collections::HashMap;

/// Bytes of the values that are counted.
const MOST_BYTES: usize = 16 << 20;

/// The values of one member.
#[derive(Default)]
pub struct Values {
    counted: u64,
    absent: u64,
    /// Results that are not JSON.
    pub not_json: u64,
    /// Of each value how many results have it, and how many of those are FAILED.
    values: HashMap<Box<str>, (u64, u64)>,
    bytes: usize,
    truncated: bool,
}

impl Values {
    /// Counts a result with its different values.
    pub fn add<'v>(&mut self, values: impl ExactSizeIterator<Item = &'v str>, failed: bool) {
        *(if values.len() == 0 { &mut self.absent } else { &mut self.counted }) += 1;
        for value in values {
            if let Some((count, of_failed)) = self.values.get_mut(value) {
                *count += 1;
                *of_failed += u64::from(failed);
            } else if self.values.len() < MAX_DISTINCT && self.bytes + value.len() <= MOST_BYTES {
                self.bytes += value.len();
                self.values.insert(value.into(), (1, u64::from(failed)));
            } else {
                // One that was never seen before, so that every count is that of all results.
                self.truncated = true;
            }
        }
    }

    /// As it is answered, with the `limit` most frequent values.
    pub fn told(self, pointer: String, limit: usize) -> MemberCounts {
        let distinct = self.values.len();
        let mut values: Vec<(Box<str>, (u64, u64))> = self.values.into_iter().collect();
        values.sort_unstable_by(|(one, (count, _)), (other, (of_other, _))| {
            (Reverse(count), one).cmp(&(Reverse(of_other), other))
        });
        values.truncate(limit);
        let value = |(value, (count, failed)): (Box<str>, (u64, u64))| ValueCount {
            value: Some(value.into()),
            count: number(count),
            failed: number(failed),
        };
        MemberCounts {
            pointer,
            counted: number(self.counted),
            absent: number(self.absent),
            not_json: number(self.not_json),
            distinct: number(distinct as u64),
            truncated: self.truncated,
            values: values.into_iter().map(value).collect(),
        }
    }
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_frequent_values_come_first() {
        let mut values = Values::default();
        for (found, failed) in [(&["b", "a"][..], true), (&["a"], false), (&["c", "b"], false), (&[], true)] {
            values.add(found.iter().copied(), failed);
        }
        values.not_json += 1;
        let told = values.told("/x".to_owned(), 2);
        let count = |value: &str, count, failed| ValueCount { value: Some(value.to_owned()), count, failed };
        assert_eq!((told.counted, told.absent, told.not_json, told.distinct), (3, 1, 1, 3));
        assert_eq!((told.values, told.truncated), (vec![count("a", 2, 1), count("b", 2, 1)], false));
    }

    #[test]
    fn what_is_kept_is_counted_to_the_end() {
        for text in ["", &"x".repeat(250)] {
            let mut values = Values::default();
            let value = |number: usize| format!("{number}{text}");
            for number in (0..MAX_DISTINCT + 10).chain(0..5) {
                values.add([value(number).as_str()].into_iter(), false);
            }
            assert!(values.truncated && values.bytes <= MOST_BYTES);
            let told = values.told("/x".to_owned(), 6);
            assert_eq!(told.counted, MAX_DISTINCT as i64 + 15);
            assert!(told.distinct <= MAX_DISTINCT as i64 && told.distinct > 60_000);
            assert_eq!(told.values.iter().map(|value| value.count).collect::<Vec<_>>(), [2, 2, 2, 2, 2, 1]);
        }
    }
}
