//! WebSockets to a room, over TCP or TLS, dialled with what the dialect's handshake says ([`Dialer`]).

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config};
use url::{Host, Url};

use super::dialect::{Credentials, Handshake};
use crate::config::secret::Secret;
use crate::room::error::RoomError;
use crate::tls::Authorities;

/// A connection to a room, before any message.
pub type RoomSocket = WebSocketStream<MaybeTlsStream<TcpStream>>;
/// What goes over it.
pub(in crate::room) type Frame = Message;

/// The limits of either end's WebSocket: frames and messages of at most `max_frame` bytes, and small buffers, since
/// thousands of these run side by side.
#[must_use]
pub(in crate::room) fn websocket_config(max_frame: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(Some(max_frame))
        .max_frame_size(Some(max_frame))
        .read_buffer_size(8 * 1024)
        .write_buffer_size(8 * 1024)
}

/// Everything that dialling needs, checked once.
pub struct Dialer {
    url: Url,
    authority: String,
    subprotocol: Option<&'static str>,
    token: Option<(HeaderName, HeaderValue)>,
    connector: Connector,
    max_frame: usize,
}

impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A room's URL may carry a key in its query.
        f.debug_struct("Dialer").field("authority", &self.authority).finish_non_exhaustive()
    }
}

impl Dialer {
    /// Checks the URL and the token and, for `wss`, loads what certificates are trusted.
    ///
    /// # Errors
    /// [`RoomError::Url`], [`RoomError::Token`], [`RoomError::TlsSetup`]: all final.
    pub fn new(
        url: &Url,
        token: Option<&Secret>,
        handshake: Handshake,
        max_frame: usize,
        authorities: &Authorities,
    ) -> Result<Self, RoomError> {
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
        let connector = if secure { Connector::Rustls(tls_config(authorities)?) } else { Connector::Plain };
        let authority = format!("{}:{port}", url.host_str().unwrap_or_default());
        let token = token.map(|token| credentials(handshake.credentials, token)).transpose()?;
        Ok(Self { authority, url, subprotocol: handshake.subprotocol, token, connector, max_frame })
    }

    /// The header that lets us in.
    pub(super) fn token(&self) -> Option<&(HeaderName, HeaderValue)> {
        self.token.as_ref()
    }

    /// Dials once; `limit` bounds it from TCP to the end of the WebSocket handshake.
    ///
    /// # Errors
    /// [`RoomError`], whose `is_final` says whether to try again.
    pub async fn dial(&self, limit: Duration) -> Result<RoomSocket, RoomError> {
        timeout(limit, self.dial_now()).await.unwrap_or_else(|_| Err(no_connection(limit)))
    }

    async fn dial_now(&self) -> Result<RoomSocket, RoomError> {
        let unreachable = |e: std::io::Error| RoomError::Unreachable { problem: e.to_string() };
        let stream = TcpStream::connect(&self.authority).await.map_err(unreachable)?;
        // Frames are small and urgent.
        stream.set_nodelay(true).map_err(unreachable)?;
        let config = Some(websocket_config(self.max_frame));
        let connector = Some(self.connector.clone());
        let (socket, response) = client_async_tls_with_config(self.request()?, stream, config, connector)
            .await
            .map_err(|error| self.failed(error))?;
        let chosen = response.headers().get(SEC_WEBSOCKET_PROTOCOL);
        match self.subprotocol {
            Some(wanted) if chosen.is_none_or(|chosen| chosen != wanted) => Err(RoomError::Subprotocol { wanted }),
            _ => Ok(socket),
        }
    }

    fn request(&self) -> Result<Request, RoomError> {
        let mut request = self.url.as_str().into_client_request().map_err(|error| self.failed(error))?;
        let headers = request.headers_mut();
        if let Some(subprotocol) = self.subprotocol {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol));
        }
        headers.extend(self.token.clone());
        Ok(request)
    }

    /// What a failed dial means.
    fn failed(&self, error: WsError) -> RoomError {
        match error {
            WsError::Http(response) => RoomError::Http { status: response.status().as_u16() },
            WsError::Protocol(ProtocolError::SecWebSocketSubProtocolError(_)) => {
                RoomError::Subprotocol { wanted: self.subprotocol.unwrap_or("none") }
            }
            WsError::Url(e) => RoomError::Url { problem: e.to_string() },
            WsError::Tls(e) => RoomError::TlsSetup { problem: e.to_string() },
            WsError::Io(e) => match e.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                Some(rustls::Error::InvalidCertificate(why)) => RoomError::Certificate { problem: why.to_string() },
                _ => RoomError::Unreachable { problem: e.to_string() },
            },
            other => RoomError::Unreachable { problem: other.to_string() },
        }
    }
}

/// Nothing came within `limit`.
pub(super) fn no_connection(limit: Duration) -> RoomError {
    RoomError::Timeout { step: "connection", after_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX) }
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => ip.is_loopback(),
    }
}

/// The header that carries the token.
fn credentials(how: Credentials, token: &Secret) -> Result<(HeaderName, HeaderValue), RoomError> {
    let (name, text) = match how {
        Credentials::Bearer => (AUTHORIZATION, format!("Bearer {}", token.expose())),
        Credentials::Header(name) => (HeaderName::from_static(name), token.expose().to_owned()),
    };
    let mut value = HeaderValue::from_str(&text).map_err(|_| RoomError::Token)?;
    value.set_sensitive(true);
    Ok((name, value))
}

fn tls_config(authorities: &Authorities) -> Result<Arc<rustls::ClientConfig>, RoomError> {
    authorities.client_config().map_err(|error| RoomError::TlsSetup { problem: error.to_string() })
}

/// What a broken connection means.
pub(in crate::room) fn cut_error(error: &WsError) -> RoomError {
    match error {
        WsError::Capacity(CapacityError::MessageTooLong { size, max_size }) => {
            RoomError::Unreadable { problem: format!("a frame of {size} bytes; at most {max_size} are allowed") }
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
        let handshake = Handshake { subprotocol: Some("chat"), credentials: Credentials::Bearer };
        let token = token.map(Secret::new);
        Dialer::new(&Url::parse(url).unwrap(), token.as_ref(), handshake, 1024, &Authorities::default())
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
        let shown = format!("{dialer:?} {:?}", dialer.token);
        assert!(!shown.contains("s3cret") && !shown.contains("hidden"), "{shown}");
    }
}
