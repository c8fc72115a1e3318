//! What the review pages ask and leave behind: by which indexes it is answered, that what a process of the version before wrote
//! counts, and how long who looked is known.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use super::list::listing;
use super::live_reader::{BRIEFS, CALLS};
use super::tests::new_store;
use super::*;
use crate::alert::payload::tests::alert;
use crate::alert::record::WebhookPlan;
use crate::alert::verdict::Verdict;
use crate::alert::{AlertId, Rule, Severity};
use crate::config::settings::ActionKind;
use crate::store::behaviour::{Fresh, NOW, decided};
use crate::store::review::{AlertFilter, Concern, SaidVerdict};
use crate::store::rows::Change;

#[tokio::test]
async fn what_a_process_of_the_version_before_says_of_an_alert_is_counted_and_listed() {
    let (folder, store) = new_store().await;
    for (key, at) in [("t1", NOW), ("t2", NOW + 1), ("t3", NOW + 2)] {
        store.write(&decided(&alert(key), WebhookPlan::None), &[], at).await.unwrap();
    }
    let said = |verdict| SaidVerdict { verdict, note: String::new(), said_by: "qa".to_owned(), said_ms: NOW + 9 };
    store.say(&alert("t3").id, &said(Verdict::Wrong), None, "qa").await.unwrap();
    folder
        .meddle(
            "INSERT INTO verdicts (alert_id, verdict, note, said_by, said_ms) SELECT alert_id, 'wrong', '', 'qa', 1 \
             FROM alerts WHERE created_ms < 1700000000002",
        )
        .await;
    store.say(&alert("t1").id, &said(Verdict::Right), None, "qa").await.unwrap();
    let rates = store.rates(NOW, NOW + 9).await.unwrap();
    assert_eq!((rates.right, rates.wrong, rates.late), (1, 2, 0));
    let wrong = AlertFilter { verdict: Some(Some(Verdict::Wrong)), ..AlertFilter::default() };
    let listed = store.alerts(&wrong, 9).await.unwrap();
    assert_eq!(listed.iter().map(|one| one.created_ms).collect::<Vec<_>>(), [NOW + 2, NOW + 1]);
    let next = AlertFilter { before: Some((NOW + 2, alert("t3").id)), ..wrong };
    assert_eq!(store.alerts(&next, 9).await.unwrap().len(), 1);
}

/// What SQLite says that it does to answer a question.
async fn plan(store: &SqliteStore, question: &str) -> String {
    plan_on(&mut store.conn().await.unwrap(), question).await
}

async fn plan_on(conn: &mut SqliteConnection, question: &str) -> String {
    let rows: Vec<(i64, i64, i64, String)> =
        sqlx::query_as(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {question}"))).fetch_all(conn).await.unwrap();
    rows.into_iter().map(|(.., step)| step).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn questions_of_a_large_store_are_answered_by_its_indexes() {
    let (_folder, store) = new_store().await;
    for (question, index) in [
        ("SELECT alert_id FROM alerts WHERE caller = '+1'", "alerts_by_caller"),
        ("SELECT alert_id FROM alerts WHERE room_name = 'r' AND session_id = 's'", "alerts_by_session"),
        ("SELECT session_id FROM sessions WHERE caller = '+1'", "sessions_by_caller"),
        ("SELECT session_id FROM sessions WHERE started_ms < 1", "sessions_by_start"),
        ("SELECT 1 FROM attempts WHERE alert_id = 'a'", "attempts_by_alert"),
        ("SELECT min(due_ms) FROM notices WHERE state IN ('held', 'pending')", "notices_due"),
    ] {
        let plan = plan(&store, question).await;
        assert!(plan.contains(index), "{question}: {plan}");
    }
}

/// That a question reads no table from end to end, and what it reads by.
async fn asks_indexes_only(store: &SqliteStore, question: &str, index: &str) {
    let plan = plan(store, question).await;
    assert!(plan.contains(index), "{index}: {question}\n{plan}");
    for table in ["alerts", "sessions", "verdicts", "outbox", "notices", "days", "claims"] {
        let whole = |step: &str| step == format!("SCAN {table}") || step.starts_with(&format!("SCAN {table} "));
        assert!(!plan.lines().any(whole), "{table} is read whole: {question}\n{plan}");
    }
}

/// The latest of one kind.
const A_KIND: &str = "COVERING INDEX alerts_by_kind (action=? AND rule=? AND severity=? AND created_ms>?)";

#[tokio::test]
async fn every_search_of_the_list_is_answered_by_indexes() {
    let (_folder, store) = new_store().await;
    let some = || Some("x".to_owned());
    let none = AlertFilter { since_ms: Some(1), ..AlertFilter::default() };
    for (filter, index) in [
        (none.clone(), "COVERING INDEX alerts_listed"),
        (
            AlertFilter { until_ms: Some(9), before: Some((1, AlertId::from("a".to_owned()))), ..none.clone() },
            "alerts_listed",
        ),
        (AlertFilter { rule: Some(Rule::Trajectory), ..none.clone() }, A_KIND),
        (AlertFilter { severity: Some(Severity::Low), room: None, ..none.clone() }, A_KIND),
        (
            AlertFilter {
                action: Some(ActionKind::Flag),
                rule: Some(Rule::Tool),
                severity: Some(Severity::High),
                verdict: Some(None),
                ..none.clone()
            },
            A_KIND,
        ),
        (
            AlertFilter { verdict: Some(Some(Verdict::Wrong)), rule: Some(Rule::Tool), ..none.clone() },
            "COVERING INDEX verdicts_listed (verdict=? AND alert_ms>?)",
        ),
        (
            AlertFilter { verdict: Some(Some(Verdict::Wrong)), ..none.clone() },
            "verdicts_listed (verdict=? AND alert_ms=?)",
        ),
        (
            AlertFilter {
                verdict: Some(Some(Verdict::Wrong)),
                undelivered: true,
                action: Some(ActionKind::Notify),
                ..none.clone()
            },
            "COVERING INDEX alerts_timed (alert_id=?",
        ),
        (AlertFilter { undelivered: true, ..none.clone() }, "INDEX outbox_undelivered"),
        (AlertFilter { undelivered: true, ..none.clone() }, "INDEX notices_undelivered"),
        (AlertFilter { outcome: some(), ..none.clone() }, "INDEX alerts_by_outcome (<expr>=?"),
        (AlertFilter { room: some(), ..none.clone() }, "INDEX alerts_by_room (room_name=?"),
        (AlertFilter { caller: some(), room: some(), undelivered: true, ..none }, "INDEX alerts_by_caller (caller=?"),
    ] {
        asks_indexes_only(&store, listing(&filter, 50).sql().as_str(), index).await;
    }
    // However many there are, the latest of each kind are put together without sorting.
    let kind = AlertFilter { severity: Some(Severity::Medium), ..AlertFilter::default() };
    let merged = plan(&store, listing(&kind, 50).sql().as_str()).await;
    assert!(merged.contains("MERGE (UNION ALL)") && !merged.contains("TEMP B-TREE"), "{merged}");
}

#[tokio::test]
async fn rates_are_answered_by_indexes_and_by_days() {
    let (_folder, store) = new_store().await;
    asks_indexes_only(&store, rates::CALLS, "COVERING INDEX sessions_by_start").await;
    asks_indexes_only(&store, rates::DAYS, "INTEGER PRIMARY KEY").await;
    let counted = "COVERING INDEX verdicts_listed (verdict=? AND alert_ms>? AND alert_ms<?)";
    asks_indexes_only(&store, rates::VERDICTS, counted).await;
    assert!(!plan(&store, rates::VERDICTS).await.contains("alerts"), "no alert is looked up");
    let looked_up = "COVERING INDEX verdicts_listed (verdict=? AND alert_ms=?)";
    asks_indexes_only(&store, rates::VERDICTS_BEFORE, looked_up).await;
    asks_indexes_only(&store, &rates::undelivered(), "INDEX outbox_undelivered").await;
    asks_indexes_only(&store, live::CLAIMS, "INDEX sqlite_autoindex_claims_1").await;
}

#[tokio::test]
async fn the_board_reads_no_more_of_a_call_than_it_shows() {
    let (_folder, store) = new_store().await;
    let mut live = LiveFile::of_store(store.path()).connect().await.unwrap();
    for (question, index) in [
        (BRIEFS, "SEARCH calls USING COVERING INDEX calls_brief (host=?)"),
        (CALLS, "SEARCH calls USING PRIMARY KEY (room_name=? AND session_id=?)"),
    ] {
        let plan = plan_on(&mut live, question).await;
        assert!(plan.contains(index), "{index}: {question}\n{plan}");
    }
}

#[tokio::test]
async fn who_looked_at_the_board_is_forgotten_with_what_is_old() {
    let (_folder, store) = new_store().await;
    for at in [NOW, NOW + 5] {
        store.audit("dana", "board", Concern::Many, at).await.unwrap();
    }
    store.prune(NOW + 1).await.unwrap();
    let left: Vec<i64> =
        sqlx::query_scalar("SELECT at_ms FROM audit").fetch_all(&mut *store.conn().await.unwrap()).await.unwrap();
    assert_eq!(left, [i64::try_from(NOW).unwrap() + 5]);
}

#[tokio::test]
async fn who_looked_at_a_call_is_forgotten_with_its_caller() {
    let (_folder, store) = new_store().await;
    let started = |room: &str, caller: &str| Change::SessionStarted {
        session_id: "s".to_owned(),
        room_name: room.to_owned(),
        caller: Some(caller.to_owned()),
    };
    store.apply(&[started("a", "+1 415 555 0123"), started("b", "+1 415 555 0199")], NOW).await;
    for room_name in ["a", "b"] {
        store.audit("dana", "call", Concern::Call { room_name, session_id: "s" }, NOW).await.unwrap();
    }
    store.erase("tel:+1-415-555-0123").await.unwrap();
    let left: Vec<(String, String)> = sqlx::query_as("SELECT room_name, session_id FROM audit")
        .fetch_all(&mut *store.conn().await.unwrap())
        .await
        .unwrap();
    assert_eq!(left, [("b".to_owned(), "s".to_owned())]);
}
