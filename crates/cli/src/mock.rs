//! `docket mock`.

use crate::failure::Failure;
use crate::logging;
use crate::serve::{stopped, write_port_file};
use clap::Args;
use docket_service::app::StartError;
use docket_service::app::mock::{MockApp, MockSettings};
use docket_service::mock::scenario::Scenario;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Args)]
pub(crate) struct MockArguments {
    /// Address and port to listen on; no key is needed, wherever that is.
    #[arg(long, env = "DOCKET_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:4010")]
    listen: SocketAddr,
    /// A TOML file that says how jobs live; the real service then plays them in memory. Without one every operation
    /// answers with its example.
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// What to log, such as info or docket_service=debug.
    #[arg(long, env = "DOCKET_LOG", value_name = "FILTER", default_value = "info")]
    log: String,
    /// How to log.
    #[arg(long, env = "DOCKET_LOG_FORMAT", value_name = "FORMAT", default_value = "auto")]
    log_format: logging::Format,
    /// Write the port that the server listens on to this file, once it does.
    #[arg(long, env = "DOCKET_PORT_FILE", value_name = "FILE")]
    port_file: Option<PathBuf>,
}

pub(crate) async fn run(arguments: MockArguments) -> Result<ExitCode, Failure> {
    let scenario = arguments.scenario.as_deref().map(read).transpose()?;
    logging::start(&arguments.log, arguments.log_format)?;
    let stop = stopped()?;
    let settings = MockSettings { listen: arguments.listen, scenario };
    let app = MockApp::start(settings).await.map_err(|error| match error {
        StartError::Settings(message) => Failure::usage(message),
        other => Failure::other(other),
    })?;
    write_port_file(arguments.port_file.as_deref(), app.address().port())?;
    app.run(stop).await.map_err(Failure::other)?;
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path) -> Result<Scenario, Failure> {
    let named = |error: &dyn std::fmt::Display| Failure::usage(format!("scenario {}: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| named(&error))?;
    Scenario::parse(&text).map_err(|error| named(&error))
}
