//! One AF_XDP socket on one receive queue, with its frames and rings.
#![allow(unsafe_code, reason = "socket options of AF_XDP are structs passed by pointer")]

use super::{
    frame::{FRAME_LEN, Frame, Frames},
    gathering::Gathering,
    ring::{Consumer, Descriptor, Entry, Gauge, Offsets, Producer},
    umem::{Mapping, Umem},
};
use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

/// How a socket is to be made.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The interface.
    pub interface_index: u32,
    /// Its receive queue.
    pub queue: u32,
    /// Entries of each ring, a power of two.
    pub ring_size: u32,
    /// Frames; at least two rings full, so that receiving and sending each have their own.
    pub frames: u32,
    /// Frames that the kernel may hold, free and received, where it copies; at most a ring full.
    pub copy_backlog: u32,
    /// Whether to ask the driver for zero copy first.
    pub zero_copy: bool,
    /// Whether the kernel shall poll the driver from our system calls (`SO_PREFER_BUSY_POLL`).
    pub busy_poll: bool,
}

/// How frames get from the driver to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bind {
    /// The driver writes into our frames.
    ZeroCopy,
    /// The kernel copies.
    Copy,
}

impl Bind {
    /// The value of the `bind` label in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::ZeroCopy => "zerocopy",
            Self::Copy => "copy",
        }
    }
}

/// What a copy-mode kick may send before it returns; the kernel's default is 32.
const TX_BUDGET: u32 = 512;
/// `XDP_MAX_TX_SKB_BUDGET`, since Linux 6.18; older kernels refuse it, which costs only speed.
const XDP_MAX_TX_SKB_BUDGET: i32 = 9;
/// Microseconds of busy polling per system call, and packets.
const BUSY_POLL_MICROSECONDS: i32 = 20;
const BUSY_POLL_BUDGET: i32 = 64;
const SO_PREFER_BUSY_POLL: i32 = 69;
const SO_BUSY_POLL_BUDGET: i32 = 70;

/// What other threads may read of a socket: ring levels, free frames and the kernel's statistics.
#[derive(Debug)]
pub struct Gauges {
    fd: Arc<OwnedFd>,
    fill: Gauge,
    rx: Gauge,
    tx: Gauge,
    completion: Gauge,
    free: AtomicU32,
    /// The interface.
    pub interface: String,
    /// The queue.
    pub queue: u32,
    /// How it was bound.
    pub bind: Bind,
    /// All frames.
    pub frames: u32,
}

/// The levels of a socket's rings. While no frame is in anybody's hands they and the free frames add up to all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Levels {
    /// Frames that nobody uses.
    pub free: u32,
    /// Frames the kernel may receive into.
    pub fill: u32,
    /// Frames received and not yet read.
    pub rx: u32,
    /// Frames to be sent.
    pub tx: u32,
    /// Frames sent and not yet taken back.
    pub completion: u32,
}

impl Gauges {
    /// Reads the levels.
    #[must_use]
    pub fn levels(&self) -> Levels {
        Levels {
            free: self.free.load(Ordering::Relaxed),
            fill: self.fill.level(),
            rx: self.rx.level(),
            tx: self.tx.level(),
            completion: self.completion.level(),
        }
    }

    /// The kernel's counters (`XDP_STATISTICS`).
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn statistics(&self) -> io::Result<libc::xdp_statistics> {
        get_option(self.fd.as_raw_fd(), libc::XDP_STATISTICS)
    }

    /// Frames that the kernel could not give to this socket.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.statistics().map_or(0, |statistics| statistics.rx_dropped + statistics.rx_ring_full)
    }
}

/// A bound socket. All frames but those in a ring or a batch are in `free`.
#[derive(Debug)]
pub struct XskSocket {
    umem: Umem,
    fill: Producer<Frame>,
    rx: Consumer<Descriptor>,
    tx: Producer<Descriptor>,
    completion: Consumer<Frame>,
    free: Frames,
    /// Frames given to the kernel to receive into and not yet received back.
    lent: u32,
    most_lent: u32,
    tx_in_flight: u32,
    tx_budget: u32,
    busy_poll: bool,
    interface_index: u32,
    fd: Arc<OwnedFd>,
    gauges: Arc<Gauges>,
    gathering: Option<Gathering>,
}

impl XskSocket {
    /// Makes and binds a socket, its fill ring full. It receives nothing until it is in the program's map.
    ///
    /// # Errors
    /// `EINVAL` when the interface has no such queue, `EPERM` without CAP_NET_RAW, `EBUSY` when the queue has a
    /// socket already.
    pub fn new(interface: &str, options: Options) -> io::Result<Self> {
        if options.zero_copy {
            match Self::bind(interface, options, Bind::ZeroCopy) {
                Ok(socket) => return Ok(socket),
                Err(error) => tracing::debug!(interface, queue = options.queue, %error, "no zero copy"),
            }
        }
        Self::bind(interface, options, Bind::Copy)
    }

    fn bind(interface: &str, options: Options, bind: Bind) -> io::Result<Self> {
        // SAFETY: a system call without pointers.
        let fd = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new and nobody else's.
        let fd = Arc::new(unsafe { OwnedFd::from_raw_fd(fd) });
        let raw = fd.as_raw_fd();

        let (umem, free) = Umem::new(options.frames)?;
        let registration = libc::xdp_umem_reg {
            addr: umem.address(),
            len: umem.len(),
            chunk_size: FRAME_LEN as u32,
            headroom: 0,
            flags: 0,
            tx_metadata_len: 0,
        };
        set_option(raw, libc::SOL_XDP, libc::XDP_UMEM_REG, &registration)?;
        for ring in
            [libc::XDP_UMEM_FILL_RING, libc::XDP_UMEM_COMPLETION_RING, libc::XDP_RX_RING, libc::XDP_TX_RING]
        {
            set_option(raw, libc::SOL_XDP, ring, &options.ring_size)?;
        }
        let offsets: libc::xdp_mmap_offsets = get_option(raw, libc::XDP_MMAP_OFFSETS)?;
        let size = options.ring_size;
        let (fill_page, completion_page) = (
            libc::XDP_UMEM_PGOFF_FILL_RING.cast_signed(),
            libc::XDP_UMEM_PGOFF_COMPLETION_RING.cast_signed(),
        );
        let unusable = || io::Error::other("the kernel's AF_XDP rings have an unknown layout");
        let (mapping, at) = map_ring::<Frame>(raw, size, &offsets.fr, fill_page)?;
        let fill = Producer::new(mapping, at, size).ok_or_else(unusable)?;
        let (mapping, at) = map_ring::<Frame>(raw, size, &offsets.cr, completion_page)?;
        let completion = Consumer::new(mapping, at, size).ok_or_else(unusable)?;
        let (mapping, at) = map_ring::<Descriptor>(raw, size, &offsets.rx, libc::XDP_PGOFF_RX_RING)?;
        let rx = Consumer::new(mapping, at, size).ok_or_else(unusable)?;
        let (mapping, at) = map_ring::<Descriptor>(raw, size, &offsets.tx, libc::XDP_PGOFF_TX_RING)?;
        let tx = Producer::new(mapping, at, size).ok_or_else(unusable)?;

        let gauges = Arc::new(Gauges {
            fd: fd.clone(),
            fill: fill.gauge(),
            rx: rx.gauge(),
            tx: tx.gauge(),
            completion: completion.gauge(),
            free: AtomicU32::new(options.frames),
            interface: interface.to_owned(),
            queue: options.queue,
            bind,
            frames: options.frames,
        });
        let mut socket = Self {
            umem,
            fill,
            rx,
            tx,
            completion,
            free,
            lent: 0,
            most_lent: match bind {
                Bind::ZeroCopy => options.ring_size,
                // Each frame is written and read by this processor: a few that go round stay in its cache.
                Bind::Copy => options.copy_backlog.min(options.ring_size),
            },
            tx_in_flight: 0,
            // What is not promised to the fill ring may be on its way out.
            tx_budget: options.frames.saturating_sub(options.ring_size).min(options.ring_size),
            busy_poll: options.busy_poll,
            interface_index: options.interface_index,
            fd,
            gauges,
            gathering: None,
        };
        // Before bind, so that the first frame finds room.
        socket.refill();

        if let Err(error) = set_option(raw, libc::SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &TX_BUDGET) {
            tracing::debug!(%error, "the kernel has no XDP_MAX_TX_SKB_BUDGET");
        }
        if options.busy_poll
            && let Err(error) = allow_polling(raw)
        {
            // As kernels without CONFIG_NET_RX_BUSY_POLL do, real-time ones among them.
            tracing::warn!("the kernel lets no worker poll queue {} of {interface}: {error}", options.queue);
            socket.busy_poll = false;
        }
        let copy = match bind {
            Bind::ZeroCopy => libc::XDP_ZEROCOPY,
            Bind::Copy => libc::XDP_COPY,
        };
        let address = libc::sockaddr_xdp {
            sxdp_family: libc::AF_XDP as u16,
            sxdp_flags: copy | libc::XDP_USE_NEED_WAKEUP,
            sxdp_ifindex: options.interface_index,
            sxdp_queue_id: options.queue,
            sxdp_shared_umem_fd: 0,
        };
        // SAFETY: the pointer is to a sockaddr_xdp of the length given, read only during the call.
        let result = unsafe {
            libc::bind(raw, (&raw const address).cast(), size_of::<libc::sockaddr_xdp>() as libc::socklen_t)
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(socket)
    }

    /// The interface it is bound to.
    #[must_use]
    pub fn interface_index(&self) -> u32 {
        self.interface_index
    }

    /// Has its frames gather so.
    #[must_use]
    pub fn gather(self, gathering: Option<Gathering>) -> Self {
        Self { gathering, ..self }
    }

    /// How its frames are had to gather, where that can be.
    pub fn gathering(&mut self) -> Option<&mut Gathering> {
        self.gathering.as_mut()
    }

    /// What other threads may read.
    #[must_use]
    pub fn gauges(&self) -> &Arc<Gauges> {
        &self.gauges
    }

    /// The next received frame, and how many bytes were received.
    #[inline]
    pub fn receive(&mut self) -> Option<(Frame, u32)> {
        let Descriptor { frame, len, .. } = self.rx.pop()?;
        self.lent = self.lent.saturating_sub(1);
        Some((frame, len))
    }

    /// The bytes of a received frame, to the end of its memory.
    #[inline]
    #[must_use]
    pub fn bytes(&self, frame: &Frame) -> &[u8] {
        self.umem.bytes(frame)
    }

    /// As [`XskSocket::bytes`], to write.
    #[inline]
    pub fn bytes_mut(&mut self, frame: &mut Frame) -> &mut [u8] {
        self.umem.bytes_mut(frame)
    }

    /// Queues a received frame, now holding a reply of `len` bytes. `false`, and the frame freed, when as many are on
    /// their way as may be.
    #[inline]
    pub fn send(&mut self, frame: Frame, len: u32) -> bool {
        if self.tx_in_flight >= self.tx_budget {
            self.recycle(frame);
            return false;
        }
        match self.tx.push(Descriptor { frame, len, options: 0 }) {
            Ok(()) => {
                self.tx_in_flight += 1;
                true
            }
            Err(Descriptor { frame, .. }) => {
                self.recycle(frame);
                false
            }
        }
    }

    /// Frees a received frame that is not to be sent.
    #[inline]
    pub fn recycle(&mut self, frame: Frame) {
        self.free.push(frame);
    }

    /// Ends a batch: releases what was received, submits what is to be sent, wakes the kernel if it wants that,
    /// takes sent frames back and refills.
    pub fn flush(&mut self) {
        self.rx.release();
        self.tx.submit();
        let kicked = self.kick();
        while let Some(frame) = self.completion.pop() {
            self.tx_in_flight -= 1;
            self.recycle(frame);
        }
        self.completion.release();
        self.refill();
        // A kick has polled already.
        if self.busy_poll && !kicked || self.fill.needs_wakeup() {
            // SAFETY: a receive without a buffer writes nothing.
            unsafe {
                libc::recvfrom(
                    self.fd.as_raw_fd(),
                    std::ptr::null_mut(),
                    0,
                    libc::MSG_DONTWAIT,
                    std::ptr::null_mut(),
                    std::ptr::null_mut(),
                )
            };
        }
    }

    /// Whether frames wait to be sent that the kernel has not taken.
    #[must_use]
    pub fn has_unsent(&self) -> bool {
        self.tx.level() > 0
    }

    /// Whether closing it would lose replies: those that the kernel has not taken, and with zero copy those that the device
    /// has not sent.
    #[must_use]
    pub fn is_sending(&self) -> bool {
        self.has_unsent() || self.gauges.bind == Bind::ZeroCopy && self.tx_in_flight > 0
    }

    /// Has the kernel send what was submitted, if it waits for that. Whether it was called.
    fn kick(&self) -> bool {
        // A kick sends at most a budget's worth; what then remains is sent by the next one.
        const KICKS: u32 = 4;
        for kicks in 0..KICKS {
            if self.tx.level() == 0 || !self.tx.needs_wakeup() {
                return kicks > 0;
            }
            // SAFETY: a send without data reads nothing.
            let result = unsafe {
                libc::sendto(
                    self.fd.as_raw_fd(),
                    std::ptr::null(),
                    0,
                    libc::MSG_DONTWAIT,
                    std::ptr::null(),
                    0,
                )
            };
            // ENOBUFS, EBUSY and ENETDOWN pass by themselves, and nothing is lost meanwhile.
            if result == 0 || io::Error::last_os_error().raw_os_error() != Some(libc::EAGAIN) {
                return true;
            }
        }
        true
    }

    fn refill(&mut self) {
        while self.lent < self.most_lent
            && let Some(frame) = self.free.pop()
        {
            if let Err(frame) = self.fill.push(frame) {
                self.free.push(frame);
                break;
            }
            self.lent += 1;
        }
        self.fill.submit();
        self.gauges.free.store(self.free.len(), Ordering::Relaxed);
    }
}

impl AsFd for XskSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for XskSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// Maps a ring of `size` entries of type `T`, and says where its parts lie.
fn map_ring<T: Entry>(
    fd: RawFd,
    size: u32,
    offsets: &libc::xdp_ring_offset,
    page: i64,
) -> io::Result<(Mapping, Offsets)> {
    let mapping = Mapping::ring(fd, page, offsets.desc as usize + size as usize * size_of::<T>())?;
    let offsets = Offsets {
        producer: offsets.producer,
        consumer: offsets.consumer,
        descriptors: offsets.desc,
        flags: offsets.flags,
    };
    Ok((mapping, offsets))
}

/// Has system calls on a socket of any kind poll the device that its frames come from.
///
/// # Errors
/// When the kernel refuses: it takes CAP_NET_ADMIN and CONFIG_NET_RX_BUSY_POLL.
pub fn allow_polling(fd: RawFd) -> io::Result<()> {
    set_option(fd, libc::SOL_SOCKET, SO_PREFER_BUSY_POLL, &1_i32)?;
    set_option(fd, libc::SOL_SOCKET, libc::SO_BUSY_POLL, &BUSY_POLL_MICROSECONDS)?;
    set_option(fd, libc::SOL_SOCKET, SO_BUSY_POLL_BUDGET, &BUSY_POLL_BUDGET)
}

fn set_option<T: Copy>(fd: RawFd, level: i32, name: i32, value: &T) -> io::Result<()> {
    // SAFETY: the pointer and length describe `value`, which the kernel reads during the call.
    let result = unsafe {
        libc::setsockopt(fd, level, name, (&raw const *value).cast(), size_of::<T>() as libc::socklen_t)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn get_option<T: Copy>(fd: RawFd, name: i32) -> io::Result<T> {
    let mut value = std::mem::MaybeUninit::<T>::zeroed();
    let mut len = size_of::<T>() as libc::socklen_t;
    // SAFETY: the pointer and length describe `value`; the structs read by this module are integers, for which
    // zeroes and whatever the kernel writes are valid.
    let (result, value) = unsafe {
        let result = libc::getsockopt(fd, libc::SOL_XDP, name, value.as_mut_ptr().cast(), &raw mut len);
        (result, value.assume_init())
    };
    if result == 0 { Ok(value) } else { Err(io::Error::last_os_error()) }
}
