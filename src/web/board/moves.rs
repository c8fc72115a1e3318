//! Server-sent events of what moves, whatever that is: once a period at most, until the browser goes ([`moves`]).

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::Event;
use futures_util::stream::{self, Stream};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::snapshot::EVERY;
use crate::store::StoreError;
use crate::web::state::Review;

/// After so long a browser comes again, and is asked anew who it is.
const LASTS: Duration = Duration::from_secs(15 * 60);
/// After so long it tries again when the stream broke off.
const RETRY: Duration = Duration::from_secs(2);

/// What there is to tell.
pub(super) enum News {
    Nothing,
    Some(Event),
}

/// Knows what a browser has been told.
pub(super) trait Teller: Send + Sized + 'static {
    /// What is new.
    fn news(&mut self, review: &Review) -> impl Future<Output = Result<News, StoreError>> + Send;

    /// Forgets what was told, so that all of it is told again.
    fn forget(&mut self);
}

struct Telling<T> {
    review: Arc<Review>,
    teller: T,
    /// Whether the browser knows that the store cannot be used.
    troubled: bool,
}

impl<T: Teller> Telling<T> {
    async fn event(&mut self) -> Option<Event> {
        match self.teller.news(&self.review).await {
            Ok(news) => {
                // After a trouble the whole of it says that it moves again.
                let news = if std::mem::take(&mut self.troubled) && matches!(news, News::Nothing) {
                    self.teller.forget();
                    self.teller.news(&self.review).await.unwrap_or(News::Nothing)
                } else {
                    news
                };
                match news {
                    News::Nothing => None,
                    News::Some(event) => Some(event),
                }
            }
            Err(error) if !self.troubled => {
                tracing::error!(%error, "the board stands still");
                self.troubled = true;
                Some(Event::default().event("trouble").data("This stands still: the store cannot be used."))
            }
            Err(_) => None,
        }
    }
}

/// What moves, until the browser goes, the pages are stopped, or it is time to come again.
pub(super) fn moves<T: Teller>(review: Arc<Review>, teller: T) -> impl Stream<Item = Result<Event, Infallible>> + Send {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let until = Instant::now() + LASTS;
    let begin = (Telling { review, teller, troubled: false }, ticks);
    stream::unfold(begin, move |(mut telling, mut ticks)| async move {
        loop {
            tokio::select! {
                () = telling.review.stop.cancelled() => return None,
                now = ticks.tick() => if now >= until {
                    return None;
                },
            }
            if let Some(event) = telling.event().await {
                return Some((Ok(event.retry(RETRY)), (telling, ticks)));
            }
        }
    })
}
