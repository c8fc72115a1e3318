//! The files: made and connected to, and kept for this user only.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sqlx::SqliteConnection;

use super::error::problem_of;
use super::number::millis;
use super::schema::MigrateError;
use crate::store::error::{StoreError, StoreProblem};
use crate::store::url::StoreUrl;

/// Makes a file where there is none, for this user only, and connects to it, waiting for other processes that do so.
pub(super) async fn connected<F>(
    path: &Path,
    busy_timeout: Duration,
    mut connect: impl FnMut() -> F,
) -> Result<SqliteConnection, StoreError>
where
    F: Future<Output = Result<SqliteConnection, MigrateError>>,
{
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
        let problem = match connect().await {
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

/// Moves all that was written into the file itself, so that nothing of before is beside it any more. Whether nobody who reads
/// was in the way: SQLite says so in a row, not as an error.
pub(super) async fn emptied_wal(conn: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    let (busy, ..): (i64, i64, i64) = sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(conn).await?;
    Ok(busy == 0)
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
