//! The durable store: sessions, alerts, flags and the outbox, shared by all processes of a host.
//!
//! [`Store`] is what the rest of the program knows, and its documentation is what a backend keeps: what is said to be
//! written is durable when the method returns, and processes that share a store never see half of a write. What is stored
//! is in `rows.rs`, with every rule that holds whatever keeps it. `sqlite/` is the one backend, and the only place that
//! knows SQL.
//!
//! Another backend is a folder beside it, a scheme of [`StoreUrl`], and a variant of `Backend` with the methods of
//! [`Store`]; `behaviour.rs` has the tests that it must pass, all of them by one line.

#[cfg(test)]
mod behaviour;
mod error;
mod rows;
mod sqlite;
mod url;

pub use self::error::{StoreError, StoreProblem};
pub use self::rows::{Attempted, Change, Claim, LEASE_SLACK_MS, OutboxRow, OutboxState, StoredAlert, StoredSession};
use self::sqlite::SqliteStore;
use self::url::Place;
pub use self::url::{NotAStore, StoreUrl};
use crate::alert::AlertId;
use crate::alert::outgoing::Outgoing;
use crate::alert::record::{StoreResult, StoreWrite};

/// The store of a host. Clones share its one connection, one use at a time: a future of this store that was begun must
/// go on being polled (or be dropped) while another is awaited, or that one never gets its turn.
#[derive(Debug, Clone)]
pub struct Store(Backend);

#[derive(Debug, Clone)]
enum Backend {
    Sqlite(SqliteStore),
}

impl Store {
    /// Opens the store; creates it (file mode 0600, missing folders 0700) and brings its tables up to date.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be opened, created or written, is damaged, is another program's or a newer
    /// version's, or stays locked for 10 s.
    pub async fn open(url: &StoreUrl) -> Result<Self, StoreError> {
        match url.place() {
            Place::Sqlite(path) => SqliteStore::open(path).await.map(Backend::Sqlite).map(Self),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> StoreUrl {
        match &self.0 {
            Backend::Sqlite(store) => StoreUrl::of_file(store.path()),
        }
    }

    /// Closes the connection once its last statement is through. Not needed for durability: what was written is on
    /// disk already.
    pub async fn close(self) {
        match self.0 {
            Backend::Sqlite(store) => store.close().await,
        }
    }

    /// Notes that a call is attended. A process that takes a call over leaves its start as it was.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn session_started(&self, session_id: &str, room_name: &str, now_ms: u64) -> Result<(), StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.session_started(session_id, room_name, now_ms).await,
        }
    }

    /// Notes that a call ended, also when its start could not be noted.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn session_ended(
        &self,
        session_id: &str,
        room_name: &str,
        reason: &str,
        turns: u32,
        escalated: bool,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => {
                store.session_ended(session_id, room_name, reason, turns, escalated, now_ms).await
            }
        }
    }

    /// What is known of a session, if anything.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn session(&self, session_id: &str, room_name: &str) -> Result<Option<StoredSession>, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.session(session_id, room_name).await,
        }
    }

    /// Writes an alert or its outcome, with all that follows from it, in one transaction that is on disk when this returns.
    ///
    /// A transfer that follows takes a place of this hour with it; without one left, the alert is written all the same
    /// ([`StoreResult::AtCap`]).
    ///
    /// A new alert flags its session and queues its webhook as planned (a shadow alert queues none). An alert that is
    /// there already is left as it is, and its outcome told. An outcome settles a webhook that is held: it is
    /// released now, with the body that tells the outcome; cancelled; or kept. What was attempted once is not changed.
    /// An outcome whose alert could not be written at the time writes both.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written; then nothing was.
    pub async fn write(
        &self,
        write: &StoreWrite,
        outgoing: Option<&Outgoing>,
        now_unix_ms: u64,
    ) -> Result<StoreResult, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.write(write, outgoing, now_unix_ms).await,
        }
    }

    /// Makes changes durable together, which costs hardly more than one: what each came to, in their order (of those that are
    /// no alert's, `Written`). One that fails by itself holds up no other.
    pub async fn apply(&self, changes: &[Change], now_ms: u64) -> Vec<Result<StoreResult, StoreError>> {
        match &self.0 {
            Backend::Sqlite(store) => store.apply(changes, now_ms).await,
        }
    }

    /// An alert, if it is there.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn alert(&self, id: &AlertId) -> Result<Option<StoredAlert>, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.alert(id).await,
        }
    }

    /// Claims one webhook for an attempt, if it is due and no other process has it.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn claim(&self, alert_id: &AlertId, now_ms: u64) -> Result<Option<Claim>, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.claim(alert_id, now_ms).await,
        }
    }

    /// Claims up to `limit` webhooks that were due by `due_by_ms`, those that are overdue longest first.
    ///
    /// A row that cannot be sent because someone changed it from outside is given up, so that it holds up no other.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn claim_due(&self, limit: u32, due_by_ms: u64, now_ms: u64) -> Result<Vec<Claim>, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.claim_due(limit, due_by_ms, now_ms).await,
        }
    }

    /// Notes what came of an attempt, and gives the claim back.
    ///
    /// A delivery counts whoever made it. Otherwise a process that lost its claim meanwhile (its attempt is not the
    /// last one) changes nothing; `false` says so.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn attempted(&self, claim: &Claim, result: &Attempted, now_ms: u64) -> Result<bool, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.attempted(claim, result, now_ms).await,
        }
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
        match &self.0 {
            Backend::Sqlite(store) => store.readmit(outgoing, last_attempt, since_ms, now_ms).await,
        }
    }

    /// Where an alert's webhook stands, if it has one.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn webhook(&self, alert_id: &AlertId) -> Result<Option<OutboxRow>, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.webhook(alert_id).await,
        }
    }

    /// How many webhooks are still to be sent, held ones included.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn pending_count(&self) -> Result<u64, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.pending_count().await,
        }
    }

    /// When the next attempt may begin, Unix time in ms; none when nothing is to be sent.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn next_due(&self) -> Result<Option<u64>, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.next_due().await,
        }
    }
}
