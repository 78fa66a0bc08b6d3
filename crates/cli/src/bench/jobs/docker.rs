//! Jobs in containers, and the peer that starts the same container by hand.

use super::{Run, true_job};
use crate::bench::load::{Meter, Tally};
use crate::failure::Failure;
use docket_contract::job::{ExecutorKind, JobSpec};
use std::process::{Command, Stdio};
use std::time::Instant;

impl Run {
    /// One container after the other, in turns with the peer, so that both see the same machine.
    pub(super) async fn docker(&mut self) -> Result<(), Failure> {
        self.progress.begin("docker");
        let image = self.args.docker_image.clone();
        let spec = JobSpec {
            docker_image_url: image.clone(),
            commands: vec![self.args.docker_command.clone()],
            executor: Some(ExecutorKind::Docker),
            ..true_job(&format!("{}-docker", self.tag))
        };
        // The first ones warm the engine up.
        self.one_at_a_time(&spec, WARM_UP).await?;
        self.docker_run(WARM_UP).await?;
        let rounds = self.args.docker_jobs.div_ceil(ROUND);
        let (mut own, _) = self.one_at_a_time(&spec, ROUND).await?;
        let mut peer = self.docker_run(ROUND).await?;
        for _ in 1..rounds {
            own.add(self.one_at_a_time(&spec, ROUND).await?.0);
            peer.add(self.docker_run(ROUND).await?);
        }
        let command = &self.args.docker_command;
        let what = format!(
            "One container of {image} running {command} at a time: from the POST until the job's events tell that it \
             is FINISHED; in turns of {ROUND} with the peer."
        );
        let own = own.figure("docker", what, "jobs");
        let what =
            format!("Peer: `docker run --rm --network none {image} {command}`, one at a time, on the same engine.");
        let peer = peer.figure("peer-docker-run", what, "jobs").compared_with(Some(own.per_second));
        let behind = own.latency_ms.zip(peer.latency_ms).map(|(own, peer)| own.p50 - peer.p50);
        let own = match behind {
            Some(behind) => own.with("p50MsBehindDockerRun", behind),
            None => own,
        };
        self.add("docker", own);
        self.add("docker", peer);
        Ok(())
    }

    async fn docker_run(&self, count: u64) -> Result<crate::bench::load::Measured, Failure> {
        let (image, command) = (self.args.docker_image.clone(), self.args.docker_command.clone());
        let meter = Meter::start(None);
        let runs = tokio::task::spawn_blocking(move || {
            let mut tally = Tally::default();
            for _ in 0..count {
                let started = Instant::now();
                run_once(&image, &command)?;
                tally.latencies.add(started.elapsed());
                tally.items += 1;
            }
            Ok::<_, Failure>(tally)
        });
        let tally = runs.await.map_err(Failure::other)??;
        Ok(meter.stop(tally, 1))
    }
}

/// Containers before the measurement.
const WARM_UP: u64 = 3;
/// Containers in a row before the other side has its turn.
const ROUND: u64 = 10;

fn run_once(image: &str, command: &str) -> Result<(), Failure> {
    // The engine is that of DOCKER_HOST, as for every use of the command.
    let status = Command::new("docker")
        .args(["run", "--rm", "--network", "none", image, command])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .map_err(|error| Failure::other(format!("docker can't be started: {error}")))?;
    if status.success() { Ok(()) } else { Err(Failure::other(format!("docker run ended with {status}"))) }
}
