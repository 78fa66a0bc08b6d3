//! The server's secret, and what is made of it: page tokens, the tokens of running jobs, and what webhooks and receipts
//! are signed with.
//!
//! All is derived from one key of 32 bytes, made at the first start and kept in the data directory, or given by the
//! configuration (then every replica reads the tokens of every other).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use docket_contract::caller::OwnJob;
use docket_contract::cursor::{Position, Scope};
use docket_contract::{Code, Error, JobId};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use subtle::ConstantTimeEq;

/// The file that holds the key, in the data directory.
pub const SECRET_FILE: &str = "secret.key";

const TOKEN_VERSION: u8 = 1;
const NONCE_BYTES: usize = 24;
const JOB_TOKEN_PREFIX: &str = "dj_";

/// Seals and opens tokens.
pub struct Secrets {
    pages: XChaCha20Poly1305,
    jobs: [u8; 32],
    webhooks: [u8; 32],
    receipts: [u8; 32],
}

impl Secrets {
    /// From the key itself.
    pub fn new(key: &[u8; 32]) -> Self {
        let pages = blake3::derive_key("docket 2026-11 page tokens", key);
        Self {
            pages: XChaCha20Poly1305::new(&pages.into()),
            jobs: blake3::derive_key("docket 2026-11 job tokens", key),
            webhooks: blake3::derive_key("docket 2026-11 webhooks", key),
            receipts: blake3::derive_key("docket 2026-11 receipts", key),
        }
    }

    /// From the data directory's key, which is made when there is none. The file has mode 0600.
    pub fn load(data: &Path) -> io::Result<Self> {
        let path = data.join(SECRET_FILE);
        let mut key = [0; 32];
        match File::open(&path) {
            Ok(mut file) => file.read_exact(&mut key)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                random(&mut key)?;
                // Written aside first: a crash leaves no half key.
                let aside = data.join("secret.key.new");
                let _ = std::fs::remove_file(&aside);
                let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
                file.write_all(&key)?;
                file.sync_all()?;
                std::fs::rename(&aside, &path)?;
                File::open(data)?.sync_all()?;
            }
            Err(error) => return Err(error),
        }
        Ok(Self::new(&key))
    }

    /// A token for a position, bound to its scope.
    pub fn seal(&self, position: Position, scope: &Scope) -> Result<String, Error> {
        self.seal_bytes(&position.0.to_le_bytes(), scope)
    }

    /// A token for what only this server needs to read, bound to a scope.
    pub fn seal_bytes(&self, bytes: &[u8], scope: &Scope) -> Result<String, Error> {
        let mut nonce = [0; NONCE_BYTES];
        random(&mut nonce).map_err(|error| Error::new(Code::Internal, error.to_string()))?;
        let payload = Payload { msg: bytes, aad: scope.as_bytes() };
        let sealed = self
            .pages
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| Error::new(Code::Internal, "The token can't be made."))?;
        let mut token = Vec::with_capacity(1 + NONCE_BYTES + sealed.len());
        token.push(TOKEN_VERSION);
        token.extend_from_slice(&nonce);
        token.extend_from_slice(&sealed);
        Ok(URL_SAFE_NO_PAD.encode(token))
    }

    /// The position in a token, if this server (or one with the same key) made it for this scope.
    pub fn open(&self, token: &str, scope: &Scope) -> Result<Position, Error> {
        let position = self.open_bytes(token, scope).and_then(|bytes| bytes.try_into().ok());
        position.map(|bytes| Position(u64::from_le_bytes(bytes))).ok_or_else(|| {
            let detail = "startAfter is not a token that this server issued for this storage, job and filters.";
            Error::new(Code::InvalidPageToken, detail)
        })
    }

    /// What is in a token, if this server (or one with the same key) made it for this scope.
    pub fn open_bytes(&self, token: &str, scope: &Scope) -> Option<Vec<u8>> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (&version, rest) = bytes.split_first()?;
        if version != TOKEN_VERSION {
            return None;
        }
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload { msg: sealed, aad: scope.as_bytes() };
        self.pages.decrypt(&XNonce::from(*nonce), payload).ok()
    }

    /// The token of a running job: its id, its attempt, and a proof. Nothing is stored for it.
    pub fn job_token(&self, own: OwnJob) -> String {
        let proof = self.job_proof(own);
        format!("{JOB_TOKEN_PREFIX}{}_{}_{}", own.id.0.simple(), own.attempt, URL_SAFE_NO_PAD.encode(&proof[..24]))
    }

    /// What a job's token stands for; `None` if it is no such token or its proof is wrong.
    pub fn open_job_token(&self, token: &str) -> Option<OwnJob> {
        let mut parts = token.strip_prefix(JOB_TOKEN_PREFIX)?.splitn(3, '_');
        let id = JobId(uuid::Uuid::try_parse(parts.next()?).ok()?);
        let own = OwnJob { id, attempt: parts.next()?.parse().ok()? };
        let proof = URL_SAFE_NO_PAD.decode(parts.next()?).ok()?;
        bool::from(self.job_proof(own)[..24].ct_eq(&proof)).then_some(own)
    }

    /// What an organization's webhooks are signed with.
    pub fn webhook_secret(&self, organization: &str) -> [u8; 32] {
        *blake3::keyed_hash(&self.webhooks, organization.as_bytes()).as_bytes()
    }

    /// The seed of the key that signs receipts.
    pub fn receipt_seed(&self) -> &[u8; 32] {
        &self.receipts
    }

    fn job_proof(&self, own: OwnJob) -> [u8; 32] {
        let mut subject = own.id.0.as_bytes().to_vec();
        subject.extend_from_slice(&own.attempt.to_le_bytes());
        *blake3::keyed_hash(&self.jobs, &subject).as_bytes()
    }
}

/// Whether a presented key claims to be a job's token.
pub fn looks_like_job_token(presented: &str) -> bool {
    presented.starts_with(JOB_TOKEN_PREFIX)
}

/// Fills from the operating system's source of randomness.
pub fn random(bytes: &mut [u8]) -> io::Result<()> {
    getrandom::fill(bytes).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scope(job: &str) -> Scope {
        let mut scope = Scope::new("listJobRunResults", "acme");
        scope.add("jobId", [job]);
        scope
    }

    proptest! {
        #[test]
        fn tokens_open_only_for_their_scope(position in any::<u64>(), flip in 0usize..60) {
            let secrets = Secrets::new(&[7; 32]);
            let token = secrets.seal(Position(position), &scope("a")).expect("sealed");
            prop_assert_eq!(secrets.open(&token, &scope("a")), Ok(Position(position)));
            prop_assert_eq!(secrets.open(&token, &scope("b")).unwrap_err().code, Code::InvalidPageToken);
            prop_assert!(Secrets::new(&[8; 32]).open(&token, &scope("a")).is_err());
            let mut forged = token.into_bytes();
            forged[flip] = if forged[flip] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).expect("ASCII");
            prop_assert!(secrets.open(&forged, &scope("a")).is_err());
        }
    }

    #[test]
    fn job_tokens_prove_job_and_attempt() {
        let secrets = Secrets::new(&[7; 32]);
        let own = OwnJob { id: JobId(uuid::Uuid::from_u128(42)), attempt: 3 };
        let token = secrets.job_token(own);
        assert_eq!(secrets.open_job_token(&token), Some(own));
        assert_eq!(secrets.open_job_token(&token.replace("_3_", "_4_")), None);
        assert_eq!(Secrets::new(&[8; 32]).open_job_token(&token), None);
        assert_eq!(secrets.open_job_token("dj_"), None);
    }

    #[test]
    fn webhook_secrets_differ_by_organization_and_server() {
        let (ours, others) = (Secrets::new(&[7; 32]), Secrets::new(&[8; 32]));
        assert_eq!(ours.webhook_secret("a"), Secrets::new(&[7; 32]).webhook_secret("a"));
        assert_ne!(ours.webhook_secret("a"), ours.webhook_secret("b"));
        assert_ne!(ours.webhook_secret("a"), others.webhook_secret("a"));
    }

    #[test]
    fn the_key_is_made_once_and_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let data = tempfile::tempdir().expect("a directory");
        let token = Secrets::load(data.path()).expect("made").seal(Position(9), &scope("a")).expect("sealed");
        let mode = std::fs::metadata(data.path().join(SECRET_FILE)).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let again = Secrets::load(data.path()).expect("loaded");
        assert_eq!(again.open(&token, &scope("a")), Ok(Position(9)));
    }
}
