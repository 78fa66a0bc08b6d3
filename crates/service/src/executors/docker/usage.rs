//! What a container uses, looked at while it runs: after its end the daemon knows nothing of it any more. Owns when to
//! look; a container that ends before the first look has no usage.

use std::time::Duration;

use tokio::time::Instant;

use super::daemon::Daemon;
use crate::executors::Usage;

/// Before the first look.
const FIRST: Duration = Duration::from_secs(1);
/// Between looks at a container that runs for long. Each doubles the pause until then.
const LONGEST: Duration = Duration::from_secs(15);

/// The looks at one container.
pub struct Sampler {
    at: Instant,
    pause: Duration,
}

impl Sampler {
    /// For a container that was started at about this time.
    pub fn new(began: Instant) -> Sampler {
        Sampler { at: began + FIRST, pause: FIRST }
    }

    /// When to look next.
    pub fn next_at(&self) -> Instant {
        self.at
    }

    /// Looks. What the daemon does not tell stays open.
    pub async fn sample(&mut self, daemon: &Daemon, name: &str) -> Usage {
        self.pause = (self.pause * 2).min(LONGEST);
        let stats = daemon.stats(name).await.ok().flatten().unwrap_or_default();
        self.at = Instant::now() + self.pause;
        let memory = stats.memory_stats.unwrap_or_default();
        let cpu = stats.cpu_stats.and_then(|cpu| cpu.cpu_usage).and_then(|usage| usage.total_usage);
        Usage {
            // Control groups of version 1 keep the peak; of version 2 there is the present value.
            memory_peak_bytes: memory.max_usage.or(memory.usage),
            cpu_time_ms: cpu.map(|nanoseconds| nanoseconds / 1_000_000),
        }
    }
}
