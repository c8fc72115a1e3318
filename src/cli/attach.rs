//! `attach`: joins a live room and works until the call ends.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::json;
use url::Url;

use super::exit::{Exit, Failure};
use super::raters::{CassetteArgs, Live};
use super::secrets;
use super::settings_args::SettingsArgs;
use crate::call::report::Report;
use crate::config::secret::Secrets;
use crate::config::settings::{ActionKind, Settings, TransferMode, WebhookUrl};
use crate::notify::guard::Guard;
use crate::notify::sign::{NoSigner, Signer};
use crate::notify::{Deliverer, clock};
use crate::replay::recorder::Recorder;
use crate::room::native::RoomConfig;
use crate::runtime::edges::Workers;
use crate::runtime::journal::Journal;
use crate::runtime::{Attachment, Ending, shutdown};
use crate::sentiment::Rater;
use crate::store::{Store, StoreUrl};
use crate::telemetry::shown::json_line;
use crate::telemetry::{self, LogFormat};
use crate::transfer::sip;
use crate::transfer::sip::media::whisper::{BadWhisper, Whisper};

/// Join a live room, rate the caller's turns and escalate when it is time, until the call ends.
///
/// A voice platform starts one per call. Every event is one JSON line on stdout (disabled, attached, turn, unrated,
/// escalation, transfer, outcome, delivery, tool, warning, ended); logs go to stderr. SIGTERM drains: the open turn is rated, what was
/// decided is stored, and the exit code is 0.
#[derive(Debug, Args)]
#[command(after_help = "\
Secrets come from the environment, each also as …_FILE with a path:
  SIDECAR_ROOM_TOKEN       bearer token of the room
  SIDECAR_WEBHOOK_SECRET   signing secrets (whsec_…), several while rotating,
                           separated by spaces
  SIDECAR_SIP_PASSWORD     digest password for SIP transfers
  SIDECAR_LLM_API_KEY      bearer token of the LLM at llmUrl

Exit codes: 0 ended well, 2 usage, 6 bad settings, 7 room refused us,
8 room lost, 9 store unusable.

Example:
  sentiment-sidecar attach --room-url wss://rooms.example.com/v1 \\
      --room room_abc123 --agent agent.json")]
pub struct AttachArgs {
    /// Dial the room at this WebSocket address (ws:// or wss://).
    #[arg(long, value_name = "URL", env = "SIDECAR_ROOM_URL", hide_env_values = true)]
    room_url: Url,
    /// Join the room of this name.
    #[arg(long, value_name = "NAME", env = "SIDECAR_ROOM")]
    room: String,
    /// Speak the room's wire protocol.
    #[arg(long, value_enum, default_value_t = Dialect::Native)]
    dialect: Dialect,
    /// Keep alerts and undelivered webhooks here: sqlite:///path/to/file.db or a path [default: an SQLite file in the
    /// user's state folder].
    #[arg(long, value_name = "URL", env = "SIDECAR_STORE", hide_env_values = true)]
    store: Option<StoreUrl>,
    /// Record what the room says into a new file, for `replay`.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Write everything that the core takes in and puts out into a new file.
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Append the answers of the LLM at llmUrl to this cassette, for `replay`; what is on it is not asked again.
    #[arg(long, value_name = "FILE")]
    record_cassette: Option<PathBuf>,
    /// Decide and record, and touch nothing: no command, no webhook, no transfer.
    #[arg(long)]
    shadow: bool,
    /// Trust these certificate authorities (PEM) for the room, besides the system's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Choose how log lines look. SIDECAR_LOG chooses which there are: SIDECAR_LOG=info shows each step of a transfer.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    // Last, as its heading would also stand over what follows.
    #[command(flatten)]
    settings: SettingsArgs,
}

/// The dialects of rooms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Dialect {
    /// sentiment-sidecar.room.v1, described by `sentiment-sidecar schema asyncapi`.
    Native,
}

/// Prints one event; a platform that no longer reads does not stop the call.
fn print(report: &impl serde::Serialize) {
    if let Ok(line) = json_line(report) {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
    }
}

/// Runs `attach`.
///
/// # Errors
/// [`Failure`] with exit code 6, 7, 8 or 9.
pub async fn run(args: AttachArgs) -> Result<Exit, Failure> {
    telemetry::init(args.log_format);
    let settings = Arc::new(args.settings.load()?.settings);
    let secrets = secrets::load()?;
    if !settings.enabled {
        print(&json!({"type": "disabled", "reason": "sentimentEscalationEnabled is false"}));
        return Ok(Exit::Ok);
    }
    whisper(&settings)?;
    let stop = shutdown::on_signal();
    let cassettes = CassetteArgs { record_cassette: args.record_cassette.clone(), llm_cassette: None };
    let Live { rater, llm } = Live::new(&settings, secrets.llm_api_key.as_ref(), &cassettes)?;
    let attachment = prepare(args, settings, secrets, rater).await?;
    let ending = attachment.run(|report: &Report| print(report), stop).await;
    if let Some(llm) = llm {
        tracing::info!(turns = %llm.stats(), "what came of asking the LLM");
    }
    match ending {
        Ending::Ended { .. } => Ok(Exit::Ok),
        Ending::Refused(error) => {
            Err(Failure::new(Exit::RoomRefused, format!("the room refused us: {error}")).help(REFUSED))
        }
        Ending::Lost(error) => Err(Failure::new(Exit::RoomLost, format!("the room was lost: {error}"))),
    }
}

const REFUSED: &str = "check --room-url, --room and SIDECAR_ROOM_TOKEN; `sentiment-sidecar doctor` tries them alone";

async fn prepare(
    args: AttachArgs,
    settings: Arc<Settings>,
    secrets: Secrets,
    rater: Arc<dyn Rater>,
) -> Result<Attachment, Failure> {
    if settings.action.kind() == ActionKind::Transfer {
        sip::check_settings(&settings.sip).map_err(|error| Failure::new(Exit::BadSettings, error))?;
    }
    webhook(&settings)?;
    let store = open_store(args.store).await?;
    let deliverer = deliverer(&settings, &secrets, &store, args.shadow)?;
    let unwritable = |path: &PathBuf, error: String| Failure::new(Exit::Other, format!("{}: {error}", path.display()));
    let recorder = match &args.record {
        Some(path) => Some(Recorder::create(path, &args.room).map_err(|e| unwritable(path, e.to_string()))?),
        None => None,
    };
    let journal = match &args.journal {
        Some(path) => Some(Journal::create(path).map_err(|e| unwritable(path, e.to_string()))?),
        None => None,
    };
    let mut room = RoomConfig::new(args.room_url, args.room);
    room.token = secrets.room_token;
    room.ca_file = args.ca_file;
    let Dialect::Native = args.dialect;
    Ok(Attachment {
        settings,
        room,
        workers: Workers { rater, store, deliverer, sip_password: secrets.sip_password },
        shadow: args.shadow,
        recorder,
        journal,
    })
}

/// Opens the store, by default the user's.
pub(super) async fn open_store(url: Option<StoreUrl>) -> Result<Store, Failure> {
    let url = StoreUrl::or_of_user(url).map_err(|e| Failure::new(Exit::StoreUnusable, e))?;
    Ok(Store::open(&url).await?)
}

/// A whisper that cannot be played is refused at the start, not when a human listens.
fn whisper(settings: &Settings) -> Result<(), Failure> {
    match &settings.sip.consult.whisper_file {
        Some(file) if settings.sip.mode == TransferMode::Attended => {
            Whisper::from_file(file).map(drop).map_err(|e| Failure::new(Exit::BadSettings, e).help(BadWhisper::MEND))
        }
        _ => Ok(()),
    }
}

/// An address that would be refused when the alert is due is refused at the start. Where a name leads is seen then.
fn webhook(settings: &Settings) -> Result<(), Failure> {
    let Some(url) = settings.webhook.url.as_ref().map(WebhookUrl::url) else { return Ok(()) };
    Guard::new(url, &settings.webhook.allow).check(url).map_err(|refusal| {
        Failure::new(Exit::BadSettings, format!("sentimentNotifyWebhook cannot be used: {refusal}"))
            .help("sentiment-sidecar doctor tries it")
    })
}

/// The sender of webhooks. A webhook without a signing secret is refused at the start, not when the alert is due.
fn deliverer(
    settings: &Settings,
    secrets: &Secrets,
    store: &Store,
    shadow: bool,
) -> Result<Option<Arc<Deliverer>>, Failure> {
    match Signer::new(secrets.webhook.clone()) {
        Ok(signer) => Ok(Some(Arc::new(Deliverer::new(store.clone(), signer, clock::system())))),
        Err(NoSigner) if settings.webhook.url.is_none() || shadow => Ok(None),
        Err(error) => Err(Failure::new(Exit::BadSettings, error).help(NoSigner::MEND)),
    }
}
