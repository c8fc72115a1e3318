//! The file of calls in progress. It lies beside the store's, is made by the first process that has a call to tell of, and
//! is worth nothing once nobody is on the line any more: nobody misses it who deletes it then.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use super::error::problem_of;
use super::file::connected;
use super::number::millis;
use super::schema::MigrateError;
use crate::store::{StoreError, StoreProblem, StoreUrl};

/// How long a statement waits for other processes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// The version of its tables.
const VERSION: i64 = 1;
const TABLES: &str = include_str!("schema/live_001_calls.sql");
/// What was added since, which processes of the version before know nothing of and keep all the same.
const ADDED: &str = include_str!("schema/live_002_brief.sql");

/// Where it is.
#[derive(Debug, Clone)]
pub(super) struct LiveFile(PathBuf);

impl LiveFile {
    pub(super) fn of_store(path: &Path) -> Self {
        let mut name = path.as_os_str().to_owned();
        name.push("-live");
        Self(name.into())
    }

    pub(super) fn is_there(&self) -> bool {
        self.0.exists()
    }

    /// Opens it; makes it with its tables where there is none.
    pub(super) async fn connect(&self) -> Result<SqliteConnection, StoreError> {
        connected(&self.0, BUSY_TIMEOUT, || self.try_to_connect()).await
    }

    async fn try_to_connect(&self) -> Result<SqliteConnection, MigrateError> {
        let mut conn = SqliteConnectOptions::new()
            .filename(&self.0)
            .create_if_missing(true)
            .busy_timeout(BUSY_TIMEOUT)
            // No turn waits for the disk, and after a power cut the file is whole all the same.
            .synchronous(SqliteSynchronous::Normal)
            .statement_cache_capacity(4)
            .pragma("cache_size", "-64")
            // What a caller said is gone from the file with the call.
            .pragma("secure_delete", "ON")
            .disable_statement_logging()
            .connect()
            .await?;
        match version(&mut conn).await? {
            VERSION => {}
            0 => make(&mut conn).await?,
            version => return Err(MigrateError::Problem(StoreProblem::TooNew { version, known: VERSION })),
        }
        sqlx::raw_sql(ADDED).execute(&mut conn).await?;
        Ok(conn)
    }

    /// What was erased is not gone.
    pub(super) fn still_there(&self) -> StoreError {
        let problem = StoreProblem::StillThere { waited_ms: millis(BUSY_TIMEOUT) };
        StoreError { store: StoreUrl::of_file(&self.0), problem }
    }

    pub(super) fn error(&self, error: &sqlx::Error) -> StoreError {
        StoreError { store: StoreUrl::of_file(&self.0), problem: problem_of(error, millis(BUSY_TIMEOUT)) }
    }
}

async fn version(conn: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("PRAGMA user_version").fetch_one(conn).await
}

/// Makes the tables, unless another process has meanwhile.
async fn make(conn: &mut SqliteConnection) -> Result<(), MigrateError> {
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema").fetch_one(&mut *conn).await?;
    // Tables and version are written together, and the version is read last.
    if tables > 0 && version(conn).await? == 0 {
        return Err(MigrateError::Problem(StoreProblem::NotOurs));
    }
    sqlx::query("PRAGMA journal_mode = WAL").execute(&mut *conn).await?;
    let mut tx = conn.begin_with("BEGIN IMMEDIATE").await?;
    if version(&mut tx).await? == 0 {
        sqlx::raw_sql(TABLES).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    Ok(())
}
