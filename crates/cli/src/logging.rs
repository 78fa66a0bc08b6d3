//! Logs: for people on a terminal, JSON otherwise.

use crate::failure::Failure;
use clap::ValueEnum;
use serde::Deserialize;
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// Human on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// One readable line an event.
    Human,
    /// One JSON object an event.
    Json,
}

/// Sends logs to standard error from now on.
pub(crate) fn start(filter: &str, format: Format) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(filter).map_err(|error| Failure::usage(format!("log {filter:?}: {error}")))?;
    let terminal = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        Format::Human => builder.with_ansi(terminal).init(),
        Format::Auto if terminal => builder.init(),
        Format::Json | Format::Auto => builder.json().init(),
    }
    Ok(())
}
