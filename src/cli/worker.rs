//! `worker`: serves many live calls in one process, as a dispatcher gives them out.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use url::Url;

use super::events::Events;
use super::exit::{Exit, Failure};
use super::health::listen_anyway;
use super::live::{self, Sender, open_store};
use super::raters::{CassetteArgs, authorities};
use super::secrets;
use super::settings_args::{SettingsArgs, wrong};
use crate::call::report::Report;
use crate::config::Loaded;
use crate::config::per_call::PerCall;
use crate::config::secret::SecretName;
use crate::config::settings::Settings;
use crate::room::Target;
use crate::room::dispatch::Job;
use crate::room::error::RoomError;
use crate::room::livekit::agent::{AGENT_NAME, Registration, register};
use crate::room::livekit::token::Key;
use crate::runtime::worker::{Limits, Listener, News, Prepared, Preparing, Worker, WorkerState};
use crate::runtime::{Attachment, Call, Host, Means, RatingPool, shutdown};
use crate::sentiment;
use crate::sentiment::raters::Raters;
use crate::store::StoreUrl;
use crate::telemetry::meter::Meter;
use crate::telemetry::{self, LogFormat};
use crate::web::health::Health;

/// Serve many live calls in one process, as LiveKit's dispatcher of agents gives them out.
///
/// Registers under an agent name of its own, and takes the calls that are dispatched to that name; calls of a worker that was
/// killed are taken over by the others. Every event is one JSON line on stdout, as `attach` writes them, with its room and
/// session; logs go to stderr. SIGTERM takes no more calls and waits for the end of those that there are, however long they
/// last; a second SIGTERM ends them at once. The exit code is then 0.
#[derive(Debug, Args)]
#[command(after_help = "\
Secrets come from the environment, each also as …_FILE with a path:
  SIDECAR_LIVEKIT_API_KEY  names the secret of the LiveKit server
  SIDECAR_LIVEKIT_API_SECRET
                           makes our tokens for it and for its rooms
  SIDECAR_WEBHOOK_SECRET   signing secrets (whsec_…), several while rotating,
                           separated by spaces
  SIDECAR_SIP_PASSWORD     digest password for SIP transfers
  SIDECAR_LLM_API_KEY      bearer token of the LLM at llmUrl

Exit codes: 0 ended well, 1 the address of --listen cannot be listened on,
2 usage, 6 bad settings, 7 the dispatcher refused us, 9 store unusable.

Example:
  sentiment-sidecar worker --dialect livekit \\
      --room-url wss://livekit.example.com --agent agent.json")]
pub struct WorkerArgs {
    /// Be given calls by this kind of dispatcher.
    #[arg(long, value_enum)]
    dialect: WorkerDialect,
    /// Register with the server at this address (ws:// or wss://); its rooms are there as well.
    #[arg(long, value_name = "URL", env = "SIDECAR_ROOM_URL", hide_env_values = true)]
    room_url: Url,
    /// Take what is dispatched to this agent name. Workers of one name share the calls.
    #[arg(long, value_name = "NAME", default_value = AGENT_NAME, value_parser = agent_name)]
    agent_name: String,
    /// Take so many calls at a time (1-10000).
    #[arg(long, value_name = "N", default_value_t = 250, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    max_calls: u16,
    /// Ask for a sidecar in every room that has a caller, too, where nobody dispatched one.
    #[arg(long)]
    every_room: bool,
    /// Let a call's metadata name one of the agent documents in this folder, NAME.json, as sentimentAgent.
    #[arg(long, value_name = "DIR")]
    agents: Option<PathBuf>,
    /// Keep alerts and undelivered webhooks here: sqlite:///path/to/file.db or a path [default: an SQLite file in the
    /// user's state folder].
    #[arg(long, value_name = "URL", env = "SIDECAR_STORE", hide_env_values = true)]
    store: Option<StoreUrl>,
    /// Decide and record, and touch nothing: no command, no webhook, no transfer.
    #[arg(long)]
    shadow: bool,
    /// Trust these certificate authorities (PEM) for the server, the webhook and the LLM, besides the system's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Choose how log lines look. SIDECAR_LOG chooses which there are.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// Serve /healthz, /readyz and /metrics (Prometheus) at this address [default: 127.0.0.1:9464, or a free port where that is
    /// taken].
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    // Last, as its heading would also stand over what follows.
    #[command(flatten)]
    settings: SettingsArgs,
}

/// The dispatchers that give out calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum WorkerDialect {
    /// LiveKit's dispatcher of agents.
    Livekit,
}

/// A name that jobs come for. Without one, the rooms of voice agents would come.
fn agent_name(text: &str) -> Result<String, String> {
    let is_fine = !text.trim().is_empty() && text.len() <= 128 && !text.chars().any(char::is_control);
    is_fine.then(|| text.to_owned()).ok_or_else(|| "a name has 1 to 128 bytes, and no control characters".to_owned())
}

/// The secrets that it uses.
const USED: [SecretName; 5] = [
    SecretName::Webhook,
    SecretName::SipPassword,
    SecretName::LlmApiKey,
    SecretName::LivekitApiKey,
    SecretName::LivekitApiSecret,
];

/// Runs `worker`.
///
/// # Errors
/// [`Failure`] with exit code 6, 7 or 9.
pub async fn run(args: WorkerArgs) -> Result<Exit, Failure> {
    telemetry::init(args.log_format);
    // First of all: whoever stops the process in its first moments gets the same as later.
    let [drain, stop] = shutdown::on_signals();
    shutdown::survive_file_limits();
    let WorkerDialect::Livekit = args.dialect;
    let per_call = PerCall::new(args.settings.layers()?, args.agents);
    let secrets = secrets::load(&USED)?;
    let key = secrets::livekit_api_key(&secrets)?;
    let sender = Sender::new(&secrets, args.shadow);
    let usual = Arc::new(per_call.usual().map_err(wrong)?.settings);
    let named = per_call.check().map_err(wrong)?;
    for settings in named.iter().map(|(_, loaded)| &loaded.settings).chain([&*usual]) {
        live::check(settings)?;
        sender.check(settings)?;
    }
    let authorities = authorities(args.ca_file.as_deref())?;
    let meter = Arc::new(Meter::new());
    let pool = RatingPool::of_machine().metered(Arc::clone(&meter));
    let embedded = pool.rater(Arc::new(sentiment::embedded()));
    let raters = CassetteArgs::default().live(embedded, secrets.llm_api_key.clone(), &authorities)?;
    let raters = raters.metered(Arc::clone(&meter));
    can_rate(&raters, &usual, &named)?;
    let store = open_store(args.store).await?;
    // Which documents a call names, and what stands in them by then, is not known yet.
    let deliverer = (!args.shadow).then(|| sender.deliverer(&store, authorities.clone()));
    let registration = Registration {
        url: args.room_url.clone(),
        key: key.clone(),
        authorities: authorities.clone(),
        agent_name: args.agent_name,
        every_room: args.every_room,
    };
    let rating = Duration::from_millis(usual.rater_deadline_ms);
    let making = Making {
        per_call,
        usual,
        sender: Sender::new(&secrets, args.shadow),
        raters,
        url: args.room_url,
        key: Key::Api(key),
        shadow: args.shadow,
    };
    let dispatcher = register(registration).map_err(refused)?;
    let state = WorkerState::new(Limits { calls: args.max_calls.into(), rating }, pool);
    let (standing, unknown) = (state.clone(), "unregistered");
    let health = Health::new(Arc::clone(&meter), store.clone(), drain.clone())
        .unless(move || (!standing.is_registered()).then_some(unknown));
    let events = Events::start(Arc::clone(&meter));
    let serving = listen_anyway(args.listen, "--listen", health, &events).await?;
    let host = Host::start(Means { store, deliverer, sip_password: secrets.sip_password, authorities, meter }, stop);
    let worker = Worker::new(Arc::clone(&host), state, dispatcher, making.preparing(), Printed(events.clone()));
    let ended = worker.run(drain).await;
    host.close().await;
    events.close();
    serving.close().await;
    ended.map(|()| Exit::Ok).map_err(refused)
}

/// Whether there is a rater for every call that names nothing, or one of these documents.
fn can_rate(raters: &Raters, usual: &Settings, named: &[(String, Loaded)]) -> Result<(), Failure> {
    raters.of(usual)?;
    for (_, loaded) in named {
        raters.of(&loaded.settings)?;
    }
    Ok(())
}

fn refused(error: RoomError) -> Failure {
    const MEND: &str = "check --room-url, SIDECAR_LIVEKIT_API_KEY and SIDECAR_LIVEKIT_API_SECRET";
    let told = error.of_server();
    // Nobody was asked.
    if let RoomError::Url { .. } = error {
        return Failure::new(Exit::BadSettings, format!("--room-url is {told}"));
    }
    if error.is_ours() {
        return Failure::new(Exit::BadSettings, told).help(MEND);
    }
    Failure::new(Exit::RoomRefused, format!("the dispatcher refused us: {told}")).help(MEND)
}

/// Tells on standard output.
#[derive(Clone)]
struct Printed(Events);

impl Listener for Printed {
    fn report(&self, call: &Call, report: &Report) {
        self.0.report_of(call, report);
    }

    fn disabled(&self, call: &Call) {
        self.0.disabled_in(call, "sentimentEscalationEnabled is false");
    }

    fn news(&self, news: &News) {
        self.0.news(news);
    }
}

/// What calls are made of.
struct Making {
    per_call: PerCall,
    /// The settings of calls of which the platform says nothing, or nothing that can be used.
    usual: Arc<Settings>,
    sender: Sender,
    raters: Raters,
    url: Url,
    key: Key,
    shadow: bool,
}

impl Making {
    fn preparing(self) -> Preparing {
        let making = Arc::new(self);
        Arc::new(move |job| {
            let making = Arc::clone(&making);
            Box::pin(async move {
                let prepared = Arc::clone(&making);
                // It may read files.
                let ready = tokio::task::spawn_blocking(move || prepared.make_ready(&job));
                ready.await.unwrap_or_else(|error| Prepared::Failed { problem: error.to_string() })
            })
        })
    }

    fn make_ready(&self, job: &Job) -> Prepared {
        let usual = || Arc::clone(&self.usual);
        let (settings, mut problem) = match self.settings(&job.metadata) {
            Ok(settings) => (settings, None),
            Err(problem) => {
                let detail = format!("the metadata of the call cannot be used, and the usual settings are: {problem}");
                (usual(), Some(detail))
            }
        };
        if !settings.enabled {
            return Prepared::Nothing { problem };
        }
        let rater = match self.raters.of(&settings) {
            Ok(rater) => rater,
            Err(error) => {
                let detail =
                    format!("there is no rater for the settings of the call, and the usual one rates it: {error}");
                // Settings that are the usual ones for want of better ones have their own word already.
                problem.get_or_insert(detail);
                match self.raters.of(&self.usual) {
                    Ok(rater) => rater,
                    Err(error) => return Prepared::Failed { problem: error.to_string() },
                }
            }
        };
        let caller = settings.caller_identity.clone();
        let room = Target::livekit(self.url.clone(), job.room.clone(), self.key.clone(), caller);
        let attachment = Attachment { settings, room, rater, shadow: self.shadow, recorder: None, journal: None };
        Prepared::Call { attachment: Box::new(attachment), problem }
    }

    /// The settings of a call, checked as those of the process are.
    fn settings(&self, metadata: &str) -> Result<Arc<Settings>, String> {
        if metadata.trim().is_empty() {
            return Ok(Arc::clone(&self.usual));
        }
        let settings = self.per_call.of(metadata).map_err(|error| error.to_string())?.settings;
        live::check(&settings).and_then(|()| self.sender.check(&settings)).map_err(|failure| failure.message)?;
        Ok(Arc::new(settings))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;
    use crate::config::secret::{Secret, Secrets};
    use crate::config::{AgentFile, Layers};
    use crate::room::livekit::token::ApiKey;
    use crate::sentiment::raters::{Answers, Haste};
    use crate::tls::Authorities;

    /// A worker whose key of the LLM no header can hold, and whose usual settings name no LLM.
    fn making(agents: PathBuf) -> Making {
        let text = r#"{"sentimentEscalationEnabled": true}"#.to_owned();
        let agent = Some(AgentFile { path: "agent.json".into(), text });
        let per_call = PerCall::new(Layers { agent, ..Layers::default() }, Some(agents));
        let answers = Answers::Endpoint { key: Some(Secret::new("no\nkey")), cassette: None };
        let usual = Arc::new(per_call.usual().unwrap().settings);
        Making {
            per_call,
            usual,
            sender: Sender::new(&Secrets::default(), true),
            raters: Raters::new(Arc::new(sentiment::embedded()), answers, Haste::Live, Authorities::default()),
            url: Url::parse("ws://127.0.0.1:9").unwrap(),
            key: Key::Api(ApiKey { key: Secret::new("key"), secret: Secret::new("secret") }),
            shadow: true,
        }
    }

    fn job(metadata: &str) -> Job {
        let [id, room, session, metadata] = ["AJ_1", "room_1", "RM_1", metadata].map(str::to_owned);
        Job { id, room, session, metadata }
    }

    #[test]
    fn a_wrong_address_is_a_wrong_setting_and_no_refusal() {
        let wrong = refused(RoomError::Url { problem: "the scheme http".to_owned() });
        assert_eq!(wrong.exit, Exit::BadSettings);
        assert!(wrong.message.starts_with("--room-url is not a server's URL (the scheme http)"), "{wrong}");
        let no = refused(RoomError::Http { status: 401 });
        assert_eq!(no.exit, Exit::RoomRefused);
        assert_eq!(no.message, "the dispatcher refused us: the server answered HTTP 401");
        // What a lost event has.
        let gone = RoomError::Unreachable { problem: "connection refused".to_owned() };
        assert_eq!(gone.of_server(), "the server cannot be reached: connection refused");
    }

    #[test]
    fn a_rater_that_cannot_be_had_is_said_at_the_start_and_of_each_call() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sales.json");
        std::fs::write(&file, r#"{"sentimentEscalationEnabled": true}"#).unwrap();
        let making = making(folder.path().to_owned());
        let named = || making.per_call.check().unwrap();
        let problem = |metadata: &str| match making.make_ready(&job(metadata)) {
            Prepared::Call { problem, .. } => problem,
            Prepared::Nothing { .. } | Prepared::Failed { .. } => panic!("no call"),
        };
        can_rate(&making.raters, &making.usual, &named()).unwrap();
        assert_eq!(problem(r#"{"sentimentAgent": "sales"}"#), None);
        // It changes while the worker runs, or is there when the next one starts.
        let llm = r#"{"sentimentEscalationEnabled": true, "llmUrl": "http://127.0.0.1:9/v1"}"#;
        std::fs::write(&file, llm).unwrap();
        assert_eq!(can_rate(&making.raters, &making.usual, &named()).unwrap_err().exit, Exit::BadSettings);
        let told = problem(r#"{"sentimentAgent": "sales"}"#).unwrap();
        assert!(told.starts_with("there is no rater for the settings of the call"), "{told}");
        assert!(told.contains("the API key cannot stand in a header"), "{told}");
        assert_eq!(problem(""), None);
    }
}
