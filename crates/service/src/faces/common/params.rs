//! The parameters of a request: what stands in its path, its query and the headers that the table names, by name.
//!
//! Decoding is strict: percent-escapes must be whole and UTF-8. What the operation does not know is kept apart, to be
//! named to the client.

use docket_contract::Error;
use docket_contract::operations::{Header, Method, Operation};
use http::{HeaderMap, header};
use percent_encoding::percent_decode_str;
use std::borrow::Cow;

/// Most different names in one query; the length of a request line is bounded by the listener.
const MAX_NAMES: usize = 100;

/// Where an operation expects its parameters.
#[derive(Clone, Debug)]
pub(in crate::faces) struct Shape {
    /// The names of the path's parameters with their place, counted in segments from the end.
    path: Vec<(&'static str, usize)>,
    /// The names that a query may give; `None` for all but the path's.
    query: Option<&'static [&'static str]>,
    literal: &'static [&'static str],
    headers: &'static [Header],
}

impl Shape {
    /// The shape of one row of the table.
    pub(in crate::faces) fn of<O: Operation>() -> Self {
        let name = |part: &'static str| part.strip_prefix('{')?.strip_suffix('}');
        let path = O::PATH.rsplit('/').enumerate().filter_map(|(place, part)| Some((name(part)?, place))).collect();
        let query = matches!(O::METHOD, Method::Post | Method::Put).then_some(O::QUERY);
        Self { path, query, literal: O::LITERAL, headers: O::HEADERS }
    }

    /// The shape of a request that gives everything in its body.
    pub(in crate::faces) fn body_only() -> Self {
        Self { path: Vec::new(), query: Some(&[]), literal: &[], headers: &[] }
    }

    /// Whether a body is read.
    pub(in crate::faces) fn has_body(&self) -> bool {
        self.query.is_some()
    }

    /// Whether `name` is taken from path or query, so that a member of the body can't give it.
    pub(in crate::faces) fn is_parameter(&self, name: &str) -> bool {
        self.in_path(name) || self.query.is_some_and(|query| query.contains(&name))
    }

    fn in_path(&self, name: &str) -> bool {
        self.path.iter().any(|(known, _)| *known == name)
    }
}

/// Most occurrences of an array whose empty ones are passed over.
const MOST_EMPTY: usize = 10;

/// A parameter with all its occurrences, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::faces) struct Param {
    /// Its name.
    pub(in crate::faces) name: Cow<'static, str>,
    /// Its values, in order; never empty.
    pub(in crate::faces) values: Vec<String>,
    /// Whether occurrences are matched as they are, because they may hold commas.
    pub(in crate::faces) literal: bool,
}

impl Param {
    /// Whether it counts as absent.
    pub(in crate::faces) fn is_empty(&self) -> bool {
        self.values.len() <= MOST_EMPTY && self.values.iter().all(String::is_empty)
    }

    /// The items of an array: each occurrence split at commas, empty parts dropped, unless there are so many occurrences that
    /// none of them is there by accident.
    ///
    /// A literal parameter is not split; only one that occurs once and holds a comma counts whole and split.
    pub(in crate::faces) fn items(&self) -> Vec<&str> {
        let mut items: Vec<&str> = Vec::with_capacity(self.values.len());
        let counts = |item: &&str| !item.is_empty() || self.values.len() > MOST_EMPTY;
        if self.literal {
            items.extend(self.values.iter().map(String::as_str).filter(counts));
        }
        if !self.literal || (self.values.len() == 1 && self.values[0].contains(',')) {
            items.extend(self.values.iter().flat_map(|value| value.split(',')).filter(counts));
        }
        items
    }
}

/// The parameters of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::faces) struct Params {
    /// Those that the input may take, the path's first.
    pub(in crate::faces) list: Vec<Param>,
    /// Names that no parameter has, or that only the path may give.
    pub(in crate::faces) ignored: Vec<String>,
}

impl Params {
    /// Reads path and query of a request whose path matches the shape's template.
    pub(in crate::faces) fn read(shape: &Shape, path: &str, query: Option<&str>) -> Result<Self, Error> {
        let mut params = Self::default();
        let path = path.strip_suffix('/').unwrap_or(path);
        for (name, place) in shape.path.iter().rev() {
            let value = decode(path.rsplit('/').nth(*place).unwrap_or_default(), name)?.into_owned();
            params.list.push(Param { name: Cow::Borrowed(name), values: vec![value], literal: true });
        }
        for part in query.unwrap_or_default().split('&').filter(|part| !part.is_empty()) {
            params.add(shape, part)?;
        }
        Ok(params)
    }

    /// Takes the headers that give fields of the input.
    pub(in crate::faces) fn take_headers(&mut self, shape: &Shape, headers: &HeaderMap) -> Result<(), Error> {
        for known in shape.headers {
            let (field, value) = match *known {
                Header::Value { header, field } => {
                    let Some(value) = headers.get(header).filter(|value| !value.is_empty()) else { continue };
                    let wrong = || Error::field(format!("/{header}"), "invalid_characters", "must be visible ASCII");
                    (field, value.to_str().map_err(|_| wrong())?.to_owned())
                }
                Header::Accepts { media_type, field } if accepts(headers, media_type) => (field, "true".to_owned()),
                Header::Accepts { .. } => continue,
            };
            self.list.retain(|param| param.name != field);
            self.list.push(Param { name: Cow::Borrowed(field), values: vec![value], literal: true });
        }
        Ok(())
    }

    fn add(&mut self, shape: &Shape, part: &str) -> Result<(), Error> {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let name = decode(&name.replace('+', " "), name)?.into_owned();
        if shape.in_path(&name) || shape.query.is_some_and(|query| !query.contains(&name.as_str())) {
            if self.ignored.len() < MAX_NAMES && !self.ignored.contains(&name) {
                self.ignored.push(name);
            }
            return Ok(());
        }
        let value = decode(&value.replace('+', " "), &name)?.into_owned();
        if let Some(known) = self.list.iter_mut().find(|param| param.name == name) {
            known.values.push(value);
        } else if self.list.len() < MAX_NAMES {
            let literal = shape.literal.contains(&name.as_str());
            self.list.push(Param { name: Cow::Owned(name), values: vec![value], literal });
        } else {
            let detail = format!("A request can have at most {MAX_NAMES} different parameters.");
            return Err(Error::field("", "too_many", detail));
        }
        Ok(())
    }
}

/// Whether `Accept` names a media type by itself.
fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut ranges = values.flat_map(|value| value.split(','));
    ranges.any(|range| range.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(media_type))
}

/// Decodes percent-escapes. An escape that is not whole, or bytes that are not UTF-8, are refused.
fn decode<'a>(text: &'a str, name: &str) -> Result<Cow<'a, str>, Error> {
    // The name itself may be what is wrong; it is shown as it was sent, but not at any length.
    let fail = |reason: &str| {
        let name: String = name.chars().take(64).collect();
        let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
        Error::field(pointer, "invalid_format", format!("{name} {reason}"))
    };
    let whole = text.split('%').skip(1).all(|escape| {
        let mut digits = escape.bytes();
        (0..2).all(|_| digits.next().is_some_and(|digit| digit.is_ascii_hexdigit()))
    });
    if !whole {
        return Err(fail("must have two hexadecimal digits behind each %"));
    }
    percent_decode_str(text).decode_utf8().map_err(|_| fail("must be percent-encoded UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use docket_contract::operations::{InsertJobResults, ListJobRunResults, ListJobs, ReadJobLog};

    fn read(shape: &Shape, path: &str, query: &str) -> Params {
        Params::read(shape, path, Some(query)).unwrap_or_else(|e| panic!("{path}?{query}: {e:?}"))
    }

    #[test]
    fn path_and_query_are_kept_apart() {
        let shape = Shape::of::<ListJobRunResults>();
        let params = read(&shape, "/v2/jobs/a%2Fb/results", "jobId=other&storageId=s+1&limit=");
        let list: Vec<_> = params.list.iter().map(|p| (&*p.name, p.values.join("|"))).collect();
        assert_eq!(list, [("jobId", "a/b".to_owned()), ("storageId", "s 1".to_owned()), ("limit", String::new())]);
        assert_eq!(params.ignored, ["jobId"]);

        let params = read(&Shape::of::<InsertJobResults>(), "/jobs/a/results", "results=1&storageId=s&x=%C3%BC");
        assert_eq!(params.list.len(), 2);
        assert_eq!(params.ignored, ["results", "x"]);
    }

    #[test]
    fn a_slash_at_the_end_is_no_part_of_the_path() {
        let shape = Shape::of::<ListJobRunResults>();
        assert_eq!(read(&shape, "/jobs/a/results/", "").list, read(&shape, "/jobs/a/results", "").list);
    }

    #[test]
    fn arrays_have_both_forms() {
        let params = read(&Shape::of::<ListJobs>(), "/jobs", "tags=a&tags=b,c,,&tags=&tags=%2C");
        assert_eq!(params.list[0].items(), ["a", "b", "c"]);

        let shape = Shape::of::<ListJobRunResults>();
        let items = |query: &str| read(&shape, "/jobs/a/results", query).list[1].clone();
        assert_eq!(items("externalId=a,b").items(), ["a,b", "a", "b"]);
        assert_eq!(items("externalId=a").items(), ["a"]);
        assert_eq!(items("externalId=a,b&externalId=c").items(), ["a,b", "c"]);
        assert!(items("externalId=").items().is_empty());
        assert_eq!(items(&"externalId=&".repeat(501)).items().len(), 501, "too many are too many");
    }

    #[test]
    fn headers_go_before_the_query() {
        let shape = Shape::of::<ReadJobLog>();
        let given = |query: &str, headers: &[(&'static str, &'static str)]| {
            let mut params = read(&shape, "/jobs/a/log", query);
            let headers = headers
                .iter()
                .map(|(name, value)| (http::HeaderName::from_static(name), http::HeaderValue::from_static(value)));
            params.take_headers(&shape, &headers.collect()).expect("visible ASCII");
            params.list.drain(1..).map(|param| format!("{}={}", param.name, param.values.join("|"))).collect::<Vec<_>>()
        };
        assert_eq!(given("lastEventId=1:2", &[("last-event-id", "1:3")]), ["lastEventId=1:3"]);
        assert_eq!(given("lastEventId=1:2", &[("last-event-id", "")]), ["lastEventId=1:2"]);
        for accept in ["text/event-stream", "text/html, Text/Event-Stream;q=0.5"] {
            assert_eq!(given("events=false", &[("accept", accept)]), ["events=true"], "{accept}");
        }
        for accept in ["", "*/*", "text/*", "text/event-streams"] {
            assert_eq!(given("", &[("accept", accept)]), [""; 0], "{accept}");
        }
    }

    #[test]
    fn broken_escapes_name_their_parameter() {
        let shape = Shape::of::<ListJobs>();
        for query in ["user=%", "user=%4", "user=%zz", "user=%ff", "user=a%C3", "user=%+1"] {
            let error = Params::read(&shape, "/jobs", Some(query)).expect_err(query);
            assert_eq!(error.errors[0].pointer, "/user", "{query}");
        }
        let error = Params::read(&shape, "/jobs", Some("a%ff=1")).expect_err("not UTF-8");
        assert_eq!(error.errors[0].pointer, "/a%ff");
        let many = (0..200).map(|n| format!("n{n}=")).collect::<Vec<_>>().join("&");
        let error = Params::read(&shape, "/jobs", Some(&many)).expect_err("too many");
        assert_eq!(error.errors[0].code, "too_many");
    }
}
