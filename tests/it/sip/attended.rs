//! Attended transfers: the human's side by SIPp, and by a phone of our own where a scenario cannot do it.

use std::net::SocketAddr;
use std::time::Duration;

use sentiment_sidecar::alert::outcome::Outcome;
use sentiment_sidecar::call::route::{Route, TransferRequest};
use sentiment_sidecar::config::secret::Secret;
use sentiment_sidecar::config::settings::{Consult, Settings, Sip, SipTransport, TransferMode};
use sentiment_sidecar::transfer::sip::{SipAgent, Stop, Timing};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use super::dnsmasq::Dnsmasq;
use super::human::Phone;
use super::sipp::{Sipp, free_port};
use super::tls_proxy::TlsProxy;
use super::{assert_sound, but_acceptance, dialog, lies_ready, request, settings, steps};

/// Settings of an attended transfer to the human at `human`.
pub(super) fn attended(human: SocketAddr) -> Sip {
    let consult = Consult { accept_timeout_ms: 6_000, ..Settings::default().sip.consult };
    let target_domain = Some(human.to_string());
    Sip { mode: TransferMode::Attended, consult, target_domain, ..settings(SipTransport::Udp) }
}

pub(super) fn ask(caller: SocketAddr) -> TransferRequest {
    TransferRequest { ringing_timeout_ms: 5_000, ..request(Route::Attended { dialog: dialog(caller) }, 10_000) }
}

/// The same with some more time for the human.
fn patient(request: TransferRequest) -> TransferRequest {
    TransferRequest { deadline_ms: 20_000, ..request }
}

/// A caller's side that hears of nothing.
async fn caller() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.unwrap()
}

fn assert_untouched(caller: &UdpSocket) {
    assert_eq!(lies_ready(caller), None);
}

type Told = Vec<(String, Option<u16>)>;

/// Asks the human and returns the outcome and the steps; `when` a step is told, `stop` is used.
async fn transfer_until(
    agent: &SipAgent,
    request: TransferRequest,
    when: &str,
    stop: impl FnOnce(&Stop),
) -> (Outcome, Told) {
    let (progress, mut heard) = mpsc::channel(64);
    let ending = Stop::default();
    let transfer = agent.transfer(request, progress, ending.clone());
    let mut stop = Some(stop);
    let listen = async {
        let mut told = Vec::new();
        while let Some(step) = heard.recv().await {
            if step.step == when
                && let Some(stop) = stop.take()
            {
                stop(&ending);
            }
            told.push((step.step, step.sip_status));
        }
        told
    };
    let (outcome, told) = tokio::join!(transfer, listen);
    tokio::time::timeout(Duration::from_secs(5), agent.released()).await.expect("the human is released");
    (outcome, told)
}

/// The same human, who is given up soon.
fn hasty(sip: Sip) -> Sip {
    Sip { consult: Consult { accept_timeout_ms: 1_500, ..sip.consult.clone() }, ..sip }
}

async fn transfer(agent: &SipAgent, request: TransferRequest) -> (Outcome, Told) {
    transfer_until(agent, request, "", |_| {}).await
}

#[tokio::test]
async fn a_human_who_does_not_take_the_call_leaves_the_caller_where_they_are() {
    for (status, expected) in [
        ("486 Busy Here", Outcome::Busy),
        ("603 Decline", Outcome::Declined),
        ("480 Temporarily Unavailable", Outcome::NoAnswer),
        ("404 Not Found", Outcome::Rejected { code: "404".to_owned(), reason: "Not Found".to_owned() }),
        ("302 Moved", Outcome::Rejected { code: "302".to_owned(), reason: "Moved".to_owned() }),
    ] {
        let human = Sipp::start("human_refuses", SipTransport::Udp, 1, &[("status", status)]).await;
        let (agent, caller) = (SipAgent::start(&attended(human.address), None).await.unwrap(), caller().await);
        let (outcome, told) = transfer(&agent, ask(caller.local_addr().unwrap())).await;
        assert_eq!(outcome, expected);
        let code = status[..3].parse().ok();
        assert_eq!(steps(&told), [("invite_sent", None), ("ringing", Some(180)), ("refused", code)]);
        assert_sound(&human.finish().await);
        assert_untouched(&caller);
    }
}

#[tokio::test]
async fn a_phone_that_nobody_answers_stops_ringing() {
    let human = Sipp::start("human_rings", SipTransport::Udp, 1, &[]).await;
    let (agent, caller) = (SipAgent::start(&attended(human.address), None).await.unwrap(), caller().await);
    let request = TransferRequest { ringing_timeout_ms: 300, ..ask(caller.local_addr().unwrap()) };
    let (outcome, told) = transfer(&agent, request).await;
    assert_eq!(outcome, Outcome::NoAnswer);
    assert_eq!(steps(&told).last(), Some(&("no_answer", None)));
    assert_sound(&human.finish().await);
    assert_untouched(&caller);
}

#[tokio::test]
async fn a_caller_who_hangs_up_and_a_process_that_stops_end_the_ringing_at_once() {
    let stops: [fn(&Stop); 2] = [|stop| stop.asking.cancel(), |stop| stop.cancel.cancel()];
    for stop in stops {
        for transport in [SipTransport::Udp, SipTransport::Tcp] {
            let human = Sipp::start("human_rings", transport, 1, &[]).await;
            let settings = Sip { transport, ..attended(human.address) };
            let (agent, caller) = (SipAgent::start(&settings, None).await.unwrap(), caller().await);
            let started = tokio::time::Instant::now();
            let (outcome, _) = transfer_until(&agent, ask(caller.local_addr().unwrap()), "ringing", stop).await;
            assert_eq!(outcome, Outcome::Cancelled);
            assert!(started.elapsed() < Duration::from_secs(4), "before the phone gives up");
            assert_sound(&human.finish().await);
            assert_untouched(&caller);
        }
    }
}

#[tokio::test]
async fn an_answer_that_crosses_the_cancel_is_hung_up() {
    let human = Sipp::start("human_answers_late", SipTransport::Udp, 1, &[]).await;
    let (agent, caller) = (SipAgent::start(&attended(human.address), None).await.unwrap(), caller().await);
    let (outcome, _) =
        transfer_until(&agent, ask(caller.local_addr().unwrap()), "ringing", |stop| stop.asking.cancel()).await;
    assert_eq!(outcome, Outcome::Cancelled);
    assert_sound(&human.finish().await);
    assert_untouched(&caller);
}

#[tokio::test]
async fn a_call_that_is_called_off_before_any_sign_of_life_is_cancelled_at_the_first() {
    let phone = Phone::ring("127.0.0.1").await;
    let agent = SipAgent::start(&attended(phone.address()), None).await.unwrap();
    let caller = caller().await;
    let (stopped, stop_seen) = tokio::sync::oneshot::channel();
    let human = tokio::spawn(async move {
        let call = phone.take("human").await;
        stop_seen.await.unwrap();
        call.respond("180 Ringing", "human").await;
        call.is_cancelled().await;
    });
    let stop = |stop: &Stop| {
        stop.asking.cancel();
        stopped.send(()).unwrap();
    };
    let (outcome, told) = transfer_until(&agent, ask(caller.local_addr().unwrap()), "invite_sent", stop).await;
    assert_eq!(outcome, Outcome::Cancelled);
    assert_eq!(steps(&told), [("invite_sent", None), ("called_off", None)]);
    human.await.unwrap();
    assert_untouched(&caller);
}

#[tokio::test]
async fn a_phone_behind_a_nat_hears_and_is_heard() {
    let phone = Phone::ring("127.0.0.1").await;
    let agent = SipAgent::start(&attended(phone.address()), None).await.unwrap();
    let caller = caller().await;
    let human = tokio::spawn(async move {
        let mut call = phone.answer("human").await;
        call.sounds_elsewhere().await;
        call.press(5, 1_000).await;
        assert!(call.hears_the_whisper().await, "where it presses from");
        call.press(2, 2_000).await;
        call.is_hung_up().await;
    });
    assert_eq!(transfer(&agent, ask(caller.local_addr().unwrap())).await.0, Outcome::Declined);
    human.await.unwrap();
}

#[tokio::test]
async fn a_human_who_presses_nothing_is_hung_up_and_so_is_a_phone_that_we_cannot_talk_to() {
    let no_session = |reason: &str| Outcome::Rejected { code: "no_session".to_owned(), reason: reason.to_owned() };
    for (codecs, expected) in [
        ("0 101", Outcome::NoAnswer),
        ("18 101", no_session("neither PCMU nor PCMA is left")),
        ("8", no_session("it takes no telephone events, so no digit can come")),
    ] {
        let human = Sipp::start("human_answers", SipTransport::Udp, 1, &[("codecs", codecs)]).await;
        let (agent, caller) = (SipAgent::start(&hasty(attended(human.address)), None).await.unwrap(), caller().await);
        let (outcome, told) = transfer(&agent, ask(caller.local_addr().unwrap())).await;
        assert_eq!(outcome, expected);
        let last = if expected == Outcome::NoAnswer { ("no_digit", None) } else { ("refused", Some(200)) };
        assert_eq!(steps(&told).last(), Some(&last));
        assert_sound(&human.finish().await);
        assert_untouched(&caller);
    }
}

#[tokio::test]
async fn a_human_who_hangs_up_during_the_whisper_declines() {
    let human = Sipp::start("human_hangs_up", SipTransport::Udp, 1, &[]).await;
    let (agent, caller) = (SipAgent::start(&attended(human.address), None).await.unwrap(), caller().await);
    let (outcome, told) = transfer(&agent, ask(caller.local_addr().unwrap())).await;
    assert_eq!(outcome, Outcome::Declined);
    assert_eq!(steps(&told)[2..], [("answered", Some(200)), ("hung_up", None)]);
    assert_sound(&human.finish().await);
    assert_untouched(&caller);
}

#[tokio::test]
async fn a_hold_is_answered_in_kind() {
    let human = Sipp::start("human_holds", SipTransport::Udp, 1, &[]).await;
    let (agent, caller) = (SipAgent::start(&hasty(attended(human.address)), None).await.unwrap(), caller().await);
    assert_eq!(transfer(&agent, ask(caller.local_addr().unwrap())).await.0, Outcome::NoAnswer);
    assert_sound(&human.finish().await);
}

#[tokio::test]
async fn credentials_and_recorded_routes_lead_through_a_proxy() {
    let human = Sipp::start("human_behind_proxy", SipTransport::Udp, 1, &[]).await;
    let (user, realm) = (Some("sidecar".to_owned()), Some("pbx".to_owned()));
    let settings = Sip { user, realm, ..hasty(attended(human.address)) };
    let (agent, caller) = (SipAgent::start(&settings, Some(Secret::new("pass"))).await.unwrap(), caller().await);
    let (outcome, told) = transfer(&agent, ask(caller.local_addr().unwrap())).await;
    assert_eq!(outcome, Outcome::NoAnswer);
    assert!(steps(&told).contains(&("challenged", Some(407))));
    assert_sound(&human.finish().await);

    let human = Sipp::start("human_refuses", SipTransport::Udp, 1, &[("status", "401 Unauthorized")]).await;
    let agent = SipAgent::start(&attended(human.address), None).await.unwrap();
    let (outcome, _) = transfer(&agent, ask(caller.local_addr().unwrap())).await;
    assert!(
        matches!(outcome, Outcome::Rejected { ref code, ref reason } if code == "401" && reason.contains("SIDECAR_SIP_PASSWORD")),
        "{outcome:?}"
    );
    assert_sound(&human.finish().await);
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let nobody = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let timing = Timing { t1: Duration::from_millis(5), t2: Duration::from_millis(40), ..Timing::default() };
    let agent = SipAgent::start_with(&attended(nobody), None, timing).await.unwrap();
    let caller = caller().await;
    let (outcome, _) = transfer(&agent, ask(caller.local_addr().unwrap())).await;
    assert!(matches!(outcome, Outcome::Unreachable { .. }), "{outcome:?}");
    assert_untouched(&caller);
}

#[tokio::test]
async fn the_accept_digit_hands_the_caller_over_with_replaces() {
    let caller = Sipp::start("result", SipTransport::Udp, 1, &[("final", "200 OK")]).await;
    let phone = Phone::ring("127.0.0.1").await;
    let agent = SipAgent::start(&attended(phone.address()), None).await.unwrap();
    let human = tokio::spawn(async move {
        let call = phone.answer("human").await;
        assert!(call.hears_the_whisper().await);
        call.press(5, 1_000).await;
        call.press(1, 9_000).await;
        call.is_hung_up().await;
        call.named()
    });
    let (outcome, told) = transfer(&agent, patient(ask(caller.address))).await;
    assert_eq!(outcome, Outcome::Transferred, "{told:?}");
    assert_eq!(
        but_acceptance(steps(&told).iter().map(|(step, _)| *step).collect(), &"accepted"),
        ["invite_sent", "ringing", "answered", "taken", "refer_sent", "trying", "ringing", "result"]
    );
    let replaces = human.await.unwrap();
    let seen = caller.finish().await;
    assert!(seen.passed, "{}", seen.errors);
    let refer = String::from_utf8_lossy(&seen.received[0]).into_owned();
    assert!(refer.contains(&format!("?Replaces={replaces}>\r\n")), "{replaces} in {refer}");
}

#[tokio::test]
async fn the_human_and_the_caller_are_reached_through_a_proxy_over_tls() {
    let proxy = TlsProxy::start(&["127.0.0.1"]).await;
    let caller = Sipp::start("result", SipTransport::Udp, 1, &[("final", "200 OK")]).await;
    let phone = Phone::ring("127.0.0.1").await;
    let sip = Sip {
        transport: SipTransport::Tls,
        proxy: Some(proxy.address.to_string()),
        ca_file: Some(proxy.ca_file()),
        ..attended(phone.address())
    };
    let agent = SipAgent::start(&sip, None).await.unwrap();
    let human = tokio::spawn(async move {
        let call = phone.answer("human").await;
        assert!(call.hears_the_whisper().await);
        call.press(1, 9_000).await;
        call.is_hung_up().await;
    });
    let (outcome, told) = transfer(&agent, patient(ask(caller.address))).await;
    assert_eq!(outcome, Outcome::Transferred, "{told:?}");
    human.await.unwrap();
    assert!(caller.finish().await.passed);
}

#[tokio::test]
async fn a_server_of_the_human_s_that_fails_is_followed_by_the_next_one() {
    let silent = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let down = Sipp::start("human_refuses", SipTransport::Udp, 1, &[("status", "503 Service Unavailable")]).await;
    let human = Sipp::start("human_refuses", SipTransport::Udp, 1, &[("status", "486 Busy Here")]).await;
    let mut records = vec!["host-record=pbx.test,127.0.0.1".to_owned()];
    for (priority, address) in [(10, silent), (20, down.address), (30, human.address)] {
        records.push(format!("srv-host=_sip._udp.voice.test,pbx.test,{},{priority},0", address.port()));
    }
    let dns = Dnsmasq::start(&records).await;
    let sip = Sip { target_domain: Some("voice.test".to_owned()), nameserver: Some(dns.address), ..attended(silent) };
    let timing = Timing { t1: Duration::from_millis(50), t2: Duration::from_millis(400), ..Timing::default() };
    let (agent, caller) = (SipAgent::start_with(&sip, None, timing).await.unwrap(), caller().await);
    let (outcome, told) = transfer(&agent, ask(caller.local_addr().unwrap())).await;
    assert_eq!(outcome, Outcome::Busy, "{told:?}");
    let told: Vec<_> = steps(&told).into_iter().filter(|(step, _)| *step != "ringing").collect();
    assert_eq!(
        told,
        [
            ("invite_sent", None),
            ("elsewhere", None),
            ("invite_sent", None),
            ("elsewhere", None),
            ("invite_sent", None),
            ("refused", Some(486))
        ]
    );
    assert_sound(&down.finish().await);
    assert_sound(&human.finish().await);
}

#[tokio::test]
async fn the_decline_digit_declines() {
    let phone = Phone::ring("127.0.0.1").await;
    let agent = SipAgent::start(&attended(phone.address()), None).await.unwrap();
    let caller = caller().await;
    let human = tokio::spawn(async move {
        let call = phone.answer("human").await;
        call.press(2, 1_000).await;
        call.is_hung_up().await;
    });
    let (outcome, told) = transfer(&agent, ask(caller.local_addr().unwrap())).await;
    assert_eq!(outcome, Outcome::Declined);
    assert_eq!(steps(&told).last(), Some(&("declined", None)));
    human.await.unwrap();
    assert_untouched(&caller);
}

#[tokio::test]
async fn a_human_over_ipv6_is_asked_alike() {
    let phone = Phone::ring("::1").await;
    let sip = Sip { listen: "[::1]:0".parse().unwrap(), ..attended(phone.address()) };
    let agent = SipAgent::start(&sip, None).await.unwrap();
    let caller = UdpSocket::bind("[::1]:0").await.unwrap();
    let human = tokio::spawn(async move {
        let call = phone.answer("human").await;
        assert!(call.hears_the_whisper().await);
        call.press(2, 1_000).await;
        call.is_hung_up().await;
    });
    assert_eq!(transfer(&agent, ask(caller.local_addr().unwrap())).await.0, Outcome::Declined);
    human.await.unwrap();
    assert_untouched(&caller);
}

#[tokio::test]
async fn every_answer_is_acknowledged_and_every_phone_but_the_first_hung_up() {
    let phone = Phone::ring("127.0.0.1").await;
    let agent = SipAgent::start(&attended(phone.address()), None).await.unwrap();
    let caller = caller().await;
    let human = tokio::spawn(async move {
        let call = phone.answer("first").await;
        // Its ACK was lost.
        call.pick_up("first").await;
        assert!(call.receive("ACK ").await.contains(";tag=first\r\n"));
        call.pick_up("second").await;
        assert!(call.receive("ACK ").await.contains(";tag=second\r\n"));
        call.is_hung_up_as("second").await;
        call.press(2, 1_000).await;
        call.is_hung_up_as("first").await;
        // One more, when all is over.
        call.pick_up("third").await;
        assert!(call.receive("ACK ").await.contains(";tag=third\r\n"));
        call.is_hung_up_as("third").await;
    });
    assert_eq!(transfer(&agent, ask(caller.local_addr().unwrap())).await.0, Outcome::Declined);
    human.await.unwrap();
    assert_untouched(&caller);
}

#[tokio::test]
async fn a_caller_s_side_that_cannot_replace_keeps_the_caller_and_the_human_is_released() {
    let caller = Sipp::start("result", SipTransport::Udp, 1, &[("final", "500 Server Internal Error")]).await;
    let phone = Phone::ring("127.0.0.1").await;
    let agent = SipAgent::start(&attended(phone.address()), None).await.unwrap();
    let human = tokio::spawn(async move {
        let call = phone.answer("human").await;
        call.press(1, 9_000).await;
        call.is_hung_up().await;
    });
    let (outcome, _) = transfer(&agent, ask(caller.address)).await;
    assert!(matches!(outcome, Outcome::Rejected { ref code, .. } if code == "500"), "{outcome:?}");
    human.await.unwrap();
    assert!(caller.finish().await.passed);
}

#[tokio::test]
async fn a_dropped_transfer_releases_the_human() {
    let phone = Phone::ring("127.0.0.1").await;
    let agent = SipAgent::start(&attended(phone.address()), None).await.unwrap();
    let caller = caller().await;
    let (progress, mut heard) = mpsc::channel(64);
    let transfer = agent.transfer(ask(caller.local_addr().unwrap()), progress, Stop::default());
    let picked_up = async {
        let call = phone.answer("human").await;
        while heard.recv().await.is_some_and(|told| told.step != "answered") {}
        call
    };
    let call = tokio::select! {
        outcome = transfer => panic!("{outcome:?}"),
        call = picked_up => call,
    };
    call.is_hung_up().await;
    assert_untouched(&caller);
}
