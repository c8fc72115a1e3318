//! The store in one SQLite file that all processes of a host share. Nothing outside of this folder knows SQL.
//!
//! One connection per process, as there are thousands of processes and each writes a handful of times. The file is in
//! WAL mode, so that readers never wait for a writer, with `synchronous=FULL`: what was committed survives a power cut.
//!
//! The file must be on a local disk: WAL mode needs shared memory, which network file systems do not have.

mod alerts;
mod batch;
mod desk;
mod error;
mod list;
mod live;
mod outbox;
mod rates;
mod review;
mod schema;
mod sessions;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Sqlite, SqliteConnection, Transaction};
use tokio::sync::{Mutex, MutexGuard};

use super::error::{StoreError, StoreProblem};
use super::url::StoreUrl;
use error::problem_of;
pub(super) use live::LiveWriter;
use schema::MigrateError;

/// How long a statement, or opening, waits for other processes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// A store in a file. Clones share its one connection.
#[derive(Clone)]
pub(super) struct SqliteStore {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    busy_timeout: Duration,
    conn: Mutex<SqliteConnection>,
    /// Set by every failure: the next use begins with a new connection. After some failures (a full disk) SQLite has
    /// ended the transaction by itself, and the database layer would take the connection for being inside one forever.
    broken: AtomicBool,
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.inner.path).finish_non_exhaustive()
    }
}

impl SqliteStore {
    pub(super) async fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_waiting(path, BUSY_TIMEOUT).await
    }

    async fn open_waiting(path: &Path, busy_timeout: Duration) -> Result<Self, StoreError> {
        let conn = Mutex::new(Self::connect_waiting(path, busy_timeout).await?);
        let inner = Inner { path: path.to_owned(), busy_timeout, conn, broken: AtomicBool::new(false) };
        Ok(Self { inner: Arc::new(inner) })
    }

    async fn connect_waiting(path: &Path, busy_timeout: Duration) -> Result<SqliteConnection, StoreError> {
        let fail = |problem| StoreError { store: StoreUrl::of_file(path), problem };
        create_private(path).map_err(|error| {
            fail(match error.kind() {
                std::io::ErrorKind::ReadOnlyFilesystem => StoreProblem::ReadOnly,
                std::io::ErrorKind::StorageFull => StoreProblem::Full,
                _ => StoreProblem::CannotOpen { detail: error.to_string() },
            })
        })?;
        let began = Instant::now();
        loop {
            let problem = match Self::connect(path, busy_timeout).await {
                Ok(conn) => return Ok(conn),
                Err(MigrateError::Problem(problem)) => problem,
                Err(MigrateError::Database(error)) => problem_of(&error, millis(busy_timeout)),
            };
            // Switching to WAL and recovering a WAL need a lock that SQLite's own busy timeout does not wait for.
            if !matches!(problem, StoreProblem::Locked { .. }) || began.elapsed() >= busy_timeout {
                return Err(fail(problem));
            }
            tokio::time::sleep(Duration::from_millis(fastrand::u64(5..40))).await;
        }
    }

    async fn connect(path: &Path, busy_timeout: Duration) -> Result<SqliteConnection, MigrateError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .busy_timeout(busy_timeout)
            .synchronous(SqliteSynchronous::Full)
            .statement_cache_capacity(16)
            // 256 KiB of page cache: there are thousands of processes.
            .pragma("cache_size", "-256")
            .disable_statement_logging();
        let mut conn = options.connect().await?;
        let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut conn).await?;
        if mode != "wal" {
            sqlx::query("PRAGMA journal_mode = WAL").execute(&mut conn).await?;
        }
        let versions = schema::migrate(&mut conn).await?;
        if let Some(before) = versions.before.filter(|before| *before != versions.now) {
            let now = versions.now;
            tracing::info!(?before, ?now, "the store was brought up to date; its version and additions");
        }
        Ok(conn)
    }

    pub(super) fn path(&self) -> &Path {
        &self.inner.path
    }

    pub(super) async fn close(self) {
        if let Some(inner) = Arc::into_inner(self.inner)
            && let Err(error) = inner.conn.into_inner().close().await
        {
            tracing::debug!(%error, "the store did not close cleanly");
        }
    }

    async fn conn(&self) -> Result<MutexGuard<'_, SqliteConnection>, StoreError> {
        let mut conn = self.inner.conn.lock().await;
        if self.inner.broken.load(Ordering::Acquire) {
            *conn = Self::connect_waiting(&self.inner.path, self.inner.busy_timeout).await?;
            self.inner.broken.store(false, Ordering::Release);
        }
        Ok(conn)
    }

    /// Begins a write, waiting for those of other processes.
    async fn begin<'c>(&self, conn: &'c mut SqliteConnection) -> Result<Transaction<'c, Sqlite>, StoreError> {
        conn.begin_with("BEGIN IMMEDIATE").await.map_err(|error| self.failed(&error))
    }

    /// Runs a statement; how many rows it changed.
    async fn execute(
        &self,
        conn: &mut SqliteConnection,
        statement: Query<'_, Sqlite, SqliteArguments>,
    ) -> Result<u64, StoreError> {
        let done = statement.execute(conn).await.map_err(|error| self.failed(&error))?;
        Ok(done.rows_affected())
    }

    fn failed(&self, error: &sqlx::Error) -> StoreError {
        self.inner.broken.store(true, Ordering::Release);
        self.error(problem_of(error, millis(self.inner.busy_timeout)))
    }

    fn bad_row(&self, what: &str, detail: impl fmt::Display) -> StoreError {
        let problem = StoreProblem::BadRow { what: what.to_owned(), detail: detail.to_string() };
        self.error(problem)
    }

    fn error(&self, problem: StoreProblem) -> StoreError {
        StoreError { store: StoreUrl::of_file(&self.inner.path), problem }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A count or time as SQLite keeps it.
fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A count or time as SQLite kept it.
fn uint(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// A small count as SQLite kept it.
fn count(value: i64) -> u32 {
    u32::try_from(value).unwrap_or(if value < 0 { 0 } else { u32::MAX })
}

/// Makes the file with its folders, for this user only: transcripts are in it. SQLite gives its side files the same mode.
fn create_private(path: &Path) -> std::io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder)?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            keep_private(path);
            Ok(())
        }
        Err(error) => Err(error),
        Ok(_) => Ok(()),
    }
}

/// Takes from everybody else what they may do with a store's files that were there before.
#[cfg(unix)]
fn keep_private(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    for side in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(side);
        let file = PathBuf::from(name);
        let Ok(metadata) = std::fs::metadata(&file) else { continue };
        let mode = metadata.permissions().mode();
        if mode & 0o077 != 0
            && let Err(error) = std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode & !0o077 & 0o7777))
        {
            tracing::warn!(file = %file.display(), %error, "others may read what callers said: its mode cannot be changed");
        }
    }
}

#[cfg(not(unix))]
fn keep_private(_: &Path) {}
