//! From JSON to elements, in one pass over the bytes; a page of results streams through piece by piece.
//!
//! The JSON comes from the service itself: it is well-formed. Members are brought into the schema's order, because
//! strict clients insist on it. XML 1.0 has no control characters but tab, line feed and carriage return, and no U+FFFE
//! and U+FFFF: each is replaced by U+FFFD.

use super::model::{Body, Field, Kind, Model, find};

/// What stands for a character that XML does not have.
const REPLACEMENT: &str = "\u{fffd}";

/// Why a value was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// The bytes end within it.
    Incomplete,
    /// It is not what the schema says.
    Wrong,
}

/// The bytes of an answer are not what the schema says, or end too early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

type Step = Result<usize, Stop>;

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

/// A text as it stands between tags.
pub(super) fn text(text: &str, out: &mut Vec<u8>) {
    let mut run = 0;
    for (at, char) in text.char_indices() {
        let escape = match char {
            '<' => "&lt;",
            '>' => "&gt;",
            '&' => "&amp;",
            '"' => "&quot;",
            '\r' => "&#13;",
            '\t' | '\n' => continue,
            char if !super::xml::is_char(char) => REPLACEMENT,
            _ => continue,
        };
        out.extend_from_slice(&text.as_bytes()[run..at]);
        out.extend_from_slice(escape.as_bytes());
        run = at + char.len_utf8();
    }
    out.extend_from_slice(&text.as_bytes()[run..]);
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

fn skip_space(json: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = json.get(at) {
        at += 1;
    }
    at
}

fn expect(json: &[u8], at: usize, byte: u8) -> Step {
    match json.get(at) {
        None => Err(Stop::Incomplete),
        Some(found) if *found == byte => Ok(at + 1),
        Some(_) => Err(Stop::Wrong),
    }
}

fn literal(json: &[u8], at: usize, word: &[u8]) -> Step {
    match json.get(at..at + word.len()) {
        Some(found) if found == word => Ok(at + word.len()),
        Some(_) => Err(Stop::Wrong),
        None => Err(Stop::Incomplete),
    }
}

/// The end of a number, a boolean or `null`.
fn scalar_end(json: &[u8], at: usize) -> Step {
    let length = json[at..].iter().position(|byte| !byte.is_ascii_alphanumeric() && !b"+-.".contains(byte));
    match length {
        None => Err(Stop::Incomplete),
        Some(0) => Err(Stop::Wrong),
        Some(length) => Ok(at + length),
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

/// The end of a string whose content begins at `at`: behind its quotation mark.
fn string_end(json: &[u8], mut at: usize) -> Step {
    loop {
        let found = memchr::memchr2(b'"', b'\\', json.get(at..).unwrap_or_default()).ok_or(Stop::Incomplete)?;
        at += found;
        if json[at] == b'"' {
            return Ok(at + 1);
        }
        at += 2;
    }
}

/// The end of any value.
fn skip_value(json: &[u8], at: usize) -> Step {
    let mut at = at;
    let mut depth = 0_usize;
    loop {
        at = skip_space(json, at);
        match json.get(at) {
            None => return Err(Stop::Incomplete),
            Some(b'"') => at = string_end(json, at + 1)?,
            Some(b'{' | b'[') => {
                depth += 1;
                at += 1;
                continue;
            }
            Some(b'}' | b']') => {
                depth = depth.checked_sub(1).ok_or(Stop::Wrong)?;
                at += 1;
            }
            Some(b',' | b':') if depth > 0 => {
                at += 1;
                continue;
            }
            // A number at the very end of a piece may go on in the next one.
            Some(_) => at = scalar_end(json, at)?,
        }
        if depth == 0 {
            return Ok(at);
        }
    }
}

/// What a byte of a JSON string needs in XML.
const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let special = b"\"\\<>&\r\xef";
    let mut at = 0;
    while at < special.len() {
        classes[special[at] as usize] = special[at];
        at += 1;
    }
    classes
}
const CLASSES: [u8; 256] = classes();

/// The string whose content begins at `at` as a text; answers where it ends, behind its quotation mark.
fn string(json: &[u8], mut at: usize, out: &mut Vec<u8>) -> Step {
    loop {
        let run = at;
        let rest = json.get(at..).unwrap_or_default();
        at += rest.iter().position(|byte| CLASSES[usize::from(*byte)] != 0).ok_or(Stop::Incomplete)?;
        out.extend_from_slice(&json[run..at]);
        match json[at] {
            b'"' => return Ok(at + 1),
            b'\\' => {
                at = escape(json, at, out)?;
                continue;
            }
            0xef => match json.get(at..at + 3) {
                None => return Err(Stop::Incomplete),
                Some([_, 0xbf, 0xbe | 0xbf]) => out.extend_from_slice(REPLACEMENT.as_bytes()),
                Some(char) => out.extend_from_slice(char),
            },
            byte => out.extend_from_slice(entity(byte)),
        }
        at += if json[at] == 0xef { 3 } else { 1 };
    }
}

fn entity(byte: u8) -> &'static [u8] {
    match byte {
        b'<' => b"&lt;",
        b'>' => b"&gt;",
        b'&' => b"&amp;",
        _ => b"&#13;",
    }
}

/// The escape at `at`.
fn escape(json: &[u8], at: usize, out: &mut Vec<u8>) -> Step {
    match json.get(at + 1) {
        None => return Err(Stop::Incomplete),
        Some(byte @ (b'"' | b'\\' | b'/')) => out.push(*byte),
        Some(b'n') => out.push(b'\n'),
        Some(b't') => out.push(b'\t'),
        Some(b'r') => out.extend_from_slice(b"&#13;"),
        Some(b'b' | b'f') => out.extend_from_slice(REPLACEMENT.as_bytes()),
        Some(b'u') => return unicode(json, at, out),
        Some(_) => return Err(Stop::Wrong),
    }
    Ok(at + 2)
}

/// The escape `\uXXXX` at `at`, or the two that stand for one character.
fn unicode(json: &[u8], at: usize, out: &mut Vec<u8>) -> Step {
    let unit = |at: usize| {
        let digits = json.get(at + 2..at + 6).ok_or(Stop::Incomplete)?;
        let digits = std::str::from_utf8(digits).map_err(|_| Stop::Wrong)?;
        u16::from_str_radix(digits, 16).map_err(|_| Stop::Wrong)
    };
    let first = unit(at)?;
    let mut end = at + 6;
    let mut units = [first, 0];
    let mut length = 1;
    if (0xd800..0xdc00).contains(&first) {
        let behind = json.get(end..end + 2).ok_or(Stop::Incomplete)?;
        if behind == b"\\u" {
            let second = unit(end)?;
            if (0xdc00..0xe000).contains(&second) {
                units[1] = second;
                length = 2;
                end += 6;
            }
        }
    }
    for char in char::decode_utf16(units.into_iter().take(length)) {
        // Half a pair is no character at all.
        text(char.unwrap_or(char::REPLACEMENT_CHARACTER).encode_utf8(&mut [0; 4]), out);
    }
    Ok(end)
}
