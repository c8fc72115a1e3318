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
/// After so long without news it is told that there are none: of comments, which keep connections open, scripts hear nothing.
const BEAT: Duration = Duration::from_secs(15);
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
    let begin = (Telling { review, teller, troubled: false }, ticks, Instant::now());
    stream::unfold(begin, move |(mut telling, mut ticks, last)| async move {
        loop {
            tokio::select! {
                () = telling.review.stop.cancelled() => return None,
                now = ticks.tick() => if now >= until {
                    return None;
                },
            }
            let beat = || (last.elapsed() >= BEAT).then(|| Event::default().event("beat").data("on"));
            if let Some(event) = telling.event().await.or_else(beat) {
                return Some((Ok(event.retry(RETRY)), (telling, ticks, Instant::now())));
            }
        }
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use std::pin::pin;

    use futures_util::StreamExt as _;

    use super::*;
    use crate::clock;
    use crate::notify::Deliverer;
    use crate::store::Store;
    use crate::tls::Authorities;
    use crate::web::Options;
    use crate::web::users::Users;

    struct Quiet;

    impl Teller for Quiet {
        async fn news(&mut self, _: &Review) -> Result<News, StoreError> {
            Ok(News::Nothing)
        }

        fn forget(&mut self) {}
    }

    #[tokio::test]
    async fn who_hears_nothing_new_hears_that_it_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store.db").to_str().unwrap().parse().unwrap()).await.unwrap();
        let deliverer = Deliverer::new(store.clone(), None, clock::system(), Authorities::default());
        let review = Review::new(store, Users::default(), deliverer, Vec::new(), Options::default()).unwrap();
        tokio::time::pause();
        let (mut events, began) = (pin!(moves(Arc::new(review), Quiet)), Instant::now());
        for beats in 1..=3 {
            let event = format!("{:?}", events.next().await.unwrap());
            assert!(event.contains("beat"), "{event}");
            let since = began.elapsed();
            assert!((BEAT * beats..(BEAT + EVERY) * beats).contains(&since), "{since:?}");
        }
    }
}
