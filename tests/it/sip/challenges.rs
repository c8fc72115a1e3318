//! Credentials where the human is called: asked for by a server and by a proxy, with a nonce that goes stale, and in a way
//! that cannot be met.

use sentiment_sidecar::alert::outcome::Outcome;
use sentiment_sidecar::call::route::Route;
use sentiment_sidecar::config::secret::Secret;
use sentiment_sidecar::config::settings::{Consult, Sip, SipTransport};
use sentiment_sidecar::transfer::sip::SipAgent;

use super::attended::attended;
use super::sipp::{SERVER_ASKS, Sipp};
use super::{assert_sound, dialog, settings, steps, transfer};

type Keys = &'static [(&'static str, &'static str)];

/// Who asks, as keys of a scenario, with the status of it and the header that answers it.
const ASKERS: [(Keys, u16, &str); 2] = [(&SERVER_ASKS, 401, "Authorization"), (&[], 407, "Proxy-Authorization")];

async fn with_login(sip: Sip) -> SipAgent {
    let sip = Sip { user: Some("sidecar".to_owned()), realm: Some("pbx".to_owned()), ..sip };
    SipAgent::start(&sip, Some(Secret::new("pass"))).await.unwrap()
}

/// A route to the human by way of a caller's side that hears of nothing.
fn asking() -> Route {
    Route::Attended { dialog: dialog("127.0.0.1:9".parse().unwrap()) }
}

#[tokio::test]
async fn whoever_asks_gets_credentials_for_the_call_and_for_its_end() {
    for (keys, status, header) in ASKERS {
        let human = Sipp::start("human_behind_proxy", SipTransport::Udp, 1, keys).await;
        let sip = attended(human.address);
        let consult = Consult { accept_timeout_ms: 300, ..sip.consult.clone() };
        let agent = with_login(Sip { consult, ..sip }).await;
        let (outcome, told) = transfer(&agent, asking(), 10_000).await;
        assert_eq!(outcome, Outcome::NoAnswer, "{told:?}");
        assert!(steps(&told).contains(&("challenged", Some(status))), "{told:?}");
        agent.released().await;
        let seen = human.finish().await;
        assert_sound(&seen);
        assert_eq!(seen.with_header(header), 3, "{header} in INVITE, ACK and BYE");
    }
}

#[tokio::test]
async fn a_nonce_that_went_stale_is_replaced_in_a_call_too() {
    for (keys, status, header) in ASKERS {
        let human = Sipp::start("human_stale", SipTransport::Udp, 1, keys).await;
        let agent = with_login(attended(human.address)).await;
        let (outcome, told) = transfer(&agent, asking(), 10_000).await;
        assert_eq!(outcome, Outcome::Busy, "{told:?}");
        assert_eq!(steps(&told).iter().filter(|step| **step == ("challenged", Some(status))).count(), 2, "{told:?}");
        let seen = human.finish().await;
        assert_sound(&seen);
        assert!(seen.with_header(header) >= 2, "{header} in two INVITEs");
    }
}

#[tokio::test]
async fn a_challenge_for_auth_int_alone_is_refused_with_its_reason() {
    for (keys, status, _) in ASKERS {
        for (scenario, kind) in [("auth_int", "REFER"), ("human_auth_int", "INVITE")] {
            let peer = Sipp::start(scenario, SipTransport::Udp, 1, keys).await;
            let (route, sip) = match kind {
                "REFER" => (Route::ReferInDialog { dialog: dialog(peer.address) }, settings(SipTransport::Udp)),
                _ => (asking(), attended(peer.address)),
            };
            let (outcome, told) = transfer(&with_login(sip).await, route, 10_000).await;
            let Outcome::Rejected { code, reason } = outcome else { panic!("{kind}: {outcome:?} {told:?}") };
            assert_eq!(code, status.to_string(), "{kind}");
            assert!(reason.contains("auth-int only"), "{kind}: {reason}");
            let seen = peer.finish().await;
            assert_sound(&seen);
            let sent = seen.received.iter().filter(|message| message.starts_with(kind.as_bytes())).count();
            assert_eq!(sent, 1, "{kind} goes out once");
        }
    }
}
