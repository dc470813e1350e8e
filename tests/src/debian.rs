//! A small Debian to install packages into, thrown away afterwards.

use crate::net::{Namespace, workspace};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, unshare},
};
use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

/// The root directory of a Debian with nothing but what every one has, and a network of its own.
///
/// What it is made of is laid over `target/debian-root`, and is seen by the thread that made it and by what that starts: the
/// kernel clears it away with them.
pub struct Debian {
    root: PathBuf,
    /// Its network.
    pub host: Namespace,
    directory: TempDir,
}

impl Debian {
    /// Lays it over the one that `cargo xtask test` makes.
    #[must_use]
    pub fn new() -> Self {
        let below = workspace().join("target/debian-root");
        assert!(below.is_dir(), "no Debian at {}: `cargo xtask test` makes it", below.display());
        let host = Namespace::new("debian");
        unshare(CloneFlags::CLONE_NEWNS).expect("mounts of its own");
        let nothing = None::<&str>;
        mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing).expect("to keep mounts");
        let directory = TempDir::with_prefix("riptide-test-").expect("a temporary directory");
        let top = directory.path();
        mount(Some("tmpfs"), top, Some("tmpfs"), MsFlags::empty(), Some("mode=755")).expect("a tmpfs");
        for name in ["upper", "work", "root"] {
            std::fs::create_dir(top.join(name)).expect("a directory");
        }
        let root = top.join("root");
        let layers = format!(
            "lowerdir={},upperdir={},workdir={}",
            below.display(),
            top.join("upper").display(),
            top.join("work").display()
        );
        mount(Some("overlay"), &root, Some("overlay"), MsFlags::empty(), Some(layers.as_str()))
            .expect("an overlay");
        mount(Some("proc"), &root.join("proc"), Some("proc"), MsFlags::empty(), nothing).expect("/proc");
        Self { root, host, directory }
    }

    /// Where a path of it is for this process.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// The text of a file of it.
    #[must_use]
    pub fn read(&self, path: &str) -> String {
        let place = self.path(path);
        std::fs::read_to_string(&place).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    /// A command inside it, words divided by white space.
    #[must_use]
    pub fn command(&self, line: &str) -> Command {
        let mut command = self.host.command("chroot");
        command.arg(&self.root).args(line.split_whitespace()).stdin(Stdio::null());
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("LC_ALL", "C.UTF-8").env("DEBIAN_FRONTEND", "noninteractive");
        command
    }

    /// Runs a command inside it to its end.
    #[must_use]
    pub fn output(&self, line: &str) -> Output {
        self.command(line).output().expect("to start a command")
    }

    /// The same where it must succeed; gives what it said, standard error behind standard output.
    pub fn run(&self, line: &str) -> String {
        let output = self.output(line);
        let said =
            [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        assert!(output.status.success(), "{line}: {}\n{said}", output.status);
        said
    }

    /// All that is in it but `/proc`, in order, as `find` lists it.
    #[must_use]
    pub fn files(&self) -> Vec<String> {
        let listed = self.run("find / -xdev -path /proc -prune -o -print");
        let mut files: Vec<String> = listed.lines().map(str::to_owned).collect();
        files.sort();
        files
    }

    /// Copies a file of this machine into its `/root`.
    pub fn bring(&self, file: &Path) {
        let name = file.file_name().expect("a file");
        std::fs::copy(file, self.path("/root").join(name))
            .unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    }
}

impl Drop for Debian {
    fn drop(&mut self) {
        // With all that is mounted below it, whoever still uses that.
        let _ = umount2(self.directory.path(), MntFlags::MNT_DETACH);
    }
}

impl Default for Debian {
    fn default() -> Self {
        Self::new()
    }
}

/// Makes the packages of the binary under test, in this directory.
pub fn make_packages(directory: &Path) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["xtask", "package", "--fast", "--binary"])
        .arg(crate::riptide::binary().canonicalize().expect("the binary"));
    command.arg("--output").arg(directory).current_dir(workspace()).stdin(Stdio::null());
    let output = command.output().expect("cargo");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo xtask package: {errors}");
}

/// The one file in a directory whose name ends so.
#[must_use]
pub fn file(directory: &Path, ending: &str) -> PathBuf {
    let mut all = std::fs::read_dir(directory).expect("a directory").flatten().map(|entry| entry.path());
    let found = all.find(|path| path.to_string_lossy().ends_with(ending));
    found.unwrap_or_else(|| panic!("no *{ending} in {}", directory.display()))
}
