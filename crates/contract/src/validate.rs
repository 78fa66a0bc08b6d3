//! Collects what is wrong with a request, so that a client learns all of it at once.

use crate::error::{Code, Error, FieldError};
use crate::text;

/// How many field errors one answer names at most; the rest are counted in the detail.
pub const MAX_FIELD_ERRORS: usize = 50;

/// What was found wrong so far.
#[derive(Debug, Default)]
pub struct Problems {
    errors: Vec<FieldError>,
    more: usize,
    /// Where the checks stand that are being made: pointers are relative to it.
    within: String,
}

impl Problems {
    /// Adds one finding; `detail` continues the sentence that begins with the pointer.
    pub fn add(&mut self, pointer: impl Into<String>, code: &str, detail: impl AsRef<str>) {
        if self.errors.len() == MAX_FIELD_ERRORS {
            self.more += 1;
            return;
        }
        let pointer = format!("{}{}", self.within, pointer.into());
        let detail = format!("{} {}", pointer.trim_start_matches('/'), detail.as_ref());
        self.errors.push(FieldError { pointer, code: code.to_owned(), detail });
    }

    /// Makes checks of a member: their pointers begin with the one of the member.
    pub fn within(&mut self, pointer: &str, check: impl FnOnce(&mut Self)) {
        let outer = self.within.len();
        self.within.push_str(pointer);
        check(self);
        self.within.truncate(outer);
    }

    /// Checks an id: 1 to 255 characters without control characters.
    pub fn id(&mut self, pointer: &str, value: Option<&str>) {
        if let Some((code, detail)) = value.and_then(|value| text::check_id(value).err()) {
            self.add(pointer, code, detail);
        }
    }

    /// Checks each id of an array, and how many there are.
    pub fn ids(&mut self, pointer: &str, values: &[String], max: usize) {
        if self.count(pointer, values.len(), max) {
            for (index, value) in values.iter().enumerate() {
                if let Err((code, detail)) = text::check_id(value) {
                    self.add(format!("{pointer}/{index}"), code, detail);
                }
            }
        }
    }

    /// Checks the length of a text in characters.
    pub fn text(&mut self, pointer: &str, value: Option<&str>, min: usize, max: usize) {
        if let Some((code, detail)) = value.and_then(|value| text::check_text(value, min, max).err()) {
            self.add(pointer, code, detail);
        }
    }

    /// Checks the number of items of an array; true if it is within the limit.
    pub fn count(&mut self, pointer: &str, found: usize, max: usize) -> bool {
        if found > max {
            self.add(pointer, "too_many", format!("must have at most {max} items, has {found}"));
        }
        found <= max
    }

    /// Checks that a number lies within its bounds, both included.
    pub fn range<N: PartialOrd + std::fmt::Display>(&mut self, pointer: &str, value: Option<N>, min: N, max: N) {
        if let Some(value) = value
            && !(value >= min && value <= max)
        {
            self.add(pointer, "out_of_range", format!("must be from {min} to {max}, is {value}"));
        }
    }

    /// The error that tells of all findings, if there are any.
    pub fn into_result(self) -> Result<(), Error> {
        let Some(first) = self.errors.first() else { return Ok(()) };
        let total = self.errors.len() + self.more;
        let detail = match total {
            1 => first.detail.clone(),
            _ => format!("{} (and {} more, see errors)", first.detail, total - 1),
        };
        Err(Error { errors: self.errors, ..Error::new(Code::InvalidRequest, detail) })
    }
}

/// An operation's input that can check itself against the limits of the API.
pub trait Validate {
    /// Adds what is wrong to `problems`; lowers a `limit` above its maximum (AIP-158) instead of refusing it.
    fn validate(&mut self, problems: &mut Problems);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_begin_with_the_member() {
        let mut problems = Problems::default();
        problems.within("/outer", |problems| {
            problems.within("/inner", |problems| problems.add("/name", "required", "is required"));
            problems.range("/count", Some(3), 0, 2);
        });
        problems.add("/other", "required", "is required");
        let error = problems.into_result().expect_err("findings");
        let pointers: Vec<_> = error.errors.iter().map(|field| field.pointer.as_str()).collect();
        assert_eq!(pointers, ["/outer/inner/name", "/outer/count", "/other"]);
        assert_eq!(error.errors[0].detail, "outer/inner/name is required");
    }
}
