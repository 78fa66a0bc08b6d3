//! The example of an operation as a SOAP envelope: its fields are elements, in the order in which they are declared.

use askama::Template;
use docket_contract::operations::Operation;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// JSON that keeps the order of its members.
enum Tree {
    Leaf(String),
    Items(Vec<Tree>),
    Members(Vec<(String, Tree)>),
}

/// An element over lines.
#[derive(Template)]
#[template(path = "docs/element.xml", escape = "html")]
struct Element<'a> {
    name: &'a str,
    indent: String,
    text: Option<&'a str>,
    children: Vec<Element<'a>>,
}

#[derive(Template)]
#[template(path = "docs/envelope.xml", escape = "html")]
struct Envelope<'a> {
    body: Element<'a>,
}

/// The envelope of the request that the example is.
pub(super) fn envelope<O: Operation>() -> String {
    // An example is JSON: the table's test reads it back.
    let json = serde_json::to_string(&O::example().0).unwrap_or_default();
    let tree = serde_json::from_str(&json).unwrap_or(Tree::Members(Vec::new()));
    let mut elements = Vec::new();
    push(&mut elements, O::NAME, &tree, 4);
    let envelope = elements.pop().map(|body| Envelope { body }.render().unwrap_or_default()).unwrap_or_default();
    // Numbers of characters are right, too, but a quote in a text needs none.
    envelope
        .replace("&#34;", "\"")
        .replace("&#39;", "'")
        .replace("&#60;", "&lt;")
        .replace("&#62;", "&gt;")
        .replace("&#38;", "&amp;")
}

fn push<'a>(elements: &mut Vec<Element<'a>>, name: &'a str, tree: &'a Tree, depth: usize) {
    let element = |text, children| Element { name, indent: " ".repeat(depth), text, children };
    match tree {
        Tree::Leaf(text) => elements.push(element(Some(text), Vec::new())),
        Tree::Items(items) => items.iter().for_each(|item| push(elements, name, item, depth)),
        Tree::Members(members) => {
            let mut children = Vec::new();
            members.iter().for_each(|(name, tree)| push(&mut children, name, tree, depth + 2));
            elements.push(element(None, children));
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl<'de> Visitor<'de> for Read {
            type Value = Tree;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
                Ok(Tree::Leaf(value.to_string()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
                Ok(Tree::Leaf(value.to_string()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
                Ok(Tree::Leaf(value.to_string()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
                Ok(Tree::Leaf(value.to_string()))
            }

            fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
                Ok(Tree::Leaf(value.to_owned()))
            }

            fn visit_unit<E>(self) -> Result<Tree, E> {
                Ok(Tree::Items(Vec::new()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Tree::Items(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Tree::Members(members))
            }
        }

        deserializer.deserialize_any(Read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_elements_in_their_order() {
        let tree: Tree = serde_json::from_str(r#"{"b": ["x<y", "\""], "a": {"n": 1, "e": []}}"#).expect("JSON");
        let mut elements = Vec::new();
        push(&mut elements, "op", &tree, 0);
        let lines: Vec<_> = elements[0].render().expect("renders").lines().map(str::to_owned).collect();
        assert_eq!(lines, ["<op>", "  <b>x&#60;y</b>", "  <b>&#34;</b>", "  <a>", "    <n>1</n>", "  </a>", "</op>"]);
    }
}
