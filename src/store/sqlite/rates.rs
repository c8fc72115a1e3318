//! How often calls escalate, and how right that is.

use sqlx::{Connection as _, SqliteConnection};

use super::list::UNDELIVERED;
use super::{SqliteStore, int, uint};
use crate::store::StoreError;
use crate::store::review::Rates;

const DAY_MS: u64 = 86_400_000;

/// Calls one by one, and whole days of them.
pub(super) const CALLS: &str = "SELECT count(*), ifnull(sum(escalated), 0) FROM sessions INDEXED BY sessions_by_start \
    WHERE started_ms >= ? AND started_ms < ?";
pub(super) const DAYS: &str =
    "SELECT ifnull(sum(calls), 0), ifnull(sum(escalated), 0) FROM days WHERE day >= ? AND day < ?";
/// How often one thing was said of alerts of the period, `?1` to `?2`.
macro_rules! said {
    ($verdict:literal) => {
        concat!(
            "(SELECT count(*) FROM verdicts INDEXED BY verdicts_listed WHERE verdict = '",
            $verdict,
            "' AND alert_ms >= ?1 AND alert_ms < ?2)"
        )
    };
}

/// Right, wrong and late.
pub(super) const VERDICTS: &str = concat!("SELECT ", said!("right"), ", ", said!("wrong"), ", ", said!("late"));
/// The same, of what processes of the version before wrote.
pub(super) const VERDICTS_BEFORE: &str = "SELECT count(*) FILTER (WHERE verdict = 'right'), \
    count(*) FILTER (WHERE verdict = 'wrong'), count(*) FILTER (WHERE verdict = 'late') \
    FROM verdicts INDEXED BY verdicts_listed CROSS JOIN alerts INDEXED BY alerts_timed USING (alert_id) \
    WHERE verdict IN ('right', 'wrong', 'late') AND alert_ms IS NULL \
    AND alerts.created_ms >= ?1 AND alerts.created_ms < ?2";

/// Alerts of the period that are not everywhere delivered.
pub(super) fn undelivered() -> String {
    format!(
        "SELECT count(*) FROM (SELECT DISTINCT alert_id FROM ({UNDELIVERED}) WHERE created_ms >= ?1) AS late \
         CROSS JOIN alerts INDEXED BY alerts_timed USING (alert_id) \
         WHERE alerts.created_ms >= ?1 AND alerts.created_ms < ?2"
    )
}

impl SqliteStore {
    pub(in crate::store) async fn rates(&self, since_ms: u64, until_ms: u64) -> Result<Rates, StoreError> {
        let mut conn = self.conn().await?;
        // All of one moment: what another process moves meanwhile is neither counted twice nor left out.
        let mut tx = conn.begin().await.map_err(|error| self.failed(&error))?;
        let (calls, escalated) = self.calls(&mut tx, since_ms, until_ms).await?;
        let (mut right, mut wrong, mut late) = (0, 0, 0);
        for question in [VERDICTS, VERDICTS_BEFORE] {
            let (some_right, some_wrong, some_late): (i64, i64, i64) = sqlx::query_as(question)
                .bind(int(since_ms))
                .bind(int(until_ms))
                .fetch_one(&mut *tx)
                .await
                .map_err(|error| self.failed(&error))?;
            right += uint(some_right);
            wrong += uint(some_wrong);
            late += uint(some_late);
        }
        let undelivered: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(undelivered()))
            .bind(int(since_ms))
            .bind(int(until_ms))
            .fetch_one(&mut *tx)
            .await
            .map_err(|error| self.failed(&error))?;
        tx.commit().await.map_err(|error| self.failed(&error))?;
        Ok(Rates { calls, escalated, right, wrong, late, undelivered: uint(undelivered) })
    }

    /// How many calls began in a period, and how many of them escalated: whole days are counted already.
    async fn calls(&self, conn: &mut SqliteConnection, since_ms: u64, until_ms: u64) -> Result<(u64, u64), StoreError> {
        let (first, last) = (since_ms.div_ceil(DAY_MS), until_ms / DAY_MS);
        let parts = if first < last {
            vec![(CALLS, since_ms, first * DAY_MS), (DAYS, first, last), (CALLS, last * DAY_MS, until_ms)]
        } else {
            vec![(CALLS, since_ms, until_ms)]
        };
        let (mut calls, mut escalated) = (0, 0);
        for (question, from, to) in parts {
            let (some, of_them): (i64, i64) = sqlx::query_as(question)
                .bind(int(from))
                .bind(int(to))
                .fetch_one(&mut *conn)
                .await
                .map_err(|error| self.failed(&error))?;
            calls += uint(some);
            escalated += uint(of_them);
        }
        Ok((calls, escalated))
    }
}
