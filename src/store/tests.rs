#![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use std::collections::HashSet;

use tempfile::TempDir;

use super::*;
use crate::alert::outcome::Outcome;
use crate::alert::outgoing::Outgoing;
use crate::alert::payload;
use crate::alert::payload::tests::alert;
use crate::alert::record::{StoreResult, StoreWrite, WebhookPlan};
use crate::alert::{Alert, AlertId};
use crate::config::settings::{AllowEntry, WebhookDetail};

const NOW: u64 = 1_700_000_000_000;

fn url_in(folder: &TempDir) -> StoreUrl {
    folder.path().join("store.db").to_str().unwrap().parse().unwrap()
}

async fn new_store() -> (TempDir, Store) {
    let folder = TempDir::new().unwrap();
    let store = Store::open(&url_in(&folder)).await.unwrap();
    (folder, store)
}

fn outgoing(detail: WebhookDetail) -> Outgoing {
    Outgoing {
        url: "https://example.com/hook".parse().unwrap(),
        detail,
        allow: vec![AllowEntry::Net("10.0.0.0/8".parse().unwrap()), AllowEntry::Host("hooks.internal".to_owned())],
        timeout_ms: 1_000,
    }
}

fn decided(alert: &Alert, webhook: WebhookPlan) -> StoreWrite {
    StoreWrite::Alert { alert: alert.clone(), webhook, transfer_cap: None }
}

fn came_to(alert: &Alert, outcome: Outcome, webhook: WebhookPlan) -> StoreWrite {
    StoreWrite::Outcome { alert: Alert { outcome: Some(outcome), ..alert.clone() }, webhook }
}

async fn write(store: &Store, write: &StoreWrite, now: u64) -> StoreResult {
    store.write(write, Some(&outgoing(WebhookDetail::Full)), now).await.unwrap()
}

async fn row(store: &Store, id: &AlertId) -> OutboxRow {
    store.webhook(id).await.unwrap().unwrap()
}

async fn sql(store: &Store, statement: &'static str) {
    sqlx::raw_sql(statement).execute(&mut *store.conn().await.unwrap()).await.unwrap();
}

#[tokio::test]
async fn an_alert_is_written_with_its_flag_and_webhook_and_read_back_by_another_process() {
    let (folder, store) = new_store().await;
    let alert = alert("t3");
    assert_eq!(write(&store, &decided(&alert, WebhookPlan::Send), NOW).await, StoreResult::Written);
    store.close().await;
    let store = Store::open(&url_in(&folder)).await.unwrap();
    let stored = store.alert(&alert.id).await.unwrap().unwrap();
    assert_eq!(stored, StoredAlert { alert: alert.clone(), created_ms: NOW, review: "open".to_owned() });
    let claim = store.claim(&alert.id, NOW).await.unwrap().unwrap();
    assert_eq!(claim.outgoing, outgoing(WebhookDetail::Full));
    assert_eq!(claim.body, payload::body(&alert, WebhookDetail::Full));
    assert_eq!((claim.attempt, claim.until_ms), (1, NOW + 1_000 + LEASE_SLACK_MS));
}

#[tokio::test]
async fn an_alert_that_is_there_already_is_not_acted_on_again() {
    let (_folder, store) = new_store().await;
    let first = alert("t3");
    write(&store, &decided(&first, WebhookPlan::Hold { ms: 9_000 }), NOW).await;
    let again = Alert { description: "another".to_owned(), ..first.clone() };
    let existing = |outcome| StoreResult::Existing { outcome };
    assert_eq!(write(&store, &decided(&again, WebhookPlan::Send), NOW + 5).await, existing(None));
    assert_eq!(row(&store, &first.id).await.state, OutboxState::Held);
    assert_eq!(store.alert(&first.id).await.unwrap().unwrap().alert, first);
    write(&store, &came_to(&first, Outcome::Busy, WebhookPlan::Send), NOW + 10).await;
    let last = write(&store, &decided(&again, WebhookPlan::Send), NOW + 15).await;
    assert_eq!(last, existing(Some(Outcome::Busy)));
}

#[tokio::test]
async fn no_webhook_is_queued_in_shadow_mode_or_without_a_plan_or_a_url() {
    let (_folder, store) = new_store().await;
    let shadow = Alert { shadow: true, ..alert("shadow") };
    write(&store, &decided(&shadow, WebhookPlan::Send), NOW).await;
    write(&store, &came_to(&shadow, Outcome::Busy, WebhookPlan::Send), NOW).await;
    write(&store, &decided(&alert("none"), WebhookPlan::None), NOW).await;
    let written = store.write(&decided(&alert("no url"), WebhookPlan::Send), None, NOW).await.unwrap();
    assert_eq!(written, StoreResult::Written);
    assert_eq!((store.pending_count().await.unwrap(), store.next_due().await.unwrap()), (0, None));
    assert!(store.alert(&shadow.id).await.unwrap().is_some());
}

#[tokio::test]
async fn a_failed_transfer_releases_the_held_webhook_which_tells_the_outcome() {
    let (_folder, store) = new_store().await;
    let alert = alert("t3");
    write(&store, &decided(&alert, WebhookPlan::Hold { ms: 60_000 }), NOW).await;
    assert_eq!(store.next_due().await.unwrap(), Some(NOW + 60_000));
    assert!(store.claim(&alert.id, NOW + 59_999).await.unwrap().is_none());
    write(&store, &came_to(&alert, Outcome::Busy, WebhookPlan::Send), NOW + 10).await;
    let claim = store.claim(&alert.id, NOW + 10).await.unwrap().unwrap();
    let told: payload::FullPayload = serde_json::from_str(&claim.body).unwrap();
    assert_eq!(told.transfer, Some(Outcome::Busy));
}

#[tokio::test]
async fn a_transfer_that_went_well_cancels_the_held_webhook() {
    let (_folder, store) = new_store().await;
    let alert = alert("t3");
    write(&store, &decided(&alert, WebhookPlan::Hold { ms: 60_000 }), NOW).await;
    write(&store, &came_to(&alert, Outcome::Unknown, WebhookPlan::Hold { ms: 5 }), NOW + 10).await;
    assert_eq!(row(&store, &alert.id).await.due_ms, NOW + 60_000, "an outcome that is not final keeps it");
    write(&store, &came_to(&alert, Outcome::Transferred, WebhookPlan::None), NOW + 20).await;
    assert_eq!(row(&store, &alert.id).await.state, OutboxState::Cancelled);
    assert!(store.claim_due(10, u64::MAX, NOW + 99_999_999).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_held_webhook_falls_due_by_itself_when_its_process_died() {
    let (_folder, store) = new_store().await;
    let alert = alert("t3");
    write(&store, &decided(&alert, WebhookPlan::Hold { ms: 60_000 }), NOW).await;
    let claims = store.claim_due(10, NOW + 60_000, NOW + 60_000).await.unwrap();
    assert_eq!(claims.len(), 1);
    // The outcome comes after all: what is being sent is not changed, and not sent twice.
    for plan in [WebhookPlan::None, WebhookPlan::Send] {
        write(&store, &came_to(&alert, Outcome::Busy, plan), NOW + 60_001).await;
        let row = row(&store, &alert.id).await;
        assert_eq!((row.state, row.attempts), (OutboxState::Pending, 1));
        assert_eq!(row.body, claims[0].body);
    }
    assert!(store.claim(&alert.id, NOW + 60_002).await.unwrap().is_none());
    let delivered = Attempted::Delivered { status: 200 };
    assert!(store.attempted(&claims[0], &delivered, NOW + 60_003).await.unwrap());
    write(&store, &came_to(&alert, Outcome::Busy, WebhookPlan::Send), NOW + 60_004).await;
    assert_eq!(row(&store, &alert.id).await.state, OutboxState::Delivered);
}

#[tokio::test]
async fn an_outcome_whose_alert_could_not_be_written_writes_both() {
    let (_folder, store) = new_store().await;
    let alert = alert("t3");
    write(&store, &came_to(&alert, Outcome::Busy, WebhookPlan::Send), NOW).await;
    assert_eq!(store.alert(&alert.id).await.unwrap().unwrap().alert.outcome, Some(Outcome::Busy));
    assert_eq!(row(&store, &alert.id).await.state, OutboxState::Pending);
}

#[tokio::test]
async fn a_process_that_dies_in_an_attempt_is_followed_by_another_with_the_same_body() {
    let (folder, store) = new_store().await;
    let alert = alert("t3");
    write(&store, &decided(&alert, WebhookPlan::Send), NOW).await;
    let lost = store.claim(&alert.id, NOW).await.unwrap().unwrap();
    drop(store);
    let store = Store::open(&url_in(&folder)).await.unwrap();
    assert!(store.claim(&alert.id, lost.until_ms - 1).await.unwrap().is_none());
    assert_eq!(store.next_due().await.unwrap(), Some(lost.until_ms));
    let taken = store.claim(&alert.id, lost.until_ms).await.unwrap().unwrap();
    assert_eq!((taken.attempt, &taken.body), (2, &lost.body));
    // Should the first process live after all, its failure no longer counts, but its success does.
    let failed = Attempted::Retry { at_ms: NOW, status: None, detail: "late".to_owned() };
    assert!(!store.attempted(&lost, &failed, lost.until_ms).await.unwrap());
    assert!(store.attempted(&lost, &Attempted::Delivered { status: 204 }, lost.until_ms).await.unwrap());
    let failed = Attempted::GaveUp { status: Some(410), detail: "gone".to_owned() };
    assert!(!store.attempted(&taken, &failed, lost.until_ms).await.unwrap());
    let row = row(&store, &alert.id).await;
    assert_eq!((row.state, row.last_status, row.settled_ms), (OutboxState::Delivered, Some(204), Some(lost.until_ms)));
}

#[tokio::test]
async fn a_retry_is_due_when_it_says_and_what_is_settled_is_never_claimed() {
    let (_folder, store) = new_store().await;
    for key in ["retry", "gone", "done"] {
        write(&store, &decided(&alert(key), WebhookPlan::Send), NOW).await;
    }
    let claims = store.claim_due(10, NOW, NOW).await.unwrap();
    let claim = |key: &str| claims.iter().find(|claim| claim.alert_id == alert(key).id).unwrap();
    let retry = Attempted::Retry { at_ms: NOW + 5_000, status: Some(500), detail: "500".to_owned() };
    store.attempted(claim("retry"), &retry, NOW).await.unwrap();
    let gave_up = Attempted::GaveUp { status: Some(410), detail: "410".to_owned() };
    store.attempted(claim("gone"), &gave_up, NOW).await.unwrap();
    store.attempted(claim("done"), &Attempted::Delivered { status: 200 }, NOW).await.unwrap();
    assert_eq!((store.pending_count().await.unwrap(), store.next_due().await.unwrap()), (1, Some(NOW + 5_000)));
    assert!(store.claim_due(10, NOW + 4_999, NOW + 9_999).await.unwrap().is_empty(), "not due by then");
    let again = store.claim_due(10, NOW + 9_999, NOW + 9_999).await.unwrap();
    assert_eq!(
        again.iter().map(|claim| (&claim.alert_id, claim.attempt)).collect::<Vec<_>>(),
        [(&alert("retry").id, 2)]
    );
}

#[tokio::test]
async fn a_row_that_was_changed_from_outside_holds_up_no_other() {
    let (_folder, store) = new_store().await;
    write(&store, &decided(&alert("a"), WebhookPlan::Send), NOW).await;
    sql(&store, "UPDATE outbox SET url = 'ftp://example.com/'").await;
    write(&store, &decided(&alert("b"), WebhookPlan::Send), NOW).await;
    let claims = store.claim_due(10, NOW, NOW).await.unwrap();
    assert_eq!(claims.iter().map(|claim| &claim.alert_id).collect::<Vec<_>>(), [&alert("b").id]);
    let bad = row(&store, &alert("a").id).await;
    assert_eq!(bad.state, OutboxState::GaveUp);
    assert!(bad.last_error.unwrap().contains("not a webhook URL"));
    sql(&store, "UPDATE alerts SET record = '{'").await;
    let error = store.alert(&alert("a").id).await.unwrap_err();
    assert!(matches!(error.problem, StoreProblem::BadRow { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_connections_that_claim_at_once_each_row_goes_to_one() {
    const ROWS: usize = 60;
    let (folder, store) = new_store().await;
    for at in 0..ROWS {
        write(&store, &decided(&alert(&format!("t{at}")), WebhookPlan::Send), NOW).await;
    }
    let mut claimers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let url = url_in(&folder);
        claimers.spawn(async move {
            let store = Store::open(&url).await.unwrap();
            let mut mine = Vec::new();
            loop {
                let claims = store.claim_due(3, NOW, NOW).await.unwrap();
                if claims.is_empty() {
                    return mine;
                }
                mine.extend(claims.into_iter().map(|claim| claim.alert_id));
            }
        });
    }
    let all = claimers.join_all().await.concat();
    assert_eq!(all.len(), ROWS);
    assert_eq!(all.into_iter().collect::<HashSet<_>>().len(), ROWS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_processes_may_open_a_new_store_at_once() {
    let folder = TempDir::new().unwrap();
    let mut openers = tokio::task::JoinSet::new();
    for at in 0..16 {
        let url = url_in(&folder);
        openers.spawn(async move {
            let store = Store::open(&url).await.unwrap();
            write(&store, &decided(&alert(&format!("t{at}")), WebhookPlan::Send), NOW).await
        });
    }
    for result in openers.join_all().await {
        assert_eq!(result, StoreResult::Written);
    }
    let store = Store::open(&url_in(&folder)).await.unwrap();
    assert_eq!(store.pending_count().await.unwrap(), 16);
}

fn transferring(key: &str, cap: u32) -> StoreWrite {
    StoreWrite::Alert { alert: alert(key), webhook: WebhookPlan::Send, transfer_cap: Some(cap) }
}

#[tokio::test]
async fn a_place_of_this_hour_is_free_again_in_the_next() {
    let (_folder, store) = new_store().await;
    let at_cap = StoreResult::AtCap { cap: 2 };
    assert_eq!(write(&store, &transferring("t1", 2), NOW).await, StoreResult::Written);
    assert_eq!(write(&store, &transferring("t2", 2), NOW + 1).await, StoreResult::Written);
    assert_eq!(write(&store, &transferring("t3", 2), NOW + 3_599_999).await, at_cap);
    assert!(store.alert(&alert("t3").id).await.unwrap().is_some(), "the alert itself is kept");
    assert_eq!(write(&store, &transferring("t4", 2), NOW + 3_600_000).await, StoreResult::Written);
    assert_eq!(write(&store, &transferring("t5", 2), NOW + 3_600_000).await, at_cap);
    // A process that takes over takes no second place, nor does what is no transfer.
    assert_eq!(write(&store, &transferring("t4", 9), NOW + 3_600_000).await, StoreResult::Existing { outcome: None });
    assert_eq!(write(&store, &decided(&alert("t6"), WebhookPlan::Send), NOW + 3_600_000).await, StoreResult::Written);
    assert_eq!(write(&store, &transferring("t7", 3), NOW + 3_600_000).await, StoreResult::Written);
    // A clock that was put back by a day.
    assert_eq!(write(&store, &transferring("t8", 1), NOW - 86_400_000).await, StoreResult::Written);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_processes_that_race_for_the_last_places_exactly_so_many_get_one() {
    let folder = TempDir::new().unwrap();
    let mut racers = tokio::task::JoinSet::new();
    for at in 0..16 {
        let url = url_in(&folder);
        racers.spawn(async move {
            let store = Store::open(&url).await.unwrap();
            write(&store, &transferring(&format!("t{at}"), 3), NOW + at).await
        });
    }
    let results = racers.join_all().await;
    let placed = results.iter().filter(|result| **result == StoreResult::Written).count();
    let refused = results.iter().filter(|result| **result == StoreResult::AtCap { cap: 3 }).count();
    assert_eq!((placed, refused), (3, 13));
}

#[tokio::test]
async fn a_session_is_kept_from_its_start_over_a_take_over_to_its_end() {
    let (_folder, store) = new_store().await;
    store.session_started("s1", "room", NOW).await.unwrap();
    store.session_ended("s1", "room", "lost", 2, false, NOW + 1).await.unwrap();
    store.session_started("s1", "room", NOW + 2).await.unwrap();
    let open = store.session("s1", "room").await.unwrap().unwrap();
    assert_eq!((open.started_ms, open.ended_ms), (NOW, None));
    store.session_ended("s1", "room", "hangup", 7, true, NOW + 3).await.unwrap();
    let ended = StoredSession {
        started_ms: NOW,
        ended_ms: Some(NOW + 3),
        ended_reason: Some("hangup".to_owned()),
        turns: 7,
        escalated: true,
    };
    assert_eq!(store.session("s1", "room").await.unwrap(), Some(ended));
    assert_eq!(store.session("s1", "another room").await.unwrap(), None);
    store.session_ended("s2", "room", "hangup", 0, false, NOW).await.unwrap();
    assert!(store.session("s2", "room").await.unwrap().is_some());
}

async fn problem_of_opening(path: &Path) -> StoreProblem {
    let url: StoreUrl = path.to_str().unwrap().parse().unwrap();
    let error = Store::open_waiting(&url, Duration::from_millis(200)).await.unwrap_err();
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    error.problem
}

#[tokio::test]
async fn a_file_that_is_no_store_is_refused_and_left_as_it_was() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("store.db");
    let noise =
        b"this is no database, but it is longer than the header of one would be: 0123456789 0123456789 0123456789";
    std::fs::write(&file, noise).unwrap();
    assert!(matches!(problem_of_opening(&file).await, StoreProblem::Corrupt { .. }));
    assert_eq!(std::fs::read(&file).unwrap(), noise);
    let foreign = folder.path().join("foreign.db");
    let options = SqliteConnectOptions::new().filename(&foreign).create_if_missing(true);
    let mut conn = options.connect().await.unwrap();
    sqlx::raw_sql("CREATE TABLE bookmarks (id)").execute(&mut conn).await.unwrap();
    assert_eq!(problem_of_opening(&foreign).await, StoreProblem::NotOurs);
}

#[tokio::test]
async fn a_store_that_is_damaged_says_so() {
    let (folder, store) = new_store().await;
    for at in 0..50 {
        write(&store, &decided(&alert(&format!("t{at}")), WebhookPlan::Send), NOW).await;
    }
    store.close().await;
    let file = folder.path().join("store.db");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[4096..].fill(0xa5);
    std::fs::write(&file, bytes).unwrap();
    let url = url_in(&folder);
    let result = async { Store::open(&url).await?.claim_due(100, NOW, NOW).await }.await;
    let error = result.unwrap_err();
    assert!(matches!(error.problem, StoreProblem::Corrupt { .. }), "{error}");
    assert!(error.to_string().contains("move it"), "{error}");
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_left_alone() {
    let (folder, store) = new_store().await;
    sql(&store, "PRAGMA user_version = 99").await;
    let problem = problem_of_opening(&folder.path().join("store.db")).await;
    assert_eq!(problem, StoreProblem::TooNew { version: 99, known: 2 });
}

#[tokio::test]
async fn a_store_that_stays_locked_is_told_from_one_that_is_broken() {
    let (folder, store) = new_store().await;
    let mut conn = store.conn().await.unwrap();
    let _tx = conn.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let problem = problem_of_opening(&folder.path().join("store.db")).await;
    assert_eq!(problem, StoreProblem::Locked { waited_ms: 200 });
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_folder_that_takes_no_file_is_refused_at_start() {
    // /proc takes no files from anyone, root included.
    for path in ["/proc/store.db", "/proc/self/status/store.db", "/proc"] {
        let problem = problem_of_opening(Path::new(path)).await;
        assert!(matches!(problem, StoreProblem::CannotOpen { .. }), "{path}: {problem:?}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_read_only_folder_or_store_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, store) = new_store().await;
    sql(&store, "PRAGMA query_only = ON").await;
    let error = store.session_started("s", "r", NOW).await.unwrap_err();
    assert_eq!(error.problem, StoreProblem::ReadOnly);
    store.close().await;
    let mode = |mode| std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o500);
    // Root may write anywhere, and then there is nothing to see.
    if std::fs::write(folder.path().join("probe"), "").is_err() {
        let problem = problem_of_opening(&folder.path().join("new.db")).await;
        assert!(matches!(problem, StoreProblem::CannotOpen { .. }), "{problem:?}");
        let problem = problem_of_opening(&folder.path().join("store.db")).await;
        assert!(matches!(problem, StoreProblem::ReadOnly | StoreProblem::CannotOpen { .. }), "{problem:?}");
    }
    mode(0o700);
}

#[tokio::test]
async fn a_full_disk_loses_the_whole_write_and_nothing_that_was_there() {
    let (_folder, store) = new_store().await;
    let kept = alert("kept");
    write(&store, &decided(&kept, WebhookPlan::Send), NOW).await;
    let pages: i64 =
        sqlx::query_scalar("PRAGMA page_count").fetch_one(&mut *store.conn().await.unwrap()).await.unwrap();
    let limit = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"));
    sqlx::raw_sql(limit).execute(&mut *store.conn().await.unwrap()).await.unwrap();
    let big = Alert { reason: "why ".repeat(20_000), ..alert("big") };
    let result = store.write(&decided(&big, WebhookPlan::Send), Some(&outgoing(WebhookDetail::Full)), NOW).await;
    assert_eq!(result.unwrap_err().problem, StoreProblem::Full);
    assert_eq!(store.alert(&big.id).await.unwrap(), None, "nothing of it");
    assert_eq!(store.pending_count().await.unwrap(), 1);
    // Space is back (the limit was the connection's): the store mends itself, and the same write goes through.
    write(&store, &decided(&big, WebhookPlan::Send), NOW).await;
    assert_eq!(store.alert(&kept.id).await.unwrap().unwrap().alert, kept);
}

#[cfg(unix)]
#[tokio::test]
async fn the_store_is_for_its_user_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let state = folder.path().join("state");
    let url = StoreUrl::of_user(|name| (name == "XDG_STATE_HOME").then(|| state.clone().into_os_string())).unwrap();
    let store = Store::open(&url).await.unwrap();
    write(&store, &decided(&alert("t3"), WebhookPlan::Send), NOW).await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(url.path()), 0o600);
    assert_eq!(mode(&url.path().with_extension("db-wal")), 0o600);
    assert_eq!(mode(url.path().parent().unwrap()), 0o700);
}
