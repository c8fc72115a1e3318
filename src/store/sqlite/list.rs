//! The list of alerts, narrowed by what people look for: first which ones, by indexes alone, then those few whole.

use sqlx::{QueryBuilder, Sqlite};

use super::{SqliteStore, int, uint};
use crate::alert::about::About;
use crate::alert::verdict::Verdict;
use crate::alert::{Alert, Severity};
use crate::store::StoreError;
use crate::store::review::{AlertFilter, DeliveryState, ListedAlert};

/// `record, created_ms, verdict, states`.
type ListedRow = (String, i64, Option<String>, Option<String>);

/// Those whose `rowid` a part in between finds, in its order.
const WHOLE: &str = "SELECT alerts.record, alerts.created_ms, verdicts.verdict, \
    (SELECT group_concat(state) FROM (SELECT state FROM outbox WHERE outbox.alert_id = alerts.alert_id \
    UNION ALL SELECT state FROM notices WHERE notices.alert_id = alerts.alert_id AND event = 'alert')) FROM (";
const OF_THEM: &str = ") AS found CROSS JOIN alerts ON alerts.rowid = found.id LEFT JOIN verdicts USING (alert_id)";

impl SqliteStore {
    /// The latest first.
    pub(in crate::store) async fn alerts(
        &self,
        filter: &AlertFilter,
        limit: u32,
    ) -> Result<Vec<ListedAlert>, StoreError> {
        let mut conn = self.conn().await?;
        let rows: Vec<ListedRow> =
            listing(filter, limit).build_query_as().fetch_all(&mut *conn).await.map_err(|error| self.failed(&error))?;
        drop(conn);
        let listed = |(record, created, verdict, states): ListedRow| {
            let states = states.unwrap_or_default();
            let delivery = states.split(',').map(DeliveryState::of_row).max().unwrap_or(DeliveryState::None);
            let verdict = verdict.as_deref().and_then(Verdict::of);
            Ok(ListedAlert { created_ms: uint(created), alert: self.alert_of(&record)?, verdict, delivery })
        };
        rows.into_iter().map(listed).collect()
    }

    pub(super) fn alert_of(&self, record: &str) -> Result<Alert, StoreError> {
        serde_json::from_str(record).map_err(|error| self.bad_row("alert", error))
    }
}

/// The index that leaves least of all alerts. The planner has no statistics to choose by, so it is told.
fn index(filter: &AlertFilter) -> &'static str {
    match filter {
        AlertFilter { caller: Some(_), .. } => "alerts_by_caller",
        AlertFilter { undelivered: true, .. } | AlertFilter { verdict: Some(Some(_)), .. } => "alerts_timed",
        AlertFilter { outcome: Some(_), .. } => "alerts_by_outcome",
        AlertFilter { room: Some(_), .. } => "alerts_by_room",
        _ => "alerts_listed",
    }
}

/// The question.
pub(super) fn listing(filter: &AlertFilter, limit: u32) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new(WHOLE);
    query.push("SELECT alerts.rowid AS id FROM alerts INDEXED BY ").push(index(filter)).push(" WHERE 1");
    narrow(&mut query, filter);
    query.push(" ORDER BY alerts.created_ms DESC, alerts.alert_id DESC LIMIT ").push_bind(i64::from(limit));
    query.push(OF_THEM);
    query
}

/// Adds what a filter asks for.
fn narrow(query: &mut QueryBuilder<Sqlite>, filter: &AlertFilter) {
    let since = int(filter.since_ms.unwrap_or(0));
    query.push(" AND alerts.created_ms >= ").push_bind(since);
    if let Some(until) = filter.until_ms {
        query.push(" AND alerts.created_ms < ").push_bind(int(until));
    }
    if let Some(room) = &filter.room {
        query.push(" AND alerts.room_name = ").push_bind(room.clone());
    }
    if let Some(action) = filter.action {
        query.push(" AND alerts.action = ").push_bind(action.name());
    }
    if let Some(rule) = filter.rule {
        query.push(" AND alerts.rule = ").push_bind(rule.name());
    }
    if let Some(least) = filter.severity {
        let all = [Severity::Low, Severity::Medium, Severity::High, Severity::Critical];
        let mut names = query.push(" AND alerts.severity IN (").separated(", ");
        for severity in all.into_iter().filter(|severity| *severity >= least) {
            names.push_bind(severity.name());
        }
        query.push(")");
    }
    if let Some(outcome) = &filter.outcome {
        query.push(" AND alerts.outcome IS NOT NULL AND ");
        query.push("iif(json_valid(alerts.outcome), json_extract(alerts.outcome, '$.outcome'), NULL) = ");
        query.push_bind(outcome.clone());
    }
    match filter.verdict {
        None => {}
        Some(None) => {
            query.push(" AND NOT EXISTS (SELECT 1 FROM verdicts WHERE verdicts.alert_id = alerts.alert_id)");
        }
        Some(Some(verdict)) => {
            // What is said of an alert is said after it.
            query.push(" AND alerts.alert_id IN (SELECT alert_id FROM verdicts WHERE said_ms >= ").push_bind(since);
            query.push(" AND verdict = ").push_bind(verdict.name()).push(")");
        }
    }
    if filter.undelivered {
        query.push(" AND alerts.alert_id IN (SELECT alert_id FROM (").push(UNDELIVERED).push(") WHERE created_ms >= ");
        query.push_bind(since).push(")");
    }
    if let Some(caller) = &filter.caller {
        query.push(" AND alerts.caller = ").push_bind(About::key(caller));
    }
    if let Some((created_ms, id)) = &filter.before {
        query.push(" AND (alerts.created_ms, alerts.alert_id) < (").push_bind(int(*created_ms)).push(", ");
        query.push_bind(id.as_str().to_owned()).push(")");
    }
}

/// What is not delivered, with when it was queued, which is never before its alert.
pub(super) const UNDELIVERED: &str = "SELECT alert_id, created_ms FROM outbox WHERE state IN ('pending', 'gave_up') \
    UNION ALL SELECT alert_id, created_ms FROM notices WHERE event = 'alert' AND state IN ('pending', 'gave_up')";
