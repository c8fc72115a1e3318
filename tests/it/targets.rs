//! Alerts in the places where people look, from a live call to what becomes of them afterwards.

use std::path::Path;

use sentiment_sidecar::alert::outgoing::Outgoing;
use sentiment_sidecar::alert::record::{StoreWrite, WebhookPlan};
use sentiment_sidecar::alert::{Alert, AlertId};
use sentiment_sidecar::clock::unix_ms;
use sentiment_sidecar::config::settings::{ActionKind, AllowEntry, WebhookDetail};
use sentiment_sidecar::config::targets::NotifyFormat;
use sentiment_sidecar::store::{Reach, Store, StoreUrl};
use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::support::{Program, Room, SECRET, soon};

const KEY: &str = "R0UT1NGKEYR0UT1NGKEYR0UT1NGKEY12";
const HUSH: &str = "hush-hush";

/// All places, on one server.
struct Places {
    server: MockServer,
}

impl Places {
    async fn start() -> Self {
        let server = MockServer::start().await;
        Mock::given(method("POST")).respond_with(ResponseTemplate::new(202)).mount(&server).await;
        Self { server }
    }

    fn url(&self, name: &str) -> String {
        format!("{}/{name}", self.server.uri())
    }

    /// What came to a place, once so much has come.
    async fn got(&self, name: &str, many: usize) -> Vec<Request> {
        soon(name, async {
            loop {
                let all = self.server.received_requests().await.unwrap();
                let here: Vec<Request> =
                    all.into_iter().filter(|request| request.url.path().starts_with(&format!("/{name}"))).collect();
                if here.len() >= many {
                    return here;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        })
        .await
    }

    fn settings(&self) -> Value {
        json!({
            "sentimentEscalationAction": "notify",
            "sentimentNotifyWebhook": self.url("seed"),
            "sentimentWebhookAllow": ["127.0.0.0/8"],
            "sentimentAlertLink": "https://board.example.com/{alert_id}?call={call_id}",
            "sentimentKeepTranscripts": "all",
            "sentimentNotifyTargets": [
                {"format": "slack", "urlEnv": "SIDECAR_SLACK_URL", "detail": "full"},
                {"format": "teams", "urlEnv": "SIDECAR_TEAMS_URL", "detail": "full"},
                {"format": "pagerduty", "keyEnv": "SIDECAR_PD_KEY", "url": self.url("pagerduty"), "detail": "full"},
                {"format": "cloudevents", "url": self.url("events"), "name": "broker"},
                {"format": "standard", "url": self.url("crm"), "detail": "full", "name": "crm"},
            ],
        })
    }

    /// The secrets that these settings name: one of them in a file.
    fn secrets(&self, folder: &Path) -> [(&'static str, String); 3] {
        let file = folder.join("teams-url");
        std::fs::write(&file, format!("{}\n", self.url(&format!("teams/{HUSH}")))).unwrap();
        [
            ("SIDECAR_SLACK_URL", self.url(&format!("slack/{HUSH}"))),
            ("SIDECAR_TEAMS_URL_FILE", file.display().to_string()),
            ("SIDECAR_PD_KEY", KEY.to_owned()),
        ]
    }
}

fn body(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

/// What a command printed, and how it ended. No secret is ever among it.
async fn said(program: &Program, args: &[&str], env: &[(&str, String)]) -> (String, String, Option<i32>) {
    let mut command = program.command(args);
    command.envs(env.iter().map(|(name, value)| (name, value))).stderr(std::process::Stdio::piped());
    let output = soon("the command", command.output()).await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    for secret in [HUSH, KEY, SECRET] {
        assert!(!out.contains(secret) && !err.contains(secret), "{secret} is shown");
    }
    (out, err, output.status.code())
}

/// A call of a caller who gives a name and a number, up to the escalation.
async fn angry_call(room: &Room) -> crate::support::Connection {
    let (mut connection, _) = room.accept().await;
    connection
        .send(json!({"type": "welcome", "version": 1, "session_id": "session-1", "room_name": "room_abc123",
            "call": {"id": "CA7", "from": "+1 415 555 0123"}, "capabilities": ["turn_events"], "resumed": false,
            "participants": [{"id": "a", "role": "agent"}]}))
        .await;
    let caller = json!({"id": "c", "role": "caller", "name": "Dana Cole"});
    connection.send(json!({"type": "participant.joined", "seq": 1, "participant": caller})).await;
    connection.seed_turns(2).await;
    connection
}

#[tokio::test]
async fn one_escalation_reaches_every_place_in_its_own_format_and_is_resolved_when_the_call_ends_well() {
    let (places, room, program) = (Places::start().await, Room::start().await, Program::new());
    let secrets = places.secrets(program.folder.path());
    let mut command = program.attach_command(&room, places.settings());
    command.envs(secrets.iter().map(|(name, value)| (name, value)));
    let mut running = crate::support::Running::new(command);
    let mut connection = angry_call(&room).await;
    let id = running.event("escalation").await["alert_id"].as_str().unwrap().to_owned();

    // The seed's URL gets the seed's five fields, as ever.
    let seed = places.got("seed", 1).await;
    let keys: Vec<String> = body(&seed[0]).as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys.len(), 5, "{keys:?}");
    let crm = body(&places.got("crm", 1).await[0]);
    assert_eq!(crm["caller"], json!({"participant": "c", "name": "Dana Cole", "number": "+1 415 555 0123"}));
    assert_eq!((&crm["call_id"], &crm["streak"]), (&json!("CA7"), &json!(3)));
    assert_eq!(crm["link"], format!("https://board.example.com/{id}?call=CA7"));
    assert!(crm["alerted_at"].as_str().unwrap() >= crm["call_started_at"].as_str().unwrap(), "{crm}");
    let slack = places.got("slack", 1).await;
    assert!(slack[0].url.path().ends_with(HUSH) && slack[0].headers.get("webhook-signature").is_none());
    assert!(body(&slack[0])["blocks"].to_string().contains("Dana Cole"));
    let card = body(&places.got("teams", 1).await[0]);
    assert_eq!(card["attachments"][0]["content"]["type"], "AdaptiveCard");
    let event = places.got("events", 1).await;
    assert_eq!(event[0].headers["ce-id"], id.as_str());
    assert_eq!(body(&event[0]), body(&seed[0]));
    let trigger = body(&places.got("pagerduty", 1).await[0]);
    assert_eq!((&trigger["dedup_key"], &trigger["event_action"]), (&json!(id), &json!("trigger")));
    assert_eq!(trigger["routing_key"], KEY);
    let mut told = Vec::new();
    for _ in 0..6 {
        let delivery = running.event("delivery").await;
        assert_eq!(delivery["result"]["delivery"], "delivered", "{delivery}");
        told.push(delivery["target"].as_str().unwrap_or_default().to_owned());
    }
    told.sort();
    assert_eq!(told, ["", "broker", "crm", "pagerduty", "slack", "teams"]);

    // The caller calms down, and the call ends: the incident is over, and nobody else is told again.
    connection.turn(5, 3, "Oh, that worked. Thank you so much, you have been wonderful!").await;
    running.event("turn").await;
    connection.end(6).await;
    assert_eq!(running.exit().await, Some(0));
    assert_eq!(said(&program, &["deliver"], &secrets).await.2, Some(0));
    let resolved = body(&places.got("pagerduty", 2).await[1]);
    assert_eq!(resolved, json!({"routing_key": KEY, "event_action": "resolve", "dedup_key": id}));
    assert_eq!(places.server.received_requests().await.unwrap().len(), 7);
    afterwards(&program, &places, &secrets, &id).await;
}

/// What people do with an alert once the call is over.
async fn afterwards(program: &Program, places: &Places, secrets: &[(&str, String)], id: &str) {
    let (list, ..) = said(program, &["alerts", "list"], &[]).await;
    assert!(list.contains(&id[..14]) && list.contains("delivered") && list.contains("1 alert, no verdicts"), "{list}");
    assert!(list.lines().all(|line| line.chars().count() <= 80), "{list}");
    let (lines, ..) = said(program, &["alerts", "list", "--format", "json", "--verdict", "none"], &[]).await;
    let line: Value = serde_json::from_str(lines.trim_end()).unwrap();
    assert_eq!((&line["alert_id"], &line["delivery"]), (&json!(id), &json!("delivered")));
    let (shown, ..) = said(program, &["alerts", "show", &id[..14]], &[]).await;
    for part in [
        "Dana Cole (+1 415 555 0123)",
        "slack, attempt 1: delivered (202)",
        "pagerduty, that it is over, attempt 1: delivered (202)",
        "Nobody at your company",
        "the rule streak (3 low in a",
    ] {
        assert!(shown.contains(part), "no {part} in {shown}");
    }
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    let (_, refused, code) = said(program, &["alerts", "show", "alert_x"], &[]).await;
    assert!(refused.contains("there is no alert alert_x") && code == Some(2), "{refused}");
    // A variable that nobody set names no alert, and certainly not the only one.
    let (_, refused, code) = said(program, &["alerts", "verdict", "", "wrong"], &[]).await;
    assert!(refused.contains("the alert's id is empty") && code == Some(2), "{refused}");

    for (caller, many) in [("+1 (415) 555-0123", 1), ("+14155550199", 0)] {
        let (lines, ..) = said(program, &["alerts", "list", "--format", "json", "--caller", caller], &[]).await;
        assert_eq!(lines.lines().count(), many, "{lines}");
    }
    // Who has read enough closes the pipe.
    let (reader, closed) = std::io::pipe().unwrap();
    drop(reader);
    let mut list = program.command(&["alerts", "list", "--format", "json"]);
    let list = list.stdout(closed).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let ended = soon("the command", list.wait_with_output()).await.unwrap();
    assert!(ended.stderr.is_empty() && ended.status.code() == Some(0), "{ended:?}");

    let args = ["alerts", "verdict", id, "right", "--note", "charged twice", "--by", " q\u{7}a\n"];
    assert_eq!(said(program, &args, &[]).await.2, Some(0));
    assert!(said(program, &["alerts", "list", "--verdict", "right"], &[]).await.0.contains(&id[..14]));
    let (shown, ..) = said(program, &["alerts", "show", id], &[]).await;
    assert!(shown.contains("right, says qa: charged twice"), "{shown}");
    let folder = program.folder.path().join("labels");
    let labels = folder.display().to_string();
    let (exported, ..) = said(program, &["alerts", "export", "--labels", &labels], &[]).await;
    assert!(exported.contains("1 call written"), "{exported}");
    let file = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("\"escalate_at_turn\":3") && !text.contains("Dana") && !text.contains("555"), "{text}");
    let (replayed, _, code) = said(program, &["replay", &file.display().to_string()], &[]).await;
    assert_eq!(code, Some(0), "{replayed}");
    let (evaluated, _, code) = said(program, &["evaluate", &labels], &[]).await;
    assert_eq!(code, Some(0), "{evaluated}");

    let (_, nothing, code) = said(program, &["alerts", "resend", id], secrets).await;
    assert!(nothing.contains("there is nothing to send") && code == Some(2), "{nothing}");
    let (_, missing, code) = said(program, &["alerts", "resend", id, "--again"], &[]).await;
    assert!(missing.contains("SIDECAR_SLACK_URL") && code == Some(6), "{missing}");
    let (again, _, code) = said(program, &["alerts", "resend", id, "--again"], secrets).await;
    assert_eq!((again.matches("delivered (202)").count(), code), (6, Some(0)), "{again}");
    assert_eq!(places.got("slack", 2).await.len(), 2);
    // The incident that this opens again is over all the same.
    assert!(again.contains("pagerduty: told that it is over (202)"), "{again}");
    let events = places.got("pagerduty", 4).await;
    let events: Vec<_> = events.iter().map(|request| body(request)["event_action"].clone()).collect();
    assert_eq!(events, ["trigger", "resolve", "trigger", "resolve"]);

    let (log, ..) = said(program, &["store", "audit", "--format", "json"], &[]).await;
    let log: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let done: Vec<_> = log.iter().map(|line| line["what"].as_str().unwrap()).collect();
    assert_eq!(
        done,
        ["resend", "resend", "export", "read", "list", "verdict right", "list", "list", "list", "read", "list", "list"]
    );
    assert_eq!((&log[0]["alert_id"], &log[2]["alert_id"]), (&json!(id), &Value::Null));
    assert!(log.iter().all(|line| line["who"].as_str().unwrap().starts_with("cli:")), "{log:?}");
    let (table, ..) = said(program, &["store", "audit", "--limit", "1"], &[]).await;
    assert!(table.contains("resend") && table.contains(&id[..14]) && table.lines().count() == 1, "{table}");

    let (erased, _, code) = said(program, &["store", "erase", "--caller", "+14155550123"], &[]).await;
    assert_eq!((erased.trim_end(), code), ("forgot 1 call and 1 alert", Some(0)));
    let (_, none, code) = said(program, &["store", "erase", "--caller", "4155550123"], &[]).await;
    assert!(none.contains("no call of this number") && none.contains("country code") && code == Some(0), "{none}");
    assert!(said(program, &["alerts", "list"], &[]).await.0.contains("no alert fits"));
    let (log, ..) = said(program, &["store", "audit"], &[]).await;
    assert!(log.contains("  erase\n") && !log.contains(id) && !log.contains("555"), "{log}");
    assert_eq!(said(program, &["store", "prune", "--older-than", "30d"], &[]).await.2, Some(0));
    assert_eq!(said(program, &["store", "upgrade"], &[]).await.2, Some(0));
}

#[tokio::test]
async fn what_is_kept_at_the_end_of_a_call_that_was_erased_meanwhile_is_found_by_its_caller() {
    let (room, program) = (Room::start().await, Program::new());
    let mut running = program.attach(&room, json!({"sentimentKeepTranscripts": "all"}));
    let connection = angry_call(&room).await;
    running.event("escalation").await;
    let erase = ["store", "erase", "--caller", "+14155550123"];
    soon("the call to be in the store", async {
        while !said(&program, &erase, &[]).await.0.contains("forgot 1 call") {}
    })
    .await;
    connection.end(5).await;
    assert_eq!(running.exit().await, Some(0));
    let (erased, ..) = said(&program, &erase, &[]).await;
    assert!(erased.contains("forgot 1 call"), "{erased}");
    let text = std::fs::read(program.store()).unwrap();
    assert!(!String::from_utf8_lossy(&text).contains("room_abc123"), "the room is in the file");
}

#[tokio::test]
async fn where_no_call_has_made_a_store_there_is_nothing_to_forget_and_a_broken_one_is_a_failure() {
    let program = Program::new();
    let prune = ["store", "prune", "--older-than", "30d"];
    let (said_so, _, code) = said(&program, &prune, &[]).await;
    assert!(said_so.contains("there is no store at") && code == Some(0), "{said_so}");
    assert_eq!(said(&program, &["store", "upgrade"], &[]).await.2, Some(0));
    std::fs::write(program.store(), "no SQLite file").unwrap();
    assert_eq!(said(&program, &prune, &[]).await.2, Some(9));
    assert_eq!(said(&program, &["store", "upgrade"], &[]).await.2, Some(9));
}

#[tokio::test]
async fn a_secret_that_is_missing_or_wrong_is_told_at_the_start_and_never_shown() {
    let (places, room, program) = (Places::start().await, Room::start().await, Program::new());
    for (env, problem) in [
        (vec![], "SIDECAR_SLACK_URL is not set, and sentimentNotifyTargets needs it"),
        (
            vec![("SIDECAR_SLACK_URL", format!("ftp://{HUSH}"))],
            "SIDECAR_SLACK_URL: the scheme is neither https nor http",
        ),
    ] {
        let mut command = program.attach_command(&room, places.settings());
        command.envs(env).stderr(std::process::Stdio::piped());
        let output = soon("attach", command.output()).await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(6), "{said}");
        assert!(said.contains(problem) && !said.contains(HUSH), "{said}");
    }
}

#[tokio::test]
async fn what_waits_for_a_secret_is_left_alone_by_those_who_lack_it() {
    let (room, program) = (Room::start().await, Program::new());
    let places = Places { server: MockServer::start().await };
    let slack = Mock::given(path(format!("/slack/{HUSH}")));
    slack.respond_with(ResponseTemplate::new(503)).up_to_n_times(1).with_priority(1).mount(&places.server).await;
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(202)).mount(&places.server).await;
    let mut settings = places.settings();
    settings["sentimentNotifyTargets"] = json!([{"format": "slack", "urlEnv": "SIDECAR_SLACK_URL"}]);
    let secrets = places.secrets(program.folder.path());
    let mut command = program.attach_command(&room, settings);
    command.envs(secrets.iter().map(|(name, value)| (name, value)));
    let mut running = crate::support::Running::new(command);
    let connection = angry_call(&room).await;
    places.got("slack", 1).await;
    places.got("seed", 1).await;
    // It is killed before it tries again.
    running.event("delivery").await;
    running.kill().await;
    drop(connection);
    let (_, refused, code) = said(&program, &["deliver"], &[]).await;
    assert!(refused.contains("SIDECAR_SLACK_URL") && code == Some(6), "{refused}");
    assert_eq!(places.got("slack", 1).await.len(), 1);
    let (_, done, code) = said(&program, &["deliver", "--until-empty", "--for", "30"], &secrets).await;
    assert_eq!(code, Some(0), "{done}");
    assert_eq!(places.got("slack", 2).await.len(), 2);
}

#[tokio::test]
async fn what_is_sent_again_needs_its_own_secrets_and_nobody_elses() {
    let (program, places) = (Program::new(), Places { server: MockServer::start().await });
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(500)).mount(&places.server).await;
    let allow = vec![AllowEntry::Net("127.0.0.0/8".parse().unwrap())];
    let webhook = Outgoing::webhook(places.url("seed").parse().unwrap(), WebhookDetail::Seed, allow, 5_000);
    queued(&program, &at(NotifyFormat::Slack, "SIDECAR_SLACK_URL"), 2).await;
    let ours = queued(&program, &webhook, 3).await.pop().unwrap();
    let (again, failed, code) = said(&program, &["alerts", "resend", &ours], &[]).await;
    assert!(again.contains("webhook: not delivered") && failed.contains("1 of 1 could not be delivered"), "{failed}");
    assert!(!failed.contains("SIDECAR_SLACK_URL") && code == Some(1), "{failed}");
}

/// Puts so many alerts into the store that are to go to a place.
async fn queued(program: &Program, to: &Outgoing, many: usize) -> Vec<String> {
    let url: StoreUrl = program.store().parse().unwrap();
    let store = Store::open(&url).await.unwrap();
    let mut ids = Vec::new();
    for n in 0..many {
        let id = AlertId::derive(&["room", "session"], &format!("t{n}"));
        let alert = Alert { id: id.clone(), ..Alert::test(ActionKind::Notify, unix_ms()) };
        let write = StoreWrite::Alert { alert, webhook: WebhookPlan::Send, transfer_cap: None };
        store.write(&write, std::slice::from_ref(to), unix_ms()).await.unwrap();
        ids.push(id.to_string());
    }
    store.close().await;
    ids
}

/// A place whose URL this variable holds.
fn at(format: NotifyFormat, variable: &str) -> Outgoing {
    let allow = vec![AllowEntry::Net("127.0.0.0/8".parse().unwrap())];
    let webhook = Outgoing::webhook("http://127.0.0.1/".parse().unwrap(), WebhookDetail::Seed, allow, 5_000);
    Outgoing { target: format.name().to_owned(), format, url: None, secret: Some(variable.to_owned()), ..webhook }
}

#[tokio::test]
async fn a_single_pass_waits_for_its_turns() {
    const MANY: usize = 20;
    let (places, program) = (Places::start().await, Program::new());
    let secrets = [("SIDECAR_TEAMS_URL", places.url("teams"))];
    queued(&program, &at(NotifyFormat::Teams, "SIDECAR_TEAMS_URL"), MANY).await;
    // Four a second: who does not wait sends those of the first three seconds.
    let (_, first, code) = said(&program, &["deliver", "--wait", "0"], &secrets).await;
    assert!(first.contains("13 delivered, 0 put off") && first.contains("7 pending") && code == Some(0), "{first}");
    let (_, rest, code) = said(&program, &["deliver"], &secrets).await;
    assert!(rest.contains("7 delivered, 0 put off, 0 given up, 0 pending") && code == Some(0), "{rest}");
    assert_eq!(places.got("teams", MANY).await.len(), MANY);
}

#[tokio::test]
async fn a_resend_that_others_are_before_says_when_its_turn_is() {
    let (places, program) = (Places::start().await, Program::new());
    let secrets = [("SIDECAR_SLACK_URL", places.url("slack"))];
    let ids = queued(&program, &at(NotifyFormat::Slack, "SIDECAR_SLACK_URL"), 30).await;
    let store = Store::open(&program.store().parse().unwrap()).await.unwrap();
    let reach = Reach { signs: true, secrets: vec!["SIDECAR_SLACK_URL".to_owned()] };
    // Others take the first turns: the last one is half a minute away.
    assert_eq!(store.claim_due(16, &reach, unix_ms(), unix_ms()).await.unwrap().len(), 4);
    let (out, err, code) = said(&program, &["alerts", "resend", ids.last().unwrap()], &secrets).await;
    assert!(out.contains("slack: waits for its turn, next at ") && !out.contains("not delivered"), "{out}");
    assert!(err.contains("sentiment-sidecar deliver sends it") && code == Some(0), "{err}");
    let (shown, ..) = said(&program, &["alerts", "show", ids.last().unwrap()], &[]).await;
    assert!(shown.contains("slack: waits for its turn"), "{shown}");
    assert!(places.server.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_test_alert_goes_to_every_place_and_says_that_it_is_one() {
    let (places, program) = (Places::start().await, Program::new());
    let mut agent = places.settings();
    agent["sentimentEscalationEnabled"] = true.into();
    let file = program.folder.path().join("agent.json");
    std::fs::write(&file, agent.to_string()).unwrap();
    let secrets = places.secrets(program.folder.path());
    let args = ["doctor", "--agent", file.to_str().unwrap(), "--send-test"];
    let (found, _, code) = said(&program, &args, &secrets).await;
    assert_eq!((found.matches("took the test alert").count(), code), (6, Some(0)), "{found}");
    // PagerDuty's incident is resolved at once.
    let all = places.server.received_requests().await.unwrap();
    assert_eq!(all.len(), 7);
    for request in all {
        let text = String::from_utf8(request.body).unwrap();
        assert!(text.to_lowercase().contains("test"), "{text}");
    }
    // Without a secret it says which one, and sends nothing there.
    let (found, _, code) = said(&program, &args, &secrets[1..]).await;
    assert!(found.contains("slack was sent nothing: SIDECAR_SLACK_URL is not set"), "{found}");
    assert_eq!(code, Some(6), "{found}");
    // Plain doctor sends nothing at all.
    let before = places.server.received_requests().await.unwrap().len();
    let (found, ..) = said(&program, &args[..3], &secrets).await;
    assert_eq!(found.matches("ok    webhook").count(), 6, "{found}");
    assert_eq!(places.server.received_requests().await.unwrap().len(), before);
}

#[tokio::test]
async fn a_test_incident_that_stays_open_is_told() {
    let program = Program::new();
    let places = Places { server: MockServer::start().await };
    let resolves = Mock::given(wiremock::matchers::body_string_contains("\"resolve\""));
    resolves.respond_with(ResponseTemplate::new(429)).with_priority(1).mount(&places.server).await;
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(202)).mount(&places.server).await;
    let targets = json!([{"format": "pagerduty", "keyEnv": "SIDECAR_PD_KEY", "url": places.url("pagerduty")}]);
    let agent = json!({"sentimentEscalationEnabled": true, "sentimentEscalationAction": "notify",
        "sentimentWebhookAllow": ["127.0.0.0/8"], "sentimentNotifyTargets": targets});
    let file = program.folder.path().join("agent.json");
    std::fs::write(&file, agent.to_string()).unwrap();
    let args = ["doctor", "--agent", file.to_str().unwrap(), "--send-test"];
    let (found, ..) = said(&program, &args, &[("SIDECAR_PD_KEY", KEY.to_owned())]).await;
    assert!(found.contains("pagerduty took the test alert, but not that it is over"), "{found}");
}

#[tokio::test]
async fn a_resend_before_the_outcome_of_a_transfer_waits_for_it() {
    let (places, room, program) = (Places::start().await, Room::start().await, Program::new());
    let settings = json!({"sentimentEscalationAction": "transfer", "sentimentEscalationTarget": "+14155551234",
        "sentimentNotifyWebhook": places.url("seed"), "sentimentWebhookAllow": ["127.0.0.0/8"],
        "sentimentHandoverSentence": ""});
    let mut running = program.attach(&room, settings);
    let (mut connection, _) = room.accept().await;
    connection.welcome(&["turn_events", "transfer"], false).await;
    connection.seed_turns(1).await;
    let id = running.event("escalation").await["alert_id"].as_str().unwrap().to_owned();
    let command = connection.command("transfer").await;
    let (_, waits, code) = said(&program, &["alerts", "resend", &id, "--again"], &[]).await;
    assert!(waits.contains("waits for the outcome of the transfer") && code == Some(2), "{waits}");
    assert!(places.server.received_requests().await.unwrap().is_empty());
    connection.result(4, &command, "failed", Some("busy")).await;
    let told = body(&places.got("seed", 1).await[0]);
    assert!(told["description"].as_str().unwrap().starts_with("NOT transferred"), "{told}");
    connection.end(5).await;
    assert_eq!(running.exit().await, Some(0));
}

#[tokio::test]
async fn a_failed_transfer_says_so_first() {
    let (places, room, program) = (Places::start().await, Room::start().await, Program::new());
    let settings = json!({"sentimentEscalationAction": "transfer", "sentimentEscalationTarget": "+14155551234",
        "sentimentNotifyWebhook": places.url("seed"), "sentimentWebhookAllow": ["127.0.0.0/8"],
        "sentimentWebhookDetail": "full", "sentimentHandoverSentence": ""});
    let mut running = program.attach(&room, settings);
    let (mut connection, _) = room.accept().await;
    connection.welcome(&["turn_events", "transfer"], false).await;
    connection.seed_turns(1).await;
    let command = connection.command("transfer").await;
    connection.result(4, &command, "failed", Some("busy")).await;
    let told = body(&places.got("seed", 1).await[0]);
    let description = told["description"].as_str().unwrap();
    assert!(description.starts_with("NOT transferred: the human's line was busy. "), "{description}");
    assert_eq!(told["transfer_words"], "the human's line was busy");
    assert_eq!(told["target"], "+14155551234");
    connection.end(5).await;
    assert_eq!(running.exit().await, Some(0));
}
