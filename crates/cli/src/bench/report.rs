//! What a benchmark tells: every figure with its unit, and the line that gives it again.

use super::latency::Distribution;
use super::process::{self, Memory};
use crate::output;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The whole document.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// What was run: the line, without keys.
    pub line: String,
    /// On what.
    pub environment: Environment,
    /// With what.
    pub parameters: BTreeMap<&'static str, serde_json::Value>,
    /// What was found.
    pub figures: Vec<Figure>,
    /// What a reader must know: what was left out and why, what is included.
    pub notes: Vec<String>,
}

/// The machine and the programs.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Environment {
    /// Cores that this process may use; the server shares them when it runs on the same machine.
    pub cores: usize,
    /// Name of the processor.
    pub processor: Option<String>,
    /// Kernel version.
    pub kernel: Option<String>,
    /// Version of the client.
    pub version: &'static str,
    /// `release` or `debug`: how the client was built.
    pub build: &'static str,
    /// The server's URL.
    pub server: String,
    /// When the run began, RFC 3339.
    pub started_at: String,
}

impl Environment {
    /// This machine.
    pub fn of_this_machine(server: &str) -> Self {
        use docket_service::clock::{Clock, SystemClock};
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            processor: process::processor(),
            kernel: process::kernel(),
            version: env!("CARGO_PKG_VERSION"),
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
            server: server.to_owned(),
            started_at: SystemClock.now().to_string(),
        }
    }
}

/// One measurement.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figure {
    /// Its name.
    pub name: String,
    /// What was measured, in a sentence.
    pub what: String,
    /// The line that gives it.
    pub line: String,
    /// What is counted: `records`, `jobs`, `pages`, `requests`.
    pub unit: &'static str,
    /// How many of them.
    pub items: u64,
    /// In how many seconds.
    pub seconds: f64,
    /// Items a second.
    pub per_second: f64,
    /// Connections (or submitters) at once.
    pub connections: usize,
    /// Requests.
    pub requests: u64,
    /// Requests that the server refused for a while (503, 429, 507) and that were repeated; their latency counts from
    /// the first attempt.
    pub repeated: u64,
    /// Bytes of request bodies.
    pub bytes_sent: u64,
    /// Bytes of answer bodies.
    pub bytes_received: u64,
    /// Latency of a request, in milliseconds: from the first byte sent to the last one received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<Distribution>,
    /// CPU seconds that the client used meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_cpu_seconds: Option<f64>,
    /// CPU seconds that the server used meanwhile, given `--pid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_cpu_seconds: Option<f64>,
    /// The server's memory at the end of the measurement, given `--pid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_memory: Option<Memory>,
    /// Further values; the name tells the unit.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<&'static str, f64>,
}

impl Figure {
    /// Adds a value.
    pub fn with(mut self, name: &'static str, value: f64) -> Self {
        self.values.insert(name, value);
        self
    }
}

impl Figure {
    /// Adds what share of this ceiling or peer the server's own rate is, where that was measured.
    pub fn compared_with(self, rate: Option<f64>) -> Self {
        let share = rate.map(|rate| rate / self.per_second);
        match share {
            Some(share) => self.with("ratioOfServerToThis", share),
            None => self,
        }
    }
}

impl Report {
    /// The rate of a figure.
    pub fn rate(&self, name: &str) -> Option<f64> {
        self.figures.iter().find(|figure| figure.name == name).map(|figure| figure.per_second)
    }

    /// The report for people.
    pub fn table(&self) -> String {
        let mut text = format!("{}\n", self.line);
        let environment = &self.environment;
        let _ = writeln!(
            text,
            "docket {} ({} build), {} cores of {}, kernel {}, server {}",
            environment.version,
            environment.build,
            environment.cores,
            environment.processor.as_deref().unwrap_or("an unknown processor"),
            environment.kernel.as_deref().unwrap_or("unknown"),
            environment.server,
        );
        let parameters: Vec<_> = self.parameters.iter().map(|(name, value)| format!("{name} {value}")).collect();
        let _ = writeln!(text, "{}\n", parameters.join(", "));

        let mut table = output::numbers(["figure", "rate a second", "p50 ms", "p90 ms", "p99 ms", "max ms"]);
        for figure in &self.figures {
            let rate = format!("{} {}", output::figure(figure.per_second), figure.unit);
            let mut row = vec![figure.name.clone(), rate];
            let latency = figure.latency_ms.map(|latency| [latency.p50, latency.p90, latency.p99, latency.max]);
            row.extend(latency.map_or(["-"; 4].map(str::to_owned), |latency| latency.map(output::figure)));
            table.add_row(row);
        }
        let _ = writeln!(text, "{table}\n\nWhat each figure is:");
        for figure in &self.figures {
            figure.describe(&mut text);
        }
        for note in &self.notes {
            let _ = writeln!(text, "\nNote: {note}");
        }
        text
    }
}

impl Figure {
    fn describe(&self, text: &mut String) {
        let _ = writeln!(text, "\n{}: {}", self.name, self.what);
        let connections = if self.connections == 1 { "connection" } else { "connections" };
        let _ = write!(
            text,
            "  {} {} in {} s, {} requests over {} {connections}",
            output::count(self.items),
            self.unit,
            output::figure(self.seconds),
            output::count(self.requests),
            self.connections,
        );
        let _ =
            writeln!(text, "; sent {} MB, received {} MB", megabytes(self.bytes_sent), megabytes(self.bytes_received));
        if self.repeated > 0 {
            let _ = writeln!(text, "  {} requests were refused for a while and repeated", output::count(self.repeated));
        }
        for (name, value) in &self.values {
            let _ = writeln!(text, "  {name}: {}", output::figure(*value));
        }
        let cpu: Vec<_> = [("client", self.client_cpu_seconds), ("server", self.server_cpu_seconds)]
            .into_iter()
            .filter_map(|(who, seconds)| Some(format!("{who} {} s", output::figure(seconds?))))
            .collect();
        if !cpu.is_empty() {
            let _ = writeln!(text, "  CPU used: {}", cpu.join(", "));
        }
        if let Some(memory) = self.server_memory {
            let (now, peak) = (output::figure(memory.resident_mib), output::figure(memory.peak_mib));
            let _ = writeln!(text, "  server memory: {now} MiB resident, {peak} MiB at its peak");
        }
        let _ = writeln!(text, "  {}", self.line);
    }
}

fn megabytes(bytes: u64) -> String {
    output::figure(bytes as f64 / 1e6)
}

/// The line that gives one scenario again: the arguments as given, without the choice of scenarios and without keys.
pub fn line(arguments: &[String], scenario: Option<&str>) -> String {
    let mut line = vec!["docket".to_owned()];
    let mut arguments = arguments.iter().skip(1);
    while let Some(argument) = arguments.next() {
        let (name, attached) = argument.split_once('=').map_or((argument.as_str(), false), |(name, _)| (name, true));
        match name {
            "--key" | "--only" => {
                let value = if attached { None } else { arguments.next() };
                if name == "--only" && scenario.is_none() {
                    line.push(argument.clone());
                    line.extend(value.cloned());
                }
            }
            _ => line.push(argument.clone()),
        }
    }
    if let Some(scenario) = scenario {
        line.extend(["--only".to_owned(), scenario.to_owned()]);
    }
    line.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_hide_keys_and_choose_one_scenario() {
        let arguments: Vec<String> =
            ["/x/docket", "bench", "results", "--key", "secret", "--only=a,b", "--seed", "7", "--key=x"]
                .map(str::to_owned)
                .to_vec();
        assert_eq!(line(&arguments, None), "docket bench results --only=a,b --seed 7");
        assert_eq!(line(&arguments, Some("pages")), "docket bench results --seed 7 --only pages");
    }

    #[test]
    fn a_report_names_units_and_lines() {
        let figure = Figure {
            name: "insert".to_owned(),
            what: "Writes.".to_owned(),
            line: "docket bench results --only insert".to_owned(),
            unit: "records",
            items: 1_000_000,
            seconds: 8.0,
            per_second: 125_000.0,
            connections: 4,
            latency_ms: Some(Distribution { p99: 12.5, ..Distribution::default() }),
            server_memory: process::memory(std::process::id()),
            ..Figure::default()
        };
        let report = Report {
            line: "docket bench results".to_owned(),
            environment: Environment::of_this_machine("http://127.0.0.1:8080"),
            parameters: BTreeMap::from([("seed", serde_json::json!(1))]),
            figures: vec![figure.with("ratioToCeiling", 0.61)],
            notes: vec!["Only a test.".to_owned()],
        };
        let text = report.table();
        for part in ["125,000 records", "12.5", "1,000,000 records in 8.00 s", "ratioToCeiling: 0.610", "--only insert"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        let json = serde_json::to_value(&report).expect("JSON");
        assert_eq!(json["figures"][0]["latencyMs"]["p99"], 12.5);
        assert_eq!(json["figures"][0]["values"]["ratioToCeiling"], 0.61);
        assert_eq!(report.rate("insert"), Some(125_000.0));
    }
}
