//! Opens the stores as the service does. The only place of the benchmarks that knows a driver.

use crate::failure::Failure;
use docket_service::store::sqlite::{ResultsOptions, SqliteControl, SqliteResults};
use docket_service::store::{ControlStore, ResultStore};
use std::path::Path;
use std::sync::Arc;

/// A data plane in a directory.
pub fn results(directory: &Path) -> Result<Arc<dyn ResultStore>, Failure> {
    let store = SqliteResults::open(directory, ResultsOptions::default());
    Ok(Arc::new(store.map_err(Failure::other)?))
}

/// A control plane in a directory.
pub fn control(directory: &Path) -> Result<Arc<dyn ControlStore>, Failure> {
    let store = SqliteControl::open(&directory.join("control.sqlite"));
    Ok(Arc::new(store.map_err(Failure::other)?))
}
