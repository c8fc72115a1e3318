//! What the demo plays on: a room with a recording, a SIP phone, a webhook receiver, a store, all on loopback.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use url::Url;

use super::phone::{self, Phone, PhoneAnswer};
use super::receiver::{self, Receiver};
use crate::cli::exit::{Exit, Failure};
use crate::clock;
use crate::config::settings::{Action, ActionKind, AllowEntry, Settings, Sip, Webhook, WebhookUrl};
use crate::config::webhook_secret::WebhookSecret;
use crate::notify::Deliverer;
use crate::notify::sign::Signer;
use crate::number::E164;
use crate::recording::{CutLine, Recording};
use crate::room::Target;
use crate::room::message::{Participant, RoomMessage, capability};
use crate::room::script::{Script, Speed};
use crate::room::server::{RoomServer, ServerEvent};
use crate::runtime::{Attachment, Means};
use crate::sentiment::Rater;
use crate::sentiment::raters::Raters;
use crate::store::{Store, StoreUrl};
use crate::tls::Authorities;

/// The call that is played when none is given.
const SEED_CALL: &str = include_str!("../../../fixtures/seed-call.jsonl");

/// How long the supervisor's phone rings.
const RING: Duration = Duration::from_millis(1200);

/// How long the call goes on after its last words, so that the action can run its course, in ms of real time.
const AFTERWARDS_MS: f64 = 6_000.0;

/// How the demo is to go.
pub(super) struct Wanted {
    pub(super) action: ActionKind,
    /// How many times faster than life, for the room and for arithmetic.
    pub(super) speed: Speed,
    pub(super) factor: f64,
    pub(super) busy: bool,
    pub(super) settings: Settings,
    pub(super) raters: Raters,
}

/// Everything on loopback.
pub(super) struct Stage {
    pub(super) title: String,
    pub(super) settings: Arc<Settings>,
    pub(super) room: RoomServer,
    pub(super) room_events: mpsc::UnboundedReceiver<ServerEvent>,
    pub(super) phone: Phone,
    pub(super) receiver: Receiver,
    pub(super) store: Store,
    pub(super) participants: Vec<Participant>,
    pub(super) raters: Raters,
    rater: Arc<dyn Rater>,
    room_name: String,
    secret: WebhookSecret,
    folder: std::path::PathBuf,
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Nothing of the demo is kept; what cannot be removed is in the system's folder for such things.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Stage {
    /// Starts everything, and waits for the sidecar.
    pub(super) async fn set(file: Option<&Path>, wanted: Wanted) -> Result<Self, Failure> {
        let Wanted { action, speed, factor, busy, settings, raters } = wanted;
        let other = |error: std::io::Error| Failure::new(Exit::Other, error);
        let recording = read(file)?;
        let secret = WebhookSecret::generate().map_err(|e| Failure::new(Exit::Other, e))?;
        let receiver = receiver::start(secret.clone()).await.map_err(other)?;
        let answer = PhoneAnswer { ring: RING, status: if busy { 486 } else { 200 } };
        let phone = phone::start(answer).await.map_err(other)?;
        let room_name = recording.header.room_name.clone();
        let title = recording.header.title.clone().unwrap_or_else(|| room_name.clone());
        let script = script(recording, action, factor, &phone);
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let participants = script.welcome.participants.clone();
        let (room, room_events) = RoomServer::start(listen, script, speed, None).await.map_err(other)?;
        let settings = Arc::new(staged(settings, action, receiver.url())?);
        let rater = raters.of(&settings)?;
        let folder = std::env::temp_dir().join(format!("sentiment-sidecar-demo-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let url: StoreUrl = parse(&folder.join("store.db").display().to_string())?;
        let store = Store::open(&url).await?;
        Ok(Self {
            title,
            settings,
            room,
            room_events,
            phone,
            receiver,
            store,
            participants,
            rater,
            raters,
            room_name,
            secret,
            folder,
        })
    }

    /// The sidecar, as `attach` would have it.
    pub(super) fn attachment(&self) -> Result<(Means, Attachment), Failure> {
        let signer = Signer::new(vec![self.secret.clone()]).map_err(|e| Failure::new(Exit::Other, e))?;
        let deliverer = Deliverer::new(self.store.clone(), Some(signer), clock::system(), Authorities::default());
        let url: Url = parse(&self.room.url())?;
        let means = Means {
            store: self.store.clone(),
            deliverer: Some(Arc::new(deliverer)),
            sip_password: None,
            authorities: Authorities::default(),
            meter: Arc::default(),
        };
        let attachment = Attachment {
            settings: Arc::clone(&self.settings),
            room: Target::native(url, self.room_name.clone(), None),
            rater: Arc::clone(&self.rater),
            shadow: false,
            recorder: None,
            journal: None,
        };
        Ok((means, attachment))
    }
}

fn parse<T: std::str::FromStr>(text: &str) -> Result<T, Failure>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error| Failure::new(Exit::Other, error))
}

fn read(file: Option<&Path>) -> Result<Recording, Failure> {
    let read = match file {
        None => Recording::read(SEED_CALL.as_bytes(), "seed-call.jsonl", CutLine::Refuse),
        Some(path) => {
            let bad = |error| Failure::new(Exit::BadRecording, format!("{}: {error}", path.display()));
            let opened = std::fs::File::open(path).map_err(bad)?;
            Recording::read(std::io::BufReader::new(opened), &path.display().to_string(), CutLine::Refuse)
        }
    };
    read.map_err(|error| Failure::new(Exit::BadRecording, error))
}

/// The settings of the demo: whatever goes out goes to its own phone and receiver. When a webhook is sent, and what it
/// tells, is left as it was set.
fn staged(settings: Settings, action: ActionKind, receiver: &Url) -> Result<Settings, Failure> {
    let url: WebhookUrl = parse(receiver.as_str())?;
    let target: E164 = parse("+14155551234")?;
    let action = match action {
        ActionKind::Transfer => Action::Transfer { target },
        ActionKind::Notify => Action::Notify,
        ActionKind::Flag => Action::Flag,
    };
    let allow = vec![AllowEntry::Net(IpAddr::V4(Ipv4Addr::LOCALHOST).into())];
    let webhook = Webhook { url: Some(url), allow, targets: Vec::new(), ..settings.webhook.clone() };
    let sip = Sip { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), ..Settings::default().sip };
    Ok(Settings { enabled: true, action, webhook, sip, transfer_countries: Vec::new(), ..settings })
}

/// What the room plays: the recording up to the point where a platform acted on an escalation, because here the
/// sidecar does; the phone's dialog instead of the platform's transfer.
fn script(recording: Recording, action: ActionKind, factor: f64, phone: &Phone) -> Script {
    let mut messages: Vec<(u64, RoomMessage)> = Vec::new();
    for timed in recording.messages {
        let at_ms = timed.at.0;
        match &timed.message {
            RoomMessage::CommandResult { command_id, .. } if command_id.starts_with("say-") => {
                if action == ActionKind::Transfer {
                    messages.push((at_ms, timed.message));
                }
            }
            RoomMessage::CommandResult { .. } | RoomMessage::SessionEnded { .. } => break,
            _ => messages.push((at_ms, timed.message)),
        }
    }
    let last = messages.last().map_or(0, |(at_ms, _)| *at_ms);
    // A recording's times are whole milliseconds far below 2^53.
    let end = last + (AFTERWARDS_MS * factor) as u64;
    messages.push((end, RoomMessage::SessionEnded { seq: None, reason: "the caller's leg is gone".to_owned() }));
    for (_, message) in &mut messages {
        renumber(message);
    }
    let header = recording.header;
    let mut script = Script::new(&header.room_name, messages, header.participants, header.capabilities);
    script.welcome.capabilities.retain(|offer| offer != capability::TRANSFER);
    script.welcome.call.sip = Some(Box::new(phone.dialog()));
    script
}

/// The room numbers what it sends itself.
fn renumber(message: &mut RoomMessage) {
    match message {
        RoomMessage::Transcript(transcript) => transcript.seq = None,
        RoomMessage::TurnEnded(turn) => turn.seq = None,
        RoomMessage::ParticipantJoined { seq, .. }
        | RoomMessage::ParticipantLeft { seq, .. }
        | RoomMessage::AgentState { seq, .. }
        | RoomMessage::ToolCall { seq, .. }
        | RoomMessage::CommandResult { seq, .. }
        | RoomMessage::SessionEnded { seq, .. } => *seq = None,
        RoomMessage::Welcome(_) | RoomMessage::Ack { .. } | RoomMessage::Error(_) => {}
    }
}
