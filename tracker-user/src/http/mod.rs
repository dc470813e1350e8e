//! HTTP: the tracker (BEP 3), the pages, and the handshakes of WebTorrent, with TLS and without, on the same swarms.

pub mod counters;
