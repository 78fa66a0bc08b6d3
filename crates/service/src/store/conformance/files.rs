//! What every [`FileStore`] must do. `files_suite!(open)` makes a test of every case; `open` is a path to an async function
//! that answers a store and whatever must live as long as it.

use crate::store::files::{Content, FileStore};
use bytes::Bytes;
use docket_contract::{Code, Error, JobId};
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use std::sync::Arc;
use uuid::Uuid;

/// A store under test.
pub type Store = Arc<dyn FileStore>;

/// Makes a test of every case of the suite.
#[macro_export]
macro_rules! files_suite {
    ($open:path) => {
        $crate::files_suite!(@ $open:
            what_is_written_is_read, what_fails_leaves_nothing, files_go_one_by_one_and_with_their_job);
    };
    (@ $open:path: $($case:ident),+) => {
        $(
            #[tokio::test]
            async fn $case() {
                let (store, _guard) = $open().await;
                $crate::store::conformance::files::$case(store).await;
            }
        )+
    };
}

fn job(number: u128) -> JobId {
    JobId(Uuid::from_u128(number))
}

/// Content in these pieces.
pub fn content(pieces: &[&'static str]) -> Content {
    let pieces: Vec<_> = pieces.iter().map(|piece| Ok(Bytes::from_static(piece.as_bytes()))).collect();
    stream::iter(pieces).boxed()
}

async fn read(store: &Store, job: JobId, file: &str) -> Option<String> {
    let content = store.open(job, file).await.unwrap()?;
    let pieces: Vec<Bytes> = content.try_collect().await.unwrap();
    Some(String::from_utf8(pieces.concat()).unwrap())
}

/// What was written is read whole, also an empty file, and also while it is removed.
pub async fn what_is_written_is_read(store: Store) {
    let first = store.write(job(1), content(&["one", "", " two"]), 7).await.unwrap();
    assert_eq!(first.size, 7);
    let empty = store.write(job(1), content(&[]), 0).await.unwrap();
    assert_eq!((empty.size, read(&store, job(1), &empty.file).await.as_deref()), (0, Some("")));
    let other = store.write(job(2), content(&["other"]), 7).await.unwrap();
    assert_eq!(read(&store, job(1), &first.file).await.as_deref(), Some("one two"));
    assert_eq!(read(&store, job(2), &other.file).await.as_deref(), Some("other"));
    let reading = store.open(job(1), &first.file).await.unwrap().expect("it is there");
    store.remove(job(1), &first.file).await.unwrap();
    let pieces: Vec<Bytes> = reading.try_collect().await.unwrap();
    assert_eq!(pieces.concat(), b"one two");
    let mut jobs = store.jobs().await.unwrap();
    jobs.sort_by_key(|job| job.0);
    assert_eq!(jobs, [job(1), job(2)]);
    assert_eq!(store.earlier(job(1)).await.unwrap(), Vec::<String>::new(), "they are of this run");
}

/// Too much content, and content that breaks off or is given up, leaves nothing.
pub async fn what_fails_leaves_nothing(store: Store) {
    let error = store.write(job(1), content(&["1234", "5678"]), 7).await.expect_err("too large");
    assert_eq!(error.code, Code::BodyTooLarge);
    let broken = content(&["1234"]).chain(stream::iter([Err(Error::new(Code::MalformedBody, "broken off"))]));
    let error = store.write(job(1), broken.boxed(), 7).await.expect_err("broken off");
    assert_eq!(error.code, Code::MalformedBody);
    let waiting = content(&["1234"]).chain(stream::pending()).boxed();
    let mut writing = Box::pin(store.write(job(1), waiting, 7));
    assert!(writing.as_mut().now_or_never().is_none());
    drop(writing);
    let whole = store.write(job(1), content(&["1234567"]), 7).await.unwrap();
    assert_eq!(read(&store, job(1), &whole.file).await.as_deref(), Some("1234567"));
}

/// A file is removed alone or with its job; twice is no error.
pub async fn files_go_one_by_one_and_with_their_job(store: Store) {
    let mut files = Vec::new();
    for _ in 0..3 {
        files.push(store.write(job(1), content(&["x"]), 7).await.unwrap().file);
    }
    let other = store.write(job(2), content(&["y"]), 7).await.unwrap().file;
    for _ in 0..2 {
        store.remove(job(1), &files[0]).await.unwrap();
    }
    assert_eq!(read(&store, job(1), &files[0]).await, None);
    assert_eq!(read(&store, job(1), &files[1]).await.as_deref(), Some("x"));
    for _ in 0..2 {
        store.remove_all(job(1)).await.unwrap();
    }
    assert_eq!(read(&store, job(1), &files[1]).await, None);
    assert_eq!(read(&store, job(2), &other).await.as_deref(), Some("y"));
    store.write(job(1), content(&["again"]), 7).await.unwrap();
}
