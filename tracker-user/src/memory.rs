//! How much memory this process may use: what its control groups permit, or what the machine has; and how much it uses.

use nix::unistd::{SysconfVar, sysconf};
use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

/// The least of what holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Bytes.
    pub bytes: u64,
    /// The file with the limit of a control group; `None` for the memory of the machine.
    pub limit: Option<PathBuf>,
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mebibytes = self.bytes >> 20;
        match &self.limit {
            Some(file) => write!(f, "{mebibytes} MiB that {} permits", file.display()),
            None => write!(f, "{mebibytes} MiB of this machine"),
        }
    }
}

impl Memory {
    /// What holds now. `None` where the system does not tell.
    #[must_use]
    pub fn detect() -> Option<Self> {
        let read = |path: &Path| fs::read_to_string(path).ok();
        let text = |path: &str| read(Path::new(path)).unwrap_or_default();
        least(&text("/proc/meminfo"), &text("/proc/self/cgroup"), &text("/proc/self/mountinfo"), read)
    }
}

/// What this process has in memory, bytes, as proc_pid_statm(5) tells. `None` where the system does not.
#[must_use]
pub fn resident() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    let page = sysconf(SysconfVar::PAGE_SIZE).ok()??;
    Some(pages * u64::try_from(page).ok()?)
}

/// The least of the machine's memory and of the limits of each group above the process, of either version.
fn least(
    meminfo: &str,
    groups: &str,
    mounts: &str,
    read: impl Fn(&Path) -> Option<String>,
) -> Option<Memory> {
    let machine = total(meminfo).map(|bytes| Memory { bytes, limit: None });
    let limits =
        mounts.lines().filter_map(Mount::parse).flat_map(|mount| mount.files(groups)).filter_map(|file| {
            // Without a limit it is the word `max`, or in version 1 more than any machine has.
            let bytes = read(&file)?.trim().parse().ok()?;
            Some(Memory { bytes, limit: Some(file) })
        });
    machine.into_iter().chain(limits).min_by_key(|memory| memory.bytes)
}

/// `MemTotal` of proc_meminfo(5), in bytes.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

/// A mounted hierarchy of control groups that bounds memory, as proc_pid_mountinfo(5) tells.
struct Mount<'a> {
    /// The group that is seen at the mount point.
    root: &'a str,
    point: &'a str,
    /// The second version of control groups.
    unified: bool,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (mount, system) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        let (root, point) = (mount.next()?, mount.next()?);
        let mut system = system.split(' ');
        let unified = match system.next()? {
            "cgroup2" => true,
            "cgroup" if system.nth(1)?.split(',').any(|controller| controller == "memory") => false,
            _ => return None,
        };
        Some(Self { root, point, unified })
    }

    /// The files with limits, from the process's own group up to the mount point; none if it is in no group of this
    /// hierarchy. `groups` is what /proc/PID/cgroup says, see cgroups(7).
    fn files(&self, groups: &str) -> Vec<PathBuf> {
        let own = groups.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':');
            let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
            let ours = match self.unified {
                true => controllers.is_empty(),
                false => controllers.split(',').any(|controller| controller == "memory"),
            };
            ours.then_some(path)
        });
        let Some(own) = own else { return Vec::new() };
        // What lies outside of what is mounted, as in a container, bounds nothing that could be read; the mount does.
        let inside = Path::new(own).strip_prefix(self.root).unwrap_or(Path::new(""));
        let inside = if own.contains("..") { Path::new("") } else { inside };
        let names: &[&str] = match self.unified {
            true => &["memory.max", "memory.high"],
            false => &["memory.limit_in_bytes"],
        };
        inside
            .ancestors()
            .flat_map(|group| names.iter().map(move |name| Path::new(self.point).join(group).join(name)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    const MEMINFO: &str = "MemTotal:        8000000 kB\nMemFree:         1000000 kB\n";
    const MACHINE: u64 = 8_000_000 * 1024;
    /// Of a host with systemd.
    const UNIFIED: &str = "24 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n\
                           31 24 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
    /// Of a host with both versions.
    const HYBRID: &str = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
                          32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                          35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
                          41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

    fn found(groups: &str, mounts: &str, files: &[(&str, &str)]) -> (u64, String) {
        let files: HashMap<_, _> = files.iter().map(|(path, text)| (PathBuf::from(path), *text)).collect();
        let memory = least(MEMINFO, groups, mounts, |path| files.get(path).map(ToString::to_string)).unwrap();
        (memory.bytes, memory.limit.map(|path| path.display().to_string()).unwrap_or_default())
    }

    #[test]
    fn without_groups_it_is_the_machines() {
        assert_eq!(found("", "", &[]), (MACHINE, String::new()));
        assert_eq!(found("0::/\n", UNIFIED, &[]), (MACHINE, String::new()));
        assert_eq!(least("", "", "", |_| None), None);
        assert_eq!(least("MemTotal: many kB", "", "", |_| None), None);
    }

    #[test]
    fn the_tightest_group_above_counts() {
        let groups = "0::/system.slice/riptide.service\n";
        let service = "/sys/fs/cgroup/system.slice/riptide.service";
        let (max, high) = (format!("{service}/memory.max"), format!("{service}/memory.high"));
        let slice = "/sys/fs/cgroup/system.slice/memory.max";
        let of = |files: &[(&str, &str)]| found(groups, UNIFIED, files);
        assert_eq!(of(&[(&max, "1000\n"), (slice, "max\n")]), (1000, max.clone()));
        assert_eq!(of(&[(&max, "max\n"), (slice, "2000\n")]), (2000, slice.to_owned()));
        assert_eq!(of(&[(&max, "3000\n"), (slice, "2000\n")]), (2000, slice.to_owned()));
        // Beyond this one the kernel takes memory back, and the process hardly runs.
        assert_eq!(of(&[(&max, "3000\n"), (&high, "2500\n")]), (2500, high.clone()));
        assert_eq!(of(&[(&max, "9999999999999\n")]), (MACHINE, String::new()));
        assert_eq!(of(&[("/sys/fs/cgroup/other/memory.max", "1\n")]), (MACHINE, String::new()));
    }

    #[test]
    fn the_first_version_has_files_of_its_own() {
        let groups = "9:name=systemd:/\n5:cpu,cpuacct:/a\n4:memory:/a/b\n0::/c\n";
        let own = "/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes";
        let above = "/sys/fs/cgroup/memory/a/memory.limit_in_bytes";
        let unlimited = "9223372036854771712\n";
        let of = |files: &[(&str, &str)]| found(groups, HYBRID, files);
        assert_eq!(of(&[(own, "268435456\n"), (above, unlimited)]), (268_435_456, own.to_owned()));
        assert_eq!(of(&[(own, unlimited), (above, "1000\n")]), (1000, above.to_owned()));
        assert_eq!(of(&[(own, unlimited)]), (MACHINE, String::new()));
        // The other hierarchy bounds it too, where memory is its.
        let unified = "/sys/fs/cgroup/unified/c/memory.max";
        assert_eq!(of(&[(unified, "500\n"), (own, "1000\n")]), (500, unified.to_owned()));
    }

    #[test]
    fn in_a_container_the_mount_is_the_group() {
        // Without a namespace of its own: the names are the host's, the mount begins at the container's group.
        let mounts =
            "77 66 0:32 /docker/abc /sys/fs/cgroup/memory ro,nosuid master:11 - cgroup cgroup rw,memory\n";
        let limit = "/sys/fs/cgroup/memory/memory.limit_in_bytes";
        assert_eq!(found("4:memory:/docker/abc\n", mounts, &[(limit, "7000\n")]), (7000, limit.to_owned()));
        // With one.
        let limit = "/sys/fs/cgroup/memory.max";
        assert_eq!(found("0::/\n", UNIFIED, &[(limit, "7000\n")]), (7000, limit.to_owned()));
        // Moved outside of it.
        assert_eq!(found("0::/../other\n", UNIFIED, &[(limit, "7000\n")]), (7000, limit.to_owned()));
    }

    #[test]
    fn this_machine_has_some() {
        let memory = Memory::detect().unwrap();
        assert!(memory.bytes > 1 << 20, "{memory}");
        assert!(resident().unwrap() > 1 << 20);
    }
}
