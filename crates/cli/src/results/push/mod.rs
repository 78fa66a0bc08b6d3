//! `docket results push`: many records from a file, in batches, several at once.
//!
//! One thread reads, a bounded number of requests is in flight, and their answers are taken in the order of the file: so the
//! report always says up to which line all is done. A record that comes twice is written twice with the effect of once: it is
//! known by its identity. And each batch carries an idempotency key, so that a repeated one is counted as it was first.

mod batch;
mod report;
mod send;
mod source;
mod table;

use super::pull::format_of_file;
use super::{Owner, Place};
use crate::bar;
use crate::failure::Failure;
use crate::output::{count, cut, figure, say, tell};
use batch::{Batch, Batches};
use docket_contract::operations::ExportFormat;
use docket_contract::result::MAX_INSERT;
use futures_util::{StreamExt, stream};
use indicatif::ProgressBar;
use report::{Counts, Report, Subject};
use send::{Sender, Written};
use source::Source;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;
use tokio::sync::mpsc;

/// Exit code when all was sent, but not every record was taken.
const SOME_REFUSED: u8 = 5;
/// Refused records that are shown where no report is written.
const SHOWN: u64 = 20;

/// Load results from NDJSON or CSV, such as docket results pull writes them, into a job or a processing log.
///
/// A record is known by its ids: loading it again changes nothing, so a push that was broken off may simply be repeated; with
/// --report and --resume it goes on behind the last line of which all was answered. Members that the server gives (id,
/// storageId, createdAt, modifiedAt, and jobId unless the target is a log) are left out. CSV has the columns of an export, in
/// any order; those that are not known are left out.
///
/// Exit codes: 0 every record was taken; 5 all was sent, but some records were refused (the report names their lines); 2 wrong
/// arguments, or a file that can't be read; 3 the server refused the request (4xx); 4 no connection, or not at present: try
/// again with --resume; 1 otherwise.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    place: Place,
    /// The file; - for standard input
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// ndjson or csv [default: as the file's name ends, or ndjson]
    #[arg(long, value_parser = format_of)]
    format: Option<ExportFormat>,
    /// Records in a request, at most 1000
    #[arg(long, value_name = "N", default_value_t = MAX_INSERT as u64, value_parser = clap::value_parser!(u64).range(1..=MAX_INSERT as u64))]
    batch: u64,
    /// Requests at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=64))]
    in_flight: u64,
    /// Write the refused records to this file, a line of JSON each with line, code and detail; and how far all is done
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Go on behind what the report says is done
    #[arg(long, requires = "report")]
    resume: bool,
}

fn format_of(name: &str) -> Result<ExportFormat, String> {
    match super::pull::format_of(name) {
        Ok(ExportFormat::Parquet) | Err(_) => Err("must be ndjson or csv".to_owned()),
        known => known,
    }
}

pub(super) async fn run(args: Args) -> Result<ExitCode, Failure> {
    let begun = Instant::now();
    let owner = args.place.owner()?;
    let sender = Sender::new(args.place.client()?, owner, &args.place.storage)?;
    let from_stdin = args.input == Path::new("-");
    let format = args.format.or_else(|| format_of_file(&args.input)).unwrap_or_default();
    if format == ExportFormat::Parquet {
        return Err(Failure::usage("Parquet can't be loaded: give NDJSON or CSV"));
    }
    if args.resume && from_stdin {
        return Err(Failure::usage("--resume needs a file: standard input can't be read again"));
    }
    let (source, size) = open(&args.input, from_stdin, format, matches!(owner, Owner::Log(_)))?;
    let subject = Subject {
        input: args.input.display().to_string(),
        size,
        url: args.place.url.clone(),
        storage: args.place.storage.clone(),
        target: match owner {
            Owner::Job(job) => job.to_string(),
            Owner::Log(log) => log.name().to_owned(),
        },
    };
    let report = args.report.as_deref().map(|path| Report::open(path, &subject, args.resume)).transpose()?;
    let done = report.as_ref().map(Report::done).unwrap_or_default();
    let bar = size.map_or_else(|| bar::flow("pushing"), |size| bar::bytes("pushing", size));
    let mut push = Push { report, counts: done, shown: 0, bar };
    let pushed = push.all(source, &args, &sender).await;
    push.bar.finish_and_clear();
    pushed?;
    let counts = push.counts;
    let seconds = figure(begun.elapsed().as_secs_f64());
    say!(
        "{} records in {seconds} s: {} created, {} updated, {} refused",
        count(counts.created + counts.updated + counts.failed),
        count(counts.created),
        count(counts.updated),
        count(counts.failed)
    );
    Ok(if counts.failed > 0 { ExitCode::from(SOME_REFUSED) } else { ExitCode::SUCCESS })
}

type Input = Box<dyn std::io::BufRead + Send>;

fn open(
    path: &Path,
    from_stdin: bool,
    format: ExportFormat,
    names_jobs: bool,
) -> Result<(Source<Input>, Option<u64>), Failure> {
    let unreadable = |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", path.display()));
    let (input, size): (Input, _) = if from_stdin {
        (Box::new(BufReader::with_capacity(1 << 20, std::io::stdin())), None)
    } else {
        let file = File::open(path).map_err(|error| unreadable(&error))?;
        let size = file.metadata().map_err(|error| unreadable(&error))?.len();
        (Box::new(BufReader::with_capacity(1 << 20, file)), Some(size))
    };
    let source = Source::new(input, format, names_jobs).map_err(|error| unreadable(&error))?;
    for column in source.unknown_columns() {
        tell!("docket: column {:?} is not known and is left out", cut(column, 80));
    }
    Ok((source, size))
}

/// A push on its way.
struct Push {
    report: Option<Report>,
    counts: Counts,
    /// Refused records that were shown.
    shown: u64,
    bar: ProgressBar,
}

impl Push {
    async fn all(&mut self, source: Source<Input>, args: &Args, sender: &Sender) -> Result<(), Failure> {
        let (batches, read) = mpsc::channel(1);
        let size = usize::try_from(args.batch).unwrap_or(MAX_INSERT);
        let behind = self.counts.through;
        let reading = tokio::task::spawn_blocking(move || Batches::new(source, size, behind).send_to(&batches));
        let read = stream::unfold(read, |mut read| async { Some((read.recv().await?, read)) });
        let in_flight = usize::try_from(args.in_flight).unwrap_or(1);
        let mut answers = read
            .map(async |batch: Batch| {
                let written = sender.send(&batch.records).await?;
                Ok::<_, Failure>((batch, written))
            })
            .buffered(in_flight)
            .boxed_local();
        let mut outcome = Ok(());
        while let Some(answer) = answers.next().await {
            outcome = answer.and_then(|(batch, written)| self.take(batch, written));
            if outcome.is_err() {
                break;
            }
        }
        // A reader that has nobody to read for stops.
        drop(answers);
        let read = reading.await.map_err(Failure::other)?;
        outcome?;
        read.map_err(|error| Failure::usage(format!("{}: {error}", args.input.display())))
    }

    /// What became of a batch, the batches before it being done.
    fn take(&mut self, batch: Batch, written: Written) -> Result<(), Failure> {
        let mut refused = batch.unreadable;
        refused.extend(written.refused);
        refused.sort_by_key(|refused| refused.line);
        self.counts.created += written.created;
        self.counts.updated += written.updated;
        self.counts.failed += refused.len() as u64;
        self.counts.through = batch.through;
        match &mut self.report {
            Some(report) => report.write(&refused, self.counts)?,
            None => {
                for refused in refused {
                    self.shown += 1;
                    match self.shown {
                        0..=SHOWN => {
                            self.bar.suspend(|| tell!("line {}: {} ({})", refused.line, refused.detail, refused.code))
                        }
                        _ if self.shown == SHOWN + 1 => {
                            self.bar.suspend(|| tell!("more records were refused; --report FILE has all"));
                        }
                        _ => {}
                    }
                }
            }
        }
        self.bar.set_position(batch.bytes_read);
        Ok(())
    }
}
