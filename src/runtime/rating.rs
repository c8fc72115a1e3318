//! One turn's rating: by its deadline, and what comes later ([`rate`]).

use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::sentiment::{Opinions, RateError, Rater, Rating, TurnInContext};
use crate::telemetry::meter::Meter;

/// How long after its deadline a rating is still of use. Hundreds of calls that are taken over at once, each with all that was
/// said before, need the better part of it.
const OF_USE: Duration = Duration::from_secs(60);

/// Rates a turn, and answers within `deadline_ms` with the rating or with why there is none. A rating that comes later is a
/// further answer, and so is what the rater thinks of later; an error that comes later is none.
pub(super) async fn rate(
    rater: &dyn Rater,
    turn: &TurnInContext,
    deadline_ms: u64,
    meter: &Meter,
    answer: impl Fn(Result<Rating, RateError>),
) {
    let asked = Instant::now();
    let mut opinions = rater.opinions(turn);
    let in_time = timeout(Duration::from_millis(deadline_ms), &mut opinions).await;
    meter.rating_took(asked.elapsed());
    let later = match in_time {
        Ok(Opinions { first, later }) => {
            answer(first);
            later
        }
        Err(_) => {
            answer(Err(RateError::Deadline { deadline_ms }));
            let Ok(Opinions { first: Ok(rating), later }) = timeout(OF_USE, opinions).await else { return };
            answer(Ok(rating));
            later
        }
    };
    let Some(later) = later else { return };
    if let Ok(better) = later.await {
        answer(Ok(better));
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use std::cell::RefCell;

    use super::*;
    use crate::sentiment::{OpinionsFuture, RateFuture, embedded};

    /// Takes so many seconds, and so many more for a second opinion.
    struct Slow {
        first: u64,
        later: Option<u64>,
        fails: bool,
    }

    impl Slow {
        async fn after(&self, seconds: u64, turn: &TurnInContext) -> Result<Rating, RateError> {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            if self.fails { Err(RateError::Language { lang: "de".to_owned() }) } else { embedded().rate(turn).await }
        }
    }

    impl Rater for Slow {
        fn rate<'a>(&'a self, turn: &'a TurnInContext) -> RateFuture<'a> {
            Box::pin(self.after(self.first, turn))
        }

        fn opinions<'a>(&'a self, turn: &'a TurnInContext) -> OpinionsFuture<'a> {
            Box::pin(async move {
                let first = self.rate(turn).await;
                let later = self.later.map(|seconds| -> RateFuture<'a> { Box::pin(self.after(seconds, turn)) });
                Opinions { first, later }
            })
        }
    }

    /// The answers, each with the second at which it came.
    async fn answers(rater: Slow) -> Vec<(u64, Result<Rating, RateError>)> {
        let (began, told) = (Instant::now(), RefCell::new(Vec::new()));
        let turn = TurnInContext::alone("Nobody at your company seems to care.");
        rate(&rater, &turn, 2_000, &Meter::new(), |answer| {
            told.borrow_mut().push((began.elapsed().as_secs(), answer));
        })
        .await;
        told.into_inner()
    }

    fn rated(answers: &[(u64, Result<Rating, RateError>)]) -> Vec<(u64, bool)> {
        answers.iter().map(|(at, answer)| (*at, answer.is_ok())).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_rating_in_time_is_the_answer_and_a_second_opinion_follows() {
        assert_eq!(rated(&answers(Slow { first: 1, later: None, fails: false }).await), [(1, true)]);
        assert_eq!(rated(&answers(Slow { first: 1, later: Some(90), fails: false }).await), [(1, true), (91, true)]);
        assert_eq!(rated(&answers(Slow { first: 1, later: Some(1), fails: true }).await), [(1, false)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_turn_is_unrated_at_its_deadline_and_rated_when_it_can_be() {
        let late = answers(Slow { first: 20, later: Some(5), fails: false }).await;
        assert_eq!(rated(&late), [(2, false), (20, true), (25, true)]);
        assert!(matches!(late[0].1.as_ref().unwrap_err(), RateError::Deadline { deadline_ms: 2_000 }));
        assert_eq!(rated(&answers(Slow { first: 20, later: None, fails: true }).await), [(2, false)], "said once");
        assert_eq!(rated(&answers(Slow { first: 90, later: None, fails: false }).await), [(2, false)], "of no use now");
    }
}
