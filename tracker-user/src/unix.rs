//! Listening Unix sockets: their names in the file system, and what a killed process left of one.

use nix::sys::stat::{Mode, fchmod};
use socket2::{Domain, SockAddr, Socket, Type};
use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt, lchown},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// Connections that the kernel holds until they are accepted; net.core.somaxconn caps it.
pub const BACKLOG: i32 = 4096;

/// The name of a Unix socket in the file system. It is removed when this is dropped, if it is ours.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode: a later program may have put its own there.
    identity: (u64, u64),
    ours: Ours,
}

/// Whether the names of Unix sockets are this process's: they may be another one's that listens there, too.
#[derive(Clone, Debug)]
pub struct Ours(Arc<AtomicBool>);

impl Ours {
    /// They are, or not yet.
    #[must_use]
    pub fn new(ours: bool) -> Self {
        Self(Arc::new(AtomicBool::new(ours)))
    }

    /// From now on they are, or no longer.
    pub fn set(&self, ours: bool) {
        self.0.store(ours, Ordering::Relaxed);
    }
}

impl SocketFile {
    /// The name of a socket that is open already.
    ///
    /// # Errors
    /// When it is no more.
    pub fn of(path: PathBuf, ours: Ours) -> io::Result<Self> {
        Ok(Self { identity: identity(&path)?, path, ours })
    }

    /// Whose it is.
    #[must_use]
    pub fn ours(&self) -> Ours {
        self.ours.clone()
    }

    /// The name.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it to a user and a group, so that proxies of that group can connect.
    ///
    /// # Errors
    /// When the process may not.
    pub fn give_to(&self, user: u32, group: u32) -> io::Result<()> {
        lchown(&self.path, Some(user), Some(group))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.ours.0.load(Ordering::Relaxed) && identity(&self.path).is_ok_and(|now| now == self.identity) {
            // Where privileges were given up the directory may not be ours any more; the next start replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Listens at a path with these permissions; the listener does not block. A socket that nobody answers at is replaced.
///
/// # Errors
/// `AddrInUse` where another program answers, `AlreadyExists` where there is something that is no socket, and whatever the
/// system says. [`describe`] and [`hint`] say it to people.
pub fn open(path: &Path, mode: u32) -> io::Result<(UnixListener, SocketFile)> {
    remove_stale(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    // The name gets the mode of the descriptor less the umask, so it is at no time open to more than it is to be.
    fchmod(&socket, Mode::from_bits_truncate(mode))?;
    socket.bind(&SockAddr::unix(path)?)?;
    let file = SocketFile::of(path.to_owned(), Ours::new(true))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    socket.listen(BACKLOG)?;
    Ok((socket.into(), file))
}

/// Removes a socket that a program left behind, one that nobody answers at.
fn remove_stale(path: &Path) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !metadata.file_type().is_socket() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A program too busy to accept must not hold this one up.
    probe.set_nonblocking(true)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
        // It was taken, or would be; a socket of another type answers that it is one.
        _ => Err(io::ErrorKind::AddrInUse.into()),
    }
}

/// What the system said of a listener, in words in which nobody can find the word that tells of a finished start.
#[must_use]
pub fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "the address is in use".to_owned(),
        io::ErrorKind::AlreadyExists => "there is something that is no socket".to_owned(),
        _ => error.to_string(),
    }
}

/// What to do where a socket cannot be opened, as the end of a line that says so.
#[must_use]
pub const fn hint(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::AddrInUse => {
            "; another program answers there (`ss -lxp` names it): stop it, or choose another path"
        }
        io::ErrorKind::AlreadyExists => "; remove what is there, or choose another path",
        io::ErrorKind::NotFound => "; create the directory that it is to be in",
        io::ErrorKind::PermissionDenied => {
            "; the tracker must be able to write into the directory that it is to be in"
        }
        _ => "",
    }
}
