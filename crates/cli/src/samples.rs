//! `docket samples`: the programs that the documentation shows, as files, with a list of what each one needs.

use crate::failure::Failure;
use docket_service::faces::docs::samples::{DEFAULT_URL, Example, LANGUAGES, examples};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

/// What the Rust samples are built with.
const CARGO_TOML: &str = r#"[package]
name = "docket-samples"
version = "0.0.0"
edition = "2024"
publish = false

[dependencies]
serde_json = "1"
ureq = { version = "=3.5.2", default-features = false, features = ["json"] }

[profile.dev]
debug = false

[workspace]
"#;

/// What `docket samples` can be told.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The directory to write to; made when missing.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The server that the samples call when DOCKET_URL does not say another.
    #[arg(long, default_value = DEFAULT_URL)]
    url: String,
}

pub(crate) fn run(arguments: &Args) -> Result<ExitCode, Failure> {
    let examples = examples();
    write(&arguments.dir, &arguments.url, &examples)
        .map_err(|error| Failure::other(format!("dir {}: {error}", arguments.dir.display())))?;
    println!("{} operations in {} languages", examples.len(), LANGUAGES.len());
    Ok(ExitCode::SUCCESS)
}

fn write(dir: &Path, url: &str, examples: &[Example]) -> io::Result<()> {
    let mut list = Vec::new();
    for example in examples {
        let mut files = serde_json::Map::new();
        for sample in example.samples(url) {
            // Cargo finds the programs of a crate there.
            let folder = if sample.language == "rust" { "rust/src/bin" } else { sample.language };
            let file = Path::new(folder).join(&sample.file);
            fs::create_dir_all(dir.join(folder))?;
            fs::write(dir.join(&file), &sample.code)?;
            files.insert(sample.language.to_owned(), Value::from(file.to_string_lossy()));
        }
        list.push(entry(example, files.into()));
    }
    fs::write(dir.join("rust/Cargo.toml"), CARGO_TOML)?;
    fs::write(dir.join("samples.json"), format!("{:#}\n", Value::Array(list)))
}

/// What a program that runs the samples wants to know of one operation.
fn entry(example: &Example, files: Value) -> Value {
    let variables = example.variables.iter().map(|variable| {
        json!({"parameter": variable.parameter, "environment": variable.environment, "example": variable.example})
    });
    json!({
        "operation": example.name,
        "resource": example.resource.title(),
        "method": example.method.name(),
        "path": example.path,
        "variables": variables.collect::<Vec<_>>(),
        "body": example.body,
        "streams": example.streams,
        "errors": example.errors.iter().map(|code| code.name()).collect::<Vec<_>>(),
        "files": files,
    })
}
