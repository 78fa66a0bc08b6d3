//! Starts a program without a copy of the supervisor's memory, as `posix_spawn` does: until its program begins, the new
//! process works in the supervisor's own memory, on a stack of its own, while the thread that made it waits. A fork copies
//! the tables of all pages and makes the supervisor take each page that it writes to once more, which together costs more
//! than a short program itself. Owns the way from the new process to the program, and what becomes of its signals.

use std::ffi::{CStr, CString, OsStr, c_char, c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};

use rustix::process::{Pid, WaitOptions, waitpid};

/// Room for the new process until its program begins, in bytes. It calls a few functions deep.
const STACK: usize = 256 * 1024;
/// What runs a script that does not say by whom: as `execvp` does it.
const SHELL: &CStr = c"/bin/sh";
/// The last of the signals that may have handlers here; the later ones are those of real time.
const SIGNALS: c_int = 31;

/// A program, in the form that the kernel takes.
pub struct Program {
    /// Where it may be, in this order.
    candidates: Vec<CString>,
    arguments: Vec<CString>,
    environment: Vec<CString>,
    directory: CString,
}

impl Program {
    /// `commands` are the program and its arguments; it is looked for in the `PATH` of the environment unless it names a
    /// directory. Fails for a text with a NUL, and without a program.
    pub fn new(commands: &[String], environment: Vec<CString>, directory: &Path) -> io::Result<Program> {
        let name = commands.first().ok_or(io::ErrorKind::InvalidInput)?;
        let path =
            environment.iter().find_map(|variable| variable.to_bytes().strip_prefix(b"PATH=")).unwrap_or_default();
        let candidates: Result<_, _> = match name.contains('/') {
            true => [CString::new(name.as_str())].into_iter().collect(),
            false => path.split(|byte| *byte == b':').map(|directory| in_directory(directory, name)).collect(),
        };
        let arguments: Result<_, _> = commands.iter().map(|argument| CString::new(argument.as_str())).collect();
        let directory = CString::new(directory.as_os_str().as_bytes())?;
        Ok(Program { candidates: candidates?, arguments: arguments?, environment, directory })
    }

    /// Starts it with these files as standard input and as both outputs, behind `prepare`, which may make system calls
    /// only: it runs in the new process, in the memory of this one. Answers when the program has begun.
    pub fn start(
        &self,
        input: BorrowedFd<'_>,
        output: BorrowedFd<'_>,
        prepare: &dyn Fn() -> io::Result<()>,
    ) -> io::Result<Pid> {
        let arguments = pointers(&self.arguments);
        // The script takes the place of the program, behind the shell.
        let script = [SHELL.as_ptr(), ptr::null()].into_iter().chain(arguments.iter().skip(1).copied());
        let start = Start {
            candidates: self.candidates.iter().map(|candidate| candidate.as_ptr()).collect(),
            environment: pointers(&self.environment),
            directory: self.directory.as_ptr(),
            files: [(input.as_raw_fd(), 0), (output.as_raw_fd(), 1), (output.as_raw_fd(), 2)],
            script: script.map(|argument| AtomicPtr::new(argument.cast_mut())).collect(),
            arguments,
            prepare,
            failure: AtomicI32::new(0),
        };
        let mut stack: Vec<MaybeUninit<u8>> = Vec::with_capacity(STACK);
        // SAFETY: one behind the last byte of what was taken.
        let top = unsafe { stack.as_mut_ptr().add(STACK) };
        // The kernel's interface wants it aligned.
        let top = top.map_addr(|address| address & !15);
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        let argument = (&raw const start).cast_mut().cast();
        let blocked = Blocked::all()?;
        // SAFETY: this thread waits until the new process has another memory or has ended, so all that `start` points to
        // and the stack live as long as they are used. What the process does in this memory is in `Start::run`.
        let made = unsafe { libc::clone(begin, top.cast(), flags, argument) };
        let error = io::Error::last_os_error();
        drop(blocked);
        let pid = Pid::from_raw(made).filter(|_| made > 0).ok_or(error)?;
        match start.failure.load(Ordering::Relaxed) {
            0 => Ok(pid),
            code => {
                // It has ended; nobody else waits for it.
                let _ = waitpid(Some(pid), WaitOptions::empty());
                Err(io::Error::from_raw_os_error(code))
            }
        }
    }
}

/// A variable of an environment.
pub fn variable(name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> io::Result<CString> {
    let text = [name.as_ref().as_bytes(), b"=", value.as_ref().as_bytes()].concat();
    Ok(CString::new(text)?)
}

fn in_directory(directory: &[u8], name: &str) -> Result<CString, std::ffi::NulError> {
    // An empty part of the path stands for the working directory.
    let separator: &[u8] = if directory.is_empty() { b"" } else { b"/" };
    CString::new([directory, separator, name.as_bytes()].concat())
}

/// The texts as the kernel takes them: with a null behind the last one.
fn pointers(texts: &[CString]) -> Vec<*const c_char> {
    texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
}

/// All signals are held back from this thread, and so from the new process, whose handlers would run in this memory.
struct Blocked {
    before: libc::sigset_t,
}

impl Blocked {
    fn all() -> io::Result<Blocked> {
        let mut all = MaybeUninit::uninit();
        let mut before = MaybeUninit::uninit();
        // SAFETY: both are memory of the right type, filled before they are read.
        let code = unsafe {
            libc::sigfillset(all.as_mut_ptr());
            libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr())
        };
        match code {
            // SAFETY: it was filled.
            0 => Ok(Blocked { before: unsafe { before.assume_init() } }),
            code => Err(io::Error::from_raw_os_error(code)),
        }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // SAFETY: the set was filled by the kernel.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.before, ptr::null_mut()) };
    }
}

/// All that the new process needs, made before it, for it may take no memory.
struct Start<'a> {
    candidates: Vec<*const c_char>,
    arguments: Vec<*const c_char>,
    /// Arguments for the shell; the second place is the script's.
    script: Vec<AtomicPtr<c_char>>,
    environment: Vec<*const c_char>,
    directory: *const c_char,
    files: [(c_int, c_int); 3],
    prepare: &'a dyn Fn() -> io::Result<()>,
    /// Why there is no program: an error's number.
    failure: AtomicI32,
}

/// The new process.
extern "C" fn begin(argument: *mut c_void) -> c_int {
    // SAFETY: it is the `Start` of the waiting thread.
    let start = unsafe { &*argument.cast::<Start<'_>>() };
    let error = start.run();
    start.failure.store(error.raw_os_error().unwrap_or(libc::EINVAL), Ordering::Relaxed);
    127
}

impl Start<'_> {
    /// Comes back only with an error. System calls only: memory is that of the supervisor, whose other threads go on, and
    /// may hold any lock.
    fn run(&self) -> io::Error {
        // SAFETY: descriptors that are open, texts that end with a NUL, and lists that end with a null.
        unsafe {
            for signal in 1..=SIGNALS {
                // Refused for the two that have no handler.
                libc::signal(signal, libc::SIG_DFL);
            }
            let mut none = MaybeUninit::uninit();
            libc::sigemptyset(none.as_mut_ptr());
            libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut());
            for (from, to) in self.files {
                if libc::dup2(from, to) < 0 {
                    return io::Error::last_os_error();
                }
            }
            if libc::chdir(self.directory) < 0 {
                return io::Error::last_os_error();
            }
            if let Err(error) = (self.prepare)() {
                return error;
            }
            let mut denied = None;
            let mut last = io::Error::from_raw_os_error(libc::ENOENT);
            for candidate in &self.candidates {
                libc::execve(*candidate, self.arguments.as_ptr(), self.environment.as_ptr());
                last = io::Error::last_os_error();
                match last.raw_os_error() {
                    // A place that is not there, or whose file system does not answer.
                    Some(libc::ENOENT | libc::ENOTDIR | libc::ENODEV | libc::ESTALE | libc::ETIMEDOUT) => {}
                    Some(libc::EACCES) => denied = last.raw_os_error(),
                    Some(libc::ENOEXEC) => return self.run_script(*candidate),
                    _ => return last,
                }
            }
            denied.map_or(last, io::Error::from_raw_os_error)
        }
    }

    fn run_script(&self, script: *const c_char) -> io::Error {
        if let Some(place) = self.script.get(1) {
            place.store(script.cast_mut(), Ordering::Relaxed);
        }
        // SAFETY: texts that end with a NUL, in lists that end with a null; an atomic pointer lies in memory as a pointer does.
        unsafe { libc::execve(SHELL.as_ptr(), self.script.as_ptr().cast(), self.environment.as_ptr()) };
        io::Error::last_os_error()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File, Permissions};
    use std::io::Read;
    use std::os::fd::AsFd;
    use std::os::unix::fs::PermissionsExt;

    fn program(commands: &[&str], path: &str, directory: &Path) -> Program {
        let commands: Vec<String> = commands.iter().map(|text| (*text).to_owned()).collect();
        Program::new(&commands, vec![variable("PATH", path).unwrap(), variable("A", "b").unwrap()], directory).unwrap()
    }

    /// Its exit code and what it wrote.
    fn run(program: &Program) -> io::Result<(Option<i32>, String)> {
        let (mut output, writer) = io::pipe()?;
        let pid = program.start(File::open("/dev/null")?.as_fd(), writer.as_fd(), &|| Ok(()))?;
        drop(writer);
        let mut text = String::new();
        output.read_to_string(&mut text)?;
        let (_, status) = waitpid(Some(pid), WaitOptions::empty())?.unwrap();
        Ok((status.exit_status(), text))
    }

    fn file(path: &Path, content: &str, mode: u32) {
        fs::write(path, content).unwrap();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_program_gets_arguments_environment_and_directory() {
        let directory = tempfile::tempdir().unwrap();
        let script = "echo $0 $1 $A; pwd; exit 7";
        let found = run(&program(&["sh", "-c", script, "x", "y z"], "/nowhere:/bin", directory.path())).unwrap();
        let place = directory.path().canonicalize().unwrap();
        assert_eq!(found, (Some(7), format!("x y z b\n{}\n", place.display())));
    }

    #[test]
    fn a_script_that_names_nobody_is_run_by_the_shell() {
        let directory = tempfile::tempdir().unwrap();
        file(&directory.path().join("script"), "echo $0 $1", 0o755);
        let found = run(&program(&["script", "x"], directory.path().to_str().unwrap(), directory.path())).unwrap();
        assert_eq!(found, (Some(0), format!("{}/script x\n", directory.path().display())));
    }

    #[test]
    fn a_failure_is_told_and_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        file(&directory.path().join("plain"), "", 0o644);
        let path = format!("{}:/nowhere", directory.path().display());
        let fails = |commands: &[&str]| run(&program(commands, &path, directory.path())).unwrap_err().raw_os_error();
        assert_eq!(fails(&["missing"]), Some(libc::ENOENT));
        assert_eq!(fails(&["plain"]), Some(libc::EACCES), "also when later places have none of the name");
        let refused = program(&["true"], "/bin", directory.path()).start(
            File::open("/dev/null").unwrap().as_fd(),
            File::open("/dev/null").unwrap().as_fd(),
            &|| Err(io::Error::from_raw_os_error(libc::EPERM)),
        );
        assert_eq!(refused.unwrap_err().raw_os_error(), Some(libc::EPERM));
    }

    #[test]
    fn signals_are_as_a_program_expects_them() {
        // The tests' own process ignores SIGPIPE, as every Rust program.
        let script = "grep -E 'Sig(Blk|Ign)' /proc/self/status";
        let (_, text) = run(&program(&["sh", "-c", script], "/bin", Path::new("/"))).unwrap();
        let sets: Vec<u64> =
            text.lines().map(|line| u64::from_str_radix(line.split('\t').next_back().unwrap(), 16).unwrap()).collect();
        // Those of real time are as this process was started.
        let mask = (1 << SIGNALS) - 1;
        assert_eq!(sets.iter().map(|set| set & mask).collect::<Vec<_>>(), [0, 0], "{text}");
    }
}
