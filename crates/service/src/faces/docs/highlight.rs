//! Colours for code: comments, strings, numbers and words. One small reader for every language, made for samples of
//! our own, not for any text: what it does not understand stays plain.

use askama::Template;

/// A piece of code and its CSS class; empty for plain text.
pub(super) struct Token<'a> {
    class: &'static str,
    text: &'a str,
}

/// Code as HTML, with a button that copies it.
#[derive(Template)]
#[template(path = "docs/code.html")]
pub(super) struct Code<'a> {
    label: &'a str,
    tokens: Vec<Token<'a>>,
}

impl<'a> Code<'a> {
    /// `label` says what it is, for those who do not see it; `language` is the name at a Markdown fence.
    pub(super) fn new(label: &'a str, language: &str, code: &'a str) -> Self {
        Self { label, tokens: tokens(language, code.trim_end()) }
    }
}

struct Language {
    comment: &'static str,
    words: &'static [&'static str],
    shell: bool,
}

fn language(name: &str) -> Option<Language> {
    let (comment, words): (_, &'static [&'static str]) = match name {
        "sh" | "bash" | "curl" => ("#", &["curl", "if", "then", "fi", "for", "do", "done", "export"]),
        "python" => (
            "#",
            &[
                "import", "from", "with", "as", "if", "else", "for", "in", "try", "except", "True", "False", "None",
                "def",
            ],
        ),
        "javascript" | "js" | "typescript" => (
            "//",
            &[
                "const", "let", "await", "async", "if", "else", "for", "of", "new", "import", "from", "true", "false",
                "null",
            ],
        ),
        "java" => (
            "//",
            &[
                "import", "public", "static", "void", "class", "var", "new", "if", "else", "throws", "true", "false",
                "null",
            ],
        ),
        "kotlin" => ("//", &["import", "fun", "val", "var", "if", "else", "true", "false", "null"]),
        "rust" => (
            "//",
            &["use", "fn", "let", "mut", "if", "else", "for", "in", "match", "pub", "impl", "true", "false", "dyn"],
        ),
        "json" => ("\0", &["true", "false", "null"]),
        "toml" | "yaml" => ("#", &["true", "false"]),
        _ => return None,
    };
    Some(Language { comment, words, shell: matches!(name, "sh" | "bash" | "curl") })
}

fn tokens<'a>(name: &str, code: &'a str) -> Vec<Token<'a>> {
    let Some(language) = language(name) else {
        return vec![Token { class: "", text: code }];
    };
    let mut tokens: Vec<Token<'a>> = Vec::new();
    let (mut rest, mut plain) = (code, 0);
    let mut after_word = false;
    while !rest.is_empty() {
        let at = code.len() - rest.len();
        let (class, length) = token(&language, rest, after_word);
        after_word = rest[..length].ends_with(|char: char| char.is_alphanumeric() || char == '_');
        if !class.is_empty() {
            if plain < at {
                tokens.push(Token { class: "", text: &code[plain..at] });
            }
            tokens.push(Token { class, text: &rest[..length] });
            plain = at + length;
        }
        rest = &rest[length..];
    }
    if plain < code.len() {
        tokens.push(Token { class: "", text: &code[plain..] });
    }
    tokens
}

/// The class and length in bytes of the token that `rest`, which is not empty, begins with.
fn token(language: &Language, rest: &str, after_word: bool) -> (&'static str, usize) {
    let first = rest.chars().next().unwrap_or_default();
    if rest.starts_with(language.comment) && !(after_word && language.comment == "#") {
        return ("c", rest.find('\n').unwrap_or(rest.len()));
    }
    if let Some(block) = rest.strip_prefix("\"\"\"") {
        return ("s", block.find("\"\"\"").map_or(rest.len(), |end| end + 6));
    }
    if first == '"' || first == '`' || (first == '\'' && !after_word) {
        return string(rest, first);
    }
    let word = |char: char| char.is_alphanumeric() || char == '_';
    if word(first) {
        let length = rest.find(|char| !word(char)).unwrap_or(rest.len());
        let class = match &rest[..length] {
            _ if after_word => "",
            // In a shell a digit is mostly part of an address or a name.
            number if number.starts_with(|char: char| char.is_ascii_digit()) && !language.shell => "n",
            text if language.words.contains(&text) => "k",
            _ => "",
        };
        return (class, length);
    }
    ("", first.len_utf8())
}

fn string(rest: &str, quote: char) -> (&'static str, usize) {
    let mut escaped = false;
    for (at, char) in rest.char_indices().skip(1) {
        match char {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if char == quote => return ("s", at + char.len_utf8()),
            _ => {}
        }
    }
    // A quote that stands alone, as in a sentence.
    ("", quote.len_utf8())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_and_strings_and_comments_are_seen() {
        for (name, code) in [
            ("python", "import os  # don't\nurl = os.environ.get(\"DOCKET_URL\", 'x\\'y')\n"),
            ("sh", "curl \"$url/a#b\" --data @- <<'JSON'\n{\"a\": 12}\nJSON"),
            ("java", "var body = \"\"\"\n  {\"a\": 1}\n  \"\"\";"),
            ("rust", "fn main() -> Result<(), Box<dyn Error + 'static>> {}"),
            ("unknown", "<b>\"x\"</b> ü"),
        ] {
            let text: String = tokens(name, code).iter().map(|token| token.text).collect();
            assert_eq!(text, code);
        }
        let classes: Vec<_> = tokens("python", "import os # \"no\"").iter().map(|t| (t.class, t.text)).collect();
        assert_eq!(classes, [("k", "import"), ("", " os "), ("c", "# \"no\"")]);
    }

    #[test]
    fn code_is_escaped() {
        let html = Code::new("A", "js", "const a = \"<b>\" && 1;").render().expect("renders");
        assert!(html.contains("&#60;b&#62;") && html.contains("&#38;&#38;") && !html.contains("<b>"), "{html}");
    }
}
