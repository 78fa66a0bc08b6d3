//! A few reading connections, used on blocking threads. In WAL mode they wait for nobody and nobody waits for them.

use super::connection;
use crate::store::StoreError;
use rusqlite::Connection;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Connections, and so reads at one time.
const CONNECTIONS: usize = 4;
/// How long a read waits for a connection.
const PATIENCE: Duration = Duration::from_secs(5);

type Idle = Arc<Mutex<Vec<Connection>>>;

/// The connections that are not in use.
pub(super) struct Readers {
    free: Arc<Semaphore>,
    idle: Idle,
}

impl Readers {
    /// Opens the connections.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let idle = (0..CONNECTIONS).map(|_| connection::open_reader(path)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { free: Arc::new(Semaphore::new(CONNECTIONS)), idle: Arc::new(Mutex::new(idle)) })
    }

    /// Reads on a blocking thread; everything read belongs to one snapshot.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let free = Arc::clone(&self.free).acquire_owned();
        let permit = tokio::time::timeout(PATIENCE, free).await.map_err(|_| StoreError::Overloaded)?;
        let permit = permit.map_err(|_| StoreError::Closing)?;
        let idle = Arc::clone(&self.idle);
        // The permit goes along: a caller that goes away does not free a connection that is still in use.
        let task = tokio::task::spawn_blocking(move || {
            let result = Lease::take(idle).read(work);
            drop(permit);
            result
        });
        task.await.unwrap_or_else(|error| Err(StoreError::Internal(format!("a read failed: {error}"))))
    }

    /// Waits for the reads in flight and closes the connections.
    pub(super) async fn close(&self) {
        if let Ok(permits) = self.free.acquire_many(u32::try_from(CONNECTIONS).unwrap_or(u32::MAX)).await {
            self.free.close();
            drop(permits);
        }
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// A connection in use; it goes back also when the read panics.
struct Lease {
    connection: Option<Connection>,
    idle: Idle,
}

impl Lease {
    fn take(idle: Idle) -> Self {
        let connection = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Self { connection, idle }
    }

    fn read<T>(&mut self, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let snapshot = self.connection.as_mut().ok_or(StoreError::Closing)?.transaction()?;
        work(&snapshot)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).extend(self.connection.take());
    }
}
