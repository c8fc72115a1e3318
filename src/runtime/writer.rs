//! The one task that writes to the store, in the order in which it was asked ([`Writer`]).

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::alert::AlertId;
use crate::alert::record::StoreResult;
use crate::call::event::Input;
use crate::clock::unix_ms;
use crate::store::{Change, Store};
use crate::telemetry::meter::Meter;

/// How many changes wait for the disk together.
const BATCH: usize = 256;

/// Something for the store, and who is told of an alert's.
pub(super) struct Job {
    pub(super) change: Change,
    pub(super) inputs: Option<mpsc::UnboundedSender<Input>>,
    asked: Instant,
}

/// A way to the task. An outcome never overtakes its alert, whichever call it is of; a call that breaks leaves what it
/// handed over.
#[derive(Debug, Clone)]
pub(super) struct Writer(mpsc::UnboundedSender<Job>);

impl Writer {
    /// Starts the task. It ends when all ways to it are gone.
    pub(super) fn start(store: Store, meter: Arc<Meter>) -> (Self, JoinHandle<()>) {
        let (jobs, queue) = mpsc::unbounded_channel();
        (Self(jobs), tokio::spawn(write(store, queue, meter)))
    }

    /// Writes what a call waits for: the answer comes to `inputs`.
    pub(super) fn ask(&self, change: Change, inputs: mpsc::UnboundedSender<Input>) {
        self.hand(change, Some(inputs));
    }

    /// Writes what nobody waits for.
    pub(super) fn note(&self, change: Change) {
        self.hand(change, None);
    }

    fn hand(&self, change: Change, inputs: Option<mpsc::UnboundedSender<Input>>) {
        // The task lives as long as there is a way to it, so it is there to hear this.
        drop(self.0.send(Job { change, inputs, asked: Instant::now() }));
    }
}

async fn write(store: Store, mut queue: mpsc::UnboundedReceiver<Job>, meter: Arc<Meter>) {
    let mut jobs = Vec::new();
    // What comes while the disk is at work is written next, all at once.
    while queue.recv_many(&mut jobs, BATCH).await > 0 {
        let (changes, askers): (Vec<Change>, Vec<_>) =
            jobs.drain(..).map(|job| (job.change, (job.inputs, job.asked))).unzip();
        let results = store.apply(&changes, unix_ms()).await;
        for ((change, (inputs, asked)), result) in changes.iter().zip(askers).zip(results) {
            meter.stored(asked.elapsed(), result.is_ok());
            match (alert_id(change), inputs) {
                (Some(alert_id), Some(inputs)) => {
                    let result = result.unwrap_or_else(|error| StoreResult::Failed { detail: error.to_string() });
                    drop(inputs.send(Input::Stored { alert_id, result }));
                }
                _ => {
                    if let Err(error) = result {
                        tracing::error!(%error, "what belongs to the session could not be noted in the store");
                    }
                }
            }
        }
    }
}

fn alert_id(change: &Change) -> Option<AlertId> {
    match change {
        Change::Alert { write, .. } => Some(write.alert().id.clone()),
        Change::Told { .. }
        | Change::SessionStarted { .. }
        | Change::SessionEnded { .. }
        | Change::SessionOver { .. }
        | Change::Transcript { .. } => None,
    }
}
