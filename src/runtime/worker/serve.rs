//! Takes calls as a dispatcher gives them out, until the worker is to end ([`Worker`]).

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use super::state::WorkerState;
use super::tasks::{Given, Tasks};
use crate::call::report::Report;
use crate::room::dispatch::{Answer, Dispatcher, Event, Finish, Job, Order, Sought};
use crate::room::error::RoomError;
use crate::runtime::attachment::{Attachment, Call, Ending};
use crate::runtime::host::Host;
use crate::telemetry::shown::without_numbers;

/// How often the dispatcher is told how we stand.
const TELL_EVERY: Duration = Duration::from_millis(2_500);
/// From one look at the rooms of others to the next: between so long and twice as long, at random, so that workers do not all
/// look at once.
const SEEK_EVERY: Duration = Duration::from_secs(2);

/// What a job needs, made ready before we say that we take it.
pub enum Prepared {
    /// A call.
    Call {
        /// What it is made of.
        attachment: Box<Attachment>,
        /// Why the settings or the rater that its metadata asks for are not used: the process's own are.
        problem: Option<String>,
    },
    /// Nothing is to be done, as the settings say.
    Nothing {
        /// As for a call.
        problem: Option<String>,
    },
    /// It cannot be had here.
    Failed {
        /// Why.
        problem: String,
    },
}

/// Makes ready what a job needs. It may read files, and must not hold up other calls.
pub type Preparing = Arc<dyn Fn(Job) -> BoxFuture<'static, Prepared> + Send + Sync>;

/// What a worker tells of itself, beside the reports of its calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum News {
    /// The dispatcher knows it: calls can come.
    Registered {
        /// As whom.
        worker_id: String,
    },
    /// No connection to the dispatcher; another try follows. Calls go on.
    Lost {
        /// Why.
        detail: String,
        /// When it is tried again, in ms from now.
        retry_in_ms: u64,
    },
    /// Somebody was asked for in a room that had lost its sidecar, or never had one.
    AskedFor {
        /// The room.
        room: String,
    },
    /// It takes no more calls, and ends with the last of those that it has.
    Draining {
        /// How many.
        calls: usize,
    },
}

/// Whom a worker tells.
pub trait Listener: Clone + Send + 'static {
    /// A report of a call.
    fn report(&self, call: &Call, report: &Report);
    /// Nothing is done in a room, as its settings say.
    fn disabled(&self, call: &Call);
    /// Something about the worker itself.
    fn news(&self, news: &News);
}

/// Serves the calls that a dispatcher gives out.
pub struct Worker<L> {
    host: Arc<Host>,
    state: WorkerState,
    dispatcher: Dispatcher,
    prepare: Preparing,
    listener: L,
    tasks: Tasks<Prepared, CancellationToken>,
    preparing: JoinSet<(Job, Prepared, bool)>,
    over: (mpsc::UnboundedSender<Over>, mpsc::UnboundedReceiver<Over>),
    /// Whether rooms are being looked at.
    seeking: bool,
    seek_at: Instant,
}

/// The end of a call.
struct Over {
    room: String,
    ending: Ending,
}

impl<L: Listener> Worker<L> {
    /// A worker whose calls are in `host`.
    pub fn new(host: Arc<Host>, state: WorkerState, dispatcher: Dispatcher, prepare: Preparing, listener: L) -> Self {
        Self {
            host,
            state,
            dispatcher,
            prepare,
            listener,
            tasks: Tasks::default(),
            preparing: JoinSet::new(),
            over: mpsc::unbounded_channel(),
            seeking: false,
            seek_at: Instant::now(),
        }
    }

    /// Takes calls until `drain` is cancelled, and goes on until the last has ended; whoever stops the host ends them at once.
    ///
    /// # Errors
    /// Why the dispatcher does not want us.
    pub async fn run(mut self, drain: CancellationToken) -> Result<(), RoomError> {
        let stop = self.host.stop().clone();
        let mut tell = interval(TELL_EVERY);
        tell.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stopped = false;
        let ended = loop {
            if self.state.is_draining() && self.tasks.len() == 0 && self.preparing.is_empty() {
                break Ok(());
            }
            let may_seek = !self.seeking && self.state.is_ready();
            tokio::select! {
                event = self.dispatcher.next() => match event {
                    Some(Event::Refused(error)) => break Err(error),
                    Some(event) => self.event(event),
                    None => break Err(RoomError::Cut { problem: "the connection to the dispatcher broke off".to_owned() }),
                },
                Some(prepared) = self.preparing.join_next() => match prepared {
                    Ok((job, prepared, given)) => self.prepared(job, prepared, given),
                    // The worker was stopped.
                    Err(error) if error.is_cancelled() => {}
                    Err(error) => tracing::error!(%error, "a call could not be made ready"),
                },
                Some(over) = self.over.1.recv() => self.over(over),
                _ = tell.tick() => {
                    self.tasks.forget_asked(Some(Instant::now()));
                    self.stands();
                }
                () = sleep_until(self.seek_at.into()), if may_seek => self.seek(),
                () = drain.cancelled(), if !self.state.is_draining() => self.drain(),
                () = stop.cancelled(), if !stopped => {
                    stopped = true;
                    self.drain();
                    // Nobody is waited for but the calls, which end by themselves now.
                    self.tasks.forget_asked(None);
                    self.preparing.abort_all();
                }
            }
        };
        self.state.drain();
        self.dispatcher.close().await;
        ended
    }

    /// Takes no more calls.
    fn drain(&mut self) {
        if self.state.is_draining() {
            return;
        }
        self.state.drain();
        self.listener.news(&News::Draining { calls: self.tasks.calls() });
        self.stands();
    }

    /// Tells the dispatcher how we stand.
    fn stands(&self) {
        self.state.set_calls(self.tasks.len());
        self.host.meter.set_load(self.state.load().highest(), self.state.is_ready());
        self.dispatcher.order(Order::Standing(self.state.standing()));
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Registered { worker } => {
                self.state.set_registered(true);
                self.stands();
                self.seek_soon(Duration::ZERO);
                self.listener.news(&News::Registered { worker_id: worker });
            }
            Event::Lost { detail, retry_in_ms } => {
                self.state.set_registered(false);
                self.tasks.forget_asked(None);
                self.stands();
                self.listener.news(&News::Lost { detail, retry_in_ms });
            }
            Event::Asked(job) => self.asked(job),
            Event::Assigned(job) => self.assigned(job),
            Event::Terminated { id } => {
                if let Some(stop) = self.tasks.taken_back(&id) {
                    stop.cancel();
                }
            }
            Event::Sought(sought) => self.sought(sought),
            // Who asks for events ends with it.
            Event::Refused(_) => {}
        }
    }

    fn asked(&mut self, job: Job) {
        let held = self.tasks.has(&job.room);
        self.state.set_calls(self.tasks.len());
        if !held && !self.state.has_room() {
            self.answer(&job.id, Answer::Pass);
            return;
        }
        self.tasks.asked(&job, Instant::now());
        if held {
            self.answer(&job.id, Answer::Take);
        } else {
            self.make_ready(job, false);
        }
        self.stands();
    }

    fn answer(&self, id: &str, answer: Answer) {
        self.dispatcher.order(Order::Answer { id: id.to_owned(), answer });
    }

    /// Makes ready what a job needs that we are asked about, or that is `given` to us.
    fn make_ready(&mut self, job: Job, given: bool) {
        let prepare = (self.prepare)(job.clone());
        self.preparing.spawn(async move { (job, prepare.await, given) });
    }

    fn prepared(&mut self, job: Job, prepared: Prepared, given: bool) {
        if given {
            return self.begin(job, prepared);
        }
        let answer = match prepared {
            Prepared::Call { .. } if self.state.is_draining() => Answer::Pass,
            call @ Prepared::Call { .. } => {
                if !self.tasks.ready(&job.id, call) {
                    return;
                }
                Answer::Take
            }
            Prepared::Nothing { problem } => {
                self.unwanted(&job, problem);
                Answer::Unwanted
            }
            Prepared::Failed { problem } => {
                self.warn(&job, problem);
                Answer::Pass
            }
        };
        if answer != Answer::Take {
            self.tasks.declined(&job.id);
        }
        self.answer(&job.id, answer);
        self.stands();
    }

    fn unwanted(&self, job: &Job, problem: Option<String>) {
        self.settings_of(job, problem);
        self.listener.disabled(&call_of(job));
    }

    /// What a job says of settings or rater cannot be used, where there is a problem.
    fn settings_of(&self, job: &Job, problem: Option<String>) {
        if let Some(problem) = problem {
            self.host.meter.settings_refused();
            self.warn(job, problem);
        }
    }

    fn warn(&self, job: &Job, detail: String) {
        // The call has not begun, so that nobody else counts what is told of it.
        self.host.meter.warned();
        self.listener.report(&call_of(job), &Report::Warning { detail });
    }

    fn assigned(&mut self, job: Job) {
        match self.tasks.given(&job) {
            Given::Joined => {}
            Given::Begin(Some(prepared)) => self.begin(job, prepared),
            Given::Begin(None) => self.make_ready(job, true),
        }
    }

    fn begin(&mut self, job: Job, prepared: Prepared) {
        // Of two jobs of a room that were made ready at a time, the second joins.
        if self.tasks.has(&job.room) {
            self.tasks.given(&job);
            return;
        }
        let (attachment, problem) = match prepared {
            Prepared::Call { attachment, problem } => (*attachment, problem),
            Prepared::Nothing { problem } => {
                self.unwanted(&job, problem);
                return self.dispatcher.order(Order::Finished { job, how: Finish::Done });
            }
            Prepared::Failed { problem } => {
                self.warn(&job, problem.clone());
                return self.dispatcher.order(Order::Finished { job, how: Finish::Failed { error: problem } });
            }
        };
        self.settings_of(&job, problem);
        let (stop, listener) = (self.host.stop_of_call(), self.listener.clone());
        let tell = move |call: &Call, report: &Report| listener.report(call, report);
        let attached = self.host.attach_until(attachment, tell, stop.clone());
        let (over, room) = (self.over.0.clone(), job.room.clone());
        tokio::spawn(async move {
            let ending = attached.await.unwrap_or(Ending::Broke);
            // Nobody is left to hear it when the worker was refused.
            let _ = over.send(Over { room, ending });
        });
        self.tasks.begun(job, stop);
        self.stands();
    }

    fn over(&mut self, Over { room, ending }: Over) {
        let Some((stop, own, others)) = self.tasks.ended(&room) else { return };
        let failed = |error: &str| Finish::Failed { error: error.to_owned() };
        // Also with the worker.
        let how = if stop.is_cancelled() { failed("the call was stopped") } else { finish(&ending) };
        if let Finish::Failed { error } = &how {
            tracing::info!(room = %without_numbers(&room), error, "a call is over for us");
        }
        let own = own.into_iter().map(|job| (job, how.clone()));
        let others = others.into_iter().map(|job| (job, failed("it came while the call before it ended")));
        for (job, how) in own.chain(others) {
            self.dispatcher.order(Order::Finished { job, how });
        }
        self.stands();
    }

    fn seek(&mut self) {
        if !self.state.has_room() {
            return self.seek_soon(SEEK_EVERY);
        }
        self.seeking = true;
        self.dispatcher.order(Order::Seek { held: self.tasks.rooms() });
    }

    fn sought(&mut self, sought: Sought) {
        self.seeking = false;
        self.seek_soon(SEEK_EVERY);
        if let Some(problem) = sought.problem {
            tracing::warn!(problem, looked_at = sought.looked_at, "not all rooms could be looked at");
        }
        for room in sought.asked_for {
            self.listener.news(&News::AskedFor { room });
        }
    }

    fn seek_soon(&mut self, at_least: Duration) {
        self.seek_at = Instant::now() + at_least + SEEK_EVERY.mul_f64(fastrand::f64());
    }
}

/// What the end of a call means for its jobs.
fn finish(ending: &Ending) -> Finish {
    let failed = |error: String| Finish::Failed { error };
    match ending {
        Ending::Ended { .. } | Ending::Refused(RoomError::PutOut { .. }) => Finish::Done,
        Ending::Refused(error) if error.is_superseded() => Finish::Replaced,
        Ending::Refused(error) => failed(format!("the room refused us: {error}")),
        Ending::Lost(error) => failed(format!("the room was lost: {error}")),
        Ending::Broke => failed("this program broke, which is a bug".to_owned()),
    }
}

fn call_of(job: &Job) -> Call {
    Call { room: job.room.clone(), session: None }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use std::num::NonZeroUsize;

    use tokio::time::timeout;

    use super::*;
    use crate::room::dispatch::Standing;
    use crate::runtime::host::Means;
    use crate::runtime::pool::RatingPool;
    use crate::runtime::worker::state::Limits;
    use crate::store::Store;
    use crate::telemetry::meter::Meter;
    use crate::tls::Authorities;

    #[derive(Clone)]
    struct Nobody;

    impl Listener for Nobody {
        fn report(&self, _: &Call, _: &Report) {}
        fn disabled(&self, _: &Call) {}
        fn news(&self, _: &News) {}
    }

    /// A worker of a dispatcher that a test plays.
    struct Played {
        worker: Worker<Nobody>,
        events: mpsc::Sender<Event>,
        orders: mpsc::UnboundedReceiver<Order>,
        stop: CancellationToken,
        meter: Arc<Meter>,
        folder: tempfile::TempDir,
    }

    async fn played(prepare: Preparing) -> Played {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store.db").to_str().unwrap().parse().unwrap()).await.unwrap();
        let (meter, stop) = (Arc::new(Meter::new()), CancellationToken::new());
        let authorities = Authorities::default();
        let means = Means { store, deliverer: None, sip_password: None, authorities, meter: Arc::clone(&meter) };
        let host = Host::start(means, stop.clone());
        let limits = Limits { calls: 2, rating: Duration::from_secs(2) };
        let state = WorkerState::new(limits, RatingPool::new(NonZeroUsize::MIN));
        let (events, heard) = mpsc::channel(8);
        let (said, mut taken) = mpsc::unbounded_channel();
        let (pass_on, orders) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            while let Some(order) = taken.recv().await {
                let _ = pass_on.send(order);
            }
        });
        let worker = Worker::new(host, state, Dispatcher::new(heard, said, task), prepare, Nobody);
        Played { worker, events, orders, stop, meter, folder }
    }

    fn job() -> Job {
        let [id, room, session, metadata] = ["AJ_1", "room_1", "RM_1", "{"].map(str::to_owned);
        Job { id, room, session, metadata }
    }

    #[tokio::test]
    async fn who_is_stopped_waits_for_no_call_that_has_not_begun() {
        let Played { worker, events, mut orders, stop, folder: _folder, .. } =
            played(Arc::new(|_| Box::pin(std::future::pending()))).await;
        tokio::time::pause();
        let drain = CancellationToken::new();
        let running = tokio::spawn(worker.run(drain.clone()));
        events.send(Event::Asked(job())).await.unwrap();
        let stands = |order: &Order, calls, full| matches!(order, Order::Standing(Standing { calls: c, full: f, .. }) if (*c, *f) == (calls, full));
        while !stands(&orders.recv().await.unwrap(), 1, false) {}
        drain.cancel();
        while !stands(&orders.recv().await.unwrap(), 1, true) {}
        assert!(!running.is_finished(), "the call may begin yet");
        stop.cancel();
        let ended = timeout(Duration::from_secs(9), running).await;
        assert!(matches!(ended, Ok(Ok(Ok(())))), "sooner than the job is given up");
    }

    #[tokio::test]
    async fn settings_of_a_call_that_cannot_be_used_are_counted() {
        let nothing = || Prepared::Nothing { problem: Some("it is no JSON".to_owned()) };
        let Played { worker, events, mut orders, meter, folder: _folder, .. } =
            played(Arc::new(move |_| Box::pin(std::future::ready(nothing())))).await;
        let running = tokio::spawn(worker.run(CancellationToken::new()));
        events.send(Event::Asked(job())).await.unwrap();
        let unwanted = Order::Answer { id: "AJ_1".to_owned(), answer: Answer::Unwanted };
        while orders.recv().await.unwrap() != unwanted {}
        let text = meter.text(None);
        for sample in ["sentiment_sidecar_call_settings_refused_total 1", "sentiment_sidecar_warnings_total 1"] {
            assert!(text.lines().any(|line| line == sample), "{sample} in\n{text}");
        }
        running.abort();
    }

    #[test]
    fn a_room_that_needs_somebody_else_is_not_said_to_be_done() {
        let done = |ending| finish(&ending) == Finish::Done;
        assert!(done(Ending::Ended { reason: "everybody has left".to_owned() }));
        assert!(done(Ending::Refused(RoomError::PutOut { reason: "we were removed from it" })));
        assert_eq!(finish(&Ending::Refused(RoomError::Superseded)), Finish::Replaced, "and begun again by nobody");
        assert!(!done(Ending::Refused(RoomError::Http { status: 401 })));
        assert!(!done(Ending::Lost(RoomError::Silent { missed: 2 })));
        assert!(!done(Ending::Broke));
    }

    #[test]
    fn news_are_events_of_a_worker() {
        let told = serde_json::to_value(News::Draining { calls: 2 }).unwrap_or_default();
        assert_eq!(told, serde_json::json!({"state": "draining", "calls": 2}));
    }
}
