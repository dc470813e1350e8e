//! Embeds the XDP program, where `cargo xtask build-ebpf` has built it, and the commit.

use std::{env, error::Error, fs, path::Path, process::Command};

fn main() -> Result<(), Box<dyn Error>> {
    let manifest = env::var("CARGO_MANIFEST_DIR")?;
    let root = Path::new(&manifest).parent().ok_or("the crate has no parent folder")?;
    // Cargo watches the folder, since a path that does not exist would make it rebuild every time.
    let folder = root.join("target/bpf");
    fs::create_dir_all(&folder)?;
    println!("cargo::rerun-if-changed={}", folder.display());
    println!("cargo::rustc-check-cfg=cfg(xdp_program)");
    let object = folder.join("riptide.bpf.o");
    if object.exists() {
        println!("cargo::rerun-if-changed={}", object.display());
        println!("cargo::rustc-cfg=xdp_program");
        println!("cargo::rustc-env=RIPTIDE_XDP_PROGRAM={}", object.display());
    }

    println!("cargo::rerun-if-changed={}", root.join(".git/logs/HEAD").display());
    let commit = Command::new("git")
        .args(["rev-parse", "--short=12", "HEAD"])
        .current_dir(root)
        .output()
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok());
    println!("cargo::rustc-env=RIPTIDE_COMMIT={}", commit.as_deref().map_or("unknown", str::trim));
    Ok(())
}
