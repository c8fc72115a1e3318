//! The REFER of a transfer: sent, accepted, and waited for until its result is notified.

use std::net::SocketAddr;

use rsipstack::sip::HeadersExt as _;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::attended::sdp;
use super::collision::{MAX_COLLISIONS, pause};
use super::exchange::{Answer, Sign, exchange, reason};
use super::inbox::{Watching, tell};
use super::notify::{Order, Session, Watch};
use super::refer::{Plan, ReferTo};
use super::steps::Steps;
use super::subscription::{Event, LastCall, Step, Subscription};
use super::uri::HopUri;
use super::wire::Path;
use super::{DIALOG_IN_USE, SipAgent, bad_dialog};
use crate::alert::outcome::{Outcome, Progress, TERMINATED};

/// A dialog, what is heard of it, and who listens to it, if anybody does yet.
pub(super) struct Watched {
    pub(super) events: mpsc::UnboundedSender<Event>,
    pub(super) news: mpsc::UnboundedReceiver<Event>,
    pub(super) watching: Option<Watching>,
}

impl Watched {
    /// One that nobody listens to.
    pub(super) fn new() -> Self {
        let (events, news) = mpsc::unbounded_channel();
        Self { events, news, watching: None }
    }
}

impl SipAgent {
    /// Refers the caller; `watched` is what has been heard of their dialog so far.
    pub(super) async fn refer(
        &self,
        plan: &Plan,
        refer_to: &ReferTo,
        deadline: Instant,
        steps: &Steps,
        cancel: &CancellationToken,
        watched: Watched,
    ) -> Outcome {
        // The watch outlives the work below: what is notified after the REFER's response is what counts.
        let Watched { events, mut news, mut watching } = watched;
        let (mut subscription, mut until, mut working) = (Subscription::new(), deadline, true);
        let work = self.work(plan, refer_to, &events, &mut watching);
        tokio::pin!(work);
        loop {
            let event = tokio::select! {
                biased;
                Some(event) = news.recv() => event,
                () = cancel.cancelled() => Event::Cancelled,
                done = &mut work, if working => {
                    working = false;
                    match done {
                        Ok(()) => continue,
                        Err(outcome) => return outcome,
                    }
                }
                () = tokio::time::sleep_until(until) => Event::Deadline,
            };
            let Step { progress, outcome, last_call } = subscription.handle(event);
            if last_call == Some(LastCall::Terminated) {
                steps.tell(Progress { step: TERMINATED.to_owned(), sip_status: None });
            }
            if let Some(told) = progress {
                steps.tell(told);
            }
            if let Some(outcome) = outcome {
                return outcome;
            }
            let time_left = last_call.map(|last_call| match last_call {
                LastCall::HungUp => self.timing.bye_grace,
                LastCall::Terminated => self.timing.settle,
            });
            until = time_left.map_or(until, |time| until.min(Instant::now() + time));
        }
    }

    /// Sends the REFER and sees it through to its response; all that happens goes to `events`.
    async fn work(
        &self,
        plan: &Plan,
        refer_to: &ReferTo,
        events: &mpsc::UnboundedSender<Event>,
        watching: &mut Option<Watching>,
    ) -> Result<(), Outcome> {
        let path = match self.wire.path(&plan.hop, self.settings.transport).await {
            Ok(path) => path,
            Err(reason) => {
                tell(events, Event::NotSent { reason });
                return Ok(());
            }
        };
        let mut message = plan.message(refer_to, &self.settings, path.leg.local).map_err(|bad| bad_dialog(&bad))?;
        let watch = self.watch_of(plan, &path, events.clone()).await;
        let in_use = || Outcome::Rejected {
            code: DIALOG_IN_USE.to_owned(),
            reason: "another transfer works in the same dialog".to_owned(),
        };
        let key = (message.call_id.as_str().to_owned(), message.local_tag.as_str().to_owned());
        if plan.is_in_dialog() {
            message.cseq = self.numbers.unused(&key, message.cseq);
        }
        let watching: &Watching = match watching {
            Some(earlier) => {
                earlier.update(|known| {
                    known.peers.extend(watch.peers);
                    known.secure = watch.secure;
                });
                earlier
            }
            None => {
                let watch = self.inbox.watch(key.clone(), watch, self.timing.timer_f());
                watching.insert(watch.ok_or_else(in_use)?)
            }
        };
        for collisions in 0.. {
            let mut last_cseq = message.cseq;
            let sign = |sign| match sign {
                Sign::To { peer, secure } => watching.update(|watch| {
                    watch.peers.push(peer);
                    watch.secure = secure;
                }),
                Sign::Sending(cseq) => {
                    last_cseq = cseq;
                    if plan.is_in_dialog() {
                        self.numbers.used(&key, cseq);
                    }
                    watching.update(|watch| watch.refer_cseqs.push(cseq));
                }
                Sign::Sent => tell(events, Event::Sent),
                Sign::Elsewhere => tell(events, Event::Elsewhere),
                Sign::Challenged(status) => tell(events, Event::Challenged(status)),
                Sign::Provisional(status) => tell(events, Event::Provisional(status)),
            };
            let answer = exchange(&self.wire, &self.inbox, &path, &message, self.login.as_ref(), sign).await;
            let met_another = matches!(&answer, Answer::Final(response) if response.status_code.code() == 491);
            if !met_another || collisions == MAX_COLLISIONS {
                tell(events, answered(answer, watching));
                break;
            }
            tell(events, Event::Collided(491));
            tokio::time::sleep(pause(plan.owns_call_id(), fastrand::f64())).await;
            message.cseq = last_cseq + 1;
        }
        Ok(())
    }

    /// What is expected of the dialog that a REFER goes to.
    pub(super) async fn watch_of(&self, plan: &Plan, path: &Path, events: mpsc::UnboundedSender<Event>) -> Watch {
        let mut peers = vec![path.peer];
        peers.extend(self.wire.addresses_of(plan.peers()).await);
        let in_dialog = plan.is_in_dialog();
        // A phone may put us on hold before it calls the human; the sound itself is the platform's.
        let contact = path.leg.contact(plan.is_secure());
        let session = || Session::new(sdp::Local::elsewhere(path.leg.local.ip()), contact);
        Watch {
            remote_tag: plan.remote_tag().filter(|_| in_dialog).map(|tag| tag.as_str().to_owned()),
            in_dialog,
            peers,
            secure: path.is_secure(),
            refer_cseqs: Vec::new(),
            order: Order::default(),
            refusals_told: 0,
            session: in_dialog.then(session),
            events,
            ended: None,
        }
    }
}

/// What an exchange's end means to the transfer.
pub(super) fn answered(answer: Answer, watching: &Watching) -> Event {
    match answer {
        Answer::Final(response) => {
            let status = response.status_code.code();
            if !(200..300).contains(&status) {
                return Event::Refused { status, reason: reason(&response) };
            }
            let tag = response.to_header().ok().and_then(|to| to.tag().ok().flatten()).map(|t| t.value().to_owned());
            let contact = response.contact_header().ok().and_then(|c| contact_address(c.value()));
            watching.update(|watch| {
                watch.peers.extend(contact);
                if watch.remote_tag.is_none() {
                    watch.remote_tag = tag;
                }
            });
            Event::Accepted(status)
        }
        Answer::Unauthorized { status, error } => Event::Refused { status, reason: error.to_string() },
        Answer::Unanswered(reason) => Event::Unanswered { reason },
        Answer::NotSent(reason) => Event::NotSent { reason },
    }
}

/// The address and port of a Contact, where it is no name.
fn contact_address(contact: &str) -> Option<SocketAddr> {
    let uri = contact.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or(contact, |(uri, _)| uri);
    HopUri::new("contact", uri).ok()?.hop().address()
}
