//! The socket back end: batches of datagrams by `recvmmsg` and `sendmmsg`.
#![allow(unsafe_code, reason = "the message vectors of recvmmsg and sendmmsg are built from raw pointers")]

use crate::counters::{Dropped, Path, WorkerCounters};
use std::{
    io, mem,
    net::{SocketAddr, UdpSocket},
    ops::Range,
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
    sync::Arc,
};
use tracker_common::{
    address::{Address, Family},
    bep15::Action,
};
use tracker_core::{
    client_software::ClientSoftware,
    udp::{Batch, Outcome, Received},
};

/// Bytes of the buffer for a request: the longest scrape that is answered whole, and then some.
const REQUEST_LEN: usize = 2048;
/// Room for one `in6_pktinfo` control message, the larger of the two.
const CONTROL_LEN: usize = 40;
const CONTROL_HEADER: usize = size_of::<libc::cmsghdr>();
const _: () = assert!(CONTROL_HEADER + size_of::<libc::in6_pktinfo>() <= CONTROL_LEN);
const _: () = assert!(CONTROL_HEADER.is_multiple_of(align_of::<libc::cmsghdr>()));

/// Asks the kernel to tell which of our addresses a datagram was sent to.
///
/// # Errors
/// When the kernel refuses.
pub fn request_packet_info(socket: &impl AsRawFd, ipv6: bool) -> io::Result<()> {
    let (level, name) = if ipv6 {
        (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO)
    } else {
        (libc::IPPROTO_IP, libc::IP_PKTINFO)
    };
    set_option(socket, level, name, 1)
}

fn set_option(socket: &impl AsRawFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    // SAFETY: the pointer and length describe `value`, which the kernel reads during the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Whether routers may fragment IPv4 datagrams (RFC 791, Don't Fragment). Where they may not, as with replies past the stack,
/// the kernel needs no number for them that is unique among fragments (RFC 6864), which is shared by all processors.
///
/// # Errors
/// When the kernel refuses.
pub fn permit_fragments(socket: &impl AsRawFd, permitted: bool) -> io::Result<()> {
    // What ICMP says of a path is not believed where it need not be: strangers can send that.
    let discovery = if permitted { libc::IP_PMTUDISC_WANT } else { libc::IP_PMTUDISC_PROBE };
    set_option(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, discovery)
}

/// Requests that a socket's receive buffer holds.
#[must_use]
pub fn room(socket: &UdpSocket) -> u64 {
    // What the kernel counts for a small datagram, its own bookkeeping included, from a driver that uses half pages.
    const DATAGRAM: usize = 2304;
    (socket2::SockRef::from(socket).recv_buffer_size().unwrap_or(0) / DATAGRAM) as u64
}

/// Datagrams that the kernel dropped because a socket's receive buffer was full.
#[must_use]
pub fn receive_buffer_drops(fd: RawFd) -> u64 {
    const SK_MEMINFO_VARS: usize = 9;
    const SK_MEMINFO_DROPS: usize = 8;
    let mut values = [0_u32; SK_MEMINFO_VARS];
    let mut len = size_of_val(&values) as libc::socklen_t;
    // SAFETY: the pointer and length describe `values`.
    let result = unsafe {
        libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_MEMINFO, values.as_mut_ptr().cast(), &raw mut len)
    };
    if result == 0 { u64::from(values[SK_MEMINFO_DROPS]) } else { 0 }
}

#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL_LEN]);

/// The memory of a batch. Everything the kernel is pointed to lies here, allocated once and never moved.
struct Arena {
    names: Box<[libc::sockaddr_storage]>,
    controls: Box<[Control]>,
    requests: Box<[u8]>,
    replies: Box<[u8]>,
    receive_vectors: Box<[libc::iovec]>,
    send_vectors: Box<[libc::iovec]>,
    receive: Box<[libc::mmsghdr]>,
    send: Box<[libc::mmsghdr]>,
}

// SAFETY: the raw pointers in the vectors point only into this arena's own boxes, which move with it.
unsafe impl Send for Arena {}

/// A datagram of the batch at hand.
#[derive(Clone, Copy)]
struct Item {
    source: Address,
    source_port: u16,
    len: usize,
}

/// A reply to be sent.
#[derive(Clone, Copy)]
struct Reply {
    family: Family,
    action: Action,
    len: usize,
}

/// An ordinary UDP socket as a back end of the responder.
pub struct SocketPath {
    socket: UdpSocket,
    counters: Arc<WorkerCounters>,
    arena: Arena,
    reply_len: usize,
    with_control: bool,
    items: Vec<Item>,
    replies: Vec<Reply>,
}

impl std::fmt::Debug for SocketPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SocketPath").field("socket", &self.socket).finish_non_exhaustive()
    }
}

impl SocketPath {
    /// Serves `socket`, which listens on `address`, in batches of at most `batch` datagrams, with replies of at most
    /// `max_datagram` bytes.
    #[must_use]
    pub fn new(
        socket: UdpSocket,
        address: SocketAddr,
        batch: usize,
        max_datagram: usize,
        counters: Arc<WorkerCounters>,
    ) -> Self {
        Self {
            socket,
            counters,
            arena: Arena::new(batch, max_datagram),
            reply_len: max_datagram,
            with_control: address.ip().is_unspecified(),
            items: Vec::with_capacity(batch),
            replies: Vec::with_capacity(batch),
        }
    }

    /// Takes what has been received, at most a batch. Returns how many datagrams there are.
    pub fn receive(&mut self) -> usize {
        self.items.clear();
        self.replies.clear();
        let arena = &mut self.arena;
        let control_len = if self.with_control { CONTROL_LEN } else { 0 };
        for message in &mut arena.receive {
            message.msg_hdr.msg_namelen = size_of::<libc::sockaddr_storage>() as u32;
            message.msg_hdr.msg_controllen = control_len;
        }
        // SAFETY: every header points to a name, a vector and a control buffer of its own in the arena, with their
        // true lengths; nothing else borrows the arena during the call.
        let received = unsafe {
            libc::recvmmsg(
                self.socket.as_raw_fd(),
                arena.receive.as_mut_ptr(),
                arena.receive.len() as u32,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        // Errors here are "nothing there" and echoes of ICMP; neither concerns a later datagram.
        let received = usize::try_from(received).unwrap_or(0);
        for i in 0..received {
            let (source, source_port) = arena.source(i);
            let len = (arena.receive[i].msg_len as usize).min(REQUEST_LEN);
            self.items.push(Item { source, source_port, len });
        }
        received
    }

    /// Sends the replies of the batch.
    pub fn send(&mut self) {
        let counters = self.counters.path(Path::Socket);
        let (socket, messages) = (&self.socket, &mut self.arena.send[..self.replies.len()]);
        let send = |first: usize| {
            let rest = &mut messages[first..];
            // SAFETY: the first `replies.len()` headers were filled in by `finish` for this batch and point into the
            // arena, which the kernel only reads.
            let sent = unsafe {
                libc::sendmmsg(socket.as_raw_fd(), rest.as_mut_ptr(), rest.len() as u32, libc::MSG_DONTWAIT)
            };
            usize::try_from(sent).map_err(|_| io::Error::last_os_error())
        };
        offer(self.replies.len(), send, |offered, fate| match fate {
            Fate::Sent => {
                for reply in &self.replies[offered] {
                    counters.sent(reply.family, reply.action, reply.len);
                }
            }
            Fate::Lost(why) => offered.for_each(|_| counters.dropped(why)),
        });
    }
}

/// What became of messages that the kernel was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Sent,
    Lost(Dropped),
}

/// Offers `count` messages by as few calls of `send` as can be, which takes those from an index on and returns how many the
/// kernel took, or why not even the first. Tells what became of each.
fn offer(
    count: usize,
    mut send: impl FnMut(usize) -> io::Result<usize>,
    mut tell: impl FnMut(Range<usize>, Fate),
) {
    let mut first = 0;
    while first < count {
        let (end, fate) = match send(first) {
            Ok(sent @ 1..) => (count.min(first + sent), Fate::Sent),
            // A full buffer empties at the pace of the wire: the others would find no room either.
            Err(error) if is_full(&error) => (count, Fate::Lost(Dropped::NoBuffer)),
            // What is wrong with one, its address for instance, says nothing about the next.
            Ok(0) | Err(_) => (first + 1, Fate::Lost(Dropped::SendFailed)),
        };
        tell(first..end, fate);
        first = end;
    }
}

/// Whether the kernel had no room to send from.
fn is_full(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM))
}

impl AsFd for SocketPath {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Batch for SocketPath {
    fn len(&self) -> usize {
        self.items.len()
    }

    #[inline]
    fn request(&self, i: usize) -> Received<'_> {
        let item = &self.items[i];
        Received {
            source: item.source,
            source_port: item.source_port,
            payload: &self.arena.requests[i * REQUEST_LEN..][..item.len],
            verified: false,
            // The kernel has already dropped loopback sources that came in from elsewhere.
            on_loopback: true,
        }
    }

    #[inline]
    fn reply_buffer(&mut self, i: usize) -> &mut [u8] {
        &mut self.arena.replies[i * self.reply_len..][..self.reply_len]
    }

    fn finish(&mut self, i: usize, outcome: Outcome) {
        let item = self.items[i];
        let family = item.source.family();
        let counters = self.counters.path(Path::Socket);
        counters.received(family, item.len);
        counters.judged(family, outcome);
        if let Outcome::Reply { reply, len, .. } = outcome {
            self.arena.address_reply(self.replies.len(), i, len);
            self.replies.push(Reply { family, action: reply, len });
        }
    }

    fn announced_by(&mut self, software: ClientSoftware) {
        self.counters.software.add(software);
    }
}

impl Arena {
    fn new(batch: usize, reply_len: usize) -> Self {
        // SAFETY: these C structs are integers and pointers, for all of which zeroes are valid.
        let (name, vector, message): (libc::sockaddr_storage, libc::iovec, libc::mmsghdr) =
            unsafe { (mem::zeroed(), mem::zeroed(), mem::zeroed()) };
        let mut arena = Self {
            names: vec![name; batch].into(),
            controls: vec![Control([0; CONTROL_LEN]); batch].into(),
            requests: vec![0; batch * REQUEST_LEN].into(),
            replies: vec![0; batch * reply_len].into(),
            receive_vectors: vec![vector; batch].into(),
            send_vectors: vec![vector; batch].into(),
            receive: vec![message; batch].into(),
            send: vec![message; batch].into(),
        };
        for i in 0..batch {
            let request = &mut arena.requests[i * REQUEST_LEN..][..REQUEST_LEN];
            arena.receive_vectors[i] =
                libc::iovec { iov_base: request.as_mut_ptr().cast(), iov_len: request.len() };
            let reply = &mut arena.replies[i * reply_len..][..reply_len];
            arena.send_vectors[i] = libc::iovec { iov_base: reply.as_mut_ptr().cast(), iov_len: 0 };
            let header = &mut arena.receive[i].msg_hdr;
            header.msg_name = (&raw mut arena.names[i]).cast();
            header.msg_iov = &raw mut arena.receive_vectors[i];
            header.msg_iovlen = 1;
            header.msg_control = (&raw mut arena.controls[i]).cast();
        }
        arena
    }

    /// Who sent datagram `i`.
    fn source(&self, i: usize) -> (Address, u16) {
        let name = &raw const self.names[i];
        match i32::from(self.names[i].ss_family) {
            libc::AF_INET => {
                // SAFETY: a sockaddr_storage has the size and alignment for a sockaddr_in, and the family says that
                // the kernel wrote one.
                let name = unsafe { &*name.cast::<libc::sockaddr_in>() };
                (Address::from_ipv4_word(name.sin_addr.s_addr), u16::from_be(name.sin_port))
            }
            _ => {
                // SAFETY: as above; sockaddr_in6 is all integers, so an unexpected family is misread, not undefined.
                let name = unsafe { &*name.cast::<libc::sockaddr_in6>() };
                (Address::from_octets(name.sin6_addr.s6_addr), u16::from_be(name.sin6_port))
            }
        }
    }

    /// Makes message `slot` to be sent the reply to datagram `i`, from the address that was asked.
    fn address_reply(&mut self, slot: usize, i: usize, len: usize) {
        self.send_vectors[i].iov_len = len;
        let received = self.receive[i].msg_hdr;
        let control_len = received.msg_controllen.min(CONTROL_LEN);
        let control_len = if self.name_our_address(i, control_len) { control_len } else { 0 };
        let header = &mut self.send[slot].msg_hdr;
        header.msg_name = received.msg_name;
        header.msg_namelen = received.msg_namelen;
        header.msg_iov = &raw mut self.send_vectors[i];
        header.msg_iovlen = 1;
        header.msg_control = if control_len == 0 { std::ptr::null_mut() } else { received.msg_control };
        header.msg_controllen = control_len;
    }

    /// Turns the control message that says where datagram `i` went into the one that says where its reply comes
    /// from. `false` if there is none.
    fn name_our_address(&mut self, i: usize, len: usize) -> bool {
        let control = (&raw mut self.controls[i]).cast::<libc::cmsghdr>();
        if len < CONTROL_HEADER {
            return false;
        }
        // SAFETY: the buffer is aligned and large enough for a cmsghdr, all of whose fields are integers.
        let kind = unsafe { ((*control).cmsg_level, (*control).cmsg_type) };
        match kind {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) if len >= CONTROL_HEADER + size_of::<libc::in_pktinfo>() => {
                // SAFETY: the data follows the header, aligned to its four bytes, and `len` covers it.
                let info = unsafe { &mut *control.add(1).cast::<libc::in_pktinfo>() };
                // Routing decides the way out; only the address matters. `ipi_spec_dst` is ours even when the
                // datagram was a broadcast.
                info.ipi_ifindex = 0;
                true
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO)
                if len >= CONTROL_HEADER + size_of::<libc::in6_pktinfo>() =>
            {
                // SAFETY: as above.
                let info = unsafe { &mut *control.add(1).cast::<libc::in6_pktinfo>() };
                let address = info.ipi6_addr.s6_addr;
                if address[0] == 0xff {
                    return false;
                }
                // A link-local address means nothing without its interface; any other is routed.
                if address[0] != 0xfe || address[1] & 0xc0 != 0x80 {
                    info.ipi6_ifindex = 0;
                }
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        os::{fd::OwnedFd, unix::net::UnixDatagram},
        time::Duration,
    };

    /// Offers to a kernel that answers so, call by call, and says which call began where and what became of all.
    fn offered(count: usize, answers: &[Result<usize, i32>]) -> (Vec<usize>, Vec<(Range<usize>, Fate)>) {
        let (mut calls, mut fates) = (Vec::new(), Vec::new());
        let mut answers = answers.iter();
        let send = |first| {
            calls.push(first);
            let answer = answers.next().copied().expect("no further call");
            answer.map_err(io::Error::from_raw_os_error)
        };
        offer(count, send, |range, fate| fates.push((range, fate)));
        (calls, fates)
    }

    #[test]
    fn a_full_buffer_is_asked_once() {
        const FULL: Fate = Fate::Lost(Dropped::NoBuffer);
        for error in [libc::EAGAIN, libc::ENOBUFS, libc::ENOMEM] {
            assert_eq!(offered(64, &[Err(error)]), (vec![0], vec![(0..64, FULL)]));
            let part = offered(64, &[Ok(40), Err(error)]);
            assert_eq!(part, (vec![0, 40], vec![(0..40, Fate::Sent), (40..64, FULL)]));
        }
    }

    #[test]
    fn a_refused_reply_takes_no_other_with_it() {
        const REFUSED: Fate = Fate::Lost(Dropped::SendFailed);
        let (calls, fates) = offered(5, &[Ok(2), Err(libc::EINVAL), Ok(2)]);
        assert_eq!(calls, [0, 2, 3]);
        assert_eq!(fates, [(0..2, Fate::Sent), (2..3, REFUSED), (3..5, Fate::Sent)]);
        assert_eq!(offered(0, &[]), (vec![], vec![]));
    }

    /// A Unix socket stands for one whose buffer is full: that of a UDP socket empties by itself.
    #[test]
    fn replies_that_find_no_room_are_counted_and_later_ones_go() {
        const REQUESTS: u64 = 4;
        let (server, client) = UnixDatagram::pair().unwrap();
        for end in [&server, &client] {
            end.set_nonblocking(true).unwrap();
        }
        let filler = server.try_clone().unwrap();
        let counters = Arc::new(WorkerCounters::default());
        let address = "127.0.0.1:0".parse().unwrap();
        let mut path =
            SocketPath::new(UdpSocket::from(OwnedFd::from(server)), address, 8, 512, counters.clone());
        let mut answer_all = || {
            for _ in 0..REQUESTS {
                client.send(b"request").unwrap();
            }
            assert_eq!(path.receive() as u64, REQUESTS);
            for i in 0..path.len() {
                path.reply_buffer(i)[..5].copy_from_slice(b"reply");
                let action = Action::Connect;
                path.finish(i, Outcome::Reply { request: action, reply: action, len: 5, not_kept: None });
            }
            path.send();
            let path = counters.path(Path::Socket);
            let sent: u64 =
                [Family::Ipv4, Family::Ipv6].iter().map(|f| path.responses(Action::Connect, *f)).sum();
            (sent, path.drops(Dropped::NoBuffer), path.drops(Dropped::SendFailed))
        };
        while filler.send(b"filler").is_ok() {}
        assert_eq!(answer_all(), (0, REQUESTS, 0));
        let mut buffer = [0; 16];
        while client.recv(&mut buffer).is_ok() {}
        assert_eq!(answer_all(), (REQUESTS, REQUESTS, 0));
        client.set_nonblocking(false).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let len = client.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..len], b"reply");
    }
}
