//! Calls in progress. They are written on a connection of their own that does not wait for the disk, so that no turn costs a
//! call what an alert costs.

use std::path::PathBuf;
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
        let is_first = self.beat_ms.is_none();
        let beats = self.beat_ms.is_none_or(|last| now_ms.abs_diff(last) >= BEAT_MS / 2);
        if changes.is_empty() && !beats {
            return Ok(());
        }
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => self.connect().await?,
        };
        let mut tx = conn.begin_with("BEGIN IMMEDIATE").await?;
        if is_first {
            forget_silent(&mut tx, now_ms).await?;
        }
        if beats {
            sqlx::query("INSERT INTO live_hosts (host, seen_ms) VALUES (?, ?) ON CONFLICT DO UPDATE SET seen_ms = excluded.seen_ms")
                .bind(&self.host)
                .bind(int(now_ms))
                .execute(&mut *tx)
                .await?;
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
        // One that never told anything left nothing.
        let Some(mut conn) = self.conn.take() else { return Ok(()) };
        let left = async {
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
        LiveWriter { path: self.path().to_owned(), host, conn: None, beat_ms: None }
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
        let row = |(call, seen, by, since): LiveRow| {
            let call: LiveCall =
                serde_json::from_str(&call).map_err(|error| self.bad_row("call in progress", error))?;
            let claimed = by.map(|by| Claimed { by, since_ms: since.map_or(0, uint) });
            Ok(BoardRow::new(call, uint(seen), claimed, now_ms))
        };
        let mut rows = rows.into_iter().map(row).collect::<Result<Vec<_>, StoreError>>()?;
        rows.sort_by_cached_key(BoardRow::place);
        Ok(rows)
    }
}
