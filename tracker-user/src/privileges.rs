//! Giving up root, once sockets are bound and the program is attached, for no more than is still needed.
//!
//! What the XDP path needs for as long as it runs, tried one by one on Linux 6.18 with `unprivileged_bpf_disabled = 2`:
//! `CAP_BPF` and `CAP_NET_ADMIN` together to load the program and to make its XSKMAP, `CAP_PERFMON` for a program that
//! computes with packet pointers, `CAP_NET_RAW` to open AF_XDP sockets, and `CAP_IPC_LOCK` for their packet memory,
//! which otherwise counts against a small limit of locked memory. Updating maps and attaching through descriptors that
//! are held takes nothing there, but `CAP_BPF` on kernels before 5.19 or so.

use crate::{
    config,
    state_directory::{self, KEY_FILE, is_ours},
};
use caps::{CapSet, Capability, CapsHashSet};
use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, AtFlags, OFlag, open, openat},
    sys::{
        prctl,
        stat::{FileStat, Mode, SFlag, fstat},
    },
    unistd::{Gid, Group, Uid, User, fchown, fchownat, geteuid, initgroups, setgroups, setresgid, setresuid},
};
use std::{
    ffi::CString,
    fs,
    path::{Path, PathBuf},
};

/// What the process goes on doing, as far as it takes privileges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Whether it has an XDP program: attaching again, opening AF_XDP sockets, updating maps.
    pub xdp: bool,
    /// Whether its AF_XDP sockets poll the device.
    pub busy_poll: bool,
}

/// Who to become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user's name, if it has one: its supplementary groups come with it.
    name: Option<String>,
    /// The user.
    pub uid: Uid,
    /// The group.
    pub gid: Gid,
}

/// Why privileges could not be given up.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// No such user or group.
    #[error("privileges.{key}: there is no {key} `{name}` on this machine; create it or name another")]
    Unknown {
        /// `user` or `group`.
        key: &'static str,
        /// As configured.
        name: String,
    },
    /// A user that is only a number has no group of its own.
    #[error("privileges.group: user {0} has no entry that names its group; set privileges.group")]
    GroupNeeded(Uid),
    /// The databases of users and groups cannot be asked.
    #[error("privileges.{key}: `{name}` cannot be looked up: {source}")]
    Lookup {
        /// `user` or `group`.
        key: &'static str,
        /// As configured.
        name: String,
        /// What went wrong.
        source: Errno,
    },
    /// Only root can become somebody else.
    #[error(
        "privileges.user: only root can become another user, and this process runs as user {uid}; start it as root, \
         or leave privileges.user empty"
    )]
    NotRoot {
        /// Who the process is.
        uid: Uid,
    },
    /// Capabilities are per thread: other threads would keep theirs.
    #[error("privileges cannot be given up while {0} threads run; this is a fault in the program")]
    Threads(usize),
    /// A step failed; the process must not go on half way.
    #[error("giving up root failed at {step}: {reason}")]
    Step {
        /// What was tried.
        step: &'static str,
        /// The system's answer.
        reason: String,
    },
    /// The state directory could not be given to the new user.
    #[error("{}: cannot be given to user {uid}: {source}", path.display())]
    HandOver {
        /// The file or directory.
        path: PathBuf,
        /// The new owner.
        uid: Uid,
        /// What went wrong.
        source: Errno,
    },
}

impl PrivilegeError {
    /// The key of `[privileges]` that it is about.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::Unknown { key, .. } | Self::Lookup { key, .. } => key,
            Self::GroupNeeded(_) => "group",
            _ => "user",
        }
    }
}

impl Identity {
    /// Who the configuration says to become; `None` if it leaves the process as it is.
    ///
    /// # Errors
    /// If there is no such user or group, or the process is neither root nor that user.
    pub fn resolve(wanted: &config::Privileges) -> Result<Option<Self>, PrivilegeError> {
        let Some(user) = &wanted.user else { return Ok(None) };
        let (name, uid, own_gid) = find_user(user)?;
        let gid = match &wanted.group {
            Some(group) => find_group(group)?,
            None => own_gid.ok_or(PrivilegeError::GroupNeeded(uid))?,
        };
        let current = geteuid();
        if !current.is_root() && current != uid {
            return Err(PrivilegeError::NotRoot { uid: current });
        }
        Ok(Some(Self { name, uid, gid }))
    }

    /// Gives the key file and the tracker's other files in the state directory to the new user, and the directory with them if
    /// it holds nothing else. Links are not followed: nobody may aim this at another file. What is wrong with the other
    /// files is for whoever reads them, and no reason not to start.
    ///
    /// # Errors
    /// If an owner cannot be changed. What does not exist needs none.
    pub fn hand_over(&self, directory: &Path) -> Result<(), PrivilegeError> {
        if !geteuid().is_root() {
            return Ok(());
        }
        let failed =
            |path: &Path, source| PrivilegeError::HandOver { path: path.to_owned(), uid: self.uid, source };
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let held = match open(directory, flags | OFlag::O_DIRECTORY, Mode::empty()) {
            Ok(held) => held,
            Err(Errno::ENOENT) => return Ok(()),
            Err(source) => return Err(failed(directory, source)),
        };
        let path = directory.join(KEY_FILE);
        match openat(&held, KEY_FILE, flags, Mode::empty()) {
            Ok(file) => {
                let status = fstat(&file).map_err(|e| failed(&path, e))?;
                if !is_one_file(&status) {
                    return Err(failed(&path, Errno::EPERM));
                }
                fchown(&file, Some(self.uid), Some(self.gid)).map_err(|e| failed(&path, e))?;
            }
            Err(Errno::ENOENT) => {}
            Err(source) => return Err(failed(&path, source)),
        }
        for name in state_directory::others() {
            if let Ok(file) = openat(&held, name, flags, Mode::empty())
                && fstat(&file).is_ok_and(|status| is_one_file(&status))
            {
                fchown(&file, Some(self.uid), Some(self.gid))
                    .map_err(|e| failed(&directory.join(name), e))?;
            }
        }
        if holds_only_ours(directory) {
            fchown(&held, Some(self.uid), Some(self.gid)).map_err(|e| failed(directory, e))?;
        }
        Ok(())
    }

    /// Gives a Unix socket's name to the new user, who may then let others use it by its mode and group. A link is not
    /// followed.
    ///
    /// # Errors
    /// If the owner cannot be changed.
    pub fn hand_over_socket(&self, path: &Path) -> Result<(), PrivilegeError> {
        if !geteuid().is_root() {
            return Ok(());
        }
        fchownat(AT_FDCWD, path, Some(self.uid), Some(self.gid), AtFlags::AT_SYMLINK_NOFOLLOW)
            .map_err(|source| PrivilegeError::HandOver { path: path.to_owned(), uid: self.uid, source })
    }

    /// Becomes this user and group for good: no way back to root, no new privileges through `exec`, and of the
    /// capabilities only those that [`capabilities`] names and the process has. To be called while the process has one
    /// thread.
    ///
    /// # Errors
    /// If a step fails. The process must then end: it may be half way.
    pub fn become_it(&self, needs: Needs) -> Result<(), PrivilegeError> {
        let threads = fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
        if threads > 1 {
            return Err(PrivilegeError::Threads(threads));
        }
        self.give_up(needs)
    }

    /// Does so for the calling thread.
    fn give_up(&self, needs: Needs) -> Result<(), PrivilegeError> {
        let permitted = caps::read(None, CapSet::Permitted).map_err(|e| step("reading capabilities", &e))?;
        let keep: CapsHashSet = capabilities(needs).intersection(&permitted).copied().collect();

        if permitted.contains(&Capability::CAP_SETPCAP) {
            trim_bounding_set(&keep)?;
        }
        if geteuid().is_root() {
            prctl::set_keepcaps(true).map_err(|e| step("keeping capabilities", &e))?;
            self.set_groups()?;
            setresgid(self.gid, self.gid, self.gid).map_err(|e| step("setting the group", &e))?;
            setresuid(self.uid, self.uid, self.uid).map_err(|e| step("setting the user", &e))?;
            prctl::set_keepcaps(false).map_err(|e| step("keeping capabilities", &e))?;
        }
        let none = CapsHashSet::new();
        for (set, value) in [
            (CapSet::Ambient, &none),
            (CapSet::Inheritable, &none),
            // What is effective must be permitted at every moment.
            (CapSet::Effective, &none),
            (CapSet::Permitted, &keep),
            (CapSet::Effective, &keep),
        ] {
            caps::set(None, set, value).map_err(|e| step("setting capabilities", &e))?;
        }
        prctl::set_no_new_privs().map_err(|e| step("refusing new privileges", &e))?;
        Ok(())
    }

    fn set_groups(&self) -> Result<(), PrivilegeError> {
        match self.name.as_deref().map(CString::new) {
            Some(Ok(name)) => initgroups(&name, self.gid),
            _ => setgroups(&[self.gid]),
        }
        .map_err(|e| step("setting supplementary groups", &e))
    }
}

/// The capabilities that starting the fast path takes: to load the program, attach it, and open AF_XDP sockets.
pub const START_CAPABILITIES: [Capability; 5] = [
    Capability::CAP_BPF,
    Capability::CAP_PERFMON,
    Capability::CAP_NET_ADMIN,
    Capability::CAP_NET_RAW,
    Capability::CAP_IPC_LOCK,
];

/// The capabilities that a process with these needs has to keep once it is started. The program is loaded by then, and
/// attaching it again takes only its descriptor.
#[must_use]
pub fn capabilities(needs: Needs) -> CapsHashSet {
    let mut keep = CapsHashSet::new();
    if needs.xdp {
        // AF_XDP sockets; their memory; the bpf system call where unprivileged use is off (before Linux 5.19 all of it).
        keep.extend([Capability::CAP_NET_RAW, Capability::CAP_IPC_LOCK, Capability::CAP_BPF]);
        if needs.busy_poll {
            keep.insert(Capability::CAP_NET_ADMIN);
        }
    }
    keep
}

fn trim_bounding_set(keep: &CapsHashSet) -> Result<(), PrivilegeError> {
    let bounding = caps::read(None, CapSet::Bounding).map_err(|e| step("reading the bounding set", &e))?;
    for capability in bounding.difference(keep) {
        caps::drop(None, CapSet::Bounding, *capability).map_err(|e| step("trimming the bounding set", &e))?;
    }
    Ok(())
}

fn step(step: &'static str, reason: &dyn std::fmt::Display) -> PrivilegeError {
    PrivilegeError::Step { step, reason: reason.to_string() }
}

fn find_user(name: &str) -> Result<(Option<String>, Uid, Option<Gid>), PrivilegeError> {
    let lookup = |source| PrivilegeError::Lookup { key: "user", name: name.to_owned(), source };
    if let Some(user) = User::from_name(name).map_err(lookup)? {
        return Ok((Some(user.name), user.uid, Some(user.gid)));
    }
    let unknown = || PrivilegeError::Unknown { key: "user", name: name.to_owned() };
    let number = account_number(name).map(Uid::from_raw).ok_or_else(unknown)?;
    Ok(match User::from_uid(number).map_err(lookup)? {
        Some(user) => (Some(user.name), user.uid, Some(user.gid)),
        // A number needs no entry, as long as the group is named too.
        None => (None, number, None),
    })
}

fn find_group(name: &str) -> Result<Gid, PrivilegeError> {
    let lookup = |source| PrivilegeError::Lookup { key: "group", name: name.to_owned(), source };
    if let Some(group) = Group::from_name(name).map_err(lookup)? {
        return Ok(group.gid);
    }
    let unknown = || PrivilegeError::Unknown { key: "group", name: name.to_owned() };
    account_number(name).map(Gid::from_raw).ok_or_else(unknown)
}

/// A user's or group's number. The highest means "unchanged" to the system calls, and is nobody's.
fn account_number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number| *number != u32::MAX)
}

/// Whether this is a regular file of one name. A second name could be anybody's file, linked into a directory that others
/// may write.
const fn is_one_file(status: &FileStat) -> bool {
    status.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits() && status.st_nlink == 1
}

fn holds_only_ours(directory: &Path) -> bool {
    fs::read_dir(directory).is_ok_and(|mut entries| {
        entries.all(|e| e.is_ok_and(|e| e.file_name().to_str().is_some_and(is_ours)))
    })
}

#[cfg(test)]
mod tests;
