//! What is stored, as types, and what follows from it whatever keeps it: no backend has rules of its own.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::course::Course;
use crate::alert::notice::{NoticeEvent, Told};
use crate::alert::outgoing::{BadOutgoing, Outgoing, Texts};
use crate::alert::record::{StoreWrite, WebhookPlan};
use crate::alert::{Alert, AlertId, payload};
use crate::config::settings::WebhookDetail;
use crate::config::targets::NotifyFormat;

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
        /// Where it goes.
        outgoing: Arc<[Outgoing]>,
    },
    /// An alert that was told although it was not stored: it is stored now, and not told there again.
    Told {
        /// The alert.
        alert: Box<Alert>,
        /// Where it went.
        outgoing: Box<Outgoing>,
        /// What the receiver answered.
        status: u16,
    },
    /// A call is attended. A process that takes a call over leaves its start as it was.
    SessionStarted {
        /// The session.
        session_id: String,
        /// The room.
        room_name: String,
        /// The caller's number or address, as the room gives it.
        caller: Option<String>,
    },
    /// A call ended, also when its start could not be noted.
    SessionEnded {
        /// The session.
        session_id: String,
        /// The room.
        room_name: String,
        /// The caller's number or address, so that who asks for what is kept of them finds it whatever became of the start.
        caller: Option<String>,
        /// Why.
        reason: String,
        /// How many caller turns there were.
        turns: u32,
        /// Whether it escalated.
        escalated: bool,
        /// How it left the caller: what is settled by that is told to be over, where that can be told.
        left: Left,
    },
    /// What was said in a call that was noted before.
    Transcript {
        /// The session.
        session_id: String,
        /// The room.
        room_name: String,
        /// As in [`Change::SessionEnded`].
        caller: Option<String>,
        /// A recording, as JSON Lines.
        recording: String,
        /// How the call went.
        course: Box<Course>,
    },
    /// The room ended the call, and nothing of it is under way any more: should its id come again, it is another call's.
    SessionOver {
        /// The session.
        session_id: String,
        /// The room.
        room_name: String,
    },
}

/// How a call that ended left its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// As unhappy as the last alert found them.
    Unhappy,
    /// Calm, and without a human: that settles no alert of somebody who wanted one, unless somebody looks after it.
    Calm,
    /// With a human: all is settled.
    WithHuman,
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

/// What a process is able to send. What it is not, it leaves to others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// Whether it can sign.
    pub signs: bool,
    /// The variables of secrets that it has.
    pub secrets: Vec<String>,
}

impl Reach {
    /// The variables as a JSON list.
    pub(super) fn secrets_text(&self) -> String {
        serde_json::Value::from(self.secrets.clone()).to_string()
    }
}

/// What is still to be sent needs this.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Whether something has to be signed.
    pub signature: bool,
    /// The variables of secrets.
    pub secrets: Vec<String>,
    /// How much that is.
    pub waiting: u64,
}

/// The right to make one attempt, until the lease runs out.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// The alert, whose id is the webhook's.
    pub alert_id: AlertId,
    /// What it is of.
    pub event: NoticeEvent,
    /// Where it goes and how.
    pub outgoing: Outgoing,
    /// What is sent or told, the same in every attempt.
    pub parcel: Parcel,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// When it is its turn at a place that takes one message every so often, Unix time in ms: not before.
    pub begin_ms: u64,
    /// When another process may take over, Unix time in ms.
    pub until_ms: u64,
}

/// What is sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Parcel {
    /// This very body: the webhook's.
    Body(String),
    /// What this tells, in the format of its place.
    Told(Box<Told>),
}

/// Something that is due, as it lies in the outbox.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) alert_id: AlertId,
    pub(super) target: String,
    pub(super) event: String,
    pub(super) format: String,
    pub(super) url: Option<String>,
    pub(super) secret: Option<String>,
    pub(super) detail: String,
    pub(super) allow: String,
    pub(super) timeout_ms: u64,
    pub(super) body: String,
    /// How many attempts were begun.
    pub(super) attempts: u32,
}

/// Why a row cannot be sent: someone changed it from outside.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadDue {
    #[error(transparent)]
    Outgoing(#[from] BadOutgoing),
    #[error("what it tells cannot be read ({0})")]
    Told(#[from] serde_json::Error),
    #[error("its event {0:?} is unknown")]
    Event(String),
}

impl Due {
    /// Where it takes turns with others, and how long each of them is, in ms; none where there is no need. The place is a hash:
    /// whoever knows the address of some may post there.
    pub(super) fn turns(&self) -> Option<(String, u64)> {
        let gap_ms = NotifyFormat::of(&self.format)?.gap_ms()?;
        let place = self.secret.as_deref().or(self.url.as_deref()).unwrap_or_default();
        let hash = Sha256::new().chain_update(&self.format).chain_update([0]).chain_update(place).finalize();
        Some((URL_SAFE_NO_PAD.encode(&hash[..16]), gap_ms))
    }

    /// The right to its next attempt, which begins at `begin_ms`.
    ///
    /// # Errors
    /// [`BadDue`] when someone changed the row from outside, so that it cannot be sent.
    pub(super) fn claimed(self, begin_ms: u64) -> Result<Claim, BadDue> {
        let outgoing = Outgoing::from_texts(&Texts {
            target: &self.target,
            format: &self.format,
            url: self.url.as_deref(),
            secret: self.secret.as_deref(),
            detail: &self.detail,
            allow: &self.allow,
            timeout_ms: self.timeout_ms,
        })?;
        let event = NoticeEvent::of(&self.event).ok_or(BadDue::Event(self.event))?;
        let parcel = if self.target.is_empty() {
            Parcel::Body(self.body)
        } else {
            Parcel::Told(Box::new(serde_json::from_str(&self.body)?))
        };
        let until_ms = begin_ms.saturating_add(outgoing.timeout_ms).saturating_add(LEASE_SLACK_MS);
        let attempt = self.attempts.saturating_add(1);
        Ok(Claim { alert_id: self.alert_id, event, outgoing, parcel, attempt, begin_ms, until_ms })
    }
}

/// What a row of the outbox holds of an alert for a place: the webhook's body, or what is told there.
///
/// # Errors
/// Those of JSON, of which an alert gives no cause.
pub(super) fn body(alert: &Alert, outgoing: &Outgoing) -> serde_json::Result<String> {
    body_with(alert, &outgoing.target, outgoing.detail, outgoing.link_of(alert))
}

/// The same with this link.
///
/// # Errors
/// Those of JSON, of which an alert gives no cause.
pub(super) fn body_with(
    alert: &Alert,
    target: &str,
    detail: WebhookDetail,
    link: Option<String>,
) -> serde_json::Result<String> {
    if target.is_empty() {
        return Ok(payload::body(alert, detail, link));
    }
    serde_json::to_string(&Told { alert: alert.clone(), link, test: false })
}

/// The link in what a row holds, if it tells one.
pub(super) fn link_in(body: &str) -> Option<String> {
    let body: serde_json::Value = serde_json::from_str(body).ok()?;
    body.get("link")?.as_str().map(str::to_owned)
}

/// What is to be queued for one place.
#[derive(Debug)]
pub(super) struct Queued<'a> {
    pub(super) state: OutboxState,
    pub(super) due_ms: u64,
    pub(super) outgoing: &'a Outgoing,
}

impl<'a> Queued<'a> {
    /// What is planned for an alert: nothing for a shadow alert, and nothing where it goes nowhere, which is worth a
    /// warning.
    pub(super) fn planned(
        alert: &Alert,
        plan: WebhookPlan,
        outgoing: &'a [Outgoing],
        now_ms: u64,
    ) -> impl Iterator<Item = Self> {
        let planned = match plan {
            _ if alert.shadow => None,
            WebhookPlan::None => None,
            WebhookPlan::Send => Some((OutboxState::Pending, now_ms)),
            WebhookPlan::Hold { ms } => Some((OutboxState::Held, now_ms.saturating_add(ms))),
        };
        if planned.is_some() && outgoing.is_empty() {
            tracing::warn!(alert_id = %alert.id, "an alert was to be sent, but goes nowhere; it is flagged only");
        }
        let queued = move |(state, due_ms)| outgoing.iter().map(move |outgoing| Self { state, due_ms, outgoing });
        planned.into_iter().flat_map(queued)
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

/// A webhook, or a notice to another place, as the outbox has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// What the place is called; nothing for the webhook's.
    pub target: String,
    /// What it is of.
    pub event: NoticeEvent,
    /// How it is put.
    pub format: String,
    /// Where it stands.
    pub state: OutboxState,
    /// How many attempts were begun.
    pub attempts: u32,
    /// When it is due, Unix time in ms.
    pub due_ms: u64,
    /// From when it may be its turn, where all take turns, Unix time in ms.
    pub turn_ms: u64,
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
        self.due_ms.max(self.turn_ms).max(self.claimed_until_ms.unwrap_or(0))
    }

    /// When it may be its turn, Unix time in ms, where it is due and waits for nothing else.
    #[must_use]
    pub fn waits_for_its_turn(&self, now_ms: u64) -> Option<u64> {
        let waits = self.state == OutboxState::Pending && self.due_ms <= now_ms && self.turn_ms > now_ms;
        (waits && self.claimed_until_ms.is_none_or(|until_ms| until_ms <= now_ms)).then_some(self.turn_ms)
    }
}
