//! Reaches receivers: looks up the name, checks every address, and connects to one of those that were checked, never to
//! what a second lookup would say.

use super::failure::Failure;
use super::guard::Guard;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

/// How long a lookup may take, and with it the wait for a turn.
const RESOLVE: Duration = Duration::from_secs(5);
/// How long connecting may take, over all addresses.
const CONNECT: Duration = Duration::from_secs(5);
/// Addresses of a name that are tried.
const ADDRESSES: usize = 4;
/// Lookups at a time: each holds a thread, and dead name servers hold it long.
const LOOKUPS: usize = 64;

/// A connection to a receiver.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Connects.
pub(super) struct Connector {
    guard: Guard,
    lookups: Arc<Semaphore>,
    tls: OnceCell<Arc<ClientConfig>>,
}

impl Connector {
    /// One that reaches what the guard lets it.
    pub(super) fn new(guard: Guard) -> Self {
        Self { guard, lookups: Arc::new(Semaphore::new(LOOKUPS)), tls: OnceCell::new() }
    }

    /// A connection to the host of a url; with TLS for `https`.
    pub(super) async fn connect(&self, url: &Url) -> Result<Box<dyn Stream>, Failure> {
        let addresses = self.addresses(url).await?;
        let stream = open(&addresses).await?;
        if url.scheme() != "https" {
            return Ok(Box::new(stream));
        }
        let name = match url.host() {
            Some(Host::Domain(name)) => ServerName::try_from(name.to_owned())
                .map_err(|_| Failure::lasting("the host's name can't be certified"))?,
            Some(Host::Ipv4(address)) => ServerName::IpAddress(IpAddr::V4(address).into()),
            Some(Host::Ipv6(address)) => ServerName::IpAddress(IpAddr::V6(address).into()),
            None => return Err(Failure::lasting("the url names no host")),
        };
        let tls = self.tls.get_or_try_init(client).await?;
        let secured = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await;
        Ok(Box::new(secured.map_err(|error| Failure::passing(format!("TLS: {error}")))?))
    }

    /// The addresses of a url's host, all of them checked: one that is refused refuses all.
    async fn addresses(&self, url: &Url) -> Result<Vec<SocketAddr>, Failure> {
        let port = url.port_or_known_default().ok_or_else(|| Failure::lasting("the url names no port"))?;
        let found = match url.host() {
            Some(Host::Ipv4(address)) => vec![address.into()],
            Some(Host::Ipv6(address)) => vec![address.into()],
            Some(Host::Domain(name)) => self.look_up(name, port).await?,
            None => return Err(Failure::lasting("the url names no host")),
        };
        let checked = found.into_iter().map(|address| self.guard.check(address));
        let addresses = checked.map(|address| Ok(SocketAddr::new(address.map_err(Failure::lasting)?, port)));
        addresses.collect()
    }

    async fn look_up(&self, name: &str, port: u16) -> Result<Vec<IpAddr>, Failure> {
        let host = (name.to_owned(), port);
        let lookups = Arc::clone(&self.lookups);
        let lookup = async {
            let permit = lookups.acquire_owned().await.map_err(Failure::passing)?;
            // The permit goes along: a lookup that nobody waits for any more still holds its thread.
            let work = tokio::task::spawn_blocking(move || {
                let found = host.to_socket_addrs();
                drop(permit);
                found
            });
            work.await.map_err(Failure::passing)?.map_err(Failure::passing)
        };
        let late = |_| Failure::passing(format!("{name} was not looked up within {} s", RESOLVE.as_secs()));
        let found = timeout(RESOLVE, lookup).await.map_err(late)?;
        let found = found.map_err(|failure| Failure::passing(format!("looking up {name}: {}", failure.reason)))?;
        Ok(found.map(|address| address.ip()).collect())
    }
}

/// Connects to the first address that answers; each gets its share of the time.
async fn open(addresses: &[SocketAddr]) -> Result<TcpStream, Failure> {
    let tried = &addresses[..addresses.len().min(ADDRESSES)];
    let share = CONNECT / u32::try_from(tried.len().max(1)).unwrap_or(1);
    let mut failure = Failure::passing("the host has no address");
    for address in tried {
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failure = Failure::passing(format!("connecting to {address}: {error}")),
            Err(_) => failure = Failure::passing(format!("connecting to {address} took more than {share:?}")),
        }
    }
    Err(failure)
}

/// Trusts what the system trusts, or what `SSL_CERT_FILE` and `SSL_CERT_DIR` name; read once there is need of it.
async fn client() -> Result<Arc<ClientConfig>, Failure> {
    let read = tokio::task::spawn_blocking(|| {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        let (added, _) = roots.add_parsable_certificates(found.certs);
        if added == 0 {
            let reason = found.errors.first().map_or_else(String::new, |error| format!(": {error}"));
            return Err(Failure::passing(format!("TLS: no root certificate was found{reason}; see SSL_CERT_FILE")));
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| Failure::passing(format!("TLS: {error}")))?;
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    });
    read.await.map_err(Failure::passing)?
}
