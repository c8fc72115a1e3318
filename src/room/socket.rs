//! Dialling a room: WebSocket over TCP or TLS, with the bearer token and the subprotocol ([`Dialer`]).

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config};
use url::{Host, Url};

use super::error::RoomError;
use super::message::{MAX_FRAME, SUBPROTOCOL};
use crate::config::secret::Secret;
use crate::tls::{self, TlsError};

/// A connection to a room, before any message.
pub type RoomSocket = WebSocketStream<MaybeTlsStream<TcpStream>>;
/// What goes over it.
pub(super) type Frame = Message;

/// The limits of either end's WebSocket: frames and messages of at most [`MAX_FRAME`], and buffers to match, since
/// thousands of these run side by side.
#[must_use]
pub(super) fn websocket_config() -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(Some(MAX_FRAME))
        .max_frame_size(Some(MAX_FRAME))
        .read_buffer_size(8 * 1024)
        .write_buffer_size(8 * 1024)
}

/// Everything that dialling needs, checked once.
pub struct Dialer {
    url: Url,
    authority: String,
    bearer: Option<HeaderValue>,
    connector: Connector,
    limit: Duration,
}

impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A room's URL may carry a key in its query.
        f.debug_struct("Dialer").field("authority", &self.authority).finish_non_exhaustive()
    }
}

impl Dialer {
    /// Checks the URL and the token and, for `wss`, loads what certificates are trusted: the platform's and, where
    /// given, those of `ca_file` (PEM). `limit` bounds one dial from TCP to the end of the WebSocket handshake.
    ///
    /// # Errors
    /// [`RoomError::Url`], [`RoomError::Token`], [`RoomError::CaFile`], [`RoomError::TlsSetup`]: all final.
    pub fn new(url: &Url, token: Option<&Secret>, ca_file: Option<&Path>, limit: Duration) -> Result<Self, RoomError> {
        let problem = |problem: &str| RoomError::Url { problem: problem.to_owned() };
        let secure = match url.scheme() {
            "wss" => true,
            "ws" => false,
            _ => return Err(problem("the scheme is neither wss nor ws")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(problem("it holds user info; put the token into SIDECAR_ROOM_TOKEN"));
        }
        let host = url.host().ok_or_else(|| problem("it names no host"))?;
        let port = url.port_or_known_default().ok_or_else(|| problem("it names no port"))?;
        if !secure && token.is_some() && !is_loopback(&host) {
            tracing::warn!("the room token travels unencrypted; use wss");
        }
        let mut url = url.clone();
        url.set_fragment(None);
        let connector = if secure { Connector::Rustls(tls_config(ca_file)?) } else { Connector::Plain };
        let authority = format!("{}:{port}", url.host_str().unwrap_or_default());
        Ok(Self { authority, url, bearer: token.map(bearer).transpose()?, connector, limit })
    }

    /// Dials once.
    ///
    /// # Errors
    /// [`RoomError`], whose `is_final` says whether to try again.
    pub async fn dial(&self) -> Result<RoomSocket, RoomError> {
        let after_ms = u64::try_from(self.limit.as_millis()).unwrap_or(u64::MAX);
        match timeout(self.limit, self.dial_now()).await {
            Ok(outcome) => outcome,
            Err(_) => Err(RoomError::Timeout { step: "connection", after_ms }),
        }
    }

    async fn dial_now(&self) -> Result<RoomSocket, RoomError> {
        let unreachable = |e: std::io::Error| RoomError::Unreachable { problem: e.to_string() };
        let stream = TcpStream::connect(&self.authority).await.map_err(unreachable)?;
        // Frames are small and urgent.
        stream.set_nodelay(true).map_err(unreachable)?;
        let config = Some(websocket_config());
        let connector = Some(self.connector.clone());
        let (socket, response) =
            client_async_tls_with_config(self.request()?, stream, config, connector).await.map_err(dial_error)?;
        match response.headers().get(SEC_WEBSOCKET_PROTOCOL) {
            Some(chosen) if chosen == SUBPROTOCOL => Ok(socket),
            _ => Err(RoomError::Subprotocol),
        }
    }

    fn request(&self) -> Result<Request, RoomError> {
        let mut request = self.url.as_str().into_client_request().map_err(dial_error)?;
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        if let Some(bearer) = &self.bearer {
            request.headers_mut().insert(AUTHORIZATION, bearer.clone());
        }
        Ok(request)
    }
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => ip.is_loopback(),
    }
}

fn bearer(token: &Secret) -> Result<HeaderValue, RoomError> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose())).map_err(|_| RoomError::Token)?;
    value.set_sensitive(true);
    Ok(value)
}

fn tls_config(ca_file: Option<&Path>) -> Result<Arc<rustls::ClientConfig>, RoomError> {
    tls::client_config(ca_file).map_err(|error| match error {
        TlsError::CaFile { path, problem } => RoomError::CaFile { path: path.display().to_string(), problem },
        TlsError::Setup { problem } => RoomError::TlsSetup { problem },
    })
}

/// What a failed dial means.
fn dial_error(error: WsError) -> RoomError {
    match error {
        WsError::Http(response) => RoomError::Http { status: response.status().as_u16() },
        WsError::Protocol(ProtocolError::SecWebSocketSubProtocolError(_)) => RoomError::Subprotocol,
        WsError::Url(e) => RoomError::Url { problem: e.to_string() },
        WsError::Tls(e) => RoomError::TlsSetup { problem: e.to_string() },
        WsError::Io(e) => match e.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::InvalidCertificate(why)) => RoomError::Certificate { problem: why.to_string() },
            _ => RoomError::Unreachable { problem: e.to_string() },
        },
        other => RoomError::Unreachable { problem: other.to_string() },
    }
}

/// What a broken connection means.
pub(super) fn cut_error(error: &WsError) -> RoomError {
    match error {
        WsError::Capacity(CapacityError::MessageTooLong { size, .. }) => {
            RoomError::Unreadable { problem: format!("a frame of {size} bytes; at most {MAX_FRAME} are allowed") }
        }
        WsError::Utf8(_) => RoomError::Unreadable { problem: "a text frame that is not UTF-8".to_owned() },
        WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake)
        | WsError::ConnectionClosed
        | WsError::AlreadyClosed
        | WsError::Io(_) => RoomError::Cut { problem: error.to_string() },
        other => RoomError::Unreadable { problem: other.to_string() },
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]
    use super::*;

    fn check(url: &str, token: Option<&str>) -> Result<Dialer, RoomError> {
        let token = token.map(Secret::new);
        Dialer::new(&Url::parse(url).unwrap(), token.as_ref(), None, Duration::from_secs(1))
    }

    #[test]
    fn what_is_no_room_url_is_refused_before_any_dial() {
        for bad in ["https://host/room", "ws://user:pass@host/room", "mailto:x"] {
            assert!(matches!(check(bad, None), Err(RoomError::Url { .. })), "{bad}");
        }
        assert_eq!(check("ws://[::1]:9/room", None).unwrap().authority, "[::1]:9");
        assert_eq!(check("ws://127.0.0.1/room", None).unwrap().authority, "127.0.0.1:80");
    }

    #[test]
    fn a_token_with_a_line_break_is_refused_and_no_token_is_shown() {
        assert_eq!(check("ws://127.0.0.1/", Some("a\r\nX-Evil: 1")).unwrap_err(), RoomError::Token);
        let dialer = check("ws://127.0.0.1/?key=hidden", Some("s3cret")).unwrap();
        let shown = format!("{dialer:?} {:?}", dialer.bearer);
        assert!(!shown.contains("s3cret") && !shown.contains("hidden"), "{shown}");
    }
}
