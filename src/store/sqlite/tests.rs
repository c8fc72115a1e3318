//! What is SQLite's own: files, locks, disks, and the versions of its tables.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use tempfile::TempDir;

use super::*;
use crate::alert::Alert;
use crate::alert::outgoing::Outgoing;
use crate::alert::payload::tests::alert;
use crate::alert::record::{StoreResult, WebhookPlan};
use crate::config::settings::WebhookDetail;
use crate::config::targets::NotifyFormat;
use crate::store::behaviour::{Fresh, NOW, all, behaves, decided, outgoing};
use crate::store::live::tests::call;
use crate::store::live::{LiveCall, LiveChange};
use crate::store::rows::{Change, Reach};
use crate::store::url::Place;

/// A folder for a store, which goes with it.
pub(super) struct Folder(TempDir);

impl Folder {
    fn file(&self) -> PathBuf {
        self.0.path().join("store.db")
    }

    /// The file beside it.
    fn side(&self, side: &str) -> PathBuf {
        self.0.path().join(format!("store.db{side}"))
    }

    /// Whether a word is in the file beside it.
    fn holds(&self, word: &str, side: &str) -> bool {
        let bytes = std::fs::read(self.side(side)).unwrap_or_default();
        bytes.windows(word.len()).any(|part| part == word.as_bytes())
    }
}

impl Fresh for Folder {
    async fn fresh() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn url(&self) -> StoreUrl {
        self.file().to_str().unwrap().parse().unwrap()
    }

    async fn meddle(&self, statement: &'static str) {
        let mut conn = SqliteConnectOptions::new().filename(self.file()).connect().await.unwrap();
        sqlx::raw_sql(statement).execute(&mut conn).await.unwrap();
    }
}

behaves!(Folder);

#[cfg(unix)]
#[tokio::test]
async fn files_that_others_could_read_are_this_users_alone_once_the_store_is_opened() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Folder::fresh().await;
    // Held open, so that the side files stay.
    let first = place.open().await;
    let mut live = first.live();
    live.tell(&[stands("a")], NOW).await.unwrap();
    let side = |side: &str| place.side(side);
    let mode = |file: &PathBuf| std::fs::metadata(file).unwrap().permissions().mode() & 0o777;
    let all = ["", "-wal", "-shm", "-live", "-live-wal", "-live-shm"].map(side);
    for file in &all {
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o666)).unwrap();
    }
    let second = place.open().await;
    assert_eq!(second.board(NOW).await.unwrap().len(), 1);
    assert_eq!(all.each_ref().map(mode), [0o600; 6]);
}

fn stands(room: &str) -> LiveChange {
    LiveChange::Stands(Box::new(call(room, NOW)))
}

pub(super) async fn new_store() -> (Folder, SqliteStore) {
    let folder = Folder::fresh().await;
    let store = SqliteStore::open(&folder.file()).await.unwrap();
    (folder, store)
}

async fn write(store: &SqliteStore, alert: &Alert) {
    let write = decided(alert, WebhookPlan::Send);
    store.write(&write, &[outgoing(WebhookDetail::Full)], NOW).await.unwrap();
}

async fn problem_of_opening(path: &Path) -> StoreProblem {
    let error = SqliteStore::open_waiting(path, Duration::from_millis(200)).await.unwrap_err();
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    error.problem
}

#[tokio::test]
async fn a_file_that_is_no_store_is_refused_and_left_as_it_was() {
    let folder = Folder::fresh().await;
    let file = folder.file();
    let noise =
        b"this is no database, but it is longer than the header of one would be: 0123456789 0123456789 0123456789";
    std::fs::write(&file, noise).unwrap();
    assert!(matches!(problem_of_opening(&file).await, StoreProblem::Corrupt { .. }));
    assert_eq!(std::fs::read(&file).unwrap(), noise);
    let foreign = folder.0.path().join("foreign.db");
    let options = SqliteConnectOptions::new().filename(&foreign).create_if_missing(true);
    let mut conn = options.connect().await.unwrap();
    sqlx::raw_sql("CREATE TABLE bookmarks (id)").execute(&mut conn).await.unwrap();
    assert_eq!(problem_of_opening(&foreign).await, StoreProblem::NotOurs);
}

#[tokio::test]
async fn a_store_that_is_damaged_says_so() {
    let (folder, store) = new_store().await;
    for at in 0..50 {
        write(&store, &alert(&format!("t{at}"))).await;
    }
    store.close().await;
    let file = folder.file();
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[4096..].fill(0xa5);
    std::fs::write(&file, bytes).unwrap();
    let result = async { SqliteStore::open(&file).await?.claim_due(100, &Reach::default(), NOW, NOW).await }.await;
    let error = result.unwrap_err();
    assert!(matches!(error.problem, StoreProblem::Corrupt { .. }), "{error}");
    assert!(error.to_string().contains("move it"), "{error}");
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_left_alone() {
    let (folder, _store) = new_store().await;
    folder.meddle("PRAGMA user_version = 99").await;
    let problem = problem_of_opening(&folder.file()).await;
    assert_eq!(problem, StoreProblem::TooNew { version: 99, known: 2 });
}

#[tokio::test]
async fn a_store_that_stays_locked_is_told_from_one_that_is_broken() {
    let (folder, store) = new_store().await;
    let mut conn = store.conn().await.unwrap();
    let _tx = conn.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let problem = problem_of_opening(&folder.file()).await;
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
    sqlx::raw_sql("PRAGMA query_only = ON").execute(&mut *store.conn().await.unwrap()).await.unwrap();
    let error = store.session_started("s", "r", NOW).await.unwrap_err();
    assert_eq!(error.problem, StoreProblem::ReadOnly);
    store.close().await;
    let mode = |mode| std::fs::set_permissions(folder.0.path(), std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o500);
    // Root may write anywhere, and then there is nothing to see.
    if std::fs::write(folder.0.path().join("probe"), "").is_err() {
        let problem = problem_of_opening(&folder.0.path().join("new.db")).await;
        assert!(matches!(problem, StoreProblem::CannotOpen { .. }), "{problem:?}");
        let problem = problem_of_opening(&folder.file()).await;
        assert!(matches!(problem, StoreProblem::ReadOnly | StoreProblem::CannotOpen { .. }), "{problem:?}");
    }
    mode(0o700);
}

#[tokio::test]
async fn a_full_disk_loses_the_whole_write_and_nothing_that_was_there() {
    let (_folder, store) = new_store().await;
    let kept = alert("kept");
    write(&store, &kept).await;
    let pages: i64 =
        sqlx::query_scalar("PRAGMA page_count").fetch_one(&mut *store.conn().await.unwrap()).await.unwrap();
    let limit = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"));
    sqlx::raw_sql(limit).execute(&mut *store.conn().await.unwrap()).await.unwrap();
    let big = Alert { reason: "why ".repeat(20_000), ..alert("big") };
    let result = store.write(&decided(&big, WebhookPlan::Send), &[outgoing(WebhookDetail::Full)], NOW).await;
    assert_eq!(result.unwrap_err().problem, StoreProblem::Full);
    assert_eq!(store.alert(&big.id).await.unwrap(), None, "nothing of it");
    assert_eq!(store.pending_count().await.unwrap(), 1);
    // Space is back (the limit was the connection's): the store mends itself, and the same write goes through.
    write(&store, &big).await;
    assert_eq!(store.alert(&kept.id).await.unwrap().unwrap().alert, kept);
}

#[cfg(unix)]
#[tokio::test]
async fn the_store_is_for_its_user_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let state = folder.path().join("state");
    let url = StoreUrl::of_user(|name| (name == "XDG_STATE_HOME").then(|| state.clone().into_os_string())).unwrap();
    let Place::Sqlite(file) = url.place();
    let store = SqliteStore::open(file).await.unwrap();
    write(&store, &alert("t3")).await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(file), 0o600);
    assert_eq!(mode(&file.with_extension("db-wal")), 0o600);
    let mut live = store.live("host".to_owned());
    live.tell(&[stands("a")], NOW).await.unwrap();
    assert_eq!(mode(&file.with_extension("db-live")), 0o600);
    assert_eq!(mode(&file.with_extension("db-live-wal")), 0o600);
    assert_eq!(mode(file.parent().unwrap()), 0o700);
}

/// What processes of the version before say to a store: it is of their time, and never edited.
const BEFORE: [&str; 6] = [
    "INSERT INTO sessions (session_id, room_name, started_ms) VALUES ('s9', 'r9', 1) \
     ON CONFLICT DO UPDATE SET ended_ms = NULL, ended_reason = NULL",
    "INSERT INTO alerts (alert_id, room_name, session_id, turn, rule, severity, action, sentiment, shadow, outcome, record, \
     created_ms, updated_ms) VALUES ('alert_9', 'r9', 's9', 3, 'streak', 'medium', 'notify', 2.4, 0, NULL, '{}', 1, 1) \
     ON CONFLICT (alert_id) DO UPDATE SET outcome = excluded.outcome, record = excluded.record, \
     updated_ms = excluded.updated_ms WHERE 0",
    "INSERT INTO flags (alert_id, flagged_ms) VALUES ('alert_9', 1) ON CONFLICT DO NOTHING",
    "INSERT INTO outbox (alert_id, state, url, detail, allow, timeout_ms, body, due_ms, created_ms) \
     VALUES ('alert_9', 'pending', 'https://example.com/', 'seed', '[]', 100, '{}', 1, 1) ON CONFLICT DO NOTHING",
    "UPDATE outbox SET state = 'pending', attempts = 1, claimed_until_ms = 5 WHERE alert_id = 'alert_9'",
    "INSERT INTO transfers (alert_id, started_ms) SELECT 'alert_9', 1 WHERE (SELECT count(*) FROM transfers) < 9 \
     ON CONFLICT DO NOTHING",
];

/// The file as the version before makes it.
async fn of_the_version_before(file: &Path) -> sqlx::SqliteConnection {
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
    let mut conn = options.connect().await.unwrap();
    sqlx::raw_sql("PRAGMA journal_mode = WAL").execute(&mut conn).await.unwrap();
    for migration in [include_str!("schema/001_start.sql"), include_str!("schema/002_transfers.sql")] {
        sqlx::raw_sql(migration).execute(&mut conn).await.unwrap();
    }
    conn
}

#[tokio::test]
async fn processes_of_the_version_before_go_on_working_through_an_upgrade() {
    let folder = Folder::fresh().await;
    let mut old = of_the_version_before(&folder.file()).await;
    sqlx::raw_sql(BEFORE[0]).execute(&mut old).await.unwrap();
    let store = SqliteStore::open(&folder.file()).await.unwrap();
    write(&store, &alert("t3")).await;
    for statement in BEFORE {
        sqlx::raw_sql(statement).execute(&mut old).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
    // One that begins now finds the version that it knows.
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut old).await.unwrap();
    assert_eq!(version, 2);
    // And what it leaves behind is sent.
    let reach = Reach { signs: true, secrets: Vec::new() };
    let claims = store.claim_due(9, &reach, NOW, NOW).await.unwrap();
    assert_eq!(claims.len(), 2);
    assert!(claims.iter().any(|claim| claim.alert_id.as_str() == "alert_9" && claim.attempt == 2));
    assert!(SqliteStore::open(&folder.file()).await.is_ok(), "a second opening adds nothing");
}

#[tokio::test]
async fn what_is_erased_is_gone_from_the_file() {
    let (folder, store) = new_store().await;
    let said = "a sentence that nobody else says: heliotrope";
    let alert = Alert { description: said.to_owned(), ..crate::alert::payload::tests::told("t3") };
    write(&store, &alert).await;
    let mut live = store.live("host".to_owned());
    live.tell(&[LiveChange::Stands(Box::new(LiveCall { last_words: Some(said.to_owned()), ..call("a", NOW) }))], NOW)
        .await
        .unwrap();
    assert!(folder.holds("heliotrope", "-live-wal"), "or nothing is shown by its not being there");
    store.erase("+14155550123").await.unwrap();
    store.close().await;
    for side in ["", "-wal", "-live", "-live-wal"] {
        assert!(!folder.holds("heliotrope", side), "it is still in store.db{side}");
    }
}

#[tokio::test]
async fn what_is_overwritten_is_gone_and_what_others_read_is_not_called_erased() {
    let (folder, store) = new_store().await;
    let kept = async |words: &str| {
        let (session_id, room_name) = ("s".to_owned(), "r".to_owned());
        let kept = Change::Transcript {
            session_id,
            room_name,
            caller: None,
            recording: words.to_owned(),
            course: Box::default(),
        };
        assert_eq!(store.apply(&[kept], NOW).await, [Ok(StoreResult::Written)]);
    };
    store.session_started("s", "r", NOW).await.unwrap();
    kept(&"heliotrope ".repeat(2_000)).await;
    kept("other words").await;
    store.close().await;
    assert!(!folder.holds("heliotrope", ""), "it is still on a free page");

    let store = SqliteStore::open_waiting(&folder.file(), Duration::from_millis(200)).await.unwrap();
    let said = "a sentence that nobody else says: heliotrope";
    write(&store, &Alert { description: said.to_owned(), ..crate::alert::payload::tests::told("t3") }).await;
    let mut reader = SqliteConnectOptions::new().filename(folder.file()).connect().await.unwrap();
    let mut reads = reader.begin().await.unwrap();
    sqlx::query("SELECT count(*) FROM alerts").fetch_one(&mut *reads).await.unwrap();
    let error = store.erase("+14155550123").await.unwrap_err();
    assert_eq!(error.problem, StoreProblem::StillThere { waited_ms: 200 });
    assert!(folder.holds("heliotrope", "-wal") && error.mend().starts_with("try again"), "{error}");
    reads.rollback().await.unwrap();
    store.erase("+14155550123").await.unwrap();
    assert!(!folder.holds("heliotrope", "") && !folder.holds("heliotrope", "-wal"));
}

/// A store as the version before made it, with a call in progress in it.
async fn of_today(file: &Path) -> sqlx::SqliteConnection {
    let mut conn = of_the_version_before(file).await;
    let statements = [
        "CREATE TABLE additions (number INTEGER PRIMARY KEY) STRICT; INSERT INTO additions VALUES (1), (2), (3), (4)",
        include_str!("schema/addition_001_notices.sql"),
        include_str!("schema/addition_002_calls.sql"),
        include_str!("schema/addition_003_live.sql"),
        include_str!("schema/addition_004_pages.sql"),
        "INSERT INTO live_hosts VALUES ('h', 1700000000000)",
        "INSERT INTO live VALUES ('r', 's', 'h', NULL, NULL, '{\"last_words\": \"heliotrope\"}')",
    ];
    for statement in statements {
        sqlx::raw_sql(statement).execute(&mut conn).await.unwrap();
    }
    conn
}

#[tokio::test]
async fn calls_in_progress_that_lay_in_the_store_leave_no_word_in_it() {
    let folder = Folder::fresh().await;
    let mut old = of_today(&folder.file()).await;
    let store = SqliteStore::open(&folder.file()).await.unwrap();
    write(&store, &alert("t3")).await;
    assert!(store.standings(NOW).await.unwrap().is_empty());
    store.live("new".to_owned()).tell(&[stands("a")], NOW).await.unwrap();
    assert_eq!(store.standings(NOW).await.unwrap().len(), 1);
    // What processes of before write goes on being written, though the board does not have it.
    let on_their_board = [
        "INSERT INTO live_hosts VALUES ('h', 1)",
        "INSERT INTO live VALUES ('r', 's', 'h', NULL, '15550123', '{\"last_words\": \"heliotrope\"}')",
    ];
    for statement in BEFORE.iter().chain(&on_their_board) {
        sqlx::raw_sql(*statement).execute(&mut old).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
    assert_eq!(store.standings(NOW).await.unwrap().len(), 1);
    // And goes with what a caller said, whoever it was.
    store.erase("+15550123").await.unwrap();
    old.close().await.unwrap();
    store.close().await;
    for side in ["", "-wal"] {
        assert!(!folder.holds("heliotrope", side), "it is still in store.db{side}");
    }
}

#[tokio::test]
async fn a_file_that_is_as_it_should_be_is_told_from_every_other() {
    let (folder, store) = new_store().await;
    assert!(schema::is_current(&mut store.conn().await.unwrap()).await.unwrap());
    let more = ["INSERT INTO additions DEFAULT VALUES", "PRAGMA user_version = 2"];
    for statement in more {
        folder.meddle(statement).await;
        assert!(schema::is_current(&mut store.conn().await.unwrap()).await.unwrap(), "{statement}");
    }
    for (statement, mend) in [
        ("PRAGMA user_version = 3", "PRAGMA user_version = 2"),
        ("PRAGMA application_id = 7", "PRAGMA application_id = 0x53534344"),
        (
            "DELETE FROM additions WHERE number > 1",
            "INSERT INTO additions VALUES (2), (3), (4), (5), (6), (7), (8), (9)",
        ),
        ("ALTER TABLE additions RENAME TO away", "ALTER TABLE away RENAME TO additions"),
    ] {
        folder.meddle(statement).await;
        assert!(!schema::is_current(&mut store.conn().await.unwrap()).await.unwrap(), "{statement}");
        // Nothing is left open behind it.
        folder.meddle(mend).await;
        assert!(schema::is_current(&mut store.conn().await.unwrap()).await.unwrap(), "{mend}");
    }
}

#[tokio::test]
async fn a_board_that_is_no_file_of_ours_is_refused_and_left_as_it_was() {
    let (folder, store) = new_store().await;
    let file = folder.side("-live");
    let mut conn = SqliteConnectOptions::new().filename(&file).create_if_missing(true).connect().await.unwrap();
    sqlx::raw_sql("CREATE TABLE bookmarks (id)").execute(&mut conn).await.unwrap();
    let told = store.live("host".to_owned()).tell(&[stands("a")], NOW).await.unwrap_err();
    assert_eq!(told.problem, StoreProblem::NotOurs);
    assert!(told.to_string().contains("store.db-live"), "{told}");
    assert_eq!(store.standings(NOW).await.unwrap_err().problem, StoreProblem::NotOurs);
    std::fs::remove_file(&file).unwrap();
    store.live("host".to_owned()).tell(&[stands("a")], NOW).await.unwrap();
    assert_eq!(store.standings(NOW).await.unwrap().len(), 1, "a new one is made by itself");
}

/// The places where somebody waits or waited for a turn.
async fn turns(store: &SqliteStore) -> Vec<String> {
    let mut conn = store.conn().await.unwrap();
    sqlx::query_scalar("SELECT place FROM turns").fetch_all(&mut *conn).await.unwrap()
}

#[tokio::test]
async fn places_where_all_take_turns_are_known_by_a_hash_and_not_for_long() {
    let (_folder, store) = new_store().await;
    let place = |name: &str, format| Outgoing { target: name.to_owned(), format, ..outgoing(WebhookDetail::Full) };
    let now = crate::clock::unix_ms();
    for (key, at, format) in [("t1", now - 70_000, NotifyFormat::Slack), ("t2", now - 5_000, NotifyFormat::Teams)] {
        let write = decided(&alert(key), WebhookPlan::Send);
        store.write(&write, &[place(key, format)], at).await.unwrap();
        assert!(store.claim(&alert(key).id, key, &all(), at).await.unwrap().is_some());
    }
    let kept = turns(&store).await;
    assert_eq!(kept.len(), 1, "with the second, the first is forgotten");
    assert!(kept[0].len() == 22 && !kept[0].contains("example"), "{kept:?}");
    store.prune(now).await.unwrap();
    assert_eq!(turns(&store).await, kept, "whoever waits there is not overtaken");
    store.forget_turns(&mut store.conn().await.unwrap(), now + 60_000).await.unwrap();
    assert!(turns(&store).await.is_empty());
}
