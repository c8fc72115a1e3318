//! `doctor --sip`: whether a transfer over SIP would work, step by step, and by which ways.

use super::checks::{MEND_FAILING, PATIENCE};
use super::finding::{Check, Finding, Step};
use crate::config::plain;
use crate::config::secret::Secrets;
use crate::config::settings::{Action, Settings, TransferMode};
use crate::transfer::sip::SipAgent;
use crate::transfer::sip::options::{PeerReport, PingError, Place};

const MEND_PEER: &str = "check sentimentSipProxy, sentimentSipTransport, sentimentSipNameserver and sentimentSipCaFile";
const MEND_LOGIN: &str = "check sentimentSipUser, sentimentSipRealm and SIDECAR_SIP_PASSWORD";

/// Goes through the steps, as far as each lets the next one begin. `peer` is the one to ask; without it the proxy is.
pub(super) async fn examine(
    settings: Option<&Settings>,
    secrets: Option<&Secrets>,
    peer: Option<&str>,
) -> Vec<Finding> {
    let (Some(settings), Some(secrets)) = (settings, secrets) else {
        return vec![Check::Sip.skip("waits for right settings and secrets")];
    };
    let mut findings = vec![target(settings)];
    let agent = match SipAgent::start(&settings.sip, secrets.sip_password.clone()).await {
        Ok(agent) => agent,
        Err(error) => {
            findings.push(
                Check::Transfer(Step::Listen).fail(error, "set sentimentSipListen to an address of this machine"),
            );
            return findings;
        }
    };
    findings.push(Check::Transfer(Step::Listen).ok(format!("{}, UDP and TCP", agent.listen())));
    let Some(peer) = peer.or(settings.sip.proxy.as_deref()) else {
        findings.push(
            Check::Transfer(Step::Resolve)
                .fail("there is no sentimentSipProxy, so each call names its peer", "name one of them: --sip=sip:HOST"),
        );
        return findings;
    };
    match agent.places(peer).await {
        Ok(places) => findings.push(Check::Transfer(Step::Resolve).ok(shown(peer, settings, &places))),
        Err(error) => {
            findings.push(Check::Transfer(Step::Resolve).fail(plain(&error.to_string()), MEND_PEER));
            return findings;
        }
    }
    match agent.ping(peer, PATIENCE).await {
        Ok(report) => findings.extend(answered(&report, settings, secrets)),
        Err(error) => findings.push(unanswered(&error)),
    }
    findings
}

fn target(settings: &Settings) -> Finding {
    let check = Check::Transfer(Step::Target);
    match &settings.action {
        Action::Transfer { target } => check.ok(format!("a number of country code {}", target.country_code())),
        action => check.warn(format!("the action is {}, so nobody is transferred", action.kind())),
    }
}

fn shown(peer: &str, settings: &Settings, places: &[Place]) -> String {
    let places: Vec<String> =
        places.iter().map(|place| format!("{} {}", place.transport.name(), place.address)).collect();
    let by_way = settings.sip.proxy.as_ref().filter(|proxy| *proxy != peer);
    let by_way = by_way.map(|proxy| format!(" by way of {proxy}")).unwrap_or_default();
    format!("{}{}: {}", plain(peer), plain(&by_way), places.join(", then "))
}

fn unanswered(error: &PingError) -> Finding {
    let said = plain(&error.to_string());
    match error {
        PingError::Unauthorized { .. } => Check::Transfer(Step::Login).fail(said, MEND_LOGIN),
        PingError::Peer(_) | PingError::Unreachable { .. } | PingError::Silent { .. } => {
            Check::Transfer(Step::Reach).fail(said, MEND_PEER)
        }
    }
}

fn answered(report: &PeerReport, settings: &Settings, secrets: &Secrets) -> Vec<Finding> {
    let reach = Check::Transfer(Step::Reach);
    let said = format!(
        "{} {} answers {} {} in {} ms",
        report.transport.name(),
        report.address,
        report.status,
        plain(&report.reason),
        report.round_trip.as_millis(),
    );
    if report.fails() {
        return vec![reach.fail(said, MEND_FAILING)];
    }
    let reach = if (200..300).contains(&report.status) { reach.ok(said) } else { reach.warn(said) };
    let login = Check::Transfer(Step::Login);
    let can_log_in = settings.sip.user.is_some() && secrets.sip_password.is_some();
    let login = match (report.challenged, can_log_in) {
        (true, _) if report.authenticated => login.ok("was asked for, and taken"),
        (true, _) => login.warn(format!("was asked for, and {} does not say whether it was taken", report.status)),
        (false, true) => login.ok("was not asked for; it is ready for when a REFER is challenged"),
        (false, false) => login.skip("was not asked for, and there is none"),
    };
    vec![reach, login, inside(report), outside(report), attended(report, settings)]
}

/// Whether the peer takes a method, as it says itself.
fn takes(check: Check, method: &str, allowed: Option<bool>, report: &PeerReport) -> Finding {
    match allowed {
        Some(true) => check.ok(format!("it allows {method}")),
        Some(false) => check.fail(
            format!("it does not allow {method}, only {}", plain(&report.allow.join(" "))),
            "let the SIP peer take it, or offer the transfer command in the room",
        ),
        None => check.warn(format!("it does not say whether it allows {method}")),
    }
}

fn inside(report: &PeerReport) -> Finding {
    takes(Check::Transfer(Step::Inside), "REFER", report.allows_refer(), report)
}

fn outside(report: &PeerReport) -> Finding {
    let check = Check::Transfer(Step::Outside);
    match (report.allows_refer(), report.supports_target_dialog()) {
        (Some(false), _) => check.skip("it does not allow REFER"),
        (_, true) => check.ok("it supports tdialog, so rooms need not reserve a CSeq"),
        (_, false) => check.warn("it does not say that it supports tdialog: let rooms hand over a reserved CSeq"),
    }
}

fn attended(report: &PeerReport, settings: &Settings) -> Finding {
    let check = Check::Transfer(Step::Attended);
    if settings.sip.mode != TransferMode::Attended {
        return check.skip("sentimentTransferMode is blind");
    }
    match (report.allows_invite(), report.supports_replaces()) {
        (Some(false), _) | (None, true) => takes(check, "INVITE", report.allows_invite(), report),
        (Some(true), true) => check.ok("it allows INVITE and supports replaces"),
        (_, false) => check.warn("it does not say that it supports replaces, with which the caller's call takes over"),
    }
}
