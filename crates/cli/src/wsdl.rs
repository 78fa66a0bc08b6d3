//! `docket wsdl`.

use crate::failure::Failure;
use docket_service::faces::soap;
use std::io::Write;
use std::process::ExitCode;

/// Print the WSDL of the SOAP face.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Where clients find the face
    #[arg(long, value_name = "URL", default_value = "http://localhost:8080/soap/v2")]
    endpoint: String,
}

pub(crate) fn run(arguments: &Args) -> Result<ExitCode, Failure> {
    let url: http::Uri = arguments
        .endpoint
        .parse()
        .map_err(|error| Failure::usage(format!("endpoint {:?} is not a URL: {error}", arguments.endpoint)))?;
    if !matches!(url.scheme_str(), Some("http" | "https")) {
        return Err(Failure::usage(format!("endpoint {:?} must begin with http:// or https://", arguments.endpoint)));
    }
    let written = std::io::stdout().lock().write_all(soap::wsdl(&arguments.endpoint).as_bytes());
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::other(error)),
        _ => Ok(ExitCode::SUCCESS),
    }
}
