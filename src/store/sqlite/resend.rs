//! Sending again, as people ask for it.

use sqlx::{AssertSqlSafe, Sqlite, Transaction};

use super::outbox::TABLES;
use super::{SqliteStore, int, uint};
use crate::alert::outgoing::Outgoing;
use crate::alert::record::WebhookPlan;
use crate::alert::{Alert, AlertId};
use crate::store::StoreError;
use crate::store::review::{Concern, Resent};
use crate::store::rows::{body_with, link_in};

/// What makes a row due at `?1`, from its first attempt.
macro_rules! anew {
    () => {
        " SET state = 'pending', attempts = 0, due_ms = ?1, settled_ms = NULL, claimed_until_ms = NULL, \
         last_error = NULL, last_status = NULL WHERE alert_id = ?2 AND ifnull(claimed_until_ms, 0) <= ?1 AND "
    };
}

/// What waits for a transfer's outcome at `?1`: that is told instead of what was known before it.
const WAITS: &str = "state = 'held' AND due_ms > ?1";

impl SqliteStore {
    pub(in crate::store) async fn resend(
        &self,
        id: &AlertId,
        outgoing: &[Outgoing],
        delivered_too: bool,
        who: &str,
        now_ms: u64,
    ) -> Result<Resent, StoreError> {
        let mut conn = self.conn().await?;
        let mut tx = self.begin(&mut conn).await?;
        let record: Option<String> = sqlx::query_scalar("SELECT record FROM alerts WHERE alert_id = ?")
            .bind(id.as_str())
            .fetch_optional(&mut *tx)
            .await
            .map_err(|error| self.failed(&error))?;
        // Somebody may have erased it meanwhile.
        let Some(record) = record else { return Ok(Resent::default()) };
        let alert = self.alert_of(&record)?;
        let mut resent = Resent::default();
        for table in TABLES {
            self.tell_of_outcome(&mut tx, table, &alert, outgoing).await?;
            let text = format!(
                concat!("UPDATE {}", anew!(), "event = 'alert' AND NOT ({}) AND (state <> 'delivered' OR ?3)"),
                table, WAITS
            );
            let statement = sqlx::query(AssertSqlSafe(text)).bind(int(now_ms)).bind(id.as_str()).bind(delivered_too);
            resent.due += self.execute(&mut tx, statement).await?;
            resent.held += self.held(&mut tx, table, id, now_ms).await?;
        }
        // Wherever else it goes, it goes with the outcome.
        if resent.held == 0 {
            resent.due += self.queue(&mut tx, &alert, WebhookPlan::Send, outgoing, now_ms).await?;
        }
        // What was over is opened again by that, and is over all the same.
        let text = concat!(
            "UPDATE notices",
            anew!(),
            "event = 'resolved' AND (state = 'gave_up' OR EXISTS (SELECT 1 FROM notices AS told \
             WHERE told.alert_id = ?2 AND told.target = notices.target AND told.event = 'alert' AND told.state = 'pending'))"
        );
        resent.due += self.execute(&mut tx, sqlx::query(text).bind(int(now_ms)).bind(id.as_str())).await?;
        if resent.due > 0 {
            self.audit_in(&mut tx, who, "resend", Concern::Alert(id), now_ms).await?;
        }
        tx.commit().await.map_err(|error| self.failed(&error))?;
        Ok(resent)
    }

    /// How much of an alert waits for its outcome.
    async fn held(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        table: &'static str,
        id: &AlertId,
        now_ms: u64,
    ) -> Result<u64, StoreError> {
        let text = format!("SELECT count(*) FROM {table} WHERE {WAITS} AND alert_id = ?2 AND event = 'alert'");
        let held: i64 = sqlx::query_scalar(AssertSqlSafe(text))
            .bind(int(now_ms))
            .bind(id.as_str())
            .fetch_one(&mut **tx)
            .await
            .map_err(|error| self.failed(&error))?;
        Ok(uint(held))
    }

    /// What was cancelled once the outcome was there says what was known before it: it is to tell the outcome.
    async fn tell_of_outcome(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        table: &'static str,
        alert: &Alert,
        outgoing: &[Outgoing],
    ) -> Result<(), StoreError> {
        let text = format!(
            "SELECT target, detail, body FROM {table} WHERE alert_id = ? AND event = 'alert' AND state = 'cancelled'"
        );
        let rows: Vec<(String, String, String)> = sqlx::query_as(AssertSqlSafe(text))
            .bind(alert.id.as_str())
            .fetch_all(&mut **tx)
            .await
            .map_err(|error| self.failed(&error))?;
        for (target, detail, before) in rows {
            // Where no settings say how its link is made now, it is as it was.
            let now = outgoing.iter().find(|one| one.target == target);
            let link = now.map_or_else(|| link_in(&before), |now| now.link_of(alert));
            let detail = Outgoing::detail_of(&detail).map_err(|error| self.bad_row("outbox", error))?;
            let body = body_with(alert, &target, detail, link).map_err(|error| self.bad_row("notice", error))?;
            let text = format!("UPDATE {table} SET body = ? WHERE alert_id = ? AND target = ? AND event = 'alert'");
            let statement = sqlx::query(AssertSqlSafe(text)).bind(body).bind(alert.id.as_str()).bind(&target);
            self.execute(tx, statement).await?;
        }
        Ok(())
    }
}
