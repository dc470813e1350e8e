//! Tells the server when something that should run for ever has ended, be it by a panic.

use tokio::sync::mpsc::UnboundedSender;

/// Says its name when it is dropped. To be held by what runs.
#[derive(Debug)]
pub struct Farewell {
    name: String,
    ended: UnboundedSender<String>,
}

impl Farewell {
    /// For a thread or task of this name.
    #[must_use]
    pub fn new(name: impl Into<String>, ended: UnboundedSender<String>) -> Self {
        Self { name: name.into(), ended }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Farewell {
    fn drop(&mut self) {
        // Nobody listens while the server is stopping.
        let _ = self.ended.send(std::mem::take(&mut self.name));
    }
}
