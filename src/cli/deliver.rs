//! `deliver`: drains the outbox that per-call processes share.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::exit::{Exit, Failure};
use super::health::HealthArgs;
use super::opened::{NoStore, open};
use super::raters::authorities;
use super::secrets;
use super::settings_args::SourceArgs;
use crate::alert::AlertId;
use crate::alert::outgoing::Outgoing;
use crate::alert::record::DeliveryResult;
use crate::call::report::Report;
use crate::clock::{self, Clock};
use crate::config::Env;
use crate::config::secret::SecretName;
use crate::config::target_secrets::TargetSecrets;
use crate::notify::Deliverer;
use crate::notify::sign::{NoSigner, Signer};
use crate::runtime::{delivered, shutdown};
use crate::store::{Claim, Store, StoreError, StoreUrl};
use crate::telemetry::meter::Meter;
use crate::telemetry::shown::json_line;
use crate::web::health::Health;

/// Webhooks of one pass.
const MAX_PASS: usize = 100_000;

/// How long a single pass waits for its turns where nobody says, in seconds: some fifty at Slack.
const WAIT_S: u64 = 60;

/// How long to sleep at most before the outbox is looked at again, as other processes put alerts into it.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Send what is due in the store's outbox, webhooks and what goes to sentimentNotifyTargets: retries, and those of calls
/// whose process ended before they were delivered.
///
/// Any number of `deliver` and `attach` processes may share a store: each webhook is attempted by one at a time. One JSON
/// line per attempt goes to stdout, a summary to stderr. SIGTERM lets the attempts in hand finish.
///
/// A webhook goes by the settings of the call that it tells of. Where settings with sentimentNotifyWebhook are given here,
/// their sentimentWebhookAllow takes the place of an earlier one, and what that one refused is sent.
///
/// Slack takes one alert a second at an address, Teams four, PagerDuty two, of all processes that share the store. A single
/// pass waits a minute for its turns (--wait); what is left then stays in the outbox for the next one.
///
/// Until the first call has made the store there is nothing to send, which is no failure; --every waits for it.
#[derive(Debug, Args)]
#[command(after_help = "\
The signing secret comes from SIDECAR_WEBHOOK_SECRET, or from the file that
SIDECAR_WEBHOOK_SECRET_FILE names; the secrets of sentimentNotifyTargets from
the variables that these name, or with _FILE behind them from files.

Examples:
  sentiment-sidecar deliver                 once, as a timer runs it
  sentiment-sidecar deliver --until-empty --for 60
  sentiment-sidecar deliver --every 5       as a service
  sentiment-sidecar deliver --agent a.json  once the allow-list is mended

Exit codes: 0 ended well, 1 webhooks were still pending when --for ran out,
2 usage, 6 bad settings, or a secret is missing that something to be sent
needs, 9 the store cannot be used.")]
pub struct DeliverArgs {
    /// Take webhooks from this store: sqlite:///path/to/file.db or a path [default: an SQLite file in the user's state
    /// folder].
    #[arg(long, value_name = "URL", env = "SIDECAR_STORE", hide_env_values = true)]
    store: Option<StoreUrl>,
    /// Trust these certificate authorities (PEM) for the webhooks, besides the system's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Send what is due now, then end (the default).
    #[arg(long, group = "when")]
    once: bool,
    /// Let a single pass wait so long for its turns at places that take one alert every so often; 0 leaves them to the next.
    #[arg(long, value_name = "SECONDS", conflicts_with_all = ["until_empty", "every"], default_value_t = WAIT_S,
        value_parser = clap::value_parser!(u64).range(0..=3_600))]
    wait: u64,
    /// Wait for what is held or to be retried as well, until the outbox is empty.
    #[arg(long, group = "when")]
    until_empty: bool,
    /// Look again every so many seconds, until SIGTERM.
    #[arg(long, value_name = "SECONDS", group = "when", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    every: Option<u64>,
    /// Let --until-empty wait so long at most.
    #[arg(long = "for", value_name = "SECONDS", requires = "until_empty", default_value_t = 300)]
    for_s: u64,
    #[command(flatten)]
    health: HealthArgs,
    // Last, as its heading would also stand over what follows.
    #[command(flatten)]
    settings: SourceArgs,
}

/// What was done, for the summary.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    delivered: u64,
    put_off: u64,
    given_up: u64,
}

impl Tally {
    fn count(&mut self, result: &DeliveryResult) {
        match result {
            DeliveryResult::Delivered { .. } => self.delivered += 1,
            DeliveryResult::Retry { .. } => self.put_off += 1,
            DeliveryResult::GaveUp { .. } => self.given_up += 1,
        }
    }
}

/// Runs `deliver`.
///
/// # Errors
/// [`Failure`] when the store cannot be used, webhooks cannot be signed, stdout is gone, or `--for` ran out.
pub async fn run(args: DeliverArgs) -> Result<Exit, Failure> {
    let outgoing = Outgoing::from_settings(&args.settings.load()?.settings.webhook);
    let secrets = TargetSecrets::of(Env::of_process());
    // Without a secret there may still be nothing to sign, and no harm done.
    let signer = Signer::new(secrets::load(&[SecretName::Webhook])?.webhook).ok();
    let authorities = authorities(args.ca_file.as_deref())?;
    let stop = shutdown::on_signal();
    let Some(store) = store_of_calls(&args, &stop).await? else { return Ok(Exit::Ok) };
    let deliverer = Deliverer::new(store.clone(), signer, clock::system(), authorities).with_secrets(secrets);
    let (clock, tally, meter) = (clock::system(), Tally::default(), Arc::new(Meter::new()));
    let health = Health::new(Arc::clone(&meter), store.clone(), stop.clone());
    let serving = args.health.serve(health).await?;
    let mut courier = Courier { store: store.clone(), deliverer, outgoing, clock, stop, tally, meter };
    let result = courier.run(&args).await;
    let pending = store.pending_count().await;
    let Tally { delivered, put_off, given_up } = courier.tally;
    let pending_text = pending.as_ref().map_or_else(|_| "?".to_owned(), u64::to_string);
    anstream::eprintln!("{delivered} delivered, {put_off} put off, {given_up} given up, {pending_text} pending");
    if let Some(serving) = serving {
        serving.close().await;
    }
    result?;
    drop(courier);
    store.close().await;
    Ok(Exit::Ok)
}

/// The store, once a call has made it; none where nobody waits for that, or the process is stopped before. Who delivers on a
/// new machine, every few seconds, wants to hear of no failure.
async fn store_of_calls(args: &DeliverArgs, stop: &CancellationToken) -> Result<Option<Store>, Failure> {
    let mut is_said = false;
    loop {
        let url = match open(args.store.clone()).await {
            Err(NoStore::Missing(url)) => url,
            store => return Ok(Some(store?)),
        };
        if !is_said {
            let then =
                if args.every.is_some() { "waiting for the first call, which makes it" } else { "nothing to send" };
            anstream::eprintln!("there is no store at {url} yet: {then}");
            is_said = true;
        }
        let Some(seconds) = args.every else { return Ok(None) };
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            () = tokio::time::sleep(Duration::from_secs(seconds)) => {}
        }
    }
}

/// What waits for a secret that is not here would wait for ever, silently: of one alert, or of all.
///
/// # Errors
/// [`Exit::BadSettings`] names the secret.
pub(super) async fn nothing_is_out_of_reach(
    store: &Store,
    deliverer: &Deliverer,
    only: Option<&AlertId>,
) -> Result<(), Failure> {
    let (needs, reach) = (store.needs(only).await?, deliverer.reach().await?);
    if needs.signature && !reach.signs {
        let waiting = needs.waiting;
        let failure = Failure::new(Exit::BadSettings, NoSigner).help(NoSigner::MEND);
        let message = format!("{waiting} webhooks wait to be sent, but {}", failure.message);
        return Err(Failure { message, ..failure });
    }
    let missing: Vec<String> = needs.secrets.into_iter().filter(|name| !reach.secrets.contains(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!("alerts wait to be sent that need {}, and nothing is set there", missing.join(" and "));
    let help =
        "set each, or the variable with _FILE behind it, to what the calls have that sentimentNotifyTargets is of";
    Err(Failure::new(Exit::BadSettings, message).help(help))
}

struct Courier {
    store: Store,
    deliverer: Deliverer,
    /// Where the settings send alerts.
    outgoing: Vec<Outgoing>,
    clock: Clock,
    stop: CancellationToken,
    tally: Tally,
    meter: Arc<Meter>,
}

impl Courier {
    async fn run(&mut self, args: &DeliverArgs) -> Result<(), Failure> {
        for outgoing in &self.outgoing {
            self.deliverer.readmit(outgoing).await?;
        }
        let deadline = tokio::time::Instant::now() + Duration::from_secs(args.for_s);
        // Whoever looks again comes for what waits then, and has nothing else wait for it.
        let again = args.every.is_some() || args.until_empty;
        let patience = Duration::from_secs(if again { 0 } else { args.wait });
        loop {
            self.pass(patience).await?;
            let pause = if let Some(seconds) = args.every {
                self.next_turn().await?.unwrap_or(Duration::MAX).min(Duration::from_secs(seconds))
            } else if args.until_empty {
                match self.store.next_due(&self.deliverer.reach().await?, (self.clock)()).await? {
                    Some(due_ms) => Duration::from_millis(due_ms.saturating_sub((self.clock)())).min(LOOK_AGAIN),
                    None => return Ok(()),
                }
            } else {
                return Ok(());
            };
            let out_of_time = async {
                if args.until_empty { tokio::time::sleep_until(deadline).await } else { std::future::pending().await }
            };
            tokio::select! {
                () = self.stop.cancelled() => return Ok(()),
                () = out_of_time => return self.out_of_time(args.for_s).await,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// How long until the next turn of what waits for one.
    async fn next_turn(&self) -> Result<Option<Duration>, StoreError> {
        let now_ms = (self.clock)();
        let turn_ms = self.store.next_turn(&self.deliverer.reach().await?, now_ms, now_ms).await?;
        Ok(turn_ms.map(|turn_ms| Duration::from_millis(turn_ms.saturating_sub(now_ms))))
    }

    /// Attempts everything that is due, once, and waits so long for its turns.
    async fn pass(&mut self, patience: Duration) -> Result<(), Failure> {
        let (mut tally, mut written) = (self.tally, Ok(()));
        let swept: Result<usize, StoreError> = self
            .deliverer
            .sweep_within(patience, MAX_PASS, &self.stop, |claim, result| {
                tally.count(result);
                delivered(&self.meter, result);
                if written.is_ok() {
                    written = print(claim, result);
                }
                if written.is_err() {
                    self.stop.cancel();
                }
            })
            .await;
        self.tally = tally;
        written?;
        swept?;
        nothing_is_out_of_reach(&self.store, &self.deliverer, None).await
    }

    async fn out_of_time(&self, for_s: u64) -> Result<(), Failure> {
        let pending = self.store.pending_count().await?;
        if pending == 0 {
            return Ok(());
        }
        Err(Failure::new(Exit::Other, format!("{pending} webhooks were still pending after {for_s} s"))
            .help("nothing is lost: run deliver again, or raise --for"))
    }
}

fn print(claim: &Claim, result: &DeliveryResult) -> Result<(), Failure> {
    let (alert_id, target) = (claim.alert_id.clone(), claim.outgoing.target.clone());
    let line = json_line(&Report::Delivery { alert_id, result: result.clone(), target })
        .map_err(|error| Failure::new(Exit::Other, error))?;
    let mut out = std::io::stdout().lock();
    // Alerts that wait are not done with because nobody reads of them.
    out.write_all(line.as_bytes()).and_then(|()| out.flush()).map_err(|error| Failure::new(Exit::Other, error))
}
