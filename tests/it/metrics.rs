//! Probes and metrics: what a running program says of itself, read as Prometheus reads it.
//!
//! `promtool`, which `tests/setup.sh` installs, judges names and format.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use sentiment_sidecar::manual;
use sentiment_sidecar::telemetry::meter::Meter;
use serde_json::{Value, json};

use crate::sip::sipp::free_port;
use crate::support::{Hook, Program, Room, Running, SEED_TURNS, soon};

/// An address that nobody listens on.
fn free_address() -> String {
    format!("127.0.0.1:{}", free_port())
}

/// What is answered at a path, once somebody listens.
async fn get(address: &str, path: &str) -> (u16, String) {
    // One for the whole process; whoever comes later finds it there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{address}{path}");
    soon(path, async {
        loop {
            match client.get(&url).send().await {
                Ok(response) => return (response.status().as_u16(), response.text().await.unwrap()),
                Err(error) if error.is_connect() => tokio::time::sleep(Duration::from_millis(20)).await,
                Err(error) => panic!("{url}: {error}"),
            }
        }
    })
    .await
}

/// Waits until a path answers so: on busy cores the store may take longer to answer than a prober waits.
async fn becomes(address: &str, path: &str, status: u16, text: &str) {
    soon(path, async {
        while get(address, path).await != (status, text.to_owned()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

/// The metrics, once the store says how many alerts wait.
async fn metrics(address: &str) -> String {
    soon("how many alerts wait", async {
        loop {
            let (status, text) = get(address, "/metrics").await;
            assert_eq!(status, 200);
            if text.contains("\nsentiment_sidecar_outbox_pending ") {
                return text;
            }
        }
    })
    .await
}

/// The samples of a family, labels or not, added up.
fn sum(text: &str, name: &str) -> f64 {
    let of_family = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
    let values = text.lines().filter(of_family).map(|line| line.rsplit_once(' ').unwrap().1);
    values.map(|value| value.parse::<f64>().unwrap()).sum()
}

/// One sample.
fn value(text: &str, sample: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {sample} in\n{text}")).parse().unwrap()
}

/// Prometheus' own tool must have nothing to say against it.
fn judged(text: &str) {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is there: bash tests/setup.sh");
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    assert!(output.status.success() && said.is_empty(), "{said}\n{text}");
}

fn notify(hook: &Hook) -> Value {
    json!({"sentimentEscalationAction": "notify", "sentimentNotifyWebhook": hook.url,
           "sentimentWebhookAllow": ["127.0.0.1"], "sentimentWebhookTimeoutMs": 60000, "sentimentRaterDeadlineMs": 30000})
}

fn attach(program: &Program, room: &Room, hook: &Hook, address: &str) -> Running {
    let mut command = program.attach_command(room, notify(hook));
    command.args(["--listen", address]);
    Running::new(command)
}

#[tokio::test]
async fn a_call_that_escalates_is_counted_and_its_process_drains_visibly() {
    let (room, hook, program, address) = (Room::start().await, Hook::start().await, Program::new(), free_address());
    let mut sidecar = attach(&program, &room, &hook, &address);
    let (mut connection, _) = room.accept().await;
    assert_eq!(get(&address, "/healthz").await, (200, "ok\n".to_owned()));
    becomes(&address, "/readyz", 200, "ok\n").await;
    connection.welcome(&[], false).await;
    connection.turn(1, 0, SEED_TURNS[0]).await;
    sidecar.event("turn").await;
    // A cut, as networks have them.
    drop(connection);
    let (mut connection, _) = room.accept().await;
    connection.welcome(&[], true).await;
    for (n, text) in SEED_TURNS.iter().enumerate().skip(1) {
        connection.turn(n as u64 + 1, n, text).await;
    }
    let attempt = hook.attempt().await;
    attempt.verify();
    attempt.answer(503).await;
    // It waits for the next attempt.
    let attempt = hook.attempt().await;

    let text = metrics(&address).await;
    for (name, right) in [
        ("sentiment_sidecar_calls", 1.0),
        ("sentiment_sidecar_calls_started_total", 1.0),
        ("sentiment_sidecar_calls_ended_total", 0.0),
        ("sentiment_sidecar_caller_turns_total", 3.0),
        ("sentiment_sidecar_rating_duration_seconds_count", 3.0),
        ("sentiment_sidecar_rating_pool_turns", 0.0),
        ("sentiment_sidecar_unrated_turns_total", 0.0),
        ("sentiment_sidecar_escalations_total", 1.0),
        ("sentiment_sidecar_outcomes_total{outcome=\"notified\"}", 1.0),
        ("sentiment_sidecar_webhook_deliveries_total{result=\"retry\"}", 1.0),
        ("sentiment_sidecar_webhook_deliveries_total{result=\"delivered\"}", 0.0),
        ("sentiment_sidecar_room_reconnects_total", 1.0),
        ("sentiment_sidecar_room_connection_failures_total", 1.0),
        ("sentiment_sidecar_outbox_pending", 1.0),
        ("sentiment_sidecar_events_lost_total", 0.0),
        ("sentiment_sidecar_store_write_failures_total", 0.0),
    ] {
        let is = if name.contains('{') { value(&text, name) } else { sum(&text, name) };
        assert!((is - right).abs() < f64::EPSILON, "{name} is {is}, not {right}, in\n{text}");
    }
    let streak = text.lines().filter(|line| line.starts_with("sentiment_sidecar_escalations_total{rule=\"streak\""));
    assert_eq!(streak.filter(|line| line.ends_with(" 1")).count(), 1, "{text}");
    assert!(sum(&text, "sentiment_sidecar_ratings_total") >= 3.0, "{text}");
    // The session, the alert, and what it came to.
    assert!(sum(&text, "sentiment_sidecar_store_write_duration_seconds_count") >= 2.0, "{text}");
    for word in ["room_abc123", "session-1", "ridiculous", "alert_"] {
        assert!(!text.contains(word), "{word} is nobody's business:\n{text}");
    }

    // As long as the receiver does not answer, the process drains.
    sidecar.signal("-TERM");
    becomes(&address, "/readyz", 503, "draining\n").await;
    assert_eq!(get(&address, "/healthz").await.0, 200, "it is alive until it is gone");
    attempt.answer(204).await;
    connection.drain().await;
    assert_eq!(sidecar.exit().await, Some(0));
    judged(&text);
}

#[tokio::test]
async fn an_outbox_that_is_drained_is_counted() {
    let (room, hook, program, address) = (Room::start().await, Hook::start().await, Program::new(), free_address());
    let mut sidecar = program.attach(&room, notify(&hook));
    let (mut connection, _) = room.accept().await;
    connection.welcome(&[], false).await;
    connection.seed_turns(1).await;
    let attempt = hook.attempt().await;
    // Ends before the receiver answers: the next attempt is the other process'.
    connection.send(json!({"type": "session.ended", "seq": 4, "reason": "caller hung up"})).await;
    attempt.answer(503).await;
    connection.drain().await;
    assert_eq!(sidecar.exit().await, Some(0));

    let mut deliver = program.run(&["deliver", "--every", "1", "--listen", &address]);
    hook.attempt().await.answer(204).await;
    assert_eq!(deliver.event("delivery").await["result"]["delivery"], "delivered");
    let text = metrics(&address).await;
    judged(&text);
    becomes(&address, "/readyz", 200, "ok\n").await;
    let delivered = value(&text, "sentiment_sidecar_webhook_deliveries_total{result=\"delivered\"}");
    assert!((delivered - 1.0).abs() < f64::EPSILON && value(&text, "sentiment_sidecar_outbox_pending") < 0.5, "{text}");
    deliver.signal("-TERM");
    assert_eq!(deliver.exit().await, Some(0));
}

#[tokio::test]
async fn an_address_that_is_taken_is_refused_at_the_start() {
    let (room, hook, program) = (Room::start().await, Hook::start().await, Program::new());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut sidecar = attach(&program, &room, &hook, &taken.local_addr().unwrap().to_string());
    assert_eq!(sidecar.exit().await, Some(1));
}

/// Families, by their own names, with their type.
fn families() -> BTreeSet<(String, String)> {
    let meter = Meter::new();
    meter.set_load(0.5, true);
    let text = meter.text(Some(0));
    judged(&text);
    let typed = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    typed.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}

#[test]
fn the_manual_has_every_metric_with_its_type_and_labels() {
    let page = manual::page("operations").unwrap().text;
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows = rows.filter(|row| row.starts_with("sentiment_sidecar_") || row.starts_with("process_"));
    let told: BTreeSet<(String, String)> = rows
        .map(|row| {
            let (name, rest) = row.split_once('`').unwrap();
            let kind = rest.trim_start_matches(['|', ' ']).split(' ').next().unwrap();
            (name.to_owned(), kind.to_owned())
        })
        .collect();
    assert_eq!(told, families());
}

/// What stands in `text` as the name of a metric of ours, without what a histogram's samples have behind it.
fn named(text: &str, families: &BTreeSet<(String, String)>) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = words.filter(|word| word.starts_with("sentiment_sidecar_") || word.starts_with("process_"));
    let histogram = |name: &str| families.contains(&(name.to_owned(), "histogram".to_owned()));
    ours.map(|word| {
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end));
        base.filter(|base| histogram(base)).unwrap_or(word).to_owned()
    })
    .collect()
}

#[test]
fn what_deploy_asks_prometheus_for_is_there() {
    let families = families();
    let known: BTreeSet<String> = families.iter().map(|(name, _)| name.clone()).collect();
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
    let mut asked = BTreeSet::new();
    for file in [
        "grafana/sentiment-sidecar.json",
        "prometheus/alerts.yaml",
        "prometheus/alerts.test.yaml",
        "kubernetes/livekit-worker.yaml",
    ] {
        let file: PathBuf = deploy.join(file);
        let names = named(&std::fs::read_to_string(&file).unwrap(), &families);
        let unknown: Vec<&String> = names.difference(&known).collect();
        assert!(!names.is_empty() && unknown.is_empty(), "{}: {unknown:?}", file.display());
        asked.extend(names);
    }
    // What no page shows is looked at by hand.
    assert!(asked.len() > 12, "{asked:?}");
}
