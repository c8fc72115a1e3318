//! The webhook from the outbox to receivers that behave, misbehave, or do not answer at all.

use std::collections::HashSet;
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sentiment_sidecar::alert::outgoing::Outgoing;
use sentiment_sidecar::alert::record::{DeliveryResult, StoreResult, StoreWrite, WebhookPlan};
use sentiment_sidecar::alert::{Alert, AlertId, Rule, Severity};
use sentiment_sidecar::clock::unix_ms;
use sentiment_sidecar::config::settings::{ActionKind, AllowEntry, WebhookDetail};
use sentiment_sidecar::config::targets::NotifyFormat;
use sentiment_sidecar::notify::Deliverer;
use sentiment_sidecar::notify::schedule::Schedule;
use sentiment_sidecar::notify::sign::Signer;
use sentiment_sidecar::sentiment::Sentiment;
use sentiment_sidecar::store::{OutboxState, Store, StoreUrl};
use sentiment_sidecar::tls::Authorities;
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::support::{Program, Room, soon};

/// `a test key of thirty-two bytes..` in Base64.
const SECRET: &str = "whsec_YSB0ZXN0IGtleSBvZiB0aGlydHktdHdvIGJ5dGVzLi4=";

fn alert(key: &str) -> Alert {
    Alert {
        id: AlertId::derive(&["room_abc123", "session_1"], key),
        room_name: "room_abc123".to_owned(),
        session_id: "session_1".to_owned(),
        turn: 3,
        rule: Rule::Streak,
        severity: Severity::Medium,
        reason: "3 consecutive turns below 3".to_owned(),
        description: "Caller frustrated about unresolved billing issue for 3 days".to_owned(),
        sentiment: Sentiment::clamped(2.4),
        mean: None,
        human_requests: None,
        action: ActionKind::Notify,
        history: vec![Sentiment::clamped(2.4)],
        last_turns: Vec::new(),
        outcome: None,
        steps: Vec::new(),
        shadow: false,
        streak: 3,
        participant: None,
        about: None,
    }
}

fn loopback() -> Vec<AllowEntry> {
    vec![AllowEntry::Net("127.0.0.0/8".parse().unwrap())]
}

fn outgoing(url: &str, allow: Vec<AllowEntry>) -> Outgoing {
    Outgoing::webhook(url.parse().unwrap(), WebhookDetail::Seed, allow, 10_000)
}

/// A store, and a deliverer on it whose clock the test turns.
struct Host {
    folder: TempDir,
    store: Store,
    clock: Arc<AtomicU64>,
    deliverer: Deliverer,
}

impl Host {
    async fn new() -> Self {
        Self::in_folder(TempDir::new().unwrap()).await
    }

    async fn in_folder(folder: TempDir) -> Self {
        let store = Store::open(&Self::store_url(&folder)).await.expect("a new store");
        let clock = Arc::new(AtomicU64::new(unix_ms()));
        let now = Arc::clone(&clock);
        let signer = Signer::new(vec![SECRET.parse().unwrap()]).unwrap();
        let deliverer = Deliverer::new(
            store.clone(),
            Some(signer),
            Arc::new(move || now.load(Ordering::Relaxed)),
            Authorities::default(),
        );
        Self { folder, store, clock, deliverer }
    }

    fn store_url(folder: &TempDir) -> StoreUrl {
        folder.path().join("store.db").to_str().unwrap().parse().unwrap()
    }

    async fn decide(&self, key: &str, outgoing: &Outgoing) -> AlertId {
        let alert = alert(key);
        let id = alert.id.clone();
        let write = StoreWrite::Alert { alert, webhook: WebhookPlan::Send, transfer_cap: None };
        let now = self.clock.load(Ordering::Relaxed);
        assert_eq!(self.store.write(&write, std::slice::from_ref(outgoing), now).await.unwrap(), StoreResult::Written);
        id
    }

    fn turn_clock(&self, ms: u64) {
        self.clock.fetch_add(ms, Ordering::Relaxed);
    }

    /// The program's `deliver` on this store.
    fn deliver(&self, arguments: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sentiment-sidecar"));
        command.arg("deliver").arg("--store").arg(self.store.url().to_string()).args(arguments);
        command.env("SIDECAR_WEBHOOK_SECRET", SECRET).env_remove("SIDECAR_WEBHOOK_SECRET_FILE");
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap()
    }
}

async fn receiver(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST")).respond_with(answer).mount(&server).await;
    server
}

async fn requests(server: &MockServer) -> Vec<Request> {
    server.received_requests().await.unwrap()
}

fn verify(request: &Request) {
    let theirs = standardwebhooks::Webhook::new(SECRET).unwrap();
    theirs.verify(&request.body, &request.headers).unwrap();
}

fn retry_in(result: &DeliveryResult) -> (u64, &str) {
    match result {
        DeliveryResult::Retry { in_ms, detail, .. } => (*in_ms, detail),
        other => panic!("{other:?} is no retry"),
    }
}

#[tokio::test]
async fn a_receiver_gets_the_seeds_five_fields_signed_as_the_standard_says() {
    let (host, server) = (Host::new().await, receiver(ResponseTemplate::new(204)).await);
    let id = host.decide("t3", &outgoing(&server.uri(), loopback())).await;
    let delivered = DeliveryResult::Delivered { status: 204, attempts: 1 };
    assert_eq!(host.deliverer.deliver_one(&id).await, delivered);
    let got = requests(&server).await;
    verify(&got[0]);
    assert_eq!(got[0].headers["webhook-id"], id.as_str());
    assert_eq!(got[0].headers["content-type"], "application/json");
    let body = r#"{"event":"sentiment.alert","room_name":"room_abc123","sentiment_score":2,"description":"Caller frustrated about unresolved billing issue for 3 days","action":"notify"}"#;
    assert_eq!(String::from_utf8_lossy(&got[0].body), body);
    // It is told once, however often it is asked for.
    assert_eq!(host.deliverer.deliver_one(&id).await, delivered);
    assert_eq!(host.deliverer.sweep(10).await.unwrap(), []);
    assert_eq!(requests(&server).await.len(), 1);
}

#[tokio::test]
async fn a_receiver_that_fails_once_gets_the_same_again_when_it_is_due() {
    let (host, server) = (Host::new().await, MockServer::start().await);
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(500))
        .up_to_n_times(1)
        .with_priority(1)
        .mount(&server)
        .await;
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    let id = host.decide("t3", &outgoing(&server.uri(), loopback())).await;
    let first = host.deliverer.deliver_one(&id).await;
    let (in_ms, _) = retry_in(&first);
    assert!((800..=1200).contains(&in_ms), "{first:?}");
    // Too early: nothing is sent.
    host.turn_clock(in_ms - 1);
    assert_eq!(retry_in(&host.deliverer.deliver_one(&id).await).0, 1);
    assert_eq!(host.deliverer.sweep(10).await.unwrap(), []);
    host.turn_clock(1);
    let swept = host.deliverer.sweep(10).await.unwrap();
    assert_eq!(swept, [(id.clone(), DeliveryResult::Delivered { status: 200, attempts: 2 })]);
    let got = requests(&server).await;
    assert_eq!(got.len(), 2);
    assert_eq!(got[0].body, got[1].body);
    got.iter().for_each(verify);
    assert!(got.iter().all(|request| request.headers["webhook-id"] == id.as_str()));
}

#[tokio::test]
async fn a_burst_to_a_place_with_a_pace_is_spread() {
    const MANY: u32 = 5;
    let (host, server) = (Host::new().await, MockServer::start().await);
    let arrived = Arc::new(Mutex::new(Vec::new()));
    let arrivals = Arc::clone(&arrived);
    let answer = move |_: &Request| {
        arrivals.lock().unwrap().push(Instant::now());
        ResponseTemplate::new(202)
    };
    Mock::given(method("POST")).respond_with(answer).mount(&server).await;
    let seed = outgoing(&server.uri(), loopback());
    let teams = Outgoing { target: "teams".to_owned(), format: NotifyFormat::Teams, ..seed };
    for n in 0..MANY {
        host.decide(&format!("t{n}"), &teams).await;
    }
    let began = Instant::now();
    let swept = soon("the burst", host.deliverer.sweep(10)).await.unwrap();
    assert!(
        swept.iter().all(|(_, result)| matches!(result, DeliveryResult::Delivered { attempts: 1, .. })),
        "{swept:?}"
    );
    let arrived = arrived.lock().unwrap();
    assert_eq!(arrived.len(), MANY as usize);
    for (n, at) in (0..).zip(arrived.iter()) {
        // However busy the machine is, none comes before its turn, by a clock of whole milliseconds.
        let turn = (Duration::from_millis(250) * n).saturating_sub(Duration::from_millis(5));
        assert!(*at - began >= turn, "{n} came after {:?}", *at - began);
    }
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_left_alone() {
    let (host, server) = (Host::new().await, receiver(ResponseTemplate::new(410)).await);
    let id = host.decide("t3", &outgoing(&server.uri(), loopback())).await;
    for _ in 0..2 {
        let result = host.deliverer.deliver_one(&id).await;
        assert!(matches!(result, DeliveryResult::GaveUp { attempts: 1, .. }), "{result:?}");
        host.turn_clock(24 * 3_600_000);
    }
    assert_eq!(requests(&server).await.len(), 1);
}

#[tokio::test]
async fn a_receiver_that_asks_for_time_gets_it() {
    for status in [429, 503] {
        let answer = ResponseTemplate::new(status).insert_header("retry-after", "120");
        let (mut host, server) = (Host::new().await, receiver(answer).await);
        host.deliverer = host.deliverer.with_schedule(Schedule::new(vec![0, 600_000]));
        let id = host.decide("t3", &outgoing(&server.uri(), loopback())).await;
        let result = host.deliverer.deliver_one(&id).await;
        assert!((120_000..=132_000).contains(&retry_in(&result).0), "{result:?}");
        host.turn_clock(119_999);
        assert_eq!(host.deliverer.sweep(10).await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_receiver_that_asks_for_a_day_is_asked_again_at_the_next_step() {
    let answer = ResponseTemplate::new(503).insert_header("retry-after", "86400");
    let (host, server) = (Host::new().await, receiver(answer).await);
    let id = host.decide("t3", &outgoing(&server.uri(), loopback())).await;
    for (least, most) in [(800, 1_200), (3_200, 4_800), (20_000, 30_000)] {
        let result = host.deliverer.deliver_one(&id).await;
        let (in_ms, _) = retry_in(&result);
        assert!((least..=most).contains(&in_ms), "{result:?}");
        host.turn_clock(in_ms);
    }
}

#[tokio::test]
async fn a_success_counts_when_its_head_has_come() {
    for rest in ["content-length: 100\r\n\r\nthe first half", "transfer-encoding: chunked\r\n\r\n"] {
        let host = Host::new().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let id = host.decide("t3", &Outgoing { timeout_ms: 60_000, ..outgoing(&url, loopback()) }).await;
        let receiver = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_request(&mut stream).await;
            stream.write_all(format!("HTTP/1.1 200 OK\r\n{rest}").as_bytes()).await.unwrap();
            // The rest never comes.
            std::future::pending::<()>().await;
        });
        let result = tokio::time::timeout(Duration::from_secs(20), host.deliverer.deliver_one(&id)).await;
        assert_eq!(result.expect("it waits for the body"), DeliveryResult::Delivered { status: 200, attempts: 1 });
        assert_eq!(host.store.webhook(&id).await.unwrap().unwrap().state, OutboxState::Delivered);
        receiver.abort();
    }
}

#[tokio::test]
async fn an_address_that_would_be_refused_is_refused_at_the_start() {
    for (url, kind) in [
        ("https://127.0.0.1/hook", "loopback"),
        ("https://[::ffff:10.0.0.1]/hook", "private"),
        ("https://0xa9fea9fe/hook", "metadata"),
        ("https://192.175.48.6/hook", "AS112"),
        ("https://192.31.196.1/hook", "AS112"),
        ("https://[2620:4f:8000::6]/hook", "AS112"),
        ("https://[fd00:ec2::254]/hook", "private"),
    ] {
        let (room, program) = (Room::start().await, Program::new());
        let settings = json!({"sentimentEscalationAction": "notify", "sentimentNotifyWebhook": url,
            "sentimentWebhookAllow": ["192.168.0.0/16", "hooks.internal"]});
        let mut command = program.attach_command(&room, settings);
        let output = soon("attach", command.stderr(Stdio::piped()).output()).await.unwrap();
        let (out, said) = text(&output);
        assert_eq!((output.status.code(), out.as_str()), (Some(6), ""), "{url}: {said}");
        for part in ["sentimentNotifyWebhook", "sentimentWebhookAllow", kind] {
            assert!(said.contains(part), "{url}: {part} is missing in {said}");
        }
    }
}

#[tokio::test]
async fn what_was_refused_is_sent_once_the_allow_list_is_mended() {
    for by_attach in [false, true] {
        let (host, server) = (Host::new().await, receiver(ResponseTemplate::new(200)).await);
        let url = format!("http://localhost:{}/", server.address().port());
        let elsewhere = vec![AllowEntry::Net("10.0.0.0/8".parse().unwrap())];
        let refused = host.decide("refused", &outgoing(&url, elsewhere.clone())).await;
        let result = host.deliverer.deliver_one(&refused).await;
        assert!(matches!(&result, DeliveryResult::GaveUp { detail, .. } if detail.contains("loopback")), "{result:?}");
        // One that is another receiver's, and one that a receiver wanted no more of.
        let others = host.decide("others", &outgoing("http://localhost:9/", elsewhere.clone())).await;
        host.deliverer.deliver_one(&others).await;
        let gone = receiver(ResponseTemplate::new(410)).await;
        let unwanted = host.decide("unwanted", &outgoing(&gone.uri(), loopback())).await;
        host.deliverer.deliver_one(&unwanted).await;

        let agent = host.folder.path().join("agent.json");
        let settings = json!({"sentimentEscalationEnabled": true, "sentimentNotifyWebhook": url,
            "sentimentWebhookAllow": ["localhost"], "sentimentNotifyAlways": true});
        std::fs::write(&agent, settings.to_string()).unwrap();
        let agent = agent.to_str().unwrap();
        if by_attach {
            let room = Room::start().await;
            let mut command = Command::new(env!("CARGO_BIN_EXE_sentiment-sidecar"));
            command.args(["attach", "--room-url", &room.url, "--room", "r", "--agent", agent]);
            command
                .arg("--store")
                .arg(host.store.url().to_string())
                .env("SIDECAR_WEBHOOK_SECRET", SECRET)
                .kill_on_drop(true);
            let mut child = command.stdout(Stdio::null()).spawn().unwrap();
            let (connection, _) = room.accept().await;
            soon("the webhook", async {
                while requests(&server).await.is_empty() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            })
            .await;
            drop((connection, room));
            child.kill().await.unwrap();
        } else {
            let output = host.deliver(&["--agent", agent]).wait_with_output().await.unwrap();
            assert_eq!(output.status.code(), Some(0), "{}", text(&output).1);
            assert!(text(&output).0.contains("\"delivered\""), "{}", text(&output).0);
        }
        let got = requests(&server).await;
        assert_eq!(got.len(), 1);
        assert_eq!(got[0].headers["webhook-id"], refused.as_str());
        for id in [&others, &unwanted] {
            assert_eq!(host.store.webhook(id).await.unwrap().unwrap().state, OutboxState::GaveUp);
        }
        assert_eq!(requests(&gone).await.len(), 1);
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let secret_service = receiver(ResponseTemplate::new(200)).await;
    for status in [301, 302, 303, 307, 308] {
        let answer = ResponseTemplate::new(status).insert_header("location", secret_service.uri().as_str());
        let (host, server) = (Host::new().await, receiver(answer).await);
        let id = host.decide("t3", &outgoing(&server.uri(), loopback())).await;
        let result = host.deliverer.deliver_one(&id).await;
        assert!(retry_in(&result).1.contains("redirects are not followed"), "{result:?}");
    }
    assert_eq!(requests(&secret_service).await.len(), 0);
}

#[tokio::test]
async fn a_receiver_that_is_too_slow_is_cut_off_and_tried_again() {
    let slow = ResponseTemplate::new(200).set_delay(Duration::from_secs(60));
    let (host, server) = (Host::new().await, receiver(slow).await);
    let id = host.decide("t3", &Outgoing { timeout_ms: 150, ..outgoing(&server.uri(), loopback()) }).await;
    let result = host.deliverer.deliver_one(&id).await;
    assert_eq!(retry_in(&result).1, "no answer within 150 ms");
}

#[tokio::test]
async fn a_slow_receiver_holds_up_no_other() {
    let slow = receiver(ResponseTemplate::new(200).set_delay(Duration::from_secs(60))).await;
    let (host, quick) = (Host::new().await, receiver(ResponseTemplate::new(200)).await);
    host.decide("slow", &Outgoing { timeout_ms: 1_500, ..outgoing(&slow.uri(), loopback()) }).await;
    for at in 0..40 {
        host.decide(&format!("t{at}"), &outgoing(&quick.uri(), loopback())).await;
    }
    let swept = host.deliverer.sweep(1_000).await.unwrap();
    assert_eq!(swept.len(), 41);
    assert_eq!(swept.last().map(|(id, _)| id), Some(&alert("slow").id), "the others were done meanwhile");
}

#[tokio::test]
async fn a_connection_that_breaks_and_a_port_that_is_closed_are_tried_again() {
    let host = Host::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook?token=hush", listener.local_addr().unwrap());
    let id = host.decide("t3", &outgoing(&url, loopback())).await;
    let breaking = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await;
        stream.set_zero_linger().unwrap();
    });
    let broken = host.deliverer.deliver_one(&id).await;
    breaking.await.unwrap();
    assert!(retry_in(&broken).1.starts_with("the exchange broke off"), "{broken:?}");
    host.turn_clock(2_000);
    let closed = host.deliverer.deliver_one(&id).await;
    assert!(retry_in(&closed).1.starts_with("the receiver cannot be reached"), "{closed:?}");
    assert!(!format!("{broken:?}{closed:?}").contains("hush"), "the URL is nobody's business");
}

#[tokio::test]
async fn a_name_that_resolves_to_loopback_is_refused_unless_it_is_allowed() {
    let (host, server) = (Host::new().await, receiver(ResponseTemplate::new(200)).await);
    let url = format!("http://localhost:{}/", server.address().port());
    let elsewhere = vec![AllowEntry::Net("10.0.0.0/8".parse().unwrap())];
    let refused = host.decide("refused", &outgoing(&url, elsewhere)).await;
    let result = host.deliverer.deliver_one(&refused).await;
    assert!(matches!(&result, DeliveryResult::GaveUp { detail, .. } if detail.contains("loopback")), "{result:?}");
    let plain = host.decide("plain", &outgoing(&url, Vec::new())).await;
    let result = host.deliverer.deliver_one(&plain).await;
    assert!(matches!(&result, DeliveryResult::GaveUp { detail, .. } if detail.contains("plain http")), "{result:?}");
    assert_eq!(requests(&server).await.len(), 0);
    let allowed = host.decide("allowed", &outgoing(&url, vec![AllowEntry::Host("localhost".to_owned())])).await;
    assert_eq!(host.deliverer.deliver_one(&allowed).await, DeliveryResult::Delivered { status: 200, attempts: 1 });
}

#[tokio::test]
async fn a_metadata_service_is_never_dialled() {
    let host = Host::new().await;
    for (key, url) in [("a", "https://169.254.169.254/latest/meta-data/"), ("b", "https://[fd00:ec2::254]/")] {
        let id = host.decide(key, &outgoing(url, loopback())).await;
        let result = host.deliverer.deliver_one(&id).await;
        assert!(matches!(&result, DeliveryResult::GaveUp { detail, .. } if detail.contains("refused")), "{result:?}");
    }
}

#[tokio::test]
async fn after_the_last_attempt_it_is_given_up() {
    let (mut host, server) = (Host::new().await, receiver(ResponseTemplate::new(500)).await);
    host.deliverer = host.deliverer.with_schedule(Schedule::new(vec![0, 10, 20]));
    let id = host.decide("t3", &outgoing(&server.uri(), loopback())).await;
    for attempts in 1..=2 {
        let result = host.deliverer.deliver_one(&id).await;
        assert!(matches!(result, DeliveryResult::Retry { attempts: n, .. } if n == attempts), "{result:?}");
        host.turn_clock(100);
    }
    let result = host.deliverer.deliver_one(&id).await;
    assert!(matches!(result, DeliveryResult::GaveUp { attempts: 3, .. }), "{result:?}");
    assert_eq!(host.store.webhook(&id).await.unwrap().unwrap().state, OutboxState::GaveUp);
    assert_eq!(requests(&server).await.len(), 3);
}

#[tokio::test]
async fn an_alert_that_the_store_would_not_take_is_sent_from_memory() {
    let (mut host, server) = (Host::new().await, MockServer::start().await);
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(500))
        .up_to_n_times(2)
        .with_priority(1)
        .mount(&server)
        .await;
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    host.deliverer = host.deliverer.with_schedule(Schedule::new(vec![0, 5, 10]));
    let mut seen = Vec::new();
    let to = outgoing(&server.uri(), loopback());
    let last = host.deliverer.send_unstored(&alert("t3"), &to, |result| seen.push(result.clone())).await;
    assert_eq!(last, DeliveryResult::Delivered { status: 200, attempts: 3 });
    assert_eq!(seen.len(), 3);
    let got = requests(&server).await;
    got.iter().for_each(verify);
    assert!(got.iter().all(|request| request.body == got[0].body));
    let shadow = Alert { shadow: true, ..alert("t3") };
    let refused = host.deliverer.send_unstored(&shadow, &to, |_| {}).await;
    assert!(matches!(refused, DeliveryResult::GaveUp { attempts: 0, .. }));
    assert_eq!(requests(&server).await.len(), 3);
}

/// Reads one HTTP request; its head and its body.
async fn read_request(stream: &mut TcpStream) -> (String, String) {
    let mut text = String::new();
    loop {
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if body.len() == length.parse::<usize>().unwrap() {
                return (head.to_owned(), body.to_owned());
            }
        }
        let mut part = [0; 4096];
        let read = stream.read(&mut part).await.unwrap();
        assert!(read > 0, "the request broke off: {text}");
        text.push_str(std::str::from_utf8(&part[..read]).unwrap());
    }
}

async fn answer(stream: &mut TcpStream) {
    stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await.unwrap();
}

fn id_in(head: &str) -> &str {
    head.lines().find_map(|line| line.strip_prefix("webhook-id: ")).unwrap()
}

fn text(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[tokio::test]
async fn of_many_deliver_processes_each_alert_is_sent_by_one() {
    const ALERTS: usize = 60;
    let slowly = ResponseTemplate::new(200).set_delay(Duration::from_millis(30));
    let (host, server) = (Host::new().await, receiver(slowly).await);
    for at in 0..ALERTS {
        host.decide(&format!("t{at}"), &outgoing(&server.uri(), loopback())).await;
    }
    let children: Vec<Child> = (0..4).map(|_| host.deliver(&[])).collect();
    let mut lines = 0;
    for child in children {
        let output = child.wait_with_output().await.unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output).1);
        lines += text(&output).0.lines().count();
    }
    assert_eq!(lines, ALERTS);
    let ids: Vec<_> = requests(&server).await.iter().map(|request| request.headers["webhook-id"].clone()).collect();
    assert_eq!((ids.len(), ids.iter().collect::<HashSet<_>>().len()), (ALERTS, ALERTS));
    assert_eq!(host.store.pending_count().await.unwrap(), 0);
}

#[tokio::test]
async fn what_a_killed_process_was_sending_is_sent_again_under_the_same_id() {
    let host = Host::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let id = host.decide("t3", &Outgoing { timeout_ms: 500, ..outgoing(&url, loopback()) }).await;
    let mut first = host.deliver(&[]);
    let (mut stream, _) = listener.accept().await.unwrap();
    let (head, body) = read_request(&mut stream).await;
    first.kill().await.unwrap();
    // While the dead process's claim lasts, a single pass leaves it alone.
    let output = host.deliver(&["--once"]).wait_with_output().await.unwrap();
    assert_eq!(text(&output).0, "");
    let second = host.deliver(&["--until-empty", "--for", "60"]);
    let (mut stream, _) = listener.accept().await.unwrap();
    let (head_again, body_again) = read_request(&mut stream).await;
    answer(&mut stream).await;
    let output = second.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output).1);
    assert_eq!((id_in(&head_again), &body_again), (id_in(&head), &body));
    assert_eq!(
        text(&output).0,
        format!(
            "{{\"type\":\"delivery\",\"alert_id\":\"{id}\",\"result\":{{\"delivery\":\"delivered\",\"status\":204,\"attempts\":2}}}}\n"
        )
    );
}

#[tokio::test]
async fn sigterm_lets_the_attempt_in_hand_finish() {
    let host = Host::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let id = host.decide("t3", &outgoing(&url, loopback())).await;
    let child = host.deliver(&["--every", "3600"]);
    let (mut stream, _) = listener.accept().await.unwrap();
    read_request(&mut stream).await;
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
    answer(&mut stream).await;
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output).1);
    assert!(text(&output).0.contains("\"delivered\""));
    assert_eq!(host.store.webhook(&id).await.unwrap().unwrap().state, OutboxState::Delivered);
}

#[tokio::test]
async fn until_a_call_has_made_the_store_there_is_nothing_to_send_or_to_upgrade() {
    let folder = TempDir::new().unwrap();
    let url = Host::store_url(&folder);
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sentiment-sidecar"));
        command.args(arguments).arg("--store").arg(url.to_string()).env("SIDECAR_WEBHOOK_SECRET", SECRET);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap()
    };
    for arguments in [&["deliver"][..], &["deliver", "--until-empty"], &["store", "upgrade"]] {
        let output = soon("the program", run(arguments).wait_with_output()).await.unwrap();
        let (out, err) = text(&output);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {err}");
        assert!(format!("{out}{err}").contains("there is no store at"), "{arguments:?}: {out}{err}");
        assert!(!url.is_there(), "{arguments:?}");
    }
    // Who comes again sends what the first call leaves there.
    let mut every = run(&["deliver", "--every", "1"]);
    let mut said = BufReader::new(every.stderr.take().unwrap()).lines();
    let first = soon("the first line", said.next_line()).await.unwrap().unwrap();
    assert!(first.contains("there is no store at"), "{first}");
    let server = receiver(ResponseTemplate::new(204)).await;
    let host = Host::in_folder(folder).await;
    let id = host.decide("t3", &outgoing(&server.uri(), loopback())).await;
    let mut told = BufReader::new(every.stdout.take().unwrap()).lines();
    let line = soon("the delivery", told.next_line()).await.unwrap().unwrap();
    assert!(line.contains(id.as_str()) && line.contains("delivered"), "{line}");
}

#[tokio::test]
async fn deliver_says_what_is_missing_with_its_exit_code() {
    let host = Host::new().await;
    let bin = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sentiment-sidecar"));
        command.arg("deliver").env_remove("SIDECAR_WEBHOOK_SECRET").env_remove("SIDECAR_WEBHOOK_SECRET_FILE");
        command
    };
    let on_store = || {
        let mut command = bin();
        command.arg("--store").arg(host.store.url().to_string());
        command
    };
    let code = |output: &Output| output.status.code();
    // Nothing to send needs no secret.
    let output = on_store().output().await.unwrap();
    assert_eq!((code(&output), text(&output).1.trim()), (Some(0), "0 delivered, 0 put off, 0 given up, 0 pending"));
    host.decide("t3", &outgoing("http://127.0.0.1:9/", loopback())).await;
    let output = on_store().output().await.unwrap();
    assert_eq!(code(&output), Some(6));
    assert!(text(&output).1.contains("1 webhooks wait to be sent, but SIDECAR_WEBHOOK_SECRET is not set"));
    let output = on_store().env("SIDECAR_WEBHOOK_SECRET", "hunter2").output().await.unwrap();
    assert_eq!(code(&output), Some(6));
    assert!(!text(&output).1.contains("hunter2"), "{}", text(&output).1);
    let file = host.folder.path().join("secret");
    std::fs::write(&file, format!("{SECRET}\n")).unwrap();
    let output = on_store().env("SIDECAR_WEBHOOK_SECRET_FILE", &file).output().await.unwrap();
    assert_eq!(code(&output), Some(0), "{}", text(&output).1);
    assert!(text(&output).0.contains("\"retry\""));
    let output = bin().args(["--store", "postgres://db/x"]).output().await.unwrap();
    assert_eq!(code(&output), Some(2));
    let no_database = host.folder.path().join("secret");
    std::fs::write(&no_database, "x".repeat(5_000)).unwrap();
    let output = bin().arg("--store").arg(&no_database).output().await.unwrap();
    assert_eq!(code(&output), Some(9), "{}", text(&output).1);
}
