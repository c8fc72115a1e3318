//! What people ask of a store, and what they tell it, as [`Store`] answers.

use super::review::{
    AlertFilter, Attempt, AuditLine, Audited, Claimed, Concern, Forgotten, Kept, LabelledCall, ListedAlert, Rates,
    Resent, Said, SaidVerdict,
};
use super::{Backend, Store, StoreError, StoredSession};
use crate::alert::AlertId;
use crate::alert::outgoing::Outgoing;

impl Store {
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

    /// Keeps what somebody says of an alert, in place of what was said before, and notes that `who` did. Whether the alert is
    /// there.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn say(&self, alert_id: &AlertId, said: &SaidVerdict, who: &str) -> Result<bool, StoreError> {
        Ok(self.say_knowing(alert_id, said, None, who).await? == Said::Kept)
    }

    /// The same by somebody who knows what was said at `known_ms` (0: that nobody had said anything): it takes the place of
    /// nothing else.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn say_knowing(
        &self,
        alert_id: &AlertId,
        said: &SaidVerdict,
        known_ms: Option<u64>,
        who: &str,
    ) -> Result<Said, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.say(alert_id, said, known_ms, who).await,
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
    /// `delivered_too`), and queues it for those places of `outgoing` that it was not queued for. What was cancelled tells the
    /// outcome then. Where a call's end was told, it is told again behind what is sent again.
    ///
    /// What is being attempted at this moment is left alone, and so is what waits for a transfer's outcome: sent now, it would
    /// not tell of a transfer that fails. Where anything is due by that, it is noted that `who` did it.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn resend(
        &self,
        alert_id: &AlertId,
        outgoing: &[Outgoing],
        delivered_too: bool,
        who: &str,
        now_ms: u64,
    ) -> Result<Resent, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.resend(alert_id, outgoing, delivered_too, who, now_ms).await,
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

    /// Gives an alert to somebody to look after, unless somebody has it, and notes that. Returns who has it; none where there is no
    /// such alert.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn take(&self, alert_id: &AlertId, by: &str, now_ms: u64) -> Result<Option<Claimed>, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.take(alert_id, by, now_ms).await,
        }
    }

    /// Gives an alert that somebody looks after to somebody else, and notes that. Returns who has it; none where nobody has, or there is no such
    /// alert.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn take_over(
        &self,
        alert_id: &AlertId,
        from: &str,
        by: &str,
        now_ms: u64,
    ) -> Result<Option<Claimed>, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.take_over(alert_id, from, by, now_ms).await,
        }
    }

    /// Takes an alert back from somebody who has it, and notes that. Whether they had.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn let_go(&self, alert_id: &AlertId, by: &str, now_ms: u64) -> Result<bool, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.let_go(alert_id, by, now_ms).await,
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

    /// Notes that somebody did something; what changes an alert notes it by itself. It is forgotten with the alert or the caller that it concerns, and otherwise when
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

    /// What was done since then, the latest first, at most so much.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn audit_log(&self, since_ms: u64, limit: u32) -> Result<Vec<AuditLine>, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.audit_log(since_ms, limit).await,
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

    /// The call of an alert; none where its session has had another one since.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn session_of(&self, alert_id: &AlertId) -> Result<Option<StoredSession>, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.session_of(alert_id).await,
        }
    }

    /// What was said in the call of an alert, where that was kept, and its session has had no other call since.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn transcript(&self, alert_id: &AlertId) -> Result<Option<Kept>, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.transcript(alert_id).await,
        }
    }
}
