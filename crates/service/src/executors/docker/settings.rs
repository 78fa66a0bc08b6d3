//! What an operator decides about containers. Owns the settings and reading them from text; a job can change none.

use std::path::PathBuf;
use std::time::Duration;

/// The user `nobody` of most images.
const NOBODY: &str = "65534:65534";

/// What the Docker executor needs to know.
#[derive(Clone, Debug)]
pub struct DockerSettings {
    /// The data directory; the executor uses `docker/` and `jobs/` in it. Made when missing.
    pub data: PathBuf,
    /// The daemon's socket.
    pub socket: PathBuf,
    /// Most containers at once, at least 1.
    pub max_running: u32,
    /// The network mode of containers: `bridge`, `none`, `host` or the name of a network.
    pub network: String,
    /// Whom a container runs as.
    pub user: User,
    /// Processes and threads at a time in a container whose launch sets no limit.
    pub processes: u64,
    /// Bytes of the work directory, which is in memory: what is written counts towards the container's memory.
    pub work_bytes: u64,
    /// Bytes of `/tmp`, likewise.
    pub tmp_bytes: u64,
    /// How long a pull of an image may take; zero means that nothing is pulled.
    pub pull_limit: Duration,
    /// Relaxation: capabilities that containers keep, such as `NET_BIND_SERVICE`.
    pub capabilities: Vec<String>,
    /// Relaxation: whether the root file system can be written.
    pub writable_root: bool,
}

/// Where the daemon listens unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

impl DockerSettings {
    /// The hardened defaults for a data directory.
    pub fn new(data: PathBuf) -> DockerSettings {
        DockerSettings {
            data,
            socket: DEFAULT_SOCKET.into(),
            max_running: 1,
            network: "bridge".into(),
            user: User::NotRoot(NOBODY.into()),
            processes: 1024,
            work_bytes: 256 << 20,
            tmp_bytes: 64 << 20,
            pull_limit: Duration::from_secs(300),
            capabilities: Vec::new(),
            writable_root: false,
        }
    }
}

/// Whom a container runs as.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum User {
    /// As the image says, also as root.
    Image,
    /// As the image says, but as this `UID:GID` where the image says root or nothing.
    NotRoot(String),
}

impl User {
    /// Reads `image` or `UID[:GID]`.
    pub fn parse(text: &str) -> Result<User, String> {
        let number = |part: &str| part.parse::<u32>().is_ok();
        match text {
            "image" => Ok(User::Image),
            ids if ids.split(':').count() <= 2 && ids.split(':').all(number) => Ok(User::NotRoot(ids.into())),
            other => Err(format!("{other:?} is neither image nor UID:GID in numbers")),
        }
    }
}

/// Reads the address of a daemon: `unix:///path` or a path.
pub fn parse_socket(text: &str) -> Result<PathBuf, String> {
    let path = text.strip_prefix("unix://").unwrap_or(text);
    if path.starts_with('/') {
        return Ok(PathBuf::from(path));
    }
    Err(format!("{text:?} is no unix socket: it must look like unix://{DEFAULT_SOCKET}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_from_text() {
        assert_eq!(User::parse("image"), Ok(User::Image));
        assert_eq!(User::parse("1000:100"), Ok(User::NotRoot("1000:100".into())));
        for wrong in ["", "root", "1:2:3", "1:", "-1"] {
            assert!(User::parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_socket("unix:///run/d.sock"), Ok("/run/d.sock".into()));
        assert_eq!(parse_socket("/run/d.sock"), Ok("/run/d.sock".into()));
        for wrong in ["tcp://127.0.0.1:2375", "d.sock", ""] {
            assert!(parse_socket(wrong).is_err(), "{wrong}");
        }
    }
}
