//! The kernel's fast path: the XDP program, its AF_XDP sockets, and what keeps both in step with the network.
//!
//! `program` loads and attaches, by a `link`, `frame`, `umem`, `ring` and `socket` carry frames, `batch` turns frames into
//! requests and replies, `deferral` keeps interrupts away from busy workers, `gathering` has frames wait by what `arrivals`
//! count, `barred` has networks dropped by a `trie`, `network` and `destinations` say which addresses are ours, `manager` reconciles all of it as interfaces come and go. It knows those who serve the sockets by `servers` only.

pub mod arrivals;
mod barred;
pub mod batch;
pub mod deferral;
pub mod destinations;
pub mod frame;
pub mod gathering;
pub mod interface;
pub mod link;
pub mod log;
pub mod manager;
pub mod network;
pub mod program;
pub mod queues;
pub mod ring;
pub mod servers;
pub mod socket;
mod trie;
pub mod umem;
