//! The calls that were attended.

use super::{Store, StoreError, count, int, uint};

/// A session as the store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSession {
    /// When the sidecar first attached, Unix time in ms.
    pub started_ms: u64,
    /// When the call ended, Unix time in ms; none while it goes on, or when its process died.
    pub ended_ms: Option<u64>,
    /// Why it ended.
    pub ended_reason: Option<String>,
    /// How many caller turns there were.
    pub turns: u32,
    /// Whether it escalated.
    pub escalated: bool,
}

/// A row of `sessions`, in the order of [`StoredSession`].
type SessionRow = (i64, Option<i64>, Option<String>, i64, bool);

impl Store {
    /// Notes that a call is attended. A process that takes a call over leaves its start as it was.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn session_started(&self, session_id: &str, room_name: &str, now_ms: u64) -> Result<(), StoreError> {
        let mut conn = self.conn().await?;
        let statement = sqlx::query(
            "INSERT INTO sessions (session_id, room_name, started_ms) VALUES (?, ?, ?) \
             ON CONFLICT DO UPDATE SET ended_ms = NULL, ended_reason = NULL",
        )
        .bind(session_id)
        .bind(room_name)
        .bind(int(now_ms));
        self.execute(&mut conn, statement).await?;
        Ok(())
    }

    /// Notes that a call ended, also when its start could not be noted.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn session_ended(
        &self,
        session_id: &str,
        room_name: &str,
        reason: &str,
        turns: u32,
        escalated: bool,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let mut conn = self.conn().await?;
        let statement = sqlx::query(
            "INSERT INTO sessions (session_id, room_name, started_ms, ended_ms, ended_reason, turns, escalated) \
             VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET ended_ms = excluded.ended_ms, \
             ended_reason = excluded.ended_reason, turns = excluded.turns, escalated = excluded.escalated",
        )
        .bind(session_id)
        .bind(room_name)
        .bind(int(now_ms))
        .bind(reason)
        .bind(i64::from(turns))
        .bind(escalated);
        self.execute(&mut conn, statement).await?;
        Ok(())
    }

    /// What is known of a session, if anything.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn session(&self, session_id: &str, room_name: &str) -> Result<Option<StoredSession>, StoreError> {
        let mut conn = self.conn().await?;
        let row: Option<SessionRow> = sqlx::query_as(
            "SELECT started_ms, ended_ms, ended_reason, turns, escalated FROM sessions \
             WHERE session_id = ? AND room_name = ?",
        )
        .bind(session_id)
        .bind(room_name)
        .fetch_optional(&mut *conn)
        .await
        .map_err(|error| self.failed(&error))?;
        Ok(row.map(|(started, ended, ended_reason, turns, escalated)| StoredSession {
            started_ms: uint(started),
            ended_ms: ended.map(uint),
            ended_reason,
            turns: count(turns),
            escalated,
        }))
    }
}
