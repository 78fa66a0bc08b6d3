//! A container daemon of a test's own: its own socket and root, no network, an image of static busybox.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use bollard::query_parameters::{
    CreateImageOptions, InspectContainerOptions, ListContainersOptions, RemoveContainerOptions,
};
use bollard::{API_DEFAULT_VERSION, Docker, body_full};
use futures_util::TryStreamExt;
use tempfile::TempDir;

/// The image of the executors' common tests, which name it so.
pub const IMAGE: &str = "none";

pub struct Dockerd {
    root: TempDir,
    arguments: Vec<String>,
    process: Mutex<Option<Child>>,
    /// Outlives the daemon, as where both are services of the machine.
    containerd: Mutex<Option<Child>>,
}

impl Dockerd {
    /// Starts a daemon and imports the image.
    pub async fn start() -> Dockerd {
        Dockerd::start_with(&[]).await
    }

    pub async fn start_with(arguments: &[&str]) -> Dockerd {
        let daemon = Dockerd::prepare(arguments);
        daemon.up().await;
        daemon.import(&[]).await;
        daemon
    }

    /// A daemon that does not run yet.
    pub fn prepare(arguments: &[&str]) -> Dockerd {
        let root = tempfile::tempdir().unwrap();
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Dockerd { root, arguments, process: Mutex::default(), containerd: Mutex::default() }
    }

    pub fn socket(&self) -> PathBuf {
        self.root.path().join("d.sock")
    }

    pub fn client(&self) -> Docker {
        Docker::connect_with_unix(self.socket().to_str().unwrap(), 60, API_DEFAULT_VERSION).unwrap()
    }

    /// Starts the daemon and waits until it answers.
    pub async fn up(&self) {
        let path = |name: &str| self.root.path().join(name).display().to_string();
        let log = || Stdio::from(std::fs::OpenOptions::new().create(true).append(true).open(path("log")).unwrap());
        let config = format!(
            "version = 2\nroot = {:?}\nstate = {:?}\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = {:?}\n",
            path("c-root"),
            path("c-state"),
            path("c.sock")
        );
        std::fs::write(path("c.toml"), config).unwrap();
        self.containerd.lock().unwrap().get_or_insert_with(|| {
            Command::new("containerd")
                .args(["--config", &path("c.toml")])
                .stdin(Stdio::null())
                .stdout(log())
                .stderr(log())
                .spawn()
                .expect("containerd must be installed for this test (Debian: containerd)")
        });
        let child = Command::new("dockerd")
            .args(["--bridge=none", "--iptables=false", "--data-root", &path("data"), "--exec-root", &path("exec")])
            .args(["--host", &format!("unix://{}", path("d.sock")), "--pidfile", &path("pid")])
            .args(["--containerd", &path("c.sock")])
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(log())
            .stderr(log())
            .spawn()
            .expect("dockerd must be installed for this test (Debian: docker.io)");
        *self.process.lock().unwrap() = Some(child);
        let answers = async {
            while !self.socket().exists() || self.client().ping().await.is_err() {
                let ended = self.process.lock().unwrap().as_mut().unwrap().try_wait().unwrap();
                let log = std::fs::read_to_string(path("log")).unwrap_or_default();
                let end = log.lines().rev().take(5).collect::<Vec<_>>();
                assert!(ended.is_none(), "dockerd has ended: {end:?}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), answers).await.expect("dockerd answers");
    }

    /// Kills the daemon as it stands. Containers and their shims know nothing of it.
    pub fn kill(&self) {
        if let Some(mut child) = self.process.lock().unwrap().take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let _ = std::fs::remove_file(self.root.path().join("pid"));
    }

    /// Imports busybox as an image, with more files in it.
    pub async fn import(&self, files: &[(&str, &str)]) {
        let directory = tempfile::tempdir().unwrap();
        let bin = directory.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        std::fs::copy("/bin/busybox", bin.join("busybox")).expect("busybox-static must be installed for this test");
        let list = Command::new("/bin/busybox").arg("--list").output().unwrap().stdout;
        for applet in String::from_utf8(list).unwrap().lines().filter(|name| *name != "busybox") {
            std::os::unix::fs::symlink("busybox", bin.join(applet)).unwrap();
        }
        for (name, content) in files {
            std::fs::write(directory.path().join(name), content).unwrap();
        }
        let tar = Command::new("tar").arg("-C").arg(directory.path()).args(["-c", "."]).output().unwrap().stdout;
        let options = CreateImageOptions {
            from_src: Some("-".into()),
            repo: Some(IMAGE.into()),
            tag: Some("latest".into()),
            ..Default::default()
        };
        let steps = self.client().create_image(Some(options), Some(body_full(tar.into())), None);
        steps.try_collect::<Vec<_>>().await.unwrap();
    }

    /// The names of all containers.
    pub async fn containers(&self) -> Vec<String> {
        let options = ListContainersOptions { all: true, ..Default::default() };
        let all = self.client().list_containers(Some(options)).await.unwrap();
        all.into_iter().flat_map(|container| container.names.unwrap_or_default()).collect()
    }

    pub async fn is_running(&self, name: &str) -> bool {
        let found = self.client().inspect_container(name, None::<InspectContainerOptions>).await.unwrap();
        found.state.unwrap().running == Some(true)
    }

    pub async fn remove(&self, name: &str) {
        let options = RemoveContainerOptions { force: true, ..Default::default() };
        self.client().remove_container(name, Some(options)).await.unwrap();
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        self.kill();
        if let Some(mut containerd) = self.containerd.lock().unwrap().take() {
            let _ = containerd.kill();
            let _ = containerd.wait();
        }
        // What the daemon has started names its root on its command line; what runs in containers goes with its shim.
        let root = self.root.path().to_str().unwrap().to_owned();
        for pid in super::processes(&root) {
            for child in super::children(pid) {
                super::kill(child);
            }
            super::kill(pid);
        }
        super::until("the daemon's processes have gone", || super::processes(&root).is_empty());
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
        let own = mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(|path| path.starts_with(&root));
        let mut own: Vec<&str> = own.collect();
        own.reverse();
        for path in own {
            Command::new("umount").args(["-l", path]).stderr(Stdio::null()).status().unwrap();
        }
    }
}
