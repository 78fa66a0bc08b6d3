//! Reads one parameter as whatever type the input's field has. Everything arrives as text.

use super::params::Param;
use docket_contract::lenient;
use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, SeqAccess, Visitor};
use serde_json::Error;

/// What is said of a parameter that takes one value and was given more.
pub(in crate::faces) const TWICE: &str = "must not be given more than once";

/// A parameter, or one item of an array.
#[derive(Clone, Copy, Debug)]
pub(in crate::faces) enum Value<'a> {
    /// All occurrences of a parameter.
    Param(&'a Param),
    /// One item.
    Item(&'a str),
}

impl<'a> Value<'a> {
    fn text(self) -> Result<&'a str, Error> {
        match self {
            Value::Item(text) => Ok(text),
            Value::Param(Param { values, .. }) => match values.as_slice() {
                [value] => Ok(value),
                _ => Err(de::Error::custom(TWICE)),
            },
        }
    }

    /// An empty value of an optional parameter counts as absent.
    fn is_empty(self) -> bool {
        match self {
            Value::Item(text) => text.is_empty(),
            Value::Param(param) => param.is_empty(),
        }
    }
}

/// A number where one must be given; the optional ones come through [`lenient`] by themselves.
fn number<T: lenient::Number>(text: &str) -> Result<T, Error> {
    let text: StrDeserializer<'_, Error> = text.into_deserializer();
    lenient::number(text)?.ok_or_else(|| de::Error::custom(format_args!("must be {}", T::EXPECTED)))
}

impl<'de> Deserializer<'de> for Value<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str(self.text()?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_empty() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Value::Param(param) => visitor.visit_seq(Items(param.items().into_iter())),
            Value::Item(text) => visitor.visit_str(text),
        }
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_i32(number(self.text()?)?)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_f64(number(self.text()?)?)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let text: StrDeserializer<'_, Error> = self.text()?.into_deserializer();
        visitor
            .visit_bool(lenient::boolean(text)?.ok_or_else(|| <Error as de::Error>::custom("must be true or false"))?)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let text: StrDeserializer<'_, Error> = self.text()?.into_deserializer();
        text.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i64 i128 u8 u16 u32 u64 u128 f32 char str string bytes byte_buf unit unit_struct
        tuple tuple_struct map struct identifier
    }
}

struct Items<'a>(std::vec::IntoIter<&'a str>);

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        self.0.next().map(|item| seed.deserialize(Value::Item(item))).transpose()
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}
