//! Turns at places that take one message every so often, of what goes there past the store ([`Pace`]): within one process.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::alert::outgoing::Outgoing;
use crate::config::targets::NotifyFormat;

/// A place: its format, and the address or what holds it.
type Place = (NotifyFormat, String);

/// When each place takes the next message.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<HashMap<Place, Instant>>);

impl Pace {
    /// Waits until it is one's turn, where all take turns; for `at_most` so long.
    pub(super) async fn turn(&self, outgoing: &Outgoing, at_most: Duration) {
        let Some(gap_ms) = outgoing.format.gap_ms() else { return };
        let url = outgoing.url.as_ref().map(|url| url.url().as_str());
        let place = outgoing.secret.as_deref().or(url).unwrap_or_default().to_owned();
        let turn = self.take((outgoing.format, place), Duration::from_millis(gap_ms));
        sleep_until(Instant::now().checked_add(at_most).map_or(turn, |end| turn.min(end))).await;
    }

    /// Takes the next turn.
    fn take(&self, place: Place, gap: Duration) -> Instant {
        let now = Instant::now();
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let free = places.entry(place).or_insert(now);
        let turn = now.max(*free);
        *free = turn + gap;
        turn
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use futures_util::future::join_all;

    use super::*;
    use crate::config::settings::WebhookDetail;

    fn place(name: &str, format: NotifyFormat) -> Outgoing {
        let url = format!("https://hooks.example.com/{name}").parse().unwrap();
        Outgoing { target: name.to_owned(), format, ..Outgoing::webhook(url, WebhookDetail::Seed, Vec::new(), 1_000) }
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_past_the_store_is_spread_and_holds_up_no_other_place() {
        let (pace, began) = (Pace::default(), Instant::now());
        let places =
            [place("a", NotifyFormat::Slack), place("b", NotifyFormat::Slack), place("c", NotifyFormat::Standard)];
        let turns = places.iter().flat_map(|place| std::iter::repeat_n(place, 4)).map(|place| {
            let pace = &pace;
            async move {
                pace.turn(place, Duration::MAX).await;
                (place.target.clone(), began.elapsed().as_secs())
            }
        });
        let taken = join_all(turns).await;
        let of = |name: &str| taken.iter().filter(|(place, _)| place == name).map(|(_, at)| *at).collect::<Vec<_>>();
        assert_eq!((of("a"), of("b"), of("c")), (vec![0, 1, 2, 3], vec![0, 1, 2, 3], vec![0, 0, 0, 0]));
        // Time that nobody used is not made up for.
        tokio::time::sleep(Duration::from_secs(60)).await;
        let again = Instant::now();
        pace.turn(&places[0], Duration::MAX).await;
        pace.turn(&places[0], Duration::MAX).await;
        assert_eq!(again.elapsed(), Duration::from_secs(1));
        // Who cannot wait goes before its turn.
        pace.turn(&places[0], Duration::from_millis(200)).await;
        assert_eq!(again.elapsed(), Duration::from_millis(1_200));
    }
}
