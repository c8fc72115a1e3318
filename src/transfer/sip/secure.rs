//! TLS to a peer: dialled by us, and the certificate must name the hop's host.
//!
//! The subset of RFC 5922 that the TLS library verifies: the hop's host (never the name that an SRV record led to) is
//! compared with the DNS names or the addresses of the certificate's `subjectAltName`; `sip:` URIs in there are not
//! looked at, and wildcards count as they do elsewhere.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rsipstack::transport::SipConnection;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::uri::Host;
use crate::tls;

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
}

impl Secured {
    /// Whether it can still carry messages.
    pub(super) fn is_alive(&self) -> bool {
        self.connection.cancel_token().is_some_and(|over| !over.is_cancelled())
    }
}

impl Tls {
    /// Trusts the authorities of `ca_file` besides the system's.
    pub(super) fn new(ca_file: Option<PathBuf>) -> Self {
        Self { ca_file, config: OnceCell::new() }
    }

    /// Connects, and lets the peer prove that it is `host`; with the connection's own address.
    pub(super) async fn dial(
        &self,
        peer: SocketAddr,
        host: &Host,
    ) -> Result<(TlsStream<TcpStream>, SocketAddr), String> {
        let config = self.config.get_or_try_init(|| async { tls::client_config(self.ca_file.as_deref()) }).await;
        let connector = TlsConnector::from(Arc::clone(config.map_err(|e| e.to_string())?));
        let name = match host {
            Host::Ip(ip) => ServerName::IpAddress((*ip).into()),
            Host::Name(name) => ServerName::try_from(name.clone()).map_err(|e| e.to_string())?,
        };
        let tcp = TcpStream::connect(peer).await.map_err(|e| e.to_string())?;
        tcp.set_nodelay(true).map_err(|e| e.to_string())?;
        let local = tcp.local_addr().map_err(|e| e.to_string())?;
        let stream = connector.connect(name, tcp).await.map_err(|e| format!("it did not prove to be {host}: {e}"))?;
        Ok((stream, local))
    }
}
