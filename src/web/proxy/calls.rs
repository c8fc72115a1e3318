//! The calls that pass, and who hears them ([`Calls`]).

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::call::report::Report;
use crate::config::settings::Settings;
use crate::room::Target;
use crate::room::twilio::frames::Setup;
use crate::room::twilio::relay::BROKEN;
use crate::room::twilio::tap::{Spout, Tap, Tapped};
use crate::room::twilio::{Handoff, Platform, Twilio, Why, has_failed, is_final};
use crate::runtime::{Attachment, Call, Host};
use crate::sentiment::Rater;

/// How one call is heard.
pub struct Means {
    /// Its settings.
    pub settings: Arc<Settings>,
    /// Who rates.
    pub rater: Arc<dyn Rater>,
    /// Decide and record, and touch nothing.
    pub shadow: bool,
}

/// How the call of a setup is heard, if it is to be; and what is odd about it.
pub type Begin = dyn Fn(&Setup) -> (Option<Means>, Option<String>) + Send + Sync;
/// Who is told what the calls report.
type Tell = dyn Fn(&Call, &Report) + Send + Sync;

/// A call.
struct Entry {
    /// Another connection of it goes there.
    taps: mpsc::Sender<Tap>,
    /// That of the newest connection.
    spout: Spout,
    /// What the newest connection waits for.
    waits: Arc<Waits>,
    /// Which of those that had this id.
    number: u64,
}

/// What a connection waits for.
#[derive(Default)]
struct Waits {
    /// The call has another connection.
    replaced: CancellationToken,
    /// A transfer came off, or the caller is gone.
    settled: Notify,
    /// A transfer did not come off.
    failed: Notify,
}

/// A connection of a call, whose transfer may be under way.
pub(super) struct Connection {
    id: String,
    waits: Arc<Waits>,
}

impl Connection {
    /// Until the call is over, or has another connection: a caller whose human was not to be had may well come back, but to nobody
    /// who takes no calls any more, as after `stop`.
    pub(super) async fn for_outcome(&self, limit: Duration, stop: &CancellationToken) {
        let Waits { replaced, settled, failed } = &*self.waits;
        let over = async {
            tokio::select! {
                () = replaced.cancelled() => {}
                () = settled.notified() => {}
                () = async { failed.notified().await; stop.cancelled().await } => {}
            }
        };
        if timeout(limit, over).await.is_err() {
            tracing::info!("a transfer had no outcome, or its caller did not come back after it");
        }
    }
}

#[derive(Default)]
struct Known {
    entries: HashMap<String, Entry>,
    numbers: u64,
}

/// The calls of a proxy.
pub struct Calls {
    host: Arc<Host>,
    /// Where they are heard, which need not be where they pass.
    runtime: Handle,
    platform: Platform,
    begin: Box<Begin>,
    tell: Arc<Tell>,
    known: Arc<Mutex<Known>>,
    /// The hearing of each.
    heard: TaskTracker,
}

/// Nothing panics while it holds the lock but what whoever begins calls does, and the map is whole even then.
fn lock(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Calls {
    /// Calls of `platform` in `host`, that are heard as `begin` says, and told to `tell`. They are heard in the runtime that this is
    /// called in.
    pub fn new(
        host: Arc<Host>,
        platform: Platform,
        begin: impl Fn(&Setup) -> (Option<Means>, Option<String>) + Send + Sync + 'static,
        tell: impl Fn(&Call, &Report) + Send + Sync + 'static,
    ) -> Self {
        Self {
            host,
            runtime: Handle::current(),
            platform,
            begin: Box::new(begin),
            tell: Arc::new(tell),
            known: Arc::default(),
            heard: TaskTracker::new(),
        }
    }

    /// Something went wrong that belongs to no call yet.
    pub(super) fn warn(&self, detail: String) {
        self.warn_of(String::new(), detail);
    }

    fn warn_of(&self, room: String, detail: String) {
        tracing::warn!("{detail}");
        (self.tell)(&Call { room, session: None }, &Report::Warning { detail });
    }

    /// A connection's first message says which call it is. None where nobody hears it. `replaced` is cancelled when the call has
    /// another connection: the platform has given this one up then, though it may never say so.
    pub(super) fn begin(&self, first: &str, tap: Tap, spout: Spout, replaced: CancellationToken) -> Option<Connection> {
        let setup = Setup::read(first);
        let Some((setup, id)) = setup.and_then(|setup| setup.call_id().map(str::to_owned).map(|id| (setup, id))) else {
            self.warn("a call passes unheard: its first message is no setup, or names no call".to_owned());
            return None;
        };
        let beginning = AssertUnwindSafe(|| self.begin_call(&setup, id.clone(), tap, spout, replaced));
        catch_unwind(beginning).unwrap_or_else(|_| {
            // Whoever is told must not be what broke: then the relay takes it for unheard.
            let detail = "a call passes unheard: this program broke as it began, which is a bug; the log says where";
            self.warn_of(id, detail.to_owned());
            None
        })
    }

    fn begin_call(
        &self,
        setup: &Setup,
        id: String,
        tap: Tap,
        spout: Spout,
        replaced: CancellationToken,
    ) -> Option<Connection> {
        let waits = Arc::new(Waits { replaced, ..Waits::default() });
        let mut known = lock(&self.known);
        let tap = match known.entries.get_mut(&id) {
            Some(entry) => {
                entry.waits.replaced.cancel();
                match entry.taps.try_send(tap) {
                    Ok(()) => {
                        // What comes of a transfer is told to this one.
                        (entry.spout, entry.waits) = (spout, Arc::clone(&waits));
                        return Some(Connection { id, waits });
                    }
                    // Whoever heard it is gone.
                    Err(mpsc::error::TrySendError::Full(tap) | mpsc::error::TrySendError::Closed(tap)) => tap,
                }
            }
            None => tap,
        };
        let (means, odd) = (self.begin)(setup);
        if let Some(odd) = odd {
            self.warn_of(id.clone(), odd);
        }
        let (taps, connections) = mpsc::channel(4);
        taps.try_send(tap).ok()?;
        known.numbers += 1;
        let number = known.numbers;
        self.attach(id.clone(), number, means?, connections);
        known.entries.insert(id.clone(), Entry { taps, spout, waits: Arc::clone(&waits), number });
        Some(Connection { id, waits })
    }

    /// A connection is over, with this close code: that which its link is to be told. A call that goes on over another connection
    /// goes on for the link as well; one that is over is known no longer, so that whoever comes with its id is heard anew.
    pub(super) fn leave(&self, connection: &Connection, code: u16) -> u16 {
        let mut known = lock(&self.known);
        let newest = known.entries.get(&connection.id).map(|entry| Arc::ptr_eq(&entry.waits, &connection.waits));
        match newest {
            Some(true) if code != BROKEN => {
                known.entries.remove(&connection.id);
                code
            }
            Some(false) => BROKEN,
            _ => code,
        }
    }

    /// Hears a call to its end.
    fn attach(&self, id: String, number: u64, means: Means, connections: mpsc::Receiver<Tap>) {
        let _entered = self.runtime.enter();
        let handoff = Handoff::default();
        let room = Target::tapped(Twilio::new(self.platform, handoff.clone()), connections, id.clone());
        let Means { settings, rater, shadow } = means;
        let attachment = Attachment { settings, room, rater, shadow, recorder: None, journal: None };
        let tell = Arc::clone(&self.tell);
        let ended = self.host.attach(attachment, move |call, report| {
            if let Report::Escalation { alert_id, rule, severity, description, .. } = report {
                let (alert_id, reason) = (alert_id.to_string(), rule.name().to_owned());
                let (severity, description) = (severity.name().to_owned(), description.clone());
                handoff.set(Why { alert_id, reason, severity, description });
            }
            tell(call, report);
        });
        let known = Arc::clone(&self.known);
        self.heard.spawn(async move {
            if let Err(error) = ended.await {
                tracing::error!(%error, "the hearing of a call broke off; the call goes on");
            }
            let mut known = lock(&known);
            if known.entries.get(&id).is_some_and(|entry| entry.number == number) {
                known.entries.remove(&id);
            }
        });
    }

    /// Until whoever hears the calls has heard what passed. No connection comes any more, so that no call comes back.
    pub(super) async fn all_heard(&self, limit: Duration) {
        self.heard.close();
        lock(&self.known).entries.clear();
        if timeout(limit, self.heard.wait()).await.is_err() {
            tracing::warn!("calls that are over were not heard to their end");
        }
    }

    /// The platform said something about a call, beside its connection. Returns whether anybody heard it.
    pub(super) fn tell(&self, call: &str, tapped: Tapped) -> bool {
        let known = lock(&self.known);
        let Some(entry) = known.entries.get(call) else { return false };
        let Waits { settled, failed, .. } = &*entry.waits;
        let told = match &tapped {
            Tapped::Dialled(status) if has_failed(status) => Some(failed),
            Tapped::Dialled(status) if is_final(status) => Some(settled),
            _ => None,
        };
        // Before the connection that waits for it closes, and the tap with it.
        entry.spout.tell(tapped);
        if let Some(told) = told {
            told.notify_one();
        }
        true
    }
}
