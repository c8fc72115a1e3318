//! Carries out what the core wants, each thing in a task of its own, and brings the answers back as inputs.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{OnceCell, mpsc};
use tokio::time::{Duration, Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::call::escalation::{Alert, AlertId};
use crate::call::event::{DeliveryResult, Input, Output, StoreResult, StoreWrite};
use crate::call::report::Report;
use crate::config::secret::Secret;
use crate::config::settings::{ActionKind, Settings};
use crate::notify::clock::unix_ms;
use crate::notify::{Deliverer, Outgoing};
use crate::room::message::Welcome;
use crate::sentiment::{Opinions, RateError, Rater, TurnInContext};
use crate::store::Store;
use crate::transfer::sip::{SipAgent, Stop};
use crate::transfer::{self, Outcome, Progress, Route, TransferRequest};

/// How often what others left in the outbox is looked for: between so often and twice as rarely, at random, so that the
/// processes of a host do not all look at once.
const SWEEP_EVERY: Duration = Duration::from_secs(30);
/// How many of others' webhooks one process takes at a time.
const SWEEP_LIMIT: usize = 4;
/// How long a process that ends waits for the attempts that it has under way, beside an attempt's own timeout.
const SETTLE_SLACK: Duration = Duration::from_secs(2);

/// Who does the work outside the core.
pub struct Workers {
    /// Rates turns.
    pub rater: Arc<dyn Rater>,
    /// Keeps alerts.
    pub store: Store,
    /// Sends webhooks; none without signing secrets.
    pub deliverer: Option<Arc<Deliverer>>,
    /// Digest password for SIP.
    pub sip_password: Option<Secret>,
}

/// Something for the store, in order.
enum Job {
    Write(Box<StoreWrite>),
    Started { session_id: String, room_name: String },
    Ended { session_id: String, room_name: String, reason: String, turns: u32, escalated: bool },
}

pub(super) struct Edges {
    settings: Arc<Settings>,
    inputs: mpsc::UnboundedSender<Input>,
    rater: Arc<dyn Rater>,
    deliverer: Option<Arc<Deliverer>>,
    jobs: mpsc::UnboundedSender<Job>,
    unstored: usize,
    sip: Arc<OnceCell<Option<SipAgent>>>,
    sip_password: Option<Secret>,
    transfers: HashMap<AlertId, Stop>,
    session: Option<(String, String)>,
    tasks: TaskTracker,
    /// Cancelled when the call is over: no further attempt is begun.
    over: CancellationToken,
}

impl Edges {
    pub(super) fn new(settings: Arc<Settings>, workers: Workers, inputs: mpsc::UnboundedSender<Input>) -> Self {
        let (jobs, queue) = mpsc::unbounded_channel();
        let tasks = TaskTracker::new();
        let over = CancellationToken::new();
        let outgoing = Outgoing::from_settings(&settings.webhook);
        if let Some(deliverer) = &workers.deliverer {
            tasks.spawn(sweep(Arc::clone(deliverer), outgoing.clone(), over.clone()));
        }
        tasks.spawn(keep(workers.store, outgoing, queue, inputs.clone()));
        Self {
            settings,
            inputs,
            rater: workers.rater,
            deliverer: workers.deliverer,
            jobs,
            unstored: 0,
            sip: Arc::default(),
            sip_password: workers.sip_password,
            transfers: HashMap::new(),
            session: None,
            tasks,
            over,
        }
    }

    /// Whether every write so far has been answered.
    pub(super) fn all_stored(&self) -> bool {
        self.unstored == 0
    }

    /// The room let us in: notes the session, and gets SIP ready where a transfer will need it.
    pub(super) fn joined(&mut self, welcome: &Welcome) {
        let session = (welcome.session_id.clone(), welcome.room_name.clone());
        if self.session.as_ref() != Some(&session) {
            let (session_id, room_name) = session.clone();
            self.job(Job::Started { session_id, room_name });
            self.session = Some(session);
        }
        let over_sip =
            !matches!(transfer::choose_route(welcome, self.settings.sip.mode), None | Some(Route::RoomCommand));
        if over_sip && self.settings.action.kind() == ActionKind::Transfer {
            let (sip, settings, password) =
                (Arc::clone(&self.sip), Arc::clone(&self.settings), self.sip_password.clone());
            self.tasks.spawn(async move { agent(&sip, &settings, password).await.is_some() });
        }
    }

    /// Keeps the session's row in step with what the core reports.
    pub(super) fn reported(&mut self, report: &Report) {
        if let (Report::Ended { reason, turns, escalated, .. }, Some((session_id, room_name))) =
            (report, self.session.clone())
        {
            let (reason, turns, escalated) = (reason.clone(), *turns, *escalated);
            self.job(Job::Ended { session_id, room_name, reason, turns, escalated });
        }
    }

    /// Counts the answers that come back.
    pub(super) fn answered(&mut self, input: &Input) {
        match input {
            Input::Stored { .. } => self.unstored = self.unstored.saturating_sub(1),
            Input::TransferDone { alert_id, .. } => drop(self.transfers.remove(alert_id)),
            _ => {}
        }
    }

    pub(super) fn carry_out(&mut self, output: Output) {
        match output {
            Output::Rate { turn_id, rev, turn } => self.rate(turn_id, rev, turn),
            Output::Store { write } => {
                self.unstored += 1;
                self.job(Job::Write(Box::new(write)));
            }
            Output::Deliver { alert_id, unstored } => self.deliver(alert_id, unstored),
            Output::Transfer { request } => self.transfer(request),
            Output::CancelTransfer { alert_id } => {
                if let Some(stop) = self.transfers.get(&alert_id) {
                    stop.cancel.cancel();
                }
            }
            Output::StopAsking { alert_id } => {
                if let Some(stop) = self.transfers.get(&alert_id) {
                    stop.asking.cancel();
                }
            }
            Output::Room { .. } | Output::Report { .. } | Output::Wait { .. } | Output::Ended { .. } => {}
        }
    }

    fn job(&self, job: Job) {
        // The store's task lives until `jobs` is dropped, so it is there to hear this.
        drop(self.jobs.send(job));
    }

    /// Rates a turn by the deadline. What the rater thinks of later re-rates it, while the call lasts.
    fn rate(&self, turn_id: String, rev: u32, turn: TurnInContext) {
        let (rater, inputs, over) = (Arc::clone(&self.rater), self.inputs.clone(), self.over.clone());
        let deadline_ms = self.settings.rater_deadline_ms;
        self.tasks.spawn(async move {
            let opinions = timeout(Duration::from_millis(deadline_ms), rater.opinions(&turn)).await;
            let Opinions { first, later } =
                opinions.unwrap_or_else(|_| Opinions::only(Err(RateError::Deadline { deadline_ms })));
            drop(inputs.send(Input::Rated { turn_id: turn_id.clone(), rev, result: first.into() }));
            let Some(later) = later else { return };
            tokio::select! {
                () = over.cancelled() => {}
                later = later => if later.is_ok() {
                    drop(inputs.send(Input::Rated { turn_id, rev, result: later.into() }));
                }
            }
        });
    }

    /// Attempts until it is settled or the call is over; what is left then waits in the outbox.
    fn deliver(&self, alert_id: AlertId, unstored: Option<Box<Alert>>) {
        let Some(deliverer) = self.deliverer.clone() else { return };
        let (inputs, over, settings) = (self.inputs.clone(), self.over.clone(), Arc::clone(&self.settings));
        self.tasks.spawn(async move {
            if let Some(alert) = unstored {
                let Some(outgoing) = Outgoing::from_settings(&settings.webhook) else { return };
                let each = |result: &DeliveryResult| {
                    drop(inputs.send(Input::Delivery { alert_id: alert_id.clone(), result: result.clone() }));
                };
                deliverer.send_unstored(&alert, &outgoing, each).await;
                return;
            }
            loop {
                let result = deliverer.deliver_one(&alert_id).await;
                let again = match &result {
                    DeliveryResult::Retry { in_ms, .. } => Some(Duration::from_millis(*in_ms)),
                    DeliveryResult::Delivered { .. } | DeliveryResult::GaveUp { .. } => None,
                };
                drop(inputs.send(Input::Delivery { alert_id: alert_id.clone(), result }));
                let Some(wait) = again else { return };
                tokio::select! {
                    () = over.cancelled() => return,
                    () = sleep(wait) => {}
                }
            }
        });
    }

    fn transfer(&mut self, request: TransferRequest) {
        let alert_id = AlertId::from(request.alert_id.clone());
        let stop = Stop::default();
        self.transfers.insert(alert_id.clone(), stop.clone());
        let (sip, settings, password) = (Arc::clone(&self.sip), Arc::clone(&self.settings), self.sip_password.clone());
        let inputs = self.inputs.clone();
        self.tasks.spawn(async move {
            let (steps, mut heard) = mpsc::channel::<Progress>(16);
            let agent = agent(&sip, &settings, password).await;
            let outcome = match agent {
                None => Outcome::Unreachable { reason: "the SIP agent could not start".to_owned() },
                Some(agent) => {
                    let transfer = agent.transfer(request, steps, stop);
                    let (told, alert) = (inputs.clone(), alert_id.clone());
                    let listen = async move {
                        while let Some(progress) = heard.recv().await {
                            drop(told.send(Input::TransferProgress { alert_id: alert.clone(), progress }));
                        }
                    };
                    tokio::join!(transfer, listen).0
                }
            };
            drop(inputs.send(Input::TransferDone { alert_id, outcome }));
            drop(inputs);
            // A phone that was called does not ring on when this process ends.
            if let Some(agent) = agent {
                agent.released().await;
            }
        });
    }

    /// After the call: lets the attempts that are under way finish, begins none, and reports how they went.
    pub(super) async fn settle(self, inputs: &mut mpsc::UnboundedReceiver<Input>, tell: &mut impl FnMut(&Report)) {
        let Self { settings, tasks, over, jobs, inputs: sender, .. } = self;
        drop((jobs, sender));
        over.cancel();
        tasks.close();
        let deadline = Instant::now() + Duration::from_millis(settings.webhook.timeout_ms) + SETTLE_SLACK;
        // Ends when every task has dropped its sender, and with it all that it had to say.
        while let Ok(Some(input)) = timeout_at(deadline, inputs.recv()).await {
            if let Input::Delivery { alert_id, result } = input {
                tell(&Report::Delivery { alert_id, result });
            }
        }
        if timeout_at(deadline, tasks.wait()).await.is_err() {
            tracing::warn!("something was still under way; what is undelivered waits in the outbox");
        }
    }
}

/// The SIP agent, started when it is first needed.
async fn agent<'a>(
    cell: &'a OnceCell<Option<SipAgent>>,
    settings: &Settings,
    password: Option<Secret>,
) -> Option<&'a SipAgent> {
    let start = || async {
        SipAgent::start(&settings.sip, password)
            .await
            .inspect_err(|error| tracing::error!(%error, "the SIP agent did not start"))
            .ok()
    };
    cell.get_or_init(start).await.as_ref()
}

/// The store's one task: writes in order, so that an outcome never overtakes its alert.
async fn keep(
    store: Store,
    outgoing: Option<Outgoing>,
    mut queue: mpsc::UnboundedReceiver<Job>,
    inputs: mpsc::UnboundedSender<Input>,
) {
    while let Some(job) = queue.recv().await {
        let now = unix_ms();
        let done = match job {
            Job::Write(write) => {
                let alert_id = write.alert().id.clone();
                let written = store.write(&write, outgoing.as_ref(), now).await;
                let result = written.unwrap_or_else(|error| StoreResult::Failed { detail: error.to_string() });
                drop(inputs.send(Input::Stored { alert_id, result }));
                Ok(())
            }
            Job::Started { session_id, room_name } => store.session_started(&session_id, &room_name, now).await,
            Job::Ended { session_id, room_name, reason, turns, escalated } => {
                store.session_ended(&session_id, &room_name, &reason, turns, escalated, now).await
            }
        };
        if let Err(error) = done {
            tracing::error!(%error, "the session could not be noted in the store");
        }
    }
}

/// Sends what processes before this one left behind.
async fn sweep(deliverer: Arc<Deliverer>, outgoing: Option<Outgoing>, over: CancellationToken) {
    if let Some(outgoing) = outgoing
        && let Err(error) = deliverer.readmit(&outgoing).await
    {
        tracing::warn!(%error, "what was refused by an earlier allow-list could not be looked for");
    }
    let each = |alert_id: &AlertId, result: &DeliveryResult| {
        tracing::info!(%alert_id, ?result, "attempted a webhook that an earlier process left");
    };
    loop {
        if let Err(error) = deliverer.sweep_until(SWEEP_LIMIT, &over, each).await {
            tracing::warn!(%error, "the outbox could not be looked through");
        }
        tokio::select! {
            () = over.cancelled() => return,
            () = sleep(SWEEP_EVERY.mul_f64(1.0 + fastrand::f64())) => {}
        }
    }
}
