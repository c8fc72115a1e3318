//! Writing alerts: with their flag and all that is to be sent of them, in one transaction.

use sqlx::{AssertSqlSafe, Sqlite, Transaction};

use super::outbox::{TABLES, table};
use super::{SqliteStore, int, uint};
use crate::alert::about::About;
use crate::alert::outcome::Outcome;
use crate::alert::outgoing::Outgoing;
use crate::alert::record::{StoreResult, StoreWrite, WebhookPlan};
use crate::alert::{Alert, AlertId};
use crate::store::StoreError;
use crate::store::rows::{HOUR_MS, Queued, StoredAlert, body};

/// What to do when the alert is there already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum IfThere {
    Keep,
    Update,
}

/// Inserts an alert (`?12` is both times), or updates it if `?13`.
const PUT_ALERT: &str = "INSERT INTO alerts (alert_id, room_name, session_id, turn, rule, severity, action, sentiment, \
    shadow, outcome, record, created_ms, updated_ms, caller, call) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?12, ?14, \
    coalesce((SELECT calls FROM sessions WHERE room_name = ?2 AND session_id = ?3), 1)) \
    ON CONFLICT (alert_id) DO UPDATE SET outcome = excluded.outcome, record = excluded.record, \
    updated_ms = excluded.updated_ms WHERE ?13";

impl SqliteStore {
    pub(in crate::store) async fn write(
        &self,
        write: &StoreWrite,
        outgoing: &[Outgoing],
        now_unix_ms: u64,
    ) -> Result<StoreResult, StoreError> {
        let mut conn = self.conn().await?;
        let mut tx = self.begin(&mut conn).await?;
        let result = self.write_in(&mut tx, write, outgoing, now_unix_ms).await?;
        tx.commit().await.map_err(|error| self.failed(&error))?;
        Ok(result)
    }

    /// The same within a transaction.
    pub(super) async fn write_in(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        write: &StoreWrite,
        outgoing: &[Outgoing],
        now_unix_ms: u64,
    ) -> Result<StoreResult, StoreError> {
        let mut result = StoreResult::Written;
        let alert = &self.since_its_start(tx, write.alert()).await?;
        match write {
            StoreWrite::Alert { webhook, transfer_cap, .. } => {
                if !self.put(tx, alert, IfThere::Keep, now_unix_ms).await? {
                    if self.is_of_other_call(tx, alert).await? {
                        return Ok(StoreResult::OtherCall);
                    }
                    let outcome = self.outcome(tx, &alert.id).await?;
                    return Ok(StoreResult::Existing { outcome });
                }
                self.queue(tx, alert, *webhook, outgoing, now_unix_ms).await?;
                if let Some(cap) = *transfer_cap
                    && !self.take_place(tx, &alert.id, cap, now_unix_ms).await?
                {
                    result = StoreResult::AtCap { cap };
                }
            }
            StoreWrite::Outcome { webhook, .. } => {
                self.put(tx, alert, IfThere::Update, now_unix_ms).await?;
                self.settle(tx, alert, *webhook, outgoing, now_unix_ms).await?;
            }
        }
        Ok(result)
    }

    /// The alert with the start of its call as the store has it: an earlier process may have attached to it.
    async fn since_its_start(&self, tx: &mut Transaction<'_, Sqlite>, alert: &Alert) -> Result<Alert, StoreError> {
        let mut alert = alert.clone();
        let Some(about) = &mut alert.about else { return Ok(alert) };
        let started: Option<i64> =
            sqlx::query_scalar("SELECT started_ms FROM sessions WHERE room_name = ? AND session_id = ?")
                .bind(&alert.room_name)
                .bind(&alert.session_id)
                .fetch_optional(&mut **tx)
                .await
                .map_err(|error| self.failed(&error))?;
        about.call_started_ms = started.map(uint).or(about.call_started_ms);
        Ok(alert)
    }

    /// Notes that an alert was told to a place without the store, and stores the alert where it is not there.
    pub(super) async fn told_in(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        alert: &Alert,
        outgoing: &Outgoing,
        status: u16,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        self.put(tx, alert, IfThere::Keep, now_ms).await?;
        self.queue(tx, alert, WebhookPlan::Send, std::slice::from_ref(outgoing), now_ms).await?;
        let text = format!(
            "UPDATE {} SET state = 'delivered', last_status = ?, attempts = max(attempts, 1), settled_ms = ?, \
             claimed_until_ms = NULL WHERE alert_id = ? AND target = ? AND event = 'alert'",
            table(&outgoing.target)
        );
        let statement = sqlx::query(AssertSqlSafe(text))
            .bind(i64::from(status))
            .bind(int(now_ms))
            .bind(alert.id.as_str())
            .bind(&outgoing.target);
        self.execute(tx, statement).await?;
        Ok(())
    }

    pub(in crate::store) async fn alert(&self, id: &AlertId) -> Result<Option<StoredAlert>, StoreError> {
        let mut conn = self.conn().await?;
        let row: Option<(String, i64, String)> = sqlx::query_as(
            "SELECT record, created_ms, review FROM alerts JOIN flags USING (alert_id) WHERE alert_id = ?",
        )
        .bind(id.as_str())
        .fetch_optional(&mut *conn)
        .await
        .map_err(|error| self.failed(&error))?;
        row.map(|(record, created, review)| {
            let alert = serde_json::from_str(&record).map_err(|error| self.bad_row(&format!("alert {id}"), error))?;
            Ok(StoredAlert { alert, created_ms: uint(created), review })
        })
        .transpose()
    }

    /// Takes one of `cap` places of the last hour for an alert's transfer; whether there was one.
    async fn take_place(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        id: &AlertId,
        cap: u32,
        now_ms: u64,
    ) -> Result<bool, StoreError> {
        // Rows of a clock that was put back must not hold their places for longer than an hour either.
        let statement = sqlx::query("DELETE FROM transfers WHERE started_ms <= ? OR started_ms > ?")
            .bind(int(now_ms.saturating_sub(HOUR_MS)))
            .bind(int(now_ms.saturating_add(HOUR_MS)));
        self.execute(tx, statement).await?;
        let statement = sqlx::query(
            "INSERT INTO transfers (alert_id, started_ms) SELECT ?, ? WHERE (SELECT count(*) FROM transfers) < ? \
             ON CONFLICT DO NOTHING",
        )
        .bind(id.as_str())
        .bind(int(now_ms))
        .bind(i64::from(cap));
        Ok(self.execute(tx, statement).await? == 1)
    }

    /// Inserts the alert with its flag; whether it did, or updated what was there.
    async fn put(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        alert: &Alert,
        if_there: IfThere,
        now_ms: u64,
    ) -> Result<bool, StoreError> {
        let json = |what: &str, error: serde_json::Error| self.bad_row(what, error);
        let outcome = alert.outcome.as_ref().map(serde_json::to_string).transpose();
        let statement = sqlx::query(PUT_ALERT)
            .bind(alert.id.as_str())
            .bind(&alert.room_name)
            .bind(&alert.session_id)
            .bind(i64::from(alert.turn))
            .bind(alert.rule.name())
            .bind(alert.severity.name())
            .bind(alert.action.name())
            .bind(alert.sentiment.value())
            .bind(alert.shadow)
            .bind(outcome.map_err(|error| json("new outcome", error))?)
            .bind(serde_json::to_string(alert).map_err(|error| json("new alert", error))?)
            .bind(int(now_ms))
            .bind(if_there == IfThere::Update)
            .bind(alert.about.as_ref().and_then(|about| about.number.as_deref()).map(About::key));
        let changed = self.execute(tx, statement).await?;
        if changed == 0 {
            return Ok(false);
        }
        // At once, as a process that is killed does not tell how its call ended.
        if !alert.shadow {
            let statement = sqlx::query(
                "UPDATE sessions SET escalated = 1 WHERE room_name = ?1 AND session_id = ?2 AND escalated = 0 \
                 AND calls = (SELECT call FROM alerts WHERE alert_id = ?3)",
            )
            .bind(&alert.room_name)
            .bind(&alert.session_id)
            .bind(alert.id.as_str());
            self.execute(tx, statement).await?;
        }
        let statement = sqlx::query("INSERT INTO flags (alert_id, flagged_ms) VALUES (?, ?) ON CONFLICT DO NOTHING")
            .bind(alert.id.as_str())
            .bind(int(now_ms));
        self.execute(tx, statement).await?;
        Ok(true)
    }

    /// Whether the alert that is there under this one's id is of another call: one that was over before this one began, or one
    /// in which other words were said.
    async fn is_of_other_call(&self, tx: &mut Transaction<'_, Sqlite>, alert: &Alert) -> Result<bool, StoreError> {
        let (record, earlier): (String, bool) = sqlx::query_as(
            "SELECT record, call < coalesce((SELECT calls FROM sessions WHERE sessions.room_name = alerts.room_name \
             AND sessions.session_id = alerts.session_id), 1) FROM alerts WHERE alert_id = ?",
        )
        .bind(alert.id.as_str())
        .fetch_one(&mut **tx)
        .await
        .map_err(|error| self.failed(&error))?;
        // A row that somebody spoilt says nothing of its words.
        let known = serde_json::from_str::<Alert>(&record).ok();
        Ok(earlier || known.is_some_and(|known| !known.tells_the_words_of(alert)))
    }

    async fn outcome(&self, tx: &mut Transaction<'_, Sqlite>, id: &AlertId) -> Result<Option<Outcome>, StoreError> {
        let outcome: Option<String> = sqlx::query_scalar("SELECT outcome FROM alerts WHERE alert_id = ?")
            .bind(id.as_str())
            .fetch_one(&mut **tx)
            .await
            .map_err(|error| self.failed(&error))?;
        let parse = |json: String| serde_json::from_str(&json);
        outcome.map(parse).transpose().map_err(|error| self.bad_row(&format!("outcome of alert {id}"), error))
    }

    /// Queues what is planned, unless it is there. Returns how much that was.
    pub(super) async fn queue(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        alert: &Alert,
        plan: WebhookPlan,
        outgoing: &[Outgoing],
        now_ms: u64,
    ) -> Result<u64, StoreError> {
        let mut queued = 0;
        for Queued { state, due_ms, outgoing } in Queued::planned(alert, plan, outgoing, now_ms) {
            let text = format!(
                "INSERT INTO {} (alert_id, target, event, state, format, url, secret, detail, allow, timeout_ms, body, \
                 due_ms, created_ms) VALUES (?, ?, 'alert', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                table(&outgoing.target)
            );
            let statement = sqlx::query(AssertSqlSafe(text))
                .bind(alert.id.as_str())
                .bind(&outgoing.target)
                .bind(state.name())
                .bind(outgoing.format.name())
                .bind(outgoing.url.as_ref().map(|url| url.url().as_str()))
                .bind(outgoing.secret.as_deref())
                .bind(outgoing.detail_text())
                .bind(outgoing.allow_text())
                .bind(int(outgoing.timeout_ms))
                .bind(body(alert, outgoing).map_err(|error| self.bad_row("new notice", error))?)
                .bind(int(due_ms))
                .bind(int(now_ms));
            queued += self.execute(tx, statement).await?;
        }
        Ok(queued)
    }

    /// Settles what waits for its action's outcome.
    async fn settle(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        alert: &Alert,
        plan: WebhookPlan,
        outgoing: &[Outgoing],
        now_ms: u64,
    ) -> Result<(), StoreError> {
        match plan {
            WebhookPlan::Hold { .. } => {}
            WebhookPlan::None => {
                for table in TABLES {
                    let text = format!(
                        "UPDATE {table} SET state = 'cancelled', settled_ms = ? WHERE alert_id = ? AND state = 'held' \
                         AND attempts = 0"
                    );
                    let statement = sqlx::query(AssertSqlSafe(text)).bind(int(now_ms)).bind(alert.id.as_str());
                    self.execute(tx, statement).await?;
                }
                return Ok(());
            }
            WebhookPlan::Send => {
                for table in TABLES {
                    self.release(tx, table, alert, outgoing, now_ms).await?;
                }
            }
        }
        self.queue(tx, alert, plan, outgoing, now_ms).await?;
        Ok(())
    }

    /// Makes due what was never attempted, telling what is known now.
    async fn release(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        table: &'static str,
        alert: &Alert,
        outgoing: &[Outgoing],
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let text = format!(
            "SELECT target, detail FROM {table} WHERE alert_id = ? AND event = 'alert' \
             AND state IN ('held', 'cancelled') AND attempts = 0"
        );
        let rows: Vec<(String, String)> = sqlx::query_as(AssertSqlSafe(text))
            .bind(alert.id.as_str())
            .fetch_all(&mut **tx)
            .await
            .map_err(|error| self.failed(&error))?;
        for (target, detail) in rows {
            // Settings may have changed since it was queued; what it was to tell has not.
            let Some(now) = outgoing.iter().find(|one| one.target == target) else { continue };
            let detail = Outgoing::detail_of(&detail).map_err(|error| self.bad_row("outbox", error))?;
            let as_queued = Outgoing { detail, ..now.clone() };
            let text = format!(
                "UPDATE {table} SET state = 'pending', body = ?, due_ms = ?, settled_ms = NULL \
                 WHERE alert_id = ? AND target = ? AND event = 'alert'"
            );
            let statement = sqlx::query(AssertSqlSafe(text))
                .bind(body(alert, &as_queued).map_err(|error| self.bad_row("notice", error))?)
                .bind(int(now_ms))
                .bind(alert.id.as_str())
                .bind(&target);
            self.execute(tx, statement).await?;
        }
        Ok(())
    }
}
