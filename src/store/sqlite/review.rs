//! What people ask of the store, and what they tell it.

use sqlx::Sqlite;

use super::file::emptied_wal;
use super::{SqliteStore, count, int, millis, uint};
use crate::alert::AlertId;
use crate::alert::about::About;
use crate::alert::notice::NoticeEvent;
use crate::alert::verdict::Verdict;
use crate::clock::unix_ms;
use crate::store::review::{Attempt, Concern, Forgotten, LabelledCall, Said, SaidVerdict};
use crate::store::{StoreError, StoreProblem};

/// How many rows are forgotten in one transaction, so that live calls get a turn in between.
const FORGET_AT_ONCE: u32 = 500;

/// `target, event, attempt, at_ms, status, error`.
type AttemptRow = (String, String, i64, i64, Option<i64>, Option<String>);
/// `room_name, session_id, call, recording, course, record, verdict`.
type LabelRow = (String, String, i64, Option<String>, Option<String>, String, String);

impl SqliteStore {
    pub(in crate::store) async fn find(&self, beginning: &str) -> Result<Vec<AlertId>, StoreError> {
        let mut conn = self.conn().await?;
        // Compared as they sort, so that the index finds them; an id that is whole comes first.
        let ids: Vec<String> = sqlx::query_scalar(
            "SELECT alert_id FROM alerts WHERE alert_id >= ?1 AND alert_id < ?1 || char(0x10ffff) \
             AND (alert_id = ?1 OR NOT EXISTS (SELECT 1 FROM alerts WHERE alert_id = ?1)) ORDER BY alert_id LIMIT 2",
        )
        .bind(beginning)
        .fetch_all(&mut *conn)
        .await
        .map_err(|error| self.failed(&error))?;
        Ok(ids.into_iter().map(AlertId::from).collect())
    }

    pub(in crate::store) async fn verdict(&self, alert_id: &AlertId) -> Result<Option<SaidVerdict>, StoreError> {
        let mut conn = self.conn().await?;
        let row: Option<(String, String, String, i64)> =
            sqlx::query_as("SELECT verdict, note, said_by, said_ms FROM verdicts WHERE alert_id = ?")
                .bind(alert_id.as_str())
                .fetch_optional(&mut *conn)
                .await
                .map_err(|error| self.failed(&error))?;
        row.map(|(verdict, note, said_by, said)| {
            let verdict = Verdict::of(&verdict).ok_or_else(|| self.bad_row("verdict", format!("{verdict:?}")))?;
            Ok(SaidVerdict { verdict, note, said_by, said_ms: uint(said) })
        })
        .transpose()
    }

    pub(in crate::store) async fn say(
        &self,
        alert_id: &AlertId,
        said: &SaidVerdict,
        known_ms: Option<u64>,
        who: &str,
    ) -> Result<Said, StoreError> {
        let mut conn = self.conn().await?;
        let mut tx = self.begin(&mut conn).await?;
        let statement = sqlx::query(
            "INSERT INTO verdicts (alert_id, verdict, note, said_by, said_ms, alert_ms) \
             SELECT alert_id, ?1, ?2, ?3, ?4, created_ms FROM alerts WHERE alert_id = ?5 ON CONFLICT DO UPDATE SET \
             verdict = excluded.verdict, note = excluded.note, said_by = excluded.said_by, said_ms = excluded.said_ms, \
             alert_ms = excluded.alert_ms WHERE ?6 IS NULL OR said_ms = ?6 \
             OR (verdict = excluded.verdict AND note = excluded.note AND said_by = excluded.said_by)",
        )
        .bind(said.verdict.name())
        .bind(&said.note)
        .bind(&said.said_by)
        .bind(int(said.said_ms))
        .bind(alert_id.as_str())
        .bind(known_ms.map(int));
        if self.execute(&mut tx, statement).await? == 0 {
            let is_there: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM alerts WHERE alert_id = ?)")
                .bind(alert_id.as_str())
                .fetch_one(&mut *tx)
                .await
                .map_err(|error| self.failed(&error))?;
            return Ok(if is_there { Said::Meanwhile } else { Said::NoAlert });
        }
        let statement = sqlx::query("UPDATE flags SET review = ?, note = ?, reviewed_ms = ? WHERE alert_id = ?")
            .bind(said.verdict.review())
            .bind(&said.note)
            .bind(int(said.said_ms))
            .bind(alert_id.as_str());
        self.execute(&mut tx, statement).await?;
        let what = format!("verdict {}", said.verdict.name());
        self.audit_in(&mut tx, who, &what, Concern::Alert(alert_id), said.said_ms).await?;
        tx.commit().await.map_err(|error| self.failed(&error))?;
        Ok(Said::Kept)
    }

    pub(in crate::store) async fn attempts(&self, alert_id: &AlertId) -> Result<Vec<Attempt>, StoreError> {
        let mut conn = self.conn().await?;
        let rows: Vec<AttemptRow> = sqlx::query_as(
            "SELECT target, event, attempt, at_ms, status, error FROM attempts WHERE alert_id = ? ORDER BY attempt_id",
        )
        .bind(alert_id.as_str())
        .fetch_all(&mut *conn)
        .await
        .map_err(|error| self.failed(&error))?;
        let attempt = |(target, event, attempt, at, status, error): AttemptRow| Attempt {
            target,
            event: NoticeEvent::of(&event).unwrap_or_default(),
            attempt: count(attempt),
            at_ms: uint(at),
            status: status.and_then(|status| u16::try_from(status).ok()),
            error,
        };
        Ok(rows.into_iter().map(attempt).collect())
    }

    pub(in crate::store) async fn labelled(&self, since_ms: u64) -> Result<Vec<LabelledCall>, StoreError> {
        let mut conn = self.conn().await?;
        let rows: Vec<LabelRow> = sqlx::query_as(
            "SELECT alerts.room_name, alerts.session_id, call, recording, course, record, verdict \
             FROM verdicts JOIN alerts USING (alert_id) LEFT JOIN sessions ON sessions.room_name = alerts.room_name \
             AND sessions.session_id = alerts.session_id AND calls = call LEFT JOIN transcripts \
             ON transcripts.room_name = sessions.room_name AND transcripts.session_id = sessions.session_id \
             WHERE created_ms >= ? ORDER BY alerts.room_name, alerts.session_id, call, created_ms",
        )
        .bind(int(since_ms))
        .fetch_all(&mut *conn)
        .await
        .map_err(|error| self.failed(&error))?;
        let (mut calls, mut last): (Vec<LabelledCall>, i64) = (Vec::new(), 0);
        for (room_name, session_id, which, recording, course, record, verdict) in rows {
            let verdict = Verdict::of(&verdict).ok_or_else(|| self.bad_row("verdict", format!("{verdict:?}")))?;
            let labelled = (self.alert_of(&record)?, verdict);
            let is_same = |call: &&mut LabelledCall| {
                which == last && call.room_name == room_name && call.session_id == session_id
            };
            if let Some(call) = calls.last_mut().filter(is_same) {
                call.alerts.push(labelled);
                continue;
            }
            let kept = recording.map(|recording| self.kept(recording, course.as_deref())).transpose()?;
            calls.push(LabelledCall { room_name, session_id, kept, alerts: vec![labelled] });
            last = which;
        }
        Ok(calls)
    }

    pub(in crate::store) async fn prune(&self, before_ms: u64) -> Result<Forgotten, StoreError> {
        // Those of processes that were killed, where none attends calls any more that would see to it.
        self.inner.live.forget_silent(unix_ms()).await?;
        let before = int(before_ms);
        let alerts =
            "DELETE FROM alerts WHERE alert_id IN (SELECT alert_id FROM alerts WHERE created_ms < ?1 LIMIT ?2)";
        let sessions = "DELETE FROM sessions WHERE (room_name, session_id) IN (SELECT room_name, session_id \
                        FROM sessions WHERE started_ms < ?1 AND ifnull(ended_ms, started_ms) < ?1 LIMIT ?2)";
        // Those of an alert go with it.
        let audit = "DELETE FROM audit WHERE audit_id IN (SELECT audit_id FROM audit WHERE alert_id IS NULL AND at_ms < ?1 \
                     LIMIT ?2)";
        self.forget(audit, &before).await?;
        self.forget_turns(&mut *self.conn().await?, unix_ms()).await?;
        let forgotten =
            Forgotten { alerts: self.forget(alerts, &before).await?, sessions: self.forget(sessions, &before).await? };
        // A session that had several calls counts on each one's day, and is forgotten on the last one's.
        let days = "DELETE FROM days WHERE day IN (SELECT day FROM days WHERE day < ?1 / 86400000 AND NOT EXISTS \
                    (SELECT 1 FROM sessions WHERE started_ms >= day * 86400000 AND started_ms < (day + 1) * 86400000) LIMIT ?2)";
        self.forget(days, &before).await?;
        Ok(forgotten)
    }

    pub(in crate::store) async fn erase(&self, caller: &str) -> Result<Forgotten, StoreError> {
        let key = About::key(caller);
        if key.is_empty() {
            return Ok(Forgotten::default());
        }
        // Whatever becomes of that, the rest is erased.
        let from_board = self.inner.live.erase(&key).await;
        // What processes of the version before told their board goes as a whole: they tell it again with the next turn.
        self.execute(&mut *self.conn().await?, sqlx::query("DELETE FROM live")).await?;
        // Who looked at a call of theirs: the room's name may be a number. Those of an alert go with it.
        let looks = "DELETE FROM audit WHERE audit_id IN (SELECT audit_id FROM audit CROSS JOIN sessions \
                     USING (room_name, session_id) WHERE sessions.caller = ?1 LIMIT ?2)";
        self.forget(looks, &key).await?;
        let alerts = "DELETE FROM alerts WHERE alert_id IN (SELECT alert_id FROM alerts WHERE caller = ?1 UNION \
                      SELECT alert_id FROM alerts JOIN sessions USING (room_name, session_id) WHERE sessions.caller = ?1 \
                      AND alerts.caller IS NULL AND call = calls LIMIT ?2)";
        let sessions = "DELETE FROM sessions WHERE (room_name, session_id) IN (SELECT room_name, session_id \
                        FROM sessions WHERE caller = ?1 LIMIT ?2)";
        let forgotten =
            Forgotten { alerts: self.forget(alerts, &key).await?, sessions: self.forget(sessions, &key).await? };
        if !emptied_wal(&mut *self.conn().await?).await.map_err(|error| self.failed(&error))? {
            return Err(self.error(StoreProblem::StillThere { waited_ms: millis(self.inner.busy_timeout) }));
        }
        from_board?;
        Ok(forgotten)
    }

    /// Deletes what a statement finds with `?1`, `?2` rows at a time, until nothing is left.
    async fn forget<'q, V>(&self, statement: &'static str, value: &'q V) -> Result<u64, StoreError>
    where
        &'q V: sqlx::Encode<'q, Sqlite> + sqlx::Type<Sqlite> + Send + 'q,
    {
        let mut all = 0;
        loop {
            let mut conn = self.conn().await?;
            let gone = self.execute(&mut conn, sqlx::query(statement).bind(value).bind(FORGET_AT_ONCE)).await?;
            all += gone;
            if gone < u64::from(FORGET_AT_ONCE) {
                return Ok(all);
            }
        }
    }
}
