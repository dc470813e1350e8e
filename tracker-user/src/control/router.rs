//! Who answers a request at the control socket, and how large it may be.

use super::{
    Shared,
    answer::{Refusal, json},
    export::{self, Format},
    save,
    status::Status,
    stream::Stream,
    torrent::Torrent,
};
use crate::{
    clock::monotonic_ns,
    config,
    decisions::{Entry, Kind, NotDecided},
    orders::{Order, Stopping},
};
use axum::{
    Router,
    body::Body,
    extract::{Path, Request, State},
    handler::Handler,
    http::{
        Method, StatusCode, Uri,
        header::{CONNECTION, CONTENT_TYPE, UPGRADE},
    },
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::{MethodRouter, delete, get, post, put},
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Body as _;
use std::{fmt, io, sync::Arc, time::Duration};
use tokio::time::timeout;
use tracker_core::access::parse_hash;

/// What is spoken by a process that takes over.
const HANDOVER: &str = "riptide-handover";

/// What handlers work with.
type Room = State<Arc<Place>>;

/// What they share.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) shared: Shared,
    started_ns: u64,
    max_peers: usize,
}

/// Bounds of a request.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    body: usize,
    patience: Duration,
}

/// Something that can be asked for.
struct Route {
    method: Method,
    path: &'static str,
    handler: MethodRouter<Arc<Place>>,
}

impl Route {
    /// What changes nothing.
    fn ask<T: 'static>(path: &'static str, handler: impl Handler<T, Arc<Place>>) -> Self {
        Self { method: Method::GET, path, handler: get(handler) }
    }

    /// What is to be from now on, however often it is asked for.
    fn add<T: 'static>(path: &'static str, handler: impl Handler<T, Arc<Place>>) -> Self {
        Self { method: Method::PUT, path, handler: put(handler) }
    }

    /// What is to be no longer, however often it is asked for.
    fn remove<T: 'static>(path: &'static str, handler: impl Handler<T, Arc<Place>>) -> Self {
        Self { method: Method::DELETE, path, handler: delete(handler) }
    }

    /// What is to be done.
    fn order<T: 'static>(path: &'static str, handler: impl Handler<T, Arc<Place>>) -> Self {
        Self { method: Method::POST, path, handler: post(handler) }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// Everything that can be asked for. `docs/openapi.json` describes the same.
fn routes() -> Vec<Route> {
    vec![
        Route::ask("/status", status),
        Route::ask("/torrent/{info_hash}", torrent),
        Route::ask("/export", export),
        Route::ask("/deny", async |place: Room| list(&place, Kind::Deny).await),
        Route::add("/deny/{info_hash}", async |place: Room, text| {
            decide(&place, Kind::Deny, text, true).await
        }),
        Route::remove("/deny/{info_hash}", async |place: Room, text| {
            decide(&place, Kind::Deny, text, false).await
        }),
        Route::ask("/ban", async |place: Room| list(&place, Kind::Ban).await),
        Route::add("/ban/{network}", async |place: Room, text| decide(&place, Kind::Ban, text, true).await),
        Route::remove("/ban/{network}", async |place: Room, text| {
            decide(&place, Kind::Ban, text, false).await
        }),
        Route::ask("/key", async |place: Room| list(&place, Kind::Key).await),
        Route::add("/key/{key}", async |place: Room, text| decide(&place, Kind::Key, text, true).await),
        Route::remove("/key/{key}", async |place: Room, text| decide(&place, Kind::Key, text, false).await),
        Route::order("/reload", reload),
        Route::order("/save", save),
        Route::order("/upgrade", upgrade),
        Route::order("/take-over", take_over),
    ]
}

/// Answers all requests.
pub(super) fn router(config: &config::Control, shared: Shared) -> Router {
    let bounds = Bounds { body: config.max_body_size, patience: config.request_timeout };
    let place = Arc::new(Place { shared, started_ns: monotonic_ns(), max_peers: config.max_peers });
    routes()
        .into_iter()
        .fold(Router::new(), |router, Route { path, handler, .. }| router.route(path, handler))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(bounds, bounded))
        .with_state(place)
}

/// Takes the body of a request, which has to be there in time and to be short enough.
async fn bounded(State(bounds): State<Bounds>, request: Request, next: Next) -> Response {
    let too_long = || {
        let reason = format!("the body is longer than control.max_body_size = {} bytes", bounds.body);
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, reason).into_response()
    };
    let (parts, body) = request.into_parts();
    if body.size_hint().lower() > bounds.body as u64 {
        return too_long();
    }
    match timeout(bounds.patience, Limited::new(body, bounds.body).collect()).await {
        Ok(Ok(body)) => next.run(Request::from_parts(parts, Body::from(body.to_bytes()))).await,
        Ok(Err(error)) if error.is::<LengthLimitError>() => too_long(),
        Ok(Err(error)) => {
            let reason = format!("the body did not come: {error}");
            Refusal::new(StatusCode::BAD_REQUEST, reason).into_response()
        }
        Err(_) => {
            let reason = "the body did not come within control.request_timeout";
            Refusal::new(StatusCode::REQUEST_TIMEOUT, reason).into_response()
        }
    }
}

async fn unknown(request: Request) -> Refusal {
    let known: Vec<_> = routes().iter().map(Route::to_string).collect();
    let reason = format!("this tracker knows no {}, only {}", request.uri().path(), known.join(", "));
    Refusal::new(StatusCode::NOT_FOUND, reason)
}

async fn wrong_method(method: Method, request: Request) -> Refusal {
    let reason = format!("{} is not asked for by {method}", request.uri().path());
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, reason)
}

async fn status(State(place): Room) -> Response {
    json(StatusCode::OK, &Status::take(&place.shared, place.started_ns))
}

async fn reload(State(place): Room) -> Result<Response, Refusal> {
    match place.shared.orders.give(Order::Reload).await? {
        Ok(reloaded) => Ok(json(StatusCode::OK, &reloaded)),
        Err(error) => {
            Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()).because(error.problems))
        }
    }
}

async fn save(State(place): Room) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &save::save(&place.shared.saver).await?))
}

async fn torrent(State(place): Room, Path(text): Path<String>) -> Result<Response, Refusal> {
    let Some(info_hash) = parse_hash(text.as_bytes()) else {
        let reason = format!("`{text}` is no info hash: it has 40 hexadecimal digits, or 64");
        return Err(Refusal::new(StatusCode::BAD_REQUEST, reason));
    };
    let Shared { engine, clock, .. } = &place.shared;
    match Torrent::look(engine, &info_hash, clock.now(), place.max_peers) {
        Some(torrent) => Ok(json(StatusCode::OK, &torrent)),
        None => {
            let reason = format!("nothing is known of {info_hash}: it has neither peers nor downloads");
            Err(Refusal::new(StatusCode::NOT_FOUND, reason))
        }
    }
}

async fn export(State(place): Room, uri: Uri) -> Result<Response, Refusal> {
    let format = match uri.query() {
        None => Some(Format::Text),
        Some(query) => query.strip_prefix("format=").and_then(Format::of),
    };
    let Some(format) = format else {
        let reason = "the query has to be format=text, format=jsonl or format=bencode";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, reason));
    };
    let Shared { engine, clock, stage, .. } = &place.shared;
    let pieces = export::pieces(engine.clone(), *clock, stage.clone(), format);
    Ok(([(CONTENT_TYPE, format.content_type())], Body::from_stream(pieces)).into_response())
}

async fn list(place: &Place, kind: Kind) -> Result<Response, Refusal> {
    let listed = place.shared.orders.give(|reply| Order::List(kind, reply)).await?;
    Ok(json(StatusCode::OK, &listed))
}

async fn decide(
    place: &Place,
    kind: Kind,
    Path(text): Path<String>,
    holds: bool,
) -> Result<Response, Refusal> {
    let (entry, has_host_bits) = Entry::parse(kind, &text)
        .map_err(|why| Refusal::new(StatusCode::BAD_REQUEST, format!("`{text}`: {why}")))?;
    let mut decided = place.shared.orders.give(|reply| Order::Decide(entry, holds, reply)).await??;
    if has_host_bits {
        decided.warnings.push(format!("`{text}` has host bits set: taken for {entry}"));
    }
    Ok(json(StatusCode::OK, &decided))
}

async fn upgrade(State(place): Room) -> Result<Response, Refusal> {
    match place.shared.orders.give(Order::Upgrade).await? {
        Ok(upgraded) => Ok(json(StatusCode::OK, &upgraded)),
        Err(reason) => Err(Refusal::new(StatusCode::CONFLICT, format!("not upgraded: {reason}"))),
    }
}

/// From the reply on, the connection is a hand-over's.
async fn take_over(State(place): Room, mut request: Request) -> Result<Response, Refusal> {
    if request.headers().get(UPGRADE).is_none_or(|protocol| protocol != HANDOVER) {
        let reason = format!("`riptide run --take-over` asks for this, with `Upgrade: {HANDOVER}`");
        return Err(Refusal::new(StatusCode::UPGRADE_REQUIRED, reason));
    }
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        match upgraded.await.map_err(io::Error::other).and_then(Stream::give_up) {
            Ok((stream, said)) => place.shared.orders.send(Order::HandOver(stream, said)).await,
            Err(error) => tracing::warn!("hand-over: not begun: {error}"),
        }
    });
    let headers = [(CONNECTION, "upgrade"), (UPGRADE, HANDOVER)];
    Ok((StatusCode::SWITCHING_PROTOCOLS, headers).into_response())
}

impl From<NotDecided> for Refusal {
    fn from(error: NotDecided) -> Self {
        let status = match error {
            NotDecided::Full { .. } | NotDecided::InFile { .. } => StatusCode::CONFLICT,
            NotDecided::Elsewhere => StatusCode::SERVICE_UNAVAILABLE,
            NotDecided::NotKept { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

impl From<Stopping> for Refusal {
    fn from(error: Stopping) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_page_describes_every_route_and_no_other() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
        let page: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let mut described = BTreeSet::new();
        for (path, methods) in page["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys() {
                described.insert(format!("{} {path}", method.to_ascii_uppercase()));
            }
        }
        let routes: BTreeSet<_> = routes().iter().map(Route::to_string).collect();
        assert_eq!(routes, described);
    }
}
