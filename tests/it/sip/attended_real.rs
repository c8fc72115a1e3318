//! Attended transfers between phones that nobody here wrote: Linphone and baresip ring, answer, hear the whisper and press
//! keys; Linphone replaces the call, baresip cannot.

use sentiment_sidecar::alert::outcome::Outcome;
use sentiment_sidecar::call::route::{Route, TransferRequest};
use sentiment_sidecar::config::secret::Secret;
use sentiment_sidecar::config::settings::{Consult, Sip, SipTransport};
use sentiment_sidecar::transfer::sip::{SipAgent, Stop};
use tokio::sync::mpsc;

use super::attended::attended;
use super::linphone::Linphone;
use super::peers::{Answers, Baresip, Kamailio};
use super::ua::Call;
use super::{request, steps};

const HUMAN: &str = "+14155551234";

/// Settings that leave a phone time.
fn patient(sip: Sip) -> Sip {
    Sip { consult: Consult { accept_timeout_ms: 8_000, ..sip.consult.clone() }, ..sip }
}

/// Asks the human and does `when` the step is told.
async fn transfer(
    agent: &SipAgent,
    call: &mut Call,
    step: &str,
    when: impl AsyncFnOnce(&Stop),
) -> (Outcome, Vec<(String, Option<u16>)>) {
    let (progress, mut heard) = mpsc::channel(64);
    let stop = Stop::default();
    let request =
        TransferRequest { ringing_timeout_ms: 8_000, ..request(Route::Attended { dialog: call.hand_over() }, 20_000) };
    let transferring = agent.transfer(request, progress, stop.clone());
    let mut when = Some(when);
    let listening = async {
        let mut told = Vec::new();
        while let Some(progress) = heard.recv().await {
            let is_it = progress.step == step;
            told.push((progress.step, progress.sip_status));
            if let Some(when) = when.take_if(|_| is_it) {
                when(&stop).await;
            }
        }
        told
    };
    let (outcome, told) = tokio::join!(transferring, listening);
    agent.released().await;
    (outcome, told)
}

#[tokio::test]
async fn a_linphone_that_takes_the_call_replaces_it_by_the_caller_s_linphone() {
    let (caller, mut human) = tokio::join!(Linphone::start("caller"), Linphone::start(HUMAN));
    let agent = SipAgent::start(&patient(attended(human.address)), None).await.unwrap();
    let mut call = Call::place(SipTransport::Udp, caller.address, &caller.uri(), Some(agent.listen())).await;
    let (outcome, told) = transfer(&agent, &mut call, "answered", async |_| human.command("1")).await;
    assert_eq!(outcome, Outcome::Transferred, "{told:?} {} {}", caller.log(), human.log());
    let told = steps(&told);
    for step in [("answered", Some(200)), ("taken", None), ("accepted", Some(202)), ("result", Some(200))] {
        assert!(told.contains(&step), "{told:?}");
    }
    // The two talk, and our call with the human was replaced.
    human.says("Call 1 with sip:agent@127.0.0.1 ended").await;
    human.says("Media streams established with sip:caller@127.0.0.1 for call 2").await;
    // The caller's phone put the platform on hold first, and the sidecar answered for it.
    caller.says("Call 1 with sip:agent@127.0.0.1 is now paused").await;
}

/// Kamailio stays in both calls, the caller's and the human's, and wants credentials for the REFER.
async fn goes_through_a_proxy(transport: SipTransport) {
    let (kamailio, caller, mut human) =
        tokio::join!(Kamailio::start(), Linphone::start("caller"), Linphone::start(HUMAN));
    let sip = Sip {
        transport,
        proxy: Some(kamailio.address.to_string()),
        user: Some("kam".to_owned()),
        ..patient(attended(human.address))
    };
    let agent = SipAgent::start(&sip, Some(Secret::new("p"))).await.unwrap();
    let mut call = Call::place(transport, kamailio.address, &caller.uri(), Some(agent.listen())).await;
    let (outcome, told) = transfer(&agent, &mut call, "answered", async |_| human.command("1")).await;
    assert_eq!(outcome, Outcome::Transferred, "{told:?} {}", kamailio.program.log());
    assert!(steps(&told).contains(&("challenged", Some(407))), "{told:?}");
    human.says("Call 1 with sip:kam@127.0.0.1 ended").await;
    human.says("Media streams established with sip:caller@127.0.0.1 for call 2").await;
}

#[tokio::test]
async fn linphones_behind_kamailio_replace_the_call_over_udp() {
    goes_through_a_proxy(SipTransport::Udp).await;
}

#[tokio::test]
async fn linphones_behind_kamailio_replace_the_call_over_tcp() {
    goes_through_a_proxy(SipTransport::Tcp).await;
}

#[tokio::test]
async fn a_baresip_rings_hears_the_whisper_and_presses_the_key_and_a_caller_that_cannot_replace_stays() {
    let (mut human, mut caller) = tokio::join!(
        Baresip::start(HUMAN, Answers::WhenTold, "call_max_calls 1"),
        Baresip::start("caller", Answers::Itself, "")
    );
    let agent = SipAgent::start(&patient(attended(human.address)), None).await.unwrap();
    let mut call = Call::place(SipTransport::Udp, caller.address, &caller.uri(), Some(agent.listen())).await;
    caller.event("CALL_ESTABLISHED").await;
    let (outcome, told) = transfer(&agent, &mut call, "ringing", async |_| {
        human.event("CALL_INCOMING").await;
        human.command("accept", "").await;
        human.event("CALL_RTPESTAB").await;
        human.command("sndcode", "1").await;
    })
    .await;
    // It called anew instead, and this phone has one line.
    assert_eq!(outcome, Outcome::Busy, "{told:?} {}", human.program.log());
    assert!(steps(&told).contains(&("taken", None)), "{told:?}");
    // The human's call is ended, and the caller's is not.
    human.event("CALL_CLOSED").await;
    call.hang_up().await;
}

#[tokio::test]
async fn a_baresip_stops_ringing_when_the_caller_hangs_up() {
    let (mut human, mut caller) =
        tokio::join!(Baresip::start(HUMAN, Answers::WhenTold, ""), Baresip::start("caller", Answers::Itself, ""));
    let agent = SipAgent::start(&patient(attended(human.address)), None).await.unwrap();
    let mut call = Call::place(SipTransport::Udp, caller.address, &caller.uri(), Some(agent.listen())).await;
    caller.event("CALL_ESTABLISHED").await;
    let (outcome, _) = transfer(&agent, &mut call, "ringing", async |_| {
        human.event("CALL_INCOMING").await;
        // Its BYE comes to the sidecar, which the caller's dialog leads to.
        caller.command("hangup", "").await;
    })
    .await;
    assert_eq!(outcome, Outcome::CallerGone);
    human.event("CALL_CLOSED").await;
}
