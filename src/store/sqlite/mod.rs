//! The store in one SQLite file that all processes of a host share. Nothing outside of this folder knows SQL.
//!
//! One connection per process, as there are thousands of processes and each writes a handful of times. The file is in
//! WAL mode, so that readers never wait for a writer, with `synchronous=FULL`: what was committed survives a power cut.
//! Calls in progress, which every turn changes and nobody misses afterwards, lie in a file of their own beside it.
//!
//! The file must be on a local disk: WAL mode needs shared memory, which network file systems do not have.

mod alerts;
mod batch;
mod desk;
mod due;
mod error;
mod file;
mod list;
mod live;
mod live_file;
mod live_reader;
mod number;
mod outbox;
mod rates;
mod resend;
mod review;
mod schema;
mod sessions;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_lists;
mod turns;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Sqlite, SqliteConnection, Transaction};
use tokio::sync::{Mutex, MutexGuard};

use super::error::{StoreError, StoreProblem};
use super::url::StoreUrl;
use error::problem_of;
use file::connected;
pub(super) use live::LiveWriter;
use live_file::LiveFile;
use live_reader::LiveReader;
use number::{count, int, millis, uint};
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
    live: LiveReader,
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
        let live = LiveReader::new(LiveFile::of_store(path));
        let inner = Inner { path: path.to_owned(), busy_timeout, conn, broken: AtomicBool::new(false), live };
        Ok(Self { inner: Arc::new(inner) })
    }

    async fn connect_waiting(path: &Path, busy_timeout: Duration) -> Result<SqliteConnection, StoreError> {
        connected(path, busy_timeout, || Self::connect(path, busy_timeout)).await
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
        if !schema::is_current(&mut conn).await? {
            Self::bring_up_to_date(&mut conn).await?;
        }
        // What is deleted or overwritten is gone from the file, not only from the tables: callers' words are in it. They are
        // overwritten once a call, so that this costs no turn.
        sqlx::query("PRAGMA secure_delete = ON").execute(&mut conn).await?;
        Ok(conn)
    }

    async fn bring_up_to_date(conn: &mut SqliteConnection) -> Result<(), MigrateError> {
        let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut *conn).await?;
        if mode != "wal" {
            sqlx::query("PRAGMA journal_mode = WAL").execute(&mut *conn).await?;
        }
        let versions = schema::migrate(conn).await?;
        if let Some(before) = versions.before.filter(|before| *before != versions.now) {
            let now = versions.now;
            tracing::info!(?before, ?now, "the store was brought up to date; its version and additions");
        }
        Ok(())
    }

    pub(super) fn path(&self) -> &Path {
        &self.inner.path
    }

    pub(super) async fn close(self) {
        let Some(Inner { conn, live, .. }) = Arc::into_inner(self.inner) else { return };
        for closed in [conn.into_inner().close().await, live.close().await] {
            if let Err(error) = closed {
                tracing::debug!(%error, "the store did not close cleanly");
            }
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
