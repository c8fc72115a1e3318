//! One escalation at a time (rule 5): latched from the decision until its outcome.
//!
//! ```text
//! idle ─decide─▶ storing ─▶ flag, notify: done
//!                   └─▶ announcing ─▶ transferring ─▶ (settling) ─▶ closing ─▶ done, or handed over
//! ```
//! Everything is stored before anything is sent. Every phase has a deadline, so that no silence of the store, the
//! room or the SIP peer holds the call.
//!
//! Here is what is known of an escalation; `escalate` begins it, `phases` and `handover` lead it to its end.

use std::collections::HashSet;

use super::segment::TurnKey;
use super::tracker::Standing;
use crate::alert::Alert;
use crate::clock::Millis;

/// How long the store may take before the call goes on without it.
pub(super) const STORE_PATIENCE_MS: u64 = 3_000;
/// How long the room gets to settle a transfer without a final result.
pub(super) const SETTLE_MS: u64 = 5_000;

/// The turn that an escalation followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Followed {
    /// None yet: the agent's tool call came first.
    NoTurn,
    Turn(TurnKey),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The alert is being written.
    Storing,
    /// The handover sentence is being said.
    Announcing,
    /// The room or the SIP peer is at it.
    Transferring,
    /// No final result by the deadline; the room may still settle it.
    Settling,
    /// The outcome is being written; the webhook falls in or does not.
    Closing { fallback: bool },
}

#[derive(Debug)]
pub(super) struct Active {
    pub(super) alert: Alert,
    /// The turn id or tool call id that set it off; names the commands.
    pub(super) key: String,
    pub(super) phase: Phase,
    pub(super) until: Millis,
    pub(super) over_sip: bool,
    /// The room says itself that it cannot tell what came of the transfer.
    pub(super) unclear: bool,
    pub(super) caller_left: bool,
    /// Whether the alert reached the store.
    pub(super) stored: bool,
    /// The tool call that it answers.
    pub(super) asked_by: Option<String>,
}

impl Active {
    /// An escalation whose alert is on its way to the store.
    pub(super) fn storing(alert: Alert, key: String, until: Millis) -> Self {
        Self {
            alert,
            key,
            phase: Phase::Storing,
            until,
            over_sip: false,
            unclear: false,
            caller_left: false,
            stored: false,
            asked_by: None,
        }
    }
}

/// The state of escalation.
#[derive(Debug, Default)]
pub struct Latch {
    pub(super) active: Option<Box<Active>>,
    last: Option<Followed>,
    escalated_before: bool,
    escalated_at: HashSet<TurnKey>,
    first_turn: Option<u32>,
    pub(super) handed_over: bool,
    /// How many calls had this session's id before this one, as far as is known.
    pub(super) calls_before: u32,
}

impl Latch {
    /// Whether an escalation is under way.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.active.is_some()
    }

    /// Whether an alert is on its way to the store.
    #[must_use]
    pub fn is_storing(&self) -> bool {
        self.active.as_ref().is_some_and(|active| active.phase == Phase::Storing)
    }

    /// Whether a transfer succeeded: a human has the caller.
    #[must_use]
    pub fn handed_over(&self) -> bool {
        self.handed_over
    }

    /// The caller turn of the first escalation.
    #[must_use]
    pub fn first_turn(&self) -> Option<u32> {
        self.first_turn
    }

    /// When something is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Millis> {
        self.active.as_ref().map(|active| active.until)
    }

    /// Whether no escalation is under way and none has brought a human.
    pub(super) fn is_free(&self) -> bool {
        self.active.is_none() && !self.handed_over
    }

    /// Whether an escalation followed this turn: from there on the rules wait for the call to recover.
    pub(super) fn escalated_at(&self, key: TurnKey) -> bool {
        self.escalated_at.contains(&key)
    }

    /// The turns that an escalation followed, in no order.
    pub(super) fn escalated_turns(&self) -> impl Iterator<Item = TurnKey> {
        self.escalated_at.iter().copied()
    }

    /// The standing before the first turn.
    pub(super) fn before_any_turn(&self) -> Standing {
        let start = Standing::default();
        if self.escalated_before { start.spent() } else { start }
    }

    /// Latches an escalation.
    pub(super) fn close(&mut self, followed: Followed, active: Active) {
        self.last = Some(followed);
        match followed {
            Followed::NoTurn => self.escalated_before = true,
            Followed::Turn(key) => {
                self.escalated_at.insert(key);
            }
        }
        self.first_turn.get_or_insert(active.alert.turn);
        self.active = Some(Box::new(active));
    }

    /// The escalation is over. Returns the turn that it followed, if there was one yet.
    pub(super) fn open(&mut self) -> Option<TurnKey> {
        self.active = None;
        match self.last {
            Some(Followed::Turn(key)) => Some(key),
            Some(Followed::NoTurn) | None => None,
        }
    }
}
