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
#[cfg(test)]
mod behaviour_live;
#[cfg(test)]
mod behaviour_review;
#[cfg(test)]
mod behaviour_turns;
pub mod course;
mod error;
pub mod live;
pub mod review;
mod rows;
mod sqlite;
mod turn;
mod url;
pub mod whole;

pub use self::error::{StoreError, StoreProblem};
use self::live::{BoardRow, LiveChange, LiveTurn};
use self::review::{
    AlertFilter, Attempt, Audited, Claimed, Concern, Forgotten, Kept, LabelledCall, ListedAlert, Rates, SaidVerdict,
};
pub use self::rows::{
    Attempted, Change, Claim, LEASE_SLACK_MS, Needs, OutboxRow, OutboxState, Parcel, Reach, StoredAlert, StoredSession,
};
use self::sqlite::{LiveWriter, SqliteStore};
use self::url::Place;
pub use self::url::{NotAStore, StoreUrl};
use crate::alert::outgoing::Outgoing;
use crate::alert::record::{StoreResult, StoreWrite};
use crate::alert::{Alert, AlertId};

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

    /// What is needed to send all of that.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn needs(&self) -> Result<Needs, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.needs().await,
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

    /// Up to `limit` alerts that a filter lets through, the latest first.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn alerts(&self, filter: &AlertFilter, limit: u32) -> Result<Vec<ListedAlert>, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.alerts(filter, limit).await,
        }
    }

    /// The ids of alerts that begin so; two of them where there are more.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn find(&self, beginning: &str) -> Result<Vec<AlertId>, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.find(beginning).await,
        }
    }

    /// What somebody said of an alert, if anybody did.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn verdict(&self, alert_id: &AlertId) -> Result<Option<SaidVerdict>, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.verdict(alert_id).await,
        }
    }

    /// Keeps what somebody says of an alert, in place of what was said before. Whether the alert is there.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn say(&self, alert_id: &AlertId, said: &SaidVerdict) -> Result<bool, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.say(alert_id, said).await,
        }
    }

    /// Every attempt to tell somebody of an alert, first one first.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn attempts(&self, alert_id: &AlertId) -> Result<Vec<Attempt>, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.attempts(alert_id).await,
        }
    }

    /// Makes due at once, by a schedule that begins anew, what of an alert was not delivered (and what was, if
    /// `delivered_too`), and queues it for those places of `outgoing` that it was not queued for. What is being attempted
    /// at this moment is left alone. Returns how much is due.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn resend(
        &self,
        alert: &Alert,
        outgoing: &[Outgoing],
        delivered_too: bool,
        now_ms: u64,
    ) -> Result<u64, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.resend(alert, outgoing, delivered_too, now_ms).await,
        }
    }

    /// Calls since then of whose alerts somebody said something.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn labelled(&self, since_ms: u64) -> Result<Vec<LabelledCall>, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.labelled(since_ms).await,
        }
    }

    /// Forgets alerts that were decided, and calls that ended, before then, with all that belongs to them, undelivered
    /// webhooks included.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn prune(&self, before_ms: u64) -> Result<Forgotten, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.prune(before_ms).await,
        }
    }

    /// Forgets all calls of a caller (a number in any form) and their alerts, with all that belongs to them, so that they
    /// are gone from the file as well. What a version wrote that did not know the caller stays.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn erase(&self, caller: &str) -> Result<Forgotten, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.erase(caller).await,
        }
    }

    /// Gives an alert to somebody to look after, unless somebody has it. Returns who has it; none where there is no such
    /// alert.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn take(&self, alert_id: &AlertId, by: &str, now_ms: u64) -> Result<Option<Claimed>, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.take(alert_id, by, now_ms).await,
        }
    }

    /// Takes an alert back from somebody who has it. Whether they had.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn let_go(&self, alert_id: &AlertId, by: &str) -> Result<bool, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.let_go(alert_id, by).await,
        }
    }

    /// Who looks after an alert.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn claimed(&self, alert_id: &AlertId) -> Result<Option<Claimed>, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.claimed(alert_id).await,
        }
    }

    /// Notes that somebody did something. It is forgotten with the alert or the caller that it concerns, and otherwise when
    /// it is old.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn audit(&self, who: &str, what: &str, concern: Concern<'_>, now_ms: u64) -> Result<(), StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.audit(who, what, concern, now_ms).await,
        }
    }

    /// What was done to an alert, first one first.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn audited(&self, alert_id: &AlertId) -> Result<Vec<Audited>, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.audited(alert_id).await,
        }
    }

    /// How often calls escalated since then and before then.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn rates(&self, since_ms: u64, until_ms: u64) -> Result<Rates, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.rates(since_ms, until_ms).await,
        }
    }

    /// What was said in a call, where that was kept.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn transcript(&self, session_id: &str, room_name: &str) -> Result<Option<Kept>, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.transcript(session_id, room_name).await,
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

    /// All calls in progress, those first that need somebody. Whose process was killed is there for a quarter of an hour.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn board(&self, now_ms: u64) -> Result<Vec<BoardRow>, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.board(now_ms).await,
        }
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

/// What one process tells of its calls in progress, on a way of its own that waits for no disk. Such a call is found on the
/// board until it is over, or until its process has given no sign of life for long.
#[derive(Debug)]
pub struct Live(LiveBackend);

#[derive(Debug)]
enum LiveBackend {
    Sqlite(LiveWriter),
}

impl Live {
    /// Tells of calls, all at once, and gives a sign of life where one is due.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written; then nothing was.
    pub async fn tell(&mut self, changes: &[LiveChange], now_ms: u64) -> Result<(), StoreError> {
        match &mut self.0 {
            LiveBackend::Sqlite(writer) => writer.tell(changes, now_ms).await,
        }
    }

    /// Takes back all that was told.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn leave(self) -> Result<(), StoreError> {
        match self.0 {
            LiveBackend::Sqlite(writer) => writer.leave().await,
        }
    }
}
