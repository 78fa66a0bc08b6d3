//! From a presented key to a caller.
//!
//! A key is `dk_`, its public id, `_` and its secret; the store keeps the hash of the secret only. Without any key the
//! server serves loopback alone, and everybody there is its administrator.

use crate::secrets::{self, Secrets};
use crate::store::{ControlStore, Scope, StoreError, StoredKey};
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use docket_contract::{Caller, Code, Error, Role, Timestamp};
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq;

/// The organization of callers on loopback when there are no keys.
pub const LOCAL_ORGANIZATION: &str = "default";

/// How long a key that was read counts as known: so long a revoked one may still work.
const CACHE_TIME: Duration = Duration::from_secs(1);
/// Most keys that are remembered; over it the memory begins anew.
const CACHE_KEYS: usize = 10_000;

/// Finds out who calls.
#[async_trait]
pub trait Access: Send + Sync + 'static {
    /// The caller that presents this key (of `X-API-KEY` or `Authorization: Bearer`), or none, in a request to `host`.
    async fn caller(&self, presented: Option<&str>, host: Option<&str>) -> Result<Caller, Error>;
}

/// Keys in the control plane, and the tokens of running jobs.
pub struct Keys {
    store: Arc<dyn ControlStore>,
    secrets: Arc<Secrets>,
    /// Whether the server listens on loopback, where no key is needed as long as there is none.
    loopback: bool,
    known: Mutex<HashMap<String, (Instant, Option<StoredKey>)>>,
    any: Mutex<Option<(Instant, bool)>>,
}

impl Keys {
    /// Reads keys from `store`.
    pub fn new(store: Arc<dyn ControlStore>, secrets: Arc<Secrets>, loopback: bool) -> Self {
        Self { store, secrets, loopback, known: Mutex::default(), any: Mutex::default() }
    }

    async fn any_keys(&self) -> Result<bool, StoreError> {
        let fresh = *lock(&self.any);
        if let Some((since, any)) = fresh
            && since.elapsed() < CACHE_TIME
        {
            return Ok(any);
        }
        let any = self.store.has_keys().await?;
        *lock(&self.any) = Some((Instant::now(), any));
        Ok(any)
    }

    async fn key(&self, id: &str) -> Result<Option<StoredKey>, StoreError> {
        let known = lock(&self.known).get(id).cloned();
        if let Some((since, key)) = known
            && since.elapsed() < CACHE_TIME
        {
            return Ok(key);
        }
        let key = self.store.read_key(id).await?;
        let mut known = lock(&self.known);
        if known.len() >= CACHE_KEYS {
            known.clear();
        }
        known.insert(id.to_owned(), (Instant::now(), key.clone()));
        Ok(key)
    }

    async fn by_key(&self, presented: &str) -> Result<Caller, Error> {
        let (id, secret) = parse(presented).ok_or_else(unauthenticated)?;
        let key = self.key(id).await?.ok_or_else(unauthenticated)?;
        let right = bool::from(hash(secret).ct_eq(&key.hash));
        if !right || key.revoked_at.is_some() {
            return Err(unauthenticated());
        }
        Ok(Caller { organization: key.organization, role: key.role, user: key.user, job: None })
    }

    async fn by_job_token(&self, presented: &str) -> Result<Caller, Error> {
        let own = self.secrets.open_job_token(presented).ok_or_else(unauthenticated)?;
        let job = self.store.read_job(&Scope::Everything, own.id).await?.ok_or_else(unauthenticated)?;
        Ok(Caller { organization: job.organization, role: Role::Worker, user: job.job.user, job: Some(own) })
    }
}

#[async_trait]
impl Access for Keys {
    async fn caller(&self, presented: Option<&str>, host: Option<&str>) -> Result<Caller, Error> {
        match presented {
            Some(token) if secrets::looks_like_job_token(token) => self.by_job_token(token).await,
            _ if self.loopback && !self.any_keys().await? => match host {
                Some(host) if !is_loopback(host) => Err(foreign_host()),
                _ => Ok(local_caller()),
            },
            Some(key) => self.by_key(key).await,
            None => Err(unauthenticated()),
        }
    }
}

/// Whether a `Host` names this machine. A web page whose name was made to point here by its DNS sends its own name.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn foreign_host() -> Error {
    let detail = "Without keys the server answers requests to localhost only; make a key with `docket keys create`.";
    Error::new(Code::Forbidden, detail)
}

/// The caller on loopback when there are no keys.
pub fn local_caller() -> Caller {
    Caller { organization: LOCAL_ORGANIZATION.to_owned(), role: Role::Admin, user: "local".to_owned(), job: None }
}

/// Makes a key: what is stored, and the text that its owner gets to see once.
pub fn make_key(organization: String, role: Role, user: String, now: Timestamp) -> io::Result<(StoredKey, String)> {
    let (mut id, mut secret) = ([0; 8], [0; 32]);
    secrets::random(&mut id)?;
    secrets::random(&mut secret)?;
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let secret = URL_SAFE_NO_PAD.encode(secret);
    let text = format!("dk_{id}_{secret}");
    let key = StoredKey { id, hash: hash(&secret), organization, role, user, created_at: now, revoked_at: None };
    Ok((key, text))
}

fn parse(presented: &str) -> Option<(&str, &str)> {
    let (id, secret) = presented.strip_prefix("dk_")?.split_once('_')?;
    (id.len() == 16 && secret.len() == 43).then_some((id, secret))
}

/// The secret has 256 random bits: a plain hash is enough, there is nothing to guess.
fn hash(secret: &str) -> [u8; 32] {
    *blake3::hash(secret.as_bytes()).as_bytes()
}

fn unauthenticated() -> Error {
    Error::new(Code::Unauthenticated, "Send a valid key as X-API-KEY or as Authorization: Bearer.")
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_few_names() {
        for host in ["localhost", "LOCALHOST:8080", "127.0.0.1:80", "127.1.2.3", "[::1]:8080", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["evil.example", "evil.example:8080", "localhost.evil.example", "10.0.0.1", "[::2]:80", ""] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn a_made_key_parses_and_its_hash_is_right() {
        let (key, text) = make_key("acme".into(), Role::Reader, "ann".into(), Timestamp::default()).expect("random");
        let (id, secret) = parse(&text).expect("well formed");
        assert_eq!((id, hash(secret)), (key.id.as_str(), key.hash));
        for wrong in ["", "dk_", "dk_x_y", &text[1..], &text[..text.len() - 1]] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
