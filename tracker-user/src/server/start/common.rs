//! What all that begins once the workers run is given.

use super::crew::Crew;
use crate::{clock::Clock, config::Config, farewell::Farewell, metrics::Sources};
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedSender;

/// What runs already.
#[derive(Clone, Copy, Debug)]
pub(super) struct Common<'a> {
    pub(super) config: &'a Config,
    pub(super) clock: Clock,
    pub(super) crew: &'a Crew,
    /// Whatever is counted, and what counts it.
    pub(super) sources: &'a Arc<Sources>,
    pub(super) farewell: &'a UnboundedSender<String>,
}

impl Common<'_> {
    /// For a task, called so, that should never end.
    pub(super) fn farewell(&self, name: &str) -> Farewell {
        Farewell::new(name, self.farewell.clone())
    }
}
