//! The app behind the proxy: dialled for each call ([`App`]).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::Url;

use super::tcp::tuned;
use crate::tls::Authorities;

/// From TCP to the end of the TLS handshake.
const DIAL_LIMIT: Duration = Duration::from_secs(5);

/// Where the app is.
pub struct App {
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// Why an address is no app's.
#[derive(Debug, thiserror::Error)]
pub enum BadApp {
    /// It is no address of a WebSocket, or says more than where the app is.
    #[error(
        "--app-url has to be wss://host[:port] or ws://host[:port]: paths and queries are those that the platform dials"
    )]
    Url,
    /// TLS cannot be used.
    #[error("TLS cannot be used: {problem}")]
    Tls {
        /// What the TLS stack said.
        problem: String,
    },
}

impl App {
    /// The app at this address; `authorities` vouch for it.
    ///
    /// # Errors
    /// [`BadApp`].
    pub fn at(url: &Url, authorities: &Authorities) -> Result<Self, BadApp> {
        let bare = url.username().is_empty() && url.password().is_none() && url.query().is_none();
        let (Some(host), Some(port), true, "" | "/") = (url.host_str(), url.port_or_known_default(), bare, url.path())
        else {
            return Err(BadApp::Url);
        };
        let tls = match url.scheme() {
            "ws" => None,
            "wss" => {
                let problem = |error: &dyn std::fmt::Display| BadApp::Tls { problem: error.to_string() };
                let config = authorities.client_config().map_err(|error| problem(&error))?;
                let bare = host.trim_start_matches('[').trim_end_matches(']');
                let name = ServerName::try_from(bare.to_owned()).map_err(|error| problem(&error))?;
                Some((TlsConnector::from(Arc::clone(&config)), name))
            }
            _ => return Err(BadApp::Url),
        };
        Ok(Self { host: host.to_owned(), port, tls })
    }

    /// A connection, before any word.
    pub(super) async fn dial(&self) -> io::Result<Line> {
        let dialling = async {
            let stream = TcpStream::connect(format!("{}:{}", self.host, self.port)).await?;
            tuned(&stream)?;
            Ok(match &self.tls {
                None => Line::Plain(stream),
                Some((connector, name)) => Line::Tls(Box::new(connector.connect(name.clone(), stream).await?)),
            })
        };
        timeout(DIAL_LIMIT, dialling).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// A connection to the app.
pub(super) enum Line {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Line {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Line {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
