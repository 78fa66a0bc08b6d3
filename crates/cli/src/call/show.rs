//! What `docket call` prints: the operations, the fields of one, and answers.

use super::operation::Row;
use crate::failure::Failure;
use crate::output::{self, cut, say};
use comfy_table::ColumnConstraint;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::io::{IsTerminal, Write};

/// Most columns of a table of items; further fields are left out.
const COLUMNS: usize = 4;
/// Longest text in a cell.
const CELL: usize = 200;

/// The options of the command, as clap prints them.
pub fn options<A: clap::Args>() {
    let command = A::augment_args(clap::Command::new("docket call"));
    say!("{}", command.clone().render_long_help());
}

/// The table, one row an operation.
pub fn operations(rows: &[Row]) {
    let mut table = output::text(["operation", "what", "role", "call"]);
    for row in rows {
        table.add_row([row.name, row.title, row.role, &row.road]);
    }
    // Names are there to be copied: they are never broken.
    if let Some(names) = table.column_mut(0) {
        names.set_constraint(ColumnConstraint::ContentWidth);
    }
    say!("{table}");
}

/// One operation: what it does, its fields and their limits, and a call of it.
pub fn operation(row: &Row) {
    say!("{}: {}\n{}, role {}\n\n{}", row.name, row.title, row.road, row.role, row.description);
    if !row.fields.is_empty() {
        say!("\nFields:");
    }
    let width = row.fields.iter().map(|field| field.name.len()).max().unwrap_or(0);
    for field in &row.fields {
        let need = if field.required { "required, " } else { "" };
        let limits = if field.limits.is_empty() { String::new() } else { format!(", {}", field.limits) };
        say!("  {:width$}  {need}{}{limits}", field.name, field.takes());
        say!("  {:width$}    {}", "", field.description);
    }
    if row.takes_file {
        say!("\nTakes a file: --file FILE, with --media-type TYPE.");
    }
    if row.paged {
        say!("\nAnswers a page; --all follows the pages to the last one.");
    }
    say!("\nErrors: {}", row.errors.join(", "));
    say!("\nFor example:\n  {}", example(row));
}

fn example(row: &Row) -> String {
    let mut line = format!("docket call {}", row.name);
    for (name, value) in &row.example {
        let listed = row.fields.iter().any(|field| field.name == *name && field.list);
        let values = match value {
            Value::Array(values) if listed => values.iter().collect(),
            value => vec![value],
        };
        for value in values {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            line.push_str(&format!(" {name}={}", quoted(&text)));
        }
    }
    if row.takes_file {
        line.push_str(" --file FILE");
    }
    line
}

/// A text as a POSIX shell reads it.
fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@+,".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// A JSON answer: indented for people, as it came for programs.
pub fn json(output: &mut impl Write, body: &[u8]) -> Result<(), Failure> {
    if std::io::stdout().is_terminal()
        && let Ok(value) = serde_json::from_slice::<Value>(body)
    {
        serde_json::to_writer_pretty(&mut *output, &value).map_err(Failure::other)?;
    } else {
        output.write_all(body)?;
    }
    output.write_all(b"\n")?;
    Ok(())
}

/// The items of a page, one a line, as they came.
pub fn items(output: &mut impl Write, page: &[u8]) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Values<'a> {
        #[serde(borrow)]
        values: Vec<&'a RawValue>,
    }
    let page: Values<'_> = serde_json::from_slice(page).map_err(|error| Failure::other(format!("a page: {error}")))?;
    for item in page.values {
        output.write_all(item.get().as_bytes())?;
        output.write_all(b"\n")?;
    }
    Ok(())
}

/// An answer as a table: the items of a list, or the fields of one thing.
pub fn table(body: &[u8]) -> Result<(), Failure> {
    let answer: Map<String, Value> = serde_json::from_slice(body).map_err(Failure::other)?;
    let Some(values) = answer.get("values").and_then(Value::as_array) else {
        let mut table = output::text(["field", "value"]);
        for (name, value) in &answer {
            table.add_row([name.clone(), cell(value)]);
        }
        say!("{table}");
        return Ok(());
    };
    let columns = columns(values);
    let mut table = output::text(if columns.is_empty() { vec!["values"] } else { columns.clone() });
    for value in values {
        table.add_row(match value.as_object() {
            Some(item) => columns.iter().map(|name| item.get(*name).map(cell).unwrap_or_default()).collect(),
            None => vec![cell(value)],
        });
    }
    say!("{table}");
    for (name, value) in answer.iter().filter(|(name, _)| *name != "values") {
        say!("{name}: {}", cell(value));
    }
    Ok(())
}

/// The fields that most items have and that fit into a cell; ids and statuses first.
fn columns(values: &[Value]) -> Vec<&str> {
    let mut counted: Vec<(&str, usize)> = Vec::new();
    for (name, value) in values.iter().filter_map(Value::as_object).flatten() {
        if value.is_object() || value.is_array() || value.as_str().is_some_and(|text| text.len() > CELL) {
            continue;
        }
        match counted.iter_mut().find(|(known, _)| known == name) {
            Some((_, count)) => *count += 1,
            None => counted.push((name, 1)),
        }
    }
    let rank = |name: &str| ["id", "status", "name", "externalId"].iter().position(|first| *first == name).unwrap_or(9);
    counted.sort_by_key(|(name, count)| (rank(name), usize::MAX - count));
    counted.into_iter().take(COLUMNS).map(|(name, _)| name).collect()
}

fn cell(value: &Value) -> String {
    cut(&value.as_str().map_or_else(|| value.to_string(), str::to_owned), CELL)
}
