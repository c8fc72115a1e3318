//! `proxy`: stands between a platform that dials and its app, and hears the calls on the way.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::events::Events;
use super::exit::{Exit, Failure};
use super::health::{bind, listen_anyway};
use super::live::{self, Sender, open_store};
use super::raters::{CassetteArgs, authorities};
use super::secrets;
use super::settings_args::{SettingsArgs, wrong};
use crate::config::Loaded;
use crate::config::per_call::PerCall;
use crate::config::secret::{SecretName, Secrets};
use crate::config::settings::{ActionKind, Settings};
use crate::room::twilio::Platform;
use crate::room::twilio::frames::Setup;
use crate::room::twilio::sign::Verifier;
use crate::runtime::{self, Host, RatingPool, shutdown};
use crate::sentiment::raters::Raters;
use crate::sentiment::{self, Rater};
use crate::store::StoreUrl;
use crate::telemetry::meter::Meter;
use crate::telemetry::{self, LogFormat};
use crate::web::health::Health;
use crate::web::proxy::{App, Calls, Door, Means, Proxy, serve};

/// The parameter of the TwiML that names a call's settings.
const PARAMETER: &str = "sentimentAgent";

/// Stand between Twilio's ConversationRelay (or Telnyx') and your app: every call passes through, frame by frame and unchanged, and
/// is heard on the way.
///
/// The platform dials here instead of the app, and the app is dialled at the same path, with the same headers. Whatever goes wrong
/// with the hearing, the call goes on. Every event is one JSON line on stdout, with its call's id as `room`; logs go to stderr. SIGTERM
/// takes no new calls and waits for those there are to end; a second one ends them.
#[derive(Debug, Args)]
#[command(after_help = "\
Secrets come from the environment, each also as …_FILE with a path:
  SIDECAR_TWILIO_AUTH_TOKEN
                           auth tokens of the account, which sign; several
                           while rotating, separated by spaces
  SIDECAR_ROOM_TOKEN       with --dialect telnyx: the first part of the path
  SIDECAR_WEBHOOK_SECRET   signing secrets of our own webhooks (whsec_…)
  SIDECAR_LLM_API_KEY      bearer token of the LLM at llmUrl

In the TwiML, url names this proxy, and a parameter may name settings:
  <Connect action=\"https://voice.example/handover\">
    <ConversationRelay url=\"wss://voice.example/relay\">
      <Parameter name=\"sentimentAgent\" value=\"sales\"/>

Exit codes: 0 ended well, 1 the address cannot be listened on, 2 usage, 6 bad
settings, 9 store unusable.

Example:
  sentiment-sidecar proxy --dialect twilio --listen 127.0.0.1:8080 \\
      --app-url ws://127.0.0.1:3000 --public-url wss://voice.example \\
      --agent agent.json --agents agents/")]
pub struct ProxyArgs {
    /// Speak this platform's protocol.
    #[arg(long, value_enum)]
    dialect: Dialed,
    /// Listen here, behind what ends TLS.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// Dial the app here (wss://host:port or ws://host:port); path and query are those that the platform dials.
    #[arg(long, value_name = "URL")]
    app_url: Url,
    /// The platform dials us by this name (wss://host), which it signs; without it, the request's X-Forwarded-Host or Host says so.
    #[arg(long, value_name = "URL")]
    public_url: Option<Url>,
    /// Hear calls by the settings of DIR/NAME.json whose TwiML has the parameter sentimentAgent with this NAME.
    #[arg(long, value_name = "DIR")]
    agents: Option<PathBuf>,
    /// Keep alerts and undelivered webhooks here: sqlite:///path/to/file.db or a path [default: an SQLite file in the
    /// user's state folder].
    #[arg(long, value_name = "URL", env = "SIDECAR_STORE", hide_env_values = true)]
    store: Option<StoreUrl>,
    /// Decide and record, and touch nothing: no sentence, no webhook, no transfer.
    #[arg(long)]
    shadow: bool,
    /// Trust these certificate authorities (PEM) for the app, the webhook and the LLM, besides the system's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Serve /healthz, /readyz and /metrics (Prometheus) at this address, which nobody outside should reach [default:
    /// 127.0.0.1:9464, or a free port where that is taken].
    #[arg(long, value_name = "ADDRESS:PORT")]
    health_listen: Option<SocketAddr>,
    /// Choose how log lines look.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    // Last, as its heading would also stand over what follows.
    #[command(flatten)]
    settings: SettingsArgs,
}

/// The platforms that dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Dialed {
    /// Twilio's ConversationRelay, which signs.
    Twilio,
    /// Telnyx' relay, which does not: the path begins with SIDECAR_ROOM_TOKEN.
    Telnyx,
}

const USED: [SecretName; 4] =
    [SecretName::TwilioAuthToken, SecretName::RoomToken, SecretName::Webhook, SecretName::LlmApiKey];

/// Runs `proxy`.
///
/// # Errors
/// [`Failure`] with exit code 1, 6 or 9.
pub async fn run(args: ProxyArgs) -> Result<Exit, Failure> {
    telemetry::init(args.log_format);
    let [stop, now] = shutdown::on_signals();
    shutdown::survive_file_limits();
    let per_call = PerCall::new(args.settings.layers()?, args.agents.clone());
    let settings = Arc::new(per_call.usual().map_err(wrong)?.settings);
    let named = per_call.check().map_err(wrong)?;
    let secrets = secrets::load(&USED)?;
    let authorities = authorities(args.ca_file.as_deref())?;
    let (platform, door) = door(&args, &secrets)?;
    let app = App::at(&args.app_url, &authorities).map_err(|error| Failure::new(Exit::BadSettings, error))?;
    let meter = Arc::new(Meter::new());
    let embedded = RatingPool::of_machine().metered(Arc::clone(&meter)).rater(Arc::new(sentiment::embedded()));
    let raters = CassetteArgs::default().live(embedded, secrets.llm_api_key.clone(), &authorities)?;
    let raters = raters.metered(Arc::clone(&meter));
    let choice = Choice::new(settings, named, &raters, args.shadow)?;
    let store = open_store(args.store.clone()).await?;
    let (sender, mut sends) = (Sender::new(&secrets, args.shadow), false);
    for Heard { settings, .. } in choice.all().filter(|heard| heard.settings.enabled) {
        fits(settings, platform)?;
        live::webhook(settings)?;
        sender.check(settings)?;
        sends |= sender.is_of_use(settings);
    }
    let deliverer = sends.then(|| sender.deliverer(&store, authorities.clone()));
    let listener = bind(args.listen, "--listen").await?;
    let health = Health::new(Arc::clone(&meter), store.clone(), stop.clone());
    let events = Events::start(Arc::clone(&meter));
    let serving = listen_anyway(args.health_listen, "--health-listen", health, &events).await?;
    let means = runtime::Means { store, deliverer, sip_password: None, authorities, meter };
    let host = Host::start(means, now.clone());
    let told = events.clone();
    let tell = move |call: &runtime::Call, report: &_| told.report_of(call, report);
    let calls = Calls::new(Arc::clone(&host), platform, move |setup| choice.of(setup), tell);
    carry(listener, Arc::new(Proxy { door, app, calls }), stop, now.clone()).await?;
    now.cancel();
    host.close().await;
    events.close();
    serving.close().await;
    Ok(Exit::Ok)
}

/// Carries the calls on a thread of their own, so that no work of ours keeps a frame waiting.
async fn carry(
    listener: TcpListener,
    proxy: Arc<Proxy>,
    stop: CancellationToken,
    now: CancellationToken,
) -> Result<(), Failure> {
    let listener = listener.into_std()?;
    let (done, is_done) = oneshot::channel();
    std::thread::Builder::new().name("calls".to_owned()).spawn(move || {
        let carried = Builder::new_current_thread().enable_all().build().and_then(|runtime| {
            runtime.block_on(async {
                serve(TcpListener::from_std(listener)?, proxy, stop, now).await;
                Ok(())
            })
        });
        // Whoever waited for it is gone with the process.
        drop(done.send(carried));
    })?;
    give_way();
    let broke = || Failure::new(Exit::Other, "what carries the calls broke, which is a bug; the log above says where");
    Ok(is_done.await.map_err(|_| broke())??)
}

/// Lets frames go first where processors are short: this thread, and those that rate, which it starts from now on, are nicer than
/// the one that carries the calls. Elsewhere niceness is the whole process'.
fn give_way() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(5) {
        tracing::debug!(%error, "ratings compete with frames for the processors");
    }
}

fn door(args: &ProxyArgs, secrets: &Secrets) -> Result<(Platform, Door), Failure> {
    let missing = |name: SecretName, help: &str| {
        Failure::new(Exit::BadSettings, format!("{} is not set", name.variable())).help(help)
    };
    match args.dialect {
        Dialed::Twilio => {
            if secrets.twilio_auth_tokens.is_empty() {
                let help = "set it to the account's auth token, or SIDECAR_TWILIO_AUTH_TOKEN_FILE to a file that holds it: \
                            calls that are not signed with it are refused";
                return Err(missing(SecretName::TwilioAuthToken, help));
            }
            if args.public_url.as_ref().is_some_and(|url| !is_name(url)) {
                let problem = "--public-url has to be wss://host[:port] or https://host[:port]: paths and queries are those \
                               that the platform dials";
                return Err(Failure::new(Exit::BadSettings, problem));
            }
            let verifier = Verifier::new(secrets.twilio_auth_tokens.clone());
            Ok((Platform::Twilio, Door::Signed { verifier, public: args.public_url.clone() }))
        }
        Dialed::Telnyx => {
            let help =
                "set it to letters and digits, and have the platform dial wss://host/THAT/path: it signs nothing";
            let token = secrets.room_token.clone().ok_or_else(|| missing(SecretName::RoomToken, help))?;
            if token.expose().is_empty()
                || !token.expose().bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~".contains(&b))
            {
                let problem = "SIDECAR_ROOM_TOKEN cannot stand in a path: letters, digits, -, _, . and ~ can";
                return Err(Failure::new(Exit::BadSettings, problem));
            }
            Ok((Platform::Telnyx, Door::Token(token)))
        }
    }
}

/// Whether an address says what we are called, and nothing more.
fn is_name(url: &Url) -> bool {
    let bare =
        url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    bare && matches!(url.scheme(), "wss" | "https") && url.host().is_some() && matches!(url.path(), "" | "/")
}

/// What the platform cannot do is refused at the start.
fn fits(settings: &Settings, platform: Platform) -> Result<(), Failure> {
    if platform == Platform::Telnyx && settings.action.kind() == ActionKind::Transfer {
        let problem = "sentimentEscalationAction is transfer, and Telnyx' relay cannot hand a caller over";
        return Err(Failure::new(Exit::BadSettings, problem).help("set it to notify or flag"));
    }
    Ok(())
}

/// Settings, with who rates by them.
struct Heard {
    settings: Arc<Settings>,
    rater: Arc<dyn Rater>,
}

/// Which settings a call has.
struct Choice {
    usual: Heard,
    named: HashMap<String, Heard>,
    shadow: bool,
}

impl Choice {
    fn new(usual: Arc<Settings>, named: Vec<(String, Loaded)>, raters: &Raters, shadow: bool) -> Result<Self, Failure> {
        let heard = |settings: Arc<Settings>| -> Result<Heard, Failure> {
            let rater = raters.of(&settings)?;
            Ok(Heard { settings, rater })
        };
        let named = named.into_iter().map(|(name, loaded)| Ok((name, heard(Arc::new(loaded.settings))?)));
        Ok(Self { named: named.collect::<Result<_, Failure>>()?, usual: heard(usual)?, shadow })
    }

    fn all(&self) -> impl Iterator<Item = &Heard> {
        std::iter::once(&self.usual).chain(self.named.values())
    }

    fn of(&self, setup: &Setup) -> (Option<Means>, Option<String>) {
        let name = setup.parameter(PARAMETER);
        let known = name.and_then(|name| self.named.get(name));
        let odd = (name.is_some() && known.is_none())
            .then(|| format!("no file of --agents has the name that the parameter {PARAMETER} gives; --agent counts"));
        let Heard { settings, rater } = known.unwrap_or(&self.usual);
        let (settings, rater) = (Arc::clone(settings), Arc::clone(rater));
        (settings.enabled.then_some(Means { settings, rater, shadow: self.shadow }), odd)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;

    #[test]
    fn what_says_more_than_a_name_is_refused() {
        for (url, right) in [
            ("wss://voice.example", true),
            ("https://voice.example:8443/", true),
            ("ws://voice.example", false),
            ("wss://voice.example/relay", false),
            ("wss://voice.example/?a=1", false),
            ("wss://user@voice.example", false),
            ("voice.example:443", false),
        ] {
            assert_eq!(is_name(&url.parse().unwrap()), right, "{url}");
        }
    }
}
