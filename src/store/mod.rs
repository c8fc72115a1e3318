//! The durable store: sessions, alerts, flags and the outbox, shared by all processes of a host.
//!
//! [`Store`] is what the rest of the program knows, and its documentation is what a backend keeps: what is said to be
//! written is durable when the method returns, and processes that share a store never see half of a write. What is stored
//! is in `rows.rs`, with every rule that holds whatever keeps it; what people ask and tell is in `desk.rs`, and what processes tell
//! of calls in progress in `teller.rs`. `sqlite/` is the one backend, and the only place that
//! knows SQL.
//!
//! Another backend is a folder beside it, a scheme of [`StoreUrl`], and a variant of `Backend` with the methods of
//! [`Store`]; `behaviour.rs` has the tests that it must pass, all of them by one line.

#[cfg(test)]
mod behaviour;
#[cfg(test)]
mod behaviour_calls;
#[cfg(test)]
mod behaviour_live;
#[cfg(test)]
mod behaviour_resend;
#[cfg(test)]
mod behaviour_review;
#[cfg(test)]
mod behaviour_turns;
pub mod course;
mod desk;
mod error;
pub mod live;
pub mod review;
mod rows;
mod sqlite;
mod teller;
mod turn;
mod url;
pub mod whole;

pub use self::error::{StoreError, StoreProblem};
use self::live::{BoardRow, LiveTurn, Standing};
pub use self::rows::{
    Attempted, Change, Claim, LEASE_SLACK_MS, Left, Needs, OutboxRow, OutboxState, Parcel, Reach, StoredAlert,
    StoredSession,
};
use self::sqlite::SqliteStore;
pub use self::teller::Live;
use self::teller::LiveBackend;
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
    /// A new alert flags its session and queues what goes to each place as planned (a shadow alert queues nothing). An
    /// alert that is there already is left as it is, and its outcome told. An outcome settles what is held: it is
    /// released now, telling the outcome; cancelled; or kept. What was attempted once is not changed.
    /// An outcome whose alert could not be written at the time writes both.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written; then nothing was.
    pub async fn write(
        &self,
        write: &StoreWrite,
        outgoing: &[Outgoing],
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

    /// Claims what goes of an alert to one place (nothing: the webhook) for an attempt, if it is due, within reach, and no
    /// other process has it.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn claim(
        &self,
        alert_id: &AlertId,
        target: &str,
        reach: &Reach,
        now_ms: u64,
    ) -> Result<Option<Claim>, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.claim(alert_id, target, reach, now_ms).await,
        }
    }

    /// Claims up to `limit` rows within reach that were due by `due_by_ms` or, where nobody attempted them yet, are due now, those
    /// that are overdue longest first.
    ///
    /// At a place that takes one message every so often ([`NotifyFormat::gap_ms`]) a claim begins when it is its turn, within
    /// seconds; what would have to wait longer is claimed later, and stays due.
    ///
    /// [`NotifyFormat::gap_ms`]: crate::config::targets::NotifyFormat::gap_ms
    ///
    /// A row that cannot be sent because someone changed it from outside is given up, so that it holds up no other.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn claim_due(
        &self,
        limit: u32,
        reach: &Reach,
        due_by_ms: u64,
        now_ms: u64,
    ) -> Result<Vec<Claim>, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.claim_due(limit, reach, due_by_ms, now_ms).await,
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

    /// Lets what goes to `outgoing`'s place go by its allow-list, where they have another one: those that are still to
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
        Ok(self.notices(alert_id).await?.into_iter().find(|row| row.target.is_empty()))
    }

    /// Where all that is sent of an alert stands, the webhook first.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn notices(&self, alert_id: &AlertId) -> Result<Vec<OutboxRow>, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.notices(alert_id).await,
        }
    }

    /// How much is still to be sent, what is held included.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn pending_count(&self) -> Result<u64, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.pending_count().await,
        }
    }

    /// What is needed to send all of that, or what of it is of one alert.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn needs(&self, only: Option<&AlertId>) -> Result<Needs, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.needs(only).await,
        }
    }

    /// When the next attempt within reach may begin, Unix time in ms; none when nothing is to be sent.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn next_due(&self, reach: &Reach, now_ms: u64) -> Result<Option<u64>, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.next_due(reach, now_ms).await,
        }
    }

    /// When it may be the next turn of what [`Store::claim_due`] would claim but for that it waits for its turn, Unix time in ms.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn next_turn(&self, reach: &Reach, due_by_ms: u64, now_ms: u64) -> Result<Option<u64>, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.next_turn(reach, due_by_ms, now_ms).await,
        }
    }

    /// What tells of this process's calls in progress, until it leaves.
    #[must_use]
    pub fn live(&self) -> Live {
        // Nobody else draws the same: processes of a host differ in their number, and those that had it before in the rest.
        let host = format!("{}-{:016x}", std::process::id(), fastrand::u64(..));
        match &self.0 {
            Backend::Sqlite(store) => Live(LiveBackend::Sqlite(store.live(host))),
        }
    }

    /// Where all calls in progress stand, those first that need somebody. Whose process was killed is there for a quarter of an
    /// hour.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn standings(&self, now_ms: u64) -> Result<Vec<Standing>, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.standings(now_ms).await,
        }
    }

    /// Those of these calls that are still in progress, in their order, with all that is shown of them.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn in_progress(&self, wanted: &[&Standing]) -> Result<Vec<BoardRow>, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.in_progress(wanted).await,
        }
    }

    /// All calls in progress, with all that is shown of them.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn board(&self, now_ms: u64) -> Result<Vec<BoardRow>, StoreError> {
        let standings = self.standings(now_ms).await?;
        self.in_progress(&standings.iter().collect::<Vec<_>>()).await
    }

    /// The caller's last turns in a call in progress; none where words are not kept, and once it is over.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn last_turns(&self, room_name: &str, session_id: &str) -> Result<Vec<LiveTurn>, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.last_turns(room_name, session_id).await,
        }
    }
}
