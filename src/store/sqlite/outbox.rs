//! The outbox: what is to be sent, each by one process at a time, until a receiver has it. The webhook's rows are in the
//! table `outbox`, those of all other places in `notices`.

use std::collections::HashMap;

use sqlx::{AssertSqlSafe, Sqlite, Transaction};

use super::due::{DUE, NEXT_DUE, NEXT_TURN};
use super::{SqliteStore, count, int, uint};
use crate::alert::notice::NoticeEvent;
use crate::alert::outgoing::Outgoing;
use crate::alert::{AlertId, Rule};
use crate::store::StoreError;
use crate::store::rows::{Attempted, Claim, Due, Left, Needs, Noted, OutboxRow, OutboxState, Reach};
use crate::store::turn::Turn;

/// Both tables; the same statements fit them.
pub(super) const TABLES: [&str; 2] = ["outbox", "notices"];

/// A row of either, in the order of [`OutboxRow`].
type StatusRow =
    (String, String, String, String, i64, i64, i64, Option<i64>, Option<i64>, Option<String>, Option<i64>, String);

/// A row that is due: what [`Due`] has, in its order, and whether it was written before the clock was put back.
type DueRow = (String, String, String, String, Option<String>, Option<String>, String, String, i64, String, i64, bool);

/// The table of a place's rows.
pub(super) fn table(target: &str) -> &'static str {
    if target.is_empty() { TABLES[0] } else { TABLES[1] }
}

/// A statement with the name of one of [`TABLES`] in it.
macro_rules! on {
    ($table:expr, $($part:expr),+) => {
        AssertSqlSafe(format!(concat!($($part),+), table = $table))
    };
}

/// Which rows [`SqliteStore::readmit`] changes.
macro_rules! readmitted {
    () => {
        "url IS ?1 AND secret IS ?6 AND target = ?7 AND allow <> ?2 AND (state IN ('held', 'pending') \
         OR (state = 'gave_up' AND last_status IS NULL AND attempts < ?3 AND created_ms >= ?4))"
    };
}

impl SqliteStore {
    pub(in crate::store) async fn claim(
        &self,
        alert_id: &AlertId,
        target: &str,
        reach: &Reach,
        now_ms: u64,
    ) -> Result<Option<Claim>, StoreError> {
        Ok(self.claim_rows(Some((alert_id, target)), 1, reach, now_ms, now_ms).await?.pop())
    }

    pub(in crate::store) async fn claim_due(
        &self,
        limit: u32,
        reach: &Reach,
        due_by_ms: u64,
        now_ms: u64,
    ) -> Result<Vec<Claim>, StoreError> {
        self.claim_rows(None, limit, reach, due_by_ms.min(now_ms), now_ms).await
    }

    async fn claim_rows(
        &self,
        only: Option<(&AlertId, &str)>,
        limit: u32,
        reach: &Reach,
        due_by_ms: u64,
        now_ms: u64,
    ) -> Result<Vec<Claim>, StoreError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut conn = self.conn().await?;
        let mut tx = self.begin(&mut conn).await?;
        let (mut claims, mut later) = (Vec::new(), HashMap::new());
        loop {
            let wanted = limit - claims.len();
            let rows: Vec<DueRow> = sqlx::query_as(DUE)
                .bind(reach.signs)
                .bind(reach.secrets_text())
                .bind(int(due_by_ms))
                .bind(int(now_ms))
                .bind(only.map(|(alert_id, _)| alert_id.as_str()))
                .bind(only.map(|(_, target)| target))
                .bind(i64::try_from(wanted).unwrap_or(i64::MAX))
                .fetch_all(&mut *tx)
                .await
                .map_err(|error| self.failed(&error))?;
            let was_all = rows.len() < wanted;
            for row in rows {
                claims.extend(self.claim_row(&mut tx, row, &mut later, now_ms).await?);
            }
            // What is put off, or given up, is due no longer, and holds up nothing that is.
            if was_all || claims.len() >= limit {
                break;
            }
        }
        tx.commit().await.map_err(|error| self.failed(&error))?;
        Ok(claims)
    }

    async fn claim_row(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        row: DueRow,
        later: &mut HashMap<String, u64>,
        now_ms: u64,
    ) -> Result<Option<Claim>, StoreError> {
        let (alert_id, target, event, format, url, secret, detail, allow, timeout_ms, body, attempts, ahead) = row;
        let (id, place, of) = (alert_id.clone(), target.clone(), event.clone());
        let (timeout_ms, attempts) = (uint(timeout_ms), count(attempts));
        let alert_id = AlertId::from(alert_id);
        let due = Due { alert_id, target, event, format, url, secret, detail, allow, timeout_ms, body, attempts };
        let begin_ms = match self.turn(tx, &due, now_ms).await? {
            Turn::Taken(begin_ms) => begin_ms,
            // It would be due at once again.
            Turn::Later(_) if ahead => now_ms,
            Turn::Later(at_ms) => {
                self.put_off(tx, &due, later, at_ms, now_ms).await?;
                return Ok(None);
            }
        };
        let claim = match due.claimed(begin_ms) {
            Ok(claim) => claim,
            Err(error) => {
                tracing::warn!(alert_id = id, %error, "a webhook in the store cannot be read and is given up");
                let text = on!(
                    table(&place),
                    "UPDATE {table} SET state = 'gave_up', last_error = ?, settled_ms = ? \
                     WHERE alert_id = ? AND target = ? AND event = ?"
                );
                let statement =
                    sqlx::query(text).bind(error.to_string()).bind(int(now_ms)).bind(&id).bind(&place).bind(&of);
                self.execute(tx, statement).await?;
                return Ok(None);
            }
        };
        let text = on!(
            table(&place),
            "UPDATE {table} SET state = 'pending', attempts = ?, claimed_until_ms = ? \
             WHERE alert_id = ? AND target = ? AND event = ?"
        );
        let statement =
            sqlx::query(text).bind(i64::from(claim.attempt)).bind(int(claim.until_ms)).bind(&id).bind(&place).bind(&of);
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
        let mut tx = self.begin(&mut conn).await?;
        let (target, event) = (claim.outgoing.target.as_str(), claim.event.name());
        let text = on!(
            table(target),
            "UPDATE {table} SET state = ?1, due_ms = ifnull(?2, due_ms), last_status = ?3, last_error = ?4, \
             settled_ms = ?5, claimed_until_ms = NULL, noted_ms = ?11 WHERE alert_id = ?6 AND target = ?9 AND event = ?10 \
             AND ((state = 'pending' AND attempts = ?7) OR (?8 AND state IN ('pending', 'gave_up')))"
        );
        let statement = sqlx::query(text)
            .bind(state.name())
            .bind(due_ms.map(int))
            .bind(status.map(i64::from))
            .bind(error)
            .bind(settled_ms.map(int))
            .bind(claim.alert_id.as_str())
            .bind(i64::from(claim.attempt))
            .bind(state == OutboxState::Delivered)
            .bind(target)
            .bind(event)
            .bind(int(now_ms));
        let changed = self.execute(&mut tx, statement).await?;
        // Whoever erased the alert meanwhile wants to hear of no attempt.
        let statement = sqlx::query(
            "INSERT INTO attempts (alert_id, target, event, attempt, at_ms, status, error) \
             SELECT alert_id, ?, ?, ?, ?, ?, ? FROM alerts WHERE alert_id = ?",
        )
        .bind(target)
        .bind(event)
        .bind(i64::from(claim.attempt))
        .bind(int(now_ms))
        .bind(status.map(i64::from))
        .bind(error)
        .bind(claim.alert_id.as_str());
        self.execute(&mut tx, statement).await?;
        let is_settled = matches!(state, OutboxState::Delivered | OutboxState::GaveUp);
        if changed > 0 && is_settled && claim.event == NoticeEvent::Alert {
            self.resolve_or_not(&mut tx, claim, state == OutboxState::Delivered, now_ms).await?;
        }
        tx.commit().await.map_err(|error| self.failed(&error))?;
        Ok(changed > 0)
    }

    pub(in crate::store) async fn readmit(
        &self,
        outgoing: &Outgoing,
        last_attempt: u32,
        since_ms: u64,
        now_ms: u64,
    ) -> Result<u64, StoreError> {
        let (url, allow) = (outgoing.url.as_ref().map(|url| url.url().as_str()), outgoing.allow_text());
        let (secret, target) = (outgoing.secret.as_deref(), outgoing.target.as_str());
        let mut conn = self.conn().await?;
        // Reading takes no lock. Thousands of processes look, and there is seldom anything to change.
        let text = on!(table(target), "SELECT EXISTS (SELECT 1 FROM {table} WHERE ?5 AND ", readmitted!(), ")");
        let any: i64 = sqlx::query_scalar(text)
            .bind(url)
            .bind(&allow)
            .bind(i64::from(last_attempt))
            .bind(int(since_ms))
            .bind(true)
            .bind(secret)
            .bind(target)
            .fetch_one(&mut *conn)
            .await
            .map_err(|error| self.failed(&error))?;
        if any == 0 {
            return Ok(0);
        }
        let text = on!(
            table(target),
            "UPDATE {table} SET allow = ?2, settled_ms = NULL, due_ms = iif(state = 'gave_up', ?5, due_ms), ",
            "state = iif(state = 'gave_up', 'pending', state) WHERE ",
            readmitted!()
        );
        let statement = sqlx::query(text)
            .bind(url)
            .bind(&allow)
            .bind(i64::from(last_attempt))
            .bind(int(since_ms))
            .bind(int(now_ms))
            .bind(secret)
            .bind(target);
        self.execute(&mut conn, statement).await
    }

    /// Where all that is sent of an alert stands: the webhook first.
    pub(in crate::store) async fn notices(&self, alert_id: &AlertId) -> Result<Vec<OutboxRow>, StoreError> {
        const COLUMNS: &str = "target, event, format, state, attempts, due_ms, turn_ms, claimed_until_ms, last_status, \
                               last_error, settled_ms, body";
        let mut conn = self.conn().await?;
        let mut all = Vec::new();
        for table in TABLES {
            let text = format!("SELECT {COLUMNS} FROM {table} WHERE alert_id = ? ORDER BY target, event");
            let rows: Vec<StatusRow> = sqlx::query_as(AssertSqlSafe(text))
                .bind(alert_id.as_str())
                .fetch_all(&mut *conn)
                .await
                .map_err(|error| self.failed(&error))?;
            for row in rows {
                all.push(self.outbox_row(row)?);
            }
        }
        Ok(all)
    }

    fn outbox_row(&self, row: StatusRow) -> Result<OutboxRow, StoreError> {
        let (target, event, format, state, attempts, due, turn, claimed_until, status, last_error, settled, body) = row;
        let state = OutboxState::of(&state).ok_or_else(|| self.bad_row("outbox", format!("state {state:?}")))?;
        let event = NoticeEvent::of(&event).ok_or_else(|| self.bad_row("outbox", format!("event {event:?}")))?;
        Ok(OutboxRow {
            target,
            event,
            format,
            state,
            attempts: count(attempts),
            due_ms: uint(due),
            turn_ms: uint(turn),
            claimed_until_ms: claimed_until.map(uint),
            last_status: status.and_then(|status| u16::try_from(status).ok()),
            last_error,
            settled_ms: settled.map(uint),
            body,
        })
    }

    pub(in crate::store) async fn pending_count(&self) -> Result<u64, StoreError> {
        let mut conn = self.conn().await?;
        let pending: i64 = sqlx::query_scalar(
            "SELECT (SELECT count(*) FROM outbox WHERE state IN ('held', 'pending')) \
             + (SELECT count(*) FROM notices WHERE state IN ('held', 'pending'))",
        )
        .fetch_one(&mut *conn)
        .await
        .map_err(|error| self.failed(&error))?;
        Ok(uint(pending))
    }

    pub(in crate::store) async fn needs(&self, only: Option<&AlertId>) -> Result<Needs, StoreError> {
        // Of one alert they are found by its id, of all by their state: a condition that fits both would use no index.
        let which = only.map_or("?1 IS NULL", |_| "alert_id = ?1");
        let of = |table: &str| {
            format!(
                "SELECT format IN ('standard', 'cloudevents') AS signed, secret, count(*) FROM {table} \
                 WHERE state IN ('held', 'pending') AND {which} GROUP BY signed, secret"
            )
        };
        let mut conn = self.conn().await?;
        let rows: Vec<(bool, Option<String>, i64)> = sqlx::query_as(AssertSqlSafe(TABLES.map(of).join(" UNION ALL ")))
            .bind(only.map(AlertId::as_str))
            .fetch_all(&mut *conn)
            .await
            .map_err(|error| self.failed(&error))?;
        let mut needs = Needs::default();
        for (signature, secret, waiting) in rows {
            needs.signature |= signature;
            needs.waiting += uint(waiting);
            needs.secrets.extend(secret);
        }
        needs.secrets.sort_unstable();
        needs.secrets.dedup();
        Ok(needs)
    }

    pub(in crate::store) async fn next_due(&self, reach: &Reach, now_ms: u64) -> Result<Option<u64>, StoreError> {
        let mut conn = self.conn().await?;
        let next: Option<i64> = sqlx::query_scalar(NEXT_DUE)
            .bind(reach.signs)
            .bind(reach.secrets_text())
            .bind(int(now_ms))
            .fetch_one(&mut *conn)
            .await
            .map_err(|error| self.failed(&error))?;
        Ok(next.map(uint))
    }

    pub(in crate::store) async fn next_turn(
        &self,
        reach: &Reach,
        due_by_ms: u64,
        now_ms: u64,
    ) -> Result<Option<u64>, StoreError> {
        let mut conn = self.conn().await?;
        let next: Option<i64> = sqlx::query_scalar(NEXT_TURN)
            .bind(reach.signs)
            .bind(reach.secrets_text())
            .bind(int(now_ms))
            .bind(int(due_by_ms))
            .fetch_one(&mut *conn)
            .await
            .map_err(|error| self.failed(&error))?;
        Ok(next.map(uint))
    }

    /// That it is over is told where a place was told of it, if only now; a place that was not waits until it is told after all.
    async fn resolve_or_not(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        claim: &Claim,
        is_told: bool,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let text = if is_told {
            "UPDATE notices SET state = 'pending', due_ms = ?1, settled_ms = NULL \
             WHERE alert_id = ?2 AND target = ?3 AND event = 'resolved' AND state = 'cancelled'"
        } else {
            "UPDATE notices SET state = 'cancelled', settled_ms = ?1 \
             WHERE alert_id = ?2 AND target = ?3 AND event = 'resolved' AND state = 'pending' AND attempts = 0"
        };
        let (id, target) = (claim.alert_id.as_str(), claim.outgoing.target.as_str());
        self.execute(tx, sqlx::query(text).bind(int(now_ms)).bind(id).bind(target)).await?;
        Ok(())
    }

    /// Tells those places that can be told so that what the session's call alerted of is over, as far as that is settled by how
    /// it left its caller; where nobody was told of that, nobody needs to hear that it is over, until somebody is told after all.
    /// What calls before alerted of that had the same session id stays as it is.
    pub(super) async fn resolve_in(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        session_id: &str,
        room_name: &str,
        left: Left,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let unsettled: Vec<&str> = match left {
            Left::Unhappy => return Ok(()),
            Left::Calm => Rule::ALL.into_iter().filter(|rule| rule.wants_a_human()).map(Rule::name).collect(),
            Left::WithHuman => Vec::new(),
        };
        let statement = sqlx::query(
            "INSERT INTO notices (alert_id, target, event, state, format, url, secret, detail, allow, timeout_ms, body, \
             due_ms, created_ms, settled_ms) \
             SELECT alert_id, target, 'resolved', iif(state IN ('pending', 'delivered'), 'pending', 'cancelled'), format, url, \
             secret, detail, allow, timeout_ms, body, ?1, ?1, iif(state IN ('pending', 'delivered'), NULL, ?1) \
             FROM notices JOIN alerts USING (alert_id) JOIN sessions USING (room_name, session_id) \
             WHERE alerts.room_name = ?2 AND alerts.session_id = ?3 AND alerts.call = sessions.calls \
             AND (rule NOT IN (SELECT value FROM json_each(?4)) OR alert_id IN (SELECT alert_id FROM claims)) \
             AND format = 'pagerduty' AND event = 'alert' ON CONFLICT DO NOTHING",
        )
        .bind(int(now_ms))
        .bind(room_name)
        .bind(session_id)
        .bind(serde_json::json!(unsettled).to_string());
        self.execute(tx, statement).await?;
        Ok(())
    }
}
