//! Alerts that were taken up, as a room keeps them that outlives us: whoever takes the call over on another machine, with a
//! store of its own, does not act on them again.

use super::Call;
use crate::alert::AlertId;
use crate::alert::outcome::Outcome;
use crate::alert::record::{StoreResult, WebhookPlan};
use crate::room::message::{SidecarMessage, TakenAlert, capability};

impl Call {
    /// The room is told that an alert is about to be acted on, or what came of its transfer.
    pub(super) fn take_up(&mut self, alert_id: &AlertId, outcome: Option<&str>) {
        self.tell_of(alert_id, outcome, false);
    }

    /// The room is told that a webhook of an alert was delivered.
    pub(super) fn told(&mut self, alert_id: &AlertId) {
        self.tell_of(alert_id, None, true);
    }

    fn tell_of(&mut self, alert_id: &AlertId, outcome: Option<&str>, told: bool) {
        if self.offers(capability::ALERTS) {
            let (alert_id, outcome) = (alert_id.to_string(), outcome.map(str::to_owned));
            self.tell(SidecarMessage::Alert(TakenAlert { alert_id, outcome, told }));
        }
    }

    /// What the room said, when it let us in, of the alert that is under way: an earlier process took it up.
    pub(super) fn taken(&self) -> Option<&TakenAlert> {
        let id = self.latch.active.as_ref()?.alert.id.as_str();
        self.welcome.as_ref()?.alerts.iter().find(|taken| taken.alert_id == id)
    }

    /// The same: what came of its transfer, as far as is known.
    pub(super) fn taken_outcome(&self) -> Option<Option<Outcome>> {
        Some(self.taken()?.outcome.as_deref().map(outcome))
    }

    /// What becomes of its webhook here: the outbox of whoever took it up may be on a machine that is gone, so that what nobody
    /// was told of yet is told by us.
    pub(super) fn webhook_of_taken(&self, taken: &TakenAlert) -> WebhookPlan {
        match (self.webhook_plan(), taken.outcome.as_deref()) {
            _ if taken.told => WebhookPlan::None,
            (WebhookPlan::Hold { .. }, Some(outcome)) if outcome == Outcome::Transferred.name() => WebhookPlan::None,
            (WebhookPlan::Hold { .. }, Some(_)) => WebhookPlan::Send,
            (plan, _) => plan,
        }
    }

    /// Asks for its webhook to be sent now, where it is ours to send.
    pub(super) fn deliver_taken(&mut self) {
        if self.taken().is_some_and(|taken| self.webhook_of_taken(taken) == WebhookPlan::Send) {
            self.deliver();
        }
    }

    /// What our store made of the alert. Where the room knows that it was taken up, it is as if the store had known it.
    pub(super) fn as_the_room_knows(&self, result: StoreResult) -> StoreResult {
        let Some(known) = self.taken_outcome() else { return result };
        match result {
            StoreResult::Existing { outcome } => StoreResult::Existing { outcome: outcome.or(known) },
            _ => StoreResult::Existing { outcome: known },
        }
    }
}

fn outcome(name: &str) -> Outcome {
    if name == Outcome::Transferred.name() { Outcome::Transferred } else { Outcome::from_code(name, "") }
}
