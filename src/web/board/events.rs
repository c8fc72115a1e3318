//! What moves on the board, as server-sent events.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::Uri;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::moves::{News, Teller, moves};
use super::search::Search;
use super::snapshot::Shown;
use crate::clock::unix_ms;
use crate::store::StoreError;
use crate::store::review::Concern;
use crate::web::pages::Trouble;
use crate::web::query::{OF_BOARD, asked};
use crate::web::state::Review;
use crate::web::visitor::Visitor;

/// What a browser has been told.
#[derive(Default)]
struct Told {
    says: String,
    count: String,
    cards: HashMap<String, Arc<str>>,
    order: Vec<String>,
}

impl Told {
    /// What is new; none where nothing is.
    fn news(&mut self, shown: &Shown) -> Option<Event> {
        let order: Vec<String> = shown.cards.iter().map(|(key, _)| key.clone()).collect();
        let is_new = |(key, html): &&(String, Arc<str>)| self.cards.get(key) != Some(html);
        let fresh: HashMap<&str, &str> =
            shown.cards.iter().filter(is_new).map(|(key, html)| (&**key, &**html)).collect();
        if fresh.is_empty() && order == self.order && shown.says == self.says && shown.count == self.count {
            return None;
        }
        let news = json!({"says": shown.says, "count": shown.count, "order": order, "cards": fresh});
        self.cards = shown.cards.iter().cloned().collect();
        (self.says, self.count, self.order) = (shown.says.clone(), shown.count.clone(), order);
        Some(Event::default().event("board").data(news.to_string()))
    }
}

/// Somebody who looks at a part of the board.
struct Looks {
    search: Search,
    page: usize,
    told: Told,
}

impl Teller for Looks {
    async fn news(&mut self, review: &Review) -> Result<News, StoreError> {
        let snapshot = review.board.now(&review.store).await?;
        let shown = snapshot.shown(&review.store, &self.search, self.page).await?;
        Ok(self.told.news(&shown).map_or(News::Nothing, News::Some))
    }

    fn forget(&mut self) {
        self.told = Told::default();
    }
}

pub(in crate::web) async fn events(
    State(review): State<Arc<Review>>,
    visitor: Visitor,
    uri: Uri,
) -> Result<Response, Trouble> {
    let search: Search = asked(&uri, OF_BOARD)?;
    // Asked once, so that what cannot be looked for is an error and no stream.
    let page = search.page()?;
    review.store.audit(&visitor.user.name, "board", Concern::Many, unix_ms()).await?;
    let looks = Looks { search, page, told: Told::default() };
    Ok(Sse::new(moves(review, looks)).into_response())
}
