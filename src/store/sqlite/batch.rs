//! Several changes in one transaction: what a durable write costs is waiting for the disk, and they wait together.

use sqlx::{Sqlite, Transaction};

use super::SqliteStore;
use super::sessions::{Ended, Keep};
use crate::alert::record::StoreResult;
use crate::store::rows::Change;
use crate::store::{StoreError, StoreProblem};

impl SqliteStore {
    pub(in crate::store) async fn apply(
        &self,
        changes: &[Change],
        now_ms: u64,
    ) -> Vec<Result<StoreResult, StoreError>> {
        let error = match self.together(changes, now_ms).await {
            Ok(results) => return results.into_iter().map(Ok).collect(),
            Err(error) => error,
        };
        // What is wrong with one of them is its own affair; where the store is, none would fare better alone.
        if changes.len() <= 1 || !matches!(error.problem, StoreProblem::BadRow { .. } | StoreProblem::Failed { .. }) {
            return changes.iter().map(|_| Err(error.clone())).collect();
        }
        let mut results = Vec::with_capacity(changes.len());
        for change in changes {
            let alone = self.together(std::slice::from_ref(change), now_ms).await;
            results.push(alone.map(|results| results.into_iter().next().unwrap_or(StoreResult::Written)));
        }
        results
    }

    /// All or none.
    async fn together(&self, changes: &[Change], now_ms: u64) -> Result<Vec<StoreResult>, StoreError> {
        let mut conn = self.conn().await?;
        let mut tx = self.begin(&mut conn).await?;
        let mut results = Vec::with_capacity(changes.len());
        for change in changes {
            results.push(self.change(&mut tx, change, now_ms).await?);
        }
        tx.commit().await.map_err(|error| self.failed(&error))?;
        Ok(results)
    }

    async fn change(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        change: &Change,
        now_ms: u64,
    ) -> Result<StoreResult, StoreError> {
        match change {
            Change::Alert { write, outgoing } => return self.write_in(tx, write, outgoing, now_ms).await,
            Change::Told { alert, outgoing, status } => self.told_in(tx, alert, outgoing, *status, now_ms).await?,
            Change::SessionStarted { session_id, room_name, caller } => {
                self.session_started_in(tx, session_id, room_name, caller.as_deref(), now_ms).await?;
            }
            Change::SessionEnded { session_id, room_name, caller, reason, turns, escalated, left } => {
                let (caller, turns, escalated) = (caller.as_deref(), *turns, *escalated);
                let ended = Ended { session_id, room_name, caller, reason, turns, escalated };
                self.session_ended_in(tx, ended, now_ms).await?;
                self.resolve_in(tx, session_id, room_name, *left, now_ms).await?;
            }
            Change::Transcript { session_id, room_name, caller, recording, course } => {
                let kept = Keep { session_id, room_name, caller: caller.as_deref(), recording, course };
                self.keep_transcript_in(tx, kept, now_ms).await?;
            }
            Change::SessionOver { session_id, room_name } => self.session_over_in(tx, session_id, room_name).await?,
        }
        Ok(StoreResult::Written)
    }
}
