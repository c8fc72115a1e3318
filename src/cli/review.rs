//! `review`: the pages for supervisors and QA, and the JSON API behind them.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::exit::{Exit, Failure};
use super::health::bind;
use super::live::open_store;
use super::raters::authorities;
use super::secrets;
use super::settings_args::SourceArgs;
use super::terminal::say;
use crate::alert::outgoing::Outgoing;
use crate::clock;
use crate::config::Env;
use crate::config::secret::SecretName;
use crate::config::target_secrets::TargetSecrets;
use crate::notify::Deliverer;
use crate::notify::sign::Signer;
use crate::runtime::shutdown;
use crate::store::StoreUrl;
use crate::telemetry::{self, LogFormat};
use crate::web::users::Users;
use crate::web::{Options, Review, serve};

/// Serve the review pages: alerts with what led to them and what became of them, search and rates, claims and verdicts.
///
/// Everybody logs in with a token: that of SIDECAR_REVIEW_TOKEN, or one of their own by --users. The same is there as JSON
/// under /api/v1, described by /api/openapi.json, with Authorization: Bearer. Who reads what callers said, and who changes
/// what, stands in the audit log of the store.
#[derive(Debug, Args)]
#[command(after_help = "\
Secrets come from the environment, each also as …_FILE with a path:
  SIDECAR_REVIEW_TOKEN     token of whoever may see and change everything
  SIDECAR_WEBHOOK_SECRET   to send alerts again from the page; so do those of
                           sentimentNotifyTargets

Examples:
  SIDECAR_REVIEW_TOKEN=$(openssl rand -hex 16) sentiment-sidecar review
  sentiment-sidecar review --users users.json --behind-tls

A users file has an entry for each, with the SHA-256 of their token, as
`printf %s TOKEN | sha256sum` prints it; role is viewer or supervisor:
  [{\"name\": \"dana\", \"role\": \"supervisor\", \"token_sha256\": \"ba78…\"}]

Exit codes: 0 ended well, 1 the address cannot be listened on, 2 usage, 6 bad
settings or nobody may log in, 9 the store cannot be used.")]
pub struct ReviewArgs {
    /// Listen here. Let nobody else reach it but through a proxy that speaks TLS.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8790")]
    listen: SocketAddr,
    /// Show this store: sqlite:///path/to/file.db or a path [default: an SQLite file in the user's state folder].
    #[arg(long, value_name = "URL", env = "SIDECAR_STORE", hide_env_values = true)]
    store: Option<StoreUrl>,
    /// Let those in whom this file names.
    #[arg(long, value_name = "FILE")]
    users: Option<PathBuf>,
    /// Set cookies for https only: browsers come through a proxy that speaks TLS.
    #[arg(long)]
    behind_tls: bool,
    /// Believe this header, e.g. X-Forwarded-User: a proxy has asked people itself, and removes the header from what they
    /// send. Whom --users does not name may only look.
    #[arg(long, value_name = "HEADER")]
    trust_user_header: Option<axum::http::HeaderName>,
    /// Trust these certificate authorities (PEM) for receivers of alerts, besides the system's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Choose how log lines look.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    // Last, as its heading would also stand over what follows.
    #[command(flatten)]
    settings: SourceArgs,
}

/// A token of fewer characters can be guessed.
const FEWEST_CHARS: usize = 16;

/// Runs `review`.
///
/// # Errors
/// [`Failure`] when nobody may log in, the store cannot be used, or the address cannot be listened on.
pub async fn run(args: ReviewArgs) -> Result<Exit, Failure> {
    telemetry::init(args.log_format);
    let stop = shutdown::on_signal();
    let settings = args.settings.load()?.settings;
    let secrets = secrets::load(&[SecretName::ReviewToken, SecretName::Webhook])?;
    if secrets.review_token.as_ref().is_some_and(|token| token.expose().chars().count() < FEWEST_CHARS) {
        tracing::warn!(
            "SIDECAR_REVIEW_TOKEN has fewer than {FEWEST_CHARS} characters, and whoever guesses it may see and change \
             everything; make one with `openssl rand -hex 16`"
        );
    }
    let users = Users::new(secrets.review_token, args.users.as_deref())
        .map_err(|error| Failure::new(Exit::BadSettings, error))?;
    if users.is_empty() && args.trust_user_header.is_none() {
        let why = match &args.users {
            Some(file) => format!("there is no token, and {} names nobody", file.display()),
            None => "there is neither a token nor a users file".to_owned(),
        };
        return Err(Failure::new(Exit::BadSettings, format!("nobody may log in: {why}")).help(
            "set SIDECAR_REVIEW_TOKEN, e.g. to what `openssl rand -hex 16` prints, or name a file with --users",
        ));
    }
    if !args.listen.ip().is_loopback() && !args.behind_tls {
        tracing::warn!(
            "tokens and what callers said go over the network in clear; put a proxy in front, with --behind-tls"
        );
    }
    let url = StoreUrl::or_of_user(args.store).map_err(|error| Failure::new(Exit::StoreUnusable, error))?;
    let was_there = url.is_there();
    let store = open_store(Some(url)).await?;
    if !was_there {
        // A name that is misspelt would look like a quiet day.
        tracing::warn!(store = %store.url(), "there was no store here, so a new one was made, which knows of no call");
    }
    let signer = Signer::new(secrets.webhook).ok();
    let authorities = authorities(args.ca_file.as_deref())?;
    let deliverer = Deliverer::new(store.clone(), signer, clock::system(), authorities)
        .with_secrets(TargetSecrets::of(Env::of_process()));
    let outgoing = Outgoing::from_settings(&settings.webhook);
    let options = Options { behind_tls: args.behind_tls, user_header: args.trust_user_header };
    let review = Review::new(store.clone(), users, deliverer, outgoing, options)
        .ok_or_else(|| Failure::new(Exit::Other, "the system gave no random bytes"))?;
    let listener = bind(args.listen, "--listen").await?;
    let address = listener.local_addr()?;
    // The pages are there, whoever reads this.
    let _ = say(format_args!("review pages at http://{address}/"));
    serve(listener, review, stop).await?;
    store.close().await;
    Ok(Exit::Ok)
}
