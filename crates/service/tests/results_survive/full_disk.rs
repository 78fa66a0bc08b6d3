//! A full disk.

use super::*;

/// A small file system of its own; unmounted at the end.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(mebibytes: usize) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "tmpfs"])
            .arg(directory.path())
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "this test mounts a tmpfs of {mebibytes} MiB: run it as root, in a container with CAP_SYS_ADMIN"
        );
        Self(directory)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l"]).arg(self.0.path()).status();
    }
}

fn batch(number: u64, records: u64) -> Vec<Record> {
    (0..records).map(|place| record(&format!("{number}/{place}"), "first", place % 4 == 0, 2000)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_stop_and_resume() {
    let disk = SmallDisk::mount(24);
    let ballast = disk.0.path().join("ballast");
    File::create(&ballast).expect("a file").write_all(&vec![1; 8 << 20]).expect("room");
    let options = ResultsOptions { run_records: 300, log_pages: 100, ..ResultsOptions::default() };
    let store = Arc::new(SqliteResults::open(&disk.0.path().join("data"), options).expect("a store"));
    let saved = Arc::new(AtomicU64::new(0));
    for round in 0..2 {
        // Several at once, until the disk is full for each of them.
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let (store, saved) = (store.clone(), saved.clone());
                tokio::spawn(async move {
                    for request in 0.. {
                        let records = batch(round * 1_000_000 + writer * 100_000 + request, 50);
                        match store.upsert_results(&set("s"), records, now()).await {
                            Ok(done) => saved.fetch_add(u64::from(done.created), Ordering::Relaxed),
                            Err(error) => {
                                assert_eq!(error, StoreError::Full);
                                return;
                            }
                        };
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.await.expect("no panic");
        }
        let saved_now = saved.load(Ordering::Relaxed);
        assert!(saved_now > 0);
        // Reads go on, and hold exactly what was acknowledged.
        let results = read(&store, &set("s"), ResultFilter::default()).await.expect("a page");
        assert_eq!(results.len() as u64, saved_now);
        let tallies = store.statistics(&set("s")).await.expect("counters");
        assert_eq!(tallies.iter().map(|tally| tally.count).sum::<u64>(), saved_now);
        // A new storage finds no room either.
        assert_eq!(store.upsert_results(&set("new"), batch(7, 5000), now()).await, Err(StoreError::Full));
        if round == 0 {
            fs::remove_file(&ballast).expect("room again");
            let done = store.upsert_results(&set("s"), batch(999_999_999, 50), now()).await;
            assert_eq!(done, Ok(Upserted { created: 50, updated: 0 }));
            saved.fetch_add(50, Ordering::Relaxed);
            let filter = ResultFilter { external_ids: vec!["999999999/7".into()], ..ResultFilter::default() };
            assert_eq!(read(&store, &set("s"), filter).await.expect("a page").len(), 1);
        }
    }
    // On a full disk a storage can still be deleted.
    assert_eq!(store.delete_job_sets(&set("s").storage).await, Ok(saved.load(Ordering::Relaxed)));
    store.close().await;
}
