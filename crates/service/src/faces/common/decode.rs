//! Decodes a request into the flat input of its operation.
//!
//! To the input's own `Deserialize` the request looks like one map: first the parameters of path and query, then the
//! members of the JSON body, straight from the parser. Nothing of the body is copied or kept in between, so a record
//! can borrow its raw text. Members that have the name of a parameter are ignored, so that a body can't override a path.
//! A known member that comes twice is refused; of an unknown one nothing is read.

use super::explain::explain;
use super::params::{Param, Params, Shape};
use super::value::Value;
use docket_contract::operations::Input;
use docket_contract::{Code, Error};
use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, IntoDeserializer, MapAccess, Visitor};
use serde_json::de::StrRead;
use std::cell::RefCell;
use std::fmt;

/// Most ignored names that are collected from one request.
const MAX_IGNORED: usize = 50;

/// An input, and the names of what it ignored.
#[derive(Debug)]
pub(in crate::faces) struct Decoded<T> {
    /// The input; not yet validated.
    pub(in crate::faces) input: T,
    /// Unknown parameters and members, each once.
    pub(in crate::faces) ignored: Vec<String>,
}

/// Decodes a request. `body` is `None` where the operation takes none.
///
/// The road without errors is walked once, without book-keeping; only a request that fails is read again to find the
/// place.
pub(in crate::faces) fn decode<T: Input>(
    shape: &Shape,
    params: &Params,
    body: Option<&[u8]>,
) -> Result<Decoded<T>, Error> {
    let body = body.map(text).transpose()?;
    let ignored = RefCell::new(params.ignored.clone());
    let request = Request { shape, params, ignored: &ignored };
    let note = |path: serde_ignored::Path<'_>| note(&ignored, || path.to_string().replace(".?", ""));
    match request.read(body, |source| serde_ignored::deserialize::<_, _, T>(source, note)) {
        Ok(input) => {
            let mut ignored = ignored.into_inner();
            ignored.extend(input.ignored());
            Ok(Decoded { input, ignored })
        }
        Err(plain) => {
            let mut track = serde_path_to_error::Track::new();
            let again =
                request.read(body, |source| T::deserialize(serde_path_to_error::Deserializer::new(source, &mut track)));
            let error = again.err().unwrap_or(plain);
            Err(explain(&track.path(), &error))
        }
    }
}

/// The text of a body: UTF-8, a byte order mark skipped (RFC 8259, 8.1), an empty one read as `{}`.
fn text(body: &[u8]) -> Result<&str, Error> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let text = std::str::from_utf8(body).map_err(|error| {
        let detail = format!("The body is not UTF-8: the byte at offset {} can't be read.", error.valid_up_to());
        Error::new(Code::MalformedBody, detail)
    })?;
    match text.trim_ascii_start().bytes().next() {
        None => Ok("{}"),
        Some(b'{') => Ok(text),
        Some(_) => Err(Error::new(Code::MalformedBody, "The body must be a JSON object.")),
    }
}

fn note(ignored: &RefCell<Vec<String>>, name: impl FnOnce() -> String) {
    let mut ignored = ignored.borrow_mut();
    if ignored.len() < MAX_IGNORED {
        let name = name();
        if !ignored.contains(&name) {
            ignored.push(name);
        }
    }
}

/// What the map of a request is made of.
#[derive(Clone, Copy)]
struct Request<'r> {
    shape: &'r Shape,
    params: &'r Params,
    ignored: &'r RefCell<Vec<String>>,
}

impl<'r> Request<'r> {
    fn read<'de, T>(
        self,
        body: Option<&'de str>,
        read: impl FnOnce(Source<'r, '_, 'de>) -> Result<T, serde_json::Error>,
    ) -> Result<T, serde_json::Error> {
        let Some(body) = body else { return read(Source { request: self, body: None }) };
        let mut json = serde_json::Deserializer::from_str(body);
        let input = read(Source { request: self, body: Some(&mut json) })?;
        json.end()?;
        Ok(input)
    }
}

/// The request as a deserializer.
struct Source<'r, 'j, 'de> {
    request: Request<'r>,
    body: Option<&'j mut serde_json::Deserializer<StrRead<'de>>>,
}

impl<'de> Deserializer<'de> for Source<'_, '_, 'de> {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        let request = self.request;
        match self.body {
            Some(json) => json.deserialize_map(BodyVisitor { request, visitor }),
            None => visitor.visit_map(Chain::<NoBody>::new(request, None)),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// Shows the input's visitor the parameters before the members.
struct BodyVisitor<'r, V> {
    request: Request<'r>,
    visitor: V,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for BodyVisitor<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(Chain::new(self.request, Some(members)))
    }
}

/// First the parameters, then the members.
struct Chain<'r, A> {
    request: Request<'r>,
    params: std::slice::Iter<'r, Param>,
    current: Option<&'r Param>,
    members: Option<A>,
}

impl<'r, A> Chain<'r, A> {
    fn new(request: Request<'r>, members: Option<A>) -> Self {
        Self { request, params: request.params.list.iter(), current: None, members }
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Chain<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, mut seed: K) -> Result<Option<K::Value>, A::Error> {
        self.current = self.params.next();
        if let Some(param) = self.current {
            let name: StrDeserializer<'_, A::Error> = (*param.name).into_deserializer();
            return seed.deserialize(name).map(Some);
        }
        let Some(members) = &mut self.members else { return Ok(None) };
        loop {
            match members.next_key_seed(MemberKey { shape: self.request.shape, seed })? {
                None => return Ok(None),
                Some(Member::Known(key)) => return Ok(Some(key)),
                Some(Member::Parameter(unused, name)) => {
                    seed = unused;
                    note(self.request.ignored, || name);
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        if let Some(param) = self.current.take() {
            return seed.deserialize(Value::Param(param)).map_err(de::Error::custom);
        }
        match &mut self.members {
            Some(members) => members.next_value_seed(seed),
            None => Err(de::Error::custom("a value was asked for without a key")),
        }
    }
}

/// The members of a request that has no body.
struct NoBody;

impl<'de> MapAccess<'de> for NoBody {
    type Error = serde_json::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, _: K) -> Result<Option<K::Value>, Self::Error> {
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, _: V) -> Result<V::Value, Self::Error> {
        Err(de::Error::custom("a value was asked for without a key"))
    }
}

/// Reads the name of a member, unless it is a parameter's.
struct MemberKey<'r, K> {
    shape: &'r Shape,
    seed: K,
}

enum Member<K, T> {
    Known(T),
    Parameter(K, String),
}

impl<'de, K: DeserializeSeed<'de>> DeserializeSeed<'de> for MemberKey<'_, K> {
    type Value = Member<K, K::Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de, K: DeserializeSeed<'de>> Visitor<'de> for MemberKey<'_, K> {
    type Value = Member<K, K::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Self::Value, E> {
        if self.shape.is_parameter(name) {
            return Ok(Member::Parameter(self.seed, name.to_owned()));
        }
        let name: StrDeserializer<'_, E> = name.into_deserializer();
        self.seed.deserialize(name).map(Member::Known)
    }
}
