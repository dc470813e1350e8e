//! The running program's maps, for what no VLAN device or broken queue of this host could bring about.

use crate::{net::workspace, riptide::Riptide};
use aya::maps::{MapData, MapInfo};
use std::{path::Path, process::Command};

/// The map with this name that the process holds.
#[must_use]
pub fn held_by(riptide: &Riptide, name: &str) -> MapData {
    MapData::from_id(id_of(riptide, name)).expect("the map")
}

/// Has the kernel refuse every further change to the map with this name that the process holds.
///
/// # Panics
/// If it holds none, or the kernel cannot.
pub fn freeze(riptide: &Riptide, name: &str) {
    let script = workspace().join("tests/clients/freeze_map.py");
    let mut python = Command::new("/usr/bin/python3");
    let output = python.arg(script).arg(id_of(riptide, name).to_string()).output().expect("python3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn id_of(riptide: &Riptide, name: &str) -> u32 {
    let descriptors = Path::new("/proc").join(riptide.pid().to_string()).join("fdinfo");
    let ids = std::fs::read_dir(descriptors).expect("the process").flatten().filter_map(|entry| {
        let text = std::fs::read_to_string(entry.path()).ok()?;
        text.lines().find_map(|line| line.strip_prefix("map_id:")?.trim().parse::<u32>().ok())
    });
    ids.into_iter()
        .find(|id| MapInfo::from_id(*id).is_ok_and(|info| info.name_as_str() == Some(name)))
        .unwrap_or_else(|| panic!("the process holds no map {name}"))
}
