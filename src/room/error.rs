//! What can go wrong between us and a room: [`RoomError`].

use super::message::{FrameError, VERSION};
use crate::telemetry::shown::shown;

/// Close codes of the native dialect (RFC 6455 section 7.4.2 leaves 4000-4999 to applications).
pub mod close_code {
    /// All said. After `session.ended` it ends the call; before, it is a cut like any other.
    pub const NORMAL: u16 = 1000;
    /// Not UTF-8 (RFC 6455 section 8.1).
    pub const NOT_UTF8: u16 = 1007;
    /// A frame larger than 64 KiB.
    pub const TOO_LARGE: u16 = 1009;
    /// The other side breaks the dialect.
    pub const PROTOCOL: u16 = 4400;
    /// The token is missing, wrong or no longer valid.
    pub const AUTH: u16 = 4401;
    /// Another connection took this session over.
    pub const SUPERSEDED: u16 = 4409;
}

/// Why there is no connection to the room. [`RoomError::is_final`] tells what trying again may mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoomError {
    /// Final: the URL is no room's.
    #[error("not a room URL ({problem}); write it as wss://host/path or ws://host/path")]
    Url {
        /// What does not fit.
        problem: String,
    },
    /// Final: no TLS on this machine, e.g. because it has no trusted authorities at all.
    #[error("TLS cannot be used: {problem}")]
    TlsSetup {
        /// What the TLS stack said.
        problem: String,
    },
    /// Final: the token does not fit into an HTTP header.
    #[error("the room token holds characters that an HTTP header cannot carry")]
    Token,
    /// Final before the first `welcome`, retryable after it: the certificate is not to be trusted.
    #[error("the room's certificate cannot be trusted: {problem}")]
    Certificate {
        /// What the verifier said.
        problem: String,
    },
    /// The room answered the dial with a status other than 101. Final for 401, 403, 404 and 410.
    #[error("the room answered HTTP {status}")]
    Http {
        /// The status.
        status: u16,
    },
    /// Final: the room did not choose our subprotocol.
    #[error("the room does not speak the subprotocol {wanted}")]
    Subprotocol {
        /// The dialect's subprotocol.
        wanted: &'static str,
    },
    /// Final: the room chose a version that we did not offer.
    #[error("the room chose version {chosen} of the dialect, but only {VERSION} was offered")]
    Version {
        /// What it chose.
        chosen: u32,
    },
    /// Final: the room lacks what the work needs.
    #[error("the room cannot be worked in: {problem}")]
    Unfit {
        /// What it lacks, and how to mend it.
        problem: String,
    },
    /// The room closed the connection. Final for 4400, 4401 and 4409.
    #[error("the room closed the connection with {code}{}", spelled(reason))]
    Closed {
        /// The close code; 1005 when there was none (RFC 6455 section 7.1.5).
        code: u16,
        /// The room's words.
        reason: String,
    },
    /// Final: the room ended our stay.
    #[error("the room put us out: {reason}")]
    PutOut {
        /// Why.
        reason: &'static str,
    },
    /// Final: another sidecar of ours came, and has the call now.
    #[error("the room put us out: another participant came under our identity")]
    Superseded,
    /// Retryable: no connection at all.
    #[error("the room cannot be reached: {problem}")]
    Unreachable {
        /// What the network said.
        problem: String,
    },
    /// Retryable: the welcome lacks something, or says it wrongly.
    #[error("the room's welcome cannot be used: {problem}")]
    Welcome {
        /// Which field, and what would be right.
        problem: String,
    },
    /// Retryable: a step took too long.
    #[error("no {step} within {after_ms} ms")]
    Timeout {
        /// What we waited for.
        step: &'static str,
        /// How long, in ms.
        after_ms: u64,
    },
    /// Retryable: the room answers no pings.
    #[error("the room left {missed} pings unanswered")]
    Silent {
        /// How many.
        missed: u32,
    },
    /// Retryable: a frame that no WebSocket may carry, or one that is too large.
    #[error("the room sent what cannot be read: {problem}")]
    Unreadable {
        /// What does not fit.
        problem: String,
    },
    /// Retryable: the connection broke.
    #[error("the connection to the room broke: {problem}")]
    Cut {
        /// What the network said.
        problem: String,
    },
}

fn spelled(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(" ({})", shown(reason)) }
}

impl RoomError {
    /// Whether no room has been asked at all: what we were given cannot work.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::Url { .. } | Self::Token | Self::TlsSetup { .. })
    }

    /// The same of a server that gives out calls, which is dialled as a room is and is none.
    #[must_use]
    pub fn of_server(&self) -> String {
        match self {
            Self::Url { problem } => format!("not a server's URL ({problem}); write it as wss://host or ws://host"),
            Self::Certificate { problem } => format!("the server's certificate cannot be trusted: {problem}"),
            Self::Http { status } => format!("the server answered HTTP {status}"),
            Self::Closed { code, reason } => format!("the server closed the connection with {code}{}", spelled(reason)),
            Self::Unreachable { problem } => format!("the server cannot be reached: {problem}"),
            Self::Silent { missed } => format!("the server left {missed} pings unanswered"),
            Self::Unreadable { problem } => format!("the server sent what cannot be read: {problem}"),
            Self::Cut { problem } => format!("the connection to the server broke: {problem}"),
            Self::TlsSetup { .. }
            | Self::Token
            | Self::Subprotocol { .. }
            | Self::Version { .. }
            | Self::Unfit { .. }
            | Self::PutOut { .. }
            | Self::Superseded
            | Self::Welcome { .. }
            | Self::Timeout { .. } => self.to_string(),
        }
    }

    /// Whether another sidecar has the call now.
    #[must_use]
    pub fn is_superseded(&self) -> bool {
        matches!(self, Self::Superseded | Self::Closed { code: close_code::SUPERSEDED, .. })
    }

    /// Whether trying again is pointless: the room refused us, or what we were given cannot work.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Url { .. }
            | Self::TlsSetup { .. }
            | Self::Token
            | Self::Certificate { .. }
            | Self::Subprotocol { .. }
            | Self::Version { .. }
            | Self::Unfit { .. }
            | Self::PutOut { .. }
            | Self::Superseded => true,
            Self::Http { status } => matches!(status, 401 | 403 | 404 | 410),
            Self::Closed { code, .. } => {
                matches!(*code, close_code::PROTOCOL | close_code::AUTH | close_code::SUPERSEDED)
            }
            Self::Welcome { .. }
            | Self::Unreachable { .. }
            | Self::Timeout { .. }
            | Self::Silent { .. }
            | Self::Unreadable { .. }
            | Self::Cut { .. } => false,
        }
    }
}

/// What a room connection tells the runtime.
#[derive(Debug)]
pub enum RoomEvent {
    /// The room said something. Its `seq`, if any, is handed to `RoomHandle::processed` once it is dealt with.
    Message(super::message::RoomMessage),
    /// There is no connection; another try follows.
    Lost {
        /// Why.
        detail: String,
        /// When it is tried again, in ms from now.
        retry_in_ms: u64,
    },
    /// The room will not have us: exit code 7. Nothing follows but [`RoomEvent::Over`].
    Refused(RoomError),
    /// No connection for too long: exit code 8. Nothing follows but [`RoomEvent::Over`].
    GaveUp(RoomError),
    /// The session's first messages did not come: the room does not hold it from its start.
    HistoryMissing {
        /// The first that came.
        first: u64,
    },
    /// The room sent something unusable; it was told so, and the connection goes on.
    BadFrame(FrameError),
    /// The task that keeps the connection broke, which is a bug. Nothing follows but [`RoomEvent::Over`].
    Broke,
    /// Nothing more will come: the session ended, or one of the failures above was told. Said again whenever
    /// asked again.
    Over,
}
