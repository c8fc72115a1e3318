//! Whether a transfer would work: an OPTIONS to the peer, for `doctor`.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use super::SipAgent;
use super::exchange::{Answer, Sign, exchange, reason, values};
use super::field::BadField;
use super::message::{Message, own_domain, own_uri};
use super::uri::HopUri;
use crate::config::settings::SipTransport;

/// What a peer says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerReport {
    /// The address that answered.
    pub address: SocketAddr,
    /// How it was reached.
    pub transport: SipTransport,
    /// Final SIP status of the OPTIONS.
    pub status: u16,
    /// Its reason phrase.
    pub reason: String,
    /// The methods that it allows, upper case; empty when it does not say.
    pub allow: Vec<String>,
    /// The option tags that it supports, lower case.
    pub supported: Vec<String>,
    /// Whether it asked for our credentials, and took them.
    pub authenticated: bool,
    /// From sending to the final answer.
    pub round_trip: Duration,
}

impl PeerReport {
    /// Whether it takes REFER; `None` when it does not say.
    #[must_use]
    pub fn allows_refer(&self) -> Option<bool> {
        (!self.allow.is_empty()).then(|| self.allow.iter().any(|m| m == "REFER"))
    }

    /// Whether it takes REFER outside of dialogs with `Target-Dialog` (RFC 4538).
    #[must_use]
    pub fn supports_target_dialog(&self) -> bool {
        self.supported.iter().any(|tag| tag == "tdialog")
    }
}

/// Why a peer could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PingError {
    /// The peer is not `host:port` or a SIP URI.
    #[error("not a SIP peer: {0}; write it as host:port or sip:host:port")]
    Peer(BadField),
    /// It did not resolve, or nothing could be sent.
    #[error("the SIP peer cannot be reached: {detail}")]
    Unreachable {
        /// What failed.
        detail: String,
    },
    /// It was silent.
    #[error("the SIP peer gave no answer within {within_ms} ms")]
    Silent {
        /// How long we waited, in ms.
        within_ms: u64,
    },
    /// It asks for credentials that we cannot give.
    #[error("the SIP peer refused with {status}: {detail}")]
    Unauthorized {
        /// 401 or 407.
        status: u16,
        /// What is missing or wrong.
        detail: String,
    },
}

impl SipAgent {
    /// Asks `peer` (`host:port` or a SIP URI) what it can do; waits at most `within`.
    ///
    /// # Errors
    /// [`PingError`] when there is no final answer to report.
    pub async fn ping(&self, peer: &str, within: Duration) -> Result<PeerReport, PingError> {
        let has_scheme =
            peer.get(..4).is_some_and(|s| s.eq_ignore_ascii_case("sip:") || s.eq_ignore_ascii_case("sips"));
        let uri = if has_scheme { peer.to_owned() } else { format!("sip:{peer}") };
        let uri = HopUri::new("peer", &uri).map_err(PingError::Peer)?;
        let silent = PingError::Silent { within_ms: u64::try_from(within.as_millis()).unwrap_or(u64::MAX) };
        tokio::time::timeout(within, self.ask(&uri, silent.clone())).await.unwrap_or(Err(silent))
    }

    async fn ask(&self, uri: &HopUri, silent: PingError) -> Result<PeerReport, PingError> {
        let found = self.wire.path(uri.hop(), self.settings.transport).await;
        let path = found.map_err(|detail| PingError::Unreachable { detail })?;
        let local = path.leg.local;
        let (from, domain) = (own_uri(&self.settings, None, local), own_domain(&self.settings, None, local));
        let message = Message::options(uri, &from, &domain);
        let (started, mut authenticated) = (Instant::now(), false);
        let sign = |sign| authenticated |= matches!(sign, Sign::Challenged(_));
        let response = match exchange(&self.wire, &self.inbox, &path, &message, self.login.as_ref(), sign).await {
            Answer::Final(response) => response,
            Answer::Unauthorized { status, error } => {
                return Err(PingError::Unauthorized { status, detail: error.to_string() });
            }
            Answer::Unanswered(_) => return Err(silent),
            Answer::NotSent(detail) => return Err(PingError::Unreachable { detail }),
        };
        let list = |name| values(&response, name).flat_map(|v| v.split(',')).map(str::trim).filter(|v| !v.is_empty());
        Ok(PeerReport {
            address: path.peer,
            transport: path.leg.transport,
            status: response.status_code.code(),
            reason: reason(&response),
            allow: list("Allow").map(str::to_ascii_uppercase).collect(),
            supported: list("Supported").map(str::to_ascii_lowercase).collect(),
            authenticated,
            round_trip: started.elapsed(),
        })
    }
}
