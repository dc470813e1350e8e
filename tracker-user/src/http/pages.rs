//! The pages, as axum serves them.

use super::{
    activity::Activity,
    shown::{Front, Remarks, Statistics},
    stage::Stage,
};
use axum::{
    Extension, Router,
    body::Body,
    extract::State,
    http::{
        HeaderMap, StatusCode,
        header::{
            ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_MAX_AGE, ALLOW,
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderName, HeaderValue,
            REFERRER_POLICY, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
        },
        uri::Authority,
    },
    response::{IntoResponse, Response},
    routing,
};
use bytes::Bytes;
use futures_util::{
    Stream, StreamExt as _,
    stream::{self, BoxStream},
};
use hyper_util::service::TowerToHyperService;
use std::{convert::Infallible, sync::Arc, task::Poll};
use tokio::sync::watch;

pub(super) const FRONT: &str = "/";
pub(super) const HEALTH: &str = "/health";
pub(super) const STATS: &str = "/stats";
pub(super) const STATS_JSON: &str = "/stats.json";
pub(super) const STATS_EVENTS: &str = "/stats/events";

/// What pages answer (RFC 9110, section 9.1, wants GET and HEAD of every server).
pub(super) const METHODS: &str = "GET, HEAD, OPTIONS";

const TEXT: HeaderValue = HeaderValue::from_static("text/plain");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
/// How long who finds all streams taken is asked to wait, seconds: as long as the page itself waits.
const RETRY: HeaderValue = HeaderValue::from_static("10");
/// Tells nginx to hand each event on as it comes.
const UNBUFFERED: HeaderName = HeaderName::from_static("x-accel-buffering");

/// What events are made from, and when they end.
type Followed = (Arc<dyn Statistics>, watch::Receiver<Stage>);

/// What `/health` is made from.
type Health = (watch::Receiver<Stage>, Option<Arc<dyn Remarks>>);

/// The service that has all pages there are.
pub(super) fn serve(
    stage: watch::Receiver<Stage>,
    remarks: Option<Arc<dyn Remarks>>,
    front: Option<Arc<dyn Front>>,
    stats: Option<Arc<dyn Statistics>>,
) -> TowerToHyperService<Router> {
    let health = routing::get(health).options(options).with_state((stage.clone(), remarks));
    let mut pages = Router::new().route(HEALTH, health);
    if let Some(front) = front {
        pages = pages.route(FRONT, routing::get(front_page).options(options).with_state(front));
    }
    if let Some(stats) = stats {
        let events = routing::get(stats_events).options(options).with_state((stats.clone(), stage));
        let stats = Router::new()
            .route(STATS, routing::get(stats_page).options(options))
            .route(STATS_JSON, routing::get(stats_json).options(options))
            .with_state(stats);
        pages = pages.merge(stats).route(STATS_EVENTS, events);
    }
    let pages = pages.fallback(async || (StatusCode::NOT_FOUND, [(CONTENT_TYPE, TEXT)], "Not Found"));
    TowerToHyperService::new(pages)
}

/// What may be done with a page, told to whoever asks and to a browser before it lets another site's page ask with
/// headers of its own.
async fn options() -> impl IntoResponse {
    let headers = [
        (ALLOW, METHODS),
        (ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD"),
        (ACCESS_CONTROL_ALLOW_HEADERS, "*"),
        (ACCESS_CONTROL_MAX_AGE, "86400"),
    ];
    (StatusCode::NO_CONTENT, headers)
}

async fn health(State((stage, remarks)): State<Health>) -> impl IntoResponse {
    let (status, line) = match *stage.borrow() {
        Stage::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
        Stage::Serving | Stage::Lent => (StatusCode::OK, "ok"),
        Stage::Closing | Stage::Draining | Stage::Left => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
    };
    let remark = remarks.filter(|_| status == StatusCode::OK).and_then(|remarks| remarks.remark());
    let text: String = [Some(line), remark].into_iter().flatten().flat_map(|line| [line, "\n"]).collect();
    (status, [(CONTENT_TYPE, TEXT), (CACHE_CONTROL, NO_STORE)], text)
}

/// A page for people, which a browser keeps as `cache` says.
fn html(page: Bytes, policy: HeaderValue, cache: HeaderValue) -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, HTML),
        (CACHE_CONTROL, cache),
        (CONTENT_SECURITY_POLICY, policy),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (headers, page)
}

async fn front_page(
    State(front): State<Arc<dyn Front>>,
    authority: Option<Extension<Authority>>,
    headers: HeaderMap,
) -> impl IntoResponse {
    // The target goes before the header (RFC 9112, section 3.2.2).
    let host = authority.as_ref().map(|Extension(authority)| authority.as_str());
    let host = host.or_else(|| headers.get(HOST)?.to_str().ok());
    html(front.page(host), front.policy(), HeaderValue::from_static("max-age=60"))
}

async fn stats_page(State(stats): State<Arc<dyn Statistics>>) -> impl IntoResponse {
    html(stats.page(), stats.policy(), NO_STORE)
}

async fn stats_json(State(stats): State<Arc<dyn Statistics>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json")), (CACHE_CONTROL, NO_STORE)], stats.json())
}

async fn stats_events(
    State((stats, stage)): State<Followed>,
    Extension(activity): Extension<Arc<Activity>>,
) -> Response {
    let Some(events) = stats.follow() else {
        let headers = [(CONTENT_TYPE, TEXT), (CACHE_CONTROL, NO_STORE), (RETRY_AFTER, RETRY)];
        let text = "as many follow the numbers as may (http.max_stats_streams); /stats refreshes by itself\n";
        return (StatusCode::SERVICE_UNAVAILABLE, headers, text).into_response();
    };
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (CACHE_CONTROL, NO_STORE),
        (UNBUFFERED, HeaderValue::from_static("no")),
    ];
    let body = Body::from_stream(watched(events, stage, activity).map(Ok::<_, Infallible>));
    (headers, body).into_response()
}

/// The events until the tracker is about to end. While one is awaited the connection's silence is not its client's; who does
/// not take what is there is closed like any other that is silent for too long.
fn watched(
    events: BoxStream<'static, Bytes>,
    mut stage: watch::Receiver<Stage>,
    activity: Arc<Activity>,
) -> impl Stream<Item = Bytes> + Send + 'static {
    let ending = async move {
        // An error is the end of the server, too.
        let _ = stage.wait_for(|stage| stage.is_ending()).await;
    };
    let mut events = events.take_until(Box::pin(ending));
    let awaited = activity.awaiting();
    stream::poll_fn(move |cx| {
        let polled = events.poll_next_unpin(cx);
        awaited.set(matches!(polled, Poll::Pending));
        polled
    })
}
