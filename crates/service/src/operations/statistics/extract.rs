//! Finding the values of some members in the JSON inside `resultData`, in one pass and without a tree: what no pointer
//! goes into is skipped.

use crate::store::encode::Text;
use docket_contract::operations::{MAX_POINTERS, MAX_VALUE_CHARS};
use docket_contract::pointer::{Pointer, Reached};
use docket_contract::{Code, Error};
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt::{self, Write};
use std::ops::Range;

/// Finds values; its memory is used again for each result.
pub struct Extractor {
    pointers: Vec<Pointer>,
    found: Found,
}

/// The values of one result.
#[derive(Default)]
pub struct Found {
    text: String,
    /// Whose pointer's value stands where in the text; ordered, each value of a pointer once.
    values: Vec<(usize, Range<usize>)>,
}

impl Found {
    /// The different values that a pointer, told by its number, has found.
    pub fn of(&self, pointer: usize) -> impl ExactSizeIterator<Item = &str> {
        let from = self.values.partition_point(|(other, _)| *other < pointer);
        let to = self.values.partition_point(|(other, _)| *other <= pointer);
        self.values[from..to].iter().map(|(_, range)| &self.text[range.clone()])
    }

    fn begin(&mut self) {
        self.text.clear();
        self.values.clear();
    }

    fn order(&mut self) {
        let Self { text, values } = self;
        if values.len() > 1 {
            let key = |(pointer, range): &(usize, Range<usize>)| (*pointer, &text[range.clone()]);
            values.sort_unstable_by(|one, other| key(one).cmp(&key(other)));
            values.dedup_by(|one, other| key(one) == key(other));
        }
    }
}

impl Extractor {
    /// For at most [`MAX_POINTERS`] pointers.
    pub fn new(pointers: Vec<Pointer>) -> Self {
        debug_assert!(pointers.len() <= MAX_POINTERS);
        Self { pointers, found: Found::default() }
    }

    /// Finds the values in a stored result; none if its `resultData` is not JSON. A result without any has no values.
    pub fn read(&mut self, body: &[u8]) -> Result<Option<&Found>, Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Data<'a> {
            #[serde(borrow, default)]
            result_data: Option<Text<'a>>,
        }
        self.found.begin();
        let data: Data<'_> = serde_json::from_slice(body).map_err(|error| {
            tracing::error!(%error, "a result holds no JSON");
            Error::new(Code::StorageDamaged, "The file that holds this storage is damaged.")
        })?;
        let Some(Text(data)) = data.result_data else { return Ok(Some(&self.found)) };
        let mut deserializer = serde_json::Deserializer::from_str(&data);
        let mut at = At { reached: [None; MAX_POINTERS] };
        at.reached.iter_mut().take(self.pointers.len()).for_each(|reached| *reached = Some(0));
        let walk = Walk { pointers: &self.pointers, found: &mut self.found, at };
        let is_json = walk.deserialize(&mut deserializer).and_then(|()| deserializer.end()).is_ok();
        self.found.order();
        Ok(is_json.then_some(&self.found))
    }
}

/// Which pointers go on at a place, and how much of each is done.
#[derive(Clone, Copy)]
struct At {
    reached: [Option<Reached>; MAX_POINTERS],
}

impl At {
    /// The same for a part of the place; none if no pointer goes on there.
    fn part(self, pointers: &[Pointer], step: impl Fn(&Pointer, Reached) -> Option<Reached>) -> Option<Self> {
        let mut part = self;
        for (reached, pointer) in part.reached.iter_mut().zip(pointers) {
            *reached = reached.and_then(|reached| step(pointer, reached));
        }
        part.reached.iter().any(Option::is_some).then_some(part)
    }
}

/// A place in a document.
struct Walk<'w> {
    pointers: &'w [Pointer],
    found: &'w mut Found,
    at: At,
}

impl Walk<'_> {
    /// A value stands here.
    fn value(self, value: impl fmt::Display) {
        let Self { pointers, found, at } = self;
        let met = |(reached, pointer): (&Option<Reached>, &Pointer)| reached.is_some_and(|it| pointer.is_met(it));
        let start = found.text.len();
        for number in (0..pointers.len()).filter(|number| met((&at.reached[*number], &pointers[*number]))) {
            if found.text.len() == start {
                // Writing to memory does not fail.
                let _ = write!(found.text, "{value}");
                let written = &found.text[start..];
                if written.len() > MAX_VALUE_CHARS
                    && let Some((end, _)) = written.char_indices().nth(MAX_VALUE_CHARS)
                {
                    found.text.truncate(start + end);
                }
            }
            found.values.push((number, start..found.text.len()));
        }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { pointers, found, at } = self;
        while let Some(Text(name)) = map.next_key()? {
            match at.part(pointers, |pointer, reached| pointer.member(reached, &name)) {
                Some(at) => map.next_value_seed(Walk { pointers, found: &mut *found, at })?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Self { pointers, found, at } = self;
        for index in 0.. {
            let more = match at.part(pointers, |pointer, reached| pointer.item(reached, index)) {
                Some(at) => items.next_element_seed(Walk { pointers, found: &mut *found, at })?.is_some(),
                None => items.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                break;
            }
        }
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.value(text);
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.value(number);
        Ok(())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.value(number);
        Ok(())
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        // As JSON writes it: 1e300 is no text of 301 digits.
        self.value(serde_json::Value::from(number));
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.value(value);
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.value("null");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use std::collections::BTreeSet;

    fn extractor(pointers: &[&str]) -> Extractor {
        Extractor::new(pointers.iter().map(|pointer| Pointer::parse(pointer).expect("a pointer")).collect())
    }

    fn read(extractor: &mut Extractor, data: &str) -> Option<Vec<Vec<String>>> {
        let body = json!({"externalId": "e", "resultData": data, "status": "OK"}).to_string();
        let pointers = extractor.pointers.len();
        let found = extractor.read(body.as_bytes()).expect("a result")?;
        Some((0..pointers).map(|pointer| found.of(pointer).map(str::to_owned).collect()).collect())
    }

    #[test]
    fn members_items_and_scalars() {
        let mut extractor = extractor(&["/defects/rule", "/defects/1/rule", "/n", "/a~1b/c", "/n/0"]);
        let data = r#"{"defects": [{"rule": "B"}, {"rule": "A", "x": {"rule": 9}}, {"rule": "B"}, 7, [{"rule": null}]],
            "n": [1.50, true, -3, "1.5", 1e300, {}, []], "a/b": {"c": "\u00fc\"", "d": 1}, "N": 1}"#;
        let expected =
            [vec!["A", "B", "null"], vec!["A"], vec!["-3", "1.5", "1e+300", "true"], vec!["ü\""], vec!["1.5"]];
        assert_eq!(
            read(&mut extractor, data),
            Some(expected.map(|values| values.into_iter().map(str::to_owned).collect()).to_vec())
        );
        for nothing in ["{}", "[]", "7", "null", r#"{"defects": {"rules": 1}, "n": {"n": 1}}"#] {
            assert_eq!(read(&mut extractor, nothing), Some(vec![vec![]; 5]), "{nothing}");
        }
        for broken in ["", "{'n': 1}", r#"{"n": 1} x"#, r#"{"n": 1"#, "text", &"[".repeat(200)] {
            assert_eq!(read(&mut extractor, broken), None, "{broken}");
        }
        let without = extractor.read(br#"{"externalId":"e"}"#).expect("a result").map(|found| found.of(0).len());
        assert_eq!(without, Some(0));
        assert!(extractor.read(b"no JSON").is_err());
    }

    #[test]
    fn long_values_are_cut() {
        let mut extractor = extractor(&["/a"]);
        let long = "ü".repeat(MAX_VALUE_CHARS);
        for (data, expected) in [(long.clone(), &long), (format!("{long}x"), &long)] {
            let found = read(&mut extractor, &json!({"a": data}).to_string()).expect("JSON");
            assert_eq!(&found[0][0], expected);
        }
    }

    /// The values as a tree gives them.
    fn plain(value: &Value, tokens: &[&str], found: &mut BTreeSet<String>) {
        match (value, tokens) {
            (Value::Array(items), [token, rest @ ..]) if token.parse::<usize>().is_ok() => {
                let item = token.parse().ok().and_then(|index: usize| items.get(index));
                item.into_iter().for_each(|item| plain(item, rest, found));
            }
            (Value::Array(items), _) => items.iter().for_each(|item| plain(item, tokens, found)),
            (Value::Object(members), [token, rest @ ..]) => {
                members.get(*token).into_iter().for_each(|member| plain(member, rest, found));
            }
            (Value::Object(_), []) | (_, [_, ..]) => {}
            (Value::String(text), []) => drop(found.insert(text.clone())),
            (other, []) => drop(found.insert(other.to_string())),
        }
    }

    fn document() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-3_i64..3).prop_map(Value::from),
            (-2.0..2.0_f64).prop_map(Value::from),
            "[a-cé\"]{0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[ab01]", inner, 0..4).prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn agrees_with_a_tree(document in document(), pointers in prop::collection::vec(prop::collection::vec("[ab01]", 1..4), 1..=MAX_POINTERS)) {
            let texts: Vec<String> = pointers.iter().map(|tokens| format!("/{}", tokens.join("/"))).collect();
            let mut extractor = extractor(&texts.iter().map(String::as_str).collect::<Vec<_>>());
            let found = read(&mut extractor, &document.to_string()).expect("JSON");
            for (tokens, values) in pointers.iter().zip(found) {
                let mut expected = BTreeSet::new();
                plain(&document, &tokens.iter().map(String::as_str).collect::<Vec<_>>(), &mut expected);
                prop_assert_eq!(values, expected.into_iter().collect::<Vec<_>>());
            }
        }
    }
}
