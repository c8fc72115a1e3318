//! Calls in progress: what a process tells of its own ([`LiveWriter`]), and the board of all. Nobody waits for the disk, so
//! that no turn costs a call what an alert costs.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use sqlx::{Connection, SqliteConnection};

use super::live_file::LiveFile;
use super::live_reader::forget_silent;
use super::{SqliteStore, int, uint};
use crate::alert::about::About;
use crate::store::StoreError;
use crate::store::live::{BEAT_MS, BoardRow, Brief, FORGOTTEN_MS, LiveCall, LiveChange, LiveTurn, Standing};
use crate::store::review::Claimed;

/// Whether the board was last read with a row that could not be, so that a board that is looked at all day says it once.
static UNREADABLE: AtomicBool = AtomicBool::new(false);

/// What one process tells of its calls.
#[derive(Debug)]
pub(in crate::store) struct LiveWriter {
    file: LiveFile,
    host: String,
    /// Opened by the first write, and anew after one that failed.
    conn: Option<SqliteConnection>,
    /// When it last gave a sign of life.
    beat_ms: Option<u64>,
    /// Whether anything of this process may be in the file.
    told: bool,
    /// The rooms and sessions of which a row may be.
    calls: HashSet<(String, String)>,
}

impl LiveWriter {
    pub(in crate::store) async fn tell(&mut self, changes: &[LiveChange], now_ms: u64) -> Result<(), StoreError> {
        // What an earlier connection told may be gone with its file.
        let beats = self.conn.is_none() || self.beat_ms.is_none_or(|last| now_ms.abs_diff(last) >= BEAT_MS / 2);
        if changes.is_empty() && !beats {
            return Ok(());
        }
        let mut conn = self.conn().await?;
        self.told = true;
        for change in changes {
            let (room, session) = change.of();
            self.calls.insert((room.to_owned(), session.to_owned()));
        }
        let told = tell(&mut conn, &self.host, changes, beats.then_some(now_ms)).await;
        told.map_err(|error| self.file.error(&error))?;
        self.conn = Some(conn);
        if beats {
            self.beat_ms = Some(now_ms);
        }
        for change in changes.iter().filter(|change| matches!(change, LiveChange::Over { .. })) {
            let (room, session) = change.of();
            self.calls.remove(&(room.to_owned(), session.to_owned()));
        }
        Ok(())
    }

    /// The connection, which is put back once what it was taken for is done.
    async fn conn(&mut self) -> Result<SqliteConnection, StoreError> {
        match self.conn.take() {
            Some(conn) => Ok(conn),
            None => self.file.connect().await,
        }
    }

    pub(in crate::store) async fn leave(mut self) -> Result<(), StoreError> {
        // One that never told anything left nothing. After a write that failed there is no connection, and yet rows.
        if !self.told {
            return Ok(());
        }
        let mut conn = self.conn().await?;
        let Self { file, host, calls, .. } = self;
        let left = async {
            let mut tx = conn.begin_with("BEGIN IMMEDIATE").await?;
            for (room_name, session_id) in &calls {
                over(&mut tx, &host, room_name, session_id).await?;
            }
            sqlx::query("DELETE FROM hosts WHERE host = ?").bind(&host).execute(&mut *tx).await?;
            tx.commit().await?;
            // The last process to do so leaves nothing of what callers said in the side file either.
            conn.close().await
        };
        left.await.map_err(|error| file.error(&error))
    }
}

/// Writes what a process tells, with a sign of life at this time if one is due.
async fn tell(
    conn: &mut SqliteConnection,
    host: &str,
    changes: &[LiveChange],
    beat_ms: Option<u64>,
) -> Result<(), sqlx::Error> {
    let stands: Vec<&LiveCall> = changes.iter().filter_map(LiveChange::stands).collect();
    // How calls stand is all that there is most often, and one statement, which is a transaction by itself.
    if stands.len() == changes.len() && beat_ms.is_none() {
        return tell_standing(conn, host, &stands).await;
    }
    let mut tx = conn.begin_with("BEGIN IMMEDIATE").await?;
    if let Some(now_ms) = beat_ms {
        beat(&mut tx, host, now_ms).await?;
        // With each beat, as a process may run for months. After its own, so that it never forgets itself.
        forget_silent(&mut tx, now_ms).await?;
    }
    tell_standing(&mut tx, host, &stands).await?;
    for one in changes {
        if let LiveChange::Over { session_id, room_name } = one {
            over(&mut tx, host, room_name, session_id).await?;
        }
    }
    tx.commit().await
}

async fn beat(conn: &mut SqliteConnection, host: &str, now_ms: u64) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO hosts (host, seen_ms) VALUES (?, ?) ON CONFLICT DO UPDATE SET seen_ms = excluded.seen_ms")
        .bind(host)
        .bind(int(now_ms))
        .execute(conn)
        .await?;
    Ok(())
}

/// A row of a call, as the database takes many of them at once.
#[derive(Serialize)]
struct Row<'a> {
    room: &'a str,
    session: &'a str,
    caller: Option<String>,
    call: String,
    turns: Option<String>,
}

impl<'a> Row<'a> {
    fn of(call: &'a LiveCall) -> serde_json::Result<Self> {
        let number = call.caller.as_ref().and_then(|caller| caller.number.as_deref());
        let turns = (!call.last_turns.is_empty()).then(|| serde_json::to_string(&call.last_turns)).transpose()?;
        Ok(Self {
            room: &call.room_name,
            session: &call.session_id,
            caller: number.map(About::key),
            call: serde_json::to_string(call)?,
            turns,
        })
    }
}

/// Writes how calls stand in one statement: asking the database costs more than what it is asked to do.
async fn tell_standing(conn: &mut SqliteConnection, host: &str, calls: &[&LiveCall]) -> Result<(), sqlx::Error> {
    if calls.is_empty() {
        return Ok(());
    }
    let rows: serde_json::Result<Vec<Row<'_>>> = calls.iter().map(|call| Row::of(call)).collect();
    let rows = rows.and_then(|rows| serde_json::to_string(&rows));
    // `WHERE true` tells the upsert's ON from a join's.
    sqlx::query(
        "INSERT INTO calls (room_name, session_id, host, caller, call, turns) \
         SELECT value->>'room', value->>'session', ?, value->>'caller', value->>'call', value->>'turns' \
         FROM json_each(?) WHERE true \
         ON CONFLICT DO UPDATE SET host = excluded.host, caller = excluded.caller, call = excluded.call, \
         turns = excluded.turns",
    )
    .bind(host)
    .bind(rows.map_err(|error| sqlx::Error::Encode(Box::new(error)))?)
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes a call back, unless a process that took it over goes on with a row of its own.
async fn over(conn: &mut SqliteConnection, host: &str, room_name: &str, session_id: &str) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM calls WHERE room_name = ? AND session_id = ? AND host = ?")
        .bind(room_name)
        .bind(session_id)
        .bind(host)
        .execute(conn)
        .await?;
    Ok(())
}

impl SqliteStore {
    /// What tells of this process's calls.
    pub(in crate::store) fn live(&self, host: String) -> LiveWriter {
        let file = LiveFile::of_store(self.path());
        LiveWriter { file, host, conn: None, beat_ms: None, told: false, calls: HashSet::new() }
    }

    pub(in crate::store) async fn standings(&self, now_ms: u64) -> Result<Vec<Standing>, StoreError> {
        let told = self.inner.live.briefs(now_ms.saturating_sub(FORGOTTEN_MS)).await?;
        let mut unreadable = None;
        let mut briefs: Vec<(Brief, u64)> = Vec::with_capacity(told.len());
        for (room_name, session_id, text, seen) in told {
            // One that a newer version wrote, say, hides none of the others.
            match Brief::read(room_name, session_id, text.as_deref().unwrap_or_default()) {
                Ok(brief) => briefs.push((brief, uint(seen))),
                Err(error) => unreadable = Some(error),
            }
        }
        self.left_out(unreadable);
        let alerts = briefs.iter().filter_map(|(brief, _)| Some(brief.alert.as_ref()?.id.as_str())).collect();
        let mut claims = self.claims(alerts).await?;
        let standing = |(brief, seen_ms): (Brief, u64)| {
            let claimed = brief.alert.as_ref().and_then(|alert| claims.remove(alert.id.as_str()));
            Standing::new(brief, seen_ms, claimed, now_ms)
        };
        let mut standings: Vec<Standing> = briefs.into_iter().map(standing).collect();
        standings.sort_by(|one, other| one.place().cmp(&other.place()));
        Ok(standings)
    }

    pub(in crate::store) async fn in_progress(&self, wanted: &[&Standing]) -> Result<Vec<BoardRow>, StoreError> {
        let keys = wanted.iter().map(|standing| [&*standing.brief.room_name, &*standing.brief.session_id]);
        let keys = serde_json::to_string(&keys.collect::<Vec<_>>()).map_err(|error| self.bad_row("calls", error))?;
        let mut told = self.inner.live.calls(&keys).await?;
        told.sort_unstable_by_key(|(at, _)| *at);
        let mut rows = Vec::with_capacity(told.len());
        for (at, text) in told {
            let Some(standing) = usize::try_from(at).ok().and_then(|at| wanted.get(at)) else { continue };
            match serde_json::from_str(&text) {
                Ok(call) => rows.push(standing.with(call)),
                Err(error) => tracing::debug!(%error, "a call in progress cannot be read"),
            }
        }
        Ok(rows)
    }

    /// Says, once, that there are calls that the board leaves out.
    fn left_out(&self, unreadable: Option<serde_json::Error>) {
        let was_unreadable = UNREADABLE.swap(unreadable.is_some(), Ordering::Relaxed);
        if let Some(error) = unreadable.filter(|_| !was_unreadable) {
            let error = self.bad_row("call in progress", error);
            tracing::warn!(%error, "the board leaves out calls that it cannot read");
        }
    }

    pub(in crate::store) async fn last_turns(
        &self,
        room_name: &str,
        session_id: &str,
    ) -> Result<Vec<LiveTurn>, StoreError> {
        let turns = self.inner.live.turns(room_name, session_id).await?;
        let turns = turns.as_deref().map(serde_json::from_str).transpose();
        Ok(turns.map_err(|error| self.bad_row("turns of a call in progress", error))?.unwrap_or_default())
    }

    /// Who looks after which of these alerts.
    async fn claims(&self, alerts: Vec<&str>) -> Result<HashMap<String, Claimed>, StoreError> {
        if alerts.is_empty() {
            return Ok(HashMap::new());
        }
        let alerts = serde_json::Value::from(alerts).to_string();
        let rows: Vec<(String, String, i64)> = sqlx::query_as(CLAIMS)
            .bind(alerts)
            .fetch_all(&mut *self.conn().await?)
            .await
            .map_err(|error| self.failed(&error))?;
        let claim = |(alert_id, by, since)| (alert_id, Claimed { by, since_ms: uint(since) });
        Ok(rows.into_iter().map(claim).collect())
    }
}

/// Claims of the alerts in a JSON list.
pub(super) const CLAIMS: &str = "SELECT alert_id, claimed_by, claimed_ms FROM claims \
     WHERE alert_id IN (SELECT value FROM json_each(?1))";

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use sqlx::ConnectOptions as _;
    use sqlx::sqlite::SqliteConnectOptions;

    use super::*;
    use crate::store::behaviour::NOW;
    use crate::store::live::tests::call;

    fn stands(room: &str) -> [LiveChange; 1] {
        [LiveChange::Stands(Box::new(call(room, NOW)))]
    }

    async fn board(store: &SqliteStore, now_ms: u64) -> Result<Vec<BoardRow>, StoreError> {
        let standings = store.standings(now_ms).await?;
        store.in_progress(&standings.iter().collect::<Vec<_>>()).await
    }

    async fn meddle(store: &SqliteStore, statement: &'static str) {
        let file = format!("{}-live", store.path().display());
        let mut conn = SqliteConnectOptions::new().filename(file).connect().await.unwrap();
        sqlx::raw_sql(statement).execute(&mut conn).await.unwrap();
    }

    #[tokio::test]
    async fn who_leaves_after_a_write_that_failed_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("store.db")).await.unwrap();
        let mut writer = store.live("host".to_owned());
        writer.tell(&stands("a"), NOW).await.unwrap();
        meddle(&store, "ALTER TABLE calls RENAME TO away").await;
        writer.tell(&stands("b"), NOW).await.unwrap_err();
        meddle(&store, "ALTER TABLE away RENAME TO calls").await;
        assert_eq!(board(&store, NOW).await.unwrap().len(), 1);
        writer.leave().await.unwrap();
        assert!(board(&store, NOW).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_row_that_cannot_be_read_hides_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("store.db")).await.unwrap();
        let mut writer = store.live("host".to_owned());
        writer.tell(&stands("a"), NOW).await.unwrap();
        writer.tell(&stands("b"), NOW).await.unwrap();
        meddle(&store, "UPDATE calls SET call = '{}' WHERE room_name = 'a'").await;
        let rows = board(&store, NOW).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.call.room_name.as_str()).collect::<Vec<_>>(), ["b"]);
    }

    #[tokio::test]
    async fn what_a_killed_process_left_goes_with_a_beat_of_another_and_with_prune() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("store.db")).await.unwrap();
        store.live("killed".to_owned()).tell(&stands("a"), NOW).await.unwrap();
        let mut lives = store.live("lives".to_owned());
        lives.tell(&stands("b"), NOW).await.unwrap();
        assert_eq!(board(&store, NOW).await.unwrap().len(), 2);
        // Long silent itself, as on a machine that slept, it keeps what is its own.
        lives.tell(&[], NOW + FORGOTTEN_MS + 1).await.unwrap();
        let rows = board(&store, NOW).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.call.room_name.as_str()).collect::<Vec<_>>(), ["b"]);
        // By the clock of today, NOW is long ago.
        store.prune(NOW).await.unwrap();
        assert!(board(&store, NOW).await.unwrap().is_empty());
    }
}
