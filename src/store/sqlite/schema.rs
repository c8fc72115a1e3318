//! The tables, and how an older file comes up to date.

use sqlx::{Connection, SqliteConnection};

use crate::store::StoreProblem;

/// Marks an SQLite file as ours (`PRAGMA application_id`): "SSCD".
const APPLICATION_ID: i64 = 0x5353_4344;

/// Each brings the schema from one version (its index) to the next, and says so in `user_version`. What was released
/// is never edited: changes are appended.
const MIGRATIONS: &[&str] = &[
    include_str!("schema/001_start.sql"),
    include_str!("schema/002_transfers.sql"),
    include_str!("schema/003_calls.sql"),
];

/// Why a file could not be brought up to date.
pub(super) enum MigrateError {
    /// The file is not for us.
    Problem(StoreProblem),
    /// The database layer failed.
    Database(sqlx::Error),
}

impl From<sqlx::Error> for MigrateError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

/// Brings the schema up to date.
///
/// The write lock is taken before the version is read, so of many processes that open a new file at once, one
/// creates the tables and the others find them. It also shows at start, not at the first alert, that the file can be written.
pub(super) async fn migrate(conn: &mut SqliteConnection) -> Result<(), MigrateError> {
    let mut tx = conn.begin_with("BEGIN IMMEDIATE").await?;
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *tx).await?;
    let application: i64 = sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *tx).await?;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema").fetch_one(&mut *tx).await?;
    if application != APPLICATION_ID && (tables > 0 || application != 0) {
        return Err(MigrateError::Problem(StoreProblem::NotOurs));
    }
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if version > known {
        return Err(MigrateError::Problem(StoreProblem::TooNew { version, known }));
    }
    let done = usize::try_from(version).unwrap_or(0);
    for migration in &MIGRATIONS[done..] {
        sqlx::raw_sql(*migration).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    Ok(())
}
