//! `cargo xtask build-ebpf`: the XDP programs, from source to `target/bpf/`.

use crate::{
    machine, pins, process, say,
    toolchain::{self, Toolchain, Way},
};
use anyhow::{Context, Result};
use std::{
    env,
    ffi::OsString,
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

/// The binaries of tracker-ebpf, and the objects that they become: the tracker's program, and the load generator's.
const OBJECTS: [(&str, &str); 2] =
    [("riptide-xdp", "riptide.bpf.o"), ("riptide-load-xdp", "riptide-load.bpf.o")];

/// What `build-ebpf` takes.
#[derive(clap::Args, Default)]
pub(crate) struct Arguments {
    /// Use this compiler instead of choosing by what is installed
    #[arg(long, value_enum)]
    way: Option<Way>,
}

/// Builds the objects. Their path never depends on `CARGO_TARGET_DIR`: build scripts embed them from there.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let toolchain = toolchain::ensure(arguments.way)?;
    let linker = pins::BPF_LINKER.ensure()?;
    let root = machine::workspace_root();
    let build_dir = root.join("target/ebpf-build");

    let mut build = process::cargo();
    build.args(["build", "--package", "tracker-ebpf", "--bins", "--profile", "bpf"]);
    build.args(["--target", pins::EBPF_TARGET]).arg("--target-dir").arg(&build_dir);
    for variable in ["RUSTC", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "CARGO_BUILD_TARGET", "RUSTFLAGS"] {
        build.env_remove(variable);
    }
    build.env("RUSTC_BOOTSTRAP", "1").env("CARGO_ENCODED_RUSTFLAGS", flags(&root, &toolchain));
    build.env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", linker);
    // bpf-linker takes the first LLVM library in these directories.
    match &toolchain {
        Toolchain::RustSrc { libraries } => {
            say::step("building the eBPF objects with the active toolchain and rust-src");
            build.arg("-Zbuild-std=core").env("LD_LIBRARY_PATH", libraries);
        }
        Toolchain::Debian { llvm } => {
            say::step("building the eBPF objects with Debian's rustc-web");
            build.env("RUSTC", pins::DEBIAN_RUSTC).env("LD_LIBRARY_PATH", only_this(llvm, &build_dir)?);
        }
    }
    process::run(&mut build).context("cannot build the eBPF objects: see the compiler's message above")?;

    for (binary, object) in OBJECTS {
        let built = build_dir.join(pins::EBPF_TARGET).join("bpf").join(binary);
        let object = root.join("target/bpf").join(object);
        let changed = copy_if_changed(&built, &object)?;
        let state = if changed { "built" } else { "up to date" };
        say::step(&format!("{}: {state}", object.strip_prefix(&root).unwrap_or(&object).display()));
    }
    Ok(())
}

/// Compiler flags of the program, in cargo's encoding. The paths are cut, so that the object does not depend on
/// where the checkout, cargo's home and the toolchain are.
fn flags(root: &Path, toolchain: &Toolchain) -> OsString {
    let mut flags = OsString::from("-Cdebuginfo=2\u{1f}-Clink-arg=--btf");
    let mut cut = |path: &Path, to: &str| {
        flags.push("\u{1f}--remap-path-prefix=");
        flags.push(path);
        flags.push("=");
        flags.push(to);
    };
    cut(root, ".");
    if let Some(home) = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(default_cargo_home) {
        cut(&home, "cargo");
    }
    if let Toolchain::RustSrc { libraries } = toolchain {
        cut(&libraries.join("rustlib/src/rust"), "rust");
    }
    flags
}

fn default_cargo_home() -> Option<PathBuf> {
    env::var_os("HOME").map(|home| Path::new(&home).join(".cargo"))
}

/// A directory in which `library` is the only one: the system's directory may hold several versions of LLVM.
fn only_this(library: &Path, build_dir: &Path) -> Result<PathBuf> {
    let directory = build_dir.join("llvm");
    let name = library.file_name().unwrap_or(library.as_os_str());
    let link = directory.join(name);
    if fs::read_link(&link).is_ok_and(|target| target == library) {
        return Ok(directory);
    }
    let make = || {
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        fs::create_dir_all(&directory)?;
        symlink(library, &link)
    };
    make().with_context(|| format!("cannot link {} into {}", library.display(), directory.display()))?;
    Ok(directory)
}

/// Copies unless the bytes are the same, so that nothing that embeds the file is built again. A reader sees the old
/// file or the new one, never a part.
fn copy_if_changed(from: &Path, to: &Path) -> Result<bool> {
    let new = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if fs::read(to).is_ok_and(|old| old == new) {
        return Ok(false);
    }
    let write = || -> io::Result<()> {
        if let Some(directory) = to.parent() {
            fs::create_dir_all(directory)?;
        }
        let part = to.with_extension("part");
        fs::write(&part, &new)?;
        fs::rename(&part, to)
    };
    write().with_context(|| format!("cannot write {}", to.display()))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory of this test's own, removed when it goes.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn an_unchanged_object_is_not_written_again() {
        let scratch = Scratch::new("copy");
        let (from, to) = (scratch.0.join("from"), scratch.0.join("new/to.o"));
        fs::write(&from, b"one").unwrap();
        assert!(copy_if_changed(&from, &to).unwrap(), "the first copy");
        let first = fs::metadata(&to).unwrap().modified().unwrap();
        assert!(!copy_if_changed(&from, &to).unwrap(), "the same bytes");
        assert_eq!(fs::metadata(&to).unwrap().modified().unwrap(), first);
        fs::write(&from, b"two").unwrap();
        assert!(copy_if_changed(&from, &to).unwrap(), "other bytes");
        assert_eq!(fs::read(&to).unwrap(), b"two");
        assert!(copy_if_changed(&scratch.0.join("absent"), &to).is_err());
    }

    #[test]
    fn the_linker_sees_one_library_only() {
        let scratch = Scratch::new("llvm");
        let directory = only_this(Path::new("/usr/lib/libLLVM-21.so"), &scratch.0).unwrap();
        assert_eq!(only_this(Path::new("/usr/lib/libLLVM-22.so"), &scratch.0).unwrap(), directory);
        let names: Vec<_> =
            fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["libLLVM-22.so"]);
    }

    #[test]
    fn flags_are_separated_as_cargo_wants() {
        let toolchain = Toolchain::RustSrc { libraries: "/rust/lib".into() };
        let flags = flags(Path::new("/a b/riptide"), &toolchain).into_string().unwrap();
        let flags: Vec<_> = flags.split('\u{1f}').collect();
        assert_eq!(flags[..3], ["-Cdebuginfo=2", "-Clink-arg=--btf", "--remap-path-prefix=/a b/riptide=."]);
        assert_eq!(flags.last(), Some(&"--remap-path-prefix=/rust/lib/rustlib/src/rust=rust"));
    }
}
