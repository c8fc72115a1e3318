//! What moves on the board, as server-sent events.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::search::Search;
use super::snapshot::{EVERY, Shown};
use crate::clock::unix_ms;
use crate::store::review::Concern;
use crate::web::pages::Trouble;
use crate::web::state::Review;
use crate::web::visitor::Visitor;

/// After so long a browser comes again, and is asked anew who it is.
const LASTS: Duration = Duration::from_secs(15 * 60);
/// After so long it tries again when the stream broke off.
const RETRY: Duration = Duration::from_secs(2);

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

pub(in crate::web) async fn events(
    State(review): State<Arc<Review>>,
    visitor: Visitor,
    Query(search): Query<Search>,
) -> Result<Response, Trouble> {
    // Asked once, so that what cannot be looked for is an error and no stream.
    search.page()?;
    review.store.audit(&visitor.user.name, "board", Concern::Many, unix_ms()).await?;
    let sse = Sse::new(moves(review, search)).keep_alive(KeepAlive::default());
    Ok(sse.into_response())
}

/// What moves, until the browser goes, the pages are stopped, or it is time to come again.
fn moves(review: Arc<Review>, search: Search) -> impl Stream<Item = Result<Event, Infallible>> {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let until = Instant::now() + LASTS;
    let begin = (review, search, Told::default(), ticks, false);
    stream::unfold(begin, move |(review, search, mut told, mut ticks, mut troubled)| async move {
        loop {
            tokio::select! {
                () = review.stop.cancelled() => return None,
                now = ticks.tick() => if now >= until {
                    return None;
                },
            }
            let event = match review.board.now(&review.store).await {
                Ok(snapshot) => {
                    // After a trouble the whole of it says that the board moves again.
                    if std::mem::take(&mut troubled) {
                        told = Told::default();
                    }
                    snapshot.shown(&search).ok().and_then(|shown| told.news(&shown))
                }
                Err(error) if !troubled => {
                    tracing::error!(%error, "the board stands still");
                    troubled = true;
                    Some(Event::default().event("trouble").data("The board stands still: the store cannot be used."))
                }
                Err(_) => None,
            };
            if let Some(event) = event {
                return Some((Ok(event.retry(RETRY)), (review, search, told, ticks, troubled)));
            }
        }
    })
}
