//! The running program's maps, for what no VLAN device or broken queue of this host could bring about.

use crate::riptide::Riptide;
use aya::maps::{MapData, MapInfo};
use std::path::Path;

/// The map with this name that the process holds.
#[must_use]
pub fn held_by(riptide: &Riptide, name: &str) -> MapData {
    let descriptors = Path::new("/proc").join(riptide.pid().to_string()).join("fdinfo");
    let ids = std::fs::read_dir(descriptors).expect("the process").flatten().filter_map(|entry| {
        let text = std::fs::read_to_string(entry.path()).ok()?;
        text.lines().find_map(|line| line.strip_prefix("map_id:")?.trim().parse::<u32>().ok())
    });
    let id = ids
        .into_iter()
        .find(|id| MapInfo::from_id(*id).is_ok_and(|info| info.name_as_str() == Some(name)))
        .unwrap_or_else(|| panic!("the process holds no map {name}"));
    MapData::from_id(id).expect("the map")
}
