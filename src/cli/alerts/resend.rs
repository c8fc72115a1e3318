//! `alerts resend`.

use std::collections::HashSet;
use std::path::PathBuf;

use clap::Args;

use super::named::{find, time_of_day, user};
use crate::alert::AlertId;
use crate::alert::notice::NoticeEvent;
use crate::alert::outgoing::Outgoing;
use crate::alert::record::DeliveryResult;
use crate::cli::deliver::nothing_is_out_of_reach;
use crate::cli::exit::{Exit, Failure};
use crate::cli::raters::authorities;
use crate::cli::secrets;
use crate::cli::settings_args::SourceArgs;
use crate::cli::terminal::say;
use crate::clock;
use crate::config::Env;
use crate::config::secret::SecretName;
use crate::config::target_secrets::TargetSecrets;
use crate::notify::Deliverer;
use crate::notify::sign::Signer;
use crate::store::review::Resent;
use crate::store::{OutboxState, Store, StoreError};

/// Send an alert again, now, to wherever it was not delivered.
///
/// It goes out under the same id as before, so a receiver that dedupes takes it once. Where settings are given, it goes
/// to those of their places as well that it was not queued for. What waits for the outcome of a transfer goes out with that, and
/// what was not needed after one tells it. What fails is tried again by the usual schedule; what waits
/// for its turn at a place that takes one alert every so often is sent by deliver, or by the next process that looks.
#[derive(Debug, Args)]
pub(super) struct ResendArgs {
    /// Send this alert.
    #[arg(value_name = "ID")]
    id: String,
    /// Send it also to where it was delivered.
    #[arg(long)]
    again: bool,
    /// Trust these certificate authorities (PEM) for the receivers, besides the system's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    // Last, as its heading would also stand over what follows.
    #[command(flatten)]
    settings: SourceArgs,
}

pub(super) async fn run(args: ResendArgs, store: &Store) -> Result<Exit, Failure> {
    let id = find(store, &args.id).await?;
    let outgoing = Outgoing::from_settings(&args.settings.load()?.settings.webhook);
    let signer = Signer::new(secrets::load(&[SecretName::Webhook])?.webhook).ok();
    let authorities = authorities(args.ca_file.as_deref())?;
    let gone = || Failure::new(Exit::Usage, format!("there is no alert {id}"));
    let alert = store.alert(&id).await?.ok_or_else(gone)?.alert;
    if alert.shadow {
        return Err(Failure::new(Exit::Usage, "it was decided in shadow mode, in which nothing is sent"));
    }
    let deliverer = Deliverer::new(store.clone(), signer, clock::system(), authorities)
        .with_secrets(TargetSecrets::of(Env::of_process()));
    let Resent { due, held } = store.resend(&id, &outgoing, args.again, &user(), clock::unix_ms()).await?;
    if due == 0 {
        let help = if held > 0 {
            "it waits for the outcome of the transfer, and goes out with it, or by itself where none comes in time"
        } else if store.notices(&id).await?.is_empty() {
            "it was to go nowhere; give the settings that say where, with --agent"
        } else {
            "all have it, or it is being sent at this moment; --again sends it to all"
        };
        return Err(Failure::new(Exit::Usage, "there is nothing to send").help(help));
    }
    let (mut failed, mut waiting, mut undelivered) = (0, 0, HashSet::new());
    for row in store.notices(&id).await? {
        // What is over is told behind what it was of, or not yet.
        let follows = row.event == NoticeEvent::Resolved;
        if row.state != OutboxState::Pending || (follows && undelivered.contains(&row.target)) {
            continue;
        }
        let name = if row.target.is_empty() { "webhook" } else { &row.target };
        match deliverer.deliver_to(&id, &row.target).await {
            DeliveryResult::Delivered { status, .. } if follows => {
                tell(format_args!("{name}: told that it is over ({status})"));
            }
            DeliveryResult::Delivered { status, .. } => {
                tell(format_args!("{name}: delivered ({status})"));
            }
            DeliveryResult::Retry { detail, .. } | DeliveryResult::GaveUp { detail, .. } => {
                undelivered.insert(row.target.clone());
                if let Some(turn_ms) = turn_of(store, &id, &row.target).await? {
                    waiting += 1;
                    tell(format_args!("{name}: waits for its turn, next at {} UTC", time_of_day(turn_ms)));
                } else {
                    failed += 1;
                    tell(format_args!("{name}: not delivered: {detail}"));
                }
            }
        }
    }
    if waiting > 0 {
        anstream::eprintln!("what waits for its turn stays in the outbox: sentiment-sidecar deliver sends it");
    }
    if failed == 0 {
        return Ok(Exit::Ok);
    }
    nothing_is_out_of_reach(store, &deliverer, Some(&id)).await?;
    Err(Failure::new(Exit::Other, format!("{failed} of {due} could not be delivered"))
        .help("it stays in the outbox, where it is not given up yet: sentiment-sidecar deliver tries again"))
}

/// Says what came of one place. The others are told all the same where nobody reads it.
fn tell(line: std::fmt::Arguments<'_>) {
    let _ = say(line);
}

/// When it may be the alert's turn at a place, where it waits for nothing else.
async fn turn_of(store: &Store, id: &AlertId, target: &str) -> Result<Option<u64>, StoreError> {
    let rows = store.notices(id).await?;
    let row = rows.into_iter().find(|row| row.target == target && row.event == NoticeEvent::Alert);
    Ok(row.and_then(|row| row.waits_for_its_turn(clock::unix_ms())))
}
