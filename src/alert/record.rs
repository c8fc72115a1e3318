//! What is written of an alert ([`StoreWrite`]), and what came of that and of its webhook.

use serde::{Deserialize, Serialize};

use super::Alert;
use super::outcome::Outcome;

/// What the store made of a write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "stored")]
pub enum StoreResult {
    /// It is on disk.
    Written,
    /// It is on disk, and its transfer has no place among those of this hour ([`StoreWrite::Alert`]).
    AtCap {
        /// How many places there are.
        cap: u32,
    },
    /// An alert of this id was there already, from an earlier process of the same call: it is not acted on again.
    Existing {
        /// What its action came to, as far as is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        outcome: Option<Outcome>,
    },
    /// An alert of this id was there already, from another call whose session had the same id: this one needs an id of its
    /// own.
    OtherCall,
    /// The store failed; the escalation goes on all the same.
    Failed {
        /// What went wrong.
        detail: String,
    },
}

/// What came of a delivery attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "delivery")]
pub enum DeliveryResult {
    /// The receiver answered 2xx.
    Delivered {
        /// The HTTP status.
        status: u16,
        /// How many attempts it took.
        attempts: u32,
    },
    /// It will be tried again.
    Retry {
        /// Why it did not work.
        detail: String,
        /// When it is tried again, in ms from now.
        in_ms: u64,
        /// How many attempts there were.
        attempts: u32,
    },
    /// It will not be tried again: 410, the schedule is over, the address is refused.
    GaveUp {
        /// Why.
        detail: String,
        /// How many attempts there were.
        attempts: u32,
    },
}

/// What is to become of an alert's webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "webhook")]
pub enum WebhookPlan {
    /// None is sent.
    None,
    /// Due at once.
    Send,
    /// Due in `ms`, unless it is released or cancelled earlier: the fallback of a transfer, in case we die in it.
    Hold {
        /// How long, in ms from now.
        ms: u64,
    },
}

/// Something for the store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "write")]
pub enum StoreWrite {
    /// A new alert: flags the session and queues its webhook, in one transaction.
    Alert {
        /// The alert.
        alert: Alert,
        /// Its webhook.
        webhook: WebhookPlan,
        /// Set when a transfer follows: it takes one of so many places that all processes of a host have in an hour, in
        /// the same transaction.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        transfer_cap: Option<u32>,
    },
    /// What the alert's action came to; settles a held webhook ([`WebhookPlan::None`] cancels it), in one transaction.
    Outcome {
        /// The alert, with its outcome.
        alert: Alert,
        /// Its webhook.
        webhook: WebhookPlan,
    },
}

impl StoreWrite {
    /// The alert that is written.
    #[must_use]
    pub fn alert(&self) -> &Alert {
        match self {
            Self::Alert { alert, .. } | Self::Outcome { alert, .. } => alert,
        }
    }
}
