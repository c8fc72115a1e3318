//! What is SQLite's own: files, locks, disks, and the versions of its tables.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use tempfile::TempDir;

use super::*;
use crate::alert::Alert;
use crate::alert::payload::tests::alert;
use crate::alert::record::WebhookPlan;
use crate::config::settings::WebhookDetail;
use crate::store::behaviour::{Fresh, NOW, behaves, decided, outgoing};
use crate::store::url::Place;

/// A folder for a store, which goes with it.
struct Folder(TempDir);

impl Folder {
    fn file(&self) -> PathBuf {
        self.0.path().join("store.db")
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
    let _first = place.open().await;
    let side = |side: &str| PathBuf::from(format!("{}{side}", place.file().display()));
    let mode = |file: &PathBuf| std::fs::metadata(file).unwrap().permissions().mode() & 0o777;
    for file in ["", "-wal", "-shm"].map(side) {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
    }
    let _second = place.open().await;
    assert_eq!(["", "-wal", "-shm"].map(side).each_ref().map(mode), [0o600; 3]);
}

async fn new_store() -> (Folder, SqliteStore) {
    let folder = Folder::fresh().await;
    let store = SqliteStore::open(&folder.file()).await.unwrap();
    (folder, store)
}

async fn write(store: &SqliteStore, alert: &Alert) {
    let write = decided(alert, WebhookPlan::Send);
    store.write(&write, Some(&outgoing(WebhookDetail::Full)), NOW).await.unwrap();
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
    let result = async { SqliteStore::open(&file).await?.claim_due(100, NOW, NOW).await }.await;
    let error = result.unwrap_err();
    assert!(matches!(error.problem, StoreProblem::Corrupt { .. }), "{error}");
    assert!(error.to_string().contains("move it"), "{error}");
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_left_alone() {
    let (folder, _store) = new_store().await;
    folder.meddle("PRAGMA user_version = 99").await;
    let problem = problem_of_opening(&folder.file()).await;
    assert_eq!(problem, StoreProblem::TooNew { version: 99, known: 3 });
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
    let result = store.write(&decided(&big, WebhookPlan::Send), Some(&outgoing(WebhookDetail::Full)), NOW).await;
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
    assert_eq!(mode(file.parent().unwrap()), 0o700);
}
