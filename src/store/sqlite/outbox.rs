//! The outbox: webhooks that are to be sent, each by one process at a time, until a receiver has them.

use sqlx::Transaction;

use super::{SqliteStore, count, int, uint};
use crate::alert::AlertId;
use crate::alert::outgoing::Outgoing;
use crate::store::StoreError;
use crate::store::rows::{Attempted, Claim, Due, Noted, OutboxRow, OutboxState};

/// A row of `outbox`, in the order of [`OutboxRow`].
type StatusRow = (String, i64, i64, Option<i64>, Option<i64>, Option<String>, Option<i64>, String);

/// A row that is due: `alert_id, url, detail, allow, timeout_ms, body, attempts`.
type DueRow = (String, String, String, String, i64, String, i64);

/// Which rows [`SqliteStore::readmit`] changes.
macro_rules! readmitted {
    () => {
        "url = ?1 AND allow <> ?2 AND (state IN ('held', 'pending') \
         OR (state = 'gave_up' AND last_status IS NULL AND attempts < ?3 AND created_ms >= ?4))"
    };
}

impl SqliteStore {
    pub(in crate::store) async fn claim(&self, alert_id: &AlertId, now_ms: u64) -> Result<Option<Claim>, StoreError> {
        Ok(self.claim_rows(Some(alert_id), 1, now_ms, now_ms).await?.pop())
    }

    pub(in crate::store) async fn claim_due(
        &self,
        limit: u32,
        due_by_ms: u64,
        now_ms: u64,
    ) -> Result<Vec<Claim>, StoreError> {
        self.claim_rows(None, limit, due_by_ms.min(now_ms), now_ms).await
    }

    async fn claim_rows(
        &self,
        only: Option<&AlertId>,
        limit: u32,
        due_by_ms: u64,
        now_ms: u64,
    ) -> Result<Vec<Claim>, StoreError> {
        let mut conn = self.conn().await?;
        let mut tx = self.begin(&mut conn).await?;
        let rows: Vec<DueRow> = sqlx::query_as(
            "SELECT alert_id, url, detail, allow, timeout_ms, body, attempts FROM outbox \
             WHERE state IN ('held', 'pending') AND due_ms <= ?1 AND ifnull(claimed_until_ms, 0) <= ?2 \
             AND (?3 IS NULL OR alert_id = ?3) ORDER BY due_ms LIMIT ?4",
        )
        .bind(int(due_by_ms))
        .bind(int(now_ms))
        .bind(only.map(AlertId::as_str))
        .bind(i64::from(limit))
        .fetch_all(&mut *tx)
        .await
        .map_err(|error| self.failed(&error))?;
        let mut claims = Vec::with_capacity(rows.len());
        for row in rows {
            claims.extend(self.claim_row(&mut tx, row, now_ms).await?);
        }
        tx.commit().await.map_err(|error| self.failed(&error))?;
        Ok(claims)
    }

    async fn claim_row(
        &self,
        tx: &mut Transaction<'_, sqlx::Sqlite>,
        (alert_id, url, detail, allow, timeout_ms, body, attempts): DueRow,
        now_ms: u64,
    ) -> Result<Option<Claim>, StoreError> {
        let (timeout_ms, attempts) = (uint(timeout_ms), count(attempts));
        let due = Due { alert_id: AlertId::from(alert_id.clone()), url, detail, allow, timeout_ms, body, attempts };
        let claim = match due.claimed(now_ms) {
            Ok(claim) => claim,
            Err(error) => {
                tracing::warn!(alert_id, %error, "a webhook in the store cannot be read and is given up");
                let statement = sqlx::query(
                    "UPDATE outbox SET state = 'gave_up', last_error = ?, settled_ms = ? WHERE alert_id = ?",
                )
                .bind(error.to_string())
                .bind(int(now_ms))
                .bind(&alert_id);
                self.execute(tx, statement).await?;
                return Ok(None);
            }
        };
        let statement =
            sqlx::query("UPDATE outbox SET state = 'pending', attempts = ?, claimed_until_ms = ? WHERE alert_id = ?")
                .bind(i64::from(claim.attempt))
                .bind(int(claim.until_ms))
                .bind(&alert_id);
        self.execute(tx, statement).await?;
        Ok(Some(claim))
    }

    pub(in crate::store) async fn attempted(
        &self,
        claim: &Claim,
        result: &Attempted,
        now_ms: u64,
    ) -> Result<bool, StoreError> {
        let Noted { state, due_ms, status, error, settled_ms } = result.noted(now_ms);
        let mut conn = self.conn().await?;
        let statement = sqlx::query(
            "UPDATE outbox SET state = ?1, due_ms = ifnull(?2, due_ms), last_status = ?3, last_error = ?4, \
             settled_ms = ?5, claimed_until_ms = NULL \
             WHERE alert_id = ?6 AND ((state = 'pending' AND attempts = ?7) OR (?8 AND state IN ('pending', 'gave_up')))",
        )
        .bind(state.name())
        .bind(due_ms.map(int))
        .bind(status.map(i64::from))
        .bind(error)
        .bind(settled_ms.map(int))
        .bind(claim.alert_id.as_str())
        .bind(i64::from(claim.attempt))
        .bind(state == OutboxState::Delivered);
        let changed = self.execute(&mut conn, statement).await?;
        Ok(changed > 0)
    }

    pub(in crate::store) async fn readmit(
        &self,
        outgoing: &Outgoing,
        last_attempt: u32,
        since_ms: u64,
        now_ms: u64,
    ) -> Result<u64, StoreError> {
        let (url, allow) = (outgoing.url.url().as_str(), outgoing.allow_text());
        let mut conn = self.conn().await?;
        // Reading takes no lock. Thousands of processes look, and there is seldom anything to change.
        let any: i64 = sqlx::query_scalar(concat!("SELECT EXISTS (SELECT 1 FROM outbox WHERE ", readmitted!(), ")"))
            .bind(url)
            .bind(&allow)
            .bind(i64::from(last_attempt))
            .bind(int(since_ms))
            .fetch_one(&mut *conn)
            .await
            .map_err(|error| self.failed(&error))?;
        if any == 0 {
            return Ok(0);
        }
        let statement = sqlx::query(concat!(
            "UPDATE outbox SET allow = ?2, settled_ms = NULL, due_ms = iif(state = 'gave_up', ?5, due_ms), ",
            "state = iif(state = 'gave_up', 'pending', state) WHERE ",
            readmitted!()
        ))
        .bind(url)
        .bind(&allow)
        .bind(i64::from(last_attempt))
        .bind(int(since_ms))
        .bind(int(now_ms));
        self.execute(&mut conn, statement).await
    }

    pub(in crate::store) async fn webhook(&self, alert_id: &AlertId) -> Result<Option<OutboxRow>, StoreError> {
        let mut conn = self.conn().await?;
        let row: Option<StatusRow> = sqlx::query_as(
            "SELECT state, attempts, due_ms, claimed_until_ms, last_status, last_error, settled_ms, body FROM outbox \
             WHERE alert_id = ?",
        )
        .bind(alert_id.as_str())
        .fetch_optional(&mut *conn)
        .await
        .map_err(|error| self.failed(&error))?;
        row.map(|(state, attempts, due, claimed_until, status, last_error, settled, body)| {
            let state = OutboxState::of(&state).ok_or_else(|| self.bad_row("outbox", format!("state {state:?}")))?;
            Ok(OutboxRow {
                state,
                attempts: count(attempts),
                due_ms: uint(due),
                claimed_until_ms: claimed_until.map(uint),
                last_status: status.and_then(|status| u16::try_from(status).ok()),
                last_error,
                settled_ms: settled.map(uint),
                body,
            })
        })
        .transpose()
    }

    pub(in crate::store) async fn pending_count(&self) -> Result<u64, StoreError> {
        let mut conn = self.conn().await?;
        let pending: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox WHERE state IN ('held', 'pending')")
            .fetch_one(&mut *conn)
            .await
            .map_err(|error| self.failed(&error))?;
        Ok(uint(pending))
    }

    pub(in crate::store) async fn next_due(&self) -> Result<Option<u64>, StoreError> {
        let mut conn = self.conn().await?;
        let next: Option<i64> = sqlx::query_scalar(
            "SELECT min(max(due_ms, ifnull(claimed_until_ms, 0))) FROM outbox WHERE state IN ('held', 'pending')",
        )
        .fetch_one(&mut *conn)
        .await
        .map_err(|error| self.failed(&error))?;
        Ok(next.map(uint))
    }
}
