//! Pages: HTTP serves them, and others make them.

use axum::http::HeaderValue;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use std::{fmt, sync::Arc};

/// The page at `/`.
pub trait Front: fmt::Debug + Send + Sync {
    /// HTML in UTF-8 that needs nothing from elsewhere, for who has called this host so, as the request's header `Host` or
    /// its target says; that may be anything.
    fn page(&self, host: Option<&str>) -> Bytes;

    /// What a browser may do with it, as the header `Content-Security-Policy`.
    fn policy(&self) -> HeaderValue;
}

/// What is to be known of a tracker that serves, beside that it does.
pub trait Remarks: fmt::Debug + Send + Sync {
    /// A line of it, if there is anything.
    fn remark(&self) -> Option<&'static str>;
}

/// The same numbers in some forms, as of now.
pub trait Statistics: fmt::Debug + Send + Sync {
    /// For people: HTML in UTF-8 that is whole without script and needs nothing from elsewhere.
    fn page(&self) -> Bytes;

    /// What a browser may do with it, as the header `Content-Security-Policy`.
    fn policy(&self) -> HeaderValue;

    /// For programs: JSON.
    fn json(&self) -> Bytes;

    /// What changes of the page from now on, as server-sent events, without an end; `None` if as many are followed as may
    /// be. Nothing is made for one that is not polled.
    fn follow(self: Arc<Self>) -> Option<BoxStream<'static, Bytes>>;
}
