//! JSON pointers (RFC 6901): how they are read, and what of them goes on at a member or an item.

/// Longest pointer, in characters.
const MAX_CHARS: usize = 255;
/// Most members that a pointer names, one within the other.
const MAX_TOKENS: usize = 32;

/// A pointer to a member of a JSON document, not to the document itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer {
    tokens: Vec<Token>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Token {
    name: String,
    /// What it is in an array, where it is an index.
    index: Option<usize>,
}

/// How much of a pointer a place in a document has fulfilled: a number of tokens.
pub type Reached = u8;

impl Pointer {
    /// Reads a pointer; else says what is wrong with it, as a code and a text that begins behind "pointer".
    pub fn parse(text: &str) -> Result<Self, (&'static str, String)> {
        let length = text.chars().count();
        if length > MAX_CHARS {
            return Err(("too_long", format!("must have at most {MAX_CHARS} characters, has {length}")));
        }
        let Some(rest) = text.strip_prefix('/') else {
            return Err(("invalid_format", "must begin with /, as in /dataDefects/rule".to_owned()));
        };
        let tokens: Vec<Token> = rest
            .split('/')
            .map(token)
            .collect::<Option<_>>()
            .ok_or_else(|| ("invalid_format", "must write ~ as ~0 and / in a name as ~1 (RFC 6901)".to_owned()))?;
        if tokens.len() > MAX_TOKENS {
            let detail = format!("must name at most {MAX_TOKENS} members, names {}", tokens.len());
            return Err(("too_long", detail));
        }
        Ok(Self { tokens })
    }

    /// Whether a place that has reached so much is what the pointer names.
    pub fn is_met(&self, reached: Reached) -> bool {
        usize::from(reached) == self.tokens.len()
    }

    /// What a member of an object has reached that has reached so much; none if the pointer does not go there.
    pub fn member(&self, reached: Reached, name: &str) -> Option<Reached> {
        let token = self.tokens.get(usize::from(reached))?;
        (token.name == name).then_some(reached + 1)
    }

    /// The same for an item of an array. Unless the pointer names an index it goes on in each item, and so does one that is
    /// met by the array.
    pub fn item(&self, reached: Reached, index: usize) -> Option<Reached> {
        match self.tokens.get(usize::from(reached)).and_then(|token| token.index) {
            Some(wanted) => (wanted == index).then_some(reached + 1),
            None => Some(reached),
        }
    }
}

fn token(text: &str) -> Option<Token> {
    let mut name = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        name.push(match char {
            '~' => match chars.next() {
                Some('0') => '~',
                Some('1') => '/',
                _ => return None,
            },
            char => char,
        });
    }
    let is_index = text == "0" || (!text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit()));
    let index = if is_index { text.parse().ok() } else { None };
    Some(Token { name, index })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unescaped_and_indexes_known() {
        let pointer = Pointer::parse("/a~1b/~01/0/00//é").expect("a pointer");
        let names: Vec<&str> = pointer.tokens.iter().map(|token| token.name.as_str()).collect();
        assert_eq!(names, ["a/b", "~1", "0", "00", "", "é"]);
        let indexes: Vec<Option<usize>> = pointer.tokens.iter().map(|token| token.index).collect();
        assert_eq!(indexes, [None, None, Some(0), None, None, None]);
    }

    #[test]
    fn wrong_ones_say_why() {
        for (text, code) in [
            ("", "invalid_format"),
            ("a", "invalid_format"),
            ("#/a", "invalid_format"),
            ("/a~", "invalid_format"),
            ("/~2", "invalid_format"),
            (&"/a".repeat(33), "too_long"),
            (&format!("/{}", "x".repeat(255)), "too_long"),
        ] {
            assert_eq!(Pointer::parse(text).map_err(|(code, _)| code), Err(code), "{text}");
        }
        assert!(Pointer::parse(&format!("/{}", "ü".repeat(254))).is_ok());
    }

    #[test]
    fn arrays_are_passed_through_unless_an_index_is_named() {
        let pointer = Pointer::parse("/a/1/b").expect("a pointer");
        assert_eq!((pointer.member(0, "a"), pointer.member(0, "b")), (Some(1), None));
        assert_eq!((pointer.item(1, 1), pointer.item(1, 0), pointer.member(1, "1")), (Some(2), None, Some(2)));
        assert_eq!((pointer.item(2, 7), pointer.member(2, "b")), (Some(2), Some(3)));
        assert!(pointer.is_met(3) && !pointer.is_met(2));
        assert_eq!((pointer.item(3, 7), pointer.member(3, "x")), (Some(3), None));
    }
}
