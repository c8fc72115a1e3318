//! What all who look at the board share ([`Board`]).

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use askama::Template;
use tokio::sync::Mutex;

use super::card::{Card, key};
use super::search::{PAGE, Search};
use crate::clock::unix_ms;
use crate::store::live::{BoardRow, Standing};
use crate::store::{Store, StoreError};

/// How old what is shown may be: the board moves so often.
pub(super) const EVERY: Duration = Duration::from_secs(1);

/// All calls in progress at one moment, in their order.
pub(super) struct Snapshot {
    /// When, Unix time in ms.
    pub(super) at_ms: u64,
    pub(super) calls: Vec<Standing>,
    /// Which of them has a key, once anybody asks by one.
    keys: OnceLock<HashMap<String, usize>>,
    /// Parts of it as they are shown: most people look at the same, and whoever comes first makes it for all.
    shown: Mutex<HashMap<Search, Arc<Shown>>>,
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
        let snapshot = Arc::new(Snapshot::new(at_ms, store.standings(at_ms).await?));
        *kept = Some((Instant::now(), Arc::clone(&snapshot)));
        Ok(snapshot)
    }
}

impl Snapshot {
    fn new(at_ms: u64, calls: Vec<Standing>) -> Self {
        Self { at_ms, calls, keys: OnceLock::new(), shown: Mutex::default() }
    }

    /// The call of this key.
    pub(super) fn of_key(&self, wanted: &str) -> Option<&Standing> {
        let key = |(at, call): (usize, &Standing)| (key(&call.brief.room_name, &call.brief.session_id), at);
        let keys = self.keys.get_or_init(|| self.calls.iter().enumerate().map(key).collect());
        keys.get(wanted).and_then(|at| self.calls.get(*at))
    }

    /// The calls that are looked for, and among them those of the page.
    pub(super) fn part(&self, search: &Search, page: usize) -> Part<'_> {
        let wanted = search.wanted();
        let found: Vec<&Standing> = self.calls.iter().filter(|call| wanted.fits(&call.brief)).collect();
        let pages = found.len().div_ceil(PAGE).max(1);
        let page = page.clamp(1, pages);
        let calls = found.iter().skip((page - 1) * PAGE).take(PAGE).copied().collect();
        Part { found: found.len(), page, pages, calls }
    }

    /// A part as it is shown.
    pub(super) async fn shown(&self, store: &Store, search: &Search, page: usize) -> Result<Arc<Shown>, StoreError> {
        let mut all = self.shown.lock().await;
        if let Some(shown) = all.get(search) {
            return Ok(Arc::clone(shown));
        }
        let part = self.part(search, page);
        // Of those that are shown alone all is read.
        let rows = store.in_progress(&part.calls).await?;
        let shown = Arc::new(Shown {
            says: self.says(),
            count: self.count(&part),
            cards: rows.iter().map(|row| self.card(row)).collect(),
            page: part.page,
            pages: part.pages,
        });
        all.insert(search.clone(), Arc::clone(&shown));
        Ok(shown)
    }

    fn card(&self, row: &BoardRow) -> (String, Arc<str>) {
        let key = key(&row.call.room_name, &row.call.session_id);
        let html = Card::of(row, &key, self.at_ms).render().unwrap_or_else(|error| {
            tracing::error!(%error, "a call could not be shown");
            String::new()
        });
        (key, html.into())
    }

    /// How many need somebody.
    pub(super) fn urgent(&self) -> usize {
        self.calls.iter().filter(|row| row.need.is_urgent()).count()
    }

    fn says(&self) -> String {
        match (self.urgent(), self.calls.len()) {
            (0, 0) => "All quiet: there is no call.".to_owned(),
            (0, _) => "All quiet: no call needs anybody.".to_owned(),
            (1, _) => "1 call needs somebody.".to_owned(),
            (urgent, _) => format!("{urgent} calls need somebody."),
        }
    }

    fn count(&self, part: &Part<'_>) -> String {
        let all = self.calls.len();
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
    pub(super) calls: Vec<&'a Standing>,
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;
    use crate::sentiment::Sentiment;
    use crate::store::Live;
    use crate::store::live::{LiveCall, LiveChange, MOST_RATINGS, MOST_WORDS};

    fn call(number: u32, low: bool) -> LiveChange {
        let call: LiveCall = serde_json::from_value(serde_json::json!({
            "room_name": format!("room-of-the-platform-{number:06}"), "session_id": "session-1",
            "started_ms": unix_ms() - 600_000, "caller": {"name": "Dana Cole", "number": format!("+1415555{number:04}")},
            "turns": 40, "ratings": vec![Sentiment::clamped(2.5); MOST_RATINGS], "threshold": 3, "window": 3,
            "streak": if low { 2 } else { 0 }, "mean": 2.5, "low": low, "with_human": false,
            "last_words": "w<".repeat(MOST_WORDS / 2),
        }))
        .unwrap();
        LiveChange::Stands(Box::new(call))
    }

    /// A store with so many calls in progress.
    struct Told {
        store: Store,
        board: Board,
        _live: Live,
        _folder: tempfile::TempDir,
    }

    async fn told(calls: u32, low: bool) -> Told {
        let folder = tempfile::tempdir().unwrap();
        let url = folder.path().join("store.db").to_str().unwrap().parse().unwrap();
        let store = Store::open(&url).await.unwrap();
        let mut live = store.live();
        live.tell(&(0..calls).map(|number| call(number, low)).collect::<Vec<_>>(), unix_ms()).await.unwrap();
        Told { store, board: Board::default(), _live: live, _folder: folder }
    }

    fn search(query: &str) -> Search {
        serde_json::from_value(serde_json::json!({"q": query})).unwrap()
    }

    #[tokio::test]
    #[expect(clippy::print_stdout, reason = "how long it took is for whoever asks")]
    async fn two_thousand_calls_are_a_page_of_a_hundred_that_is_no_larger_than_a_phone_likes() {
        let Told { store, board, .. } = &told(2_000, true).await;
        let began = Instant::now();
        let snapshot = board.now(store).await.unwrap();
        let shown = snapshot.shown(store, &Search::default(), 1).await.unwrap();
        println!("{:?} for a page of 2000 calls", began.elapsed());
        assert_eq!((shown.cards.len(), shown.page, shown.pages), (PAGE, 1, 20));
        let size: usize = shown.cards.iter().map(|(_, html)| html.len()).sum();
        assert!(size < 190_000, "{size} bytes of calls");
        assert_eq!(
            (shown.says.as_str(), shown.count.as_str()),
            ("2000 calls need somebody.", "2000 calls in progress")
        );
        assert!(shown.cards[0].1.contains("w&#60;w") && shown.cards[0].1.contains("10 min"), "{}", shown.cards[0].1);
        let again = snapshot.shown(store, &Search::default(), 1).await.unwrap();
        assert!(Arc::ptr_eq(&shown, &again), "made once for all");
    }

    #[tokio::test]
    async fn a_call_is_found_by_number_name_and_room() {
        let Told { store, board, .. } = &told(120, true).await;
        let snapshot = board.now(store).await.unwrap();
        for (query, found) in
            [("+1 (415) 555-0007", 1), ("5550007", 1), ("dana", 120), ("platform-00001", 10), ("nobody", 0)]
        {
            let shown = snapshot.shown(store, &search(query), 1).await.unwrap();
            assert_eq!(shown.cards.len(), found.min(PAGE), "{query}");
        }
        let last: Search = serde_json::from_value(serde_json::json!({"page": "99"})).unwrap();
        let shown = snapshot.shown(store, &last, 99).await.unwrap();
        assert_eq!((shown.page, shown.cards.len()), (2, 20), "the last one, where calls have ended since");
        assert_eq!(search("a b").of_page(2), "q=a+b&page=2");
        let room_name = &snapshot.calls[7].brief.room_name;
        assert_eq!(snapshot.of_key(&key(room_name, "session-1")).unwrap().brief.room_name, *room_name);
        assert!(snapshot.of_key("call0").is_none());
    }

    #[tokio::test]
    async fn that_all_is_quiet_is_said() {
        let Told { store, board, .. } = &told(1, false).await;
        let snapshot = board.now(store).await.unwrap();
        let shown = snapshot.shown(store, &Search::default(), 1).await.unwrap();
        assert_eq!(shown.says, "All quiet: no call needs anybody.");
    }

    #[tokio::test]
    async fn however_many_look_the_calls_are_read_once_a_period() {
        let Told { store, board, .. } = &told(3, false).await;
        let began = Instant::now();
        let mut read: Vec<Arc<Snapshot>> = Vec::new();
        for _ in 0..3 {
            let looks = (0..50).map(|_| board.now(store));
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
}
