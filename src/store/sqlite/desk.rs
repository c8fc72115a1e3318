//! Who works on what, who read what, and how often calls escalate.

use super::{SqliteStore, int, uint};
use crate::alert::AlertId;
use crate::store::StoreError;
use crate::store::review::{Audited, Claimed, Rates};

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
        self.execute(&mut *self.conn().await?, statement).await?;
        self.claimed(alert_id).await
    }

    pub(in crate::store) async fn let_go(&self, alert_id: &AlertId, by: &str) -> Result<bool, StoreError> {
        let statement =
            sqlx::query("DELETE FROM claims WHERE alert_id = ? AND claimed_by = ?").bind(alert_id.as_str()).bind(by);
        Ok(self.execute(&mut *self.conn().await?, statement).await? > 0)
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
        alert_id: Option<&AlertId>,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let statement = sqlx::query("INSERT INTO audit (at_ms, who, what, alert_id) VALUES (?, ?, ?, ?)")
            .bind(int(now_ms))
            .bind(who)
            .bind(what)
            .bind(alert_id.map(AlertId::as_str));
        self.execute(&mut *self.conn().await?, statement).await?;
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

    pub(in crate::store) async fn rates(&self, since_ms: u64, until_ms: u64) -> Result<Rates, StoreError> {
        let mut conn = self.conn().await?;
        let (calls, escalated): (i64, i64) = sqlx::query_as(
            "SELECT count(*), ifnull(sum(escalated), 0) FROM sessions WHERE started_ms >= ? AND started_ms < ?",
        )
        .bind(int(since_ms))
        .bind(int(until_ms))
        .fetch_one(&mut *conn)
        .await
        .map_err(|error| self.failed(&error))?;
        let (right, wrong, late): (i64, i64, i64) = sqlx::query_as(
            "SELECT count(*) FILTER (WHERE verdict = 'right'), count(*) FILTER (WHERE verdict = 'wrong'), \
             count(*) FILTER (WHERE verdict = 'late') FROM alerts JOIN verdicts USING (alert_id) \
             WHERE created_ms >= ? AND created_ms < ?",
        )
        .bind(int(since_ms))
        .bind(int(until_ms))
        .fetch_one(&mut *conn)
        .await
        .map_err(|error| self.failed(&error))?;
        let undelivered: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM alerts WHERE created_ms >= ?1 AND created_ms < ?2 AND (EXISTS (SELECT 1 FROM outbox \
             WHERE outbox.alert_id = alerts.alert_id AND state IN ('pending', 'gave_up')) OR EXISTS (SELECT 1 FROM notices \
             WHERE notices.alert_id = alerts.alert_id AND event = 'alert' AND state IN ('pending', 'gave_up')))",
        )
        .bind(int(since_ms))
        .bind(int(until_ms))
        .fetch_one(&mut *conn)
        .await
        .map_err(|error| self.failed(&error))?;
        Ok(Rates {
            calls: uint(calls),
            escalated: uint(escalated),
            right: uint(right),
            wrong: uint(wrong),
            late: uint(late),
            undelivered: uint(undelivered),
        })
    }

    pub(in crate::store) async fn transcript(
        &self,
        session_id: &str,
        room_name: &str,
    ) -> Result<Option<String>, StoreError> {
        let mut conn = self.conn().await?;
        sqlx::query_scalar("SELECT recording FROM transcripts WHERE session_id = ? AND room_name = ?")
            .bind(session_id)
            .bind(room_name)
            .fetch_optional(&mut *conn)
            .await
            .map_err(|error| self.failed(&error))
    }
}
