//! All cores for work that comes in pieces, such as the calls of a replay.
//!
//! What comes of it is handed over in the order of the pieces, so that output is the same on any number of cores.

use std::collections::VecDeque;

use tokio::runtime::{Builder, Runtime};
use tokio_util::task::AbortOnDropHandle;

use super::exit::{Exit, Failure};
use super::stop::Stop;

/// So many pieces are under way at a time, and so many results wait for their turn at most: as many as `llmMaxInFlight`
/// may allow questions, since calls that wait for an LLM need no core.
const UNDER_WAY: usize = 64;

/// A thread per core. Its runtime also carries the connections that the pieces share.
pub(super) struct Cores(Option<Runtime>);

impl Cores {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system has none to give.
    pub(super) fn new() -> Result<Self, Failure> {
        let runtime = Builder::new_multi_thread().enable_all().build();
        let failed = |error| Failure::new(Exit::Other, format!("the worker threads did not start: {error}"));
        Ok(Self(Some(runtime.map_err(failed)?)))
    }

    /// Does the pieces as [`Cores::in_order`] does, until all are done or the user presses Ctrl-C.
    ///
    /// # Errors
    /// As for [`Cores::in_order`].
    pub(super) async fn until_stopped<F, E>(
        &self,
        pieces: impl IntoIterator<Item = F>,
        take: impl FnMut(F::Output) -> Result<(), E>,
    ) -> Result<Ended, E>
    where
        F: Future<Output: Send> + Send + 'static,
        E: From<Failure>,
    {
        let stop = Stop::listen();
        tokio::select! {
            biased;
            () = stop.asked() => Ok(Ended::Stopped),
            done = self.in_order(pieces, take) => done.map(|()| Ended::Whole),
        }
    }

    /// Does all pieces and hands what comes of each to `take`, in order. Pieces are fetched as there is room for them.
    ///
    /// # Errors
    /// What `take` returns, whereupon the pieces that are left are dropped; and [`Failure`] when one panicked.
    async fn in_order<F, E>(
        &self,
        pieces: impl IntoIterator<Item = F>,
        mut take: impl FnMut(F::Output) -> Result<(), E>,
    ) -> Result<(), E>
    where
        F: Future<Output: Send> + Send + 'static,
        E: From<Failure>,
    {
        let Some(runtime) = &self.0 else { return Ok(()) };
        let mut pieces = pieces.into_iter();
        let mut under_way = VecDeque::new();
        loop {
            while under_way.len() < UNDER_WAY
                && let Some(piece) = pieces.next()
            {
                under_way.push_back(AbortOnDropHandle::new(runtime.spawn(piece)));
            }
            let Some(first) = under_way.pop_front() else { return Ok(()) };
            take(first.await.map_err(|error| Failure::new(Exit::Other, error))?)?;
            // Where the next one is done already, somebody else may still have something to say.
            tokio::task::yield_now().await;
        }
    }
}

/// How long work came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// All of it is done.
    Whole,
    /// The user stopped it.
    Stopped,
}

impl Ended {
    /// The failure of a command that was stopped, once it has printed what there is.
    pub(super) fn failure(self, what_there_is: impl FnOnce() -> String) -> Result<(), Failure> {
        match self {
            Self::Whole => Ok(()),
            Self::Stopped => Err(Failure::new(Exit::Other, format!("stopped: {}", what_there_is()))),
        }
    }
}

impl Drop for Cores {
    fn drop(&mut self) {
        // Waiting for the threads is not allowed where other tasks run; all their work is done or dropped.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Barrier;

    use super::*;

    #[tokio::test]
    async fn results_come_in_order_though_the_pieces_end_in_another() {
        let cores = Cores::new().unwrap();
        let all = Arc::new(Barrier::new(UNDER_WAY));
        // Nobody ends before all are under way, and then whoever comes first.
        let pieces = (0..UNDER_WAY).map(|n| {
            let all = Arc::clone(&all);
            async move {
                all.wait().await;
                n
            }
        });
        let mut seen = Vec::new();
        let done: Result<(), Failure> = cores
            .in_order(pieces, |n| {
                seen.push(n);
                Ok(())
            })
            .await;
        done.unwrap();
        assert_eq!(seen, (0..UNDER_WAY).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_failure_ends_it_and_a_panic_is_one() {
        let cores = Cores::new().unwrap();
        let fetched = AtomicUsize::new(0);
        let pieces = (0..10_000).map(|n| {
            fetched.fetch_add(1, Ordering::Relaxed);
            async move { n }
        });
        let stop = |n| if n == 3 { Err(Failure::new(Exit::BadRecording, "three")) } else { Ok(()) };
        assert_eq!(cores.in_order(pieces, stop).await.unwrap_err().message, "three");
        assert!(fetched.load(Ordering::Relaxed) <= UNDER_WAY + 4);
        let broken: Result<(), Failure> = cores.in_order([async { panic!("on purpose") }], |()| Ok(())).await;
        assert_eq!(broken.unwrap_err().exit, Exit::Other);
    }
}
