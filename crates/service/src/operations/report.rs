//! The report of a job that has ended: what is known of why, from the control plane, the log and the results.

use super::jobs::job_not_ended;
use super::{Service, history, logs, results, scope};
use crate::executors::{ExecutorError, LogRange, LogReader};
use crate::store::{PageQuery, ResultFilter, StoreError, StoredJob};
use docket_contract::cursor::Position;
use docket_contract::history::{Cause, JobEvent};
use docket_contract::operations::{
    JobReport, LastRecord, REPORT_LINE_BYTES, REPORT_LOG_LINES, REPORT_STORAGES, REPORT_TRANSITIONS,
};
use docket_contract::result::{JobResultData, ResultStatus};
use docket_contract::{Caller, Error, JobId, Status};
use std::collections::VecDeque;

/// Bytes of the log's end that are looked at: lines so long that 50 of them have more are cut anyway.
const MOST_LOG_BYTES: usize = 16 << 20;

pub(super) async fn read(service: &Service, caller: &Caller, id: JobId) -> Result<JobReport, Error> {
    let stored = service.own_job(caller, id).await?;
    if !stored.job.status.is_terminal() {
        return Err(job_not_ended(&stored));
    }
    let page = service.control.last_events(&scope(caller), id, REPORT_TRANSITIONS).await?;
    let page = page.ok_or_else(Error::not_found)?;
    let mut transitions = page.events;
    if !page.more && transitions.len() < REPORT_TRANSITIONS {
        transitions.insert(0, history::first(&stored.job));
    }
    let log_lines = log_lines(service, &stored).await?;
    let written = written(service, &stored).await?;
    let job = stored.job;
    // Nothing moves a job that has ended, so its last event tells of the end.
    let end = transitions.last().filter(|event| event.to.is_terminal());
    let told = |of: fn(&JobEvent) -> Option<i64>| end.and_then(of);
    let ended_by = |cause| end.is_some_and(|event| event.cause == cause);
    let between = |from: docket_contract::Timestamp, to: docket_contract::Timestamp| to.as_millis() - from.as_millis();
    let queued = transitions.iter().rev().find(|event| event.to == Status::Scheduled && event.from != Status::Unknown);
    Ok(JobReport {
        job_id: job.id,
        status: job.status,
        status_message: job.status_message,
        attempt: job.attempt,
        exit_code: job.exit_code,
        signal: end.and_then(|event| event.signal),
        out_of_memory: ended_by(Cause::OutOfMemory),
        timed_out: ended_by(Cause::TimedOut),
        memory_peak_bytes: told(|event| event.memory_peak_bytes),
        memory_limit_bytes: job.spec.memory_limit.map(|megabytes| i64::from(megabytes) << 20),
        cpu_time_ms: told(|event| event.cpu_time_ms),
        // Clocks are set now and then: no time is negative.
        queue_time_ms: job.started_at.zip(queued).map(|(started, event)| between(event.at, started).max(0)),
        run_time_ms: job.started_at.zip(job.finished_at).map(|(started, ended)| between(started, ended).max(0)),
        created_at: job.created_at,
        started_at: job.started_at,
        finished_at: job.finished_at,
        results_written: written.results,
        results_failed: written.failed,
        last_record: written.last,
        log_lines,
        transitions,
    })
}

/// What a job has written.
#[derive(Default)]
struct Written {
    results: i64,
    failed: i64,
    last: Option<LastRecord>,
}

/// Over the storages that the job noted, as many as a report looks into.
async fn written(service: &Service, stored: &StoredJob) -> Result<Written, Error> {
    let mut written = Written::default();
    for storage_id in service.control.noted_storages(stored.job.id).await?.into_iter().take(REPORT_STORAGES) {
        let set = results::set(stored, storage_id);
        for tally in service.results.statistics(&set).await? {
            let count = i64::try_from(tally.count).unwrap_or(i64::MAX);
            written.results = written.results.saturating_add(count);
            if tally.status == ResultStatus::Failed {
                written.failed = written.failed.saturating_add(count);
            }
        }
        let Some(newest) = service.results.last_result(&set).await? else { continue };
        let query = PageQuery {
            filter: ResultFilter::default(),
            after: Position(newest.0.saturating_sub(1)),
            limit: 1,
            include_fields: None,
        };
        // The storage may have been deleted meanwhile.
        let Some(chunk) = service.results.open_page(&set, query).await?.next().await? else { continue };
        let record: JobResultData = serde_json::from_slice(&chunk.bytes)
            .map_err(|error| StoreError::Damaged(format!("result {}: {error}", newest.0)))?;
        if written.last.as_ref().is_none_or(|last| last.modified_at <= record.modified_at) {
            written.last = Some(last_record(record));
        }
    }
    Ok(written)
}

fn last_record(record: JobResultData) -> LastRecord {
    LastRecord {
        id: record.id,
        storage_id: record.storage_id,
        external_id: record.written.external_id,
        business_partner_id: record.written.business_partner_id,
        status: record.written.status.unwrap_or_default(),
        message: record.written.message,
        modified_at: record.modified_at,
    }
}

async fn log_lines(service: &Service, stored: &StoredJob) -> Result<Vec<String>, Error> {
    let attempt = u32::try_from(stored.job.attempt).unwrap_or_default();
    let lines = u64::try_from(REPORT_LOG_LINES).unwrap_or(u64::MAX);
    match service.engine.read_log(stored, attempt, LogRange::Tail { lines }).await {
        Ok(reader) => last_lines(reader).await.map_err(|error| logs::internal(&error)),
        // Never started, or it never wrote a byte.
        Err(ExecutorError::NoLog(_)) => Ok(Vec::new()),
        Err(error) => Err(logs::internal(&error)),
    }
}

/// The lines of a log, each no longer than it may be. Of a line only its beginning is held.
async fn last_lines(mut reader: LogReader) -> Result<Vec<String>, ExecutorError> {
    let mut lines: VecDeque<Vec<u8>> = VecDeque::new();
    let (mut read, mut begun) = (0, false);
    while read < MOST_LOG_BYTES
        && let Some(chunk) = reader.chunk().await?
    {
        read += chunk.len();
        for part in chunk.split_inclusive(|byte| *byte == b'\n') {
            if !begun {
                lines.push_back(Vec::new());
                if lines.len() > REPORT_LOG_LINES {
                    lines.pop_front();
                }
            }
            begun = !part.ends_with(b"\n");
            if let Some(line) = lines.back_mut() {
                let text = part.strip_suffix(b"\n").unwrap_or(part);
                // One byte more than fits tells that the line is cut.
                let room = (REPORT_LINE_BYTES + 1).saturating_sub(line.len());
                line.extend_from_slice(&text[..text.len().min(room)]);
            }
        }
    }
    Ok(lines.iter().map(|line| shown(line)).collect())
}

/// A line as UTF-8, cut between two characters where it is too long.
fn shown(line: &[u8]) -> String {
    const CUT: &str = "…";
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut text = String::from_utf8_lossy(line).into_owned();
    if text.len() > REPORT_LINE_BYTES {
        text.truncate(text.floor_char_boundary(REPORT_LINE_BYTES - CUT.len()));
        text.push_str(CUT);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executors::log::LogSource;
    use proptest::prelude::*;

    struct Pieces(std::vec::IntoIter<Vec<u8>>);

    impl LogSource for Pieces {
        fn next_chunk(&mut self) -> std::io::Result<Option<Vec<u8>>> {
            Ok(self.0.next())
        }

        fn position(&self) -> u64 {
            0
        }
    }

    fn lines(log: &[u8], piece: usize) -> Vec<String> {
        let pieces: Vec<_> = log.chunks(piece).map(<[u8]>::to_vec).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(last_lines(LogReader::new(Pieces(pieces.into_iter())))).expect("readable")
    }

    #[test]
    fn lines_are_cut_and_read_as_text() {
        let long = "ü".repeat(REPORT_LINE_BYTES);
        let log = format!("one\r\n\n{long}\nlast");
        for piece in [1, 7, 1 << 20] {
            let found = lines(log.as_bytes(), piece);
            assert_eq!((found[0].as_str(), found[1].as_str(), found[3].as_str()), ("one", "", "last"));
            assert!(found[2].ends_with("ü…") && found[2].len() <= REPORT_LINE_BYTES, "{}", found[2].len());
        }
        let broken = vec![0xff; REPORT_LINE_BYTES];
        assert!(lines(&broken, 100)[0].len() <= REPORT_LINE_BYTES);
        assert_eq!(lines(b"a\xffb\n", 1), ["a\u{fffd}b"]);
        let exact = "x".repeat(REPORT_LINE_BYTES);
        assert_eq!(lines(exact.as_bytes(), 99), [exact]);
    }

    proptest! {
        #[test]
        fn the_last_lines_of_any_log_in_any_pieces(
            log in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'x'), Just(b'y')], 0..400),
            piece in 1usize..50,
        ) {
            let text = String::from_utf8(log.clone()).expect("ASCII");
            let all: Vec<&str> = text.split_inclusive('\n').map(|line| line.trim_end_matches('\n')).collect();
            let expected = &all[all.len().saturating_sub(REPORT_LOG_LINES)..];
            prop_assert_eq!(lines(&log, piece), expected);
        }
    }
}
