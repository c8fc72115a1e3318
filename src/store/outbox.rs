//! The outbox: webhooks that are to be sent, each by one process at a time, until a receiver has them.

use sqlx::{Sqlite, Transaction};

use super::{Store, StoreError, count, int, uint};
use crate::call::escalation::AlertId;
use crate::notify::Outgoing;

/// How much longer than its attempt a claim lasts, in ms. A process that dies in an attempt delays the next one by
/// no more than that.
pub const LEASE_SLACK_MS: u64 = 2_000;

/// The right to make one attempt, until the lease runs out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The alert, whose id is the webhook's.
    pub alert_id: AlertId,
    /// Where it goes and how.
    pub outgoing: Outgoing,
    /// What is sent, the same in every attempt.
    pub body: String,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// When another process may take over, Unix time in ms.
    pub until_ms: u64,
}

/// What came of a claimed attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempted {
    /// The receiver has it.
    Delivered {
        /// The HTTP status.
        status: u16,
    },
    /// It is to be tried again.
    Retry {
        /// When, Unix time in ms.
        at_ms: u64,
        /// The HTTP status, if there was an answer.
        status: Option<u16>,
        /// Why it did not work.
        detail: String,
    },
    /// It is not tried again.
    GaveUp {
        /// The HTTP status, if there was an answer.
        status: Option<u16>,
        /// Why.
        detail: String,
    },
}

/// Where a webhook stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutboxState {
    /// It waits for a transfer's outcome.
    Held,
    /// It is to be sent.
    Pending,
    /// The receiver has it.
    Delivered,
    /// It is not tried again.
    GaveUp,
    /// It was not needed.
    Cancelled,
}

impl OutboxState {
    /// The state's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::GaveUp => "gave_up",
            Self::Cancelled => "cancelled",
        }
    }

    fn of(name: &str) -> Option<Self> {
        [Self::Held, Self::Pending, Self::Delivered, Self::GaveUp, Self::Cancelled]
            .into_iter()
            .find(|state| state.name() == name)
    }
}

/// A webhook as the outbox has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// Where it stands.
    pub state: OutboxState,
    /// How many attempts were begun.
    pub attempts: u32,
    /// When it is due, Unix time in ms.
    pub due_ms: u64,
    /// Until when a process has it, Unix time in ms.
    pub claimed_until_ms: Option<u64>,
    /// The last answer's HTTP status.
    pub last_status: Option<u16>,
    /// Why the last attempt did not work.
    pub last_error: Option<String>,
    /// When it was delivered, given up or cancelled, Unix time in ms.
    pub settled_ms: Option<u64>,
    /// What is sent.
    pub body: String,
}

impl OutboxRow {
    /// When an attempt may begin, Unix time in ms.
    #[must_use]
    pub fn next_ms(&self) -> u64 {
        self.due_ms.max(self.claimed_until_ms.unwrap_or(0))
    }
}

/// A row of `outbox`, in the order of [`OutboxRow`].
type StatusRow = (String, i64, i64, Option<i64>, Option<i64>, Option<String>, Option<i64>, String);

/// A row that is due: `alert_id, url, detail, allow, timeout_ms, body, attempts`.
type DueRow = (String, String, String, String, i64, String, i64);

/// Which rows [`Store::readmit`] changes.
macro_rules! readmitted {
    () => {
        "url = ?1 AND allow <> ?2 AND (state IN ('held', 'pending') \
         OR (state = 'gave_up' AND last_status IS NULL AND attempts < ?3 AND created_ms >= ?4))"
    };
}

impl Store {
    /// Claims one webhook for an attempt, if it is due and no other process has it.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn claim(&self, alert_id: &AlertId, now_ms: u64) -> Result<Option<Claim>, StoreError> {
        Ok(self.claim_rows(Some(alert_id), 1, now_ms, now_ms).await?.pop())
    }

    /// Claims up to `limit` webhooks that were due by `due_by_ms`, those that are overdue longest first.
    ///
    /// A row that cannot be sent because someone changed it from outside is given up, so that it holds up no other.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn claim_due(&self, limit: u32, due_by_ms: u64, now_ms: u64) -> Result<Vec<Claim>, StoreError> {
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
        tx: &mut Transaction<'_, Sqlite>,
        (alert_id, url, detail, allow, timeout_ms, body, attempts): DueRow,
        now_ms: u64,
    ) -> Result<Option<Claim>, StoreError> {
        let outgoing = match Outgoing::from_texts(&url, &detail, &allow, uint(timeout_ms)) {
            Ok(outgoing) => outgoing,
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
        let until_ms = now_ms.saturating_add(outgoing.timeout_ms).saturating_add(LEASE_SLACK_MS);
        let attempt = attempts.saturating_add(1);
        let statement =
            sqlx::query("UPDATE outbox SET state = 'pending', attempts = ?, claimed_until_ms = ? WHERE alert_id = ?")
                .bind(attempt)
                .bind(int(until_ms))
                .bind(&alert_id);
        self.execute(tx, statement).await?;
        Ok(Some(Claim { alert_id: AlertId::from(alert_id), outgoing, body, attempt: count(attempt), until_ms }))
    }

    /// Notes what came of an attempt, and gives the claim back.
    ///
    /// A delivery counts whoever made it. Otherwise a process that lost its claim meanwhile (its attempt is not the
    /// last one) changes nothing; `false` says so.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn attempted(&self, claim: &Claim, result: &Attempted, now_ms: u64) -> Result<bool, StoreError> {
        let (state, due_ms, status, error) = match result {
            Attempted::Delivered { status } => (OutboxState::Delivered, None, Some(*status), None),
            Attempted::Retry { at_ms, status, detail } => {
                (OutboxState::Pending, Some(int(*at_ms)), *status, Some(detail))
            }
            Attempted::GaveUp { status, detail } => (OutboxState::GaveUp, None, *status, Some(detail)),
        };
        let delivered = state == OutboxState::Delivered;
        let mut conn = self.conn().await?;
        let statement = sqlx::query(
            "UPDATE outbox SET state = ?1, due_ms = ifnull(?2, due_ms), last_status = ?3, last_error = ?4, \
             settled_ms = ?5, claimed_until_ms = NULL \
             WHERE alert_id = ?6 AND ((state = 'pending' AND attempts = ?7) OR (?8 AND state IN ('pending', 'gave_up')))",
        )
        .bind(state.name())
        .bind(due_ms)
        .bind(status.map(i64::from))
        .bind(error)
        .bind((state != OutboxState::Pending).then(|| int(now_ms)))
        .bind(claim.alert_id.as_str())
        .bind(i64::from(claim.attempt))
        .bind(delivered);
        let changed = self.execute(&mut conn, statement).await?;
        Ok(changed > 0)
    }

    /// Lets the webhooks to `outgoing`'s URL go by its allow-list, where they have another one: those that are still to
    /// be sent, and, at once, those that were decided since `since_ms` and given up without an answer before their
    /// attempt `last_attempt`, as those are that were refused. Returns how many there were.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn readmit(
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

    /// Where an alert's webhook stands, if it has one.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn webhook(&self, alert_id: &AlertId) -> Result<Option<OutboxRow>, StoreError> {
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

    /// How many webhooks are still to be sent, held ones included.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn pending_count(&self) -> Result<u64, StoreError> {
        let mut conn = self.conn().await?;
        let pending: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox WHERE state IN ('held', 'pending')")
            .fetch_one(&mut *conn)
            .await
            .map_err(|error| self.failed(&error))?;
        Ok(uint(pending))
    }

    /// When the next attempt may begin, Unix time in ms; none when nothing is to be sent.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn next_due(&self) -> Result<Option<u64>, StoreError> {
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
