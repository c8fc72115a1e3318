//! Signalling: the WebSocket on which a session is asked for, described and kept.

use std::net::IpAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use prost::Message;
use tokio::time::timeout;
use tokio_tungstenite::MaybeTlsStream;
use tokio_tungstenite::tungstenite::Error as WsError;
use url::Url;

use super::proto::signal::{SignalRequest, SignalResponse, signal_request, signal_response};
use crate::config::secret::Secret;
use crate::room::error::RoomError;
use crate::room::link::dialect::{Credentials, Handshake};
use crate::room::link::socket::{Dialer, Frame, RoomSocket, cut_error};
use crate::tls::Authorities;

/// The largest message of a server, in bytes: a join tells of everybody in the room.
const MAX_MESSAGE: usize = 4 * 1024 * 1024;
/// Whoever takes nothing for so long is gone.
const STUCK: Duration = Duration::from_secs(5);

/// The connection to a server's signalling.
pub(super) struct Signal {
    socket: RoomSocket,
}

impl Signal {
    /// What dials there.
    ///
    /// # Errors
    /// As for [`Dialer::new`].
    pub(super) fn dialer(url: &Url, token: &Secret, authorities: &Authorities) -> Result<Dialer, RoomError> {
        let handshake = Handshake { subprotocol: None, credentials: Credentials::Bearer };
        Dialer::new(url, Some(token), handshake, MAX_MESSAGE, authorities)
    }

    /// Dials once.
    ///
    /// # Errors
    /// [`RoomError`]; what the server said with a refusal is left out, for it can repeat the token.
    pub(super) async fn dial(
        url: &Url,
        token: &Secret,
        authorities: &Authorities,
        limit: Duration,
    ) -> Result<Self, RoomError> {
        let socket = Self::dialer(url, token, authorities)?.dial(limit).await?;
        Ok(Self { socket })
    }

    /// The address of ours that leads to the server.
    pub(super) fn local_ip(&self) -> Option<IpAddr> {
        let tcp = match self.socket.get_ref() {
            MaybeTlsStream::Plain(tcp) => tcp,
            MaybeTlsStream::Rustls(tls) => tls.get_ref().0,
            _ => return None,
        };
        tcp.local_addr().ok().map(|address| address.ip())
    }

    /// What the server says next, as far as we know its words. Cancel-safe.
    ///
    /// # Errors
    /// How the connection ended.
    pub(super) async fn next(&mut self) -> Result<signal_response::Message, RoomError> {
        loop {
            let frame = self.socket.next().await.unwrap_or(Err(WsError::ConnectionClosed));
            match frame.map_err(|error| cut_error(&error))? {
                Frame::Binary(bytes) => {
                    let response = SignalResponse::decode(bytes)
                        .map_err(|error| RoomError::Unreadable { problem: error.to_string() })?;
                    if let Some(message) = response.message {
                        return Ok(message);
                    }
                }
                Frame::Close(close) => {
                    let (code, reason) = close.map_or((1005, String::new()), |c| (c.code.into(), c.reason.to_string()));
                    return Err(RoomError::Closed { code, reason });
                }
                Frame::Ping(_) => {
                    // The library has an answer ready, but it is us who flush it.
                    self.socket.flush().await.map_err(|error| cut_error(&error))?;
                }
                Frame::Text(_) | Frame::Pong(_) | Frame::Frame(_) => {}
            }
        }
    }

    /// Says something to the server.
    ///
    /// # Errors
    /// [`RoomError::Cut`] or [`RoomError::Timeout`].
    pub(super) async fn send(&mut self, message: signal_request::Message) -> Result<(), RoomError> {
        let bytes = SignalRequest { message: Some(message) }.encode_to_vec();
        match timeout(STUCK, self.socket.send(Frame::binary(bytes))).await {
            Ok(sent) => sent.map_err(|error| cut_error(&error)),
            Err(_) => Err(RoomError::Timeout { step: "signalling", after_ms: 5000 }),
        }
    }

    /// Closes the connection.
    pub(super) async fn close(mut self) {
        let goodbye = async {
            self.socket.close(None).await?;
            while let Some(frame) = self.socket.next().await {
                frame?;
            }
            Ok::<(), WsError>(())
        };
        let _ = timeout(Duration::from_secs(1), goodbye).await;
    }
}
