//! What all processes tell of calls in progress, read and kept tidy ([`LiveReader`]).

use sqlx::{Connection, SqliteConnection};
use tokio::sync::{Mutex, MutexGuard};

use super::file::emptied_wal;
use super::live_file::LiveFile;
use super::number::int;
use crate::store::StoreError;
use crate::store::live::FORGOTTEN_MS;

/// What reads and mends what all processes tell, where any told anything.
#[derive(Debug)]
pub(super) struct LiveReader {
    file: LiveFile,
    /// Opened by the first use, and anew after one that failed.
    conn: Mutex<Option<SqliteConnection>>,
}

/// Room, session, what tells where the call stands (none where that cannot be read), and when its process last gave a sign of
/// life.
pub(super) type BriefRow = (String, String, Option<String>, i64);

/// Answered by an index alone, which has the very same expression.
pub(super) const BRIEFS: &str = "SELECT room_name, session_id, iif(json_valid(call), json_extract(call, '$.started_ms', \
    '$.caller.name', '$.caller.number', '$.window', '$.streak', '$.low', '$.with_human', '$.ratings[#-1]', '$.alert'), NULL), \
    seen_ms FROM hosts CROSS JOIN calls INDEXED BY calls_brief USING (host) WHERE seen_ms >= ?";
pub(super) const CALLS: &str = "SELECT wanted.key, call FROM json_each(?) AS wanted CROSS JOIN calls \
    ON room_name = json_extract(wanted.value, '$[0]') AND session_id = json_extract(wanted.value, '$[1]')";

/// A connection in use. One that fails is not kept.
struct Open<'a> {
    kept: MutexGuard<'a, Option<SqliteConnection>>,
    conn: SqliteConnection,
}

impl Open<'_> {
    fn keep(mut self) {
        *self.kept = Some(self.conn);
    }
}

impl LiveReader {
    pub(super) fn new(file: LiveFile) -> Self {
        Self { file, conn: Mutex::new(None) }
    }

    /// Opens the file, where there is one.
    async fn open(&self) -> Result<Option<Open<'_>>, StoreError> {
        let mut kept = self.conn.lock().await;
        let conn = match kept.take() {
            Some(conn) => conn,
            None if !self.file.is_there() => return Ok(None),
            None => self.file.connect().await?,
        };
        Ok(Some(Open { kept, conn }))
    }

    /// Where each call stands, of processes that gave a sign of life since then.
    pub(super) async fn briefs(&self, since_ms: u64) -> Result<Vec<BriefRow>, StoreError> {
        let Some(mut open) = self.open().await? else { return Ok(Vec::new()) };
        let briefs = sqlx::query_as(BRIEFS)
            .bind(int(since_ms))
            .fetch_all(&mut open.conn)
            .await
            .map_err(|error| self.file.error(&error))?;
        open.keep();
        Ok(briefs)
    }

    /// Those of these calls that are still there, each with which of them it is. They are a JSON list of rooms with sessions.
    pub(super) async fn calls(&self, wanted: &str) -> Result<Vec<(i64, String)>, StoreError> {
        let Some(mut open) = self.open().await? else { return Ok(Vec::new()) };
        let calls = sqlx::query_as(CALLS)
            .bind(wanted)
            .fetch_all(&mut open.conn)
            .await
            .map_err(|error| self.file.error(&error))?;
        open.keep();
        Ok(calls)
    }

    /// The caller's last turns as they were written; none where there are none.
    pub(super) async fn turns(&self, room_name: &str, session_id: &str) -> Result<Option<String>, StoreError> {
        let Some(mut open) = self.open().await? else { return Ok(None) };
        let turns: Option<Option<String>> =
            sqlx::query_scalar("SELECT turns FROM calls WHERE room_name = ? AND session_id = ?")
                .bind(room_name)
                .bind(session_id)
                .fetch_optional(&mut open.conn)
                .await
                .map_err(|error| self.file.error(&error))?;
        open.keep();
        Ok(turns.flatten())
    }

    /// Removes what processes left that were killed long ago, where no other may come that does.
    pub(super) async fn forget_silent(&self, now_ms: u64) -> Result<(), StoreError> {
        let Some(mut open) = self.open().await? else { return Ok(()) };
        let forgotten = async {
            let mut tx = open.conn.begin_with("BEGIN IMMEDIATE").await?;
            forget_silent(&mut tx, now_ms).await?;
            tx.commit().await
        };
        forgotten.await.map_err(|error| self.file.error(&error))?;
        open.keep();
        Ok(())
    }

    /// Erases the calls of a caller, given as [`crate::alert::about::About::key`] makes it, from the file as well.
    pub(super) async fn erase(&self, caller: &str) -> Result<(), StoreError> {
        let Some(mut open) = self.open().await? else { return Ok(()) };
        let erased = async {
            sqlx::query("DELETE FROM calls WHERE caller = ?").bind(caller).execute(&mut open.conn).await?;
            emptied_wal(&mut open.conn).await
        };
        let is_gone = erased.await.map_err(|error| self.file.error(&error))?;
        open.keep();
        if !is_gone {
            return Err(self.file.still_there());
        }
        Ok(())
    }

    pub(super) async fn close(self) -> Result<(), sqlx::Error> {
        match self.conn.into_inner() {
            Some(conn) => conn.close().await,
            None => Ok(()),
        }
    }
}

/// Removes what processes left that were killed long ago.
pub(super) async fn forget_silent(conn: &mut SqliteConnection, now_ms: u64) -> Result<(), sqlx::Error> {
    // A clock that was put back makes nobody silent.
    let before = int(now_ms.saturating_sub(FORGOTTEN_MS));
    let silent = sqlx::query("DELETE FROM hosts WHERE seen_ms < ?").bind(before).execute(&mut *conn).await?;
    // Those of the others are not looked through with each beat of each process.
    if silent.rows_affected() > 0 {
        let unhosted = "DELETE FROM calls WHERE host NOT IN (SELECT host FROM hosts)";
        sqlx::query(unhosted).execute(&mut *conn).await?;
    }
    Ok(())
}
