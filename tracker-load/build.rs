//! Embeds the load programs, where `cargo xtask build-ebpf` has built them.

use std::{env, error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let manifest = env::var("CARGO_MANIFEST_DIR")?;
    let root = Path::new(&manifest).parent().ok_or("the crate has no parent folder")?;
    // Cargo watches the folder, since a path that does not exist would make it build every time.
    let folder = root.join("target/bpf");
    fs::create_dir_all(&folder)?;
    println!("cargo::rerun-if-changed={}", folder.display());
    println!("cargo::rustc-check-cfg=cfg(load_programs)");
    let object = folder.join("riptide-load.bpf.o");
    if object.exists() {
        println!("cargo::rerun-if-changed={}", object.display());
        println!("cargo::rustc-cfg=load_programs");
        println!("cargo::rustc-env=RIPTIDE_LOAD_PROGRAMS={}", object.display());
    }
    Ok(())
}
