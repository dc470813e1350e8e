//! `save`: the swarms to disk, now.

use super::answer::Refusal;
use crate::swarms::{
    Saver,
    save::{SaveError, Saved},
};
use axum::http::StatusCode;
use serde::Serialize;

/// The reply.
#[derive(Debug, Serialize)]
pub(super) struct Done {
    torrents: u64,
    peers: u64,
    kept_counts: u64,
    size_bytes: u64,
    took_seconds: f64,
}

/// Has everything saved that is there now.
///
/// # Errors
/// Why it was not; what was saved before is still there.
pub(super) async fn save(saver: &Saver) -> Result<Done, Refusal> {
    // The thread answers everybody, or is gone.
    let outcome = saver.save_now().await.map_err(|_| refusal(&SaveError::Stopping))?;
    let Saved { torrents, peers, kept_counts, bytes, took, .. } = outcome.map_err(|error| refusal(&error))?;
    Ok(Done { torrents, peers, kept_counts, size_bytes: bytes, took_seconds: took.as_secs_f64() })
}

fn refusal(error: &SaveError) -> Refusal {
    let status = match error {
        SaveError::Write { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        SaveError::Off => StatusCode::CONFLICT,
        SaveError::GivenUp | SaveError::Stopping => StatusCode::SERVICE_UNAVAILABLE,
    };
    Refusal::new(status, error.to_string())
}
