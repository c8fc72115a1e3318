//! What can be set: the seed's six keys and ours. Values here are already checked; `config::load` reads them.

use std::fmt;
use std::path::PathBuf;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::link::LinkTemplate;
pub use super::llm_url::{LlmUrl, NotAnLlm};
use super::peers::SipPeer;
use super::targets::NotifyTarget;
pub use super::webhook::{NotAWebhook, WebhookDetail, WebhookUrl};
use crate::number::{Digit, E164};

/// How long a human's phone may ring, in ms, where nobody says otherwise.
pub const DEFAULT_RINGING_TIMEOUT_MS: u64 = 30_000;

/// What the caller is told after a failed transfer, where nobody says otherwise.
pub const DEFAULT_FALLBACK: &str = "I'm sorry, I could not reach a supervisor just now. I have let the team know about \
                                    your call, and I'll keep helping you until they get back to you.";

/// What an escalation does, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActionKind {
    /// Transfer the caller to a human.
    Transfer,
    /// Tell supervisors by webhook.
    Notify,
    /// Mark the session for review.
    Flag,
}

impl ActionKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Transfer, Self::Notify, Self::Flag];

    /// The action's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Transfer => "transfer",
            Self::Notify => "notify",
            Self::Flag => "flag",
        }
    }
}

/// What an escalation does, with what it needs: a transfer has its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Transfer the caller to this number.
    Transfer {
        /// `sentimentEscalationTarget`.
        target: E164,
    },
    /// Send the alert to where `Settings::webhook` says, which is somewhere.
    Notify,
    /// Mark the session for review.
    Flag,
}

impl Action {
    /// The action's name.
    #[must_use]
    pub fn kind(&self) -> ActionKind {
        match self {
            Self::Transfer { .. } => ActionKind::Transfer,
            Self::Notify => ActionKind::Notify,
            Self::Flag => ActionKind::Flag,
        }
    }
}

/// One entry of `sentimentWebhookAllow`: a host or subnet that webhooks may reach although it is private, and over
/// plain `http`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowEntry {
    /// An address or subnet.
    Net(IpNet),
    /// A host name, compared without case; it allows whatever addresses the name resolves to.
    Host(String),
}

/// Of which calls the transcript is kept in the store, for the pages and labels that are made of it. With `none` no word is
/// shown of calls in progress either.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KeepTranscripts {
    /// Of none.
    None,
    /// Of those that escalated.
    #[default]
    Escalated,
    /// Of all.
    All,
}

/// Webhook settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Webhook {
    /// `sentimentNotifyWebhook`.
    pub url: Option<WebhookUrl>,
    /// `sentimentWebhookDetail`: `seed` or `full`.
    pub detail: WebhookDetail,
    /// `sentimentWebhookAllow`.
    pub allow: Vec<AllowEntry>,
    /// `sentimentNotifyAlways`: every escalation sends it.
    pub always: bool,
    /// `sentimentWebhookTimeoutMs` (10000): how long one attempt may take.
    pub timeout_ms: u64,
    /// `sentimentNotifyTargets`: where alerts go as well, each in its own format.
    pub targets: Vec<NotifyTarget>,
    /// `sentimentAlertLink`: the link in an alert.
    pub link: Option<LinkTemplate>,
}

impl Webhook {
    /// Whether an alert goes anywhere.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.url.is_some() || !self.targets.is_empty()
    }

    /// Whether something that is sent has to be signed.
    #[must_use]
    pub fn needs_signature(&self) -> bool {
        self.url.is_some() || self.targets.iter().any(|target| target.format.is_signed())
    }
}

/// The seed's trajectory rules, on when `sentimentTrajectoryRules` is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trajectory {
    /// `sentimentTrajectoryRules`.
    pub enabled: bool,
    /// `sentimentCriticalFrustration` (0.9): at or above is critical, at once.
    pub critical_frustration: f64,
    /// `sentimentHighFrustration` (0.75): at or above is medium.
    pub high_frustration: f64,
    /// `sentimentDecliningValence` (-0.6): below and declining is high.
    pub declining_valence: f64,
    /// `sentimentExtremeValence` (-0.8): below is high.
    pub extreme_valence: f64,
    /// `sentimentTrendDelta` (0.3): valence change over the last three ratings that makes a trend.
    pub trend_delta: f64,
    /// `sentimentTrajectorySignals` (2): consecutive signals needed, except for critical.
    pub signals: u32,
}

/// The rule on the running mean of the ratings, on when `sentimentSustainedRule` is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sustained {
    /// `sentimentSustainedRule` (false).
    pub enabled: bool,
    /// `sentimentSustainedLevel` (3), 1 to 10: a mean below it escalates.
    pub level: f64,
    /// `sentimentSustainedWeight` (0.4), above 0 and at most 1: how much of the way to a new rating the mean goes.
    pub weight: f64,
}

/// `tone` instructions by label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tones {
    /// `sentimentTonePositive`.
    pub positive: String,
    /// `sentimentToneNeutral`.
    pub neutral: String,
    /// `sentimentToneNegative`.
    pub negative: String,
}

/// Transport of SIP requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SipTransport {
    /// UDP (RFC 3261 section 18).
    #[default]
    Udp,
    /// TCP.
    Tcp,
    /// TLS over TCP; the peer's certificate is verified.
    Tls,
}

impl SipTransport {
    /// The transport's name as in a URI's `transport` parameter.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }
}

/// How the human is brought in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TransferMode {
    /// The caller is sent to them at once.
    #[default]
    Blind,
    /// They are called and asked first.
    Attended,
}

/// How the human is asked in an attended transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consult {
    /// `sentimentAcceptDigit` (1): the key that takes the caller.
    pub accept_digit: Digit,
    /// `sentimentDeclineDigit` (2): the key that does not.
    pub decline_digit: Digit,
    /// `sentimentAcceptTimeoutMs` (12000): how long the human may take to press one, from the answer on.
    pub accept_timeout_ms: u64,
    /// `sentimentWhisperFile`: a WAV file that the human hears; otherwise built-in words say how upset the caller is and
    /// which keys to press.
    pub whisper_file: Option<PathBuf>,
}

/// SIP settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sip {
    /// `sentimentTransferMode`: `blind` or `attended`.
    pub mode: TransferMode,
    /// The attended transfer.
    pub consult: Consult,
    /// `sentimentSipTransport`: `udp`, `tcp` or `tls`, where neither the peer's URI nor DNS says; with `tls` nothing
    /// else is used.
    pub transport: SipTransport,
    /// `sentimentSipListen` (`0.0.0.0:0`): where we listen, for NOTIFY; port 0 picks a free one.
    pub listen: std::net::SocketAddr,
    /// `sentimentSipProxy`: `host` or `host:port` of an outbound proxy; otherwise requests go to the dialog's route set
    /// or remote target.
    pub proxy: Option<String>,
    /// `sentimentSipPeers`: addresses that a peer speaks from beside those that the dialog names.
    pub peers: Vec<SipPeer>,
    /// `sentimentSipCaFile`: certificate authorities (PEM) to trust for TLS, besides the system's.
    pub ca_file: Option<PathBuf>,
    /// `sentimentSipNameserver`: the name server to ask; otherwise the system's.
    pub nameserver: Option<std::net::SocketAddr>,
    /// `sentimentSipUser`: user name for digest and the From of out-of-dialog requests.
    pub user: Option<String>,
    /// `sentimentSipRealm`: the one realm that gets our credentials; without it only challenges that come by
    /// `sentimentSipProxy` are answered.
    pub realm: Option<String>,
    /// `sentimentSipDomain`: our domain in From, where the dialog does not say it.
    pub domain: Option<String>,
    /// `sentimentSipTargetDomain`: Refer-To becomes `sip:+…@domain;user=phone`; otherwise `tel:+…`. In an attended
    /// transfer the human is called there; otherwise at `sentimentSipProxy`.
    pub target_domain: Option<String>,
}

/// Settings of the LLM rater.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Llm {
    /// `llmUrl`: base address of an OpenAI-compatible endpoint; without one no LLM is asked.
    pub url: Option<LlmUrl>,
    /// `llmModel` (`gpt-4o-mini`).
    pub model: String,
    /// `llmDeadlineMs` (400): a turn's rating waits so long for the LLM, and no longer.
    pub deadline_ms: u64,
    /// `llmMaxInFlight` (4): so many questions may be open at a time; further turns are not asked about.
    pub max_in_flight: u32,
}

/// Everything that can be set, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// `sentimentEscalationEnabled` (false).
    pub enabled: bool,
    /// `sentimentThreshold` (3), 1 to 10: a turn strictly below it is low.
    pub threshold: u8,
    /// `sentimentWindowTurns` (3), 1 to 100: so many consecutive low turns escalate.
    pub window: u32,
    /// `sentimentEscalationAction` (flag), with `sentimentEscalationTarget` or `sentimentNotifyWebhook`.
    pub action: Action,
    /// The webhook and how it is sent.
    pub webhook: Webhook,
    /// `sentimentCountFillerTurns` (false).
    pub count_filler_turns: bool,
    /// The rule on the running mean.
    pub sustained: Sustained,
    /// `sentimentHumanRequests` (0): so many turns that ask for a human escalate; 0 is never.
    pub human_requests: u32,
    /// The trajectory rules.
    pub trajectory: Trajectory,
    /// `turnSilenceMs` (1200): a turn closes after so much silence, where the room has no turn events.
    pub turn_silence_ms: u64,
    /// `sentimentCallerIdentity`: the caller's identity, in rooms that do not say who of those in it is the caller.
    pub caller_identity: Option<String>,
    /// `sentimentRaterDeadlineMs` (2000): a turn that is not rated by then is unrated.
    pub rater_deadline_ms: u64,
    /// `sentimentHandoverSentence`: said before a transfer; empty says nothing.
    pub handover_sentence: String,
    /// `sentimentFallbackSentence`: said after a failed transfer; empty says nothing.
    pub fallback_sentence: String,
    /// `sentimentSayDeadlineMs` (8000): how long the handover sentence may take before the transfer goes on anyway.
    pub say_deadline_ms: u64,
    /// `sentimentTransferDeadlineMs` (45000): without a final result by then the outcome is `unknown`.
    pub transfer_deadline_ms: u64,
    /// `sentimentRingingTimeoutMs` (30000): how long the human's phone may ring.
    pub ringing_timeout_ms: u64,
    /// `sentimentTransferHourlyCap` (1000): so many transfers may all processes of a host begin in an hour; 0 sets no cap.
    pub transfer_hourly_cap: u32,
    /// `sentimentTransferCountries`: country codes (`1`, `44`) that a target may have; empty allows all.
    pub transfer_countries: Vec<String>,
    /// `sentimentKeepTranscripts` (escalated): of which calls the transcript is kept in the store.
    pub keep_transcripts: KeepTranscripts,
    /// The tone instructions.
    pub tones: Tones,
    /// SIP.
    pub sip: Sip,
    /// The LLM rater.
    pub llm: Llm,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: false,
            threshold: 3,
            window: 3,
            action: Action::Flag,
            webhook: Webhook {
                url: None,
                detail: WebhookDetail::Seed,
                allow: Vec::new(),
                always: false,
                timeout_ms: 10_000,
                targets: Vec::new(),
                link: None,
            },
            count_filler_turns: false,
            sustained: Sustained { enabled: false, level: 3.0, weight: 0.4 },
            human_requests: 0,
            trajectory: Trajectory {
                enabled: false,
                critical_frustration: 0.9,
                high_frustration: 0.75,
                declining_valence: -0.6,
                extreme_valence: -0.8,
                trend_delta: 0.3,
                signals: 2,
            },
            turn_silence_ms: 1200,
            caller_identity: None,
            rater_deadline_ms: 2000,
            handover_sentence:
                "I completely understand your frustration. Let me connect you with a supervisor who can \
                                help resolve this right away."
                    .to_owned(),
            fallback_sentence: DEFAULT_FALLBACK.to_owned(),
            say_deadline_ms: 8_000,
            transfer_deadline_ms: 45_000,
            ringing_timeout_ms: DEFAULT_RINGING_TIMEOUT_MS,
            transfer_hourly_cap: 1_000,
            transfer_countries: Vec::new(),
            keep_transcripts: KeepTranscripts::Escalated,
            tones: Tones {
                positive: "Be friendly and efficient.".to_owned(),
                neutral: "Be helpful and clear.".to_owned(),
                negative:
                    "The customer is frustrated. Acknowledge their frustration, apologize for the inconvenience, \
                           and focus on resolving their issue quickly. Do not use scripted phrases."
                        .to_owned(),
            },
            sip: Sip {
                mode: TransferMode::Blind,
                consult: Consult {
                    accept_digit: Digit::ONE,
                    decline_digit: Digit::TWO,
                    accept_timeout_ms: 12_000,
                    whisper_file: None,
                },
                transport: SipTransport::Udp,
                listen: std::net::SocketAddr::from(([0, 0, 0, 0], 0)),
                proxy: None,
                peers: Vec::new(),
                ca_file: None,
                nameserver: None,
                user: None,
                realm: None,
                domain: None,
                target_domain: None,
            },
            llm: Llm { url: None, model: "gpt-4o-mini".to_owned(), deadline_ms: 400, max_in_flight: 4 },
        }
    }
}

impl fmt::Display for ActionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
