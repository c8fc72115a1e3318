//! The one task that tells the board how calls stand ([`Live`]).

use std::collections::HashSet;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant, timeout, timeout_at};

use crate::clock::unix_ms;
use crate::store::live::{BEAT_MS, LiveChange};
use crate::store::{Live as LiveRows, Store};

/// How many changes are taken at once.
const BATCH: usize = 256;
/// How long changes are gathered before they are written, together and the last one of each call. A call that is over by
/// then leaves no trace, and nobody opens the board's file while a call begins.
const GATHER: Duration = Duration::from_millis(500);

/// A way to the task.
#[derive(Debug, Clone)]
pub(super) struct Live(mpsc::UnboundedSender<LiveChange>);

impl Live {
    /// Starts the task. It ends when all ways to it are gone, and takes back what it told.
    pub(super) fn start(store: &Store) -> (Self, JoinHandle<()>) {
        let (changes, queue) = mpsc::unbounded_channel();
        (Self(changes), tokio::spawn(write(store.live(), queue)))
    }

    /// A way to no task.
    pub(super) fn to_nobody() -> Self {
        Self(mpsc::unbounded_channel().0)
    }

    pub(super) fn tell(&self, change: LiveChange) {
        // The task lives as long as there is a way to it, and where there is none nobody wants to hear it.
        drop(self.0.send(change));
    }
}

async fn write(rows: LiveRows, mut queue: mpsc::UnboundedReceiver<LiveChange>) {
    let mut board = Board { rows, changes: Vec::new(), works: true };
    // Nobody has a sign of life to give before there was a call.
    let mut wait = Duration::MAX;
    loop {
        match timeout(wait, queue.recv_many(&mut board.changes, BATCH)).await {
            Ok(0) => break,
            Ok(_) => {
                if !gather(&mut queue, &mut board.changes).await {
                    break;
                }
            }
            Err(_) => {}
        }
        wait = Duration::from_millis(BEAT_MS);
        board.write().await;
    }
    if let Err(error) = board.rows.leave().await {
        tracing::debug!(%error, "the board keeps calls of this process for a while");
    }
}

/// Takes what comes within [`GATHER`]; whether more may come.
async fn gather(queue: &mut mpsc::UnboundedReceiver<LiveChange>, changes: &mut Vec<LiveChange>) -> bool {
    let until = Instant::now() + GATHER;
    loop {
        match timeout_at(until, queue.recv_many(changes, BATCH)).await {
            Ok(0) => return false,
            Ok(_) => {}
            Err(_) => return true,
        }
    }
}

/// What the board is to be told.
struct Board {
    rows: LiveRows,
    changes: Vec<LiveChange>,
    /// Whether the last write did.
    works: bool,
}

impl Board {
    /// Writes what is to be told, with a sign of life. What could not be written stays, before what comes next: a call whose
    /// end is lost would stay on the board as long as this process lives.
    async fn write(&mut self) {
        let kept = latest(&mut self.changes);
        let result = self.rows.tell(&kept, unix_ms()).await;
        match &result {
            // A board that stands still harms no call, and says itself that calls are silent.
            Err(error) if self.works => tracing::warn!(%error, "the board is not told how calls stand"),
            _ => {}
        }
        self.works = result.is_ok();
        if !self.works {
            self.changes = kept;
        }
    }
}

/// The last change of each call, in their order.
fn latest(changes: &mut Vec<LiveChange>) -> Vec<LiveChange> {
    let mut seen = HashSet::new();
    let mut kept: Vec<LiveChange> = Vec::new();
    for change in changes.drain(..).rev() {
        let (room, session) = change.of();
        if seen.insert((room.to_owned(), session.to_owned())) {
            kept.push(change);
        }
    }
    kept.reverse();
    kept
}

#[cfg(test)]
pub(super) mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;
    use crate::store::live::LiveCall;

    /// A way to nobody but the one who listens.
    pub(in crate::runtime) fn heard() -> (Live, mpsc::UnboundedReceiver<LiveChange>) {
        let (changes, queue) = mpsc::unbounded_channel();
        (Live(changes), queue)
    }

    fn stands(room: &str) -> LiveChange {
        let call: LiveCall = serde_json::from_value(serde_json::json!({
            "room_name": room, "session_id": "s", "started_ms": 1, "turns": 0, "ratings": [], "threshold": 3, "window": 3,
            "streak": 0, "low": false, "with_human": false,
        }))
        .unwrap();
        LiveChange::Stands(Box::new(call))
    }

    async fn rooms(store: &Store) -> Vec<String> {
        let rows = store.board(unix_ms()).await.unwrap();
        let mut rooms: Vec<_> = rows.into_iter().map(|row| row.call.room_name).collect();
        rooms.sort();
        rooms
    }

    #[tokio::test]
    async fn what_could_not_be_written_is_written_once_the_board_is_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("store.db");
        let store = Store::open(&file.to_str().unwrap().parse().unwrap()).await.unwrap();
        let mut board = Board { rows: store.live(), changes: Vec::new(), works: true };
        let in_its_place = folder.path().join("store.db-live");
        std::fs::create_dir(&in_its_place).unwrap();
        board.changes.push(stands("a"));
        board.write().await;
        assert!(!board.works, "a folder is no file");
        std::fs::remove_dir(&in_its_place).unwrap();
        board.changes.push(stands("b"));
        board.write().await;
        assert!(board.works && board.changes.is_empty());
        assert_eq!(rooms(&store).await, ["a", "b"]);
        board.rows.leave().await.unwrap();
        assert!(rooms(&store).await.is_empty(), "it takes back what it told");
    }

    #[tokio::test]
    async fn a_call_that_is_over_at_once_touches_nothing_and_another_is_told_soon() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("store.db");
        let store = Store::open(&file.to_str().unwrap().parse().unwrap()).await.unwrap();
        let (live, task) = Live::start(&store);
        live.tell(stands("short"));
        drop(live);
        task.await.unwrap();
        assert!(!folder.path().join("store.db-live").exists());
        let (live, task) = Live::start(&store);
        live.tell(stands("long"));
        while rooms(&store).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(live);
        task.await.unwrap();
        assert!(rooms(&store).await.is_empty(), "it takes back what it told");
    }

    #[test]
    fn of_several_changes_of_a_call_the_last_is_written() {
        let over = |room: &str| LiveChange::Over { session_id: "s".to_owned(), room_name: room.to_owned() };
        let mut changes = vec![over("a"), over("b"), over("a")];
        let kept = latest(&mut changes);
        assert_eq!(kept.iter().map(|change| change.of().0).collect::<Vec<_>>(), ["b", "a"]);
    }
}
