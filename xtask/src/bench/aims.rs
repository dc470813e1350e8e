//! The ratios that Riptide is to reach: each row of the table, with the floor that the design must give and the goal.

use crate::bench::report::{Better, Row};

/// One row of the table before anything is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Aim {
    /// What is measured.
    pub(crate) name: &'static str,
    /// What it is compared with; empty for a figure that stands by itself.
    pub(crate) against: &'static str,
    /// Unit of both sides, as [`Row::unit`] has it.
    pub(crate) unit: &'static str,
    /// Which way is better.
    pub(crate) better: Better,
    /// The ratio, or the figure if it stands by itself, that the design must give.
    pub(crate) floor: f64,
    /// The one that we came for.
    pub(crate) goal: f64,
    /// The subject of `cargo xtask bench` that measures it.
    pub(crate) subject: &'static str,
}

impl Aim {
    /// The row, not measured yet.
    pub(crate) fn row(&self) -> Row {
        Row {
            name: self.name.to_owned(),
            against: self.against.to_owned(),
            ours: None,
            theirs: None,
            unit: self.unit.to_owned(),
            floor: self.floor,
            goal: self.goal,
            better: self.better,
            note: String::new(),
            rounds: Vec::new(),
        }
    }

    /// Whether a row is this one.
    pub(crate) fn is(&self, row: &Row) -> bool {
        row.name == self.name && row.against == self.against
    }
}

pub(crate) const UDP_MIX_XDP: Aim = Aim {
    name: "UDP mix, XDP native, one core",
    against: "aquatic_udp io_uring",
    unit: "responses/s",
    better: Better::More,
    floor: 4.0,
    goal: 5.0,
    subject: "udp",
};

pub(crate) const UDP_CONNECT_KERNEL: Aim = Aim {
    name: "UDP connect only, in the kernel",
    against: "aquatic_udp io_uring, connect only",
    unit: "responses/s",
    better: Better::More,
    floor: 8.0,
    goal: 10.0,
    subject: "udp",
};

pub(crate) const UDP_ANNOUNCE_XSK: Aim = Aim {
    name: "UDP announce only, AF_XDP",
    against: "aquatic_udp io_uring, announce only",
    unit: "responses/s",
    better: Better::More,
    floor: 3.0,
    goal: 4.5,
    subject: "udp",
};

pub(crate) const UDP_ANNOUNCE_ECHO: Aim = Aim {
    name: "UDP announce only, AF_XDP",
    against: "a do-nothing AF_XDP echo of equal frame sizes, same rings",
    unit: "responses/s",
    better: Better::More,
    floor: 0.7,
    goal: 0.8,
    subject: "udp",
};

pub(crate) const UDP_MIX_SOCKETS: Aim = Aim {
    name: "UDP mix, sockets only (no XDP at all)",
    against: "aquatic_udp io_uring",
    unit: "responses/s",
    better: Better::More,
    floor: 1.05,
    goal: 1.2,
    subject: "udp",
};

pub(crate) const UDP_MIX_CPU: Aim = Aim {
    name: "CPU per million responses of the mix, XDP path",
    against: "aquatic_udp io_uring",
    unit: "CPU s",
    better: Better::Less,
    floor: 0.25,
    goal: 0.2,
    subject: "udp",
};

pub(crate) const XDP_VERDICT: Aim = Aim {
    name: "XDP program, any verdict, by test-run",
    against: "",
    unit: "ns",
    better: Better::Less,
    floor: 150.0,
    goal: 100.0,
    subject: "udp",
};

pub(crate) const HTTP_AQUATIC: Aim = Aim {
    name: "HTTP announce, plain, keep-alive",
    against: "aquatic_http",
    unit: "responses/s",
    better: Better::More,
    floor: 4.0,
    goal: 6.0,
    subject: "http",
};

pub(crate) const HTTP_ROUTE: Aim = Aim {
    name: "HTTP announce, plain, keep-alive",
    against: "a do-nothing axum route with an equal reply",
    unit: "responses/s",
    better: Better::More,
    floor: 0.7,
    goal: 0.8,
    subject: "http",
};

pub(crate) const WS_AQUATIC: Aim = Aim {
    name: "WebTorrent announces with offers, TLS",
    against: "aquatic_ws",
    unit: "announces/s",
    better: Better::More,
    floor: 1.1,
    goal: 1.5,
    subject: "ws",
};

pub(crate) const ENGINE_BATCHED: Aim = Aim {
    name: "engine announce, one thread, 1 M torrents and 2 M peers, 30 wanted, batched",
    against: "the same engine called one by one",
    unit: "announces/s",
    better: Better::More,
    floor: 1.2,
    goal: 1.5,
    subject: "engine",
};

pub(crate) const ENGINE_GROWTH: Aim = Aim {
    name: "engine announce, 10 M torrents",
    against: "the same at 10 k torrents",
    unit: "ns",
    better: Better::Less,
    floor: 4.0,
    goal: 2.5,
    subject: "engine",
};

pub(crate) const ENGINE_THREADS: Aim = Aim {
    name: "engine announce, two threads, skewed (Zipf 1.0) hashes",
    against: "one thread",
    unit: "announces/s",
    better: Better::More,
    floor: 1.6,
    goal: 1.8,
    subject: "engine",
};

/// opentracker's record of such a peer has 8 bytes.
pub(crate) const MEMORY_PEER: Aim = Aim {
    name: "memory, IPv4 peer in a swarm of 1,000, all in",
    against: "",
    unit: "bytes",
    better: Better::Less,
    floor: 16.0,
    goal: 12.0,
    subject: "engine",
};

pub(crate) const MEMORY_TORRENT: Aim = Aim {
    name: "memory, torrent with one IPv4 peer, all in",
    against: "",
    unit: "bytes",
    better: Better::Less,
    floor: 140.0,
    goal: 100.0,
    subject: "engine",
};

pub(crate) const MEMORY_FULL: Aim = Aim {
    name: "memory at 1 M torrents, 2 M peers, all announced",
    against: "aquatic_udp",
    unit: "bytes",
    better: Better::Less,
    floor: 0.6,
    goal: 0.35,
    subject: "udp",
};

/// wt-tracker publishes 12 KB.
pub(crate) const MEMORY_WEBSOCKET: Aim = Aim {
    name: "memory, idle plain WebSocket peer",
    against: "",
    unit: "bytes",
    better: Better::Less,
    floor: 12_000.0,
    goal: 8_000.0,
    subject: "ws",
};

pub(crate) const EXPIRY: Aim = Aim {
    name: "p99.9 latency while 1 M peers expire",
    against: "p99.9 without expiry",
    unit: "s",
    better: Better::Less,
    floor: 3.0,
    goal: 2.0,
    subject: "udp",
};

/// Every row, in the order in which they are told.
pub(crate) const AIMS: [Aim; 18] = [
    UDP_MIX_XDP,
    UDP_CONNECT_KERNEL,
    UDP_ANNOUNCE_XSK,
    UDP_ANNOUNCE_ECHO,
    UDP_MIX_SOCKETS,
    UDP_MIX_CPU,
    XDP_VERDICT,
    HTTP_AQUATIC,
    HTTP_ROUTE,
    WS_AQUATIC,
    ENGINE_BATCHED,
    ENGINE_GROWTH,
    ENGINE_THREADS,
    MEMORY_PEER,
    MEMORY_TORRENT,
    MEMORY_FULL,
    MEMORY_WEBSOCKET,
    EXPIRY,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_goal_is_beyond_its_floor() {
        for aim in AIMS {
            match aim.better {
                Better::More => assert!(aim.goal > aim.floor, "{aim:?}"),
                Better::Less => assert!(aim.goal < aim.floor, "{aim:?}"),
            }
        }
    }

    #[test]
    fn no_two_rows_are_the_same() {
        for (index, aim) in AIMS.iter().enumerate() {
            assert_eq!(AIMS.iter().position(|other| other.is(&aim.row())), Some(index));
        }
    }
}
