//! What the kernel tells of a process, and how it is limited.

use crate::riptide::Riptide;
use std::path::{Path, PathBuf};

fn directory(riptide: &Riptide) -> PathBuf {
    Path::new("/proc").join(riptide.pid().to_string())
}

/// Memory that it occupies, bytes.
#[must_use]
pub fn resident(riptide: &Riptide) -> u64 {
    memory(riptide, "VmRSS:")
}

/// The most memory that it has occupied so far, bytes.
#[must_use]
pub fn peak(riptide: &Riptide) -> u64 {
    memory(riptide, "VmHWM:")
}

fn memory(riptide: &Riptide, name: &str) -> u64 {
    let text = std::fs::read_to_string(directory(riptide).join("status")).expect("the process");
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("its memory");
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kilobytes * 1024
}

/// Descriptors that it has open.
#[must_use]
pub fn descriptors(riptide: &Riptide) -> usize {
    std::fs::read_dir(directory(riptide).join("fd")).expect("the process").count()
}

/// Allows it so many descriptors from now on, those that it has among them.
pub fn limit_descriptors(riptide: &Riptide, most: usize) {
    crate::net::run("prlimit", &["--pid", &riptide.pid().to_string(), &format!("--nofile={most}:{most}")]);
}
