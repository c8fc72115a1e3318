//! What all who look at the board share ([`Board`]).

use std::collections::HashMap;
use std::sync::{Arc, Mutex as SyncMutex, PoisonError};
use std::time::{Duration, Instant};

use askama::Template;
use tokio::sync::Mutex;

use super::card::{Card, key};
use super::search::{PAGE, Search};
use crate::clock::unix_ms;
use crate::store::live::BoardRow;
use crate::store::{Store, StoreError};
use crate::web::query::BadField;

/// How old what is shown may be: the board moves so often.
pub(super) const EVERY: Duration = Duration::from_secs(1);

/// All calls in progress at one moment, in their order.
pub(super) struct Snapshot {
    /// When, Unix time in ms.
    pub(super) at_ms: u64,
    pub(super) rows: Vec<BoardRow>,
    /// Parts of it as they are shown: most people look at the same.
    shown: SyncMutex<HashMap<Search, Arc<Shown>>>,
}

/// A part of the board, as it is shown.
pub(super) struct Shown {
    /// What stands above it: how many need somebody.
    pub(super) says: String,
    /// How many calls there are.
    pub(super) count: String,
    /// The calls, by their keys.
    pub(super) cards: Vec<(String, Arc<str>)>,
    /// Which page it is, and how many there are.
    pub(super) page: usize,
    pub(super) pages: usize,
}

/// The board, read from the store at most once in a while.
#[derive(Default)]
pub(in crate::web) struct Board(Mutex<Option<(Instant, Arc<Snapshot>)>>);

impl Board {
    /// How calls stand now, or did a moment ago.
    pub(super) async fn now(&self, store: &Store) -> Result<Arc<Snapshot>, StoreError> {
        let mut kept = self.0.lock().await;
        if let Some((read, snapshot)) = &*kept
            // Whoever comes once a period is to find a new one each time.
            && read.elapsed() < EVERY * 9 / 10
        {
            return Ok(Arc::clone(snapshot));
        }
        let at_ms = unix_ms();
        let rows = store.board(at_ms).await?;
        let snapshot = Arc::new(Snapshot { at_ms, rows, shown: SyncMutex::default() });
        *kept = Some((Instant::now(), Arc::clone(&snapshot)));
        Ok(snapshot)
    }
}

impl Snapshot {
    /// The call of this key.
    pub(super) fn of_key(&self, wanted: &str) -> Option<&BoardRow> {
        self.rows.iter().find(|row| key(row) == wanted)
    }

    /// The calls that are looked for, and among them those of the page.
    pub(super) fn part(&self, search: &Search) -> Result<Part<'_>, BadField> {
        let wanted = search.wanted();
        let found: Vec<&BoardRow> = self.rows.iter().filter(|row| wanted.fits(row)).collect();
        let pages = found.len().div_ceil(PAGE).max(1);
        let page = search.page()?.min(pages);
        let rows = found.iter().skip((page - 1) * PAGE).take(PAGE).copied().collect();
        Ok(Part { found: found.len(), page, pages, rows })
    }

    /// A part as it is shown.
    pub(super) fn shown(&self, search: &Search) -> Result<Arc<Shown>, BadField> {
        let kept = |shown: &SyncMutex<HashMap<_, _>>| {
            shown.lock().unwrap_or_else(PoisonError::into_inner).get(search).cloned()
        };
        if let Some(shown) = kept(&self.shown) {
            return Ok(shown);
        }
        let part = self.part(search)?;
        let shown = Arc::new(Shown {
            says: self.says(),
            count: self.count(&part),
            cards: part.rows.iter().map(|row| self.card(row)).collect(),
            page: part.page,
            pages: part.pages,
        });
        let mut all = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(search.clone(), Arc::clone(&shown));
        Ok(shown)
    }

    fn card(&self, row: &BoardRow) -> (String, Arc<str>) {
        let key = key(row);
        let html = Card::of(row, &key, self.at_ms).render().unwrap_or_else(|error| {
            tracing::error!(%error, "a call could not be shown");
            String::new()
        });
        (key, html.into())
    }

    /// How many need somebody.
    pub(super) fn urgent(&self) -> usize {
        self.rows.iter().filter(|row| row.need.is_urgent()).count()
    }

    fn says(&self) -> String {
        match (self.urgent(), self.rows.len()) {
            (0, 0) => "All quiet: there is no call.".to_owned(),
            (0, _) => "All quiet: no call needs anybody.".to_owned(),
            (1, _) => "1 call needs somebody.".to_owned(),
            (urgent, _) => format!("{urgent} calls need somebody."),
        }
    }

    fn count(&self, part: &Part<'_>) -> String {
        let all = self.rows.len();
        let calls = if all == 1 { "1 call".to_owned() } else { format!("{all} calls") };
        if part.found == all {
            format!("{calls} in progress")
        } else {
            format!("{} of {calls} in progress", part.found)
        }
    }
}

/// A part of the board.
pub(super) struct Part<'a> {
    /// How many calls fit what is looked for.
    pub(super) found: usize,
    pub(super) page: usize,
    pub(super) pages: usize,
    pub(super) rows: Vec<&'a BoardRow>,
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;
    use crate::sentiment::Sentiment;
    use crate::store::live::{LiveCall, MOST_RATINGS, MOST_WORDS, Need};

    fn row(number: u32) -> BoardRow {
        let call: LiveCall = serde_json::from_value(serde_json::json!({
            "room_name": format!("room-of-the-platform-{number:06}"), "session_id": "session-1", "started_ms": 0,
            "caller": {"name": "Dana Cole", "number": format!("+1415555{number:04}")}, "turns": 40,
            "ratings": vec![Sentiment::clamped(2.5); MOST_RATINGS], "threshold": 3, "window": 3, "streak": 2,
            "mean": 2.5, "low": true, "with_human": false, "last_words": "w<".repeat(MOST_WORDS / 2),
        }))
        .unwrap();
        BoardRow { call, watched: true, claimed: None, need: Need::Soon }
    }

    fn snapshot(calls: u32) -> Snapshot {
        Snapshot { at_ms: 600_000, rows: (0..calls).map(row).collect(), shown: SyncMutex::default() }
    }

    fn search(query: &str) -> Search {
        serde_json::from_value(serde_json::json!({"q": query})).unwrap()
    }

    #[tokio::test]
    async fn however_many_look_the_calls_are_read_once_a_period() {
        let folder = tempfile::tempdir().unwrap();
        let url = folder.path().join("store.db").to_str().unwrap().parse().unwrap();
        let (store, board) = (Store::open(&url).await.unwrap(), Board::default());
        let began = Instant::now();
        let mut read: Vec<Arc<Snapshot>> = Vec::new();
        for _ in 0..3 {
            let looks = (0..50).map(|_| board.now(&store));
            for snapshot in futures_util::future::join_all(looks).await {
                let snapshot = snapshot.unwrap();
                if !read.iter().any(|known| Arc::ptr_eq(known, &snapshot)) {
                    read.push(snapshot);
                }
            }
            tokio::time::sleep(EVERY).await;
        }
        let periods = began.elapsed().as_millis() / (EVERY.as_millis() * 9 / 10) + 1;
        assert!((3..=periods).contains(&(read.len() as u128)), "read {} times in {periods} periods", read.len());
    }

    #[test]
    #[expect(clippy::print_stdout, reason = "how long it took is for whoever asks")]
    fn two_thousand_calls_are_a_page_of_a_hundred_that_is_no_larger_than_a_phone_likes() {
        let snapshot = snapshot(2_000);
        let began = Instant::now();
        let shown = snapshot.shown(&Search::default()).unwrap();
        println!("{:?} for a page of 2000 calls", began.elapsed());
        assert_eq!((shown.cards.len(), shown.page, shown.pages), (PAGE, 1, 20));
        let size: usize = shown.cards.iter().map(|(_, html)| html.len()).sum();
        assert!(size < 190_000, "{size} bytes of calls");
        assert_eq!(
            (shown.says.as_str(), shown.count.as_str()),
            ("2000 calls need somebody.", "2000 calls in progress")
        );
        assert!(shown.cards[0].1.contains("w&#60;w") && shown.cards[0].1.contains("10 min"), "{}", shown.cards[0].1);
        assert!(Arc::ptr_eq(&shown, &snapshot.shown(&Search::default()).unwrap()), "made once for all");
    }

    #[test]
    fn a_call_is_found_by_number_name_and_room() {
        let snapshot = snapshot(120);
        for (query, found) in
            [("+1 (415) 555-0007", 1), ("5550007", 1), ("dana", 120), ("platform-00001", 10), ("nobody", 0)]
        {
            let shown = snapshot.shown(&search(query)).unwrap();
            assert_eq!(shown.cards.len(), found.min(PAGE), "{query}");
        }
        let last: Search = serde_json::from_value(serde_json::json!({"page": "99"})).unwrap();
        let shown = snapshot.shown(&last).unwrap();
        assert_eq!((shown.page, shown.cards.len()), (2, 20), "the last one, where calls have ended since");
        assert_eq!(search("a b").of_page(2), "q=a+b&page=2");
    }

    #[test]
    fn that_all_is_quiet_is_said() {
        let mut snapshot = snapshot(1);
        snapshot.rows[0].need = Need::Nothing;
        assert_eq!(snapshot.shown(&Search::default()).unwrap().says, "All quiet: no call needs anybody.");
    }
}
