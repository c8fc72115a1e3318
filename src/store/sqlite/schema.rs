//! The tables, and how an older file comes up to date.

use sqlx::{Connection, Row as _, SqliteConnection};

use crate::store::StoreProblem;

/// Marks an SQLite file as ours (`PRAGMA application_id`): "SSCD".
const APPLICATION_ID: i64 = 0x5353_4344;

/// Each brings the schema from one version (its index) to the next, and says so in `user_version`. What was released
/// is never edited. A version before refuses a file of a newer one, so one is appended only where it could not live with
/// the change; everything else is an addition.
const MIGRATIONS: &[&str] = &[include_str!("schema/001_start.sql"), include_str!("schema/002_transfers.sql")];

/// Tables, columns with a default, and indexes that a version before knows nothing of and is not troubled by: its
/// processes go on working while those of this one begin. How many there are stands in the table `additions`.
const ADDITIONS: &[&str] = &[
    include_str!("schema/addition_001_notices.sql"),
    include_str!("schema/addition_002_calls.sql"),
    include_str!("schema/addition_003_live.sql"),
    include_str!("schema/addition_004_pages.sql"),
    include_str!("schema/addition_005_apart.sql"),
    include_str!("schema/addition_006_turns.sql"),
    include_str!("schema/addition_007_lists.sql"),
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

/// What a file had and has: its version, and how many additions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Versions {
    /// None for a new file.
    pub(super) before: Option<(i64, usize)>,
    pub(super) now: (i64, usize),
}

/// What a file says of itself, and that it can be written: all at once, as each statement is a way to the database's thread
/// and back, and a process opens the store before it joins its call.
const CURRENT: &str = "PRAGMA journal_mode; BEGIN IMMEDIATE; PRAGMA application_id; PRAGMA user_version; \
     SELECT count(*) FROM additions; COMMIT";

/// Whether a file is one as this version makes it, or with what a newer one added, and can be written. Nearly all are.
///
/// # Errors
/// The database layer's, where it is not even known what the file is.
pub(super) async fn is_current(conn: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    let rows = match sqlx::raw_sql(CURRENT).fetch_all(&mut *conn).await {
        Ok(rows) => rows,
        Err(error) if is_of_the_statement(&error) => {
            // There is no such table, so the transaction is open.
            sqlx::raw_sql("ROLLBACK").execute(&mut *conn).await?;
            return Ok(false);
        }
        Err(error) => return Err(error),
    };
    let [mode, numbers @ ..] = &rows[..] else { return Ok(false) };
    let numbers: Vec<i64> = numbers.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    let [application, version, additions] = numbers[..] else { return Ok(false) };
    let as_we_do = mode.try_get::<&str, _>(0)? == "wal" && application == APPLICATION_ID;
    Ok(as_we_do && version == int(MIGRATIONS.len()) && additions >= int(ADDITIONS.len()))
}

/// Whether it is the statement that is wrong (`SQLITE_ERROR`), and neither the file nor the disk.
fn is_of_the_statement(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "1")
}

fn int(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Brings the schema up to date.
///
/// The write lock is taken before the version is read, so of many processes that open a new file at once, one
/// creates the tables and the others find them. It also shows at start, not at the first alert, that the file can be written.
pub(super) async fn migrate(conn: &mut SqliteConnection) -> Result<Versions, MigrateError> {
    let mut tx = conn.begin_with("BEGIN IMMEDIATE").await?;
    let (version, application, tables, counted) = standing(&mut tx).await?;
    if application != APPLICATION_ID && (tables > 0 || application != 0) {
        return Err(MigrateError::Problem(StoreProblem::NotOurs));
    }
    let known = int(MIGRATIONS.len());
    if version > known {
        return Err(MigrateError::Problem(StoreProblem::TooNew { version, known }));
    }
    let done = usize::try_from(version).unwrap_or(0);
    for migration in &MIGRATIONS[done..] {
        sqlx::raw_sql(*migration).execute(&mut *tx).await?;
    }
    let before = if counted { additions(&mut tx).await? } else { 0 };
    if !counted {
        sqlx::raw_sql(COUNTER).execute(&mut *tx).await?;
    }
    // A newer version may have added more.
    for addition in ADDITIONS.get(before..).unwrap_or_default() {
        sqlx::raw_sql(*addition).execute(&mut *tx).await?;
        sqlx::query("INSERT INTO additions DEFAULT VALUES").execute(&mut *tx).await?;
    }
    tx.commit().await?;
    let after = before.max(ADDITIONS.len());
    Ok(Versions { before: (tables > 0).then_some((version, before)), now: (known, after) })
}

/// The table whose rows are the additions made.
const COUNTER: &str = "CREATE TABLE additions (number INTEGER PRIMARY KEY) STRICT";

/// A file's version and application id (both 0 in a new one), how many tables and indexes there are, and whether one of
/// them is that of the additions.
async fn standing(conn: &mut SqliteConnection) -> Result<(i64, i64, i64, bool), sqlx::Error> {
    sqlx::query_as(
        "SELECT (SELECT user_version FROM pragma_user_version), (SELECT application_id FROM pragma_application_id),
                (SELECT count(*) FROM sqlite_schema), EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'additions')",
    )
    .fetch_one(conn)
    .await
}

/// How many additions there are.
async fn additions(conn: &mut SqliteConnection) -> Result<usize, sqlx::Error> {
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM additions").fetch_one(conn).await?;
    Ok(usize::try_from(count).unwrap_or(0))
}
