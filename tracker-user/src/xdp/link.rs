//! What hangs a program on an interface: a `bpf_link`, by its descriptor. Any process that holds one keeps the link, and may
//! put another program in the place of the one on it.
#![allow(unsafe_code, reason = "attributes of bpf() are structs passed by pointer")]

use std::{
    io,
    os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
    thread,
    time::Duration,
};

/// How long frames may take from the program to a socket, where the kernel cannot be asked to wait for them.
const FRAMES_ON_THEIR_WAY: Duration = Duration::from_millis(20);

const BPF_LINK_CREATE: libc::c_int = 28;
const BPF_LINK_UPDATE: libc::c_int = 29;
/// The attach type of XDP programs.
const BPF_XDP: u32 = 37;
/// Of `linux/if_link.h`.
const XDP_FLAGS_SKB_MODE: u32 = 1 << 1;
const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;

/// The part of `union bpf_attr` that `BPF_LINK_CREATE` reads.
#[repr(C)]
struct Create {
    program: u32,
    interface_index: u32,
    attach_type: u32,
    flags: u32,
}

/// The part of `union bpf_attr` that `BPF_LINK_UPDATE` reads.
#[repr(C)]
struct Update {
    link: u32,
    program: u32,
    flags: u32,
    old_program: u32,
}

/// How a program hangs on its interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// In the driver, before the kernel allocates anything for the frame.
    Native,
    /// In the network stack, on any driver.
    Generic,
}

impl Mode {
    const fn flags(self) -> u32 {
        match self {
            Self::Native => XDP_FLAGS_DRV_MODE,
            Self::Generic => XDP_FLAGS_SKB_MODE,
        }
    }

    /// The value of the `mode` label in metrics, and of `--xdp`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }
}

/// A link. When its last descriptor is closed, the kernel detaches the program.
#[derive(Debug)]
pub struct ProgramLink(OwnedFd);

impl ProgramLink {
    /// Hangs a program on an interface.
    ///
    /// # Errors
    /// `EBUSY` or `EEXIST` when there is a program already; whatever else the kernel or the driver says.
    pub fn new(program: BorrowedFd<'_>, interface_index: u32, mode: Mode) -> io::Result<Self> {
        let program = program.as_raw_fd().cast_unsigned();
        let create = Create { program, interface_index, attach_type: BPF_XDP, flags: mode.flags() };
        let fd = bpf(BPF_LINK_CREATE, &create)?;
        // SAFETY: the descriptor is new and nobody else's.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Puts a program in the place of the one on the link. Every frame meets the one or the other.
    ///
    /// # Errors
    /// `ENOLINK` when the interface is gone or the link was detached; `EINVAL` when the descriptor is none of a link of XDP.
    pub fn replace(&self, program: BorrowedFd<'_>) -> io::Result<()> {
        let link = self.0.as_raw_fd().cast_unsigned();
        let program = program.as_raw_fd().cast_unsigned();
        bpf(BPF_LINK_UPDATE, &Update { link, program, flags: 0, old_program: 0 }).map(drop)
    }

    /// A further descriptor of the same link, for another process.
    ///
    /// # Errors
    /// When descriptors are short.
    pub fn share(&self) -> io::Result<OwnedFd> {
        self.0.try_clone()
    }
}

impl From<OwnedFd> for ProgramLink {
    /// A link that another process made.
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

fn bpf<T>(command: libc::c_int, attributes: &T) -> io::Result<libc::c_int> {
    // SAFETY: the pointer and length describe the attributes of the command, which the kernel only reads during the call.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, (&raw const *attributes), size_of::<T>() as u32) };
    match libc::c_int::try_from(result) {
        Ok(result) if result >= 0 => Ok(result),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Waits until every frame that a program was shown before this call has come to where it sent it: no processor is in the
/// middle of a poll that began before, and each that begins sees what was written before. Takes some ten milliseconds.
pub fn await_frames() {
    const MEMBARRIER_CMD_GLOBAL: libc::c_int = 1;
    // It is a grace period of RCU, and polls of devices are read sections of RCU.
    // SAFETY: a system call without pointers.
    if unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) } != 0 {
        let error = io::Error::last_os_error();
        tracing::debug!(%error, "waiting for frames on their way");
        thread::sleep(FRAMES_ON_THEIR_WAY);
    }
}
