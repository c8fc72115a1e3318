//! Calls that a dispatcher gives out: what a worker hears of it and says to it, in any dialect ([`Dispatcher`]).

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::error::RoomError;
use crate::telemetry::shown::without_numbers;

/// How long a dispatcher may take to say the last that it has to say.
const GOODBYE: Duration = Duration::from_secs(5);

/// A call that somebody is wanted for.
#[derive(Clone, PartialEq, Eq)]
pub struct Job {
    /// The dispatcher's.
    pub id: String,
    /// The room of the call.
    pub room: String,
    /// Which opening of that room: another one when a room of its name is opened again.
    pub session: String,
    /// What the platform says of it, in any form; often nothing.
    pub metadata: String,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whatever a platform says of its calls is no matter for logs, nor are the numbers that rooms are named after.
        f.debug_struct("Job").field("id", &self.id).field("room", &without_numbers(&self.room)).finish_non_exhaustive()
    }
}

/// What a worker hears.
#[derive(Debug)]
pub enum Event {
    /// The dispatcher knows us.
    Registered {
        /// As whom.
        worker: String,
    },
    /// No connection to the dispatcher; another try follows. Calls go on.
    Lost {
        /// Why.
        detail: String,
        /// When it is tried again, in ms from now.
        retry_in_ms: u64,
    },
    /// The dispatcher will not have us. Nothing follows.
    Refused(RoomError),
    /// Whether we take a job: [`Order::Answer`] says so.
    Asked(Job),
    /// We have it.
    Assigned(Job),
    /// It is to end.
    Terminated {
        /// The job.
        id: String,
    },
    /// The rooms that [`Order::Seek`] asked about were looked at.
    Sought(Sought),
}

/// What came of looking at rooms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sought {
    /// How many rooms were looked at.
    pub looked_at: usize,
    /// For which of them somebody was asked for.
    pub asked_for: Vec<String>,
    /// Why not all of them could be looked at.
    pub problem: Option<String>,
}

/// What a worker says.
#[derive(Debug, Clone, PartialEq)]
pub enum Order {
    /// Whether it takes a job.
    Answer {
        /// The job.
        id: String,
        /// Whether.
        answer: Answer,
    },
    /// A job is over.
    Finished {
        /// The job.
        job: Job,
        /// How.
        how: Finish,
    },
    /// How the worker stands. The last one counts, also for a dispatcher that was away.
    Standing(Standing),
    /// To look at rooms, and to ask for somebody for each that has a caller, should have one of us, and has none.
    Seek {
        /// Rooms that the worker has, which need no look.
        held: BTreeSet<String>,
    },
}

/// Whether a worker takes a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It does.
    Take,
    /// Another one should.
    Pass,
    /// Nobody need do anything.
    Unwanted,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finish {
    /// There is no more to be done in this room.
    Done,
    /// Somebody else has it. Whoever was told that it failed could ask for one of us again, who would put that one out.
    Replaced,
    /// Somebody else may have to go on with it.
    Failed {
        /// Why.
        error: String,
    },
}

/// How a worker stands.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Standing {
    /// Whether it takes no more.
    pub full: bool,
    /// How much of what it can do it does, from 0 to 1.
    pub load: f32,
    /// How many calls it has.
    pub calls: u32,
}

/// The worker's end of a dispatcher. Dropping it cuts the connection; [`Dispatcher::close`] says what is left to say.
#[derive(Debug)]
pub struct Dispatcher {
    events: mpsc::Receiver<Event>,
    orders: mpsc::UnboundedSender<Order>,
    task: JoinHandle<()>,
}

impl Dispatcher {
    /// Of a task that tells `events` and takes `orders`, and ends when nobody gives any more.
    pub(crate) fn new(
        events: mpsc::Receiver<Event>,
        orders: mpsc::UnboundedSender<Order>,
        task: JoinHandle<()>,
    ) -> Self {
        Self { events, orders, task }
    }

    /// What comes next; cancel-safe. None once nothing will come.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// Says something. Never waits.
    pub fn order(&self, order: Order) {
        // After a refusal nobody listens.
        let _ = self.orders.send(order);
    }

    /// Lets it say what is left to say, for 5 s at most.
    pub async fn close(self) {
        let Self { mut events, orders, mut task } = self;
        drop(orders);
        let drained = async {
            while events.recv().await.is_some() {}
            let _ = (&mut task).await;
        };
        if timeout(GOODBYE, drained).await.is_err() {
            tracing::debug!("the dispatcher did not take all that was left to say");
            task.abort();
        }
    }
}
