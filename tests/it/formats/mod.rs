//! What is sent to Slack, Teams, PagerDuty and brokers of `CloudEvents`, read with the types and libraries of those who
//! make them, and what Twilio signs. `tests/setup.sh` installs these (`package.json`, `python.txt`).

mod signatures;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use sentiment_sidecar::alert::about::About;
use sentiment_sidecar::alert::notice::Told;
use sentiment_sidecar::alert::outcome::Outcome;
use sentiment_sidecar::alert::outgoing::Outgoing;
use sentiment_sidecar::alert::{Alert, AlertTurn, Severity};
use sentiment_sidecar::clock;
use sentiment_sidecar::config::settings::{ActionKind, AllowEntry, WebhookDetail};
use sentiment_sidecar::config::target_secrets::TargetSecrets;
use sentiment_sidecar::config::targets::NotifyFormat;
use sentiment_sidecar::notify::send::Sender;
use sentiment_sidecar::notify::sign::Signer;
use sentiment_sidecar::sentiment::{Sentiment, Speaker};
use sentiment_sidecar::tls::Authorities;
use serde_json::{Value, json};
use tokio::process::Command;
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::support::{SECRET, soon};

const KEY: &str = "R0UT1NGKEYR0UT1NGKEYR0UT1NGKEY12";

/// Where the vendors' types and libraries are.
fn vendors() -> PathBuf {
    let home = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("vendors");
    assert!(home.join("installed").exists(), "run: bash tests/setup.sh");
    home
}

/// Alerts as they come: plain, with everything, and as awkward as they get.
fn alerts() -> Vec<Told> {
    let plain = Alert::test(ActionKind::Notify, 1_709_164_800_500);
    let about = About {
        call_id: Some("CA7".to_owned()),
        number: Some("+14155550123".to_owned()),
        name: Some("Dana Cole".to_owned()),
        participant: Some("c".to_owned()),
        target: Some("+14155551234".parse().unwrap()),
        call_started_ms: Some(1_709_164_700_000),
        decided_ms: Some(1_709_164_800_500),
    };
    let turn = |speaker, text: &str, rated: Option<f64>| AlertTurn {
        speaker,
        text: text.to_owned(),
        sentiment: rated.map(Sentiment::clamped),
    };
    let full = Alert {
        room_name: "room_abc123".to_owned(),
        severity: Severity::Critical,
        description: "Caller angry: charged me twice; \"nobody seems to care\" (3 low turns in a row)".to_owned(),
        action: ActionKind::Transfer,
        outcome: Some(Outcome::Busy),
        history: vec![Sentiment::clamped(2.0), Sentiment::clamped(1.4)],
        last_turns: vec![turn(Speaker::Agent, "How can I help?", None), turn(Speaker::Caller, "You can't.", Some(1.4))],
        streak: 3,
        mean: Some(2.71),
        human_requests: Some(2),
        about: Some(Box::new(about)),
        ..plain.clone()
    };
    let odd = "<!channel> & [x](https://evil.example) \"\\ \u{1f620} ".repeat(400);
    let awkward = Alert {
        room_name: odd.clone(),
        description: odd.chars().take(200).collect(),
        last_turns: vec![turn(Speaker::Caller, &odd, Some(1.0)); 6],
        history: vec![Sentiment::clamped(1.0); 5_000],
        ..full.clone()
    };
    let link = Some("https://board.example.com/alerts/alert_1?room=a%20b".to_owned());
    let told = |alert, link: &Option<String>| Told { alert, link: link.clone(), test: false };
    vec![told(plain, &None), told(full, &link), told(awkward, &link)]
}

/// Everything that is sent of an alert in a format, first one first.
async fn sent(told: &Told, format: NotifyFormat, detail: WebhookDetail) -> Vec<Request> {
    let server = MockServer::start().await;
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(202)).mount(&server).await;
    let allow = vec![AllowEntry::Net("127.0.0.0/8".parse().unwrap())];
    let webhook = Outgoing::webhook(server.uri().parse().unwrap(), detail, allow, 10_000);
    let secret = (format == NotifyFormat::PagerDuty).then(|| "SIDECAR_PD_KEY".to_owned());
    let outgoing = Outgoing { target: format.name().to_owned(), format, secret, ..webhook };
    let secrets = TargetSecrets::of([("SIDECAR_PD_KEY", KEY)].into_iter().collect());
    let signer = Signer::new(vec![SECRET.parse().unwrap()]).ok();
    let sender = Sender::new(signer, secrets, clock::system(), Authorities::default());
    assert_eq!(sender.try_out(told, &outgoing).await, Ok(202));
    server.received_requests().await.unwrap()
}

fn body(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

/// Runs a program of the vendors', and returns what it printed and whether it ended well.
async fn run(program: &Path, args: &[&Path]) -> (String, bool) {
    let mut command = Command::new(program);
    command.args(args).current_dir(vendors()).stdin(Stdio::null()).kill_on_drop(true);
    let output = soon("a vendor's library", command.output()).await.unwrap();
    let text = [output.stdout, output.stderr].concat();
    (String::from_utf8_lossy(&text).into_owned(), output.status.success())
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/formats").join(name)
}

#[tokio::test]
async fn slacks_own_types_take_every_message() {
    let mut source = "import type { KnownBlock } from '@slack/types';\n\
                      type Message = { text: string; blocks: KnownBlock[] };\n"
        .to_owned();
    for told in alerts() {
        for detail in [WebhookDetail::Seed, WebhookDetail::Full] {
            let requests = sent(&told, NotifyFormat::Slack, detail).await;
            source.push_str(&format!("({} satisfies Message);\n", body(&requests[0])));
        }
    }
    // The types look at what is wrong, or this test says nothing.
    let check = async |source: &str| {
        // Types are looked for in the folders above the file.
        let folder = tempfile::Builder::new().prefix("slack-").tempdir_in(vendors()).unwrap();
        let file = folder.path().join("messages.ts");
        std::fs::write(&file, source).unwrap();
        let tsc = vendors().join("node_modules/.bin/tsc");
        let flags = ["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext"];
        let mut args: Vec<&Path> = flags.iter().map(Path::new).collect();
        args.push(&file);
        run(&tsc, &args).await
    };
    let (found, well) = check(&source).await;
    assert!(well, "{found}");
    let (found, well) = check(&source.replacen("\"style\":\"primary\"", "\"style\":\"loud\"", 1)).await;
    assert!(!well && found.contains("loud"), "{found}");
}

#[tokio::test]
async fn the_reader_of_adaptive_cards_reads_every_card_whole() {
    let folder = tempfile::tempdir().unwrap();
    let check = async |card: &Value| {
        let file = folder.path().join("card.json");
        std::fs::write(&file, card.to_string()).unwrap();
        // Node looks for packages beside the script.
        let beside = vendors().join("card.cjs");
        std::fs::copy(script("card.cjs"), &beside).unwrap();
        run(Path::new("node"), &[&beside, &file]).await
    };
    for told in alerts() {
        for detail in [WebhookDetail::Seed, WebhookDetail::Full] {
            let card = body(&sent(&told, NotifyFormat::Teams, detail).await[0]);
            assert_eq!(check(&card).await, (String::new(), true), "{card}");
            let mut wrong = card.clone();
            wrong["attachments"][0]["content"]["body"][0]["type"] = "TextBlok".into();
            assert_ne!(check(&wrong).await.0, "");
        }
    }
}

/// What a library makes of a request.
async fn read(library: &str, request: &Request) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("told.json");
    let text = |value: &wiremock::http::HeaderValue| value.to_str().unwrap().to_owned();
    let headers: serde_json::Map<String, Value> =
        request.headers.iter().map(|(name, value)| (name.to_string(), Value::from(text(value)))).collect();
    let body = String::from_utf8(request.body.clone()).unwrap();
    std::fs::write(&file, json!({"headers": headers, "body": body}).to_string()).unwrap();
    let python = vendors().join("python/bin/python");
    let (found, well) = run(&python, &[&script("events.py"), Path::new(library), &file]).await;
    assert!(well, "{found}");
    serde_json::from_str(&found).unwrap_or_else(|error| panic!("{error}: {found}"))
}

#[tokio::test]
async fn pagerdutys_client_would_send_the_same_events() {
    for told in alerts() {
        for detail in [WebhookDetail::Seed, WebhookDetail::Full] {
            let requests = sent(&told, NotifyFormat::PagerDuty, detail).await;
            // The test of a place resolves what it opened.
            let [trigger, resolve] = &requests[..] else { panic!("{} requests", requests.len()) };
            let mut ours = body(trigger);
            // The client has no parameters for these two, which the API documents.
            for field in ["client", "client_url"] {
                ours.as_object_mut().unwrap().remove(field);
            }
            let mut theirs = read("pagerduty", trigger).await;
            for field in ["client", "client_url", "images"] {
                theirs.as_object_mut().unwrap().remove(field);
            }
            if theirs.get("links") == Some(&json!([])) {
                theirs.as_object_mut().unwrap().remove("links");
            }
            assert_eq!(ours, theirs);
            assert_eq!(ours["routing_key"], KEY);
            assert_eq!(body(resolve), read("pagerduty", resolve).await);
        }
    }
}

#[tokio::test]
async fn the_cloudevents_library_reads_every_event() {
    for told in alerts() {
        for detail in [WebhookDetail::Seed, WebhookDetail::Full] {
            let requests = sent(&told, NotifyFormat::CloudEvents, detail).await;
            let event = read("cloudevents", &requests[0]).await;
            assert_eq!(event["attributes"]["id"], told.alert.id.as_str());
            assert_eq!(event["attributes"]["type"], "sentiment.alert");
            assert_eq!(event["attributes"]["specversion"], "1.0");
            assert_eq!(event["data"], body(&requests[0]));
            // It is signed as the webhook is.
            let theirs = standardwebhooks::Webhook::new(SECRET).unwrap();
            theirs.verify(&requests[0].body, &requests[0].headers).unwrap();
        }
    }
}
