//! Whether a transfer would work: an OPTIONS to the peer, for `doctor`.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use super::SipAgent;
use super::exchange::{Answer, Sign, exchange, reason, values};
use super::field::BadField;
use super::message::{Message, own_domain, own_uri};
use super::resolve::Target;
use super::uri::{Hop, HopUri};
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
    /// Whether it asked for our credentials.
    pub challenged: bool,
    /// Whether it took them, which only a success says.
    pub authenticated: bool,
    /// From sending to the final answer.
    pub round_trip: Duration,
}

impl PeerReport {
    /// Whether the peer is there and does not work. 501 says only that it knows no OPTIONS.
    #[must_use]
    pub fn fails(&self) -> bool {
        (500..600).contains(&self.status) && self.status != 501
    }

    /// Whether it takes REFER; `None` when it does not say.
    #[must_use]
    pub fn allows_refer(&self) -> Option<bool> {
        (!self.allow.is_empty()).then(|| self.allow.iter().any(|m| m == "REFER"))
    }

    /// Whether it takes an INVITE, which an attended transfer begins with; `None` when it does not say.
    #[must_use]
    pub fn allows_invite(&self) -> Option<bool> {
        (!self.allow.is_empty()).then(|| self.allow.iter().any(|m| m == "INVITE"))
    }

    /// Whether it takes a call that replaces another one (RFC 3891), which an attended transfer ends with.
    #[must_use]
    pub fn supports_replaces(&self) -> bool {
        self.supported.iter().any(|tag| tag == "replaces")
    }

    /// Whether it takes REFER outside of dialogs with `Target-Dialog` (RFC 4538).
    #[must_use]
    pub fn supports_target_dialog(&self) -> bool {
        self.supported.iter().any(|tag| tag == "tdialog")
    }
}

/// Where a peer can be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// How it is reached.
    pub transport: SipTransport,
    /// Its address.
    pub address: SocketAddr,
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
    /// It asks for credentials that we cannot give, or does not take ours.
    #[error("the SIP peer refused with {status}: {detail}")]
    Unauthorized {
        /// 401 or 407, or what it answered to our credentials.
        status: u16,
        /// What is missing or wrong.
        detail: String,
    },
}

impl SipAgent {
    /// Where requests to `peer` (`host[:port]` or a SIP URI) go: the places of `sentimentSipProxy`, where it is set, or
    /// its own, best first (RFC 3263).
    ///
    /// # Errors
    /// [`PingError`] when there is none.
    pub async fn places(&self, peer: &str) -> Result<Vec<Place>, PingError> {
        let hop = self.first_hop(&peer_uri(peer)?)?;
        let found = self
            .wire
            .targets(&hop, self.settings.transport)
            .await
            .map_err(|detail| PingError::Unreachable { detail })?;
        Ok(found.into_iter().map(|Target { address, transport }| Place { transport, address }).collect())
    }

    /// Asks `peer` (`host[:port]` or a SIP URI) what it can do, by way of `sentimentSipProxy` where it is set; waits at
    /// most `within`.
    ///
    /// # Errors
    /// [`PingError`] when there is no final answer to report.
    pub async fn ping(&self, peer: &str, within: Duration) -> Result<PeerReport, PingError> {
        let uri = peer_uri(peer)?;
        let silent = PingError::Silent { within_ms: u64::try_from(within.as_millis()).unwrap_or(u64::MAX) };
        tokio::time::timeout(within, self.ask(&uri, silent.clone())).await.unwrap_or(Err(silent))
    }

    fn first_hop(&self, uri: &HopUri) -> Result<Hop, PingError> {
        match &self.settings.proxy {
            Some(proxy) => Hop::parse("proxy", proxy).map_err(PingError::Peer),
            None => Ok(uri.hop().clone()),
        }
    }

    async fn ask(&self, uri: &HopUri, silent: PingError) -> Result<PeerReport, PingError> {
        let hop = self.first_hop(uri)?;
        let path = self.wire.path(&hop, self.settings.transport).await;
        let path = path.map_err(|detail| PingError::Unreachable { detail })?;
        let local = path.leg.local;
        let (from, domain) = (own_uri(&self.settings, None, local), own_domain(&self.settings, None, local));
        let message = Message::options(uri, &from, &domain);
        let (started, mut challenged) = (Instant::now(), false);
        let sign = |sign| challenged |= matches!(sign, Sign::Challenged(_));
        let response = match exchange(&self.wire, &self.inbox, &path, &message, self.login.as_ref(), sign).await {
            Answer::Final(response) => response,
            Answer::Unauthorized { status, error } => {
                return Err(PingError::Unauthorized { status, detail: error.to_string() });
            }
            Answer::Unanswered(_) => return Err(silent),
            Answer::NotSent(detail) => return Err(PingError::Unreachable { detail }),
        };
        let (status, reason) = (response.status_code.code(), reason(&response));
        if challenged && matches!(status, 401 | 403 | 407) {
            let detail = format!("it does not take our user and password ({reason})");
            return Err(PingError::Unauthorized { status, detail });
        }
        let list = |name| values(&response, name).flat_map(|v| v.split(',')).map(str::trim).filter(|v| !v.is_empty());
        Ok(PeerReport {
            address: path.peer,
            transport: path.leg.transport,
            status,
            reason,
            allow: list("Allow").map(str::to_ascii_uppercase).collect(),
            supported: list("Supported").map(str::to_ascii_lowercase).collect(),
            challenged,
            authenticated: challenged && (200..300).contains(&status),
            round_trip: started.elapsed(),
        })
    }
}

fn peer_uri(peer: &str) -> Result<HopUri, PingError> {
    let has_scheme =
        peer.split_once(':').is_some_and(|(s, _)| s.eq_ignore_ascii_case("sip") || s.eq_ignore_ascii_case("sips"));
    let uri = if has_scheme { peer.to_owned() } else { format!("sip:{peer}") };
    HopUri::new("peer", &uri).map_err(PingError::Peer)
}
