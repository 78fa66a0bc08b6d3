//! Whether a container can start its program. The daemon's init starts well in any case and tells what it did not find
//! only in the log, so it is looked for before the start. Owns the looking and its memory; starts nothing.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::container::WORK;
use super::daemon::{Daemon, Fault};
use super::image::Facts;
use crate::executors::Launch;

/// Where programs are looked for when nobody says.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How much is remembered. An image's content never changes under its id.
const MEMORY: usize = 1024;
/// Most directories that are looked into.
const DIRECTORIES: usize = 20;
/// Longest part of a name that is shown.
const SHOWN: usize = 200;
/// Longest name of a file, and longest path, on every file system.
const NAME_LIMIT: usize = 255;
const PATH_LIMIT: usize = 4095;

/// The type bits of Go's `os.FileMode`: a directory, and a symbolic link, whose end is not looked at.
const IS_DIRECTORY: u32 = 1 << 31;
const IS_LINK: u32 = 1 << 27;

/// What was found so far.
#[derive(Default)]
pub struct Programs {
    found: Mutex<HashMap<Place, bool>>,
}

/// An image and a path in it.
type Place = (String, String);

impl Programs {
    /// Why the program of a launch can't be started in this container, if it can't.
    pub async fn refusal(&self, daemon: &Daemon, container: &str, launch: &Launch, image: &Facts) -> Option<String> {
        let program = launch.commands.first()?;
        let mut forbidden = false;
        let may_be = |path: &String| path.len() <= PATH_LIMIT && path.split('/').all(|name| name.len() <= NAME_LIMIT);
        for path in candidates(program, launch, image).into_iter().filter(may_be) {
            match self.executable(daemon, container, &image.id, path).await {
                Ok(Some(true)) => return None,
                Ok(Some(false)) => forbidden = true,
                Ok(None) => {}
                // Whoever can't be asked is believed: the start will tell.
                Err(_) => return None,
            }
        }
        let shown: String = program.chars().take(SHOWN).collect();
        let reason = if forbidden { "it is not executable" } else { "it was not found in the image" };
        Some(format!("{shown:?} can't be started: {reason}"))
    }

    /// Whether there is such a file, and whether it can be executed.
    async fn executable(
        &self,
        daemon: &Daemon,
        container: &str,
        image: &str,
        path: String,
    ) -> Result<Option<bool>, Fault> {
        let place = (image.to_owned(), path);
        if self.lock().get(&place) == Some(&true) {
            return Ok(Some(true));
        }
        match daemon.file_mode(container, &place.1).await {
            Ok(mode) => {
                let executable = mode & IS_LINK != 0 || (mode & IS_DIRECTORY == 0 && mode & 0o111 != 0);
                let mut found = self.lock();
                if found.len() >= MEMORY {
                    found.clear();
                }
                found.insert(place, executable);
                Ok(Some(executable))
            }
            Err(fault) if fault.is(404) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Place, bool>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a program may lie, as the init looks for it.
fn candidates(program: &str, launch: &Launch, image: &Facts) -> Vec<String> {
    let working_directory = match image.working_directory.as_str() {
        "" | "/" => WORK,
        other => other,
    };
    let absolute = |path: &str| match path.starts_with('/') {
        true => path.to_owned(),
        false => format!("{}/{path}", working_directory.trim_end_matches('/')),
    };
    if program.contains('/') {
        return vec![absolute(program)];
    }
    let own = launch.environment.iter().rev().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_str());
    let path = own.or(image.path.as_deref()).unwrap_or(PATH);
    let directories = path.split(':').filter(|directory| !directory.is_empty()).take(DIRECTORIES);
    directories.map(|directory| format!("{}/{program}", absolute(directory).trim_end_matches('/'))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executors::conformance;

    #[test]
    fn programs_are_looked_for_where_the_init_looks() {
        let mut launch = conformance::launch(vec!["true".into()]);
        let mut image = Facts { path: Some("/bin:tools::/opt/".into()), ..Facts::default() };
        assert_eq!(candidates("sh", &launch, &image), ["/bin/sh", "/work/tools/sh", "/opt/sh"]);
        assert_eq!(candidates("./run", &launch, &image), ["/work/./run"]);
        assert_eq!(candidates("/x/run", &launch, &image), ["/x/run"]);
        image.working_directory = "/app".into();
        assert_eq!(candidates("bin/run", &launch, &image), ["/app/bin/run"]);
        launch.environment.push(("PATH".into(), "/mine".into()));
        assert_eq!(candidates("sh", &launch, &image), ["/mine/sh"]);
        let plain = conformance::launch(Vec::new());
        assert_eq!(candidates("sh", &plain, &Facts::default()).len(), 6);
    }
}
