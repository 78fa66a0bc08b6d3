//! The power goes: what was acknowledged is on the disk.

use super::*;

/// The stretches of a file as the file system tells them, without writing anything. One that waits in memory to be
/// written is marked `delalloc`.
fn extents(path: &Path) -> String {
    let told = Command::new("filefrag").arg("-v").arg(path).env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin").output();
    let told = told.expect("filefrag, of Debian's e2fsprogs");
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    String::from_utf8(told.stdout).expect("UTF-8")
}

/// kill -9 leaves the page cache alone, so that no kill shows whether a body was on the disk when it was acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_are_on_the_disk_before_the_answer() {
    // On the disk of the build: a file system in memory has nothing to tell.
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let waiting = directory.path().join("waiting");
    fs::write(&waiting, [1; 100_000]).expect("a file");
    assert!(
        extents(&waiting).contains("delalloc"),
        "this file system does not tell what waits in memory; build on ext4, xfs or btrfs"
    );
    let store = SqliteResults::open(&directory.path().join("data"), ResultsOptions::default()).expect("a store");
    for request in 0..20 {
        // New records, and the same ones again.
        let records = (0..20).map(|name| record(&format!("{}/{name}", request / 2), "power", false, 4000)).collect();
        store.upsert_results(&set("s"), records, now()).await.expect("saved");
        let rows = files(&directory.path().join("data"));
        let [rows] = rows.as_slice() else { panic!("one storage: {rows:?}") };
        let told = extents(&rows.with_file_name("rows"));
        assert!(!told.contains("delalloc"), "request {request}: {told}");
    }
    store.close().await;
}
