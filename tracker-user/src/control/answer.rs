//! Replies of the control socket: JSON, errors too.

use axum::{
    body::Body,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

/// What could not be done, as `Error` of `docs/openapi.json`.
#[derive(Debug, Serialize)]
pub(super) struct Refusal {
    #[serde(skip)]
    status: StatusCode,
    /// What happened and what to do, in a line.
    error: String,
    /// The parts of it, where there are several.
    problems: Vec<String>,
}

impl Refusal {
    /// For one reason.
    pub(super) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, error: error.into(), problems: Vec::new() }
    }

    /// For these reasons.
    pub(super) fn because(mut self, problems: Vec<String>) -> Self {
        self.problems = problems;
        self
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        json(self.status, &self)
    }
}

/// A reply of this value.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    // Nothing that is answered can fail to be written: there are only text keys, and numbers that are finite.
    let mut body = serde_json::to_vec(value).unwrap_or_default();
    body.push(b'\n');
    (status, [(header::CONTENT_TYPE, "application/json")], Body::from(body)).into_response()
}
