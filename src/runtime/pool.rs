//! Where ratings are computed: on threads of their own, so that no call's CPU holds another's heartbeat, timers or sockets
//! ([`RatingPool`]).

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::sentiment::{RateError, RateFuture, Rater, Rating, TurnInContext};
use crate::telemetry::meter::Meter;

/// How many turns may wait for a thread. At some milliseconds a turn the last of them would come minutes too late.
const MAX_WAITING: usize = 16 * 1024;

/// So many ratings at a time, and a bounded number of turns that wait, the newest first: when more is said than can be
/// rated by its deadline, what was said last is rated in time, and not all of it too late. Where too many wait, the oldest is
/// given up. The threads are the runtime's own for blocking work: they start when there is something to rate, and end when
/// there is not.
#[derive(Debug, Clone)]
pub struct RatingPool {
    size: NonZeroUsize,
    threads: Arc<Threads>,
    meter: Arc<Meter>,
}

impl RatingPool {
    /// A pool of `threads` threads.
    #[must_use]
    pub fn new(threads: NonZeroUsize) -> Self {
        Self::with_queue(threads, MAX_WAITING)
    }

    /// A pool in whose queue `most` turns wait, beside those that are being rated.
    #[must_use]
    pub fn with_queue(threads: NonZeroUsize, most: usize) -> Self {
        let free = Free { threads: threads.get(), waiting: VecDeque::new(), most, takes: Duration::ZERO };
        Self { size: threads, threads: Arc::new(Threads(Mutex::new(free))), meter: Arc::default() }
    }

    /// A pool of as many threads as the machine has processors for us.
    #[must_use]
    pub fn of_machine() -> Self {
        Self::new(std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN))
    }

    /// Counts what is in the pool there.
    #[must_use]
    pub fn metered(mut self, meter: Arc<Meter>) -> Self {
        self.meter = meter;
        self
    }

    /// A rater that computes in this pool. One that panics leaves that turn unrated, and nothing else.
    #[must_use]
    pub fn rater(&self, inner: Arc<dyn Rater>) -> Arc<dyn Rater> {
        Arc::new(Pooled { pool: self.clone(), inner })
    }

    /// How long a turn that comes last will have waited once all are rated that wait, as ratings take by now. What has waited for
    /// `deadline` is late already, and made up for when there is time: it keeps no new call out.
    #[must_use]
    pub fn backlog(&self, deadline: Duration) -> Duration {
        let free = self.threads.lock();
        let counts = |turn: &&Waiting| !turn.permit.is_closed() && turn.since.elapsed() < deadline;
        let waiting = free.waiting.iter().filter(counts).count();
        let threads = u32::try_from(self.size.get()).unwrap_or(u32::MAX);
        free.takes.saturating_mul(u32::try_from(waiting).unwrap_or(u32::MAX)) / threads
    }

    async fn rate(&self, inner: &Arc<dyn Rater>, turn: &TurnInContext) -> Result<Rating, RateError> {
        let failed = |detail: &str| RateError::Failed { detail: detail.to_owned() };
        let _counted = InPool::enter(&self.meter);
        let permit = self.threads.acquire().await.ok_or_else(|| failed("too many turns wait to be rated"))?;
        let (inner, turn, handle) = (Arc::clone(inner), turn.clone(), Handle::current());
        let work = tokio::task::spawn_blocking(move || {
            let began = Instant::now();
            let rating = handle.block_on(inner.rate(&turn));
            permit.took(began.elapsed());
            drop(permit);
            rating
        });
        work.await.unwrap_or_else(|error| {
            tracing::error!(panicked = error.is_panic(), "a rating broke off");
            Err(failed("it broke off"))
        })
    }
}

/// A turn in the pool, counted until it is rated or given up.
struct InPool<'a>(&'a Meter);

impl<'a> InPool<'a> {
    fn enter(meter: &'a Meter) -> Self {
        meter.in_pool(1);
        Self(meter)
    }
}

impl Drop for InPool<'_> {
    fn drop(&mut self) {
        self.0.in_pool(-1);
    }
}

/// The threads that are free, or who waits for one.
#[derive(Debug)]
struct Threads(Mutex<Free>);

#[derive(Debug)]
struct Free {
    threads: usize,
    /// The newest last. Who has stopped waiting is passed over.
    waiting: VecDeque<Waiting>,
    /// So many may wait.
    most: usize,
    /// How long a rating takes: the mean of those of late.
    takes: Duration,
}

/// A turn that waits for a thread.
#[derive(Debug)]
struct Waiting {
    since: Instant,
    permit: oneshot::Sender<Permit>,
}

impl Free {
    /// One more waits. Where that is one too many, the oldest does no longer.
    fn push(&mut self, permit: oneshot::Sender<Permit>) {
        // Who has stopped waiting had waited longest, as a rule.
        while self.waiting.len() >= self.most.max(1) {
            self.waiting.pop_front();
        }
        self.waiting.push_back(Waiting { since: Instant::now(), permit });
    }
}

/// A thread's worth of rating; the next turn gets it when this one is done.
#[derive(Debug)]
struct Permit(Option<Arc<Threads>>);

impl Threads {
    fn lock(&self) -> MutexGuard<'_, Free> {
        // Nothing panics while it holds the lock, and the state would be whole even then.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A permit at once, or before all that wait already; none for who has waited longest when too many do.
    async fn acquire(self: &Arc<Self>) -> Option<Permit> {
        let turn = {
            let mut free = self.lock();
            if free.threads > 0 {
                free.threads -= 1;
                return Some(Permit(Some(Arc::clone(self))));
            }
            let (permit, turn) = oneshot::channel();
            free.push(permit);
            turn
        };
        turn.await.ok()
    }
}

impl Permit {
    /// A rating took so long.
    fn took(&self, took: Duration) {
        let Some(threads) = &self.0 else { return };
        let mut free = threads.lock();
        free.takes = if free.takes.is_zero() { took } else { (free.takes * 7 + took) / 8 };
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(threads) = self.0.take() else { return };
        let mut permit = Self(Some(Arc::clone(&threads)));
        loop {
            let mut free = threads.lock();
            let Some(next) = free.waiting.pop_back() else {
                free.threads += 1;
                permit.0 = None;
                return;
            };
            drop(free);
            match next.permit.send(permit) {
                Ok(()) => return,
                Err(back) => permit = back,
            }
        }
    }
}

struct Pooled {
    pool: RatingPool,
    inner: Arc<dyn Rater>,
}

impl Rater for Pooled {
    fn rate<'a>(&'a self, turn: &'a TurnInContext) -> RateFuture<'a> {
        Box::pin(self.pool.rate(&self.inner, turn))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use std::sync::Mutex;
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Says that it was begun, and goes on when it is told to.
    struct Gated {
        begun: Mutex<Sender<String>>,
        go: Mutex<Receiver<()>>,
    }

    impl Rater for Gated {
        fn rate<'a>(&'a self, turn: &'a TurnInContext) -> RateFuture<'a> {
            assert_ne!(turn.text, "panic");
            self.begun.lock().unwrap().send(turn.text.clone()).unwrap();
            let _ = self.go.lock().unwrap().recv();
            Box::pin(std::future::ready(Err(RateError::Language { lang: "de".to_owned() })))
        }
    }

    fn turn(text: &str) -> TurnInContext {
        TurnInContext { text: text.to_owned(), lang: None, earlier: Vec::new() }
    }

    #[tokio::test]
    async fn what_was_said_last_is_rated_first() {
        let ((begun, has_begun), (go, gate)) = (channel(), channel());
        let pool = RatingPool::new(NonZeroUsize::MIN);
        let rater = pool.rater(Arc::new(Gated { begun: Mutex::new(begun), go: Mutex::new(gate) }));
        let ask = |text: &str| {
            let (rater, turn) = (Arc::clone(&rater), turn(text));
            tokio::spawn(async move { rater.rate(&turn).await })
        };
        let mut asked = Vec::new();
        for text in ["first", "second", "given up", "third"] {
            asked.push(ask(text));
            tokio::task::yield_now().await;
        }
        asked.remove(2).abort();
        tokio::task::yield_now().await;
        for _ in 0..3 {
            go.send(()).unwrap();
        }
        for asked in asked {
            assert!(matches!(asked.await.unwrap(), Err(RateError::Language { .. })));
        }
        assert_eq!(has_begun.try_iter().collect::<Vec<_>>(), ["first", "third", "second"]);
    }

    #[tokio::test]
    async fn the_oldest_makes_room_in_a_full_queue_and_a_panic_costs_one_turn() {
        let ((begun, has_begun), (go, gate)) = (channel(), channel());
        let meter = Arc::new(Meter::new());
        let pool = RatingPool::with_queue(NonZeroUsize::MIN, 1).metered(Arc::clone(&meter));
        let rater = pool.rater(Arc::new(Gated { begun: Mutex::new(begun), go: Mutex::new(gate) }));
        let ask = |text: &str| {
            let (rater, turn) = (Arc::clone(&rater), turn(text));
            tokio::spawn(async move { rater.rate(&turn).await })
        };
        let first = ask("first");
        tokio::task::yield_now().await;
        let oldest = ask("oldest");
        tokio::task::yield_now().await;
        assert_eq!(pool.backlog(Duration::MAX), Duration::ZERO, "how long a rating takes is not known yet");
        let second = ask("second");
        assert!(matches!(oldest.await.unwrap(), Err(RateError::Failed { .. })), "its place is taken");
        assert_eq!(meter.pool_turns(), 2);
        assert_eq!(has_begun.recv().unwrap(), "first");
        go.send(()).unwrap();
        assert!(matches!(first.await.unwrap(), Err(RateError::Language { .. })), "it was asked");
        let next = tokio::task::spawn_blocking(move || has_begun.recv().unwrap());
        assert_eq!(next.await.unwrap(), "second");
        let third = ask("third");
        tokio::task::yield_now().await;
        assert!(pool.backlog(Duration::MAX) > Duration::ZERO, "one waits");
        third.abort();
        tokio::task::yield_now().await;
        assert_eq!(pool.backlog(Duration::MAX), Duration::ZERO, "and has given up");
        go.send(()).unwrap();
        assert!(matches!(second.await.unwrap(), Err(RateError::Language { .. })));
        assert!(matches!(ask("panic").await.unwrap(), Err(RateError::Failed { .. })));
        assert_eq!(meter.pool_turns(), 0);
        go.send(()).unwrap();
    }
}
