//! The one task that writes to the store, in the order in which it was asked ([`Writer`]).

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::alert::outgoing::Outgoing;
use crate::alert::record::{StoreResult, StoreWrite};
use crate::call::event::Input;
use crate::clock::unix_ms;
use crate::store::Store;

/// Something for the store.
pub(super) enum Job {
    /// An alert or its outcome; the result goes to the call.
    Write { write: Box<StoreWrite>, outgoing: Option<Arc<Outgoing>>, inputs: mpsc::UnboundedSender<Input> },
    /// A room let a call's sidecar in.
    Started { session_id: String, room_name: String },
    /// A call is over.
    Ended { session_id: String, room_name: String, reason: String, turns: u32, escalated: bool },
}

/// A way to the task. An outcome never overtakes its alert, whichever call it is of; a call that breaks leaves what it
/// handed over.
#[derive(Debug, Clone)]
pub(super) struct Writer(mpsc::UnboundedSender<Job>);

impl Writer {
    /// Starts the task. It ends when all ways to it are gone.
    pub(super) fn start(store: Store) -> (Self, JoinHandle<()>) {
        let (jobs, queue) = mpsc::unbounded_channel();
        (Self(jobs), tokio::spawn(write(store, queue)))
    }

    pub(super) fn hand(&self, job: Job) {
        // The task lives as long as there is a way to it, so it is there to hear this.
        drop(self.0.send(job));
    }
}

async fn write(store: Store, mut queue: mpsc::UnboundedReceiver<Job>) {
    while let Some(job) = queue.recv().await {
        let now = unix_ms();
        let done = match job {
            Job::Write { write, outgoing, inputs } => {
                let alert_id = write.alert().id.clone();
                let written = store.write(&write, outgoing.as_deref(), now).await;
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
