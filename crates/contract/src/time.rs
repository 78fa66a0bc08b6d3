//! Time stamps: RFC 3339 in UTC on output, any ISO 8601 offset form on input, seconds optional (`2020-08-31T16:47+00:00` (S)).

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

/// A point in time, in milliseconds since 1970-01-01T00:00:00Z; from year 0 to year 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    const MIN: i64 = -62_167_219_200_000;
    const MAX: i64 = 253_402_300_799_999;

    /// From milliseconds since the epoch; clamped to the years 0 to 9999, which RFC 3339 can write.
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.clamp(Self::MIN, Self::MAX))
    }

    /// Milliseconds since the epoch.
    pub fn as_millis(self) -> i64 {
        self.0
    }

    /// This time plus `millis` milliseconds.
    pub fn plus_millis(self, millis: i64) -> Self {
        Self::from_millis(self.0.saturating_add(millis))
    }
}

impl fmt::Display for Timestamp {
    /// `2026-11-23T16:21:00.123Z`: always 24 characters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => write!(f, "{time:.3}"),
            Err(_) => Err(fmt::Error),
        }
    }
}

impl FromStr for Timestamp {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("must be an ISO 8601 time stamp with an offset, such as 2020-08-31T16:47:00Z, not {text:?}");
        if text.len() > 40 {
            return Err("must be an ISO 8601 time stamp of at most 40 characters".to_owned());
        }
        // A `+` in a query arrives as a space.
        let mut text = text.trim_ascii().replace(' ', "+");
        // Behind the day it stands for the T (RFC 3339, 5.6).
        if text.get(10..11) == Some("+") {
            text.replace_range(10..11, "T");
        }
        let time = jiff::Timestamp::from_str(&text).map_err(|_| wrong())?;
        let millis = time.as_millisecond();
        if (Self::MIN..=Self::MAX).contains(&millis) { Ok(Self(millis)) } else { Err(wrong()) }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl PartialSchema for Timestamp {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("RFC 3339 in UTC on output; any ISO 8601 offset form, seconds optional, on input."))
            .examples(["2020-08-31T16:47:00.000Z"])
            .into()
    }
}

impl ToSchema for Timestamp {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_clients_send() {
        for text in [
            "2020-08-31T16:47+00:00",
            "2020-08-31T16:47Z",
            "2020-08-31T16:47:00Z",
            "2020-08-31T18:47:00.000+02:00",
            "2020-08-31T18:47+0200",
            "2020-08-31T18:47:00.000 02:00",
            "2020-08-31 16:47:00Z",
            "2020-08-31 18:47 02:00",
        ] {
            let time: Timestamp = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(time.to_string(), "2020-08-31T16:47:00.000Z", "{text}");
        }
        for text in
            ["", "2020-08-31", "2020-08-31T16:47", "yesterday", "2020-13-01T00:00Z", "1598892420", "2020-08-31+02:00"]
        {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn survives_text(millis in Timestamp::MIN..=Timestamp::MAX) {
            let time = Timestamp::from_millis(millis);
            prop_assert_eq!(time.to_string().parse::<Timestamp>(), Ok(time));
        }
    }
}
