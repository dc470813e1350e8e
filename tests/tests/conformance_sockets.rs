//! The conformance suite through ordinary sockets on the loopback interface, which needs no privilege.

use tests::rig::Path;

tests::conformance!(Path::Loopback);
