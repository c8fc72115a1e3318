//! What a REFER came to, as a pure state machine: responses, notifications and time in, one [`Outcome`] out.
//!
//! The rules (RFC 3515, RFC 6665): an accepted REFER (2xx) says nothing about the human; only a final status in a
//! NOTIFY does. A NOTIFY may come before the response. Whatever decides first stays.
//!
//! What comes too early leaves a little time for the result: a BYE of a peer that has taken the REFER may overtake the NOTIFY
//! of its success, and a subscription may be declared over with its first NOTIFY, by peers that tell the result all the same.
//! Then it is told what is known: a peer that notified until its BYE would have told of a success, so that the caller is gone;
//! of one that notified nothing, or no more, nobody knows.

use super::sipfrag::StatusLine;
use crate::alert::outcome::{Outcome, Progress};

/// Something that happened to a transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The REFER went out.
    Sent,
    /// The target failed before it answered: the REFER goes to another one.
    Elsewhere,
    /// 401 or 407: the REFER goes out again with credentials.
    Challenged(u16),
    /// 491: it met a request of the other side, and goes out again after a while (RFC 3261 section 14.1).
    Collided(u16),
    /// A 1xx response to the REFER.
    Provisional(u16),
    /// A 2xx response to the REFER.
    Accepted(u16),
    /// A final response other than 2xx, or an answer that we cannot work with.
    Refused {
        /// SIP status.
        status: u16,
        /// Its reason phrase, or what we miss.
        reason: String,
    },
    /// The REFER was sent and no final response came (timer F).
    Unanswered {
        /// What timed out or broke.
        reason: String,
    },
    /// The REFER could not be sent.
    NotSent {
        /// What failed.
        reason: String,
    },
    /// A valid NOTIFY of our subscription.
    Notified {
        /// Its sipfrag, where it has one.
        status: Option<StatusLine>,
        /// Whether the subscription ended with it.
        terminated: bool,
    },
    /// The remote side hung up the dialog.
    Bye,
    /// We called it off.
    Cancelled,
    /// The time is over.
    Deadline,
}

/// What follows from an [`Event`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Step {
    /// A step to tell of.
    pub progress: Option<Progress>,
    /// The outcome, exactly once.
    pub outcome: Option<Outcome>,
    /// Where what is still to come has to come soon: after such a time [`Event::Deadline`] is due.
    pub last_call: Option<LastCall>,
}

/// Why a result has to come soon, if it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastCall {
    /// The remote side has hung up.
    HungUp,
    /// The subscription is over, and the result has not been notified.
    Terminated,
}

/// A transfer on its way.
#[derive(Debug, Default)]
pub struct Subscription {
    /// Whether the peer answered in any way: it is reachable, and may be working on the transfer.
    heard: bool,
    /// Whether the peer works on the transfer: it accepted the REFER or notified something.
    taken: bool,
    /// Whether the peer notifies how the transfer goes: it has, and did not say that this was the last.
    notifies: bool,
    /// Whether it said that.
    terminated: bool,
    /// Whether the remote side has hung up since.
    hung_up: bool,
    ended: bool,
    last_notified: Option<u16>,
}

impl Subscription {
    /// A transfer that nothing has happened to.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in an event. After the outcome, nothing follows from any.
    pub fn handle(&mut self, event: Event) -> Step {
        if self.ended {
            return Step::default();
        }
        let heard_before = self.heard;
        self.heard |= matches!(
            event,
            Event::Challenged(_)
                | Event::Collided(_)
                | Event::Provisional(_)
                | Event::Accepted(_)
                | Event::Refused { .. }
                | Event::Notified { .. }
        );
        self.taken |= matches!(event, Event::Accepted(_) | Event::Notified { .. });
        let mut step = match event {
            Event::Sent => Step::said("refer_sent", None),
            Event::Elsewhere => Step::said("elsewhere", None),
            Event::Challenged(status) => Step::said("challenged", Some(status)),
            Event::Collided(status) => Step::said("request_pending", Some(status)),
            // What the phone's own 1xx say comes by NOTIFY; these are about the REFER.
            Event::Provisional(status) => Step::said("pending", Some(status)),
            Event::Accepted(status) => Step::said("accepted", Some(status)),
            Event::Refused { status, reason } => {
                Step::ended("refused", Some(status), Outcome::Rejected { code: status.to_string(), reason })
            }
            Event::NotSent { reason } => Step::silent(Outcome::Unreachable { reason }),
            // Something was heard: the transfer may be under way although the response got lost.
            Event::Unanswered { .. } if heard_before => Step::default(),
            Event::Unanswered { reason } => Step::silent(Outcome::Unreachable { reason }),
            Event::Notified { status, terminated } => self.notified(status, terminated),
            Event::Bye if self.hung_up => Step::default(),
            Event::Bye if self.taken => {
                self.hung_up = true;
                Step { last_call: Some(LastCall::HungUp), ..Step::said("bye", None) }
            }
            Event::Bye => Step::ended("bye", None, Outcome::CallerGone),
            Event::Cancelled => Step::silent(Outcome::Cancelled),
            Event::Deadline if self.hung_up && self.notifies => Step::silent(Outcome::CallerGone),
            Event::Deadline if heard_before => Step::silent(Outcome::Unknown),
            Event::Deadline => Step::silent(Outcome::Unreachable { reason: "no answer by the deadline".to_owned() }),
        };
        // Who hung up and is with no human is gone, whatever became of the human.
        if self.hung_up
            && !matches!(step.outcome, None | Some(Outcome::Transferred | Outcome::Cancelled | Outcome::Unknown))
        {
            step.outcome = Some(Outcome::CallerGone);
        }
        self.ended = step.outcome.is_some();
        step
    }

    fn notified(&mut self, status: Option<StatusLine>, terminated: bool) -> Step {
        // What is said of the subscription after the BYE says nothing of how the BYE was meant.
        self.notifies = if self.hung_up { self.notifies || !terminated } else { !terminated };
        let is_news = terminated && !std::mem::replace(&mut self.terminated, true);
        let last_call = is_news.then_some(LastCall::Terminated);
        let Some(StatusLine { status, reason }) = status else { return Step { last_call, ..Step::default() } };
        if status >= 200 {
            return Step::ended("result", Some(status), Outcome::from_sip_status(status, &reason));
        }
        let mut step = match status {
            100 => Step::said("trying", Some(100)),
            180 => Step::said("ringing", Some(180)),
            other => Step::said("progress", Some(other)),
        };
        if self.last_notified.replace(status) == Some(status) {
            step.progress = None;
        }
        Step { last_call, ..step }
    }
}

impl Step {
    fn said(step: &str, sip_status: Option<u16>) -> Self {
        Self { progress: Some(Progress { step: step.to_owned(), sip_status }), ..Self::default() }
    }

    fn silent(outcome: Outcome) -> Self {
        Self { outcome: Some(outcome), ..Self::default() }
    }

    fn ended(step: &str, sip_status: Option<u16>, outcome: Outcome) -> Self {
        Self { outcome: Some(outcome), ..Self::said(step, sip_status) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn notify(status: u16, terminated: bool) -> Event {
        Event::Notified { status: Some(StatusLine { status, reason: "x".to_owned() }), terminated }
    }

    fn run(events: impl IntoIterator<Item = Event>) -> Option<Outcome> {
        let mut subscription = Subscription::new();
        let outcomes: Vec<_> = events.into_iter().filter_map(|e| subscription.handle(e).outcome).collect();
        assert!(outcomes.len() <= 1, "{outcomes:?}");
        outcomes.into_iter().next()
    }

    #[test]
    fn only_a_notified_success_is_a_transfer() {
        assert_eq!(run([Event::Sent, Event::Accepted(202)]), None);
        assert_eq!(
            run([Event::Sent, Event::Accepted(202), notify(100, false), notify(180, false), notify(200, true)]),
            Some(Outcome::Transferred)
        );
        assert_eq!(run([Event::Sent, notify(200, true), Event::Accepted(202)]), Some(Outcome::Transferred));
        assert_eq!(run([Event::Sent, Event::Accepted(200), Event::Deadline]), Some(Outcome::Unknown));
    }

    #[test]
    fn failures_of_the_human_and_of_the_refer_are_told_apart() {
        assert_eq!(run([Event::Accepted(202), notify(486, true)]), Some(Outcome::Busy));
        assert_eq!(run([Event::Accepted(202), notify(603, true)]), Some(Outcome::Declined));
        assert_eq!(run([Event::Accepted(202), notify(487, true)]), Some(Outcome::NoAnswer));
        assert_eq!(
            run([Event::Refused { status: 603, reason: "Decline".to_owned() }]),
            Some(Outcome::Rejected { code: "603".to_owned(), reason: "Decline".to_owned() })
        );
    }

    #[test]
    fn silence_is_unreachable_before_any_answer_and_unknown_after_one() {
        let unanswered = || Event::Unanswered { reason: "timer F".to_owned() };
        assert!(matches!(run([Event::Sent, unanswered()]), Some(Outcome::Unreachable { .. })));
        assert!(matches!(run([Event::Sent, Event::Deadline]), Some(Outcome::Unreachable { .. })));
        assert_eq!(run([Event::Sent, Event::Provisional(100), unanswered()]), None);
        assert_eq!(run([Event::Sent, notify(100, false), unanswered(), notify(200, true)]), Some(Outcome::Transferred));
        assert_eq!(run([Event::Challenged(407), unanswered(), Event::Deadline]), Some(Outcome::Unknown));
    }

    fn nothing_more() -> Event {
        Event::Notified { status: None, terminated: true }
    }

    #[test]
    fn a_bye_after_the_acceptance_leaves_time_for_the_result() {
        let gone = Some(Outcome::CallerGone);
        assert_eq!(run([Event::Sent, Event::Bye, Event::Accepted(202)]), gone);
        for taken in [Event::Accepted(202), notify(180, false)] {
            let after = |event: Event| run([Event::Sent, taken.clone(), Event::Bye, event]);
            assert_eq!(after(notify(200, true)), Some(Outcome::Transferred));
            assert_eq!(after(notify(487, true)), gone);
            assert_eq!((after(notify(180, false)), after(Event::Bye), after(nothing_more())), (None, None, None));
        }
        let mut subscription = Subscription::new();
        assert_eq!(subscription.handle(Event::Accepted(202)).last_call, None);
        assert_eq!(subscription.handle(Event::Bye).last_call, Some(LastCall::HungUp));
    }

    #[test]
    fn a_bye_without_a_result_means_what_the_notifications_before_it_let_it_mean() {
        let (gone, unknown) = (Some(Outcome::CallerGone), Some(Outcome::Unknown));
        let after = |before: &[Event], later: &[Event]| {
            let begun = [Event::Sent, Event::Accepted(202)];
            run([&begun[..], before, &[Event::Bye], later, &[Event::Deadline]].into_iter().flatten().cloned())
        };
        // It notifies, and would have told of a success.
        assert_eq!(after(&[notify(180, false)], &[]), gone);
        assert_eq!(after(&[notify(180, false)], &[nothing_more()]), gone);
        assert_eq!(after(&[], &[notify(180, false)]), gone);
        // It took the REFER, and tells nothing, or nothing more.
        assert_eq!(after(&[], &[]), unknown);
        assert_eq!(after(&[], &[nothing_more()]), unknown);
        assert_eq!(after(&[notify(100, true)], &[]), unknown);
        assert_eq!(after(&[notify(180, false), nothing_more()], &[]), unknown);
    }

    #[test]
    fn a_subscription_that_ends_without_a_result_leaves_time_for_it() {
        for last in [nothing_more(), notify(100, true), notify(180, true)] {
            let after = |event: Event| run([Event::Sent, Event::Accepted(202), last.clone(), event]);
            assert_eq!(after(notify(200, true)), Some(Outcome::Transferred));
            assert_eq!(after(notify(486, true)), Some(Outcome::Busy));
            assert_eq!(after(Event::Deadline), Some(Outcome::Unknown));
            assert_eq!(Subscription::new().handle(last.clone()).last_call, Some(LastCall::Terminated));
        }
        assert_eq!(run([Event::Notified { status: None, terminated: false }]), None);
    }

    #[test]
    fn a_refer_that_collides_is_still_to_be_decided() {
        let collided = Event::Collided(491);
        let told = Subscription::new().handle(collided.clone()).progress.map(|told| (told.step, told.sip_status));
        assert_eq!(told, Some(("request_pending".to_owned(), Some(491))));
        let after = |event: Event| run([Event::Sent, collided.clone(), Event::Sent, event]);
        assert_eq!(after(notify(200, true)), Some(Outcome::Transferred));
        assert_eq!(after(Event::Bye), Some(Outcome::CallerGone), "nobody has taken it");
        assert_eq!(after(Event::Deadline), Some(Outcome::Unknown));
    }

    #[test]
    fn a_status_that_is_notified_again_is_told_once() {
        let mut subscription = Subscription::new();
        assert!(subscription.handle(notify(180, false)).progress.is_some());
        assert!(subscription.handle(notify(180, false)).progress.is_none());
    }

    fn events() -> impl Strategy<Value = Event> {
        prop_oneof![
            Just(Event::Sent),
            Just(Event::Elsewhere),
            Just(Event::Challenged(407)),
            Just(Event::Collided(491)),
            Just(Event::Provisional(100)),
            (200u16..300).prop_map(Event::Accepted),
            (300u16..700).prop_map(|status| Event::Refused { status, reason: String::new() }),
            Just(Event::Unanswered { reason: String::new() }),
            Just(Event::NotSent { reason: String::new() }),
            (100u16..700, any::<bool>()).prop_map(|(status, terminated)| notify(status, terminated)),
            any::<bool>().prop_map(|terminated| Event::Notified { status: None, terminated }),
            Just(Event::Bye),
            Just(Event::Cancelled),
        ]
    }

    proptest! {
        #[test]
        fn every_history_has_one_right_outcome(history in proptest::collection::vec(events(), 0..12)) {
            let mut subscription = Subscription::new();
            let mut outcome = None;
            let (mut success_seen, mut taken) = (false, false);
            for event in history.into_iter().chain([Event::Deadline]) {
                let success = matches!(&event, Event::Notified { status: Some(s), .. } if (200..300).contains(&s.status));
                let bye = event == Event::Bye;
                taken |= matches!(event, Event::Accepted(_) | Event::Notified { .. });
                let step = subscription.handle(event);
                if outcome.is_none() {
                    success_seen |= success;
                    // A success ends it as transferred at once, and nothing else does.
                    prop_assert_eq!(step.outcome == Some(Outcome::Transferred), success);
                    if bye {
                        prop_assert_eq!(step.outcome.clone(), (!taken).then_some(Outcome::CallerGone));
                    }
                    outcome = step.outcome;
                } else {
                    prop_assert_eq!(step, Step::default());
                }
            }
            prop_assert!(outcome.is_some(), "nothing outlives the deadline");
            prop_assert_eq!(outcome == Some(Outcome::Transferred), success_seen);
        }

        #[test]
        fn the_order_of_the_acceptance_among_notifications_does_not_matter(
            provisional in proptest::collection::vec(100u16..200, 0..4), last in 200u16..700, at in 0usize..6,
        ) {
            let mut history: Vec<_> = provisional.into_iter().map(|s| notify(s, false)).collect();
            history.push(notify(last, true));
            history.insert(at.min(history.len()), Event::Accepted(202));
            prop_assert_eq!(run(history), Some(Outcome::from_sip_status(last, "x")));
        }
    }
}
