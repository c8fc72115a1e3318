//! TLS to a peer: dialled by us, and the certificate must name the hop's host.
//!
//! The subset of RFC 5922 that the TLS library verifies: the hop's host (never the name that an SRV record led to) is
//! compared with the DNS names or the addresses of the certificate's `subjectAltName`; `sip:` URIs in there are not
//! looked at, and wildcards count as they do elsewhere.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rsipstack::transport::stream::StreamConnection as _;
use rsipstack::transport::tls::TlsConnection;
use rsipstack::transport::{SipAddr, SipConnection};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::uri::Host;
use crate::tls;

/// How often a connection says that it lives (RFC 5626 section 3.5.1): peers close those that are idle for 2 minutes.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// What TLS needs; the trust store is loaded by the first connection.
pub(super) struct Tls {
    ca_file: Option<PathBuf>,
    config: OnceCell<Arc<ClientConfig>>,
}

/// A connection whose peer has proved to be `host`.
pub(super) struct Secured {
    pub(super) host: Host,
    pub(super) connection: SipConnection,
    /// Its own address, which is how the peer finds it again.
    pub(super) local: SocketAddr,
    stream: TlsConnection,
    /// Cancelled by the stack when the connection is over.
    over: CancellationToken,
}

impl Tls {
    /// Trusts the authorities of `ca_file` besides the system's.
    pub(super) fn new(ca_file: Option<PathBuf>) -> Self {
        Self { ca_file, config: OnceCell::new() }
    }

    /// Connects, and lets the peer prove that it is `host`.
    pub(super) async fn dial(
        &self,
        peer: SocketAddr,
        destination: &SipAddr,
        host: &Host,
        over: CancellationToken,
    ) -> Result<Secured, String> {
        let config = self.config.get_or_try_init(|| async { tls::client_config(self.ca_file.as_deref()) }).await;
        let connector = TlsConnector::from(Arc::clone(config.map_err(|e| e.to_string())?));
        let name = match host {
            Host::Ip(ip) => ServerName::IpAddress((*ip).into()),
            Host::Name(name) => ServerName::try_from(name.clone()).map_err(|e| e.to_string())?,
        };
        let tcp = TcpStream::connect(peer).await.map_err(|e| e.to_string())?;
        tcp.set_nodelay(true).map_err(|e| e.to_string())?;
        let local = tcp.local_addr().map_err(|e| e.to_string())?;
        let stream = connector.connect(name, tcp).await.map_err(|e| format!("{host} is not proved: {e}"))?;
        let stream = TlsConnection::from_client_stream(stream, destination.clone(), Some(over.clone()));
        let stream = stream.await.map_err(|e| e.to_string())?;
        Ok(Secured { host: host.clone(), connection: SipConnection::Tls(stream.clone()), local, stream, over })
    }
}

impl Secured {
    /// Whether it can still carry messages.
    pub(super) fn is_alive(&self) -> bool {
        !self.over.is_cancelled()
    }

    /// Sends keep-alives until the connection is over.
    pub(super) fn keep_alive(&self) {
        let (stream, over) = (self.stream.clone(), self.over.clone());
        tokio::spawn(async move {
            while over.run_until_cancelled(tokio::time::sleep(KEEP_ALIVE)).await.is_some() {
                if let Err(error) = stream.send_raw(b"\r\n\r\n").await {
                    debug!(%error, "a TLS connection takes nothing more");
                    return;
                }
            }
        });
    }
}
