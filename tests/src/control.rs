//! A tracker's control socket, asked in HTTP as any program may, and every answer held against `docs/openapi.json`.

use crate::{
    openapi::OpenApi,
    riptide::Riptide,
    web::{http::Connection, stream},
};
use serde_json::Value;
use std::{path::Path, process::Output};

/// Asks at a socket for a target, as in `GET /status`, and gives the status and the JSON.
#[must_use]
pub fn ask_at(socket: &Path, operation: &str, more: &str, body: &[u8]) -> (u16, Value) {
    let mut connection = Connection::new(stream::unix(socket), "");
    let (method, target) = operation.split_once(' ').expect("a method and a target");
    let mut request = connection.request(method, target, more);
    request.extend_from_slice(body);
    connection.send(&request);
    let answer = connection.receive();
    assert_eq!(answer.header("content-type"), Some("application/json"), "{answer:?}");
    let value = serde_json::from_slice(&answer.body).unwrap_or_else(|e| panic!("{e}: {answer:?}"));
    (answer.status, value)
}

/// How the page names what is asked for: without a query, and with a name for a hash, network or key.
fn described(operation: &str) -> String {
    let path = operation.split('?').next().unwrap_or_default();
    match path.rsplit_once('/') {
        Some((before, _)) if before.ends_with("/torrent") || before.ends_with("/deny") => {
            format!("{before}/{{info_hash}}")
        }
        Some((before, _)) if before.ends_with("/ban") => format!("{before}/{{network}}"),
        Some((before, _)) if before.ends_with("/key") => format!("{before}/{{key}}"),
        _ => path.to_owned(),
    }
}

/// Asks a tracker, and checks that the answer is as described for this operation.
#[must_use]
pub fn ask(riptide: &Riptide, operation: &str) -> (u16, Value) {
    let (status, value) = ask_at(&riptide.control_socket(), operation, "", b"");
    let problems = OpenApi::read().problems(&described(operation), status, &value);
    assert!(problems.is_empty(), "{problems:#?} in {value:#}");
    (status, value)
}

/// What a tracker says of itself.
#[must_use]
pub fn status(riptide: &Riptide) -> Value {
    let (status, value) = ask(riptide, "GET /status");
    assert_eq!(status, 200, "{value:#}");
    value
}

/// What a command printed, which has to have gone well.
#[must_use]
pub fn printed(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a command said that failed with status 1.
#[must_use]
pub fn complaint(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}
