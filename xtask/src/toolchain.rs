//! Which compiler builds the XDP program, chosen by what is there, and installing one where none is.
//!
//! The target has no prebuilt `core` from rustup, so one of two ways brings it: the stable toolchain compiles `core`
//! from the component `rust-src`, or Debian's compiler comes with a compiled one.

use crate::{apt, cargo_tool, machine, pins, process, say};
use anyhow::{Context, Result, bail};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The way to a `core` for the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Way {
    /// The active toolchain and its `rust-src`
    RustSrc,
    /// Debian's rustc-web and libstd-rust-web-dev-bpf
    Debian,
}

/// A compiler that can build the XDP program.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Toolchain {
    /// The active one. `libraries` holds its LLVM, for the linker.
    RustSrc { libraries: PathBuf },
    /// Debian's. `llvm` is its LLVM library, for the linker.
    Debian { llvm: PathBuf },
}

/// What the choice is made from.
#[derive(Clone, Copy)]
struct Found {
    /// The active toolchain has the LLVM that the linker can load.
    llvm_fits: bool,
    /// The active toolchain has the sources of `core`.
    rust_src: bool,
    /// Debian's compiler and its `core` are there.
    debian: bool,
    /// Rustup manages the active toolchain.
    rustup: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Choice {
    Use(Way),
    AddRustSrc,
    InstallDebian,
}

/// What is already there wins over what would have to be installed, so that a second run installs nothing.
fn choose(found: Found, wanted: Option<Way>) -> Choice {
    let rust_src = wanted != Some(Way::Debian) && found.llvm_fits;
    let debian = wanted != Some(Way::RustSrc);
    match found {
        Found { rust_src: true, .. } if rust_src => Choice::Use(Way::RustSrc),
        Found { debian: true, .. } if debian => Choice::Use(Way::Debian),
        Found { rustup: true, .. } if rust_src => Choice::AddRustSrc,
        _ if debian => Choice::InstallDebian,
        _ => Choice::AddRustSrc,
    }
}

/// Finds a compiler for the XDP program and installs one where none is.
///
/// # Errors
/// Neither way can be had; the text holds the one thing to do.
pub(crate) fn ensure(wanted: Option<Way>) -> Result<Toolchain> {
    let active = Active::inspect()?;
    let found = Found {
        llvm_fits: active.llvm == Some(pins::LLVM_MAJOR),
        rust_src: active.has_rust_src(),
        debian: apt::present(pins::DEBIAN_BPF_PACKAGES),
        rustup: machine::find_program("rustup").is_some(),
    };
    match choose(found, wanted) {
        Choice::Use(Way::RustSrc) => Ok(active.into()),
        Choice::Use(Way::Debian) => debian(),
        Choice::AddRustSrc => {
            if wanted == Some(Way::RustSrc) && !found.llvm_fits {
                bail!(
                    "the active toolchain has another LLVM than {}, which bpf-linker {} needs: \
                     run `cargo xtask build-ebpf --way debian`",
                    pins::LLVM_MAJOR,
                    cargo_tool::display(pins::BPF_LINKER.version)
                );
            }
            say::step("adding the component rust-src (`core` for the eBPF target is built from it)");
            let mut rustup = process::program("rustup");
            match process::run(rustup.args(["component", "add", "rust-src"])) {
                Ok(()) if active.has_rust_src() => Ok(active.into()),
                Err(error) if wanted == Some(Way::RustSrc) => {
                    Err(error).context("cannot add rust-src: run `cargo xtask build-ebpf --way debian`")
                }
                _ => {
                    say::step("rust-src cannot be had from rustup; taking Debian's compiler instead");
                    install_debian()
                }
            }
        }
        Choice::InstallDebian => install_debian(),
    }
}

fn install_debian() -> Result<Toolchain> {
    apt::ensure(pins::DEBIAN_BPF_PACKAGES, "a compiler for the eBPF target")?;
    debian()
}

fn debian() -> Result<Toolchain> {
    let printed = process::output(process::program(pins::DEBIAN_RUSTC).arg("-vV"))?;
    let libraries = Path::new("/usr/lib").join(format!("{}-linux-gnu", std::env::consts::ARCH));
    let llvm = libraries.join(format!("libLLVM-{}.so", pins::LLVM_MAJOR));
    if llvm_major(&printed) != Some(pins::LLVM_MAJOR) || !llvm.exists() {
        bail!(
            "{} is not built with LLVM {}, which bpf-linker {} needs: run `rustup component add rust-src`",
            pins::DEBIAN_RUSTC,
            pins::LLVM_MAJOR,
            cargo_tool::display(pins::BPF_LINKER.version)
        );
    }
    Ok(Toolchain::Debian { llvm })
}

/// The toolchain that runs xtask.
struct Active {
    sysroot: PathBuf,
    llvm: Option<u32>,
}

impl Active {
    fn inspect() -> Result<Self> {
        let sysroot = process::output(process::program("rustc").args(["--print", "sysroot"]))?;
        let version = process::output(process::program("rustc").arg("-vV"))?;
        Ok(Self { sysroot: sysroot.trim_end().into(), llvm: llvm_major(&version) })
    }

    fn has_rust_src(&self) -> bool {
        fs::exists(self.sysroot.join("lib/rustlib/src/rust/library/core/Cargo.toml")).unwrap_or(false)
    }
}

impl From<Active> for Toolchain {
    fn from(active: Active) -> Self {
        Self::RustSrc { libraries: active.sysroot.join("lib") }
    }
}

/// The major version of LLVM in what `rustc -vV` prints.
fn llvm_major(printed: &str) -> Option<u32> {
    let version = printed.lines().find_map(|line| line.strip_prefix("LLVM version:"))?;
    version.trim().split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Found = Found { llvm_fits: true, rust_src: false, debian: false, rustup: true };

    #[test]
    fn what_is_there_is_used() {
        let both = Found { rust_src: true, debian: true, ..NOTHING };
        assert_eq!(choose(both, None), Choice::Use(Way::RustSrc));
        assert_eq!(choose(Found { rust_src: true, ..NOTHING }, None), Choice::Use(Way::RustSrc));
        let debian = Found { debian: true, ..NOTHING };
        assert_eq!(choose(debian, None), Choice::Use(Way::Debian), "rustup is not asked again");
    }

    #[test]
    fn what_is_missing_comes_from_rustup_first() {
        assert_eq!(choose(NOTHING, None), Choice::AddRustSrc);
        assert_eq!(choose(Found { rustup: false, ..NOTHING }, None), Choice::InstallDebian);
    }

    #[test]
    fn a_toolchain_with_another_llvm_is_passed_over() {
        let newer = Found { llvm_fits: false, rust_src: true, ..NOTHING };
        assert_eq!(choose(newer, None), Choice::InstallDebian);
        assert_eq!(choose(Found { debian: true, ..newer }, None), Choice::Use(Way::Debian));
    }

    #[test]
    fn a_wish_is_followed() {
        let both = Found { rust_src: true, debian: true, ..NOTHING };
        assert_eq!(choose(both, Some(Way::Debian)), Choice::Use(Way::Debian));
        assert_eq!(choose(NOTHING, Some(Way::Debian)), Choice::InstallDebian);
        let debian = Found { debian: true, ..NOTHING };
        assert_eq!(choose(debian, Some(Way::RustSrc)), Choice::AddRustSrc);
    }

    #[test]
    fn the_llvm_version_is_read() {
        assert_eq!(llvm_major("rustc 1.96.0\nhost: x\nLLVM version: 22.1.8\n"), Some(22));
        assert_eq!(llvm_major("LLVM version: 9.0\n"), Some(9));
        assert_eq!(llvm_major("rustc 1.96.0\n"), None);
    }
}
