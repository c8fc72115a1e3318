//! The part of an escalation that hands the caller over (rule 5): the handover sentence, the transfer, its outcome.

use super::Call;
use super::event::Output;
use super::latch::{Active, Phase, SETTLE_MS, STORE_PATIENCE_MS};
use super::report::Report;
use crate::alert::AlertId;
use crate::alert::outcome::{Outcome, Progress, TERMINATED};
use crate::alert::record::{StoreWrite, WebhookPlan};
use crate::call::route::{Route, TransferRequest, choose_route};
use crate::config::settings::{Action, ActionKind, DEFAULT_FALLBACK, TransferMode};
use crate::room::message::{CommandKind, CommandStatus, SidecarMessage};

/// How long a final result may still come after the caller's leg is gone.
const GONE_GRACE_MS: u64 = 2_000;
/// What the caller is told after a failed transfer that nobody else was told of.
const FALLBACK_UNTOLD: &str = "I'm sorry, I could not reach a supervisor just now. I'll keep helping you myself.";
/// How many steps an alert keeps.
const MAX_STEPS: usize = 64;

impl Active {
    /// Whether a caller who is gone may well be with the human: the room says that it cannot tell, or a SIP peer has taken
    /// the REFER, and notifies nothing, or no more. One that notifies would have told of a success.
    fn may_have_been_handed_over(&self) -> bool {
        let was = |names: &[&str]| self.alert.steps.iter().any(|told| names.contains(&told.step.as_str()));
        let peer_is_silent = was(&[TERMINATED]) || !was(&["trying", "ringing", "progress", "result"]);
        self.unclear || (self.over_sip && was(&["accepted"]) && peer_is_silent)
    }
}

impl Call {
    /// Says the handover sentence, then transfers.
    pub(super) fn announce(&mut self, key: &str) {
        if self.caller_is_gone() {
            return self.conclude(Outcome::CallerGone);
        }
        if self.settings.handover_sentence.is_empty() || self.ending.is_some() {
            return self.start_transfer();
        }
        let text = self.settings.handover_sentence.clone();
        let deadline_ms = self.settings.say_deadline_ms;
        if self.command(format!("say-{key}"), CommandKind::Say { text }, deadline_ms) {
            self.enter(Phase::Announcing, deadline_ms);
        } else {
            self.start_transfer();
        }
    }

    /// An earlier process of this call was to transfer the caller, and nobody knows how far it came. A room that transfers is
    /// asked again under the same id, and answers with what came of the first asking; over SIP, and where the room only keeps
    /// that it was begun, a second phone might ring, so what the room sees is waited for as long as the first one may.
    pub(super) fn take_over_transfer(&mut self) {
        let Some(active) = &self.latch.active else { return };
        if active.alert.shadow {
            return self.unlatch();
        }
        if self.caller_is_gone() {
            return self.conclude(Outcome::CallerGone);
        }
        let mode = self.settings.sip.mode;
        match self.welcome.as_ref().and_then(|welcome| choose_route(welcome, mode)) {
            None | Some(Route::RoomCommand) if self.taken().is_none() => self.start_transfer(),
            _ => self.enter(Phase::Settling, self.settings.transfer_deadline_ms + SETTLE_MS),
        }
    }

    pub(super) fn caller_is_gone(&self) -> bool {
        self.latch.active.as_ref().is_some_and(|active| active.caller_left)
    }

    pub(super) fn start_transfer(&mut self) {
        let Action::Transfer { target } = self.settings.action.clone() else { return };
        let deadline_ms = self.settings.transfer_deadline_ms;
        let Some(active) = &mut self.latch.active else { return };
        let (alert_id, key) = (active.alert.id.to_string(), active.key.clone());
        let (mode, ringing_timeout_ms) = (self.settings.sip.mode, self.settings.ringing_timeout_ms);
        match self.welcome.as_ref().and_then(|welcome| choose_route(welcome, mode)) {
            None => {
                let reason = "the room offers neither a transfer command nor a SIP dialog".to_owned();
                return self.conclude(Outcome::Unreachable { reason });
            }
            Some(Route::RoomCommand) => {
                let target = target.as_str().to_owned();
                let command = CommandKind::Transfer { target, ringing_timeout_ms };
                self.command(format!("transfer-{key}"), command, deadline_ms);
            }
            // There is no time left to ask anybody.
            Some(Route::Attended { .. }) if self.ending.is_some() => return self.conclude(Outcome::Cancelled),
            Some(route) => {
                active.over_sip = true;
                let severity = Some(active.alert.severity);
                let request = TransferRequest { alert_id, target, route, deadline_ms, ringing_timeout_ms, severity };
                self.out.push_back(Output::Transfer { request });
            }
        }
        self.enter(Phase::Transferring, deadline_ms);
    }

    /// The room says how a command fared.
    pub(super) fn command_result(
        &mut self,
        command_id: &str,
        status: CommandStatus,
        code: Option<&str>,
        detail: Option<&str>,
    ) {
        let Some(active) = &mut self.latch.active else { return };
        let (name, key) = command_id.split_once('-').unwrap_or((command_id, ""));
        if key != active.key {
            return;
        }
        match (name, active.phase, status) {
            ("say", Phase::Announcing, CommandStatus::Accepted) => {
                self.enter(Phase::Announcing, self.settings.say_deadline_ms);
            }
            ("say", Phase::Announcing, _) => self.start_transfer(),
            ("transfer", Phase::Transferring | Phase::Settling, _) if active.over_sip => {}
            ("transfer", Phase::Transferring | Phase::Settling, CommandStatus::Accepted) => {
                let alert_id = active.alert.id.clone();
                let progress = Progress { step: "accepted".to_owned(), sip_status: None };
                self.transfer_progress(&alert_id, progress);
            }
            ("transfer", Phase::Transferring | Phase::Settling, CommandStatus::Done) => {
                self.conclude(Outcome::Transferred);
            }
            ("transfer", Phase::Transferring | Phase::Settling, CommandStatus::Failed) => {
                let outcome = Outcome::from_code(code.unwrap_or("failed"), detail.unwrap_or_default());
                active.unclear = outcome == Outcome::Unknown;
                self.conclude(outcome);
            }
            _ => {}
        }
    }

    /// A step of the transfer: it is told, and the alert keeps it.
    pub(super) fn transfer_progress(&mut self, alert_id: &AlertId, progress: Progress) {
        let Some(active) = self.latch.active.as_mut().filter(|active| active.alert.id == *alert_id) else { return };
        if active.alert.steps.len() < MAX_STEPS {
            active.alert.steps.push(progress.clone());
        }
        // The peer will tell no more: from now on it is as after the deadline, and the edge listens for as long.
        let is_over = active.over_sip && active.phase == Phase::Transferring && progress.step == TERMINATED;
        let caller_left = active.caller_left;
        self.report(Report::Transfer { alert_id: alert_id.clone(), progress });
        if is_over && !caller_left {
            self.enter(Phase::Settling, SETTLE_MS);
        }
    }

    /// The SIP edge is done.
    pub(super) fn transfer_done(&mut self, alert_id: &AlertId, outcome: Outcome) {
        let Some(active) = self.active_in(alert_id) else { return };
        match active.phase {
            Phase::Transferring if outcome == Outcome::Unknown && !active.caller_left => {
                self.enter(Phase::Settling, SETTLE_MS);
            }
            // Both wait for one deadline, and either may notice first: the room has the same time to settle it.
            Phase::Settling if outcome == Outcome::Unknown && !active.caller_left => {}
            Phase::Transferring | Phase::Settling => self.conclude(outcome),
            Phase::Storing | Phase::Announcing | Phase::Closing { .. } => {}
        }
    }

    /// A human joined: whatever was under way, the caller has one.
    pub(super) fn latch_human_joined(&mut self) {
        let Some(active) = &self.latch.active else { return };
        if active.alert.action == ActionKind::Transfer
            && matches!(active.phase, Phase::Announcing | Phase::Transferring | Phase::Settling)
        {
            // Another human's phone may ring for nothing, or be about to take the caller away.
            self.stop_asking();
            self.conclude(Outcome::Transferred);
        }
    }

    /// The caller's leg is gone: a success may still be on its way, nothing else is waited for.
    pub(super) fn latch_caller_left(&mut self) {
        let Some(active) = &mut self.latch.active else { return };
        active.caller_left = true;
        let phase = active.phase;
        match phase {
            Phase::Announcing => self.conclude(Outcome::CallerGone),
            Phase::Transferring | Phase::Settling => {
                let grace = self.now.plus(GONE_GRACE_MS);
                self.stop_asking();
                if let Some(active) = &mut self.latch.active {
                    active.until = active.until.min(grace);
                }
            }
            Phase::Storing | Phase::Closing { .. } => {}
        }
    }

    /// Nobody is to be asked any more whether they take the caller.
    pub(super) fn stop_asking(&mut self) {
        let Some(active) = self.latch.active.as_ref().filter(|active| active.over_sip) else { return };
        if self.settings.sip.mode == TransferMode::Attended {
            let alert_id = active.alert.id.clone();
            self.out.push_back(Output::StopAsking { alert_id });
        }
    }

    /// No final result came.
    pub(super) fn give_up(&mut self) {
        let Some(active) = &self.latch.active else { return };
        if active.over_sip {
            let alert_id = active.alert.id.clone();
            self.out.push_back(Output::CancelTransfer { alert_id });
        }
        self.conclude(Outcome::Unknown);
    }

    /// The transfer's outcome is known: it is stored, and the webhook falls in where it failed.
    pub(super) fn conclude(&mut self, outcome: Outcome) {
        let Some(active) = &mut self.latch.active else { return };
        let outcome = match outcome {
            Outcome::Transferred => Outcome::Transferred,
            Outcome::Unknown if active.may_have_been_handed_over() => Outcome::Unknown,
            _ if active.caller_left => Outcome::CallerGone,
            other => other,
        };
        let caller_left = active.caller_left;
        active.alert.outcome = Some(outcome.clone());
        let (alert, key, stored) = (active.alert.clone(), active.key.clone(), active.stored);
        let transferred = outcome == Outcome::Transferred;
        let fallback = !transferred && self.settings.webhook.is_set() && !self.settings.webhook.always;
        self.latch.handed_over = transferred;
        self.take_up(&alert.id, Some(outcome.name()));
        if !transferred && !caller_left && outcome != Outcome::CallerGone {
            let team_knows = stored || self.settings.webhook.is_set();
            self.comfort(&key, &outcome, team_knows);
        }
        self.report(Report::Outcome {
            alert_id: alert.id.clone(),
            action: alert.action,
            transfer: Some(outcome),
            fallback,
        });
        let webhook = if fallback { WebhookPlan::Send } else { WebhookPlan::None };
        self.out.push_back(Output::Store { write: StoreWrite::Outcome { alert, webhook } });
        self.enter(Phase::Closing { fallback }, STORE_PATIENCE_MS);
    }

    /// After a failed transfer the caller is never left in silence, and the agent knows. The caller is told that the team
    /// knows only where a flag or a webhook tells it.
    fn comfort(&mut self, key: &str, outcome: &Outcome, team_knows: bool) {
        let instruction = format!(
            "The transfer to a human did not work ({}). Do not promise it again: tell the caller, apologize, and keep \
             helping.",
            outcome.name()
        );
        self.tell(SidecarMessage::Tone { label: "negative".to_owned(), instruction });
        if !self.settings.fallback_sentence.is_empty() {
            let text = match self.settings.fallback_sentence.as_str() {
                DEFAULT_FALLBACK if !team_knows => FALLBACK_UNTOLD.to_owned(),
                sentence => sentence.to_owned(),
            };
            let deadline_ms = self.settings.say_deadline_ms;
            self.command(format!("say-fallback-{key}"), CommandKind::Say { text }, deadline_ms);
        }
    }
}
