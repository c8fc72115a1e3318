//! Who works on what, and who read what.

use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Sqlite, SqliteConnection};

use super::{SqliteStore, int, uint};
use crate::alert::AlertId;
use crate::store::StoreError;
use crate::store::review::{AuditLine, Audited, Claimed, Concern, Kept};

/// `at_ms, who, what, alert_id, room_name, session_id`.
type LogRow = (i64, String, String, Option<String>, Option<String>, Option<String>);

impl SqliteStore {
    pub(in crate::store) async fn take(
        &self,
        alert_id: &AlertId,
        by: &str,
        now_ms: u64,
    ) -> Result<Option<Claimed>, StoreError> {
        let statement = sqlx::query(
            "INSERT INTO claims (alert_id, claimed_by, claimed_ms) SELECT alert_id, ?, ? FROM alerts WHERE alert_id = ? \
             ON CONFLICT DO NOTHING",
        )
        .bind(by)
        .bind(int(now_ms))
        .bind(alert_id.as_str());
        self.change_of(alert_id, by, "claim", now_ms, statement).await?;
        self.claimed(alert_id).await
    }

    pub(in crate::store) async fn take_over(
        &self,
        alert_id: &AlertId,
        from: &str,
        by: &str,
        now_ms: u64,
    ) -> Result<Option<Claimed>, StoreError> {
        let statement =
            sqlx::query("UPDATE claims SET claimed_by = ?, claimed_ms = ? WHERE alert_id = ? AND claimed_by = ?")
                .bind(by)
                .bind(int(now_ms))
                .bind(alert_id.as_str())
                .bind(from);
        self.change_of(alert_id, by, &format!("take over from {from}"), now_ms, statement).await?;
        self.claimed(alert_id).await
    }

    pub(in crate::store) async fn let_go(&self, alert_id: &AlertId, by: &str, now_ms: u64) -> Result<bool, StoreError> {
        let statement =
            sqlx::query("DELETE FROM claims WHERE alert_id = ? AND claimed_by = ?").bind(alert_id.as_str()).bind(by);
        self.change_of(alert_id, by, "release", now_ms, statement).await
    }

    /// Changes something of an alert, and notes who did; whether anything was changed. Both are there, or neither.
    async fn change_of(
        &self,
        alert_id: &AlertId,
        who: &str,
        what: &str,
        now_ms: u64,
        statement: Query<'_, Sqlite, SqliteArguments>,
    ) -> Result<bool, StoreError> {
        let mut conn = self.conn().await?;
        let mut tx = self.begin(&mut conn).await?;
        let changed = self.execute(&mut tx, statement).await? > 0;
        if changed {
            self.audit_in(&mut tx, who, what, Concern::Alert(alert_id), now_ms).await?;
        }
        tx.commit().await.map_err(|error| self.failed(&error))?;
        Ok(changed)
    }

    pub(in crate::store) async fn claimed(&self, alert_id: &AlertId) -> Result<Option<Claimed>, StoreError> {
        let mut conn = self.conn().await?;
        let row: Option<(String, i64)> = sqlx::query_as("SELECT claimed_by, claimed_ms FROM claims WHERE alert_id = ?")
            .bind(alert_id.as_str())
            .fetch_optional(&mut *conn)
            .await
            .map_err(|error| self.failed(&error))?;
        Ok(row.map(|(by, since)| Claimed { by, since_ms: uint(since) }))
    }

    pub(in crate::store) async fn audit(
        &self,
        who: &str,
        what: &str,
        concern: Concern<'_>,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        self.audit_in(&mut *self.conn().await?, who, what, concern, now_ms).await
    }

    /// The same within a transaction, with the change that it tells of.
    pub(super) async fn audit_in(
        &self,
        conn: &mut SqliteConnection,
        who: &str,
        what: &str,
        concern: Concern<'_>,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let (alert_id, room_name, session_id) = match concern {
            Concern::Many => (None, None, None),
            Concern::Alert(alert_id) => (Some(alert_id.as_str()), None, None),
            Concern::Call { room_name, session_id } => (None, Some(room_name), Some(session_id)),
        };
        let text = "INSERT INTO audit (at_ms, who, what, alert_id, room_name, session_id) VALUES (?, ?, ?, ?, ?, ?)";
        let statement =
            sqlx::query(text).bind(int(now_ms)).bind(who).bind(what).bind(alert_id).bind(room_name).bind(session_id);
        self.execute(conn, statement).await?;
        Ok(())
    }

    pub(in crate::store) async fn audited(&self, alert_id: &AlertId) -> Result<Vec<Audited>, StoreError> {
        let mut conn = self.conn().await?;
        let rows: Vec<(i64, String, String)> =
            sqlx::query_as("SELECT at_ms, who, what FROM audit WHERE alert_id = ? ORDER BY audit_id")
                .bind(alert_id.as_str())
                .fetch_all(&mut *conn)
                .await
                .map_err(|error| self.failed(&error))?;
        Ok(rows.into_iter().map(|(at, who, what)| Audited { at_ms: uint(at), who, what }).collect())
    }

    pub(in crate::store) async fn audit_log(&self, since_ms: u64, limit: u32) -> Result<Vec<AuditLine>, StoreError> {
        let mut conn = self.conn().await?;
        // In the order in which it was noted, which needs no index: a clock may have been put back meanwhile.
        let rows: Vec<LogRow> = sqlx::query_as(
            "SELECT at_ms, who, what, alert_id, room_name, session_id FROM audit WHERE at_ms >= ? \
             ORDER BY audit_id DESC LIMIT ?",
        )
        .bind(int(since_ms))
        .bind(i64::from(limit))
        .fetch_all(&mut *conn)
        .await
        .map_err(|error| self.failed(&error))?;
        let line = |(at, who, what, alert_id, room_name, session_id): LogRow| AuditLine {
            done: Audited { at_ms: uint(at), who, what },
            alert_id: alert_id.map(AlertId::from),
            room_name,
            session_id,
        };
        Ok(rows.into_iter().map(line).collect())
    }

    pub(in crate::store) async fn transcript(&self, alert_id: &AlertId) -> Result<Option<Kept>, StoreError> {
        let mut conn = self.conn().await?;
        let row: Option<(String, Option<String>)> = sqlx::query_as(
            "SELECT recording, course FROM alerts JOIN sessions USING (room_name, session_id) \
             JOIN transcripts USING (room_name, session_id) WHERE alert_id = ? AND call = calls",
        )
        .bind(alert_id.as_str())
        .fetch_optional(&mut *conn)
        .await
        .map_err(|error| self.failed(&error))?;
        row.map(|(recording, course)| self.kept(recording, course.as_deref())).transpose()
    }

    /// What is kept of what was said in a call, as rows have it.
    pub(super) fn kept(&self, recording: String, course: Option<&str>) -> Result<Kept, StoreError> {
        let course = course.map(serde_json::from_str).transpose();
        Ok(Kept { recording, course: course.map_err(|error| self.bad_row("course of a call", error))? })
    }
}
