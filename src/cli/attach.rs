//! `attach`: joins a live room and works until the call ends.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use url::Url;

use super::events::Events;
use super::exit::{Exit, Failure};
use super::health::HealthArgs;
use super::live::{self, Sender, open_store};
use super::raters::{CassetteArgs, authorities};
use super::secrets;
use super::settings_args::SettingsArgs;
use crate::call::report::Report;
use crate::config::secret::{SecretName, Secrets};
use crate::config::settings::Settings;
use crate::recording::recorder::Recorder;
use crate::room::{DialectName, Target};
use crate::runtime::journal::Journal;
use crate::runtime::{Attachment, Call, Ending, Host, Means, RatingPool, shutdown};
use crate::sentiment::{self, Rater};
use crate::store::StoreUrl;
use crate::telemetry::meter::Meter;
use crate::telemetry::{self, LogFormat};
use crate::tls::Authorities;
use crate::web::health::Health;

/// Join a live room, rate the caller's turns and escalate when it is time, until the call ends.
///
/// A voice platform starts one per call. Every event is one JSON line on stdout (disabled, attached, turn, unrated,
/// escalation, transfer, outcome, delivery, tool, warning, ended); logs go to stderr. SIGTERM drains: the open turn is rated, what was
/// decided is stored, and the exit code is 0.
#[derive(Debug, Args)]
#[command(after_help = "\
Secrets come from the environment, each also as …_FILE with a path:
  SIDECAR_ROOM_TOKEN       bearer token of the room; with --dialect openai the
                           API key
  SIDECAR_WEBHOOK_SECRET   signing secrets (whsec_…), several while rotating,
                           separated by spaces
  SIDECAR_SIP_PASSWORD     digest password for SIP transfers
  SIDECAR_LLM_API_KEY      bearer token of the LLM at llmUrl
  SIDECAR_LIVEKIT_API_KEY  names the secret of a LiveKit server
  SIDECAR_LIVEKIT_API_SECRET
                           makes our tokens for its rooms

Exit codes: 0 ended well, 1 something unforeseen, e.g. a file that cannot be
written, 2 usage, 5 bad cassette, 6 bad settings, 7 room refused us,
8 room lost, 9 store unusable.

Examples:
  sentiment-sidecar attach --room-url wss://rooms.example.com/v1 \\
      --room room_abc123 --agent agent.json
  sentiment-sidecar attach --dialect livekit --room-url wss://my.livekit.cloud \\
      --room call-7 --agent agent.json
  sentiment-sidecar attach --dialect openai \\
      --room-url wss://api.openai.com/v1/realtime --room rtc_abc123 \\
      --agent agent.json")]
pub struct AttachArgs {
    /// Dial the room at this WebSocket address (ws:// or wss://).
    #[arg(long, value_name = "URL", env = "SIDECAR_ROOM_URL", hide_env_values = true)]
    room_url: Url,
    /// Join the room of this name.
    #[arg(long, value_name = "NAME", env = "SIDECAR_ROOM")]
    room: String,
    /// Speak the room's wire protocol.
    #[arg(long, value_enum, default_value_t = DialectName::Native)]
    dialect: DialectName,
    /// Keep alerts and undelivered webhooks here: sqlite:///path/to/file.db or a path [default: an SQLite file in the
    /// user's state folder].
    #[arg(long, value_name = "URL", env = "SIDECAR_STORE", hide_env_values = true)]
    store: Option<StoreUrl>,
    /// Record what the room says into a file, for `replay`; a process that is started again goes on with it.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Write everything that the core takes in and puts out into a file; a process that is started again goes on with it.
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Append the answers of the LLM at llmUrl to this cassette, for `replay`; what is on it is not asked again.
    #[arg(long, value_name = "FILE")]
    record_cassette: Option<PathBuf>,
    /// Decide and record, and touch nothing: no command, no webhook, no transfer.
    #[arg(long)]
    shadow: bool,
    /// Trust these certificate authorities (PEM) for the room, the webhook and the LLM, besides the system's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Choose how log lines look. SIDECAR_LOG chooses which there are: SIDECAR_LOG=info shows each step of a transfer.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    #[command(flatten)]
    health: HealthArgs,
    // Last, as its heading would also stand over what follows.
    #[command(flatten)]
    settings: SettingsArgs,
}

/// The secrets that it uses.
const USED: [SecretName; 6] = [
    SecretName::RoomToken,
    SecretName::Webhook,
    SecretName::SipPassword,
    SecretName::LlmApiKey,
    SecretName::LivekitApiKey,
    SecretName::LivekitApiSecret,
];

/// Runs `attach`.
///
/// # Errors
/// [`Failure`] with exit code 6, 7, 8 or 9.
pub async fn run(args: AttachArgs) -> Result<Exit, Failure> {
    telemetry::init(args.log_format);
    // First of all: whoever stops the process in its first moments gets the same as later.
    let stop = shutdown::on_signal();
    shutdown::survive_file_limits();
    let settings = Arc::new(args.settings.load()?.settings);
    let secrets = secrets::load(&USED)?;
    let meter = Arc::new(Meter::new());
    let events = Events::start(Arc::clone(&meter));
    if !settings.enabled {
        events.disabled("sentimentEscalationEnabled is false");
        events.close();
        return Ok(Exit::Ok);
    }
    live::check(&settings)?;
    let authorities = authorities(args.ca_file.as_deref())?;
    let cassettes = CassetteArgs { record_cassette: args.record_cassette.clone(), ..CassetteArgs::default() };
    let embedded = RatingPool::of_machine().metered(Arc::clone(&meter)).rater(Arc::new(sentiment::embedded()));
    let raters = cassettes.live(embedded, secrets.llm_api_key.clone(), &authorities)?.metered(Arc::clone(&meter));
    let rater = raters.of(&settings)?;
    let listen = args.health.clone();
    let (means, attachment) = prepare(args, settings, secrets, rater, authorities, meter).await?;
    let health = Health::new(Arc::clone(&means.meter), means.store.clone(), stop.clone());
    let serving = listen.serve(health).await?;
    let host = Host::start(means, stop);
    let ending = host.attach(attachment, told(&events)).await;
    host.close().await;
    events.close();
    if let Some(serving) = serving {
        serving.close().await;
    }
    for llm in raters.llms() {
        tracing::info!(turns = %llm.stats(), "what came of asking the LLM");
    }
    match ending.unwrap_or(Ending::Broke) {
        Ending::Ended { .. } => Ok(Exit::Ok),
        Ending::Refused(error) if error.is_ours() => Err(Failure::new(Exit::BadSettings, error).help(REFUSED)),
        Ending::Refused(error) => {
            Err(Failure::new(Exit::RoomRefused, format!("the room refused us: {error}")).help(REFUSED))
        }
        Ending::Lost(error) => Err(Failure::new(Exit::RoomLost, format!("the room was lost: {error}"))),
        Ending::Broke => Err(Failure::new(Exit::Other, "this program broke, which is a bug; the log above says where")),
    }
}

/// Prints each report.
fn told(events: &Events) -> impl FnMut(&Call, &Report) + Send + 'static {
    let events = events.clone();
    move |_, report| events.report(report)
}

const REFUSED: &str = "check --room-url, --room and SIDECAR_ROOM_TOKEN, or, with --dialect livekit, SIDECAR_LIVEKIT_API_KEY and \
                       SIDECAR_LIVEKIT_API_SECRET; `sentiment-sidecar doctor` tries them alone";

async fn prepare(
    args: AttachArgs,
    settings: Arc<Settings>,
    secrets: Secrets,
    rater: Arc<dyn Rater>,
    authorities: Authorities,
    meter: Arc<Meter>,
) -> Result<(Means, Attachment), Failure> {
    let sender = Sender::new(&secrets, args.shadow);
    sender.check(&settings)?;
    let store = open_store(args.store).await?;
    let deliverer = sender.is_of_use(&settings).then(|| sender.deliverer(&store, authorities.clone()));
    let unwritable = |path: &PathBuf, error: String| Failure::new(Exit::Other, format!("{}: {error}", path.display()));
    let recorder = match &args.record {
        Some(path) => Some(Recorder::create(path, &args.room).map_err(|e| unwritable(path, e.to_string()))?),
        None => None,
    };
    let journal = match &args.journal {
        Some(path) => Some(Journal::create(path).map_err(|e| unwritable(path, e.to_string()))?),
        None => None,
    };
    let room = match args.dialect {
        DialectName::Native => Target::native(args.room_url, args.room, secrets.room_token.clone()),
        DialectName::Livekit => {
            let (key, caller) = (secrets::livekit_key(&secrets)?, settings.caller_identity.clone());
            Target::livekit(args.room_url, args.room, key, caller)
        }
        DialectName::Openai => {
            let (key, caller) = (secrets::openai_key(&secrets)?, secrets::caller()?);
            Target::openai(args.room_url, args.room, Some(key), caller)
        }
    };
    let means = Means { store, deliverer, sip_password: secrets.sip_password, authorities, meter };
    Ok((means, Attachment { settings, room, rater, shadow: args.shadow, recorder, journal }))
}
