//! What a process owns once, for all its calls: [`Host`].

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::attachment::{Attachment, Call, Ending};
use super::counted::delivered;
use super::live::Live;
use super::sip_agents::SipAgents;
use super::writer::Writer;
use crate::alert::outgoing::Outgoing;
use crate::alert::record::DeliveryResult;
use crate::call::report::Report;
use crate::config::secret::Secret;
use crate::notify::Deliverer;
use crate::store::{Claim, Store};
use crate::telemetry::meter::Meter;
use crate::telemetry::shown::without_numbers;
use crate::tls::Authorities;

/// How often what others left in the outbox is looked for: between so often and twice as rarely, at random, so that the
/// processes of a machine do not all look at once.
const SWEEP_EVERY: Duration = Duration::from_secs(30);
/// How many of others' webhooks one process takes at a time.
const SWEEP_LIMIT: usize = 4;
/// How long a host that closes waits for what its calls have handed over.
const CLOSE_LIMIT: Duration = Duration::from_secs(15);

/// What a host is made of.
pub struct Means {
    /// Keeps alerts.
    pub store: Store,
    /// Sends alerts; none where there are no secrets for it.
    pub deliverer: Option<Arc<Deliverer>>,
    /// Digest password for SIP.
    pub sip_password: Option<Secret>,
    /// Who vouches for the servers that are dialled.
    pub authorities: Authorities,
    /// Where what happens is counted.
    pub meter: Arc<Meter>,
}

/// What a process owns once: the store and its one writer, what the board is told, the deliverer, one sweeper, the SIP agents, whom TLS trusts, the
/// meter, and the request to stop. It serves any number of calls, each a task of its own.
pub struct Host {
    pub(super) deliverer: Option<Arc<Deliverer>>,
    pub(super) sip: SipAgents,
    pub(super) authorities: Authorities,
    pub(super) writer: Writer,
    pub(super) live: Live,
    pub(super) meter: Arc<Meter>,
    /// Asks all calls to finish.
    stop: CancellationToken,
    /// No further attempt is begun.
    over: CancellationToken,
    calls: TaskTracker,
    background: Mutex<Vec<JoinHandle<()>>>,
}

impl Host {
    /// Starts what all calls share. Cancelling `stop` asks every call to finish. Must be called inside a tokio runtime.
    #[must_use]
    pub fn start(means: Means, stop: CancellationToken) -> Arc<Self> {
        let (live, telling) = Live::start(&means.store);
        Self::with(means, stop, live, vec![telling])
    }

    /// The same, but the board is told of none of its calls: what telling it costs is measured against this.
    #[must_use]
    pub fn start_off_board(means: Means, stop: CancellationToken) -> Arc<Self> {
        Self::with(means, stop, Live::to_nobody(), Vec::new())
    }

    fn with(means: Means, stop: CancellationToken, live: Live, mut background: Vec<JoinHandle<()>>) -> Arc<Self> {
        let (writer, writing) = Writer::start(means.store, Arc::clone(&means.meter));
        let over = CancellationToken::new();
        background.push(writing);
        if let Some(deliverer) = &means.deliverer {
            let (deliverer, meter) = (Arc::clone(deliverer), Arc::clone(&means.meter));
            background.push(tokio::spawn(sweep(deliverer, over.clone(), meter)));
        }
        Arc::new(Self {
            deliverer: means.deliverer,
            sip: SipAgents::new(means.sip_password),
            authorities: means.authorities,
            writer,
            live,
            meter: means.meter,
            stop,
            over,
            calls: TaskTracker::new(),
            background: Mutex::new(background),
        })
    }

    /// Joins a room and works until its call ends, the room is lost for good, or the host is asked to stop. `tell` gets
    /// every report in order, with the call that it is of. A call that panics ends alone: it is reported, and what it had
    /// decided is in the store, as if its process had died a moment later.
    pub fn attach(
        self: &Arc<Self>,
        attachment: Attachment,
        tell: impl FnMut(&Call, &Report) + Send + 'static,
    ) -> JoinHandle<Ending> {
        let stop = self.stop_of_call();
        self.attach_until(attachment, tell, stop)
    }

    /// What asks a call to finish: of its own, or with all others.
    #[must_use]
    pub fn stop_of_call(&self) -> CancellationToken {
        self.stop.child_token()
    }

    /// What asks all calls to finish.
    pub(super) fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// The same as [`Host::attach`], with a [`Host::stop_of_call`] of the caller's.
    pub fn attach_until(
        self: &Arc<Self>,
        attachment: Attachment,
        tell: impl FnMut(&Call, &Report) + Send + 'static,
        stop: CancellationToken,
    ) -> JoinHandle<Ending> {
        let host = Arc::clone(self);
        let span = tracing::error_span!(
            "call",
            room = %without_numbers(&attachment.room.room_name),
            session = tracing::field::Empty
        );
        self.calls.spawn(async move { attachment.run(&host, tell, stop).await }.instrument(span))
    }

    /// Lets what was refused by an earlier allow-list be sent by the one of these settings.
    pub(super) fn readmit(&self, outgoing: Arc<[Outgoing]>) {
        let Some(deliverer) = self.deliverer.clone() else { return };
        let (over, meter) = (self.over.clone(), Arc::clone(&self.meter));
        tokio::spawn(async move {
            let mut any = false;
            for place in outgoing.iter() {
                match deliverer.readmit(place).await {
                    Ok(readmitted) => any |= readmitted > 0,
                    Err(error) => {
                        tracing::warn!(%error, "what was refused by an earlier allow-list could not be looked for");
                    }
                }
            }
            if any {
                look_through(&deliverer, &over, &meter).await;
            }
        });
    }

    /// How many calls there are.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.calls.len()
    }

    /// Waits until all calls are over, then until what they have handed over is done, for 15 s at most: what is
    /// undelivered by then waits in the outbox.
    pub async fn close(self: Arc<Self>) {
        self.calls.close();
        self.calls.wait().await;
        self.over.cancel();
        let background = std::mem::take(&mut *self.background.lock().unwrap_or_else(PoisonError::into_inner));
        let done = async move {
            self.sip.released().await;
            // With the host the last way to the writer goes.
            drop(self);
            for task in background {
                if let Err(error) = task.await {
                    tracing::error!(%error, "what all calls share broke off");
                }
            }
        };
        if timeout(CLOSE_LIMIT, done).await.is_err() {
            tracing::warn!("something was still under way; what is undelivered waits in the outbox");
        }
    }
}

/// Sends what processes before this one left behind.
async fn sweep(deliverer: Arc<Deliverer>, over: CancellationToken, meter: Arc<Meter>) {
    loop {
        look_through(&deliverer, &over, &meter).await;
        tokio::select! {
            () = over.cancelled() => return,
            () = sleep(SWEEP_EVERY.mul_f64(1.0 + fastrand::f64())) => {}
        }
    }
}

/// Attempts a few of what is due in the outbox.
async fn look_through(deliverer: &Deliverer, over: &CancellationToken, meter: &Meter) {
    let each = |claim: &Claim, result: &DeliveryResult| {
        delivered(meter, result);
        let (alert_id, target) = (&claim.alert_id, &claim.outgoing.target);
        tracing::info!(%alert_id, target, ?result, "attempted a webhook that an earlier process left");
    };
    if let Err(error) = deliverer.sweep_until(SWEEP_LIMIT, over, each).await {
        tracing::warn!(%error, "the outbox could not be looked through");
    }
}
