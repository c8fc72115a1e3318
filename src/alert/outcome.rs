//! What a transfer came to ([`Outcome`]), and the steps on the way there ([`Progress`]).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::sentiment::describe::presentable;

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

    /// What it was, for people: the whole of a short sentence.
    #[must_use]
    pub fn words(&self) -> String {
        let because = |what: &str, why: &str| match presentable(why) {
            why if why.is_empty() => what.to_owned(),
            why => format!("{what} ({why})"),
        };
        match self {
            Self::Transferred => "a human has the caller".to_owned(),
            Self::Busy => "the human's line was busy".to_owned(),
            Self::Declined => "the human declined".to_owned(),
            Self::NoAnswer => "nobody answered".to_owned(),
            Self::Rejected { code, .. } if code == HOURLY_CAP => {
                "as many transfers as this host may begin in an hour were begun".to_owned()
            }
            Self::Rejected { code, reason } => because("the transfer was rejected", &format!("{code} {reason}")),
            Self::Unreachable { reason } => because("there was no way to the human", reason),
            Self::Cancelled => "the transfer was called off".to_owned(),
            Self::CallerGone => "the caller hung up first".to_owned(),
            Self::Unknown => "nobody can say whether the transfer worked".to_owned(),
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
