//! What the duties of one executor share. Owns no duty itself.

use super::LaunchSettings;
use super::active::Active;
use super::hints::Hints;
use crate::clock::Clock;
use crate::executors::Executor;
use crate::secrets::Secrets;
use crate::store::ControlStore;
use docket_contract::job::ExecutorKind;
use std::sync::Arc;
use tokio::sync::{Mutex, Notify};

/// An executor, and how it is used.
pub struct LaneSettings {
    /// What kind it is of: it runs the jobs that name this kind.
    pub kind: ExecutorKind,
    /// The executor.
    pub executor: Arc<dyn Executor>,
    /// Most jobs that run at once; 0 runs none.
    pub slots: usize,
    /// What its launches share.
    pub launch: LaunchSettings,
}

/// An executor with its attempts.
pub(super) struct Lane {
    pub(super) control: Arc<dyn ControlStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) secrets: Arc<Secrets>,
    pub(super) kind: ExecutorKind,
    pub(super) executor: Arc<dyn Executor>,
    pub(super) launch: LaunchSettings,
    pub(super) active: Active,
    /// What the duties of all lanes tell one another.
    pub(super) hints: Arc<Hints>,
    /// Held from a claim to its entry in `active`, so that whoever sees a claimed job finds its attempt there.
    pub(super) claiming: Mutex<()>,
    /// A job was started.
    pub(super) started: Notify,
    /// An attempt ended, or what is active was found again.
    pub(super) freed: Notify,
    /// A launch was not taken: the executor must be asked what it knows, and be given the rest again.
    pub(super) launch_again: Notify,
}

impl Lane {
    /// A lane without attempts.
    pub(super) fn new(
        control: Arc<dyn ControlStore>,
        clock: Arc<dyn Clock>,
        secrets: Arc<Secrets>,
        hints: Arc<Hints>,
        settings: LaneSettings,
    ) -> Self {
        let LaneSettings { kind, executor, slots, launch } = settings;
        Self {
            control,
            clock,
            secrets,
            kind,
            executor,
            launch,
            active: Active::new(slots),
            hints,
            claiming: Mutex::default(),
            started: Notify::new(),
            freed: Notify::new(),
            launch_again: Notify::new(),
        }
    }
}
