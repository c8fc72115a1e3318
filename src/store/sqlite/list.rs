//! The list of alerts, narrowed by what people look for: first which ones, by indexes alone, then those few whole.

use sqlx::{QueryBuilder, Sqlite};

use super::{SqliteStore, int, uint};
use crate::alert::about::About;
use crate::alert::verdict::Verdict;
use crate::alert::{Alert, Rule, Severity};
use crate::config::settings::ActionKind;
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

/// A side from which the alerts are reached that a filter lets through, each the latest first by an index of its own. The
/// planner has no statistics to choose by, so it is told.
#[derive(Debug, Clone, Copy)]
enum Side {
    /// All, or those of a column that this index of the alerts begins with.
    Index(&'static str),
    /// Those of one kind.
    Kind(ActionKind, Rule, Severity),
    /// Those of which this was said.
    Said(Verdict),
    /// The same, where a process of the version before wrote it.
    SaidBefore(Verdict),
    /// Those that are not everywhere delivered, which are few.
    Undelivered,
}

/// The sides that have fewest of the others. Together they have all that fit, each once.
fn sides(filter: &AlertFilter) -> Vec<Side> {
    match filter {
        AlertFilter { caller: Some(_), .. } => vec![Side::Index("alerts_by_caller")],
        AlertFilter { undelivered: true, .. } => vec![Side::Undelivered],
        AlertFilter { verdict: Some(Some(verdict)), .. } => vec![Side::Said(*verdict), Side::SaidBefore(*verdict)],
        AlertFilter { outcome: Some(_), .. } => vec![Side::Index("alerts_by_outcome")],
        AlertFilter { room: Some(_), .. } => vec![Side::Index("alerts_by_room")],
        AlertFilter { action: None, rule: None, severity: None, .. } => vec![Side::Index("alerts_listed")],
        _ => kinds(filter),
    }
}

/// Every kind that a filter lets through: an alert of any other could not be read.
fn kinds(filter: &AlertFilter) -> Vec<Side> {
    let mut kinds = Vec::new();
    for action in ActionKind::ALL.into_iter().filter(|action| filter.action.is_none_or(|wanted| wanted == *action)) {
        for rule in Rule::ALL.into_iter().filter(|rule| filter.rule.is_none_or(|wanted| wanted == *rule)) {
            let severities = at_least(filter.severity);
            kinds.extend(severities.map(|severity| Side::Kind(action, rule, severity)));
        }
    }
    kinds
}

fn at_least(least: Option<Severity>) -> impl Iterator<Item = Severity> {
    Severity::ALL.into_iter().filter(move |severity| least.is_none_or(|least| *severity >= least))
}

/// The question.
pub(super) fn listing(filter: &AlertFilter, limit: u32) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new(WHOLE);
    query.push("SELECT id FROM (");
    for (at, side) in sides(filter).into_iter().enumerate() {
        query.push(if at > 0 { " UNION ALL " } else { "" });
        one_side(&mut query, side, filter);
        narrow(&mut query, filter, side);
    }
    query.push(" ORDER BY at_ms DESC, alert_id DESC LIMIT ").push_bind(i64::from(limit));
    query.push(")").push(OF_THEM);
    query
}

/// Which alerts there are on one side.
fn one_side(query: &mut QueryBuilder<Sqlite>, side: Side, filter: &AlertFilter) {
    // By these names all sides are put into one order.
    const OF_ALERTS: &str = "SELECT alerts.rowid AS id, alerts.created_ms AS at_ms, alerts.alert_id AS alert_id FROM ";
    const OF_VERDICTS: &str =
        "SELECT alerts.rowid AS id, verdicts.alert_ms AS at_ms, verdicts.alert_id AS alert_id FROM ";
    const SAID: &str = "verdicts INDEXED BY verdicts_listed CROSS JOIN alerts INDEXED BY alerts_timed USING (alert_id) \
                        WHERE verdicts.verdict = ";
    let since = int(filter.since_ms.unwrap_or(0));
    match side {
        Side::Index(index) => {
            query.push(OF_ALERTS).push("alerts INDEXED BY ").push(index).push(" WHERE 1");
        }
        Side::Kind(action, rule, severity) => {
            query.push(OF_ALERTS).push("alerts INDEXED BY alerts_by_kind WHERE alerts.action = ");
            query.push_bind(action.name()).push(" AND alerts.rule = ").push_bind(rule.name());
            query.push(" AND alerts.severity = ").push_bind(severity.name());
        }
        Side::Said(verdict) => {
            query.push(OF_VERDICTS).push(SAID).push_bind(verdict.name());
            within(query, filter, ["verdicts.alert_ms", "verdicts.alert_id"]);
        }
        Side::SaidBefore(verdict) => {
            query.push(OF_ALERTS).push(SAID).push_bind(verdict.name()).push(" AND verdicts.alert_ms IS NULL");
        }
        Side::Undelivered => {
            query.push(OF_ALERTS).push("(SELECT DISTINCT alert_id FROM (").push(UNDELIVERED);
            query.push(") WHERE created_ms >= ").push_bind(since);
            query.push(") AS late CROSS JOIN alerts INDEXED BY alerts_timed USING (alert_id) WHERE 1");
        }
    }
}

/// When the alerts are of, by the columns that have their time and their id.
fn within(query: &mut QueryBuilder<Sqlite>, filter: &AlertFilter, [time, id]: [&str; 2]) {
    query.push(" AND ").push(time).push(" >= ").push_bind(int(filter.since_ms.unwrap_or(0)));
    if let Some(until) = filter.until_ms {
        query.push(" AND ").push(time).push(" < ").push_bind(int(until));
    }
    if let Some((created_ms, last)) = &filter.before {
        query.push(" AND (").push(time).push(", ").push(id).push(") < (").push_bind(int(*created_ms));
        query.push(", ").push_bind(last.as_str().to_owned()).push(")");
    }
}

/// Adds what a filter asks for, and what its side does not have by itself.
fn narrow(query: &mut QueryBuilder<Sqlite>, filter: &AlertFilter, side: Side) {
    within(query, filter, ["alerts.created_ms", "alerts.alert_id"]);
    if let Some(room) = &filter.room {
        query.push(" AND alerts.room_name = ").push_bind(room.clone());
    }
    if !matches!(side, Side::Kind(..)) {
        kind(query, filter);
    }
    if let Some(outcome) = &filter.outcome {
        query.push(" AND alerts.outcome IS NOT NULL AND ");
        query.push("iif(json_valid(alerts.outcome), json_extract(alerts.outcome, '$.outcome'), NULL) = ");
        query.push_bind(outcome.clone());
    }
    match filter.verdict {
        _ if matches!(side, Side::Said(_) | Side::SaidBefore(_)) => {}
        None => {}
        Some(None) => {
            query.push(" AND NOT EXISTS (SELECT 1 FROM verdicts WHERE verdicts.alert_id = alerts.alert_id)");
        }
        Some(Some(verdict)) => {
            query.push(" AND EXISTS (SELECT 1 FROM verdicts WHERE verdicts.alert_id = alerts.alert_id AND verdict = ");
            query.push_bind(verdict.name()).push(")");
        }
    }
    if filter.undelivered && !matches!(side, Side::Undelivered) {
        query.push(" AND ").push(IS_UNDELIVERED);
    }
    if let Some(caller) = &filter.caller {
        query.push(" AND alerts.caller = ").push_bind(About::key(caller));
    }
}

/// Which kinds of alerts.
fn kind(query: &mut QueryBuilder<Sqlite>, filter: &AlertFilter) {
    if let Some(action) = filter.action {
        query.push(" AND alerts.action = ").push_bind(action.name());
    }
    if let Some(rule) = filter.rule {
        query.push(" AND alerts.rule = ").push_bind(rule.name());
    }
    if filter.severity.is_some() {
        let mut names = query.push(" AND alerts.severity IN (").separated(", ");
        for severity in at_least(filter.severity) {
            names.push_bind(severity.name());
        }
        query.push(")");
    }
}

/// What is not delivered, with when it was queued, which is never before its alert.
pub(super) const UNDELIVERED: &str = "SELECT alert_id, created_ms FROM outbox WHERE state IN ('pending', 'gave_up') \
    UNION ALL SELECT alert_id, created_ms FROM notices WHERE event = 'alert' AND state IN ('pending', 'gave_up')";

/// That one alert is not.
const IS_UNDELIVERED: &str = "(EXISTS (SELECT 1 FROM outbox WHERE outbox.alert_id = alerts.alert_id \
    AND state IN ('pending', 'gave_up')) OR EXISTS (SELECT 1 FROM notices WHERE notices.alert_id = alerts.alert_id \
    AND event = 'alert' AND state IN ('pending', 'gave_up')))";
