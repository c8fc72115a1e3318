//! Transferring the caller to a human: which way ([`choose_route`]), and what came of it ([`Outcome`]).

pub mod sip;
pub mod target;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::call::escalation::Severity;
use crate::config::settings::{Settings, TransferMode};
use crate::room::message::{SipDialog, Welcome, capability};
pub use sip::media::dtmf::Digit;
pub use target::{E164, NotE164};

/// The code of [`Outcome::Rejected`] when the host has begun as many transfers as it may in an hour.
pub const HOURLY_CAP: &str = "hourly_cap";

/// The step at which a SIP peer ends its subscription without a result, which may still come.
pub const TERMINATED: &str = "terminated";

/// What a transfer came to. 202 Accepted is not an outcome: only a final result is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Outcome {
    /// A human has the caller.
    Transferred,
    /// The human's line was busy (486, 600).
    Busy,
    /// The human declined (603, 607).
    Declined,
    /// Nobody answered in time (408, 480, 487).
    NoAnswer,
    /// The platform or SIP peer refused to transfer, or the transfer failed otherwise.
    Rejected {
        /// SIP status, or the platform's code.
        code: String,
        /// What it said.
        reason: String,
    },
    /// No route to the peer: refused, timed out before any answer, no way to transfer at all.
    Unreachable {
        /// What failed.
        reason: String,
    },
    /// We called it off, e.g. at shutdown.
    Cancelled,
    /// The caller hung up first.
    CallerGone,
    /// No final result by the deadline.
    Unknown,
}

impl Outcome {
    /// The outcome's name as in alerts and events.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Transferred => "transferred",
            Self::Busy => "busy",
            Self::Declined => "declined",
            Self::NoAnswer => "no_answer",
            Self::Rejected { .. } => "rejected",
            Self::Unreachable { .. } => "unreachable",
            Self::Cancelled => "cancelled",
            Self::CallerGone => "caller_gone",
            Self::Unknown => "unknown",
        }
    }

    /// The outcome of a final SIP status code (RFC 3261 section 21), from a response or a sipfrag.
    #[must_use]
    pub fn from_sip_status(status: u16, reason: &str) -> Self {
        match status {
            200..=299 => Self::Transferred,
            486 | 600 => Self::Busy,
            603 | 607 => Self::Declined,
            408 | 480 | 487 => Self::NoAnswer,
            _ => Self::Rejected { code: status.to_string(), reason: reason.to_owned() },
        }
    }

    /// The outcome that a platform's failure code names: an outcome's name, or a SIP status.
    #[must_use]
    pub fn from_code(code: &str, detail: &str) -> Self {
        match code {
            "busy" => Self::Busy,
            "declined" => Self::Declined,
            "no_answer" => Self::NoAnswer,
            "caller_gone" => Self::CallerGone,
            "cancelled" => Self::Cancelled,
            "unknown" => Self::Unknown,
            "unreachable" => Self::Unreachable { reason: detail.to_owned() },
            _ => match code.parse::<u16>() {
                Ok(status @ 300..=699) => Self::from_sip_status(status, detail),
                _ => Self::Rejected { code: code.to_owned(), reason: detail.to_owned() },
            },
        }
    }
}

/// A step on the way to an outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// What happened: `refer_sent`, `accepted`, `trying`, `ringing`, …
    pub step: String,
    /// The SIP status behind it, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sip_status: Option<u16>,
}

/// Which way a transfer takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "route")]
pub enum Route {
    /// The room's own command `transfer`.
    RoomCommand,
    /// REFER inside the dialog that the room handed over with a reserved CSeq (RFC 3515).
    ReferInDialog {
        /// The dialog.
        dialog: SipDialog,
    },
    /// REFER outside any dialog with `Target-Dialog` (RFC 4538).
    ReferTargetDialog {
        /// The dialog that it is about.
        dialog: SipDialog,
    },
    /// The human is called and asked first; who takes the caller gets them by a REFER with `Replaces` (RFC 3891), inside
    /// the dialog where it was handed over with all that this needs, else with `Target-Dialog`.
    Attended {
        /// The caller's dialog.
        dialog: SipDialog,
    },
}

/// The best way that `welcome` offers. Where the settings want the human to be asked first, that takes the room's SIP
/// dialog; otherwise, or where the room has none: the room's own command, SIP in the handed-over dialog, SIP with
/// Target-Dialog. `None` when there is none.
#[must_use]
pub fn choose_route(welcome: &Welcome, mode: TransferMode) -> Option<Route> {
    let has_command = welcome.capabilities.iter().any(|c| c == capability::TRANSFER);
    match (mode, &welcome.call.sip) {
        (TransferMode::Attended, Some(dialog)) => Some(Route::Attended { dialog: dialog.clone() }),
        _ if has_command => Some(Route::RoomCommand),
        (_, None) => None,
        (_, Some(dialog)) if dialog.takes_requests() => Some(Route::ReferInDialog { dialog: dialog.clone() }),
        (_, Some(dialog)) => Some(Route::ReferTargetDialog { dialog: dialog.clone() }),
    }
}

/// What the SIP edge is asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferRequest {
    /// The alert behind it; results come back under its id.
    pub alert_id: String,
    /// Whom to call, from the settings.
    pub target: E164,
    /// Any but [`Route::RoomCommand`].
    pub route: Route,
    /// How long until the outcome is `unknown`, in ms.
    pub deadline_ms: u64,
    /// How long the human's phone may ring in an attended transfer, in ms; otherwise the peer decides.
    #[serde(default = "ringing_timeout_ms")]
    pub ringing_timeout_ms: u64,
    /// How bad it is, which the human is told in an attended transfer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
}

/// Of a journal that was written before it was told.
fn ringing_timeout_ms() -> u64 {
    Settings::default().ringing_timeout_ms
}
