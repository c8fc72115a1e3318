//! Why what we asked of a room failed, in the words of `command.result`: by what the server's API answered.

use prost::Message as _;

use super::proto::api::{SipTransferReason, SipTransferStatus, TransferSipParticipantResponse};
use super::seen::ApiError;

/// Why a command failed, for programs.
pub(super) fn code(error: &ApiError) -> String {
    match error {
        ApiError::Unreachable { .. } | ApiError::Nobody(_) => "unreachable".to_owned(),
        ApiError::Timeout { .. } | ApiError::Cut { .. } | ApiError::Unreadable { .. } => "unknown".to_owned(),
        ApiError::Unauthorized { status } => format!("http_{status}"),
        ApiError::Refused { code, .. } => code.clone(),
    }
}

/// Why a transfer failed: by the human's phone where it says, else by LiveKit's own reason.
pub(super) fn why_not(error: &ApiError) -> String {
    let ApiError::Refused { sip, reason, status, .. } = error else { return code(error) };
    let reason = reason.as_deref().and_then(named);
    match settled(*sip, reason) {
        Some(code) => code,
        // Without either the service did not even try: it refused the request, unless it ran out of time.
        None if (400..500).contains(status) && *status != 408 => "unreachable".to_owned(),
        None => "unknown".to_owned(),
    }
}

/// Why a transfer that was answered failed; none where a human has the caller. Servers of before 2026 answer successes only,
/// and with nothing.
pub(super) fn not_transferred(body: &[u8]) -> Option<(String, String)> {
    let Ok(answer) = TransferSipParticipantResponse::decode(body) else {
        return Some(("unknown".to_owned(), "the answer cannot be read".to_owned()));
    };
    if answer.transfer_id.is_empty() || answer.status() == SipTransferStatus::Successful {
        return None;
    }
    let sip = answer.sip_status.as_ref().and_then(|status| u16::try_from(status.code).ok());
    let code = settled(sip, Some(answer.reason())).unwrap_or_else(|| "unknown".to_owned());
    Some((code, format!("the SIP service says {:?}", answer.reason())))
}

/// LiveKit's names of its reasons.
fn named(reason: &str) -> Option<SipTransferReason> {
    Some(match reason {
        "STR_COMPLETED" => SipTransferReason::Completed,
        "STR_CALL_ENDED" => SipTransferReason::CallEnded,
        "STR_REJECTED" => SipTransferReason::Rejected,
        "STR_RINGING_TIMEOUT" => SipTransferReason::RingingTimeout,
        "STR_SUBSCRIPTION_TERMINATED" => SipTransferReason::SubscriptionTerminated,
        "STR_CANCELED" => SipTransferReason::Canceled,
        _ => return None,
    })
}

/// What a failed transfer came to, in the words of `command.result`.
fn settled(sip: Option<u16>, reason: Option<SipTransferReason>) -> Option<String> {
    if let Some(status @ 300..=699) = sip {
        return Some(status.to_string());
    }
    let code = match reason? {
        SipTransferReason::RingingTimeout => "no_answer",
        SipTransferReason::Rejected => "declined",
        SipTransferReason::CallEnded => "caller_gone",
        SipTransferReason::Canceled => "cancelled",
        SipTransferReason::SubscriptionTerminated => "unknown",
        SipTransferReason::Unspecified | SipTransferReason::Completed => return None,
    };
    Some(code.to_owned())
}
