//! Exports: the whole storage as one file in each format.

use super::Run;
use crate::bench::load::{Meter, Tally};
use crate::failure::Failure;
use crate::output;
use docket_contract::operations::{ExportFormat, ExportJobResults, ExportJobResultsInput};
use std::time::Instant;

impl Run {
    pub(super) async fn export(&mut self, format: ExportFormat, scenario: &'static str) -> Result<(), Failure> {
        self.progress.begin(scenario);
        let input = ExportJobResultsInput {
            job_id: self.job,
            storage_id: self.storage("shuffled"),
            format,
            business_partner_id: Vec::new(),
            data_source_id: None,
            external_id: Vec::new(),
            job_result_status: None,
            include_result_data_fields: Vec::new(),
            start_after: None,
            snapshot: None,
            escape_formulas: None,
        };
        let meter = Meter::start(self.args.common.pid);
        let began = Instant::now();
        let mut export = self.client.export::<ExportJobResults>(&input).await?;
        let mut tally = Tally::default();
        while let Some(part) = export.next().await? {
            tally.bytes_received += part.len() as u64;
        }
        tally.latencies.add(began.elapsed());
        let told = export.told();
        if told.count != Some(self.stored) || !told.digest || told.resumed > 0 {
            return Err(Failure::other(format!("{} records are stored; the export told {told:?}", self.stored)));
        }
        tally.items = self.stored;
        let measured = meter.stop(tally, 1);
        let seconds = measured.elapsed.as_secs_f64();
        // What was stored, as it was sent, is the same for all formats.
        let input = self.stored as f64 * self.records.record_bytes() as f64 / 1e6;
        let what = format!(
            "A storage of {} records ({} bytes each, as sent) as one {} file over one connection, received and hashed, but not \
             written to a disk.",
            output::count(self.stored),
            output::count(self.records.record_bytes() as u64),
            format.name()
        );
        let received = measured.tally.bytes_received as f64 / 1e6;
        let figure = measured.figure(scenario, what, "records");
        let figure = figure.with("inputMegabytesPerSecond", input / seconds).with("fileMegabytes", received);
        self.add(scenario, figure);
        Ok(())
    }
}
