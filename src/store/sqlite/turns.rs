//! Whose turn it is at places that take one message every so often.

use std::collections::HashMap;

use sqlx::{AssertSqlSafe, Sqlite, SqliteConnection, Transaction};

use super::outbox::table;
use super::{SqliteStore, int, uint};
use crate::store::StoreError;
use crate::store::rows::Due;
use crate::store::turn::{FORGOTTEN_MS, Turn};

impl SqliteStore {
    /// Takes the next turn at a place where one has to, if it is soon.
    pub(super) async fn turn(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        due: &Due,
        now_ms: u64,
    ) -> Result<Turn, StoreError> {
        let Some((place, gap_ms)) = due.turns() else { return Ok(Turn::Taken(now_ms)) };
        let free: Option<(i64, i64)> = sqlx::query_as("SELECT free_ms, noted_ms FROM turns WHERE place = ?")
            .bind(&place)
            .fetch_optional(&mut **tx)
            .await
            .map_err(|error| self.failed(&error))?;
        if free.is_none() {
            self.forget_turns(tx, now_ms).await?;
        }
        let turn = Turn::next(free.map(|(free, noted)| (uint(free), uint(noted))), now_ms);
        if let Turn::Taken(begin_ms) = turn {
            let statement = sqlx::query(
                "INSERT INTO turns (place, free_ms, noted_ms) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET \
                 free_ms = excluded.free_ms, noted_ms = excluded.noted_ms",
            )
            .bind(&place)
            .bind(int(begin_ms.saturating_add(gap_ms)))
            .bind(int(now_ms));
            self.execute(tx, statement).await?;
        }
        Ok(turn)
    }

    /// Forgets places where nobody waits.
    pub(super) async fn forget_turns(&self, conn: &mut SqliteConnection, now_ms: u64) -> Result<(), StoreError> {
        let statement = sqlx::query("DELETE FROM turns WHERE noted_ms < ? OR noted_ms > ?")
            .bind(int(now_ms.saturating_sub(FORGOTTEN_MS)))
            .bind(int(now_ms.saturating_add(FORGOTTEN_MS)));
        self.execute(conn, statement).await?;
        Ok(())
    }

    /// Has a row wait that others are before, behind those that wait with it.
    pub(super) async fn put_off(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        due: &Due,
        later: &mut HashMap<String, u64>,
        at_ms: u64,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let Some((place, gap_ms)) = due.turns() else { return Ok(()) };
        let next_ms = later.entry(place).or_insert(at_ms);
        let text = format!(
            "UPDATE {} SET turn_ms = ?, noted_ms = ? WHERE alert_id = ? AND target = ? AND event = ?",
            table(&due.target)
        );
        let statement = sqlx::query(AssertSqlSafe(text))
            .bind(int(*next_ms))
            .bind(int(now_ms))
            .bind(due.alert_id.as_str())
            .bind(&due.target)
            .bind(&due.event);
        *next_ms = next_ms.saturating_add(gap_ms);
        self.execute(tx, statement).await?;
        Ok(())
    }
}
