//! From a snapshot to the pieces of a file: one task reads a chunk ahead, another encodes and hashes on threads that may
//! block, and both wait when nobody takes what they have. Each is told when the reader of the file has gone.
//!
//! An end is always said: what ends without a word is broken off, and never looks whole.

use super::{Encode, Form, encoder};
use crate::store::{SetKey, SnapshotChunk, SnapshotReader, StoreError};
use bytes::Bytes;
use docket_contract::{Code, Error};
use futures_util::stream::{self, Stream};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc::{self, Receiver, Sender};

/// Chunks that were read and wait to be encoded.
const READ_AHEAD: usize = 1;
/// Pieces that were encoded and wait to be taken.
const ENCODED_AHEAD: usize = 2;

/// What a whole file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whole {
    /// How many results it holds.
    pub count: u64,
    /// Its SHA-256.
    pub digest: [u8; 32],
}

/// The file of a snapshot, whose first chunk was read already. `ended` hears what it is before it ends well; a file that
/// breaks off ends with an error. `held` is dropped when the file is at its end, or its reader has gone.
pub fn pieces(
    set: &SetKey,
    form: Form,
    first: Option<SnapshotChunk>,
    reader: Box<dyn SnapshotReader>,
    held: impl Send + 'static,
    ended: impl FnOnce(Whole) + Send + 'static,
) -> Result<impl Stream<Item = Result<Bytes, Error>> + Send + 'static, StoreError> {
    let encoding = Encoding { encoder: encoder(set, form)?, hash: Sha256::new(), count: 0, begun: false };
    let (chunks, read) = mpsc::channel(READ_AHEAD);
    let (pieces, encoded) = mpsc::channel(ENCODED_AHEAD);
    tokio::spawn(read_all(first, reader, chunks));
    tokio::spawn(encode_all(encoding, read, pieces));
    let state = Some((encoded, ended, held));
    Ok(stream::try_unfold(state, |state| async move {
        let Some((mut encoded, ended, held)) = state else { return Ok(None) };
        match encoded.recv().await {
            Some(Piece::Bytes(bytes)) => Ok(Some((bytes, Some((encoded, ended, held))))),
            Some(Piece::End(whole)) => {
                ended(whole);
                Ok(None)
            }
            Some(Piece::Broken(error)) => Err(error),
            None => Err(Error::new(Code::Internal, "The export ended without an end.")),
        }
    }))
}

/// What comes of reading.
enum Read {
    Chunk(SnapshotChunk),
    End,
    Broken(StoreError),
}

/// What comes of encoding.
enum Piece {
    Bytes(Bytes),
    End(Whole),
    Broken(Error),
}

async fn read_all(first: Option<SnapshotChunk>, mut reader: Box<dyn SnapshotReader>, chunks: Sender<Read>) {
    let mut next = match first {
        Some(chunk) => Read::Chunk(chunk),
        None => Read::End,
    };
    loop {
        let last = !matches!(next, Read::Chunk(_));
        if chunks.send(next).await.is_err() || last {
            return;
        }
        next = match reader.next().await {
            Ok(Some(chunk)) => Read::Chunk(chunk),
            Ok(None) => Read::End,
            Err(error) => Read::Broken(error),
        };
    }
}

async fn encode_all(mut encoding: Encoding, mut read: Receiver<Read>, pieces: Sender<Piece>) {
    loop {
        let next = read.recv().await.unwrap_or(Read::Broken(StoreError::Internal("reading stopped".to_owned())));
        let chunk = match next {
            Read::Chunk(chunk) => Some(chunk),
            Read::End => None,
            Read::Broken(error) => return broken(&pieces, error).await,
        };
        let last = chunk.is_none();
        let encoded = tokio::task::spawn_blocking(move || {
            let bytes = encoding.step(chunk.as_ref())?;
            Ok((encoding, bytes))
        });
        let bytes;
        (encoding, bytes) = match encoded.await {
            Ok(Ok(encoded)) => encoded,
            Ok(Err(error)) => return broken(&pieces, error).await,
            Err(error) => return broken(&pieces, StoreError::Internal(format!("encoding ended: {error}"))).await,
        };
        if !bytes.is_empty() && pieces.send(Piece::Bytes(bytes.into())).await.is_err() {
            return;
        }
        if last {
            let whole = Whole { count: encoding.count, digest: encoding.hash.finalize().into() };
            // Whoever took the file may have gone.
            let _ = pieces.send(Piece::End(whole)).await;
            return;
        }
    }
}

async fn broken(pieces: &Sender<Piece>, error: StoreError) {
    // Whoever took the file may have gone.
    let _ = pieces.send(Piece::Broken(error.into())).await;
}

/// A file being made.
struct Encoding {
    encoder: Box<dyn Encode>,
    hash: Sha256,
    count: u64,
    begun: bool,
}

impl Encoding {
    /// The bytes that a chunk adds; without one, those of the end. Blocks.
    fn step(&mut self, chunk: Option<&SnapshotChunk>) -> Result<Vec<u8>, StoreError> {
        let mut out = Vec::new();
        if !std::mem::replace(&mut self.begun, true) {
            self.encoder.begin(&mut out)?;
        }
        match chunk {
            Some(chunk) => {
                self.encoder.take(chunk, &mut out)?;
                self.count += chunk.rows.len() as u64;
            }
            None => self.encoder.end(&mut out)?,
        }
        self.hash.update(&out);
        Ok(out)
    }
}
