//! From a request to who answers it. Announces and scrapes are answered at once, on the way of the connection; pages
//! are axum's.

use super::{
    activity::Activity,
    client::{Clients, NoAddress},
    counters::{Action, Counters, Outcome},
    limits::{PerAddress, Place},
    pages,
    tracker::{self, Tracker},
};
use crate::ws::Hub;
use axum::{Router as Pages, body::Body};
use bytes::Bytes;
use futures_util::future::{Either as AnyFuture, Ready, ready};
use http_body_util::{BodyExt as _, Either, Full};
use hyper::{
    Method, Request, Response, StatusCode, Uri, Version,
    body::{Body as _, Incoming},
    header::{ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue, UPGRADE},
    http::request::Parts,
    service::Service as _,
};
use hyper_util::service::TowerToHyperService;
use std::{convert::Infallible, net::IpAddr, pin::Pin, sync::Arc};
use tracker_common::{
    address::{Address, Family},
    hex,
};
use tracker_core::{
    admission::{Rejected, Retry},
    keys,
};

/// The body of a reply: bytes for the fast path, anything for the rest.
pub(super) type Reply = Either<Full<Bytes>, Body>;
/// The reply to a request: there already, or to be awaited.
pub(super) type Answer = AnyFuture<Ready<Result<Response<Reply>, Infallible>>, Waiting>;
/// Whom a request is from.
type Client = Result<Address, NoAddress>;
type Waiting = Pin<Box<dyn Future<Output = Result<Response<Reply>, Infallible>> + Send>>;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain");
/// Nothing here depends on who asks, so pages from anywhere may read it (the CORS protocol of the Fetch standard).
const ANY_ORIGIN: HeaderValue = HeaderValue::from_static("*");

/// Answers requests.
#[derive(Debug)]
pub(super) struct Router {
    /// Announces and scrapes.
    pub(super) tracker: Tracker,
    /// Whom a request is from.
    pub(super) clients: Clients,
    /// Counts what is answered.
    pub(super) counters: Arc<Counters>,
    /// The longest body of a request.
    pub(super) max_body_size: usize,
    /// Bounds the connections of an address, if they are bounded.
    pub(super) per_address: Option<Arc<PerAddress>>,
    /// WebSockets, if they are served.
    pub(super) hub: Option<Arc<Hub>>,
    /// Everything else, by the paths of [`Target`].
    pub(super) pages: TowerToHyperService<Pages>,
}

impl Router {
    /// Answers a request of a connection from `peer`, which is `None` for a Unix socket.
    pub(super) fn answer(
        self: &Arc<Self>,
        request: Request<Incoming>,
        peer: Option<IpAddr>,
        activity: &Arc<Activity>,
    ) -> Answer {
        let client = self.clients.address(peer, request.headers());
        if request.method() == Method::GET && is_handshake(&request) {
            return there(self.shake_hands(request, client, peer));
        }
        let target = self.target(request.uri().path());
        if client.is_ok_and(|client| self.tracker.bans(client)) {
            return there(self.turn_away(&request, client, target));
        }
        let refuse = |status| {
            self.counters.answered(target.action(), family(client), Outcome::Rejected);
            there(refusal(status, &request, target))
        };
        if !target.allows(request.method()) {
            return refuse(StatusCode::METHOD_NOT_ALLOWED);
        }
        if request.body().size_hint().lower() > self.max_body_size as u64 {
            activity.expect_more();
            return refuse(StatusCode::PAYLOAD_TOO_LARGE);
        }
        if matches!(target, Target::Announce | Target::Scrape) && request.body().is_end_stream() {
            return there(self.track(target, request.into_parts().0, client));
        }
        let (router, activity) = (self.clone(), activity.clone());
        AnyFuture::Right(Box::pin(async move {
            Ok(router.answer_slowly(request, client, target, &activity).await)
        }))
    }

    /// What a path leads to: in private mode also below a key.
    fn target(&self, path: &str) -> Target {
        match Target::of(path) {
            Target::Nothing if self.tracker.is_private() => Target::below_key(path),
            target => target,
        }
    }

    /// Opens a WebSocket, at whatever path it is asked for.
    fn shake_hands(
        &self,
        request: Request<Incoming>,
        client: Client,
        peer: Option<IpAddr>,
    ) -> Response<Reply> {
        let response = match (&self.hub, client) {
            (Some(hub), Ok(address)) => {
                hub.accept(request, address, || self.place(address, peer)).map(Either::Right)
            }
            (Some(_), Err(why)) => text(StatusCode::BAD_REQUEST, why.to_string().into()),
            (None, _) => text(StatusCode::NOT_FOUND, Bytes::from_static(b"WebSocket is not served here")),
        };
        self.counters.answered(Action::Websocket, family(client), outcome(response.status()));
        response
    }

    /// A place for the WebSocket of a client among those of its address; `None` if it has all that it may have. A
    /// connection that is not a proxy's has its place already.
    fn place(&self, client: Address, peer: Option<IpAddr>) -> Option<Option<Place>> {
        let behind_proxy = self.clients.trusts(peer) && !self.clients.trusts(Some(client.to_ip()));
        match &self.per_address {
            Some(limit) if behind_proxy => limit.take(client).map(Some),
            _ => Some(None),
        }
    }

    /// Tells a client whose network is banned that it is, and ends the connection. A tracker's client reads a failure, anybody
    /// else a status.
    fn turn_away(&self, request: &Request<Incoming>, client: Client, target: Target) -> Response<Reply> {
        self.counters.answered(target.action(), family(client), Outcome::Banned);
        let why = Rejected::Banned.message();
        let mut response = match target {
            Target::Announce | Target::Scrape => {
                text(StatusCode::OK, tracker::failure(why, Some(Retry::Never)))
            }
            _ => text(StatusCode::FORBIDDEN, Bytes::from_static(why.as_bytes())),
        };
        if request.method() == Method::HEAD {
            *response.body_mut() = Either::Left(Full::default());
        }
        if request.version() < Version::HTTP_2 {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// Answers an announce or scrape.
    fn track(&self, target: Target, mut parts: Parts, client: Client) -> Response<Reply> {
        let query = parts.uri.query().unwrap_or_default().as_bytes();
        let key = key_in(parts.uri.path());
        let (body, outcome) = match (target, client) {
            (Target::Scrape, client) => self.tracker.scrape(query, key, client.ok()),
            (_, Ok(client)) => self.tracker.announce(query, key, client),
            (_, Err(why)) => (tracker::failure(&why.to_string(), None), Outcome::Failure),
        };
        self.counters.answered(target.action(), family(client), outcome);
        let mut response = Response::new(Either::Left(Full::new(body)));
        // The request's headers have served; their memory does for the reply's.
        parts.headers.clear();
        parts.headers.insert(CONTENT_TYPE, TEXT);
        parts.headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY_ORIGIN);
        *response.headers_mut() = parts.headers;
        response
    }

    async fn answer_slowly(
        &self,
        mut request: Request<Incoming>,
        client: Client,
        target: Target,
        activity: &Arc<Activity>,
    ) -> Response<Reply> {
        let has_body = !request.body().is_end_stream();
        let read_out = self.read_out(request.body_mut()).await;
        if has_body {
            activity.took_body();
        }
        let mut response = match read_out {
            Err(status) => {
                activity.expect_more();
                refusal(status, &request, target)
            }
            Ok(()) => {
                let mut parts = request.into_parts().0;
                if matches!(target, Target::Announce | Target::Scrape) {
                    return self.track(target, parts, client);
                }
                if let Some(path) = target.path() {
                    // What HTTP/2 and the absolute form of a target call this host goes with the target.
                    if let Some(authority) = parts.uri.authority() {
                        parts.extensions.insert(authority.clone());
                    }
                    parts.uri = Uri::from_static(path);
                }
                parts.extensions.insert(activity.clone());
                match self.pages.call(Request::from_parts(parts, Body::empty())).await {
                    Ok(response) => response.map(Either::Right),
                    Err(never) => match never {},
                }
            }
        };
        response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY_ORIGIN);
        self.counters.answered(target.action(), family(client), outcome(response.status()));
        response
    }

    /// Takes a request's body, which no request needs, out of the way of the next request.
    async fn read_out(&self, body: &mut Incoming) -> Result<(), StatusCode> {
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| StatusCode::BAD_REQUEST)?;
            length += frame.data_ref().map_or(0, Bytes::len);
            if length > self.max_body_size {
                return Err(StatusCode::PAYLOAD_TOO_LARGE);
            }
        }
        Ok(())
    }
}

/// The key that the path of an announce or scrape shows, where it has a place for one.
fn key_in(path: &str) -> Option<&[u8]> {
    match Target::of(path) {
        Target::Nothing => keys::of_path(path.as_bytes()),
        _ => None,
    }
}

fn family(client: Client) -> Option<Family> {
    client.ok().map(Address::family)
}

fn there(response: Response<Reply>) -> Answer {
    AnyFuture::Left(ready(Ok(response)))
}

fn outcome(status: StatusCode) -> Outcome {
    if status.is_client_error() || status.is_server_error() { Outcome::Rejected } else { Outcome::Ok }
}

/// Refuses a request and ends its connection, since what is left of the request is nobody's to read.
fn refusal(status: StatusCode, request: &Request<Incoming>, target: Target) -> Response<Reply> {
    let reason = status.canonical_reason().unwrap_or_default();
    let body = if request.method() == Method::HEAD { "" } else { reason };
    let mut response = text(status, body.into());
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(target.methods()));
    }
    if request.version() < Version::HTTP_2 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn text(status: StatusCode, body: Bytes) -> Response<Reply> {
    let mut response = Response::new(Either::Left(Full::new(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    response
}

/// Whether a request asks for a WebSocket (RFC 6455, section 4.1), well or badly. HTTP/2 has another way to, which is
/// not offered.
fn is_handshake(request: &Request<Incoming>) -> bool {
    request.version() == Version::HTTP_11
        && request.headers().get_all(UPGRADE).iter().any(|list| {
            list.as_bytes()
                .split(|byte| *byte == b',')
                .any(|word| word.trim_ascii().eq_ignore_ascii_case(b"websocket"))
        })
}

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Announce,
    Scrape,
    Front,
    Health,
    Stats,
    StatsJson,
    StatsEvents,
    Nothing,
}

impl Target {
    const ALL: [(&'static str, Self); 6] = [
        ("announce", Self::Announce),
        ("scrape", Self::Scrape),
        ("", Self::Front),
        ("health", Self::Health),
        ("stats", Self::Stats),
        ("stats.json", Self::StatsJson),
    ];

    /// What a path leads to. Slashes and spaces around it, escaped or not, are nothing: `//announce`, `/announce/` and
    /// `/announce%20` come from trackers' addresses that people have copied.
    fn of(path: &str) -> Self {
        if path == "/announce" {
            return Self::Announce;
        }
        let path = match path.strip_prefix("/stats") {
            Some("/events" | "/stats/events") => return Self::StatsEvents,
            // Where the link of the page leads to from `/stats/`, as its events do.
            Some(below) if below.ends_with("/stats.json") => below,
            _ => path,
        };
        let mut name = [0; 16];
        let Some(name) = decode(path, &mut name) else { return Self::Nothing };
        let found = Self::ALL.iter().find(|(own, _)| own.as_bytes() == name);
        found.map_or(Self::Nothing, |(_, target)| *target)
    }

    /// What a path leads to that begins with a key: `/KEY/announce`. No character of a key needs an escape.
    fn below_key(path: &str) -> Self {
        let below = path.trim_start_matches('/').split_once('/').map(|(_, below)| Self::of(below));
        below.filter(|target| matches!(target, Self::Announce | Self::Scrape)).unwrap_or(Self::Nothing)
    }

    /// Where the pages have it, if it is one of them.
    const fn path(self) -> Option<&'static str> {
        match self {
            Self::Front => Some(pages::FRONT),
            Self::Health => Some(pages::HEALTH),
            Self::Stats => Some(pages::STATS),
            Self::StatsJson => Some(pages::STATS_JSON),
            Self::StatsEvents => Some(pages::STATS_EVENTS),
            Self::Announce | Self::Scrape | Self::Nothing => None,
        }
    }

    /// The methods that it answers, as the header `Allow` lists them.
    const fn methods(self) -> &'static str {
        match self {
            Self::Announce | Self::Scrape => "GET",
            Self::Front
            | Self::Health
            | Self::Stats
            | Self::StatsJson
            | Self::StatsEvents
            | Self::Nothing => pages::METHODS,
        }
    }

    fn allows(self, method: &Method) -> bool {
        method == Method::GET || self.methods().split(", ").any(|allowed| allowed == method.as_str())
    }

    const fn action(self) -> Action {
        match self {
            Self::Announce => Action::Announce,
            Self::Scrape => Action::Scrape,
            Self::Front => Action::Page,
            Self::Health => Action::Health,
            Self::Stats | Self::StatsJson | Self::StatsEvents => Action::Stats,
            Self::Nothing => Action::Other,
        }
    }
}

/// The path without escapes and without slashes and spaces around it; `None` if it is longer than any that leads
/// somewhere.
fn decode<'a>(path: &str, room: &'a mut [u8; 16]) -> Option<&'a [u8]> {
    let is_nothing = |byte: u8| byte == b'/' || byte == b' ';
    let mut length = 0;
    // Slashes and spaces seen since the last byte of the name.
    let mut gap = false;
    let mut rest = path.as_bytes();
    while let [first, behind @ ..] = rest {
        let mut byte = *first;
        rest = behind;
        if byte == b'%'
            && let [high, low, behind @ ..] = rest
            && let Some(escaped) = hex::byte(*high, *low)
        {
            byte = escaped;
            rest = behind;
        }
        if is_nothing(byte) {
            gap = length > 0;
            continue;
        }
        if gap {
            // Two names: no path has them.
            return None;
        }
        *room.get_mut(length)? = byte;
        length += 1;
    }
    Some(&room[..length])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_tolerantly() {
        for (path, target) in [
            ("/announce", Target::Announce),
            ("//announce", Target::Announce),
            ("/announce/", Target::Announce),
            ("/announce%20", Target::Announce),
            ("/%20/announce//%2f", Target::Announce),
            ("/%61nnounc%65", Target::Announce),
            ("announce", Target::Announce),
            ("/scrape", Target::Scrape),
            ("///scrape%2F", Target::Scrape),
            ("/health", Target::Health),
            ("/stats", Target::Stats),
            ("/stats.json/", Target::StatsJson),
            ("/stats/", Target::Stats),
            ("/stats/stats.json", Target::StatsJson),
            ("/stats//stats.json", Target::StatsJson),
            ("/stats/x/stats.json", Target::Nothing),
            ("/x/stats/stats.json", Target::Nothing),
            ("/stats/events", Target::StatsEvents),
            ("/stats/stats/events", Target::StatsEvents),
            ("/stats/events/x", Target::Nothing),
            ("/events", Target::Nothing),
            ("/", Target::Front),
            ("//%20", Target::Front),
            ("", Target::Front),
            ("*", Target::Nothing),
            ("/announce/x", Target::Nothing),
            ("/x/announce", Target::Nothing),
            ("/ann ounce", Target::Nothing),
            ("/announce%", Target::Nothing),
            ("/announce%2", Target::Nothing),
            ("/announce%zz", Target::Nothing),
            ("/announces", Target::Nothing),
            ("/Announce", Target::Nothing),
            ("/announceannounceannounce", Target::Nothing),
            ("/%00", Target::Nothing),
        ] {
            assert_eq!(Target::of(path), target, "{path}");
        }
    }

    #[test]
    fn announces_and_scrapes_may_be_below_a_key() {
        for (path, target, key) in [
            ("/ABCDEFGH/announce", Target::Announce, Some("ABCDEFGH")),
            ("//ABCDEFGH//announce/", Target::Announce, Some("ABCDEFGH")),
            ("/ABCDEFGH/scrape", Target::Scrape, Some("ABCDEFGH")),
            ("/x/announce%20", Target::Announce, Some("x")),
            ("/announce/announce", Target::Announce, None),
            ("/ABCDEFGH", Target::Nothing, Some("ABCDEFGH")),
            ("/ABCDEFGH/", Target::Nothing, Some("ABCDEFGH")),
            ("/ABCDEFGH/stats", Target::Nothing, Some("ABCDEFGH")),
            ("/ABCDEFGH/health", Target::Nothing, Some("ABCDEFGH")),
            ("/x/ABCDEFGH/announce", Target::Nothing, Some("x")),
        ] {
            assert_eq!((Target::of(path), Target::below_key(path)), (Target::Nothing, target), "{path}");
            assert_eq!(key_in(path), key.map(str::as_bytes), "{path}");
        }
        for path in
            ["/announce", "//announce", "/announce%20", "/scrape/", "/stats", "/stats/events", "/", ""]
        {
            assert_eq!(key_in(path), None, "{path}");
        }
    }

    #[test]
    fn every_page_has_its_path() {
        for (name, target) in Target::ALL {
            if let Some(path) = target.path() {
                assert_eq!(path.trim_start_matches('/'), name);
            }
        }
    }
}
