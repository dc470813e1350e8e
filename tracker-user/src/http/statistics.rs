//! Pages of numbers: HTTP serves them, and others make them.

use bytes::Bytes;
use std::fmt;

/// The same numbers twice, as of now.
pub trait Statistics: fmt::Debug + Send + Sync {
    /// For people: HTML in UTF-8 that needs no script and nothing from elsewhere; its styles are inline.
    fn page(&self) -> Bytes;

    /// For programs: JSON.
    fn json(&self) -> Bytes;
}
