//! `docket serve`.

use crate::failure::Failure;
use crate::logging;
use crate::settings::{ServeArguments, ServeSettings};
use docket_service::app::{App, StartError};
use rustix::fs::Mode;
use rustix::process::umask;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

pub(crate) fn run(arguments: ServeArguments) -> Result<ExitCode, Failure> {
    let settings = arguments.resolve()?;
    // Jobs of other users get through the data directory to their own: nothing else in it is for them.
    umask(Mode::RWXG | Mode::RWXO);
    logging::start(&settings.log, settings.log_format)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::other)?;
    runtime.block_on(serve(settings))?;
    // Whatever still blocks a thread now has had its time.
    runtime.shutdown_background();
    Ok(ExitCode::SUCCESS)
}

async fn serve(settings: ServeSettings) -> Result<(), Failure> {
    let stop = stopped()?;
    let app = App::start(settings.app).await.map_err(|error| match error {
        StartError::Settings(message) => Failure::usage(message),
        other => Failure::other(other),
    })?;
    write_port_file(settings.port_file.as_deref(), app.address().port())?;
    app.run(stop).await.map_err(Failure::other)
}

/// Ready when the process is asked to stop.
pub(crate) fn stopped() -> Result<impl Future<Output = ()> + Send + 'static, Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::other)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::other)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Tells the port to whoever waits for the file, where one is wanted.
pub(crate) fn write_port_file(path: Option<&Path>, port: u16) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    write_port(path, port).map_err(|error| Failure::other(format!("port-file {}: {error}", path.display())))
}

/// Whole or not at all: whoever waits for the file reads a complete port.
fn write_port(path: &Path, port: u16) -> std::io::Result<()> {
    let aside = path.with_extension("new");
    std::fs::write(&aside, format!("{port}\n"))?;
    // No secret, and whoever waits for it may be somebody else.
    std::fs::set_permissions(&aside, Permissions::from_mode(0o644))?;
    std::fs::rename(aside, path)
}
