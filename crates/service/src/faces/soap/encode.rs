//! From JSON to elements, in one pass over the bytes; a page of results streams through piece by piece.
//!
//! The JSON comes from the service itself: it is well-formed. Members are brought into the schema's order, because
//! strict clients insist on it.

use super::model::{Body, Field, Kind, Model, find};
use super::scan::{Step, Stop, expect, literal, scalar_end, skip_space, skip_value, string_end};
use super::text::{REPLACEMENT, string, text};

/// The bytes of an answer are not what the schema says, or end too early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// Writes values as elements.
struct Writer<'m> {
    model: &'m Model,
    /// Where the members of the objects that are being written stand in the output.
    members: Vec<(usize, usize)>,
    scratch: Vec<u8>,
}

/// A whole value as the element `field`; nothing for `null`.
pub(super) fn value(model: &Model, field: &Field, json: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
    let mut writer = Writer::new(model);
    match writer.element(field, json, skip_space(json, 0), out) {
        Ok(end) if skip_space(json, end) == json.len() => Ok(()),
        _ => Err(Broken),
    }
}

/// The members of a JSON object as elements, one behind the other.
pub(super) fn members(model: &Model, fields: &[Field], json: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
    match Writer::new(model).object(fields, json, skip_space(json, 0), out) {
        Ok(_) => Ok(()),
        Err(_) => Err(Broken),
    }
}

impl<'m> Writer<'m> {
    fn new(model: &'m Model) -> Self {
        Self { model, members: Vec::new(), scratch: Vec::new() }
    }

    /// The value at `at` as an element, or as many as it has items.
    fn element(&mut self, field: &Field, json: &[u8], at: usize, out: &mut Vec<u8>) -> Step {
        if json.get(at) == Some(&b'n') {
            return literal(json, at, b"null");
        }
        if field.many.is_none() {
            return self.single(field, json, at, out);
        }
        let mut at = expect(json, at, b'[')?;
        loop {
            at = skip_space(json, at);
            match json.get(at) {
                None => return Err(Stop::Incomplete),
                Some(b']') => return Ok(at + 1),
                Some(b',') => at += 1,
                Some(_) => at = self.single(field, json, at, out)?,
            }
        }
    }

    fn single(&mut self, field: &Field, json: &[u8], at: usize, out: &mut Vec<u8>) -> Step {
        out.extend_from_slice(field.open.as_bytes());
        let at = self.content(&field.kind, json, at, out)?;
        out.extend_from_slice(field.close.as_bytes());
        Ok(at)
    }

    fn content(&mut self, kind: &Kind, json: &[u8], at: usize, out: &mut Vec<u8>) -> Step {
        let model = self.model;
        let base = match kind {
            Kind::Simple(simple) => simple.base,
            Kind::Named(id) => match &model.types[*id].body {
                Body::Simple(simple) => simple.base,
                Body::Object(fields) => return self.object(fields, json, at, out),
            },
            Kind::Map(value) => return self.map(value, json, at, out),
        };
        if base == super::model::Base::Json {
            let end = skip_value(json, at)?;
            text(std::str::from_utf8(&json[at..end]).map_err(|_| Stop::Wrong)?, out);
            return Ok(end);
        }
        match json.get(at) {
            None => Err(Stop::Incomplete),
            Some(b'"') => string(json, at + 1, out),
            Some(b'{' | b'[') => Err(Stop::Wrong),
            Some(_) => {
                let end = scalar_end(json, at)?;
                out.extend_from_slice(&json[at..end]);
                Ok(end)
            }
        }
    }

    fn object(&mut self, fields: &[Field], json: &[u8], at: usize, out: &mut Vec<u8>) -> Step {
        let base = self.members.len();
        let begin = out.len();
        let mut at = expect(json, at, b'{')?;
        let (mut hint, mut sorted) = (0, true);
        loop {
            at = skip_space(json, at);
            match json.get(at) {
                None => return Err(Stop::Incomplete),
                Some(b'}') => break,
                Some(b',') => at += 1,
                Some(_) => {
                    let (found, behind) = key(fields, json, at, hint)?;
                    at = skip_space(json, behind);
                    let Some(found) = found else {
                        at = skip_value(json, at)?;
                        continue;
                    };
                    sorted &= self.members[base..].last().is_none_or(|(last, _)| *last <= found);
                    self.members.push((found, out.len()));
                    hint = found + 1;
                    at = self.element(&fields[found], json, at, out)?;
                }
            }
        }
        if !sorted {
            self.sort(base, begin, out);
        }
        self.members.truncate(base);
        Ok(at + 1)
    }

    /// Brings the members of an object that were written from `begin` on into the order of its fields.
    fn sort(&mut self, base: usize, begin: usize, out: &mut [u8]) {
        let end = out.len();
        let starts: Vec<(usize, usize)> = self.members[base..].to_vec();
        let mut parts: Vec<(usize, usize, usize)> = starts
            .iter()
            .enumerate()
            .map(|(at, (field, from))| (*field, *from, starts.get(at + 1).map_or(end, |(_, next)| *next)))
            .collect();
        parts.sort_by_key(|(field, _, _)| *field);
        self.scratch.clear();
        for (_, from, to) in parts {
            self.scratch.extend_from_slice(&out[from..to]);
        }
        out[begin..].copy_from_slice(&self.scratch);
    }

    fn map(&mut self, value: &Field, json: &[u8], at: usize, out: &mut Vec<u8>) -> Step {
        let mut at = expect(json, at, b'{')?;
        loop {
            at = skip_space(json, at);
            match json.get(at) {
                None => return Err(Stop::Incomplete),
                Some(b'}') => return Ok(at + 1),
                Some(b',') => at += 1,
                Some(_) => {
                    out.extend_from_slice(b"<entry><key>");
                    at = expect(json, at, b'"')?;
                    at = string(json, at, out)?;
                    out.extend_from_slice(b"</key>");
                    at = expect(json, skip_space(json, at), b':')?;
                    at = self.element(value, json, skip_space(json, at), out)?;
                    out.extend_from_slice(b"</entry>");
                }
            }
        }
    }
}

/// Where a stream has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Start,
    /// In the root object; the field that probably comes next.
    Members(usize),
    /// In an array of the root object.
    Items(usize),
    End,
}

/// A streamed answer on its way: takes its JSON in pieces of any size.
///
/// The root's members are written as they come: the service writes pages in the schema's order.
pub(super) struct Stream {
    state: State,
    /// The beginning of a value whose end has not come.
    rest: Vec<u8>,
}

impl Stream {
    pub(super) fn new() -> Self {
        Self { state: State::Start, rest: Vec::new() }
    }

    /// Writes what is complete.
    pub(super) fn take(&mut self, model: &Model, root: &Field, piece: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
        let mut writer = Writer::new(model);
        let joined;
        let data = if self.rest.is_empty() {
            piece
        } else {
            self.rest.extend_from_slice(piece);
            joined = std::mem::take(&mut self.rest);
            &joined
        };
        let mut at = 0;
        loop {
            at = skip_space(data, at);
            if at == data.len() {
                return Ok(());
            }
            let before = out.len();
            match self.step(&mut writer, root, data, at, out) {
                Ok(behind) => at = behind,
                Err(Stop::Incomplete) => {
                    out.truncate(before);
                    self.rest.extend_from_slice(&data[at..]);
                    return Ok(());
                }
                Err(Stop::Wrong) => return Err(Broken),
            }
        }
    }

    /// The end of the stream. A number that is the whole answer is complete only now.
    pub(super) fn finish(mut self, model: &Model, root: &Field, out: &mut Vec<u8>) -> Result<(), Broken> {
        self.take(model, root, b" ", out)?;
        if self.state == State::End && self.rest.is_empty() { Ok(()) } else { Err(Broken) }
    }

    fn step(&mut self, writer: &mut Writer<'_>, root: &Field, data: &[u8], at: usize, out: &mut Vec<u8>) -> Step {
        let fields = match &root.kind {
            Kind::Named(id) if root.many.is_none() => writer.model.fields(*id),
            _ => &[],
        };
        match self.state {
            State::Start if fields.is_empty() => {
                let end = writer.element(root, data, at, out)?;
                self.state = State::End;
                Ok(end)
            }
            State::Start => {
                let end = expect(data, at, b'{')?;
                out.extend_from_slice(root.open.as_bytes());
                self.state = State::Members(0);
                Ok(end)
            }
            State::Members(hint) => match data[at] {
                b',' => Ok(at + 1),
                b'}' => {
                    out.extend_from_slice(root.close.as_bytes());
                    self.state = State::End;
                    Ok(at + 1)
                }
                _ => {
                    let (found, behind) = key(fields, data, at, hint)?;
                    let behind = skip_space(data, behind);
                    let Some(found) = found else { return skip_value(data, behind) };
                    if fields[found].many.is_some() && data.get(behind) == Some(&b'[') {
                        self.state = State::Items(found);
                        return Ok(behind + 1);
                    }
                    let end = writer.element(&fields[found], data, behind, out)?;
                    self.state = State::Members(found + 1);
                    Ok(end)
                }
            },
            State::Items(field) => match data[at] {
                b',' => Ok(at + 1),
                b']' => {
                    self.state = State::Members(field + 1);
                    Ok(at + 1)
                }
                _ => writer.single(&fields[field], data, at, out),
            },
            State::End => Err(Stop::Wrong),
        }
    }
}

/// A streamed text that is no JSON.
#[derive(Default)]
pub(super) struct TextStream {
    /// The first bytes of a character whose others have not come.
    rest: Vec<u8>,
}

impl TextStream {
    /// Writes what is complete; bytes that are not UTF-8 are replaced.
    pub(super) fn take(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let mut data = std::mem::take(&mut self.rest);
        data.extend_from_slice(piece);
        let mut bytes = &data[..];
        loop {
            match std::str::from_utf8(bytes) {
                Ok(whole) => return text(whole, out),
                Err(error) => {
                    let (good, bad) = bytes.split_at(error.valid_up_to());
                    text(std::str::from_utf8(good).unwrap_or_default(), out);
                    let Some(length) = error.error_len() else {
                        self.rest.extend_from_slice(bad);
                        return;
                    };
                    out.extend_from_slice(REPLACEMENT.as_bytes());
                    bytes = &bad[length..];
                }
            }
        }
    }

    /// The end of the stream.
    pub(super) fn finish(self, out: &mut Vec<u8>) {
        if !self.rest.is_empty() {
            out.extend_from_slice(REPLACEMENT.as_bytes());
        }
    }
}

/// The field that a member's name stands for, and where its value begins.
fn key(fields: &[Field], json: &[u8], at: usize, hint: usize) -> Result<(Option<usize>, usize), Stop> {
    let begin = expect(json, at, b'"')?;
    let end = string_end(json, begin)?;
    let name = &json[begin..end - 1];
    let found = if name.contains(&b'\\') {
        let name: String = serde_json::from_slice(&json[at..end]).map_err(|_| Stop::Wrong)?;
        find(fields, name.as_bytes(), hint)
    } else {
        find(fields, name, hint)
    };
    Ok((found, expect(json, skip_space(json, end), b':')?))
}
