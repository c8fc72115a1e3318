//! The checks; each stands alone.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use url::{Host, Url};

use super::finding::{Check, Finding};
use crate::alert::Alert;
use crate::alert::notice::Told;
use crate::alert::outgoing::Outgoing;
use crate::cli::exit::Failure;
use crate::clock;
use crate::config::Loaded;
use crate::config::plain;
use crate::config::secret::{SecretErrors, Secrets};
use crate::config::settings::{ActionKind, Settings, TransferMode};
use crate::config::target_secrets::TargetSecrets;
use crate::config::targets::{NotifyTarget, SecretVariable};
use crate::notify::guard::Guard;
use crate::notify::send::{NotTold, Sender};
use crate::notify::sign::{NoSigner, Signer};
use crate::replay::tune::cell::Cell;
use crate::room::error::RoomEvent;
use crate::room::message::RoomMessage;
use crate::room::{Target, open};
use crate::store::{Store, StoreUrl};
use crate::tls::{Authorities, TlsError};
use crate::transfer::sip::SipAgent;
use crate::transfer::sip::media::whisper::{BadWhisper, Whisper};

/// How long a peer may take to answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// What mends a SIP peer that answers with a failure of its own.
pub(super) const MEND_FAILING: &str =
    "the SIP peer is there and fails: look into its own log, and check sentimentSipProxy";

/// Settings fit, alone and together.
pub(super) fn settings(loaded: &Result<Loaded, Failure>) -> Vec<Finding> {
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(failure) => return vec![Check::Settings.fail(failure, "set what is allowed, and try again")],
    };
    let Settings { threshold, window, action, enabled, .. } = &loaded.settings;
    let turns = if *window == 1 { "turn" } else { "consecutive turns" };
    let streak = format!("{window} {turns} rated below {threshold}");
    let others = Cell { streak: None, ..Cell::of(&loaded.settings) };
    let rules = if others == Cell::none() { streak } else { format!("{streak}, or {}", others.told()) };
    let mut findings = vec![Check::Settings.ok(format!("{rules} lead to {}", action.kind()))];
    if !enabled {
        findings.push(
            Check::Settings.warn("sentimentEscalationEnabled is false, so attach ends at once without joining a room"),
        );
    }
    if let (TransferMode::Attended, Some(file)) = (loaded.settings.sip.mode, &loaded.settings.sip.consult.whisper_file)
        && let Err(error) = Whisper::from_file(file)
    {
        findings.push(Check::Settings.fail(error, BadWhisper::MEND));
    }
    findings.extend(loaded.warnings.iter().map(|warning| Check::Settings.warn(warning)));
    findings
}

/// Secrets can be used, and those that the settings need are there.
pub(super) fn secrets(
    secrets: &Result<Secrets, SecretErrors>,
    settings: Option<&Settings>,
    targets: &TargetSecrets,
) -> Vec<Finding> {
    let secrets = match secrets {
        Ok(secrets) => secrets,
        Err(errors) => return vec![Check::Secrets.fail(errors, "set each to what is allowed, or unset it")],
    };
    let mut findings = Vec::new();
    if secrets.webhook.is_empty() && settings.is_some_and(|s| s.webhook.needs_signature()) {
        findings.push(Check::Secrets.fail(NoSigner, NoSigner::MEND));
    }
    if let Some(Err(errors)) = settings.map(|settings| targets.check(&settings.webhook.targets)) {
        findings.push(Check::Secrets.fail(errors, "set each, or the variable with _FILE behind it to its file"));
    }
    if settings.is_some_and(|s| s.sip.user.is_some()) && secrets.sip_password.is_none() {
        findings.push(Check::Secrets.warn("sentimentSipUser is set and SIDECAR_SIP_PASSWORD is not: no SIP login"));
    }
    if findings.is_empty() {
        let set = [
            ("room token", secrets.room_token.is_some()),
            ("webhook secret", !secrets.webhook.is_empty()),
            ("SIP password", secrets.sip_password.is_some()),
            ("LLM API key", secrets.llm_api_key.is_some()),
            ("review token", secrets.review_token.is_some()),
        ];
        let targets = settings.map(|settings| settings.webhook.targets.as_slice()).unwrap_or_default();
        let set = set.into_iter().filter_map(|(name, is_set)| is_set.then_some(name));
        let set: Vec<&str> =
            set.chain(targets.iter().filter_map(NotifyTarget::secret).map(SecretVariable::as_str)).collect();
        let said = if set.is_empty() { "none set, none needed".to_owned() } else { format!("set: {}", set.join(", ")) };
        findings.push(Check::Secrets.ok(said));
    }
    findings
}

/// The store opens, and so does the board's file beside it where there is one; the store is made where there is none.
pub(super) async fn store(url: Option<StoreUrl>) -> Finding {
    let url = match StoreUrl::or_of_user(url) {
        Ok(url) => url,
        Err(error) => return Check::Store.fail(error, "name it with --store or SIDECAR_STORE"),
    };
    let was_there = url.is_there();
    match Store::open(&url).await {
        Ok(store) => {
            let said = match was_there {
                true => format!("{} opens", store.url()),
                // A name that is misspelt would look right.
                false => format!("there was none, so {} was made", store.url()),
            };
            let board = store.standings(clock::unix_ms()).await;
            store.close().await;
            match board {
                Ok(_) => Check::Store.ok(said),
                Err(error) => {
                    Check::Store.fail(&error, "it holds calls in progress only, and a new one is made by itself")
                }
            }
        }
        Err(error) if url.is_there() => {
            Check::Store.fail(&error, "mend or move what is there, or name another file with --store")
        }
        Err(error) => Check::Store.fail(&error, "name a file in a folder that can be written, with --store"),
    }
}

/// The host of each place that alerts go to resolves to an address that they may reach, and takes connections. Nothing is
/// sent.
pub(super) async fn webhooks(settings: Option<&Settings>, targets: &TargetSecrets) -> Vec<Finding> {
    let Some(settings) = settings else { return vec![Check::Webhook.skip("waits for right settings")] };
    let all = Outgoing::from_settings(&settings.webhook);
    if all.is_empty() {
        return vec![Check::Webhook.skip("sentimentNotifyWebhook and sentimentNotifyTargets are not set")];
    }
    let sender = Sender::new(None, targets.clone(), clock::system(), Authorities::default());
    let mut findings = Vec::with_capacity(all.len());
    for outgoing in &all {
        findings.push(match sender.place(outgoing) {
            Ok((url, _)) => webhook(outgoing, url.url()).await,
            // Which secret is missing is told among the secrets.
            Err(_) => Check::Webhook.skip(format!("{}waits for its secret", name(outgoing))),
        });
    }
    findings
}

/// What goes before what is said of a place.
fn name(outgoing: &Outgoing) -> String {
    if outgoing.target.is_empty() { String::new() } else { format!("{}: ", outgoing.target) }
}

async fn webhook(outgoing: &Outgoing, url: &Url) -> Finding {
    let (name, host) = (name(outgoing), url.host_str().unwrap_or_default());
    let key = if outgoing.target.is_empty() { "sentimentNotifyWebhook" } else { "sentimentNotifyTargets" };
    let addresses = match resolve(url).await {
        Ok(addresses) => addresses,
        Err(error) => {
            return Check::Webhook.fail(
                format!("{name}{host} does not resolve: {}", plain(&error.to_string())),
                format!("check {key} and the name server"),
            );
        }
    };
    let guard = Guard::new(url, &outgoing.allow);
    let mut problem = format!("{host} has no address");
    for address in addresses {
        match guard.judge(url.domain(), address.ip()) {
            Err(refusal) => problem = refusal.to_string(),
            Ok(()) => match timeout(PATIENCE, TcpStream::connect(address)).await {
                Ok(Ok(_)) => {
                    return Check::Webhook.ok(format!("{name}{host} takes connections at {address}; nothing was sent"));
                }
                Ok(Err(error)) => problem = format!("{host} at {address}: {error}"),
                Err(_) => problem = format!("{host} at {address} does not answer within {} s", PATIENCE.as_secs()),
            },
        }
    }
    Check::Webhook.fail(format!("{name}{problem}"), format!("check {key}, sentimentWebhookAllow and the receiver"))
}

/// Sends an alert that is marked as a test to each place that alerts go to.
pub(super) async fn send_test(
    settings: Option<&Settings>,
    secrets: Option<&Secrets>,
    targets: &TargetSecrets,
    authorities: &Result<Authorities, TlsError>,
) -> Vec<Finding> {
    let (Some(settings), Some(secrets), Ok(authorities)) = (settings, secrets, authorities) else {
        return vec![Check::Test.skip("waits for right settings and secrets")];
    };
    let signer = Signer::new(secrets.webhook.clone()).ok();
    let sender = Sender::new(signer, targets.clone(), clock::system(), authorities.clone());
    let now_ms = clock::unix_ms();
    let mut findings = Vec::new();
    for outgoing in Outgoing::from_settings(&settings.webhook) {
        let alert = Alert::test(settings.action.kind(), now_ms);
        let told = Told { link: outgoing.link_of(&alert), alert, test: true };
        let name = if outgoing.target.is_empty() { "webhook" } else { &outgoing.target };
        findings.push(match sender.try_out(&told, &outgoing).await {
            Ok(status) => Check::Test.ok(format!("{name} took the test alert {} ({status})", told.alert.id)),
            // Which variable is to be set is said there, and is ours to say in full.
            Err(problem @ NotTold::Unsent(_)) => {
                Check::Test.fail(format!("{name} {problem}"), "mend that secret, and try again")
            }
            Err(problem) => Check::Test.fail(
                format!("{name} {}", plain(&problem.to_string())),
                "look into the receiver's own log, and check its settings and secret",
            ),
        });
    }
    if findings.is_empty() {
        findings.push(Check::Test.skip("alerts go nowhere: set sentimentNotifyWebhook or sentimentNotifyTargets"));
    }
    findings
}

async fn resolve(url: &Url) -> io::Result<Vec<SocketAddr>> {
    let port = url.port_or_known_default().unwrap_or(443);
    match url.host() {
        Some(Host::Ipv4(ip)) => Ok(vec![(ip, port).into()]),
        Some(Host::Ipv6(ip)) => Ok(vec![(ip, port).into()]),
        Some(Host::Domain(name)) => {
            let late = || io::Error::new(io::ErrorKind::TimedOut, "no answer from the name server");
            Ok(timeout(PATIENCE, lookup_host((name, port))).await.map_err(|_| late())??.collect())
        }
        None => Ok(Vec::new()),
    }
}

/// Our SIP address can be bound, and the proxy answers OPTIONS and takes REFER.
pub(super) async fn sip(settings: Option<&Settings>, secrets: Option<&Secrets>) -> Finding {
    let (Some(settings), Some(secrets)) = (settings, secrets) else {
        return Check::Sip.skip("waits for right settings and secrets");
    };
    if settings.action.kind() != ActionKind::Transfer {
        return Check::Sip.skip("the action is not transfer");
    }
    let agent = match SipAgent::start(&settings.sip, secrets.sip_password.clone()).await {
        Ok(agent) => agent,
        Err(error) => {
            return Check::Sip
                .fail(error, "set sentimentSipListen to an address of this machine, port 0 picks a free one");
        }
    };
    let Some(proxy) = &settings.sip.proxy else {
        return Check::Sip
            .ok(format!("listens at {}; without sentimentSipProxy each call names its peer", agent.listen()));
    };
    match agent.ping(proxy, PATIENCE).await {
        Err(error) => Check::Sip.fail(
            format!("{proxy}: {}", plain(&error.to_string())),
            "check sentimentSipProxy, sentimentSipTransport, sentimentSipUser and SIDECAR_SIP_PASSWORD",
        ),
        Ok(peer) if peer.fails() => Check::Sip
            .fail(format!("{proxy} at {} answers {} {}", peer.address, peer.status, plain(&peer.reason)), MEND_FAILING),
        Ok(peer) if peer.allows_refer() == Some(false) => Check::Sip.fail(
            format!("{proxy} answers {} and does not allow REFER, only {}", peer.status, plain(&peer.allow.join(" "))),
            "let the SIP peer take REFER, or offer the transfer command in the room",
        ),
        Ok(peer) => {
            let login = if peer.authenticated { ", login taken" } else { "" };
            let refer = match peer.allows_refer() {
                None => ", does not say whether it takes REFER".to_owned(),
                Some(_) => format!(", takes REFER; allows {}", plain(&peer.allow.join(" "))),
            };
            let said = format!(
                "{proxy} at {} answers {} {} in {} ms{login}{refer}",
                peer.address,
                peer.status,
                plain(&peer.reason),
                peer.round_trip.as_millis(),
            );
            if (200..300).contains(&peer.status) { Check::Sip.ok(said) } else { Check::Sip.warn(said) }
        }
    }
}

/// What mends a room of the native dialect.
pub(super) const MEND_ROOM: &str = "check --room-url, --room, --ca-file and SIDECAR_ROOM_TOKEN";

/// The room lets us in: it is dialled once, greeted, and left.
pub(super) async fn room(
    target: Option<Target>,
    secrets: Option<&Secrets>,
    authorities: &Result<Authorities, TlsError>,
    mend: &str,
) -> Finding {
    let Some(mut target) = target else { return Check::Room.skip("name one with --room-url and --room") };
    if secrets.is_none() {
        return Check::Room.skip("waits for right secrets");
    }
    let authorities = match authorities {
        Ok(authorities) => authorities,
        Err(error) => return Check::Room.fail(error, mend),
    };
    (target.patience.connect_timeout, target.patience.welcome_timeout) = (PATIENCE, PATIENCE);
    let mut handle = open(target, authorities);
    let finding = loop {
        match handle.next().await {
            RoomEvent::Message(RoomMessage::Welcome(welcome)) => {
                let name = plain(&welcome.room_name);
                break Check::Room.ok(format!("welcomed to {name} with {} participants", welcome.participants.len()));
            }
            RoomEvent::Message(_) | RoomEvent::BadFrame(_) | RoomEvent::HistoryMissing { .. } => {}
            RoomEvent::Lost { detail, .. } => break Check::Room.fail(plain(&detail), mend),
            RoomEvent::Refused(error) | RoomEvent::GaveUp(error) => {
                break Check::Room.fail(plain(&error.to_string()), mend);
            }
            RoomEvent::Broke => break Check::Room.fail("this program broke, which is a bug", mend),
            RoomEvent::Over => break Check::Room.fail("the room ended before it said welcome", mend),
        }
    };
    handle.close().await;
    finding
}
