//! Calls in progress. They are written on a connection of their own that does not wait for the disk, so that no turn costs a
//! call what an alert costs.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use super::error::problem_of;
use super::{SqliteStore, int, millis, uint};
use crate::alert::about::About;
use crate::store::live::{BEAT_MS, BoardRow, FORGOTTEN_MS, LiveCall, LiveChange};
use crate::store::review::Claimed;
use crate::store::{StoreError, StoreUrl};

/// How long a statement waits for other processes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Whether the board was last read with a row that could not be, so that a board that is looked at all day says it once.
static UNREADABLE: AtomicBool = AtomicBool::new(false);

/// `call, seen_ms, claimed_by, claimed_ms`.
type LiveRow = (String, i64, Option<String>, Option<i64>);

/// What one process tells of its calls.
#[derive(Debug)]
pub(in crate::store) struct LiveWriter {
    path: PathBuf,
    host: String,
    /// Opened by the first write, and anew after one that failed.
    conn: Option<SqliteConnection>,
    /// When it last gave a sign of life.
    beat_ms: Option<u64>,
    /// Whether anything of this process may be in the file.
    told: bool,
}

impl LiveWriter {
    async fn connect(&self) -> Result<SqliteConnection, sqlx::Error> {
        SqliteConnectOptions::new()
            .filename(&self.path)
            .busy_timeout(BUSY_TIMEOUT)
            .synchronous(SqliteSynchronous::Normal)
            .statement_cache_capacity(4)
            .pragma("cache_size", "-64")
            // What a caller said is gone from the file with the call.
            .pragma("secure_delete", "ON")
            .disable_statement_logging()
            .connect()
            .await
    }

    pub(in crate::store) async fn tell(&mut self, changes: &[LiveChange], now_ms: u64) -> Result<(), StoreError> {
        let told = self.try_to_tell(changes, now_ms).await;
        told.map_err(|error| {
            self.conn = None;
            self.beat_ms = None;
            self.error(&error)
        })
    }

    fn error(&self, error: &sqlx::Error) -> StoreError {
        StoreError { store: StoreUrl::of_file(&self.path), problem: problem_of(error, millis(BUSY_TIMEOUT)) }
    }

    async fn try_to_tell(&mut self, changes: &[LiveChange], now_ms: u64) -> Result<(), sqlx::Error> {
        let beats = self.beat_ms.is_none_or(|last| now_ms.abs_diff(last) >= BEAT_MS / 2);
        if changes.is_empty() && !beats {
            return Ok(());
        }
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => self.connect().await?,
        };
        let mut tx = conn.begin_with("BEGIN IMMEDIATE").await?;
        self.told = true;
        if beats {
            sqlx::query("INSERT INTO live_hosts (host, seen_ms) VALUES (?, ?) ON CONFLICT DO UPDATE SET seen_ms = excluded.seen_ms")
                .bind(&self.host)
                .bind(int(now_ms))
                .execute(&mut *tx)
                .await?;
            // With each beat, as a process may run for months. After its own, so that it never forgets itself.
            forget_silent(&mut tx, now_ms).await?;
        }
        for change in changes {
            match change {
                LiveChange::Stands(call) => stands(&mut tx, &self.host, call).await?,
                LiveChange::Over { session_id, room_name } => {
                    // A process that took the call over goes on with a row of its own.
                    sqlx::query("DELETE FROM live WHERE room_name = ? AND session_id = ? AND host = ?")
                        .bind(room_name)
                        .bind(session_id)
                        .bind(&self.host)
                        .execute(&mut *tx)
                        .await?;
                }
            }
        }
        tx.commit().await?;
        self.conn = Some(conn);
        if beats {
            self.beat_ms = Some(now_ms);
        }
        Ok(())
    }

    pub(in crate::store) async fn leave(mut self) -> Result<(), StoreError> {
        // One that never told anything left nothing. After a write that failed there is no connection, and yet rows.
        if !self.told {
            return Ok(());
        }
        let left = async {
            let mut conn = match self.conn.take() {
                Some(conn) => conn,
                None => self.connect().await?,
            };
            let mut tx = conn.begin_with("BEGIN IMMEDIATE").await?;
            for table in ["DELETE FROM live WHERE host = ?", "DELETE FROM live_hosts WHERE host = ?"] {
                sqlx::query(table).bind(&self.host).execute(&mut *tx).await?;
            }
            tx.commit().await?;
            conn.close().await
        };
        left.await.map_err(|error| self.error(&error))
    }
}

/// Removes what processes left that were killed long ago.
async fn forget_silent(conn: &mut SqliteConnection, now_ms: u64) -> Result<(), sqlx::Error> {
    // A clock that was put back makes nobody silent.
    let before = int(now_ms.saturating_sub(FORGOTTEN_MS));
    sqlx::query("DELETE FROM live_hosts WHERE seen_ms < ?").bind(before).execute(&mut *conn).await?;
    let unhosted = "DELETE FROM live WHERE host NOT IN (SELECT host FROM live_hosts)";
    sqlx::query(unhosted).execute(&mut *conn).await?;
    Ok(())
}

async fn stands(conn: &mut SqliteConnection, host: &str, call: &LiveCall) -> Result<(), sqlx::Error> {
    let number = call.caller.as_ref().and_then(|caller| caller.number.as_deref());
    let text = serde_json::to_string(call).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    sqlx::query(
        "INSERT INTO live (room_name, session_id, host, alert_id, caller, call) VALUES (?, ?, ?, ?, ?, ?) \
         ON CONFLICT DO UPDATE SET host = excluded.host, alert_id = excluded.alert_id, caller = excluded.caller, \
         call = excluded.call",
    )
    .bind(&call.room_name)
    .bind(&call.session_id)
    .bind(host)
    .bind(call.alert.as_ref().map(|alert| alert.id.as_str()))
    .bind(number.map(About::key))
    .bind(text)
    .execute(conn)
    .await?;
    Ok(())
}

impl SqliteStore {
    /// What tells of this process's calls.
    pub(in crate::store) fn live(&self, host: String) -> LiveWriter {
        LiveWriter { path: self.path().to_owned(), host, conn: None, beat_ms: None, told: false }
    }

    /// Removes what processes left that were killed long ago, where no other may come that does.
    pub(super) async fn forget_silent(&self, now_ms: u64) -> Result<(), StoreError> {
        // On a connection as theirs, so that what callers said is gone from the file too.
        let writer = self.live(String::new());
        let forgotten = async {
            let mut conn = writer.connect().await?;
            let mut tx = conn.begin_with("BEGIN IMMEDIATE").await?;
            forget_silent(&mut tx, now_ms).await?;
            tx.commit().await?;
            conn.close().await
        };
        forgotten.await.map_err(|error| writer.error(&error))
    }

    pub(in crate::store) async fn board(&self, now_ms: u64) -> Result<Vec<BoardRow>, StoreError> {
        let mut conn = self.conn().await?;
        let rows: Vec<LiveRow> = sqlx::query_as(
            "SELECT call, seen_ms, claimed_by, claimed_ms FROM live JOIN live_hosts USING (host) \
             LEFT JOIN claims USING (alert_id) WHERE seen_ms >= ?",
        )
        .bind(int(now_ms.saturating_sub(FORGOTTEN_MS)))
        .fetch_all(&mut *conn)
        .await
        .map_err(|error| self.failed(&error))?;
        drop(conn);
        let mut unreadable = None;
        let row = |(call, seen, by, since): LiveRow| {
            // One that a newer version wrote, say, hides none of the others.
            let call: LiveCall = match serde_json::from_str(&call) {
                Ok(call) => call,
                Err(error) => {
                    unreadable = Some(self.bad_row("call in progress", error));
                    return None;
                }
            };
            let claimed = by.map(|by| Claimed { by, since_ms: since.map_or(0, uint) });
            Some(BoardRow::new(call, uint(seen), claimed, now_ms))
        };
        let mut rows: Vec<BoardRow> = rows.into_iter().filter_map(row).collect();
        let was_unreadable = UNREADABLE.swap(unreadable.is_some(), Ordering::Relaxed);
        if let Some(error) = unreadable.filter(|_| !was_unreadable) {
            tracing::warn!(%error, "the board leaves out calls that it cannot read");
        }
        rows.sort_by_cached_key(BoardRow::place);
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;
    use crate::store::behaviour::NOW;
    use crate::store::live::tests::call;

    fn stands(room: &str) -> [LiveChange; 1] {
        [LiveChange::Stands(Box::new(call(room, NOW)))]
    }

    async fn meddle(store: &SqliteStore, statement: &'static str) {
        sqlx::raw_sql(statement).execute(&mut *store.conn().await.unwrap()).await.unwrap();
    }

    #[tokio::test]
    async fn who_leaves_after_a_write_that_failed_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("store.db")).await.unwrap();
        let mut writer = store.live("host".to_owned());
        writer.tell(&stands("a"), NOW).await.unwrap();
        meddle(&store, "ALTER TABLE live RENAME TO away").await;
        writer.tell(&stands("b"), NOW).await.unwrap_err();
        meddle(&store, "ALTER TABLE away RENAME TO live").await;
        assert_eq!(store.board(NOW).await.unwrap().len(), 1);
        writer.leave().await.unwrap();
        assert!(store.board(NOW).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_row_that_cannot_be_read_hides_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("store.db")).await.unwrap();
        let mut writer = store.live("host".to_owned());
        writer.tell(&stands("a"), NOW).await.unwrap();
        writer.tell(&stands("b"), NOW).await.unwrap();
        meddle(&store, "UPDATE live SET call = '{}' WHERE room_name = 'a'").await;
        let rows = store.board(NOW).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.call.room_name.as_str()).collect::<Vec<_>>(), ["b"]);
    }

    #[tokio::test]
    async fn what_a_killed_process_left_goes_with_a_beat_of_another_and_with_prune() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("store.db")).await.unwrap();
        store.live("killed".to_owned()).tell(&stands("a"), NOW).await.unwrap();
        let mut lives = store.live("lives".to_owned());
        lives.tell(&stands("b"), NOW).await.unwrap();
        assert_eq!(store.board(NOW).await.unwrap().len(), 2);
        // Long silent itself, as on a machine that slept, it keeps what is its own.
        lives.tell(&[], NOW + FORGOTTEN_MS + 1).await.unwrap();
        let rows = store.board(NOW).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.call.room_name.as_str()).collect::<Vec<_>>(), ["b"]);
        // By the clock of today, NOW is long ago.
        store.prune(NOW).await.unwrap();
        assert!(store.board(NOW).await.unwrap().is_empty());
    }
}
