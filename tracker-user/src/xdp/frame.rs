//! A frame of AF_XDP memory as a value: whoever has it may use it, and it goes from ring to ring by being moved.

/// Bytes of a frame. Two fit a page; a full Ethernet frame and the kernel's headroom fit in one.
pub const FRAME_LEN: usize = 2048;

/// One frame of a socket's memory, and where in it the data begins. Each frame has one value, made together with the
/// memory and neither copied nor made again: its holder has it, or a ring, on which the kernel hands it back.
///
/// It belongs to the socket that it came from, and only that socket takes it back.
///
/// ```compile_fail,E0382
/// use tracker_user::xdp::{frame::Frame, socket::XskSocket};
/// fn a_frame_is_not_used_twice(socket: &mut XskSocket, frame: Frame) {
///     socket.send(frame, 60);
///     socket.recycle(frame);
/// }
/// ```
#[derive(Debug)]
#[repr(transparent)]
#[must_use = "a frame that nobody holds is lost to its socket"]
pub struct Frame(u64);

impl Frame {
    /// Where the data begins, as an offset into the memory.
    #[inline]
    #[must_use]
    pub fn address(&self) -> u64 {
        self.0
    }

    /// The same frame, its data from its first byte on.
    #[inline]
    pub(super) fn whole(mut self) -> Self {
        self.0 &= !(FRAME_LEN as u64 - 1);
        self
    }
}

/// Tests and debug builds notice where a frame gets lost; elsewhere it shows in the sum of the metrics, and costs nothing.
#[cfg(debug_assertions)]
impl Drop for Frame {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "the frame at {} is lost", self.0);
    }
}

/// The frames of a socket that nobody uses.
#[derive(Debug)]
pub struct Frames(Vec<Frame>);

impl Frames {
    /// Every frame of a memory of so many. To be made once, with the memory.
    pub(super) fn all(count: u32) -> Self {
        // The first is taken first.
        Self((0..count).rev().map(|number| Frame(u64::from(number) * FRAME_LEN as u64)).collect())
    }

    /// Takes one.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<Frame> {
        self.0.pop()
    }

    /// Takes one back.
    #[inline]
    pub(super) fn push(&mut self, frame: Frame) {
        self.0.push(frame.whole());
    }

    /// How many there are.
    #[inline]
    pub(super) fn len(&self) -> u32 {
        self.0.len() as u32
    }
}

/// The memory goes at the same time.
#[cfg(debug_assertions)]
impl Drop for Frames {
    fn drop(&mut self) {
        self.0.drain(..).for_each(std::mem::forget);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_frame_is_there_once_and_comes_back_whole() {
        let mut frames = Frames::all(3);
        let taken: Vec<Frame> = std::iter::from_fn(|| frames.pop()).collect();
        let addresses: Vec<u64> = taken.iter().map(Frame::address).collect();
        assert_eq!(addresses, [0, 2048, 4096]);
        for mut frame in taken {
            // As the kernel does, which leaves room before a received frame.
            frame.0 += 256;
            frames.push(frame);
        }
        assert_eq!(frames.len(), 3);
        assert_eq!(frames.pop().map(|frame| (frame.address(), frames.push(frame)).0), Some(4096));
    }

    #[test]
    #[cfg(debug_assertions)]
    fn a_lost_frame_is_noticed() {
        let mut frames = Frames::all(1);
        let frame = frames.pop();
        assert!(std::panic::catch_unwind(|| drop(frame)).is_err());
    }
}
