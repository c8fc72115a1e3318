//! `demo`: the main job on loopback, with all that it needs and everything visible.

pub mod phone;
pub mod receiver;
mod show;
mod stage;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::exit::{Exit, Failure};
use super::raters::{CassetteArgs, authorities};
use super::secrets;
use super::settings_args::SourceArgs;
use crate::call::report::Report;
use crate::config::secret::SecretName;
use crate::config::settings::ActionKind;
use crate::room::script::Speed;
use crate::runtime::{Ending, Host, RatingPool, shutdown};
use crate::sentiment;
use show::Show;
use stage::{Stage, Wanted};

/// How long the phone and the receiver may still have something to show after the call.
const EPILOGUE: Duration = Duration::from_millis(500);

/// Play a phone call on loopback and show how it is rated, counted and acted on.
///
/// A room, a SIP phone and a webhook receiver run inside the program; the sidecar joins the room as it would join a
/// platform's. Nothing leaves this machine, and nothing is kept; only with llmUrl set, the LLM there is asked as on a
/// live call. Settings count as they do for attach, except whom to transfer to, where the webhook goes, and SIP, which
/// are the demo's own. Those in the recording's header, and ratings that it pins, are for replay and do not count.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sentiment-sidecar demo                    transfers the caller over SIP
  sentiment-sidecar demo --action notify    sends supervisors a signed webhook
  sentiment-sidecar demo --action flag      marks the session for review
  sentiment-sidecar demo --busy             finds the line busy: the webhook
                                            falls in
  sentiment-sidecar demo --sip              shows the SIP messages as well
  sentiment-sidecar demo my-recording.jsonl --speed 1
  sentiment-sidecar demo --set llmUrl=https://host/v1

Exit codes: 0 the call was played to its end, 1 a port or file could not be had,
2 usage, 5 bad recording, 6 a setting is wrong.")]
pub struct DemoArgs {
    /// Play this recording [default: a caller with three complaints in a row].
    #[arg(value_name = "FILE")]
    recording: Option<PathBuf>,
    /// Choose what the escalation does.
    #[arg(long, value_enum, default_value = "transfer")]
    action: Act,
    /// Play the call so many times faster than life.
    #[arg(long, value_name = "N", default_value_t = 4.0)]
    speed: f64,
    /// Let the supervisor's line be busy.
    #[arg(long)]
    busy: bool,
    /// Show the SIP messages too, as the phone saw them.
    #[arg(long)]
    sip: bool,

    #[command(flatten)]
    cassette: CassetteArgs,

    #[command(flatten)]
    sources: SourceArgs,
}

/// The actions, as flags name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Act {
    /// Transfer the call over SIP.
    Transfer,
    /// Send the webhook.
    Notify,
    /// Mark the session for review.
    Flag,
}

impl From<Act> for ActionKind {
    fn from(act: Act) -> Self {
        match act {
            Act::Transfer => Self::Transfer,
            Act::Notify => Self::Notify,
            Act::Flag => Self::Flag,
        }
    }
}

/// Runs `demo`.
///
/// # Errors
/// [`Failure`] when the recording cannot be read, or nothing escalated that should have.
pub async fn run(args: DemoArgs) -> Result<Exit, Failure> {
    let speed = Speed::new(args.speed).map_err(|error| Failure::new(Exit::Usage, error))?;
    let settings = args.sources.load()?.settings;
    let key = match settings.llm.url {
        Some(_) => secrets::load(&[SecretName::LlmApiKey])?.llm_api_key,
        None => None,
    };
    let embedded = RatingPool::of_machine().rater(Arc::new(sentiment::embedded()));
    let raters = args.cassette.live(embedded, key, &authorities(args.cassette.ca_file.as_deref())?)?;
    let wanted = Wanted { action: args.action.into(), factor: args.speed, speed, busy: args.busy, settings, raters };
    let mut stage = Stage::set(args.recording.as_deref(), wanted).await?;
    let mut show = Show::begin(&stage, args.sip)?;
    let (reports, mut heard) = mpsc::unbounded_channel::<Report>();
    let (means, attachment) = stage.attachment()?;
    let host = Host::start(means, shutdown::on_signal());
    let mut call = host.attach(attachment, move |_, report| drop(reports.send(report.clone())));
    let mut ending: Option<Ending> = None;
    let mut curtain: Option<Instant> = None;
    loop {
        tokio::select! {
            biased;
            Some(report) = heard.recv() => show.report(&report)?,
            Some(event) = stage.room_events.recv() => show.room(&event)?,
            Some(event) = stage.phone.next() => show.phone(event),
            Some(delivery) = stage.receiver.next() => show.delivery(delivery),
            ended = &mut call, if ending.is_none() => {
                ending = Some(ended.map_err(|error| Failure::new(Exit::Other, error))?);
                curtain = Some(Instant::now() + EPILOGUE);
            }
            () = sleep_until(curtain.unwrap_or_else(Instant::now)), if curtain.is_some() => break,
        }
    }
    host.close().await;
    show.end(&stage).await?;
    match ending {
        Some(Ending::Refused(error)) => Err(Failure::new(Exit::RoomRefused, error)),
        Some(Ending::Lost(error)) => Err(Failure::new(Exit::RoomLost, error)),
        _ => Ok(Exit::Ok),
    }
}
