//! Memory control groups, of version 2 or 1 as the host has them, that nothing outlives.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A group whose processes have so much memory together, sockets' and page cache included. Removed when dropped, which
/// its processes have to be before.
pub struct Cgroup {
    path: PathBuf,
    version: Version,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

impl Cgroup {
    /// Makes one that permits so many bytes.
    ///
    /// # Panics
    /// Without the privilege to do so.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let groups = Path::new("/sys/fs/cgroup");
        let (root, version) = match groups.join("memory").is_dir() {
            true => (groups.join("memory"), Version::One),
            false => (groups.to_owned(), Version::Two),
        };
        if version == Version::Two {
            fs::write(root.join("cgroup.subtree_control"), "+memory").expect("groups with limits of memory");
        }
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = root.join(format!("riptide-test-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap_or_else(|e| panic!("a group at {}: {e}", path.display()));
        let group = Self { path, version };
        match version {
            Version::Two => {
                group.write("memory.max", bytes);
                // Swap would only put the end off; a kernel may be without it.
                let _ = fs::write(group.path.join("memory.swap.max"), "0");
            }
            Version::One => {
                group.write("memory.limit_in_bytes", bytes);
                // Sockets are counted apart, and only where they are limited.
                group.write("memory.kmem.tcp.limit_in_bytes", bytes);
            }
        }
        group
    }

    fn write(&self, file: &str, value: u64) {
        fs::write(self.path.join(file), value.to_string()).unwrap_or_else(|e| panic!("{file}: {e}"));
    }

    fn read(&self, file: &str) -> u64 {
        let text = fs::read_to_string(self.path.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        text.trim().parse().unwrap_or_else(|e| panic!("{file}: {e}: {text}"))
    }

    /// Where a process writes its number to be in it.
    #[must_use]
    pub fn processes(&self) -> PathBuf {
        self.path.join("cgroup.procs")
    }

    /// Bytes in use now, those of sockets among them.
    #[must_use]
    pub fn used(&self) -> u64 {
        match self.version {
            Version::Two => self.read("memory.current"),
            Version::One => self.read("memory.usage_in_bytes") + self.sockets(),
        }
    }

    /// Bytes of sockets in use now.
    ///
    /// # Panics
    /// If the kernel does not tell.
    #[must_use]
    pub fn sockets(&self) -> u64 {
        match self.version {
            Version::One => self.read("memory.kmem.tcp.usage_in_bytes"),
            Version::Two => self.keyed("memory.stat", "sock"),
        }
    }

    /// How many processes the kernel has killed for want of memory.
    ///
    /// # Panics
    /// If it does not tell.
    #[must_use]
    pub fn kills(&self) -> u64 {
        let file = if self.version == Version::Two { "memory.events" } else { "memory.oom_control" };
        self.keyed(file, "oom_kill")
    }

    fn keyed(&self, file: &str, key: &str) -> u64 {
        let text = fs::read_to_string(self.path.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        let value = text.lines().find_map(|line| line.strip_prefix(key)?.trim().parse().ok());
        value.unwrap_or_else(|| panic!("{key} of {file}: {text}"))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // A process that was killed leaves a moment later.
        for _ in 0..100 {
            if fs::remove_dir(&self.path).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}
