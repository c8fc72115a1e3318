//! How long the review pages' questions take in a store of a million calls, a tenth of which escalated, over a year.
//!
//! Each question is asked through the store, in a new one as well as over and over, on one connection, as the pages ask it.
//! Goal: 50 ms each. `-- --quick` fills a store with 20,000 calls, for seconds; `-- --calls N` with so many. Where
//! `SIDECAR_BENCH_STORE` names a file, the store is made there and left.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints, and should panic when it cannot go on")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sentiment_sidecar::alert::verdict::Verdict;
use sentiment_sidecar::alert::{Alert, AlertId, Rule, Severity};
use sentiment_sidecar::clock::unix_ms;
use sentiment_sidecar::config::settings::ActionKind;
use sentiment_sidecar::sentiment::Sentiment;
use sentiment_sidecar::store::Store;
use sentiment_sidecar::store::live::{LiveCall, LiveChange};
use sentiment_sidecar::store::review::AlertFilter;
use sentiment_sidecar::store::whole::Whole;
use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, SqliteConnection};

const GOAL: Duration = Duration::from_millis(50);
const DAY_MS: u64 = 86_400_000;
/// Of so many calls one escalated.
const ONE_IN: u64 = 10;
const LIVE: u32 = 2_000;
/// As many alerts as a page lists.
const PAGE: u32 = 50;
const TIMES: usize = 5;

/// The calls are spread over the year before `?2`; `?1` is how many there are.
const SESSIONS: &str = "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1) \
    INSERT INTO sessions (session_id, room_name, started_ms, ended_ms, ended_reason, turns, escalated, caller, call_over) \
    SELECT 's' || i, 'room-' || i, ?2 - (?1 - i) * (365 * 86400000 / ?1), ?2 - (?1 - i) * (365 * 86400000 / ?1) + 240000, \
    'the caller hung up', 5 + i % 20, i % 10 = 0, '+1415' || (5000000 + i % 400000), 1 FROM n";
/// `?3` is an alert as it is written down.
const ALERTS: &str = "INSERT INTO alerts (alert_id, room_name, session_id, turn, rule, severity, action, sentiment, shadow, \
    outcome, record, created_ms, updated_ms, caller) \
    SELECT 'alert_' || printf('%08x', i * 2654435761 % 4294967296) || '_' || i, 'room-' || i, 's' || i, 3, \
    CASE i % 7 WHEN 0 THEN 'tool' WHEN 1 THEN 'sustained' ELSE 'streak' END, \
    CASE i % 11 WHEN 0 THEN 'critical' WHEN 1 THEN 'high' WHEN 2 THEN 'low' ELSE 'medium' END, \
    CASE i % 3 WHEN 0 THEN 'transfer' WHEN 1 THEN 'notify' ELSE 'flag' END, 2.4, 0, \
    CASE WHEN i % 3 = 0 THEN iif(i % 13 = 0, '{\"outcome\":\"busy\"}', '{\"outcome\":\"transferred\"}') END, \
    json_set(?3, '$.id', 'alert_' || printf('%08x', i * 2654435761 % 4294967296) || '_' || i, '$.room_name', 'room-' || i, \
    '$.session_id', 's' || i), started_ms + 120000, started_ms + 120000, caller \
    FROM (SELECT CAST(substr(session_id, 2) AS INTEGER) AS i, started_ms, caller FROM sessions WHERE escalated = 1)";
const REST: [&str; 6] = [
    "INSERT INTO flags (alert_id, flagged_ms) SELECT alert_id, created_ms FROM alerts",
    "INSERT INTO verdicts (alert_id, verdict, note, said_by, said_ms, alert_ms) SELECT alert_id, \
     CASE rowid % 5 WHEN 0 THEN 'wrong' WHEN 1 THEN 'late' ELSE 'right' END, '', 'qa', created_ms + 3600000, created_ms \
     FROM alerts WHERE rowid % 3 = 0",
    "INSERT INTO outbox (alert_id, state, url, detail, allow, timeout_ms, body, due_ms, attempts, created_ms, settled_ms) \
     SELECT alert_id, iif(rowid % 200 = 0, 'gave_up', 'delivered'), 'https://example.com/hook', 'seed', '[]', 10000, '{}', \
     created_ms, 1, created_ms, created_ms + 500 FROM alerts WHERE action <> 'flag'",
    "INSERT INTO attempts (alert_id, target, event, attempt, at_ms, status) \
     SELECT alert_id, '', 'alert', 1, created_ms + 500, 204 FROM outbox",
    "INSERT INTO transcripts (session_id, room_name, recording, kept_ms) SELECT session_id, room_name, \
     printf('%.*c', 3000, 'x'), created_ms FROM alerts",
    "INSERT INTO audit (at_ms, who, what, alert_id) SELECT created_ms + 1000, 'dana', 'read', alert_id FROM alerts",
];

fn record() -> String {
    let alert = Alert {
        id: AlertId::from("alert".to_owned()),
        room_name: "room".to_owned(),
        session_id: "session".to_owned(),
        turn: 3,
        rule: Rule::Streak,
        severity: Severity::Medium,
        reason: "3 consecutive turns below 3".to_owned(),
        description: "Caller frustrated about an unresolved billing issue for 3 days".to_owned(),
        sentiment: Sentiment::clamped(2.4),
        mean: None,
        human_requests: None,
        action: ActionKind::Notify,
        history: vec![Sentiment::clamped(2.4); 6],
        last_turns: Vec::new(),
        outcome: None,
        steps: Vec::new(),
        shadow: false,
        streak: 3,
        participant: None,
        about: None,
    };
    serde_json::to_string(&alert).unwrap()
}

async fn meddler(file: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(file).pragma("cache_size", "-65536").connect().await.unwrap()
}

async fn fill(file: &Path, calls: u64, now_ms: u64) {
    let store = Store::open(&file.to_str().unwrap().parse().unwrap()).await.unwrap();
    store.close().await;
    let mut conn = meddler(file).await;
    let (calls, now) = (i64::try_from(calls).unwrap(), i64::try_from(now_ms).unwrap());
    sqlx::raw_sql("BEGIN").execute(&mut conn).await.unwrap();
    sqlx::query(SESSIONS).bind(calls).bind(now).execute(&mut conn).await.unwrap();
    sqlx::query(ALERTS).bind(calls).bind(now).bind(record()).execute(&mut conn).await.unwrap();
    for statement in REST {
        sqlx::raw_sql(statement).execute(&mut conn).await.unwrap();
    }
    sqlx::raw_sql("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut conn).await.unwrap();
}

fn live(number: u32) -> LiveChange {
    let call: LiveCall = serde_json::from_value(json!({
        "room_name": format!("live-{number}"), "session_id": "s", "started_ms": unix_ms(), "turns": 40,
        "caller": {"name": "Dana Cole", "number": format!("+1415555{number:04}")}, "ratings": vec![4.5; 40],
        "threshold": 3, "window": 3, "streak": 0, "low": false, "with_human": false,
        "last_words": "I have told this to three people now, can I please talk to someone?",
    }))
    .unwrap();
    LiveChange::Stands(Box::new(call))
}

/// Asks in a new store, then over and over; prints both.
macro_rules! ask {
    ($file:expr, $what:expr, |$store:ident| $question:expr) => {{
        let $store = Store::open(&$file.to_str().unwrap().parse().unwrap()).await.unwrap();
        let mut took = Vec::new();
        let mut found = 0;
        for _ in 0..=TIMES {
            let began = Instant::now();
            found = $question;
            took.push(began.elapsed());
        }
        let first = took.remove(0);
        took.sort_unstable();
        let median = took[TIMES / 2];
        let says = if first.max(median) > GOAL { "MORE THAN THE GOAL" } else { "" };
        println!("{:<44} {:>9.2} {:>9.2} {:>9}  {says}", $what, ms(first), ms(median), found);
        $store.close().await;
    }};
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn filters(now_ms: u64) -> Vec<(&'static str, AlertFilter)> {
    let week = AlertFilter { since_ms: Some(now_ms - 7 * DAY_MS), ..AlertFilter::default() };
    let year = AlertFilter { since_ms: Some(now_ms - 366 * DAY_MS), ..AlertFilter::default() };
    let some = |text: &str| Some(text.to_owned());
    let flagged = AlertFilter { action: Some(ActionKind::Flag), ..year.clone() };
    let wrong = AlertFilter { verdict: Some(Some(Verdict::Wrong)), ..year.clone() };
    let transferred = AlertFilter { outcome: some("transferred"), ..year.clone() };
    vec![
        ("list, a week", week),
        ("list, a year", year.clone()),
        (
            "list, half a year back",
            AlertFilter { before: Some((now_ms - 180 * DAY_MS, AlertId::from("a".to_owned()))), ..year.clone() },
        ),
        ("list, action", AlertFilter { action: Some(ActionKind::Flag), ..year.clone() }),
        ("list, rule", AlertFilter { rule: Some(Rule::Tool), ..year.clone() }),
        ("list, a rule of no alert", AlertFilter { rule: Some(Rule::Trajectory), ..year.clone() }),
        ("list, severity", AlertFilter { severity: Some(Severity::Critical), ..year.clone() }),
        ("list, outcome", AlertFilter { outcome: some("busy"), ..year.clone() }),
        ("list, an outcome of no alert", AlertFilter { outcome: some("declined"), ..year.clone() }),
        ("list, action and severity", AlertFilter { severity: Some(Severity::Low), ..flagged.clone() }),
        ("list, judged wrong, a rule of none", AlertFilter { rule: Some(Rule::Trajectory), ..wrong.clone() }),
        ("list, outcome, a rule of none", AlertFilter { rule: Some(Rule::Trajectory), ..transferred.clone() }),
        ("list, judged wrong", AlertFilter { verdict: Some(Some(Verdict::Wrong)), ..year.clone() }),
        ("list, not judged", AlertFilter { verdict: Some(None), ..year.clone() }),
        ("list, undelivered", AlertFilter { undelivered: true, ..year.clone() }),
        ("list, room", AlertFilter { room: some("room-500"), ..year.clone() }),
        ("list, caller", AlertFilter { caller: some("+1 415 5000010"), ..year.clone() }),
        (
            "list, all at once",
            AlertFilter {
                action: Some(ActionKind::Notify),
                severity: Some(Severity::High),
                verdict: Some(Some(Verdict::Late)),
                undelivered: true,
                ..year
            },
        ),
    ]
}

async fn ask_all(file: &Path, now_ms: u64) {
    println!("{:<44} {:>9} {:>9} {:>9}", "question", "first, ms", "again, ms", "found");
    for (what, filter) in filters(now_ms) {
        ask!(file, what, |store| store.alerts(&filter, PAGE).await.unwrap().len());
    }
    for (what, days) in [("rates, a day", 1), ("rates, a week", 7), ("rates, a month", 30), ("rates, a year", 366)] {
        ask!(file, what, |store| store.rates(now_ms - days * DAY_MS, now_ms).await.unwrap().calls);
    }
    let store = Store::open(&file.to_str().unwrap().parse().unwrap()).await.unwrap();
    let id = store.alerts(&AlertFilter::default(), 1).await.unwrap().remove(0).alert.id;
    ask!(file, "one alert, with all that is known", |store| Whole::read(&store, &id).await.unwrap().iter().count());
    ask!(file, "what was done to it", |store| store.audited(&id).await.unwrap().len());
    ask!(file, "an alert by the beginning of its id", |store| store.find(&id.as_str()[..16]).await.unwrap().len());
    let all: Vec<LiveChange> = (0..LIVE).map(live).collect();
    let mut board = store.live();
    board.tell(&all, unix_ms()).await.unwrap();
    ask!(file, "the board, of which a hundred are shown", |store| {
        let calls = store.standings(unix_ms()).await.unwrap();
        store.in_progress(&calls.iter().take(100).collect::<Vec<_>>()).await.unwrap();
        calls.len()
    });
    board.leave().await.unwrap();
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let after = |flag: &str| args.iter().position(|arg| arg == flag).map(|at| args[at + 1].parse().unwrap());
    let quick = args.iter().any(|arg| arg == "--quick");
    let calls: u64 = after("--calls").unwrap_or(if quick { 20_000 } else { 1_000_000 });
    let folder = tempfile::tempdir().unwrap();
    let file = std::env::var_os("SIDECAR_BENCH_STORE").map_or(folder.path().join("store.db"), PathBuf::from);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (began, now_ms) = (Instant::now(), unix_ms());
        fill(&file, calls, now_ms).await;
        let size = std::fs::metadata(&file).unwrap().len() / 1_000_000;
        println!("{calls} calls, {} alerts, {size} MB, made in {:.0?}", calls / ONE_IN, began.elapsed());
        ask_all(&file, now_ms).await;
    });
}
