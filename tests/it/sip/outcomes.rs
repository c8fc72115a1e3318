//! The outcomes of a transfer that no other test comes to over SIP.

use sentiment_sidecar::alert::outcome::Outcome;
use sentiment_sidecar::call::route::Route;
use sentiment_sidecar::config::settings::SipTransport;
use sentiment_sidecar::transfer::sip::{SipAgent, Stop};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::attended::{ask, attended};
use super::human::Phone;
use super::sipp::Sipp;
use super::{agent, assert_sound, but_acceptance, dialog, in_dialog, lies_ready, request, steps};

#[tokio::test]
async fn a_caller_who_hangs_up_during_the_transfer_is_gone() {
    for transport in [SipTransport::Udp, SipTransport::Tcp] {
        let peer = Sipp::start("caller_hangs_up", transport, 1, &[]).await;
        let agent = agent(transport).await;
        let (outcome, told) = in_dialog(&agent, peer.address, 10_000).await;
        assert_eq!(outcome, Outcome::CallerGone, "{transport:?}: {told:?}");
        assert_sound(&peer.finish().await);
    }
}

#[tokio::test]
async fn a_transfer_that_is_called_off_is_cancelled() {
    let peer = Sipp::start("silence", SipTransport::Udp, 1, &[]).await;
    let agent = agent(SipTransport::Udp).await;
    let (route, cancel) = (Route::ReferInDialog { dialog: dialog(peer.address) }, CancellationToken::new());
    let (progress, mut told) = mpsc::channel(64);
    let transfer = agent.transfer(request(route, 20_000), progress, cancel.clone());
    let (outcome, ()) = tokio::join!(transfer, async {
        while told.recv().await.is_some_and(|told| told.step != "accepted") {}
        cancel.cancel();
    });
    assert_eq!(outcome, Outcome::Cancelled);
    assert_sound(&peer.finish().await);
}

#[tokio::test]
async fn a_subscription_that_ends_without_a_final_status_is_unknown() {
    for (scenario, keys, last) in [
        ("terminated", vec![], ("terminated", None)),
        ("result", vec![("final", "183 Session Progress")], ("progress", Some(183))),
    ] {
        let peer = Sipp::start(scenario, SipTransport::Udp, 1, &keys).await;
        let agent = agent(SipTransport::Udp).await;
        let (outcome, told) = in_dialog(&agent, peer.address, 10_000).await;
        let told = but_acceptance(steps(&told), &("accepted", Some(202)));
        assert_eq!((outcome, told.last()), (Outcome::Unknown, Some(&last)), "{scenario}");
        assert_sound(&peer.finish().await);
    }
}

#[tokio::test]
async fn a_phone_that_times_out_is_no_answer() {
    let peer = Sipp::start("result", SipTransport::Udp, 1, &[("final", "408 Request Timeout")]).await;
    let agent = agent(SipTransport::Udp).await;
    let (outcome, told) = in_dialog(&agent, peer.address, 10_000).await;
    assert_eq!((outcome, steps(&told).last()), (Outcome::NoAnswer, Some(&("result", Some(408)))));
    assert_sound(&peer.finish().await);
}

#[tokio::test]
async fn a_call_of_which_only_100_was_heard_is_cancelled_when_the_caller_hangs_up() {
    let phone = Phone::ring("127.0.0.1").await;
    let agent = SipAgent::start(&attended(phone.address()), None).await.unwrap();
    let caller = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let stop = Stop::default();
    let human = async {
        let call = phone.take("human").await;
        call.respond("100 Trying", "human").await;
        stop.asking.cancel();
        call.is_cancelled().await;
    };
    let transfer = agent.transfer(ask(caller.local_addr().unwrap()), mpsc::channel(64).0, stop.clone());
    let (outcome, ()) = tokio::join!(transfer, human);
    assert_eq!(outcome, Outcome::Cancelled);
    assert_eq!(lies_ready(&caller), None, "nothing went to the caller's side");
}
