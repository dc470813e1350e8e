//! The handshake of one connection.

use super::challenges::is_challenge;
use rustls::ServerConfig;
use std::{io, sync::Arc};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor, server::TlsStream};

/// What a new connection is shown.
#[derive(Clone, Debug)]
pub struct Acceptor {
    pub(super) config: Arc<ServerConfig>,
    /// There while an ACME server may ask for a challenge.
    pub(super) challenges: Option<Arc<ServerConfig>>,
}

impl Acceptor {
    /// Shakes hands. `None`: that was an ACME server, which has seen its challenge and wants nothing more (RFC 8737
    /// section 3).
    ///
    /// # Errors
    /// If the client does not shake hands as it should, or offers nothing that is spoken here.
    pub async fn accept<S>(self, socket: S) -> io::Result<Option<TlsStream<S>>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Some(challenges) = self.challenges else {
            return TlsAcceptor::from(self.config).accept(socket).await.map(Some);
        };
        let hand = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), socket).await?;
        if !is_challenge(&hand.client_hello()) {
            return hand.into_stream(self.config).await.map(Some);
        }
        let mut seen = hand.into_stream(challenges).await?;
        // It may have gone already.
        let _ = seen.shutdown().await;
        Ok(None)
    }

    /// What everybody but an ACME server gets.
    #[cfg(test)]
    pub(super) fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }
}
