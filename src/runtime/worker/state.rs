//! How a worker stands ([`WorkerState`]): shared with whoever is asked whether it is well.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use super::load::{Load, memory, share};
use crate::room::dispatch::Standing;
use crate::runtime::pool::RatingPool;

/// How much a worker may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// So many calls at a time.
    pub calls: usize,
    /// How long a turn may wait for its rating.
    pub rating: Duration,
}

/// How a worker stands. Clones share it.
#[derive(Debug, Clone)]
pub struct WorkerState(Arc<State>);

#[derive(Debug)]
struct State {
    limits: Limits,
    pool: RatingPool,
    registered: AtomicBool,
    draining: AtomicBool,
    calls: AtomicUsize,
}

impl WorkerState {
    /// Of a worker whose calls are rated in `pool`.
    #[must_use]
    pub fn new(limits: Limits, pool: RatingPool) -> Self {
        let (registered, draining, calls) = (AtomicBool::default(), AtomicBool::default(), AtomicUsize::default());
        Self(Arc::new(State { limits, pool, registered, draining, calls }))
    }

    /// Whether calls can be given to it: the dispatcher knows it, and it is not to end.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.is_registered() && !self.is_draining()
    }

    /// Whether the dispatcher knows it.
    #[must_use]
    pub fn is_registered(&self) -> bool {
        self.0.registered.load(Ordering::Relaxed)
    }

    /// Whether it is to end with the calls that it has.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Relaxed)
    }

    /// How many calls it has, those included that are about to begin.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.0.calls.load(Ordering::Relaxed)
    }

    /// How much it does of what it can. Reads what the system says of memory, which takes a fraction of a millisecond.
    #[must_use]
    pub fn load(&self) -> Load {
        let State { limits, pool, .. } = &*self.0;
        #[expect(clippy::cast_precision_loss, reason = "shares need no more than 52 bits")]
        Load {
            calls: share(self.calls() as f64, limits.calls as f64),
            rating: share(pool.backlog(limits.rating).as_secs_f64(), limits.rating.as_secs_f64()),
            memory: known_memory().map_or(0.0, |(used, most)| share(used as f64, most as f64)),
        }
    }

    /// What the dispatcher is told.
    pub(super) fn standing(&self) -> Standing {
        let load = self.load();
        #[expect(clippy::cast_possible_truncation, reason = "from 0 to 1")]
        Standing {
            full: self.is_draining() || load.is_full(),
            load: load.highest() as f32,
            calls: u32::try_from(self.calls()).unwrap_or(u32::MAX),
        }
    }

    /// Whether one more call can be taken.
    pub(super) fn has_room(&self) -> bool {
        !self.is_draining() && !self.load().is_full()
    }

    pub(super) fn set_registered(&self, registered: bool) {
        self.0.registered.store(registered, Ordering::Relaxed);
    }

    pub(super) fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    pub(super) fn set_calls(&self, calls: usize) {
        self.0.calls.store(calls, Ordering::Relaxed);
    }
}

/// The memory of this process, and what it may have; says once where that is not known.
fn known_memory() -> Option<(u64, u64)> {
    static TOLD: Once = Once::new();
    let known = memory();
    if known.is_none() {
        TOLD.call_once(|| {
            tracing::warn!("the system does not say how much memory there is, so the load leaves it out")
        });
    }
    known
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;

    fn state(calls: usize) -> WorkerState {
        let pool = RatingPool::new(NonZeroUsize::MIN);
        WorkerState::new(Limits { calls, rating: Duration::from_secs(2) }, pool)
    }

    #[test]
    fn a_worker_is_ready_once_it_is_registered_and_until_it_drains() {
        let state = state(2);
        assert!(!state.is_ready());
        state.set_registered(true);
        assert!(state.is_ready() && state.has_room() && !state.standing().full);
        state.clone().drain();
        assert!(!state.is_ready() && !state.has_room() && state.standing().full);
        assert!(state.is_registered(), "what is left to say is said");
    }

    #[test]
    fn its_calls_make_it_full() {
        let state = state(2);
        state.set_calls(1);
        assert!((state.load().calls - 0.5).abs() < f64::EPSILON && state.has_room());
        state.set_calls(2);
        let standing = state.standing();
        assert!(!state.has_room() && standing.full);
        assert!((standing.load - 1.0).abs() < f32::EPSILON && standing.calls == 2, "{standing:?}");
    }
}
