//! An escalation goes from phase to phase: its alert is stored, then acted on, and the latch opens. Where the action is a
//! transfer, what lies in between is `handover`.

use super::Call;
use super::event::Output;
use super::latch::{Active, Phase, SETTLE_MS, STORE_PATIENCE_MS};
use super::report::Report;
use crate::alert::AlertId;
use crate::alert::outcome::{HOURLY_CAP, Outcome};
use crate::alert::record::{StoreResult, StoreWrite, WebhookPlan};
use crate::config::settings::{Action, ActionKind};

/// How long an escalation may still take after the call is over or the process was asked to stop.
const ENDING_GRACE_MS: u64 = 5_000;
/// How much longer than the transfer itself its fallback webhook is held.
const HOLD_SLACK_MS: u64 = 10_000;

impl Call {
    /// The alert is on its way to the store, and with it what becomes of its webhook.
    pub(super) fn store_alert(&mut self) {
        let Some(active) = &self.latch.active else { return };
        let alert = active.alert.clone();
        let (webhook, transfer_cap) = match self.taken() {
            Some(taken) => (self.webhook_of_taken(taken), None),
            None => (self.webhook_plan(), self.transfer_cap()),
        };
        self.out.push_back(Output::Store { write: StoreWrite::Alert { alert, webhook, transfer_cap } });
    }

    /// How many transfers there may be in an hour, where one follows.
    fn transfer_cap(&self) -> Option<u32> {
        let cap = self.settings.transfer_hourly_cap;
        (self.settings.action.kind() == ActionKind::Transfer && !self.options.shadow && cap > 0).then_some(cap)
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

    fn done(&mut self, alert_id: AlertId, action: ActionKind) {
        self.report(Report::Outcome { alert_id, action, transfer: None, fallback: false });
        self.unlatch();
    }

    /// The outcome is on disk, or cannot be: the fallback is sent, and the latch opens.
    fn release(&mut self, fallback: bool, failed: bool) {
        if let Some(active) = &mut self.latch.active {
            active.stored &= !failed;
        }
        if fallback {
            self.deliver();
        }
        self.unlatch();
    }

    /// The escalation is over; the caller may have gone on while it was latched.
    pub(super) fn unlatch(&mut self) {
        let followed = self.latch.open();
        self.decide_since(followed);
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
}
