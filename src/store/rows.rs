//! What is stored, as types, and what follows from it whatever keeps it: no backend has rules of its own.

use std::sync::Arc;

use crate::alert::outgoing::{BadOutgoing, Outgoing};
use crate::alert::record::{StoreWrite, WebhookPlan};
use crate::alert::{Alert, AlertId, payload};

/// An alert as the store has it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredAlert {
    /// The alert, with its outcome where there is one.
    pub alert: Alert,
    /// When it was decided, Unix time in ms.
    pub created_ms: u64,
    /// What people made of it: `open`, `confirmed` or `dismissed`.
    pub review: String,
}

/// Something to be written. Several are made durable together, in their order.
#[derive(Debug, Clone)]
pub enum Change {
    /// An alert or its outcome, with all that follows from it.
    Alert {
        /// What.
        write: Box<StoreWrite>,
        /// Where its webhook goes.
        outgoing: Option<Arc<Outgoing>>,
    },
    /// An alert whose webhook was sent although it was not stored: it is stored now, and not sent again.
    Told {
        /// The alert.
        alert: Box<Alert>,
        /// Where its webhook went.
        outgoing: Arc<Outgoing>,
        /// What the receiver answered.
        status: u16,
    },
    /// A call is attended. A process that takes a call over leaves its start as it was.
    SessionStarted {
        /// The session.
        session_id: String,
        /// The room.
        room_name: String,
    },
    /// A call ended, also when its start could not be noted.
    SessionEnded {
        /// The session.
        session_id: String,
        /// The room.
        room_name: String,
        /// Why.
        reason: String,
        /// How many caller turns there were.
        turns: u32,
        /// Whether it escalated.
        escalated: bool,
    },
    /// The room ended the call, and nothing of it is under way any more: should its id come again, it is another call's.
    SessionOver {
        /// The session.
        session_id: String,
        /// The room.
        room_name: String,
    },
}

/// How long a transfer counts among those of the hour, in ms.
pub(super) const HOUR_MS: u64 = 3_600_000;

/// A session as the store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSession {
    /// When the sidecar first attached, Unix time in ms.
    pub started_ms: u64,
    /// When the call ended, Unix time in ms; none while it goes on, or when its process died.
    pub ended_ms: Option<u64>,
    /// Why it ended.
    pub ended_reason: Option<String>,
    /// How many caller turns there were.
    pub turns: u32,
    /// Whether it escalated.
    pub escalated: bool,
}

/// How much longer than its attempt a claim lasts, in ms. A process that dies in an attempt delays the next one by
/// no more than that.
pub const LEASE_SLACK_MS: u64 = 2_000;

/// The right to make one attempt, until the lease runs out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The alert, whose id is the webhook's.
    pub alert_id: AlertId,
    /// Where it goes and how.
    pub outgoing: Outgoing,
    /// What is sent, the same in every attempt.
    pub body: String,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// When another process may take over, Unix time in ms.
    pub until_ms: u64,
}

/// A webhook that is due, as it lies in the outbox.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) alert_id: AlertId,
    pub(super) url: String,
    pub(super) detail: String,
    pub(super) allow: String,
    pub(super) timeout_ms: u64,
    pub(super) body: String,
    /// How many attempts were begun.
    pub(super) attempts: u32,
}

impl Due {
    /// The right to its next attempt.
    ///
    /// # Errors
    /// [`BadOutgoing`] when someone changed the row from outside, so that it cannot be sent.
    pub(super) fn claimed(self, now_ms: u64) -> Result<Claim, BadOutgoing> {
        let outgoing = Outgoing::from_texts(&self.url, &self.detail, &self.allow, self.timeout_ms)?;
        let until_ms = now_ms.saturating_add(outgoing.timeout_ms).saturating_add(LEASE_SLACK_MS);
        let attempt = self.attempts.saturating_add(1);
        Ok(Claim { alert_id: self.alert_id, outgoing, body: self.body, attempt, until_ms })
    }
}

/// A webhook that is to be queued.
#[derive(Debug)]
pub(super) struct Queued<'a> {
    pub(super) state: OutboxState,
    pub(super) due_ms: u64,
    pub(super) outgoing: &'a Outgoing,
    pub(super) body: String,
}

impl<'a> Queued<'a> {
    /// The webhook that is planned for an alert: none for a shadow alert, and none where no webhook is set, which is
    /// worth a warning.
    pub(super) fn planned(
        alert: &Alert,
        plan: WebhookPlan,
        outgoing: Option<&'a Outgoing>,
        now_ms: u64,
    ) -> Option<Self> {
        let (state, due_ms) = match plan {
            _ if alert.shadow => return None,
            WebhookPlan::None => return None,
            WebhookPlan::Send => (OutboxState::Pending, now_ms),
            WebhookPlan::Hold { ms } => (OutboxState::Held, now_ms.saturating_add(ms)),
        };
        if outgoing.is_none() {
            tracing::warn!(alert_id = %alert.id, "a webhook was planned, but none is set; the alert is flagged only");
        }
        let outgoing = outgoing?;
        Some(Self { state, due_ms, outgoing, body: payload::body(alert, outgoing.detail) })
    }
}

/// What came of a claimed attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempted {
    /// The receiver has it.
    Delivered {
        /// The HTTP status.
        status: u16,
    },
    /// It is to be tried again.
    Retry {
        /// When, Unix time in ms.
        at_ms: u64,
        /// The HTTP status, if there was an answer.
        status: Option<u16>,
        /// Why it did not work.
        detail: String,
    },
    /// It is not tried again.
    GaveUp {
        /// The HTTP status, if there was an answer.
        status: Option<u16>,
        /// Why.
        detail: String,
    },
}

/// What an attempt makes of its row.
#[derive(Debug)]
pub(super) struct Noted<'a> {
    pub(super) state: OutboxState,
    /// When it is due again; none leaves it as it is.
    pub(super) due_ms: Option<u64>,
    pub(super) status: Option<u16>,
    pub(super) error: Option<&'a str>,
    pub(super) settled_ms: Option<u64>,
}

impl Attempted {
    /// What is noted of it.
    pub(super) fn noted(&self, now_ms: u64) -> Noted<'_> {
        let (state, due_ms, status, error) = match self {
            Self::Delivered { status } => (OutboxState::Delivered, None, Some(*status), None),
            Self::Retry { at_ms, status, detail } => (OutboxState::Pending, Some(*at_ms), *status, Some(detail)),
            Self::GaveUp { status, detail } => (OutboxState::GaveUp, None, *status, Some(detail)),
        };
        let settled_ms = (state != OutboxState::Pending).then_some(now_ms);
        Noted { state, due_ms, status, error: error.map(String::as_str), settled_ms }
    }
}

/// Where a webhook stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutboxState {
    /// It waits for a transfer's outcome.
    Held,
    /// It is to be sent.
    Pending,
    /// The receiver has it.
    Delivered,
    /// It is not tried again.
    GaveUp,
    /// It was not needed.
    Cancelled,
}

impl OutboxState {
    /// The state's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::GaveUp => "gave_up",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of this name.
    pub(super) fn of(name: &str) -> Option<Self> {
        [Self::Held, Self::Pending, Self::Delivered, Self::GaveUp, Self::Cancelled]
            .into_iter()
            .find(|state| state.name() == name)
    }
}

/// A webhook as the outbox has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// Where it stands.
    pub state: OutboxState,
    /// How many attempts were begun.
    pub attempts: u32,
    /// When it is due, Unix time in ms.
    pub due_ms: u64,
    /// Until when a process has it, Unix time in ms.
    pub claimed_until_ms: Option<u64>,
    /// The last answer's HTTP status.
    pub last_status: Option<u16>,
    /// Why the last attempt did not work.
    pub last_error: Option<String>,
    /// When it was delivered, given up or cancelled, Unix time in ms.
    pub settled_ms: Option<u64>,
    /// What is sent.
    pub body: String,
}

impl OutboxRow {
    /// When an attempt may begin, Unix time in ms.
    #[must_use]
    pub fn next_ms(&self) -> u64 {
        self.due_ms.max(self.claimed_until_ms.unwrap_or(0))
    }
}
