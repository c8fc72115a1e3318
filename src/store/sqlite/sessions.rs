//! The calls that were attended.

use sqlx::SqliteConnection;

use super::{SqliteStore, count, int, uint};
use crate::alert::AlertId;
use crate::alert::about::About;
use crate::store::StoreError;
use crate::store::course::Course;
use crate::store::rows::StoredSession;

/// A row of `sessions`, in the order of [`StoredSession`].
type SessionRow = (i64, Option<i64>, Option<String>, i64, bool);

/// How a call ended.
pub(super) struct Ended<'a> {
    pub(super) session_id: &'a str,
    pub(super) room_name: &'a str,
    /// Who called, as the room gives it.
    pub(super) caller: Option<&'a str>,
    pub(super) reason: &'a str,
    pub(super) turns: u32,
    pub(super) escalated: bool,
}

/// What is to be kept of what was said in a call.
pub(super) struct Keep<'a> {
    pub(super) session_id: &'a str,
    pub(super) room_name: &'a str,
    /// Who called, as the room gives it.
    pub(super) caller: Option<&'a str>,
    pub(super) recording: &'a str,
    pub(super) course: &'a Course,
}

impl SqliteStore {
    pub(in crate::store) async fn session_started(
        &self,
        session_id: &str,
        room_name: &str,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let mut conn = self.conn().await?;
        let mut tx = self.begin(&mut conn).await?;
        self.session_started_in(&mut tx, session_id, room_name, None, now_ms).await?;
        tx.commit().await.map_err(|error| self.failed(&error))
    }

    /// Notes that a call is attended, within a transaction.
    pub(super) async fn session_started_in(
        &self,
        conn: &mut SqliteConnection,
        session_id: &str,
        room_name: &str,
        caller: Option<&str>,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        self.another_call_in(conn, session_id, room_name, now_ms).await?;
        let statement = sqlx::query(
            "INSERT INTO sessions (session_id, room_name, started_ms, caller) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE \
             SET ended_ms = NULL, ended_reason = NULL, caller = ifnull(excluded.caller, caller)",
        )
        .bind(session_id)
        .bind(room_name)
        .bind(int(now_ms))
        .bind(caller.map(About::key));
        self.execute(conn, statement).await?;
        Ok(())
    }

    /// Where the session's call is over, another one begins under its id: nothing of the one before is told as this one's, and
    /// both count.
    async fn another_call_in(
        &self,
        conn: &mut SqliteConnection,
        session_id: &str,
        room_name: &str,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        // The trigger takes an escalation from the day of the start: it is added there, so that the day before keeps its own.
        let statement = sqlx::query(
            "INSERT INTO days (day, calls, escalated) SELECT ?1 / 86400000, 1, escalated FROM sessions \
             WHERE session_id = ?2 AND room_name = ?3 AND call_over \
             ON CONFLICT DO UPDATE SET calls = calls + 1, escalated = escalated + excluded.escalated",
        )
        .bind(int(now_ms))
        .bind(session_id)
        .bind(room_name);
        if self.execute(&mut *conn, statement).await? == 0 {
            return Ok(());
        }
        let statement = sqlx::query("DELETE FROM transcripts WHERE session_id = ? AND room_name = ?")
            .bind(session_id)
            .bind(room_name);
        self.execute(&mut *conn, statement).await?;
        let statement = sqlx::query(
            "UPDATE sessions SET started_ms = ?, turns = 0, escalated = 0, caller = NULL, calls = calls + 1, call_over = 0 \
             WHERE session_id = ? AND room_name = ?",
        )
        .bind(int(now_ms))
        .bind(session_id)
        .bind(room_name);
        self.execute(conn, statement).await?;
        Ok(())
    }

    /// Keeps what was said, in place of what was kept of the same call before.
    pub(super) async fn keep_transcript_in(
        &self,
        conn: &mut SqliteConnection,
        Keep { session_id, room_name, caller, recording, course }: Keep<'_>,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        // Whatever could not be noted before: no words are kept that their caller's number does not find.
        let statement =
            sqlx::query("UPDATE sessions SET caller = ? WHERE session_id = ? AND room_name = ? AND caller IS NULL")
                .bind(caller.map(About::key))
                .bind(session_id)
                .bind(room_name);
        self.execute(&mut *conn, statement).await?;
        let statement = sqlx::query(
            "INSERT INTO transcripts (session_id, room_name, recording, kept_ms, course) VALUES (?, ?, ?, ?, ?) \
             ON CONFLICT DO UPDATE SET recording = excluded.recording, kept_ms = excluded.kept_ms, \
             course = excluded.course",
        )
        .bind(session_id)
        .bind(room_name)
        .bind(recording)
        .bind(int(now_ms))
        .bind(serde_json::to_string(course).map_err(|error| self.bad_row("course of a call", error))?);
        self.execute(conn, statement).await?;
        Ok(())
    }

    pub(in crate::store) async fn session_ended(
        &self,
        session_id: &str,
        room_name: &str,
        reason: &str,
        turns: u32,
        escalated: bool,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let ended = Ended { session_id, room_name, caller: None, reason, turns, escalated };
        self.session_ended_in(&mut *self.conn().await?, ended, now_ms).await
    }

    pub(super) async fn session_ended_in(
        &self,
        conn: &mut SqliteConnection,
        Ended { session_id, room_name, caller, reason, turns, escalated }: Ended<'_>,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let statement = sqlx::query(
            "INSERT INTO sessions (session_id, room_name, started_ms, ended_ms, ended_reason, turns, escalated, caller) \
             VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO UPDATE SET ended_ms = excluded.ended_ms, \
             ended_reason = excluded.ended_reason, turns = excluded.turns, \
             escalated = max(escalated, excluded.escalated), caller = ifnull(excluded.caller, caller)",
        )
        .bind(session_id)
        .bind(room_name)
        .bind(int(now_ms))
        .bind(reason)
        .bind(i64::from(turns))
        .bind(escalated)
        .bind(caller.map(About::key));
        self.execute(conn, statement).await?;
        Ok(())
    }

    /// The session's call is over: who attends it again attends another one.
    pub(super) async fn session_over_in(
        &self,
        conn: &mut SqliteConnection,
        session_id: &str,
        room_name: &str,
    ) -> Result<(), StoreError> {
        let statement = sqlx::query("UPDATE sessions SET call_over = 1 WHERE session_id = ? AND room_name = ?")
            .bind(session_id)
            .bind(room_name);
        self.execute(conn, statement).await?;
        Ok(())
    }

    pub(in crate::store) async fn session(
        &self,
        session_id: &str,
        room_name: &str,
    ) -> Result<Option<StoredSession>, StoreError> {
        let mut conn = self.conn().await?;
        let row = sqlx::query_as(
            "SELECT started_ms, ended_ms, ended_reason, turns, escalated FROM sessions \
             WHERE session_id = ? AND room_name = ?",
        )
        .bind(session_id)
        .bind(room_name)
        .fetch_optional(&mut *conn)
        .await
        .map_err(|error| self.failed(&error))?;
        Ok(Self::stored_session(row))
    }

    pub(in crate::store) async fn session_of(&self, alert_id: &AlertId) -> Result<Option<StoredSession>, StoreError> {
        let mut conn = self.conn().await?;
        let row = sqlx::query_as(
            "SELECT started_ms, ended_ms, ended_reason, turns, escalated FROM sessions \
             JOIN alerts USING (room_name, session_id) WHERE alert_id = ? AND call = calls",
        )
        .bind(alert_id.as_str())
        .fetch_optional(&mut *conn)
        .await
        .map_err(|error| self.failed(&error))?;
        Ok(Self::stored_session(row))
    }

    fn stored_session(row: Option<SessionRow>) -> Option<StoredSession> {
        row.map(|(started, ended, ended_reason, turns, escalated)| StoredSession {
            started_ms: uint(started),
            ended_ms: ended.map(uint),
            ended_reason,
            turns: count(turns),
            escalated,
        })
    }
}
