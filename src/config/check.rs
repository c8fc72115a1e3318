//! What must hold between settings, and what is right but deserves a word.

use std::collections::BTreeSet;
use std::fmt;

use super::error::{SettingsError, Source};
use super::keys::Draft;
use super::provenance::Provenance;
use super::settings::{Action, ActionKind, AllowEntry, Settings, TransferMode};

/// Something that is allowed and probably not meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// The threshold is 1, and no rating is below 1.
    NeverLow,
    /// A failed transfer has no webhook to fall back to.
    NoFallback,
    /// A webhook is set that nothing sends to.
    WebhookUnused,
    /// A link is set that nothing tells.
    LinkUnused,
    /// A target is set that nothing calls.
    TargetUnused,
    /// Trajectory settings are set while their rules are off.
    TrajectoryUnused {
        /// The keys.
        keys: Vec<&'static str>,
    },
    /// Settings of the sustained rule are set while it is off.
    SustainedUnused {
        /// The keys.
        keys: Vec<&'static str>,
    },
    /// The medium frustration is above the critical one, so it never counts.
    FrustrationOrder,
    /// The allow-list admits every address.
    AllowsEverything,
    /// Settings of the attended transfer are set, and transfers are blind.
    AttendedUnused {
        /// The keys.
        keys: Vec<&'static str>,
    },
    /// Settings of the LLM are set, and there is none.
    LlmUnused {
        /// The keys.
        keys: Vec<&'static str>,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverLow => f.write_str(
                "sentimentThreshold is 1 and no rating is below 1, so low turns never escalate; 3 is the default",
            ),
            Self::NoFallback => {
                f.write_str("a failed transfer only flags the session; set sentimentNotifyWebhook to alert supervisors")
            }
            Self::WebhookUnused => {
                f.write_str("no alert is sent with the action flag; set sentimentNotifyAlways or the action notify")
            }
            Self::LinkUnused => f.write_str(
                "sentimentAlertLink is told by nobody; set sentimentNotifyWebhook or sentimentNotifyTargets",
            ),
            Self::TargetUnused => {
                f.write_str("sentimentEscalationTarget is not used; set sentimentEscalationAction to transfer")
            }
            Self::TrajectoryUnused { keys } => {
                write!(f, "{} without effect; set sentimentTrajectoryRules to true", keys.join(", "))
            }
            Self::SustainedUnused { keys } => {
                write!(f, "{} without effect; set sentimentSustainedRule to true", keys.join(", "))
            }
            Self::FrustrationOrder => f.write_str(
                "sentimentHighFrustration is above sentimentCriticalFrustration, so every such turn is critical",
            ),
            Self::AllowsEverything => {
                f.write_str("sentimentWebhookAllow admits every address, so webhooks can reach anything; name subnets")
            }
            Self::AttendedUnused { keys } => {
                write!(f, "{} without effect; set sentimentTransferMode to attended", keys.join(", "))
            }
            Self::LlmUnused { keys } => write!(f, "{} without effect; set llmUrl to ask an LLM", keys.join(", ")),
        }
    }
}

const ACTION: &str = "sentimentEscalationAction";
const TARGET: &str = "sentimentEscalationTarget";
const WEBHOOK: &str = "sentimentNotifyWebhook";
const TARGETS: &str = "sentimentNotifyTargets";
const ALWAYS: &str = "sentimentNotifyAlways";
const ALLOW: &str = "sentimentWebhookAllow";
const COUNTRIES: &str = "sentimentTransferCountries";
const RINGING: &str = "sentimentRingingTimeoutMs";
const DEADLINE: &str = "sentimentTransferDeadlineMs";
const MODE: &str = "sentimentTransferMode";
const ACCEPT_DIGIT: &str = "sentimentAcceptDigit";
const DECLINE_DIGIT: &str = "sentimentDeclineDigit";
const ACCEPT_TIMEOUT: &str = "sentimentAcceptTimeoutMs";
const TARGET_DOMAIN: &str = "sentimentSipTargetDomain";
const PROXY: &str = "sentimentSipProxy";
const LLM_DEADLINE: &str = "llmDeadlineMs";
const RATER_DEADLINE: &str = "sentimentRaterDeadlineMs";

/// Checks a draft as a whole.
pub(super) struct Together<'a> {
    pub(super) draft: &'a Draft,
    pub(super) provenance: &'a Provenance,
    /// Keys whose own value was refused: nothing is said about what would follow from them.
    pub(super) refused: &'a BTreeSet<&'static str>,
    pub(super) errors: &'a mut Vec<SettingsError>,
}

impl Together<'_> {
    /// All checks.
    pub(super) fn check(&mut self) {
        let Draft { settings, action, target } = self.draft;
        if *action == ActionKind::Transfer && target.is_none() {
            let mend = format!("set {TARGET} to a phone number such as +14155551234");
            self.clash(format!("{ACTION} is transfer, which needs {TARGET}"), mend, &[ACTION, TARGET]);
        }
        self.webhook();
        self.country();
        self.ringing();
        if *action == ActionKind::Transfer && settings.sip.mode == TransferMode::Attended {
            self.attended();
        }
        self.llm();
    }

    /// What is to be told has somewhere to go, and goes there in the clear only where that is wanted.
    fn webhook(&mut self) {
        let Draft { settings: Settings { webhook, .. }, action, .. } = self.draft;
        if *action == ActionKind::Notify && !webhook.is_set() {
            self.needs_webhook(format!("{ACTION} is notify"), ACTION);
        }
        if webhook.always && !webhook.is_set() {
            self.needs_webhook(format!("{ALWAYS} is true"), ALWAYS);
        }
        let named = webhook.targets.iter().filter_map(|target| Some((TARGETS, target.url()?)));
        for (key, url) in webhook.url.iter().map(|url| (WEBHOOK, url)).chain(named) {
            let url = url.url();
            if url.scheme() == "http"
                && !url.host().is_some_and(|host| webhook.allow.iter().any(|entry| entry.names(&host)))
            {
                let host = url.host_str().unwrap_or_default();
                let mend = format!("use https, or add {host} to {ALLOW}");
                self.clash(format!("{key} is plain http and {host} is not in {ALLOW}"), mend, &[key, ALLOW]);
            }
        }
    }

    /// The human's phone is in a country that may be called.
    fn country(&mut self) {
        let Draft { settings, target, .. } = self.draft;
        if let Some(number) = target
            && !settings.transfer_countries.is_empty()
            && !settings.transfer_countries.iter().any(|code| code == number.country_code())
        {
            let code = number.country_code();
            let allowed = settings.transfer_countries.join(", ");
            let mend = format!("allowed: {allowed}");
            self.clash(
                format!("{TARGET} has country code {code}, which is not in {COUNTRIES}"),
                mend,
                &[TARGET, COUNTRIES],
            );
        }
    }

    /// No phone rings for longer than its transfer may take.
    fn ringing(&mut self) {
        let settings = &self.draft.settings;
        let (ringing, deadline) = (settings.ringing_timeout_ms, settings.transfer_deadline_ms);
        if ringing >= deadline {
            let mend = format!("let {RINGING} be shorter than {DEADLINE}");
            self.clash(
                format!(
                    "{RINGING} is {ringing} and {DEADLINE} is {deadline}, so a ringing phone outlives its transfer"
                ),
                mend,
                &[RINGING, DEADLINE],
            );
        }
    }

    /// An LLM that is slow leaves time for the embedded rater.
    fn llm(&mut self) {
        let settings = &self.draft.settings;
        let (llm, rater) = (settings.llm.deadline_ms, settings.rater_deadline_ms);
        if settings.llm.url.is_some() && llm >= rater {
            let mend = format!("let {LLM_DEADLINE} be shorter than {RATER_DEADLINE}");
            self.clash(
                format!(
                    "{LLM_DEADLINE} is {llm} and {RATER_DEADLINE} is {rater}, so a slow LLM leaves every turn unrated"
                ),
                mend,
                &[LLM_DEADLINE, RATER_DEADLINE],
            );
        }
    }

    /// What an attended transfer needs.
    fn attended(&mut self) {
        let Settings { sip, ringing_timeout_ms: ringing, transfer_deadline_ms: deadline, .. } = &self.draft.settings;
        if sip.target_domain.is_none() && sip.proxy.is_none() {
            let mend = format!("set {TARGET_DOMAIN} to the host that calls to {TARGET} go to");
            let problem = format!("{MODE} is attended, which needs {TARGET_DOMAIN} or {PROXY} to call the human");
            self.clash(problem, mend, &[MODE, TARGET_DOMAIN, PROXY]);
        }
        let (accept, decline) = (sip.consult.accept_digit, sip.consult.decline_digit);
        if accept == decline {
            let problem = format!("{ACCEPT_DIGIT} and {DECLINE_DIGIT} are both {accept}");
            self.clash(problem, "choose two keys".to_owned(), &[ACCEPT_DIGIT, DECLINE_DIGIT]);
        }
        let timeout = sip.consult.accept_timeout_ms;
        // A phone that rings too long is told already.
        if ringing < deadline && ringing + timeout >= *deadline {
            let problem = format!(
                "{RINGING} is {ringing} and {ACCEPT_TIMEOUT} is {timeout}, which leaves nothing of {DEADLINE}, {deadline}, \
                 to hand the caller over"
            );
            let mend = format!("let the two together be shorter than {DEADLINE}");
            self.clash(problem, mend, &[RINGING, ACCEPT_TIMEOUT, DEADLINE]);
        }
    }

    fn needs_webhook(&mut self, what: String, key: &'static str) {
        let mend = format!("set {WEBHOOK} to https://host/path, or name other places as {TARGETS}");
        self.clash(format!("{what}, which needs {WEBHOOK}"), mend, &[key, WEBHOOK, TARGETS]);
    }

    fn clash(&mut self, problem: String, mend: String, keys: &[&'static str]) {
        if keys.iter().any(|key| self.refused.contains(key)) {
            return;
        }
        let origin = |key: &&'static str| (*key, self.provenance.of(key).clone());
        let set = |(_, origin): &(&str, Source)| *origin != Source::Default;
        let origins: Vec<_> = keys.iter().map(origin).filter(set).collect();
        self.errors.push(SettingsError::Clash { problem, mend, origins });
    }
}

/// The action with what it needs. `None` when that is missing, which [`Together::check`] has reported.
pub(super) fn action(draft: &Draft) -> Option<Action> {
    Some(match draft.action {
        ActionKind::Transfer => Action::Transfer { target: draft.target.clone()? },
        ActionKind::Notify => draft.settings.webhook.is_set().then_some(Action::Notify)?,
        ActionKind::Flag => Action::Flag,
    })
}

/// What deserves a word.
pub(super) fn warnings(draft: &Draft, provenance: &Provenance) -> Vec<Warning> {
    let Draft { settings, action, target } = draft;
    let webhook = &settings.webhook;
    let trajectory = settings.trajectory;
    let unused: Vec<&'static str> = if trajectory.enabled { Vec::new() } else { provenance.set_among(TRAJECTORY) };
    let sustained: Vec<&'static str> =
        if settings.sustained.enabled { Vec::new() } else { provenance.set_among(SUSTAINED) };
    let llm: Vec<&'static str> =
        if settings.llm.url.is_some() { Vec::new() } else { provenance.set_among(&[LLM_DEADLINE, "llmMaxInFlight"]) };
    let consult: Vec<&'static str> =
        if settings.sip.mode == TransferMode::Attended { Vec::new() } else { provenance.set_among(CONSULT) };
    let everything = |entry: &AllowEntry| matches!(entry, AllowEntry::Net(net) if net.prefix_len() == 0);
    let all = [
        (settings.threshold == 1, Warning::NeverLow),
        (*action == ActionKind::Transfer && !webhook.is_set(), Warning::NoFallback),
        (*action == ActionKind::Flag && webhook.is_set() && !webhook.always, Warning::WebhookUnused),
        (webhook.link.is_some() && !webhook.is_set(), Warning::LinkUnused),
        (*action != ActionKind::Transfer && target.is_some(), Warning::TargetUnused),
        (!unused.is_empty(), Warning::TrajectoryUnused { keys: unused }),
        (!sustained.is_empty(), Warning::SustainedUnused { keys: sustained }),
        (
            trajectory.enabled && trajectory.high_frustration > trajectory.critical_frustration,
            Warning::FrustrationOrder,
        ),
        (webhook.allow.iter().any(everything), Warning::AllowsEverything),
        (!consult.is_empty(), Warning::AttendedUnused { keys: consult }),
        (!llm.is_empty(), Warning::LlmUnused { keys: llm }),
    ];
    all.into_iter().filter_map(|(holds, warning)| holds.then_some(warning)).collect()
}

const TRAJECTORY: &[&str] = &[
    "sentimentCriticalFrustration",
    "sentimentHighFrustration",
    "sentimentDecliningValence",
    "sentimentExtremeValence",
    "sentimentTrajectorySignals",
];

const SUSTAINED: &[&str] = &["sentimentSustainedLevel", "sentimentSustainedWeight"];

const CONSULT: &[&str] = &[ACCEPT_DIGIT, DECLINE_DIGIT, ACCEPT_TIMEOUT, "sentimentWhisperFile"];
