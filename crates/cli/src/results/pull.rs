//! `docket results pull`: an export into a file, checked, and gone on with where it broke off.

use super::part::{Part, State};
use super::{Owner, Place};
use crate::bar;
use crate::failure::{Failure, UNAVAILABLE};
use crate::output::{count, figure, tell};
use docket_client::{Client, ClientError, Export};
use docket_contract::Operation;
use docket_contract::operations::{ExportFormat, ExportJobResults, ExportProcessingLog};
use indicatif::ProgressBar;
use memchr::memchr_iter;
use serde_json::{Map, Value};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// How often a file that makes sense only as a whole is begun again.
const ATTEMPTS: u32 = 3;

/// Write all results of a job or processing log to a file, as they are at one moment.
///
/// The file appears under its name when it is whole; until then it is FILE.part. Number of results and SHA-256 are checked.
/// NDJSON that breaks off goes on by itself, and after this command was ended with --resume, at the same moment; other formats
/// are begun again. To standard output whole lines of NDJSON are written; other formats must come at the first attempt.
///
/// Exit codes: 0 whole and checked; 2 wrong arguments; 3 the server refused it (4xx); 4 no connection or broken off: try again
/// with --resume; 1 otherwise.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    place: Place,
    /// The file; - for standard output
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// ndjson, csv or parquet [default: as the file's name ends, or ndjson]
    #[arg(long, value_parser = format_of)]
    format: Option<ExportFormat>,
    /// Only of this business partner; repeat for several
    #[arg(long, value_name = "ID")]
    business_partner: Vec<String>,
    /// Only with this external id; repeat for several
    #[arg(long, value_name = "ID")]
    external_id: Vec<String>,
    /// Only of this data source; of a log repeat for several
    #[arg(long, value_name = "ID")]
    data_source: Vec<String>,
    /// Only with this verdict: OK or FAILED
    #[arg(long, value_parser = ["OK", "FAILED"])]
    status: Option<String>,
    /// Only these members of the JSON in resultData, separated by commas
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    fields: Vec<String>,
    /// For CSV that goes into a spreadsheet: an apostrophe in front of what it would take for formulas
    #[arg(long)]
    escape_formulas: bool,
    /// Go on with FILE.part of a pull of the same results that was ended, if there is one
    #[arg(long)]
    resume: bool,
}

pub(super) fn format_of(name: &str) -> Result<ExportFormat, String> {
    let found = ExportFormat::ALL.into_iter().find(|format| format.name() == name);
    found.ok_or_else(|| "must be ndjson, csv or parquet".to_owned())
}

/// The format that a file's name tells.
pub(super) fn format_of_file(file: &Path) -> Option<ExportFormat> {
    let ending = file.extension()?.to_str()?.to_ascii_lowercase();
    ExportFormat::ALL.into_iter().find(|format| format.name() == ending)
}

pub(super) async fn run(args: Args) -> Result<ExitCode, Failure> {
    let owner = args.place.owner()?;
    let client = args.place.client()?;
    let pull = Pull::new(&args, owner, client)?;
    match owner {
        Owner::Job(_) => pull.run::<ExportJobResults>(&args).await,
        Owner::Log(_) => pull.run::<ExportProcessingLog>(&args).await,
    }
}

/// What is pulled.
struct Pull {
    client: Client,
    format: ExportFormat,
    /// The fields of the request.
    fields: Map<String, Value>,
    begun: Instant,
}

/// What came.
struct Came {
    bytes: u64,
    /// Results, where that is known.
    results: Option<u64>,
    checked: bool,
}

impl Pull {
    fn new(args: &Args, owner: Owner, client: Client) -> Result<Self, Failure> {
        let to_stdout = args.output == Path::new("-");
        let format = args.format.or_else(|| format_of_file(&args.output)).unwrap_or_default();
        if args.escape_formulas && format != ExportFormat::Csv {
            return Err(Failure::usage("--escape-formulas is for CSV"));
        }
        if args.resume && (format != ExportFormat::Ndjson || to_stdout) {
            return Err(Failure::usage("--resume is for NDJSON that goes to a file"));
        }
        let mut fields = Map::new();
        let mut give = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
        let status = match owner {
            Owner::Job(job) => {
                give("jobId", job.to_string().into());
                "jobResultStatus"
            }
            Owner::Log(log) => {
                give("processingLogId", log.name().into());
                "status"
            }
        };
        give("storageId", args.place.storage.clone().into());
        give("format", format.name().into());
        give("businessPartnerId", args.business_partner.clone().into());
        give("externalId", args.external_id.clone().into());
        give("includeResultDataFields", args.fields.clone().into());
        match (owner, &args.data_source[..]) {
            (Owner::Log(_), sources) => give("dataSourceId", sources.into()),
            (Owner::Job(_), []) => {}
            (Owner::Job(_), [source]) => give("dataSourceId", source.clone().into()),
            (Owner::Job(_), _) => {
                return Err(Failure::usage("--data-source: the results of a job are of one at a time"));
            }
        }
        if let Some(wanted) = &args.status {
            give(status, wanted.clone().into());
        }
        if args.escape_formulas {
            give("escapeFormulas", true.into());
        }
        Ok(Self { client, format, fields, begun: Instant::now() })
    }

    async fn run<O: Operation>(&self, args: &Args) -> Result<ExitCode, Failure> {
        let came =
            if args.output == Path::new("-") { self.to_stdout::<O>().await? } else { self.to_file::<O>(args).await? };
        let results = came.results.map_or_else(String::new, |results| format!("{} results, ", count(results)));
        let seconds = self.begun.elapsed().as_secs_f64();
        tell!("{results}{} in {} s: {}", bar::amount(came.bytes), figure(seconds), args.output.display());
        if !came.checked {
            tell!(
                "docket: the server's SHA-256 did not come (a proxy may have kept it): the file could not be compared"
            );
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn open<O: Operation>(&self, state: Option<&State>, last: Option<&str>) -> Result<Export<O>, Failure> {
        let mut fields = self.fields.clone();
        if let Some(state) = state {
            fields.insert("snapshot".to_owned(), state.snapshot.clone().into());
        }
        if let Some(last) = last {
            fields.insert("startAfter".to_owned(), last.into());
        }
        let input: O::Input = serde_json::from_value(Value::Object(fields))
            .map_err(|error| Failure::usage(format!("the request can't be made: {error}")))?;
        self.client.export::<O>(&input).await.map_err(Failure::of_call)
    }

    async fn to_stdout<O: Operation>(&self) -> Result<Came, Failure> {
        let mut export = self.open::<O>(None, None).await?;
        let mut stdout = std::io::stdout().lock();
        let mut bytes = 0;
        while let Some(part) = export.next().await.map_err(Failure::of_call)? {
            stdout.write_all(&part)?;
            bytes += part.len() as u64;
        }
        stdout.flush()?;
        let told = export.told();
        Ok(Came { bytes, results: told.count, checked: told.digest })
    }

    async fn to_file<O: Operation>(&self, args: &Args) -> Result<Came, Failure> {
        let mut part = Part::new(&args.output);
        if args.resume
            && let Some(state) = part.resume(&args.place.url, &self.fields)?
        {
            tell!("going on behind {} results", count(part.lines));
            let export = self.open::<O>(Some(&state), part.last_id.as_deref()).await?;
            return self.receive(&mut part, export, state.total).await;
        }
        let mut attempt = 1;
        loop {
            let export = self.open::<O>(None, None).await?;
            let total = export.total();
            let state = export.snapshot().map(|snapshot| State {
                url: args.place.url.clone(),
                request: self.fields.clone(),
                snapshot: snapshot.to_owned(),
                total,
            });
            part.begin(state.filter(|_| self.format == ExportFormat::Ndjson).as_ref())?;
            match self.receive(&mut part, export, total).await {
                Err(failure)
                    if failure.code == UNAVAILABLE && self.format != ExportFormat::Ndjson && attempt < ATTEMPTS =>
                {
                    tell!("docket: {failure}; beginning again");
                    attempt += 1;
                }
                done => return done,
            }
        }
    }

    /// Writes what comes to the file, and gives it its name.
    async fn receive<O: Operation>(
        &self,
        part: &mut Part,
        mut export: Export<O>,
        total: Option<u64>,
    ) -> Result<Came, Failure> {
        let is_lines = self.format == ExportFormat::Ndjson;
        let total = total.filter(|_| is_lines);
        let bar = total.map_or_else(|| bar::flow("pulling"), |total| bar::results("pulling", total));
        let done = copy(part, &mut export, is_lines, &bar).await;
        bar.finish_and_clear();
        done?;
        if let Some(total) = total.filter(|total| *total != part.lines) {
            let message = format!("{} results came in all, of {}", count(part.lines), count(total));
            return Err(Failure::other(message));
        }
        part.finish()?;
        let told = export.told();
        let results = if is_lines { Some(part.lines) } else { told.count };
        Ok(Came { bytes: part.bytes, results, checked: told.digest })
    }
}

async fn copy<O: Operation>(
    part: &mut Part,
    export: &mut Export<O>,
    is_lines: bool,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    let broken = |error: ClientError| Failure::of_call(error).context("the export broke off");
    bar.set_position(part.lines);
    while let Some(bytes) = export.next().await.map_err(broken)? {
        let lines = if is_lines { memchr_iter(b'\n', &bytes).count() as u64 } else { 0 };
        part.write(&bytes, lines)?;
        bar.inc(if is_lines && bar.length().is_some() { lines } else { bytes.len() as u64 });
    }
    Ok(())
}
