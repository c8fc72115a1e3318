//! What must not be left behind by a call to a human: phones that ring on, answers without an ACK, a BYE that nobody heard.

use std::net::SocketAddr;
use std::time::Duration;

use sentiment_sidecar::alert::outcome::Outcome;
use sentiment_sidecar::call::route::{Route, TransferRequest};
use sentiment_sidecar::config::settings::{Sip, SipTransport};
use sentiment_sidecar::room::message::SipDialog;
use sentiment_sidecar::transfer::sip::{SipAgent, Stop, Timing};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};

use super::attended::{ask, attended};
use super::dialog;
use super::dnsmasq::Dnsmasq;
use super::hostile::Peer;
use super::human::Phone;
use super::sipp::Sipp;

async fn transfer(agent: &SipAgent, request: TransferRequest) -> Outcome {
    agent.transfer(request, mpsc::channel(64).0, Stop::default()).await
}

/// A caller's side that hears of nothing.
async fn caller() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.unwrap()
}

#[tokio::test]
async fn a_refusal_that_comes_again_is_acknowledged_again() {
    for (status, expected) in [("486 Busy Here", Outcome::Busy), ("603 Decline", Outcome::Declined)] {
        let phone = Phone::ring("127.0.0.1").await;
        let agent = SipAgent::start(&attended(phone.address()), None).await.unwrap();
        let caller = caller().await;
        let (done, is_done) = tokio::sync::oneshot::channel();
        let human = tokio::spawn(async move {
            let call = phone.take("human").await;
            call.respond(status, "human").await;
            let first = call.receive("ACK ").await;
            is_done.await.unwrap();
            // Its ACK was lost.
            call.respond(status, "human").await;
            let second = call.receive("ACK ").await;
            let via = |ack: &str| ack.lines().find(|line| line.starts_with("Via:")).unwrap().to_owned();
            assert_eq!(via(&first), via(&second), "the branch of the INVITE");
            assert!(second.contains(";tag=human\r\n") && second.contains("CSeq: 1 ACK\r\n"), "{second}");
        });
        assert_eq!(transfer(&agent, ask(caller.local_addr().unwrap())).await, expected);
        done.send(()).unwrap();
        human.await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_was_given_up_is_not_left_to_ring() {
    for picks_up in [false, true] {
        let phone = Phone::ring("127.0.0.1").await;
        let next = Sipp::start("human_refuses", SipTransport::Udp, 1, &[("status", "486 Busy Here")]).await;
        let mut records = vec!["host-record=pbx.test,127.0.0.1".to_owned()];
        for (priority, address) in [(10, phone.address()), (20, next.address)] {
            records.push(format!("srv-host=_sip._udp.voice.test,pbx.test,{},{priority},0", address.port()));
        }
        let dns = Dnsmasq::start(&records).await;
        let target_domain = Some("voice.test".to_owned());
        let sip = Sip { target_domain, nameserver: Some(dns.address), ..attended(next.address) };
        let timing = Timing { t1: Duration::from_millis(50), t2: Duration::from_millis(400), ..Timing::default() };
        let agent = SipAgent::start_with(&sip, None, timing).await.unwrap();
        let (caller, call) = (caller().await, phone.take("late"));
        let (outcome, call) = tokio::join!(transfer(&agent, ask(caller.local_addr().unwrap())), call);
        assert_eq!(outcome, Outcome::Busy);
        if picks_up {
            call.pick_up("late").await;
            assert!(call.receive("ACK ").await.contains(";tag=late\r\n"));
            call.is_hung_up().await;
        } else {
            call.respond("180 Ringing", "late").await;
            call.is_cancelled().await;
        }
    }
}

#[tokio::test]
async fn an_answer_that_does_not_say_where_it_is_from_is_hung_up_all_the_same() {
    let phone = Phone::ring("127.0.0.1").await;
    let agent = SipAgent::start(&attended(phone.address()), None).await.unwrap();
    let caller = caller().await;
    let human = tokio::spawn(async move {
        let call = phone.take("human").await;
        call.respond("200 OK", "human").await;
        assert!(call.receive("ACK ").await.contains(";tag=human\r\n"));
        call.is_hung_up().await;
    });
    let outcome = transfer(&agent, ask(caller.local_addr().unwrap())).await;
    let Outcome::Rejected { code, reason } = outcome else { panic!("{outcome:?}") };
    assert!(code == "no_session" && reason.contains("Contact"), "{code}: {reason}");
    human.await.unwrap();
}

#[tokio::test]
async fn the_time_for_other_phones_runs_from_the_first_answer() {
    // Timer F of 64 x 30 ms instead of 32 s.
    let timing = Timing { t1: Duration::from_millis(30), t2: Duration::from_millis(240), ..Timing::default() };
    let phone = Phone::ring("127.0.0.1").await;
    let agent = SipAgent::start_with(&attended(phone.address()), None, timing).await.unwrap();
    let caller = caller().await;
    let (ended, has_ended) = tokio::sync::oneshot::channel();
    let human = tokio::spawn(async move {
        let call = phone.take("first").await;
        call.respond("180 Ringing", "first").await;
        tokio::time::sleep(timing.timer_f() * 5 / 4).await;
        call.pick_up("first").await;
        call.receive("ACK ").await;
        call.press(2, 1_000).await;
        call.is_hung_up_as("first").await;
        has_ended.await.unwrap();
        call.pick_up("second").await;
        assert!(call.receive("ACK ").await.contains(";tag=second\r\n"));
        call.is_hung_up_as("second").await;
    });
    assert_eq!(transfer(&agent, ask(caller.local_addr().unwrap())).await, Outcome::Declined);
    agent.released().await;
    ended.send(()).unwrap();
    human.await.unwrap();
}

/// A name server before another one, which answers only while `open` says so.
async fn gate(behind: SocketAddr, mut open: watch::Receiver<bool>) -> SocketAddr {
    let front = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = front.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut query, mut answer) = ([0; 1_500], [0; 1_500]);
        loop {
            let (length, from) = front.recv_from(&mut query).await.unwrap();
            if open.wait_for(|open| *open).await.is_err() {
                return;
            }
            let back = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            back.send_to(&query[..length], behind).await.unwrap();
            let length = back.recv(&mut answer).await.unwrap();
            front.send_to(&answer[..length], from).await.unwrap();
        }
    });
    address
}

#[tokio::test]
async fn a_caller_who_hangs_up_while_the_way_to_them_is_looked_up_is_gone() {
    let dns = Dnsmasq::start(&["host-record=caller.test,127.0.0.1".to_owned()]).await;
    let (open, is_open) = watch::channel(true);
    let phone = Phone::ring("127.0.0.1").await;
    let sip = Sip { nameserver: Some(gate(dns.address, is_open).await), ..attended(phone.address()) };
    let agent = SipAgent::start(&sip, None).await.unwrap();
    let caller = Peer::bind("127.0.0.1", agent.listen()).await;
    let stranger = Peer::bind("127.0.0.2", agent.listen()).await;
    let remote_target = Some(format!("sip:caller@caller.test:{}", caller.address().port()));
    let route = Route::Attended { dialog: SipDialog { remote_target, ..dialog(caller.address()) } };
    let request = TransferRequest { route, ..ask(caller.address()) };
    let (progress, mut heard) = mpsc::channel(64);
    let running = tokio::spawn(async move { agent.transfer(request, progress, Stop::default()).await });
    let call = phone.answer("human").await;
    // Who is not in the caller's dialog is told so once that dialog is known; asked more often, nobody answers a stranger.
    let mut cseq = 1;
    while stranger.ask("BYE", cseq, "", "").await != 403 {
        cseq += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    open.send_replace(false);
    call.press(1, 9_000).await;
    while heard.recv().await.unwrap().step != "taken" {}
    assert_eq!(caller.ask("BYE", 1, "", "").await, 200);
    assert_eq!(running.await.unwrap(), Outcome::CallerGone);
}
