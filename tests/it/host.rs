//! Five hundred calls in one process: what they share is there once, and no call disturbs another.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use sentiment_sidecar::alert::outcome::Outcome;
use sentiment_sidecar::call::report::Report;
use sentiment_sidecar::clock;
use sentiment_sidecar::config::settings::Settings;
use sentiment_sidecar::config::{AgentFile, Layers, load};
use sentiment_sidecar::notify::Deliverer;
use sentiment_sidecar::notify::sign::Signer;
use sentiment_sidecar::room::Target;
use sentiment_sidecar::runtime::{Attachment, Call, Ending, Event, Host, Means, RatingPool, shutdown};
use sentiment_sidecar::sentiment::{
    Label, RateFuture, Rater, Rating, RatingSource, Sentiment, TurnInContext, Unit, Valence,
};
use sentiment_sidecar::store::{Store, StoreUrl};
use sentiment_sidecar::telemetry::meter::Meter;
use sentiment_sidecar::tls::Authorities;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::sip::ua;
use crate::support::{SECRET, soon};

const CALLS: usize = 500;
/// Whose rater panics.
const RATER_PANICS: &str = "room-7";
/// Whose platform side panics while it is told of the escalation.
const CALL_PANICS: &str = "room-8";

/// Rates everything 1.5, or panics.
struct Scripted {
    panics: bool,
}

impl Rater for Scripted {
    fn rate<'a>(&'a self, _: &'a TurnInContext) -> RateFuture<'a> {
        assert!(!self.panics, "this rater panics, as its test wants it to");
        let sentiment = Sentiment::clamped(1.5);
        Box::pin(std::future::ready(Ok(Rating {
            sentiment,
            valence: Valence::clamped(-0.7),
            frustration: Unit::clamped(0.8),
            urgency: Unit::clamped(0.0),
            label: Label::of(sentiment),
            confidence: Unit::clamped(1.0),
            filler: false,
            asks_human: false,
            cues: Vec::new(),
            source: RatingSource::Embedded,
            description: None,
            embedded: None,
        })))
    }
}

/// One room of many behind one address: three angry turns, then it does what it is asked and waits for its sidecar to go.
async fn room(stream: TcpStream, phone: SocketAddr) {
    #[expect(clippy::result_large_err, reason = "the library's signature")]
    let choose = |_: &Request, mut response: Response| {
        let chosen = HeaderValue::from_static("sentiment-sidecar.room.v1");
        response.headers_mut().insert("sec-websocket-protocol", chosen);
        Ok(response)
    };
    let mut socket = tokio_tungstenite::accept_hdr_async(stream, choose).await.unwrap();
    let hello: Value = serde_json::from_str(socket.next().await.unwrap().unwrap().to_text().unwrap()).unwrap();
    let name = hello["room_name"].as_str().unwrap().to_owned();
    let sip = json!({"call_id": format!("call-{name}"), "local_tag": "a", "remote_tag": "c", "cseq": 7,
                     "local_uri": "sip:agent@127.0.0.1", "remote_uri": format!("sip:caller@{phone}"),
                     "remote_target": format!("sip:caller@{phone}")});
    let welcome = json!({"type": "welcome", "version": 1, "session_id": format!("session-{name}"), "room_name": name,
                         "capabilities": ["turn_events", "say"], "call": {"id": format!("call-{name}"), "sip": sip},
                         "participants": [{"id": "c", "role": "caller"}, {"id": "a", "role": "agent"}]});
    socket.send(Message::text(welcome.to_string())).await.unwrap();
    for seq in 1..=3 {
        let turn = json!({"type": "turn.ended", "seq": seq, "turn_id": format!("u{seq}"), "participant_id": "c",
                          "text": "Nobody at your company seems to care."});
        socket.send(Message::text(turn.to_string())).await.unwrap();
    }
    let mut seq = 3;
    while let Some(Ok(frame)) = socket.next().await {
        let Ok(message) = serde_json::from_str::<Value>(frame.to_text().unwrap_or_default()) else { continue };
        if message["type"] == "command" {
            seq += 1;
            let result = json!({"type": "command.result", "seq": seq, "command_id": message["command_id"],
                                "status": "done"});
            // A sidecar that is done is no longer there.
            let _ = socket.send(Message::text(result.to_string())).await;
        }
    }
}

/// The phone of all callers: takes every REFER, and reports that the human answered. Tells who sent each.
async fn phone(socket: UdpSocket, seen: mpsc::UnboundedSender<(SocketAddr, String)>) {
    let mut chunk = [0; 8192];
    loop {
        let (len, from) = socket.recv_from(&mut chunk).await.unwrap();
        let message = ua::Message(String::from_utf8(chunk[..len].to_vec()).unwrap());
        if message.status().is_some() || message.method() != "REFER" {
            continue;
        }
        let copied: String = ["Via", "From", "To", "Call-ID", "CSeq"]
            .map(|name| format!("{name}: {}\r\n", message.header(name)))
            .concat();
        let accepted = format!("SIP/2.0 202 Accepted\r\n{copied}Content-Length: 0\r\n\r\n");
        socket.send_to(accepted.as_bytes(), from).await.unwrap();
        let (call, body) = (message.header("Call-ID").to_owned(), "SIP/2.0 200 OK\r\n");
        let notify = format!(
            "NOTIFY sip:sentiment-sidecar@{from} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK{call};rport\r\n\
             Max-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {call}\r\nCSeq: 1 NOTIFY\r\nEvent: refer\r\n\
             Subscription-State: terminated;reason=noresource\r\nContent-Type: message/sipfrag\r\n\
             Content-Length: {}\r\n\r\n{body}",
            message.header("To"),
            message.header("From"),
            body.len()
        );
        socket.send_to(notify.as_bytes(), from).await.unwrap();
        if seen.send((from, call)).is_err() {
            return;
        }
    }
}

fn settings(webhook: &str, sip_port: u16) -> Arc<Settings> {
    let document = json!({
        "sentimentEscalationEnabled": true, "sentimentEscalationAction": "transfer",
        "sentimentEscalationTarget": "+14155551234", "sentimentNotifyWebhook": webhook,
        "sentimentWebhookAllow": ["127.0.0.0/8"], "sentimentNotifyAlways": true,
        "sentimentRaterDeadlineMs": 30000, "sentimentSipListen": format!("127.0.0.1:{sip_port}"), "sentimentTransferHourlyCap": 0,
    });
    let agent = Some(AgentFile { path: PathBuf::from("test"), text: document.to_string() });
    Arc::new(load(&Layers { agent, ..Layers::default() }).unwrap().settings)
}

/// What a call reported, by the JSON line that a host with several calls prints.
fn event(call: &Call, report: &Report) -> Value {
    serde_json::to_value(Event { call, report }).unwrap()
}

#[tokio::test]
async fn five_hundred_calls_share_a_process_and_none_disturbs_another() {
    let folder = tempfile::tempdir().unwrap();
    let url: StoreUrl = folder.path().join("store.db").display().to_string().parse().unwrap();
    let store = Store::open(&url).await.unwrap();
    let receiver = MockServer::start().await;
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(204)).mount(&receiver).await;
    let signer = Signer::new(vec![SECRET.parse().unwrap()]).unwrap();
    let deliverer =
        Some(Arc::new(Deliverer::new(store.clone(), Some(signer), clock::system(), Authorities::default())));

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let phone_socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let phone_address = phone_socket.local_addr().unwrap();
    let (seen, mut refers) = mpsc::unbounded_channel();
    tokio::spawn(phone(phone_socket, seen));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(room(stream, phone_address));
        }
    });

    // A free port, as someone who wants a fixed one would choose.
    let sip_port = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let settings = settings(&receiver.uri(), sip_port);
    let stop = shutdown::on_signal();
    let (authorities, meter) = (Authorities::default(), Arc::new(Meter::new()));
    let means = Means { store: store.clone(), deliverer, sip_password: None, authorities, meter: Arc::clone(&meter) };
    let host = Host::start(means, stop.clone());
    let pool = RatingPool::of_machine().metered(Arc::clone(&meter));
    let (told, mut events) = mpsc::unbounded_channel();
    let mut calls = HashMap::new();
    for number in 0..CALLS {
        let name = format!("room-{number}");
        let rater = pool.rater(Arc::new(Scripted { panics: name == RATER_PANICS }));
        let room = Target::native(format!("ws://{address}/").parse().unwrap(), name.clone(), None);
        let attachment =
            Attachment { settings: Arc::clone(&settings), room, rater, shadow: false, recorder: None, journal: None };
        let (told, panics) = (told.clone(), name == CALL_PANICS);
        let tell = move |call: &Call, report: &Report| {
            let _ = told.send((call.clone(), report.clone()));
            assert!(!(panics && matches!(report, Report::Escalation { .. })), "as its test wants it to");
        };
        calls.insert(name, host.attach(attachment, tell));
    }
    assert_eq!(host.calls(), CALLS);

    let mut escalations: BTreeMap<String, usize> = BTreeMap::new();
    let (mut transferred, mut unrated) = (HashSet::new(), 0);
    while transferred.len() < CALLS - 2 || unrated < 3 || !calls[CALL_PANICS].is_finished() {
        let (call, report) = soon("all calls to escalate", events.recv()).await.unwrap();
        let line = event(&call, &report);
        assert_eq!(line["room"], call.room.as_str());
        if !matches!(report, Report::Warning { .. }) {
            assert_eq!(line["session"], format!("session-{}", call.room));
        }
        match report {
            Report::Escalation { .. } => *escalations.entry(call.room).or_default() += 1,
            Report::Outcome { transfer: Some(Outcome::Transferred), .. } => {
                assert!(transferred.insert(call.room.clone()), "{} was transferred twice", call.room);
            }
            Report::Unrated { .. } => {
                assert_eq!(call.room, RATER_PANICS);
                unrated += 1;
            }
            _ => {}
        }
    }
    let once: BTreeMap<String, usize> =
        calls.keys().filter(|name| *name != RATER_PANICS).map(|name| (name.clone(), 1)).collect();
    assert_eq!(escalations, once, "each call escalates once, and the one without ratings not at all");
    assert!(matches!(calls.remove(CALL_PANICS).unwrap().await.unwrap(), Ending::Broke));

    // One SIP port for all, two connections to the store, one of them for the board (each the file, its WAL, its index), a task
    // or two a call.
    let mut senders = HashSet::new();
    while let Ok((from, _)) = refers.try_recv() {
        senders.insert(from);
    }
    assert_eq!(senders, HashSet::from([SocketAddr::from(([127, 0, 0, 1], sip_port))]));
    let open = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
    let of_store = open.filter(|path| path.starts_with(folder.path())).count();
    assert!(of_store <= 6, "{of_store} open files of one store");

    // SIGTERM, as an operator would send it.
    assert!(std::process::Command::new("kill").arg(std::process::id().to_string()).status().unwrap().success());
    for (name, call) in calls {
        let ending = soon("the calls to end", call).await.unwrap();
        assert!(matches!(ending, Ending::Ended { .. }), "{name}: {ending:?}");
    }
    assert!(stop.is_cancelled());
    soon("the host to close", host.close()).await;

    // Whatever broke, nobody's alert is lost: each was told once, or waits in the store for whoever looks through the outbox
    // next, as that of the broken call does. The results of the last attempts may still be on their way to the disk.
    soon("every alert to be told or to wait", async {
        loop {
            let requests = receiver.received_requests().await.unwrap();
            let told: HashSet<&str> =
                requests.iter().map(|request| request.headers["webhook-id"].to_str().unwrap()).collect();
            assert_eq!(told.len(), requests.len(), "an alert was told twice");
            if store.pending_count().await.unwrap() + told.len() as u64 == CALLS as u64 - 1 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}
