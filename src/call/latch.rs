//! One escalation at a time (rule 5): latched from the decision until its outcome.
//!
//! ```text
//! idle ─decide─▶ storing ─▶ flag, notify: done
//!                   └─▶ announcing ─▶ transferring ─▶ (settling) ─▶ closing ─▶ done, or handed over
//! ```
//! Everything is stored before anything is sent. Every phase has a deadline, so that no silence of the store, the
//! room or the SIP peer holds the call.

use std::collections::HashSet;

use super::Call;
use super::event::Output;
use super::odd::Odd;
use super::policy::Decision;
use super::report::Report;
use super::segment::TurnKey;
use super::tracker::{Standing, counts};
use crate::alert::outcome::{HOURLY_CAP, Outcome};
use crate::alert::record::{StoreResult, StoreWrite, WebhookPlan};
use crate::alert::{Alert, AlertId, AlertTurn};
use crate::clock::Millis;
use crate::config::settings::{Action, ActionKind};
use crate::room::message::{CommandKind, SidecarMessage, capability};
use crate::sentiment::Sentiment;
use crate::sentiment::describe::{self, CallerTurn, Story};

/// How long the store may take before the call goes on without it.
pub(super) const STORE_PATIENCE_MS: u64 = 3_000;
/// How long the room gets to settle a transfer without a final result.
pub(super) const SETTLE_MS: u64 = 5_000;
/// How long an escalation may still take after the call is over or the process was asked to stop.
const ENDING_GRACE_MS: u64 = 5_000;
/// How much longer than the transfer itself its fallback webhook is held.
const HOLD_SLACK_MS: u64 = 10_000;
/// How many turns an alert tells.
const LAST_TURNS: usize = 6;

/// The turn that an escalation followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Followed {
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
    asked_by: Option<String>,
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

    /// Takes note of what an escalation followed.
    fn note(&mut self, followed: Followed) {
        self.last = Some(followed);
        match followed {
            Followed::NoTurn => self.escalated_before = true,
            Followed::Turn(key) => {
                self.escalated_at.insert(key);
            }
        }
    }
}

/// What an escalation is made of.
pub(super) struct Escalation {
    pub(super) key: String,
    pub(super) decision: Decision,
    pub(super) description: String,
    pub(super) sentiment: Sentiment,
}

impl Call {
    /// Escalates on a turn's rating.
    pub(super) fn escalate_on_turn(&mut self, key: TurnKey, decision: Decision) {
        let Some(rating) = self.rating(key) else { return };
        let sentiment = rating.sentiment;
        let description = rating
            .description
            .as_deref()
            .map(describe::presentable)
            .unwrap_or_else(|| describe::describe(&self.story(key)));
        self.escalate(
            Followed::Turn(key),
            Escalation { key: self.book.turn(key).id.clone(), decision, description, sentiment },
        );
    }

    /// Escalates on the agent's word.
    pub(super) fn escalate_on_tool(&mut self, escalation: Escalation, after: Option<TurnKey>) {
        let call_id = escalation.key.clone();
        self.escalate(after.map_or(Followed::NoTurn, Followed::Turn), escalation);
        if let Some(active) = &mut self.latch.active {
            active.asked_by = Some(call_id);
        }
    }

    /// The call's counted turns up to one, for its description.
    fn story(&self, key: TurnKey) -> Story<'_> {
        let caller_turn = |k: &TurnKey| {
            let rating = self.rating(*k).filter(|rating| counts(rating, &self.settings))?;
            let text = self.book.turn(*k).text.as_str();
            Some(CallerTurn { text, sentiment: rating.sentiment, cues: &rating.cues, asks_human: rating.asks_human })
        };
        let turns = self.book.order()[..=self.book.position(key)].iter().filter_map(caller_turn).collect();
        let streak = self.standings.get(&key).map_or(0, |standing| standing.counts.streak.min(self.settings.window));
        Story { turns, threshold: self.settings.threshold, streak: streak as usize }
    }

    fn escalate(&mut self, followed: Followed, escalation: Escalation) {
        let at = match followed {
            Followed::NoTurn => Standing::default(),
            Followed::Turn(key) => self.standings.get(&key).copied().unwrap_or_else(|| self.standing()),
        };
        let turn = at.ordinal;
        let session_id = self.welcome.as_ref().map(|w| w.session_id.clone()).unwrap_or_default();
        let room_name = self.options.room_name.clone();
        let alert = Alert {
            id: self.alert_id(&escalation.key),
            room_name,
            session_id,
            turn,
            rule: escalation.decision.rule,
            severity: escalation.decision.severity,
            reason: escalation.decision.reason.to_owned(),
            description: escalation.description,
            sentiment: escalation.sentiment,
            mean: super::told_mean(&at, &self.settings),
            human_requests: (self.settings.human_requests > 0).then_some(at.counts.asks),
            streak: at.counts.streak,
            action: self.settings.action.kind(),
            history: self.history(),
            last_turns: self.last_turns(),
            outcome: None,
            steps: Vec::new(),
            shadow: self.options.shadow,
            participant: match followed {
                Followed::Turn(key) => Some(self.book.turn(key).participant_id.clone()),
                Followed::NoTurn => None,
            },
            about: None,
        };
        self.latch.note(followed);
        if let Followed::Turn(key) = followed
            && let Some(standing) = self.standings.get_mut(&key)
        {
            *standing = standing.spent();
        }
        self.latch.first_turn.get_or_insert(turn);
        self.latch.active = Some(Box::new(Active {
            alert,
            key: escalation.key,
            phase: Phase::Storing,
            until: self.now.plus(STORE_PATIENCE_MS),
            over_sip: false,
            unclear: false,
            caller_left: false,
            stored: false,
            asked_by: None,
        }));
        self.store_alert();
    }

    fn store_alert(&mut self) {
        let Some(active) = &self.latch.active else { return };
        let alert = active.alert.clone();
        let (webhook, transfer_cap) = match self.taken() {
            Some(taken) => (self.webhook_of_taken(taken), None),
            None => (self.webhook_plan(), self.transfer_cap()),
        };
        self.out.push_back(Output::Store { write: StoreWrite::Alert { alert, webhook, transfer_cap } });
    }

    /// Another call had this session's id, and an alert under this one's: it gets one that a process that takes this
    /// call over comes to as well.
    fn rename_alert(&mut self) {
        self.latch.calls_before += 1;
        let Some(key) = self.latch.active.as_ref().map(|active| active.key.clone()) else { return };
        let id = self.alert_id(&key);
        if let Some(active) = &mut self.latch.active {
            active.alert.id = id;
        }
        self.store_alert();
    }

    /// The decision is told once the store has it: what is printed is stored or sent, whatever dies next.
    fn tell_escalation(&mut self) {
        let Some(active) = &mut self.latch.active else { return };
        let (alert, asked_by) = (&active.alert, active.asked_by.take());
        let (alert_id, action) = (alert.id.clone(), alert.action);
        let report = Report::Escalation {
            turn: alert.turn,
            rule: alert.rule,
            mean: alert.mean,
            human_requests: alert.human_requests,
            severity: alert.severity,
            action,
            description: alert.description.clone(),
            alert_id: alert_id.clone(),
            shadow: alert.shadow,
        };
        self.report(report);
        if let Some(call_id) = asked_by {
            self.tool_escalated(call_id, action, &alert_id);
        }
    }

    /// How many transfers there may be in an hour, where one follows.
    fn transfer_cap(&self) -> Option<u32> {
        let cap = self.settings.transfer_hourly_cap;
        (self.settings.action.kind() == ActionKind::Transfer && !self.options.shadow && cap > 0).then_some(cap)
    }

    /// A platform may use a session's id again; the ids of the phone call tell two of them apart.
    fn alert_id(&self, key: &str) -> AlertId {
        let welcome = self.welcome.as_ref();
        let session_id = welcome.map_or("", |w| &w.session_id);
        let call_id = welcome.map_or("", |w| &w.call.id);
        let sip_call_id = welcome.and_then(|w| w.call.sip.as_ref()).map_or("", |sip| &sip.call_id);
        let again = self.latch.calls_before.to_string();
        let mut call = vec![self.options.room_name.as_str(), session_id, call_id, sip_call_id];
        if self.latch.calls_before > 0 {
            call.push(&again);
        }
        AlertId::derive(&call, key)
    }

    fn last_turns(&self) -> Vec<AlertTurn> {
        let alert_turn = |key: &TurnKey| {
            let turn = self.context_turn(*key)?;
            let sentiment = self.rating(*key).map(|rating| rating.sentiment);
            Some(AlertTurn { speaker: turn.speaker, text: describe::masked(&turn.text), sentiment })
        };
        let mut turns: Vec<AlertTurn> =
            self.book.order().iter().rev().filter_map(alert_turn).take(LAST_TURNS).collect();
        turns.reverse();
        turns
    }

    /// What becomes of the webhook when the alert is decided.
    pub(super) fn webhook_plan(&self) -> WebhookPlan {
        let webhook = &self.settings.webhook;
        if !webhook.is_set() || self.options.shadow {
            return WebhookPlan::None;
        }
        match self.settings.action {
            Action::Notify => WebhookPlan::Send,
            _ if webhook.always => WebhookPlan::Send,
            Action::Transfer { .. } => WebhookPlan::Hold {
                ms: STORE_PATIENCE_MS
                    + self.settings.say_deadline_ms
                    + self.settings.transfer_deadline_ms
                    + SETTLE_MS
                    + HOLD_SLACK_MS,
            },
            Action::Flag => WebhookPlan::None,
        }
    }

    /// Moves the escalation that is under way into a phase that lasts `ms` at most.
    pub(super) fn enter(&mut self, phase: Phase, ms: u64) {
        let ms = if self.ending.is_some() { ms.min(ENDING_GRACE_MS) } else { ms };
        let until = self.now.plus(ms);
        if let Some(active) = &mut self.latch.active {
            active.phase = phase;
            active.until = until;
        }
    }

    pub(super) fn active_in(&self, alert_id: &AlertId) -> Option<&Active> {
        self.latch.active.as_deref().filter(|active| active.alert.id == *alert_id)
    }

    /// The store is done with a write, or failed.
    pub(super) fn stored(&mut self, alert_id: &AlertId, result: StoreResult) {
        if let StoreResult::Failed { detail } = &result {
            self.report(Report::Warning { detail: format!("the store failed: {detail}") });
        }
        let Some(active) = self.active_in(alert_id) else { return };
        let phase = active.phase;
        if phase == Phase::Storing {
            if result == StoreResult::OtherCall {
                return self.rename_alert();
            }
            self.tell_escalation();
        }
        let is_stored = !matches!(result, StoreResult::Failed { .. });
        let result = if phase == Phase::Storing { self.as_the_room_knows(result) } else { result };
        match (phase, result) {
            (Phase::Storing, StoreResult::Existing { outcome }) => self.take_over(outcome, is_stored),
            (Phase::Storing, StoreResult::Written) => self.act(true),
            (Phase::Storing, StoreResult::AtCap { cap }) => self.refuse_at_cap(cap),
            (Phase::Storing, StoreResult::Failed { .. }) => self.act(false),
            (Phase::Closing { fallback }, result) => {
                self.release(fallback, matches!(result, StoreResult::Failed { .. }));
            }
            _ => {}
        }
    }

    /// An earlier process of this call escalated already and died: nothing is done twice.
    fn take_over(&mut self, outcome: Option<Outcome>, is_stored: bool) {
        self.report(Report::Warning {
            detail: "an earlier process of this call escalated here already; it is not done twice".to_owned(),
        });
        let Some(active) = &mut self.latch.active else { return };
        active.stored = is_stored;
        let action = active.alert.action;
        let is_ours = self.taken().is_none();
        self.deliver_taken();
        match (action, outcome) {
            (ActionKind::Transfer, None) => self.take_over_transfer(),
            (ActionKind::Transfer, Some(Outcome::Transferred)) => {
                self.latch.handed_over = true;
                self.latch.active = None;
            }
            (ActionKind::Transfer, Some(_)) => self.unlatch(),
            (ActionKind::Notify | ActionKind::Flag, _) => {
                // An earlier process of this machine may have died before it sent what it had queued.
                if is_ours {
                    self.deliver();
                }
                self.unlatch();
            }
        }
    }

    /// Asks for the alert's webhook to be sent now, if it has one.
    pub(super) fn deliver(&mut self) {
        let Some(active) = &self.latch.active else { return };
        if !self.settings.webhook.is_set() || active.alert.shadow {
            return;
        }
        let unstored = (!active.stored).then(|| Box::new(active.alert.clone()));
        let alert_id = active.alert.id.clone();
        self.out.push_back(Output::Deliver { alert_id, unstored });
    }

    /// The alert is on disk (or cannot be): now it is acted on.
    fn act(&mut self, stored: bool) {
        let Some(active) = &mut self.latch.active else { return };
        active.stored = stored;
        let (alert_id, key, shadow) = (active.alert.id.clone(), active.key.clone(), active.alert.shadow);
        self.take_up(&alert_id, None);
        if self.webhook_plan() == WebhookPlan::Send {
            self.deliver();
        }
        let action = self.settings.action.kind();
        if shadow {
            return self.unlatch();
        }
        match action {
            ActionKind::Notify => self.done(alert_id, action),
            ActionKind::Flag => {
                self.set_flag(&key);
                self.done(alert_id, action);
            }
            ActionKind::Transfer => self.announce(&key),
        }
    }

    /// This host has begun as many transfers as it may in an hour: this one is not tried (rule 5's fallback follows).
    fn refuse_at_cap(&mut self, cap: u32) {
        let Some(active) = &mut self.latch.active else { return };
        active.stored = true;
        let alert_id = active.alert.id.clone();
        self.take_up(&alert_id, None);
        if self.webhook_plan() == WebhookPlan::Send {
            self.deliver();
        }
        let reason =
            format!("this host has begun {cap} transfers within an hour, as many as sentimentTransferHourlyCap allows");
        self.conclude(Outcome::Rejected { code: HOURLY_CAP.to_owned(), reason });
    }

    fn done(&mut self, alert_id: AlertId, action: ActionKind) {
        self.report(Report::Outcome { alert_id, action, transfer: None, fallback: false });
        self.unlatch();
    }

    /// The escalation is over; the caller may have gone on while it was latched.
    pub(super) fn unlatch(&mut self) {
        self.latch.active = None;
        let followed = match self.latch.last {
            Some(Followed::Turn(key)) => Some(key),
            Some(Followed::NoTurn) | None => None,
        };
        self.decide_since(followed);
    }

    /// Sends a command, where the room offers it. Returns whether it does.
    pub(super) fn command(&mut self, command_id: String, command: CommandKind, deadline_ms: u64) -> bool {
        let (what, so) = match &command {
            CommandKind::Say { .. } => (capability::SAY, "the caller is told nothing"),
            CommandKind::SetFlag { .. } => (capability::SET_FLAG, "flags are in the store alone"),
            CommandKind::Transfer { .. } => (capability::TRANSFER, "nobody is transferred by it"),
            CommandKind::Hangup { .. } => return false,
        };
        if !self.offers(what) {
            self.odd(Odd::NotOffered { what, so });
            return false;
        }
        if let CommandKind::Say { text } = &command {
            self.own_words.said(self.now, text);
        }
        self.tell(SidecarMessage::Command { command_id, command, deadline_ms });
        true
    }

    fn set_flag(&mut self, key: &str) {
        let Some(active) = &self.latch.active else { return };
        let command = CommandKind::SetFlag {
            alert_id: active.alert.id.to_string(),
            severity: active.alert.severity.name().to_owned(),
            description: active.alert.description.clone(),
        };
        self.command(format!("set_flag-{key}"), command, STORE_PATIENCE_MS);
    }

    pub(super) fn offers(&self, what: &str) -> bool {
        self.welcome.as_ref().is_some_and(|w| w.capabilities.iter().any(|c| c == what))
    }

    /// The call is over or the process stops: what is under way gets a short while.
    pub(super) fn latch_ending(&mut self) {
        let cap = self.now.plus(ENDING_GRACE_MS);
        let Some(active) = &mut self.latch.active else { return };
        active.until = active.until.min(cap);
        match active.phase {
            Phase::Announcing => self.start_transfer(),
            Phase::Transferring | Phase::Settling => self.stop_asking(),
            Phase::Storing | Phase::Closing { .. } => {}
        }
    }

    /// Whatever of the escalation is due by now.
    pub(super) fn latch_time(&mut self) {
        let Some(active) = &self.latch.active else { return };
        if self.now < active.until {
            return;
        }
        match active.phase {
            Phase::Storing => {
                self.report(Report::Warning { detail: format!("the store gave no answer in {STORE_PATIENCE_MS} ms") });
                self.tell_escalation();
                match self.taken_outcome() {
                    Some(outcome) => self.take_over(outcome, false),
                    None => self.act(false),
                }
            }
            Phase::Announcing => self.start_transfer(),
            Phase::Transferring if active.caller_left || self.ending.is_some() => self.give_up(),
            Phase::Transferring => self.enter(Phase::Settling, SETTLE_MS),
            Phase::Settling => self.give_up(),
            Phase::Closing { fallback } => self.release(fallback, true),
        }
    }

    /// The outcome is on disk, or cannot be: the fallback is sent, and the latch opens.
    pub(super) fn release(&mut self, fallback: bool, failed: bool) {
        if let Some(active) = &mut self.latch.active {
            active.stored &= !failed;
        }
        if fallback {
            self.deliver();
        }
        self.unlatch();
    }
}
