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
        code: |example, url| {
            render(&Curl { p: parts(example, url, &SHELL, |v| format!("${}", v.snake), Query::InPath, "  ", "") })
        },
    },
    Language {
        name: "python",
        label: "Python",
        file: |name| format!("{name}.py"),
        code: |example, url| {
            render(&Python {
                p: parts(
                    example,
                    url,
                    &PYTHON,
                    |v| format!("{{urllib.parse.quote({}, safe='')}}", v.snake),
                    Query::Apart,
                    "    ",
                    "",
                ),
            })
        },
    },
    Language {
        name: "javascript",
        label: "JavaScript",
        file: |name| format!("{name}.mjs"),
        code: |example, url| {
            render(&JavaScript {
                p: parts(
                    example,
                    url,
                    &JAVASCRIPT,
                    |v| format!("${{encodeURIComponent({})}}", v.parameter),
                    Query::Apart,
                    "  ",
                    "",
                ),
            })
        },
    },
    Language {
        name: "java",
        label: "Java",
        file: |name| format!("{}.java", class(name)),
        // A text that ends with a variable has an empty text behind it.
        code: |example, url| {
            render(&Java {
                p: parts(
                    example,
                    url,
                    &JAVA_BLOCK,
                    |v| format!("\" + {} + \"", v.parameter),
                    Query::InPath,
                    "  ",
                    "                ",
                ),
            })
            .replace(" + \"\")", ")")
        },
    },
    Language {
        name: "kotlin",
        label: "Kotlin",
        file: |name| format!("{}.kt", class(name)),
        code: |example, url| {
            render(&Kotlin {
                p: parts(
                    example,
                    url,
                    &KOTLIN_BLOCK,
                    |v| format!("${{{}}}", v.parameter),
                    Query::InPath,
                    "  ",
                    "        ",
                ),
            })
        },
    },
    Language {
        name: "rust",
        label: "Rust",
        file: |name| format!("{}.rs", super::snake(name)),
        code: |example, url| {
            render(&Rust {
                p: parts(example, url, &RUST, |v| format!("{{{}}}", v.snake), Query::Apart, "    ", "    "),
            })
        },
    },
];

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

/// Where a language puts the query.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Query {
    /// Behind the path, encoded here.
    InPath,
    /// Given as pairs to a library that encodes them.
    Apart,
}

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

/// `variable` writes a variable within the text of a path.
fn parts<'a>(
    example: &'a Example,
    url: &str,
    dialect: &Dialect,
    variable: fn(&Variable) -> String,
    query: Query,
    step: &str,
    indent: &str,
) -> Parts<'a> {
    let mut target = example.path.to_owned();
    for known in &example.variables {
        target = target.replace(&format!("{{{}}}", known.parameter), &variable(known));
    }
    let mut pairs = Vec::new();
    for (at, (name, value)) in example.query.iter().enumerate() {
        let known = example.variable(value);
        if query == Query::Apart {
            let value = known.map_or_else(|| (dialect.text)(value), dialect.variable);
            pairs.push(((dialect.text)(name), value));
            continue;
        }
        let encoded = |text: &str| utf8_percent_encode(text, UNRESERVED).to_string();
        target.push(if at == 0 { '?' } else { '&' });
        target.push_str(&encoded(name));
        target.push('=');
        target.push_str(&known.map_or_else(|| encoded(value), variable));
    }
    let body = example.body.as_ref().map(|body| literal(body, example, dialect, step, indent));
    let whole = example.body.as_ref().map(ToString::to_string).unwrap_or_default();
    let names = |variable: &&Variable| whole.contains(&quoted(&variable.example));
    let method = example.method.name();
    Parts {
        example,
        url: quoted(url),
        class: class(example.name),
        method,
        call: method.to_ascii_lowercase(),
        target,
        pairs,
        body,
        in_body: example.variables.iter().filter(names).collect(),
    }
}
