//! Reading what old clients really send: quoted integers and booleans, `null` for "not given".

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use std::fmt;
use std::marker::PhantomData;

/// Reads a missing-like `null` as the default value: `#[serde(default, deserialize_with = "lenient::null_default")]`.
pub fn null_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads an optional number, plain or quoted (`"limit": "100"` (S)); `null` and the empty text are "not given".
pub fn number<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Number,
{
    deserializer.deserialize_any(NumberVisitor(PhantomData))
}

/// Reads an optional boolean, plain or as the text `true` or `false`.
pub fn boolean<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    struct BooleanVisitor;

    impl<'de> Visitor<'de> for BooleanVisitor {
        type Value = Option<bool>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("true or false")
        }
        fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
            Ok(Some(value))
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_none<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
            deserializer.deserialize_any(self)
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            match text {
                "true" => Ok(Some(true)),
                "false" => Ok(Some(false)),
                "" => Ok(None),
                _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
            }
        }
    }

    deserializer.deserialize_any(BooleanVisitor)
}

/// A number that a JSON number or a quoted one can become.
pub trait Number: Sized {
    /// What a person should send.
    const EXPECTED: &'static str;
    /// From an integer.
    fn from_i64(value: i64) -> Option<Self>;
    /// From a number with a fraction or an exponent.
    fn from_f64(value: f64) -> Option<Self>;
}

impl Number for i32 {
    const EXPECTED: &'static str = "a 32-bit integer";
    fn from_i64(value: i64) -> Option<Self> {
        value.try_into().ok()
    }
    fn from_f64(value: f64) -> Option<Self> {
        // 1e2 is an integer in JSON; 1.5 is not.
        (value.fract() == 0.0 && value.abs() <= f64::from(i32::MAX)).then_some(value as i32)
    }
}

impl Number for f64 {
    const EXPECTED: &'static str = "a number";
    fn from_i64(value: i64) -> Option<Self> {
        Some(value as f64)
    }
    fn from_f64(value: f64) -> Option<Self> {
        value.is_finite().then_some(value)
    }
}

struct NumberVisitor<T>(PhantomData<T>);

impl<'de, T: Number> Visitor<'de> for NumberVisitor<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }
    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
        T::from_i64(value).map(Some).ok_or_else(|| E::invalid_value(de::Unexpected::Signed(value), &self))
    }
    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
        let number = i64::try_from(value).ok().and_then(T::from_i64);
        number.map(Some).ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(value), &self))
    }
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Self::Value, E> {
        T::from_f64(value).map(Some).ok_or_else(|| E::invalid_value(de::Unexpected::Float(value), &self))
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        let text = text.trim_ascii();
        if text.is_empty() {
            return Ok(None);
        }
        let number = match text.parse::<i64>() {
            Ok(value) => T::from_i64(value),
            Err(_) => text.parse::<f64>().ok().and_then(T::from_f64),
        };
        number.map(Some).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Limits {
        #[serde(default, deserialize_with = "number")]
        limit: Option<i32>,
    }

    fn limit(json: &str) -> Result<Option<i32>, serde_json::Error> {
        serde_json::from_str::<Limits>(json).map(|limits| limits.limit)
    }

    #[test]
    fn numbers_may_be_quoted() {
        assert_eq!(limit(r#"{"limit": 100}"#).expect("plain"), Some(100));
        assert_eq!(limit(r#"{"limit": "100"}"#).expect("quoted"), Some(100));
        assert_eq!(limit(r#"{"limit": 1e2}"#).expect("exponent"), Some(100));
        assert_eq!(limit(r#"{"limit": null}"#).expect("null"), None);
        assert_eq!(limit("{}").expect("missing"), None);
        for wrong in ["1.5", "\"ten\"", "true", "[1]", "99999999999", "\"99999999999\""] {
            assert!(limit(&format!("{{\"limit\": {wrong}}}")).is_err(), "{wrong}");
        }
    }
}
