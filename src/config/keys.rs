//! The one table of keys.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::Value;

use super::grammar::{country, file_path, host, host_maybe_port, identity, model_name, realm, sentence, sip_user};
use super::link::LinkTemplate;
use super::peers::SipPeer;
use super::settings::{
    ActionKind, AllowEntry, KeepTranscripts, LlmUrl, Settings, SipTransport, TransferMode, WebhookDetail, WebhookUrl,
};
use super::shape::{Problem, Shape};
use super::targets::NotifyTarget;
use crate::number::{Digit, E164};

/// Settings while they are read: the action and its target are still apart.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) settings: Settings,
    pub(super) action: ActionKind,
    pub(super) target: Option<E164>,
}

impl Default for Draft {
    fn default() -> Self {
        let settings = Settings::default();
        Self { action: settings.action.kind(), target: None, settings }
    }
}

/// One key.
pub(super) struct Row {
    /// As in the agent document.
    pub(super) name: &'static str,
    /// What it takes.
    pub(super) shape: Shape,
    /// What it means, with its unit.
    pub(super) about: &'static str,
    set: fn(&mut Draft, &Value) -> Option<()>,
    get: fn(&Draft) -> Value,
}

impl Row {
    /// Puts a value that the shape has accepted into the draft.
    pub(super) fn set(&self, draft: &mut Draft, value: &Value) -> Result<(), Problem> {
        (self.set)(draft, value).ok_or_else(|| "it does not fit".into())
    }

    /// The value in the draft.
    pub(super) fn get(&self, draft: &Draft) -> Value {
        (self.get)(draft)
    }

    /// Its variable: `SIDECAR_` and the key in capitals.
    pub(super) fn env_name(&self) -> String {
        let mut name = super::env::PREFIX.to_owned();
        for c in self.name.chars() {
            if c.is_ascii_uppercase() {
                name.push('_');
            }
            name.push(c.to_ascii_uppercase());
        }
        name
    }
}

/// The row of a key.
pub(super) fn row(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.name == name)
}

/// A value that can be held by a setting.
trait Field: Sized {
    fn read(value: &Value) -> Option<Self>;
    fn show(&self) -> Value;
}

macro_rules! plain_fields {
    ($($type:ty => $read:expr;)+) => { $(
        impl Field for $type {
            fn read(value: &Value) -> Option<Self> {
                $read(value)
            }
            fn show(&self) -> Value {
                Value::from(self.clone())
            }
        }
    )+ };
}

plain_fields! {
    bool => Value::as_bool;
    f64 => Value::as_f64;
    u64 => Value::as_u64;
    u32 => |value: &Value| value.as_u64()?.try_into().ok();
    u8 => |value: &Value| value.as_u64()?.try_into().ok();
    String => |value: &Value| value.as_str().map(str::to_owned);
}

macro_rules! parsed_fields {
    ($($type:ty => $text:expr;)+) => { $(
        impl Field for $type {
            fn read(value: &Value) -> Option<Self> {
                value.as_str()?.parse().ok()
            }
            fn show(&self) -> Value {
                let text: fn(&$type) -> String = $text;
                Value::String(text(self))
            }
        }
    )+ };
}

parsed_fields! {
    E164 => |number| number.as_str().to_owned();
    WebhookUrl => |webhook| webhook.url().as_str().to_owned();
    LlmUrl => |llm| llm.url().as_str().to_owned();
    AllowEntry => AllowEntry::to_string;
    SipPeer => SipPeer::to_string;
    SocketAddr => SocketAddr::to_string;
    Digit => Digit::to_string;
    LinkTemplate => LinkTemplate::to_string;
}

impl Field for NotifyTarget {
    fn read(value: &Value) -> Option<Self> {
        Self::read(value).ok()
    }
    fn show(&self) -> Value {
        Self::show(self)
    }
}

impl Field for PathBuf {
    fn read(value: &Value) -> Option<Self> {
        value.as_str().map(Self::from)
    }
    fn show(&self) -> Value {
        // It came from text.
        self.to_string_lossy().into()
    }
}

macro_rules! named_fields {
    ($($type:ty { $($variant:ident = $name:literal),+ })+) => { $(
        impl Field for $type {
            fn read(value: &Value) -> Option<Self> {
                match value.as_str()? {
                    $($name => Some(Self::$variant),)+
                    _ => None,
                }
            }
            fn show(&self) -> Value {
                match self {
                    $(Self::$variant => $name.into(),)+
                }
            }
        }
    )+ };
}

named_fields! {
    ActionKind { Transfer = "transfer", Notify = "notify", Flag = "flag" }
    WebhookDetail { Seed = "seed", Full = "full" }
    SipTransport { Udp = "udp", Tcp = "tcp", Tls = "tls" }
    TransferMode { Blind = "blind", Attended = "attended" }
    KeepTranscripts { None = "none", Escalated = "escalated", All = "all" }
}

impl<T: Field> Field for Option<T> {
    fn read(value: &Value) -> Option<Self> {
        if value.is_null() { Some(None) } else { T::read(value).map(Some) }
    }
    fn show(&self) -> Value {
        self.as_ref().map_or(Value::Null, T::show)
    }
}

impl<T: Field> Field for Vec<T> {
    fn read(value: &Value) -> Option<Self> {
        value.as_array()?.iter().map(T::read).collect()
    }
    fn show(&self) -> Value {
        self.iter().map(T::show).collect()
    }
}

macro_rules! rows {
    ($($name:literal, $($at:ident).+, $shape:expr, $about:literal;)+) => {
        &[$(Row {
            name: $name,
            shape: $shape,
            about: $about,
            set: |draft, value| {
                draft.$($at).+ = Field::read(value)?;
                Some(())
            },
            get: |draft| Field::show(&draft.$($at).+),
        },)+]
    };
}

const fn ms(min: u64, max: u64) -> Shape {
    Shape::Integer { min, max }
}

const UNIT: Shape = Shape::Number { min: 0.0, max: 1.0 };
const VALENCE: Shape = Shape::Number { min: -1.0, max: 1.0 };
const SENTENCE: Shape = Shape::Text { form: "up to 1000 characters on one line", check: sentence };

const KEY: Shape = Shape::Choice(&["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "#"]);

/// How many of [`ROWS`] are the seed's own keys; they stand first.
pub(super) const SEED_KEYS: usize = 6;

/// Every key, the seed's six first.
pub(super) static ROWS: &[Row] = rows! {
    "sentimentEscalationEnabled", settings.enabled, Shape::Boolean,
        "Whether live calls are monitored.";
    "sentimentThreshold", settings.threshold, Shape::Integer { min: 1, max: 10 },
        "A caller turn rated strictly below it (1-10) is low.";
    "sentimentWindowTurns", settings.window, Shape::Integer { min: 1, max: 100 },
        "So many consecutive low turns escalate.";
    "sentimentEscalationAction", action, Shape::Choice(&["transfer", "notify", "flag"]),
        "What an escalation does: transfer the caller, notify supervisors by webhook, or flag the session for review.";
    "sentimentEscalationTarget", target,
        Shape::Optional {
            form: "+ and 7 to 15 digits, e.g. +14155551234, and no premium-rate or shared-cost number",
            check: phone,
        },
        "Phone number (E.164) that a transfer calls.";
    "sentimentNotifyWebhook", settings.webhook.url,
        Shape::Optional { form: "https://host/path, or http:// to a host in sentimentWebhookAllow", check: webhook },
        "Where alerts are sent: for notify, after a failed transfer, and always with sentimentNotifyAlways.";
    "sentimentWebhookDetail", settings.webhook.detail, Shape::Choice(&["seed", "full"]),
        "How much the webhook tells: the five fields of sentiment.alert, or also severity, reason, history and outcome.";
    "sentimentWebhookAllow", settings.webhook.allow,
        Shape::List { form: "an address, a subnet or a host name", check: allow },
        "Hosts that webhooks may reach although they are private, and over plain http.";
    "sentimentNotifyAlways", settings.webhook.always, Shape::Boolean,
        "Whether every escalation sends the webhook, whatever the action.";
    "sentimentWebhookTimeoutMs", settings.webhook.timeout_ms, ms(100, 60_000),
        "How long one delivery attempt may take, in milliseconds.";
    "sentimentNotifyTargets", settings.webhook.targets, Shape::Targets,
        "Where alerts go as well, each in the format of who reads it.";
    "sentimentAlertLink", settings.webhook.link,
        Shape::Optional { form: "https://host/path with places such as {alert_id}", check: link },
        "Link in an alert, to where the call is looked after.";
    "sentimentCountFillerTurns", settings.count_filler_turns, Shape::Boolean,
        "Whether turns without feeling (\"yeah\", \"one two three\") count or reset.";
    "turnSilenceMs", settings.turn_silence_ms, ms(50, 60_000),
        "Silence that closes a turn where the room has no turn events, in milliseconds.";
    "sentimentCallerIdentity", settings.caller_identity,
        Shape::Optional { form: "1 to 256 characters on one line", check: identity },
        "Who is the caller in a LiveKit room, by identity; otherwise the first phone, or else whoever is no agent.";
    "sentimentRaterDeadlineMs", settings.rater_deadline_ms, ms(10, 60_000),
        "A turn that is not rated by then is unrated, in milliseconds.";
    "sentimentSustainedRule", settings.sustained.enabled, Shape::Boolean,
        "Whether a low running mean of the ratings escalates too.";
    "sentimentSustainedLevel", settings.sustained.level, Shape::Number { min: 1.0, max: 10.0 },
        "A running mean (1-10) strictly below it escalates, from the second turn on.";
    "sentimentSustainedWeight", settings.sustained.weight, Shape::Share,
        "How much of the way to each new rating the running mean goes.";
    "sentimentHumanRequests", settings.human_requests, Shape::Integer { min: 0, max: 100 },
        "So many caller turns that ask for a human escalate; 0 is never.";
    "sentimentTrajectoryRules", settings.trajectory.enabled, Shape::Boolean,
        "Whether frustration, valence and trend can escalate too.";
    "sentimentCriticalFrustration", settings.trajectory.critical_frustration, UNIT,
        "Frustration (0-1) at or above which an escalation is critical and immediate.";
    "sentimentHighFrustration", settings.trajectory.high_frustration, UNIT,
        "Frustration (0-1) at or above which a turn is a medium signal.";
    "sentimentDecliningValence", settings.trajectory.declining_valence, VALENCE,
        "Valence (-1 to 1) below which a declining call is a high signal.";
    "sentimentExtremeValence", settings.trajectory.extreme_valence, VALENCE,
        "Valence (-1 to 1) below which a turn is a high signal.";
    "sentimentTrendDelta", settings.trajectory.trend_delta, Shape::Number { min: 0.0, max: 2.0 },
        "Change of valence over the last three ratings that makes a trend.";
    "sentimentTrajectorySignals", settings.trajectory.signals, Shape::Integer { min: 1, max: 100 },
        "Consecutive signals that escalate, except for critical ones.";
    "sentimentHandoverSentence", settings.handover_sentence, SENTENCE,
        "What the agent says before a transfer; empty says nothing.";
    "sentimentFallbackSentence", settings.fallback_sentence, SENTENCE,
        "What the agent says after a failed transfer; empty says nothing.";
    "sentimentSayDeadlineMs", settings.say_deadline_ms, ms(0, 60_000),
        "How long the handover sentence may take before the transfer goes on, in milliseconds.";
    "sentimentTransferDeadlineMs", settings.transfer_deadline_ms, ms(100, 600_000),
        "Without a final result by then a transfer's outcome is unknown, in milliseconds.";
    "sentimentRingingTimeoutMs", settings.ringing_timeout_ms, ms(50, 300_000),
        "How long the human's phone may ring, in milliseconds; shorter than sentimentTransferDeadlineMs.";
    "sentimentTransferHourlyCap", settings.transfer_hourly_cap, Shape::Integer { min: 0, max: 1_000_000 },
        "So many transfers may all processes of a host begin in an hour; 0 sets no cap.";
    "sentimentTransferCountries", settings.transfer_countries,
        Shape::List { form: "a country code without +, e.g. 1 or 44", check: country },
        "Country codes that a target may have; empty allows all.";
    "sentimentKeepTranscripts", settings.keep_transcripts, Shape::Choice(&["none", "escalated", "all"]),
        "Of which calls the transcript is kept in the store, numbers masked.";
    "sentimentTonePositive", settings.tones.positive, SENTENCE,
        "Tone instruction for the agent while the caller is positive.";
    "sentimentToneNeutral", settings.tones.neutral, SENTENCE,
        "Tone instruction for the agent while the caller is neutral.";
    "sentimentToneNegative", settings.tones.negative, SENTENCE,
        "Tone instruction for the agent while the caller is negative.";
    "sentimentTransferMode", settings.sip.mode, Shape::Choice(&["blind", "attended"]),
        "Whether the human is asked first over SIP (attended), or gets the caller at once.";
    "sentimentAcceptDigit", settings.sip.consult.accept_digit, KEY,
        "Key that the human presses to take the caller in an attended transfer.";
    "sentimentDeclineDigit", settings.sip.consult.decline_digit, KEY,
        "Key that the human presses not to take the caller.";
    "sentimentAcceptTimeoutMs", settings.sip.consult.accept_timeout_ms, ms(1_000, 120_000),
        "How long the human may take to press a key after picking up, in milliseconds.";
    "sentimentWhisperFile", settings.sip.consult.whisper_file,
        Shape::Optional { form: "a path without control characters", check: file_path },
        "WAV file (8000 Hz, one channel) that the human hears; otherwise built-in words.";
    "sentimentSipTransport", settings.sip.transport, Shape::Choice(&["udp", "tcp", "tls"]),
        "Transport of SIP requests where neither the peer's URI nor DNS says; with tls nothing else is used.";
    "sentimentSipListen", settings.sip.listen,
        Shape::Text { form: "address:port, e.g. 0.0.0.0:0", check: socket_address },
        "Where SIP requests such as NOTIFY are taken; port 0 picks a free one.";
    "sentimentSipProxy", settings.sip.proxy,
        Shape::Optional { form: "a host, or host:port", check: host_maybe_port },
        "Outbound SIP proxy; without a port DNS says where it is (RFC 3263).";
    "sentimentSipPeers", settings.sip.peers,
        Shape::List { form: "an address, address:port or a subnet", check: sip_peer },
        "Further addresses that a SIP peer speaks from; otherwise only those that the dialog names, with their ports.";
    "sentimentSipCaFile", settings.sip.ca_file, Shape::Optional { form: "a path without control characters", check: file_path },
        "Certificate authorities to trust for SIP over TLS, besides the system's.";
    "sentimentSipNameserver", settings.sip.nameserver,
        Shape::Optional { form: "address:port, e.g. 10.0.0.2:53", check: socket_address },
        "Name server that finds SIP peers; otherwise the system's.";
    "sentimentSipUser", settings.sip.user,
        Shape::Optional { form: "1 to 64 letters, digits or -_.!~*'+", check: sip_user },
        "User name for SIP authentication and From.";
    "sentimentSipRealm", settings.sip.realm,
        Shape::Optional { form: "1 to 128 visible ASCII characters or spaces, without quotes", check: realm },
        "The one realm that gets our credentials; without it only challenges that come by sentimentSipProxy are answered.";
    "sentimentSipDomain", settings.sip.domain, Shape::Optional { form: "a host", check: host },
        "Our SIP domain in From, where the dialog does not say it.";
    "sentimentSipTargetDomain", settings.sip.target_domain,
        Shape::Optional { form: "a host, or host:port", check: host_maybe_port },
        "Makes Refer-To sip:+…@domain;user=phone; otherwise it is tel:+….";
    "llmUrl", settings.llm.url,
        Shape::Optional { form: "https://host/v1, or http:// to localhost or a private address", check: llm },
        "Base address of an OpenAI-compatible endpoint that rates turns too; without one no LLM is asked.";
    "llmModel", settings.llm.model, Shape::Text { form: "1 to 128 visible ASCII characters", check: model_name },
        "Model that the LLM endpoint is asked for.";
    "llmDeadlineMs", settings.llm.deadline_ms, ms(10, 10_000),
        "How long a turn's rating waits for the LLM, in milliseconds; shorter than sentimentRaterDeadlineMs.";
    "llmMaxInFlight", settings.llm.max_in_flight, Shape::Integer { min: 1, max: 64 },
        "So many turns may be before the LLM at a time; further ones are rated without it.";
};

fn phone(text: &str) -> Result<(), Problem> {
    let number = text.parse::<E164>().map_err(|e| e.problem().to_owned())?;
    match number.costly() {
        None => Ok(()),
        Some(costly) => Err(format!("it is {}, and every call to it costs", costly.name())),
    }
}

fn webhook(text: &str) -> Result<(), Problem> {
    one_word(text)?;
    text.parse::<WebhookUrl>().map(drop).map_err(|e| e.problem().into())
}

fn link(text: &str) -> Result<(), Problem> {
    text.parse::<LinkTemplate>().map(drop).map_err(|e| e.problem().into())
}

fn llm(text: &str) -> Result<(), Problem> {
    one_word(text)?;
    text.parse::<LlmUrl>().map(drop).map_err(|e| e.problem().into())
}

/// `Url` drops line breaks silently; text that holds one was not meant as this URL.
fn one_word(text: &str) -> Result<(), Problem> {
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("it holds white space or a control character".into());
    }
    Ok(())
}

fn allow(text: &str) -> Result<(), Problem> {
    text.parse::<AllowEntry>().map(drop).map_err(|e| e.problem().into())
}

fn sip_peer(text: &str) -> Result<(), Problem> {
    text.parse::<SipPeer>().map(drop).map_err(|e| e.problem().into())
}

fn socket_address(text: &str) -> Result<(), Problem> {
    text.parse::<SocketAddr>().map(drop).map_err(|_| "it is no address with a port".into())
}
