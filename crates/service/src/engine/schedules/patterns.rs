//! Expressions that were read: reading one costs more than ten times what asking for its next time does.

use docket_contract::cron::{Cron, Zone};
use docket_contract::schedule::{ScheduledJobSpec, Zoned};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Expressions that are kept, some 6 KB each; at the bound all are forgotten.
const KEPT: usize = 2000;

/// The expressions that were read of late, by expression and time zone.
#[derive(Default)]
pub(super) struct Patterns(Mutex<HashMap<(String, String), Arc<Zoned>>>);

impl Patterns {
    /// The pattern of a scheduled job.
    ///
    /// # Errors
    /// Why it can't be read: another version of the server has taken it.
    pub(super) fn of(&self, spec: &ScheduledJobSpec) -> Result<Arc<Zoned>, String> {
        let key = (spec.cron_expression.clone(), spec.zone_name().to_owned());
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pattern) = known.get(&key) {
            return Ok(Arc::clone(pattern));
        }
        let cron = Cron::parse(&key.0).map_err(|error| format!("cronExpression: {error}"))?;
        let zone = Zone::parse(&key.1).map_err(|error| format!("timeZone: {error}"))?;
        let pattern = Arc::new(Zoned { cron, zone });
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(key, Arc::clone(&pattern));
        Ok(pattern)
    }
}
