//! Blind transfers through Kamailio, which stays in the dialog and challenges the REFER, of a caller's baresip that really
//! calls the human's baresip, which really rings and answers.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use sentiment_sidecar::alert::outcome::{Outcome, Progress};
use sentiment_sidecar::call::route::Route;
use sentiment_sidecar::config::secret::Secret;
use sentiment_sidecar::config::settings::{Sip, SipTransport};
use sentiment_sidecar::transfer::sip::SipAgent;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::peers::{Answers, Baresip, Kamailio};
use super::sipp::free_port;
use super::ua::Call;
use super::{request, settings, steps, transfer};

const HUMAN: &str = "+14155551234";

/// The platform's call with the caller, and the sidecar that may refer it to numbers at `target`.
struct Scene {
    kamailio: Kamailio,
    caller: Baresip,
    agent: SipAgent,
    call: Call,
}

impl Scene {
    async fn set(transport: SipTransport, target: SocketAddr) -> Self {
        let (kamailio, mut caller) = tokio::join!(Kamailio::start(), Baresip::start("caller", Answers::Itself, ""));
        let sip = Sip {
            user: Some("kam".to_owned()),
            realm: Some("kam".to_owned()),
            target_domain: Some(target.to_string()),
            ..settings(transport)
        };
        let agent = SipAgent::start(&sip, Some(Secret::new("p"))).await.unwrap();
        let by_tcp = if transport == SipTransport::Tcp { ";transport=tcp" } else { "" };
        let callee = format!("{}{by_tcp}", caller.uri());
        let call = Call::place(transport, kamailio.address, &callee, Some(agent.listen())).await;
        caller.event("CALL_ESTABLISHED").await;
        Self { kamailio, caller, agent, call }
    }

    async fn transfer(&mut self) -> (Outcome, Vec<(String, Option<u16>)>) {
        let route = Route::ReferInDialog { dialog: self.call.hand_over() };
        transfer(&self.agent, route, 20_000).await
    }
}

/// A human whose phone rings until a test answers it.
async fn human() -> Baresip {
    Baresip::start(HUMAN, Answers::WhenTold, "call_max_calls 1\ncall_local_timeout 2").await
}

/// The new call stands, and audio flows both ways.
async fn assert_talking(caller: &mut Baresip, human: &mut Baresip) {
    for phone in [&mut *human, &mut *caller] {
        // Sound may come before the answer that it belongs to.
        phone.events(&["CALL_ESTABLISHED", "CALL_RTPESTAB"]).await;
    }
}

/// The agent hears the caller: RTP, version 2, PCMU in 20 ms.
async fn assert_heard(call: &Call) {
    let mut packet = [0; 500];
    let heard = tokio::time::timeout(Duration::from_secs(5), call.rtp.recv(&mut packet)).await;
    assert_eq!(heard.expect("no RTP").unwrap(), 12 + 160);
    assert_eq!((packet[0] >> 6, packet[1] & 0x7f), (2, 0));
}

async fn rings_answers_and_talks(transport: SipTransport) {
    let mut human = human().await;
    let mut scene = Scene::set(transport, human.address).await;
    assert_heard(&scene.call).await;
    let (route, cancel) = (Route::ReferInDialog { dialog: scene.call.hand_over() }, CancellationToken::new());
    let (progress, mut told) = mpsc::channel(64);
    let transferring = scene.agent.transfer(request(route, 20_000), progress, cancel);
    let (outcome, ()) = tokio::join!(transferring, async {
        human.event("CALL_INCOMING").await;
        human.command("accept", "").await;
    });
    assert_eq!(outcome, Outcome::Transferred, "{}", scene.kamailio.program.log());
    let mut steps = Vec::new();
    while let Ok(Progress { step, .. }) = told.try_recv() {
        steps.push(step);
    }
    // The acceptance and the first notification are sent at the same moment.
    steps[3..5].sort();
    assert_eq!(steps, ["refer_sent", "challenged", "refer_sent", "accepted", "trying", "result"]);
    assert_talking(&mut scene.caller, &mut human).await;
    // The platform's own leg is still there to be ended by the platform.
    scene.call.hang_up().await;
}

#[tokio::test]
async fn a_human_rings_answers_and_talks_to_the_caller_over_udp() {
    rings_answers_and_talks(SipTransport::Udp).await;
}

#[tokio::test]
async fn a_human_rings_answers_and_talks_to_the_caller_over_tcp() {
    rings_answers_and_talks(SipTransport::Tcp).await;
}

async fn fails_by_kind(transport: SipTransport) {
    let mut human = human().await;
    let mut scene = Scene::set(transport, human.address).await;

    // It rings out: this phone says 486 when nobody answers in its time.
    let (route, cancel) = (Route::ReferInDialog { dialog: scene.call.hand_over() }, CancellationToken::new());
    let (outcome, _) = tokio::join!(
        scene.agent.transfer(request(route, 20_000), mpsc::channel(64).0, cancel),
        human.event("CALL_INCOMING")
    );
    assert_eq!(outcome, Outcome::Busy);

    // Its only line is taken.
    let (address, uri) = (human.address, human.uri());
    let other = Call::place(SipTransport::Udp, address, &uri, None);
    let (mut other, ()) = tokio::join!(other, async {
        human.event("CALL_INCOMING").await;
        human.command("accept", "").await;
    });
    assert_eq!(scene.transfer().await.0, Outcome::Busy);
    other.hang_up().await;

    // The caller is still with the agent after all that, and can be heard to hang up.
    scene.call.hang_up().await;
}

#[tokio::test]
async fn a_human_who_is_busy_leaves_the_caller_where_it_was_over_udp() {
    fails_by_kind(SipTransport::Udp).await;
}

#[tokio::test]
async fn a_human_who_is_busy_leaves_the_caller_where_it_was_over_tcp() {
    fails_by_kind(SipTransport::Tcp).await;
}

#[tokio::test]
async fn a_number_that_does_not_exist_is_rejected_with_its_code() {
    for transport in [SipTransport::Udp, SipTransport::Tcp] {
        let other = Baresip::start("+14155550000", Answers::Itself, "").await;
        let mut scene = Scene::set(transport, other.address).await;
        let (outcome, told) = scene.transfer().await;
        assert_eq!(outcome, Outcome::Rejected { code: "404".to_owned(), reason: "Not Found".to_owned() });
        assert_eq!(steps(&told).last(), Some(&("result", Some(404))));
        scene.call.hang_up().await;
    }
}

#[tokio::test]
async fn a_phone_that_rings_past_the_deadline_is_unknown() {
    let mut human = Baresip::start(HUMAN, Answers::WhenTold, "").await;
    let mut scene = Scene::set(SipTransport::Udp, human.address).await;
    let (route, cancel) = (Route::ReferInDialog { dialog: scene.call.hand_over() }, CancellationToken::new());
    let (outcome, _) = tokio::join!(
        scene.agent.transfer(request(route, 1_500), mpsc::channel(64).0, cancel),
        human.event("CALL_INCOMING")
    );
    assert_eq!(outcome, Outcome::Unknown);
    scene.call.hang_up().await;
}

#[tokio::test]
async fn a_caller_who_hangs_up_while_the_phone_rings_is_gone() {
    let mut human = Baresip::start(HUMAN, Answers::WhenTold, "").await;
    let mut scene = Scene::set(SipTransport::Udp, human.address).await;
    let (route, cancel) = (Route::ReferInDialog { dialog: scene.call.hand_over() }, CancellationToken::new());
    let Scene { agent, caller, .. } = &mut scene;
    let (outcome, ()) = tokio::join!(agent.transfer(request(route, 20_000), mpsc::channel(64).0, cancel), async {
        human.event("CALL_INCOMING").await;
        caller.command("line", "1").await;
        caller.command("hangup", "").await;
    });
    // It says BYE, and by NOTIFY that its own call came to nothing (487), at the same moment.
    assert!(matches!(outcome, Outcome::CallerGone | Outcome::NoAnswer), "{outcome:?}");
}

#[tokio::test]
async fn a_proxy_that_does_not_know_our_password_refuses() {
    let mut scene = Scene::set(SipTransport::Udp, SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()))).await;
    let wrong = Sip { user: Some("kam".to_owned()), realm: Some("kam".to_owned()), ..settings(SipTransport::Udp) };
    scene.agent = SipAgent::start(&wrong, Some(Secret::new("wrong"))).await.unwrap();
    let (outcome, _) = scene.transfer().await;
    assert!(matches!(outcome, Outcome::Rejected { ref code, .. } if code == "407"), "{outcome:?}");
    scene.call.hang_up().await;
}

#[tokio::test]
async fn a_phone_that_does_not_know_target_dialog_refuses_a_refer_from_outside() {
    let mut scene = Scene::set(SipTransport::Udp, SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()))).await;
    let proxy = Some(scene.kamailio.address.to_string());
    scene.agent = SipAgent::start(&Sip { proxy, ..settings(SipTransport::Udp) }, None).await.unwrap();
    let (outcome, told) =
        transfer(&scene.agent, Route::ReferTargetDialog { dialog: scene.call.describe() }, 20_000).await;
    // It takes no REFER at all but in a call.
    assert_eq!(outcome, Outcome::Rejected { code: "501".to_owned(), reason: "Not Implemented".to_owned() });
    assert_eq!(steps(&told).last(), Some(&("refused", Some(501))));
    scene.call.hang_up().await;
}

/// This phone does not take the Contact of a REFER for the new remote target (RFC 5057 section 5): it notifies where the
/// platform said that it is. Who hands over a dialog names the sidecar's address, or passes such notifications on.
#[tokio::test]
async fn notifications_that_go_to_the_platform_alone_leave_the_outcome_unknown() {
    let human = Baresip::start(HUMAN, Answers::Itself, "").await;
    let mut scene = Scene::set(SipTransport::Udp, human.address).await;
    let (hop, uri) = (scene.kamailio.address, scene.caller.uri());
    let mut call = Call::place(SipTransport::Udp, hop, &uri, None).await;
    let route = Route::ReferInDialog { dialog: call.hand_over() };
    let (outcome, told) = transfer(&scene.agent, route, 2_000).await;
    assert_eq!((outcome, steps(&told).last()), (Outcome::Unknown, Some(&("accepted", Some(202)))));
    let notified = call.next_request().await;
    assert_eq!((notified.method(), notified.body().trim()), ("NOTIFY", "SIP/2.0 100 Trying"));
    call.hang_up().await;
    scene.call.hang_up().await;
}
