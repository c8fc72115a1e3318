//! One call's edges: carries out what the core wants, each thing in a task of its own, and brings the answers back as inputs.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, Span};

use super::about::Caller;
use super::host::Host;
use super::rating::rate;
use super::standing::Standing;
use super::transcript::Transcript;
use super::writer::Writer;
use crate::alert::outcome::{Outcome, Progress};
use crate::alert::outgoing::Outgoing;
use crate::alert::record::{DeliveryResult, StoreWrite};
use crate::alert::{Alert, AlertId};
use crate::call::event::{Input, Output};
use crate::call::report::Report;
use crate::call::route::{Route, TransferRequest, choose_route};
use crate::clock::Millis;
use crate::config::settings::{ActionKind, Settings};
use crate::notify::Deliverer;
use crate::room::message::{RoomMessage, Welcome};
use crate::sentiment::{RateError, Rater, Rating, TurnInContext};
use crate::store::Change;
use crate::transfer::sip::{Stop, check_handover};

/// How long a call that ends waits for the attempts that it has under way, beside an attempt's own timeout: one may have to
/// wait up to 3 s for its turn.
const SETTLE_SLACK: Duration = Duration::from_secs(5);

pub(super) struct Edges {
    settings: Arc<Settings>,
    host: Arc<Host>,
    inputs: mpsc::UnboundedSender<Input>,
    rater: Arc<dyn Rater>,
    outgoing: Arc<[Outgoing]>,
    caller: Caller,
    transcript: Transcript,
    standing: Standing,
    unstored: usize,
    transfers: HashMap<AlertId, Stop>,
    session: Option<(String, String)>,
    /// Whether the room ended the call.
    call_is_over: bool,
    tasks: TaskTracker,
    /// Cancelled when the call is over: no further attempt is begun.
    over: CancellationToken,
    span: Span,
}

impl Edges {
    pub(super) fn new(
        host: Arc<Host>,
        settings: Arc<Settings>,
        rater: Arc<dyn Rater>,
        inputs: mpsc::UnboundedSender<Input>,
    ) -> Self {
        let outgoing: Arc<[Outgoing]> = Outgoing::from_settings(&settings.webhook).into();
        host.readmit(Arc::clone(&outgoing));
        Self {
            outgoing,
            caller: Caller::default(),
            transcript: Transcript::new(&settings),
            standing: Standing::new(host.live.clone(), &settings),
            settings,
            host,
            inputs,
            rater,
            unstored: 0,
            transfers: HashMap::new(),
            session: None,
            call_is_over: false,
            tasks: TaskTracker::new(),
            over: CancellationToken::new(),
            span: Span::current(),
        }
    }

    /// Does something in a task of its own, whose log lines name the call.
    fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) {
        self.tasks.spawn(work.instrument(self.span.clone()));
    }

    /// Whether every write so far has been answered.
    pub(super) fn all_stored(&self) -> bool {
        self.unstored == 0
    }

    /// Why a transfer will not be able to use the SIP dialog that the room hands over: said while there is time to mend it.
    pub(super) fn unusable_dialog(&self, welcome: &Welcome) -> Option<String> {
        if self.settings.action.kind() != ActionKind::Transfer {
            return None;
        }
        let bad = check_handover(welcome, &self.settings.sip).err()?;
        Some(format!("the SIP dialog that the room hands over cannot be used for a transfer: {bad}"))
    }

    /// Takes note of what the room says, for those who are told of it.
    pub(super) fn heard(&mut self, now: Millis, message: &RoomMessage) {
        self.caller.heard(message);
        self.transcript.heard(now, message);
        self.standing.heard(message, &self.caller);
    }

    /// The room let us in: notes the session, and gets SIP ready where a transfer will need it.
    pub(super) fn joined(&mut self, welcome: &Welcome) {
        let session = (welcome.session_id.clone(), welcome.room_name.clone());
        if self.session.as_ref() != Some(&session) {
            let (session_id, room_name) = session.clone();
            let caller = self.caller.number();
            self.host.writer.note(Change::SessionStarted { session_id, room_name, caller });
            self.session = Some(session);
        }
        self.standing.joined(welcome, &self.caller);
        let over_sip = !matches!(choose_route(welcome, self.settings.sip.mode), None | Some(Route::RoomCommand));
        if over_sip && self.settings.action.kind() == ActionKind::Transfer {
            let (host, settings) = (Arc::clone(&self.host), Arc::clone(&self.settings));
            self.spawn(async move { drop(host.sip.of(&settings.sip).await) });
        }
    }

    /// The room ended the call.
    pub(super) fn call_is_over(&mut self) {
        self.call_is_over = true;
    }

    /// Keeps the session's row in step with what the core reports.
    pub(super) fn reported(&mut self, report: &Report) {
        self.caller.reported(report);
        self.standing.reported(report, &self.caller);
        self.transcript.reported(report);
        if let (Report::Ended { reason, turns, escalated, .. }, Some((session_id, room_name))) =
            (report, self.session.clone())
        {
            let (reason, turns, escalated) = (reason.clone(), *turns, *escalated);
            let left = self.caller.left();
            let kept = self.transcript.kept(&room_name, escalated);
            let (id, name, caller) = (session_id.clone(), room_name.clone(), self.caller.number());
            let of = caller.clone();
            let ended = Change::SessionEnded { session_id, room_name, caller, reason, turns, escalated, left };
            self.host.writer.note(ended);
            if let Some((recording, course)) = kept {
                let course = Box::new(course);
                self.host.writer.note(Change::Transcript {
                    session_id: id,
                    room_name: name,
                    caller: of,
                    recording,
                    course,
                });
            }
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
            Output::Store { mut write } => {
                self.unstored += 1;
                let (StoreWrite::Alert { alert, .. } | StoreWrite::Outcome { alert, .. }) = &mut write;
                self.caller.add_to(alert, &self.settings);
                let (outgoing, inputs) = (Arc::clone(&self.outgoing), self.inputs.clone());
                self.host.writer.ask(Change::Alert { write: Box::new(write), outgoing }, inputs);
            }
            Output::Deliver { alert_id, unstored } => self.deliver(&alert_id, unstored),
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

    /// Rates a turn, while the call lasts.
    fn rate(&self, turn_id: String, rev: u32, turn: TurnInContext) {
        let (rater, inputs, over) = (Arc::clone(&self.rater), self.inputs.clone(), self.over.clone());
        let (meter, deadline_ms) = (Arc::clone(&self.host.meter), self.settings.rater_deadline_ms);
        self.spawn(async move {
            let answer = |result: Result<Rating, RateError>| {
                drop(inputs.send(Input::Rated { turn_id: turn_id.clone(), rev, result: result.into() }));
            };
            tokio::select! {
                () = rate(&*rater, &turn, deadline_ms, &meter, answer) => {}
                () = over.cancelled() => {}
            }
        });
    }

    /// Tells every place of an alert. Attempts until that is settled or the call is over; what is left then waits in the
    /// outbox.
    fn deliver(&mut self, alert_id: &AlertId, unstored: Option<Box<Alert>>) {
        let Some(deliverer) = self.host.deliverer.clone() else { return };
        let unstored = unstored.map(|mut alert| {
            self.caller.add_to(&mut alert, &self.settings);
            alert
        });
        for at in 0..self.outgoing.len() {
            let errand = Errand {
                deliverer: Arc::clone(&deliverer),
                alert_id: alert_id.clone(),
                outgoing: Arc::clone(&self.outgoing),
                at,
                inputs: self.inputs.clone(),
                over: self.over.clone(),
            };
            match unstored.clone() {
                None => self.spawn(errand.until_settled()),
                Some(alert) => self.spawn(errand.past_the_store(alert, self.host.writer.clone())),
            }
        }
    }

    fn transfer(&mut self, request: TransferRequest) {
        let alert_id = AlertId::from(request.alert_id.clone());
        let stop = Stop::default();
        self.transfers.insert(alert_id.clone(), stop.clone());
        let (host, settings, inputs) = (Arc::clone(&self.host), Arc::clone(&self.settings), self.inputs.clone());
        self.spawn(async move {
            let (steps, mut heard) = mpsc::channel::<Progress>(16);
            let agent = host.sip.of(&settings.sip).await;
            let outcome = match agent.agent() {
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
        });
    }

    /// After the call: lets the attempts that are under way finish, begins none, and reports how they went.
    pub(super) async fn settle(self, inputs: &mut mpsc::UnboundedReceiver<Input>, tell: &mut impl FnMut(&Report)) {
        let Self { settings, host, session, call_is_over, tasks, over, inputs: sender, mut standing, .. } = self;
        standing.over();
        // With it this call's way to the board goes.
        drop(standing);
        drop(sender);
        over.cancel();
        tasks.close();
        let deadline = Instant::now() + Duration::from_millis(settings.webhook.timeout_ms) + SETTLE_SLACK;
        // Ends when every task has dropped its sender, and with it all that it had to say.
        while let Ok(Some(input)) = timeout_at(deadline, inputs.recv()).await {
            if let Input::Delivery { alert_id, result, target } = input {
                tell(&Report::Delivery { alert_id, result, target });
            }
        }
        if timeout_at(deadline, tasks.wait()).await.is_err() {
            tracing::warn!("something was still under way; what is undelivered waits in the outbox");
        }
        // Until now a process that takes over is one of this call, also where the room has ended it.
        if let Some((session_id, room_name)) = session.filter(|_| call_is_over) {
            host.writer.note(Change::SessionOver { session_id, room_name });
        }
    }
}

/// An alert on its way to one place.
struct Errand {
    deliverer: Arc<Deliverer>,
    alert_id: AlertId,
    outgoing: Arc<[Outgoing]>,
    /// Which of them.
    at: usize,
    inputs: mpsc::UnboundedSender<Input>,
    over: CancellationToken,
}

impl Errand {
    fn outgoing(&self) -> Option<&Outgoing> {
        self.outgoing.get(self.at)
    }

    fn tell(&self, result: DeliveryResult) {
        let target = self.outgoing().map(|outgoing| outgoing.target.clone()).unwrap_or_default();
        drop(self.inputs.send(Input::Delivery { alert_id: self.alert_id.clone(), result, target }));
    }

    /// Sends what the store has.
    async fn until_settled(self) {
        let Some(target) = self.outgoing().map(|outgoing| outgoing.target.clone()) else { return };
        loop {
            let result = self.deliverer.deliver_to(&self.alert_id, &target).await;
            let again = match &result {
                DeliveryResult::Retry { in_ms, .. } => Some(Duration::from_millis(*in_ms)),
                DeliveryResult::Delivered { .. } | DeliveryResult::GaveUp { .. } => None,
            };
            self.tell(result);
            let Some(wait) = again else { return };
            tokio::select! {
                () = self.over.cancelled() => return,
                () = sleep(wait) => {}
            }
        }
    }

    /// Sends what the store would not take.
    async fn past_the_store(self, alert: Box<Alert>, writer: Writer) {
        let Some(outgoing) = self.outgoing() else { return };
        let each = |result: &DeliveryResult| self.tell(result.clone());
        if let DeliveryResult::Delivered { status, .. } = self.deliverer.send_unstored(&alert, outgoing, each).await {
            // Should the store take it after all, it is not sent again.
            writer.note(Change::Told { alert, outgoing: Box::new(outgoing.clone()), status });
        }
    }
}
