//! Which way a transfer takes ([`choose_route`]), and what the SIP edge is asked to do ([`TransferRequest`]).

use serde::{Deserialize, Serialize};

use crate::alert::Severity;
use crate::config::settings::{DEFAULT_RINGING_TIMEOUT_MS, TransferMode};
use crate::number::E164;
use crate::room::message::{SipDialog, Welcome, capability};

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
    match (mode, welcome.call.sip.as_deref()) {
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
    DEFAULT_RINGING_TIMEOUT_MS
}
