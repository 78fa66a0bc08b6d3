//! `docket call`: calls any operation of the table by its name. It knows none by itself: names, fields and limits come
//! from the table, so an operation that is added there can be called here.

mod field;
mod operation;
mod show;

use crate::failure::Failure;
use crate::output::tell;
use bytes::Bytes;
use clap::ValueEnum;
use docket_client::{Client, ClientError, Request, RetryPolicy};
use futures_util::TryStreamExt;
use operation::{Given, Row, nearest, rows};
use serde_json::Value;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Somebody waits for the answer.
const RETRY: RetryPolicy = RetryPolicy { retries: 5, budget: Duration::from_secs(30) };

/// Call any operation of the API; alone it lists them.
///
/// `docket call OPERATION --help` shows the fields of an operation with their limits. Fields are given as NAME=VALUE;
/// one that takes many is given many times, or once as a JSON array. Exit code 0 when the operation succeeded, 2 for
/// wrong arguments, 3 when the server refused the request, 4 when it can't be reached or can't at present, 1 otherwise.
#[derive(Clone, Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub struct Args {
    /// The operation, such as listJobs
    operation: Option<String>,
    /// A field of its input
    #[arg(value_name = "NAME=VALUE")]
    fields: Vec<String>,
    /// A file with a JSON object of fields; - for standard input. NAME=VALUE goes before it
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// The file that an operation such as putAttachment takes; - for standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The media type of that file
    #[arg(long, value_name = "TYPE", requires = "file", default_value = "application/octet-stream")]
    media_type: String,
    /// The server
    #[arg(long, env = "DOCKET_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// A key, where the server asks for one [default: DOCKET_TOKEN, which running jobs find]
    #[arg(long, env = "DOCKET_KEY", hide_env_values = true)]
    key: Option<String>,
    /// How to print a JSON answer
    #[arg(long, value_enum, default_value_t = Output::Json)]
    output: Output,
    /// Follow the pages to the last one and print every item as a line of JSON
    #[arg(long)]
    all: bool,
    /// Print help, of the operation if one is named
    #[arg(short, long)]
    help: bool,
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// As the server sent it.
    Json,
    /// For people.
    Table,
}

/// Calls the operation.
///
/// # Errors
/// See [`Args`].
pub async fn run(args: Args) -> Result<ExitCode, Failure> {
    let rows = rows();
    let Some(name) = &args.operation else {
        if args.help {
            show::options::<Args>();
        }
        show::operations(&rows);
        return Ok(ExitCode::SUCCESS);
    };
    let Some(row) = rows.iter().find(|row| row.name == name) else {
        return Err(unknown("operation", name, rows.iter().map(|row| row.name), "docket call lists them"));
    };
    if args.help {
        show::operation(row);
        return Ok(ExitCode::SUCCESS);
    }
    if args.all && !row.paged {
        return Err(Failure::usage(format!("{} does not answer in pages, so --all says nothing", row.name)));
    }
    if args.all && args.output == Output::Table {
        return Err(Failure::usage("--all prints lines of JSON, not a table"));
    }
    if row.takes_file != args.file.is_some() {
        return Err(Failure::usage(match row.takes_file {
            true => format!("{} needs a file: --file FILE", row.name),
            false => format!("{} takes no file", row.name),
        }));
    }
    let given = given(row, &args.fields, args.input.as_deref())?;
    let file = args.file.as_deref().map(read_file).transpose()?;
    let key = args.key.clone().or_else(|| std::env::var("DOCKET_TOKEN").ok()).filter(|key| !key.is_empty());
    let client = Client::new(&args.url, key.as_deref())?.with_retry(RETRY);
    if args.all {
        all(row, &client, given).await
    } else {
        let mut request = (row.request)(given)?;
        if let Some(file) = file {
            request = request.with_file(args.media_type.clone(), file);
        }
        once(row, &client, &request, args.output).await
    }
}

/// The fields of the file, and over them those of the command line.
fn given(row: &Row, arguments: &[String], input: Option<&Path>) -> Result<Given, Failure> {
    let mut given = input.map(read_input).transpose()?.unwrap_or_default();
    let field = |name: &str| {
        let names = row.fields.iter().map(|field| field.name.as_str());
        let hint = format!("docket call {} --help shows them", row.name);
        row.fields.iter().find(|field| field.name == name).ok_or_else(|| unknown("field", name, names, &hint))
    };
    given.keys().try_for_each(|name| field(name).map(drop))?;
    let mut named = Given::new();
    for argument in arguments {
        let (name, text) = argument
            .split_once('=')
            .ok_or_else(|| Failure::usage(format!("fields are given as NAME=VALUE, {argument:?} has no =")))?;
        field(name)?.give(text, &mut named)?;
    }
    given.extend(named);
    let missing = row.fields.iter().find(|field| field.required && given.get(&field.name).is_none_or(Value::is_null));
    match missing {
        None => Ok(given),
        Some(field) => Err(Failure::usage(format!("{} needs the field {}", row.name, field.name))),
    }
}

fn read_input(path: &Path) -> Result<Given, Failure> {
    let wrong = |error: &dyn std::fmt::Display| Failure::usage(format!("input {}: {error}", path.display()));
    let text =
        if path == Path::new("-") { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(path) };
    serde_json::from_str(&text.map_err(|error| wrong(&error))?).map_err(|error| wrong(&error))
}

fn read_file(path: &Path) -> Result<Bytes, Failure> {
    let mut file = Vec::new();
    let read = match path == Path::new("-") {
        true => std::io::stdin().read_to_end(&mut file).map(drop),
        false => std::fs::File::open(path).and_then(|mut opened| opened.read_to_end(&mut file).map(drop)),
    };
    read.map_err(|error| Failure::usage(format!("file {}: {error}", path.display())))?;
    Ok(file.into())
}

fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>, hint: &str) -> Failure {
    match nearest(name, known) {
        Some(near) => Failure::usage(format!("there is no {what} {name:?}; did you mean {near}?")),
        None => Failure::usage(format!("there is no {what} {name:?}; {hint}")),
    }
}

async fn once(row: &Row, client: &Client, request: &Request, output: Output) -> Result<ExitCode, Failure> {
    let mut answer = client.open_request(request).await.map_err(refused)?;
    if let Some(ignored) = answer.headers.get("docket-ignored-fields").and_then(|names| names.to_str().ok()) {
        tell!("docket: the server ignored {ignored}");
    }
    let mut stdout = std::io::stdout().lock();
    if !row.json {
        // However long it is: it is not held.
        while let Some(part) = answer.next().await.map_err(refused)? {
            stdout.write_all(&part)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let parts: Vec<_> = answer.into_stream().try_collect().await.map_err(refused)?;
    match output {
        Output::Json => show::json(&mut stdout, &parts.concat())?,
        Output::Table => show::table(&parts.concat())?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn all(row: &Row, client: &Client, given: Given) -> Result<ExitCode, Failure> {
    let mut pages = (row.pages)(client, given)?;
    let mut stdout = std::io::BufWriter::new(std::io::stdout().lock());
    while let Some(page) = pages.try_next().await.map_err(refused)? {
        show::items(&mut stdout, &page)?;
        // Whoever reads gets each page as it comes.
        stdout.flush()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// An error of the server with the fields at fault on lines of their own, and its exit code.
fn refused(error: ClientError) -> Failure {
    if let ClientError::Problem { errors, .. } = &error {
        for field in errors.iter().skip(1) {
            tell!("docket: {} ({})", field.detail, field.code);
        }
    }
    Failure::of_call(error)
}
