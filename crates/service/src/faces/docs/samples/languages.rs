//! The languages: a template each, and what the template asks for.

use super::literal::{Dialect, JAVA_BLOCK, JAVASCRIPT, KOTLIN_BLOCK, PYTHON, RUST, SHELL, json as quoted, literal};
use super::{Example, Variable};
use askama::Template;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// A language that samples are written in.
pub struct Language {
    /// Its name in file names.
    pub name: &'static str,
    /// Its name as it is written.
    pub label: &'static str,
    pub(super) file: fn(&str) -> String,
    pub(super) code: fn(&Example, &str) -> String,
}

/// Every language, in the order of the documentation.
pub const LANGUAGES: &[Language] = &[
    Language {
        name: "curl",
        label: "curl",
        file: |name| format!("{name}.sh"),
        code: |example, url| render(&Curl { p: Parts::new(example, url, &IN_SHELL) }),
    },
    Language {
        name: "python",
        label: "Python",
        file: |name| format!("{name}.py"),
        code: |example, url| render(&Python { p: Parts::new(example, url, &IN_PYTHON) }),
    },
    Language {
        name: "javascript",
        label: "JavaScript",
        file: |name| format!("{name}.mjs"),
        code: |example, url| render(&JavaScript { p: Parts::new(example, url, &IN_JAVASCRIPT) }),
    },
    Language {
        name: "java",
        label: "Java",
        file: |name| format!("{}.java", class(name)),
        // A path that ends with a variable has an empty text behind it.
        code: |example, url| render(&Java { p: Parts::new(example, url, &IN_JAVA) }).replace(" + \"\")", ")"),
    },
    Language {
        name: "kotlin",
        label: "Kotlin",
        file: |name| format!("{}.kt", class(name)),
        code: |example, url| render(&Kotlin { p: Parts::new(example, url, &IN_KOTLIN) }),
    },
    Language {
        name: "rust",
        label: "Rust",
        file: |name| format!("{}.rs", super::snake(name)),
        code: |example, url| render(&Rust { p: Parts::new(example, url, &IN_RUST) }),
    },
];

/// How a language writes a request.
struct Writing {
    body: &'static Dialect,
    /// One step of the body's indentation, and that of its first line.
    step: &'static str,
    indent: &'static str,
    /// A variable within the text of a path.
    in_path: fn(&Variable) -> String,
    /// Whether the query stands in the path, encoded here, or is given as pairs to what encodes it.
    query_in_path: fn(&Example) -> bool,
    /// A name or a value of such a pair.
    word: fn(&str) -> String,
    /// A variable in such a pair.
    variable: fn(&Variable) -> String,
}

const IN_SHELL: Writing = Writing {
    body: &SHELL,
    step: "  ",
    indent: "",
    in_path: |v| format!("${}", v.snake),
    // Curl makes a query of its data, which only a request without a body has to spare.
    query_in_path: |example| example.body.is_some(),
    word: within_shell_quotes,
    variable: |v| format!("${}", v.snake),
};

const IN_PYTHON: Writing = Writing {
    body: &PYTHON,
    step: "    ",
    indent: "",
    in_path: |v| format!("{{urllib.parse.quote({}, safe='')}}", v.snake),
    query_in_path: |_| false,
    word: quoted,
    variable: |v| v.snake.clone(),
};

const IN_JAVASCRIPT: Writing = Writing {
    body: &JAVASCRIPT,
    step: "  ",
    indent: "",
    in_path: |v| format!("${{encodeURIComponent({})}}", v.parameter),
    query_in_path: |_| false,
    word: quoted,
    variable: |v| v.parameter.clone(),
};

const IN_JAVA: Writing = Writing {
    body: &JAVA_BLOCK,
    step: "  ",
    indent: "                ",
    in_path: |v| format!("\" + {} + \"", v.parameter),
    query_in_path: |_| true,
    ..IN_JAVASCRIPT
};

const IN_KOTLIN: Writing = Writing {
    body: &KOTLIN_BLOCK,
    step: "  ",
    indent: "        ",
    in_path: |v| format!("${{{}}}", v.parameter),
    query_in_path: |_| true,
    ..IN_JAVASCRIPT
};

const IN_RUST: Writing = Writing {
    body: &RUST,
    step: "    ",
    indent: "    ",
    in_path: |v| format!("{{{}}}", v.snake),
    query_in_path: |_| false,
    word: RUST.text,
    variable: |v| v.snake.clone(),
};

/// Rendering into a String can't fail.
fn render(template: &impl Template) -> String {
    let mut code = template.render().unwrap_or_default();
    code.truncate(code.trim_end().len());
    code.push('\n');
    code
}

#[derive(Template)]
#[template(path = "samples/curl.sh", escape = "none")]
struct Curl<'a> {
    p: Parts<'a>,
}

#[derive(Template)]
#[template(path = "samples/python.py", escape = "none")]
struct Python<'a> {
    p: Parts<'a>,
}

#[derive(Template)]
#[template(path = "samples/javascript.mjs", escape = "none")]
struct JavaScript<'a> {
    p: Parts<'a>,
}

#[derive(Template)]
#[template(path = "samples/java.java", escape = "none")]
struct Java<'a> {
    p: Parts<'a>,
}

#[derive(Template)]
#[template(path = "samples/kotlin.kt", escape = "none")]
struct Kotlin<'a> {
    p: Parts<'a>,
}

#[derive(Template)]
#[template(path = "samples/rust.rs", escape = "none")]
struct Rust<'a> {
    p: Parts<'a>,
}

/// `startJob` as `StartJob`.
fn class(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + chars.as_str())
}

/// What may stand in a query as it is (RFC 3986, unreserved).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What the templates put together, each part as its language writes it.
struct Parts<'a> {
    example: &'a Example,
    /// The server's address, quoted.
    url: String,
    class: String,
    method: &'static str,
    /// The method as the name of a function.
    call: String,
    /// The path, and the query where it stands there.
    target: String,
    /// Names and values of the query where it is given apart.
    pairs: Vec<(String, String)>,
    body: Option<String>,
    /// The variables that the body names.
    in_body: Vec<&'a Variable>,
}

impl<'a> Parts<'a> {
    fn new(example: &'a Example, url: &str, writing: &Writing) -> Self {
        let mut target = example.path.to_owned();
        for known in &example.variables {
            target = target.replace(&format!("{{{}}}", known.parameter), &(writing.in_path)(known));
        }
        let mut pairs = Vec::new();
        for (at, (name, value)) in example.query.iter().enumerate() {
            let known = example.variable(value);
            if !(writing.query_in_path)(example) {
                let value = known.map_or_else(|| (writing.word)(value), writing.variable);
                pairs.push(((writing.word)(name), value));
                continue;
            }
            let encoded = |text: &str| utf8_percent_encode(text, UNRESERVED).to_string();
            target.push(if at == 0 { '?' } else { '&' });
            target.push_str(&encoded(name));
            target.push('=');
            target.push_str(&known.map_or_else(|| encoded(value), writing.in_path));
        }
        let body = example.body.as_ref();
        let whole = body.map(ToString::to_string).unwrap_or_default();
        let names = |variable: &&Variable| whole.contains(&quoted(&variable.example));
        let method = example.method.name();
        Self {
            example,
            url: quoted(url),
            class: class(example.name),
            method,
            call: method.to_ascii_lowercase(),
            target,
            pairs,
            body: body.map(|body| literal(body, example, writing.body, writing.step, writing.indent)),
            in_body: example.variables.iter().filter(names).collect(),
        }
    }
}

/// A text between the double quotes of the shell.
fn within_shell_quotes(text: &str) -> String {
    let mut out = String::new();
    for char in text.chars() {
        if matches!(char, '\\' | '"' | '$' | '`') {
            out.push('\\');
        }
        out.push(char);
    }
    out
}
