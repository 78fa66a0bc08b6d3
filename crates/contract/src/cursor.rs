//! Page positions: where the next page begins, and what a page token is bound to.
//!
//! The token's encryption is the service's; here stands what it says.

use serde::{Deserialize, Serialize};

/// A position in a list of ascending ids: the next page begins behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Position(pub u64);

impl Position {
    /// Reads a plain `startAfter`: decimal digits (S). `None` if it is not a result id.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().ok().map(Position)).flatten()
    }
}

/// What a token is bound to: an operation, its subject and filters, as the bytes of a canonical text.
///
/// Two requests that differ in more than `startAfter` and `limit` never share a scope, so that a token of one is
/// refused by the other.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Scope(Vec<u8>);

impl Scope {
    /// A scope that begins with the operation and the caller's organization.
    pub fn new(operation: &str, organization: &str) -> Self {
        let mut scope = Self::default();
        scope.add("operation", [operation]);
        scope.add("organization", [organization]);
        scope
    }

    /// Adds a filter with its values; their order does not matter, a filter without values is as good as absent.
    pub fn add<'a>(&mut self, name: &str, values: impl IntoIterator<Item = &'a str>) {
        let mut values: Vec<&str> = values.into_iter().collect();
        values.sort_unstable();
        values.dedup();
        if values.is_empty() {
            return;
        }
        for part in [name].into_iter().chain(values) {
            self.0.extend_from_slice(&(part.len() as u64).to_le_bytes());
            self.0.extend_from_slice(part.as_bytes());
        }
        self.0.extend_from_slice(&u64::MAX.to_le_bytes());
    }

    /// The bytes that a token authenticates.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scope(filters: &[(String, Vec<String>)]) -> Scope {
        let mut scope = Scope::new("listJobRunResults", "acme");
        for (name, values) in filters {
            scope.add(name, values.iter().map(String::as_str));
        }
        scope
    }

    proptest! {
        #[test]
        fn positions_survive_text(id in any::<u64>()) {
            prop_assert_eq!(Position::parse(&id.to_string()), Some(Position(id)));
        }

        #[test]
        fn scopes_differ_when_filters_do(
            a in prop::collection::vec(("[a-c]{1,2}", prop::collection::vec("[a-c]{0,2}", 1..3)), 0..3),
            b in prop::collection::vec(("[a-c]{1,2}", prop::collection::vec("[a-c]{0,2}", 1..3)), 0..3),
        ) {
            let sorted = |filters: &[(String, Vec<String>)]| -> Vec<(String, Vec<String>)> {
                filters.iter().map(|(name, values)| {
                    let mut values = values.clone();
                    values.sort();
                    values.dedup();
                    (name.clone(), values)
                }).collect()
            };
            prop_assert_eq!(scope(&a) == scope(&b), sorted(&a) == sorted(&b));
        }
    }

    #[test]
    fn positions_are_digits() {
        for wrong in ["", "-1", "+1", " 1", "1 ", "1.0", "abc", "18446744073709551616"] {
            assert_eq!(Position::parse(wrong), None, "{wrong:?}");
        }
    }
}
