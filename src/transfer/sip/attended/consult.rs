//! Asking the human whether they take the caller, as a pure state machine: what their phone says, what they press and
//! time in; what to do next and at most one [`Outcome`] out.
//!
//! ```text
//! ringing ──answered──▶ whispering ──accept digit──▶ taken: the caller is handed over
//!    └──────────────────────┴──▶ over: their leg is released, the caller stays with the agent
//! ```

use std::time::Duration;

use crate::alert::outcome::{Outcome, Progress};
use crate::number::Digit;

/// The code of [`Outcome::Rejected`] when the human's phone answers with a session that we cannot use.
pub const NO_SESSION: &str = "no_session";

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The INVITE went out.
    Sent,
    /// The target failed; another one is tried.
    Elsewhere,
    /// 401 or 407: it goes out again with credentials.
    Challenged(u16),
    /// A 1xx response.
    Provisional(u16),
    /// A 2xx response with a session that can be used.
    Answered(u16),
    /// A final response other than 2xx.
    Refused {
        /// SIP status.
        status: u16,
        /// Its reason phrase.
        reason: String,
    },
    /// A challenge that cannot be met, or a 2xx that cannot be used.
    Unusable {
        /// SIP status.
        status: u16,
        /// The code of the outcome.
        code: String,
        /// What is wrong.
        reason: String,
    },
    /// No final response came, or the INVITE could not be sent.
    Unanswered {
        /// What failed.
        reason: String,
    },
    /// The human pressed a key.
    Pressed(Digit),
    /// The human hung up.
    HungUp,
    /// The caller hung up.
    CallerGone,
    /// We call it off.
    CalledOff,
    /// Nothing but time has passed.
    Tick,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Play the whisper.
    Whisper,
    /// Hand the caller over.
    Refer,
}

/// What follows from an [`Event`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Step {
    /// A step to tell of.
    pub progress: Option<Progress>,
    /// What to do.
    pub act: Option<Act>,
    /// The outcome, at most once: the human does not take the caller, and their leg is released.
    pub outcome: Option<Outcome>,
}

/// What a consultation goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// How long the phone may ring.
    pub ringing: Duration,
    /// How long the human may take to press a key, from the answer on.
    pub accept: Duration,
    /// How long it may take in all.
    pub longest: Duration,
    /// The key that takes the caller.
    pub accept_digit: Digit,
    /// The key that does not.
    pub decline_digit: Digit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Ringing { until: Duration },
    Whispering { until: Duration },
    Over,
}

/// A human who is being asked. Times are durations since it began.
#[derive(Debug)]
pub struct Consultation {
    terms: Terms,
    phase: Phase,
    /// Whether the phone's side answered in any way.
    heard: bool,
    last_told: Option<u16>,
}

impl Consultation {
    /// Begins to ask.
    #[must_use]
    pub fn new(terms: Terms) -> Self {
        Self { terms, phase: Phase::Ringing { until: terms.ringing }, heard: false, last_told: None }
    }

    /// When [`Event::Tick`] is due.
    #[must_use]
    pub fn due(&self) -> Option<Duration> {
        match self.phase {
            Phase::Ringing { until } | Phase::Whispering { until } => Some(until),
            Phase::Over => None,
        }
    }

    /// Takes in an event that happens at `now`. Once it is over, nothing follows from any.
    pub fn handle(&mut self, now: Duration, event: Event) -> Step {
        self.heard |= matches!(event, Event::Challenged(_) | Event::Provisional(_) | Event::Answered(_));
        let step = match (self.phase, event) {
            (Phase::Over, _) => Step::default(),
            (_, Event::CallerGone) => Step::ended("caller_gone", None, Outcome::CallerGone),
            (_, Event::CalledOff) => Step::ended("called_off", None, Outcome::Cancelled),
            (Phase::Ringing { .. }, event) => self.ringing(now, event),
            (Phase::Whispering { .. }, event) => self.whispering(now, event),
        };
        if step.outcome.is_some() || step.act == Some(Act::Refer) {
            self.phase = Phase::Over;
        }
        step
    }

    fn ringing(&mut self, now: Duration, event: Event) -> Step {
        match event {
            Event::Sent => Step::said("invite_sent", None),
            Event::Elsewhere => Step::said("elsewhere", None),
            Event::Challenged(status) => Step::said("challenged", Some(status)),
            Event::Provisional(status) if self.last_told.replace(status) == Some(status) => Step::default(),
            Event::Provisional(100) => Step::said("trying", Some(100)),
            Event::Provisional(status @ 180..=182) => Step::said("ringing", Some(status)),
            Event::Provisional(status) => Step::said("progress", Some(status)),
            Event::Answered(status) => {
                self.phase = Phase::Whispering { until: (now + self.terms.accept).min(self.terms.longest) };
                Step { act: Some(Act::Whisper), ..Step::said("answered", Some(status)) }
            }
            Event::Refused { status, reason } => {
                Step::ended("refused", Some(status), Outcome::from_sip_status(status, &reason))
            }
            Event::Unusable { status, code, reason } => {
                Step::ended("refused", Some(status), Outcome::Rejected { code, reason })
            }
            Event::Unanswered { reason } => Step::ended("unanswered", None, Outcome::Unreachable { reason }),
            Event::Tick if self.is_due(now) && self.heard => Step::ended("no_answer", None, Outcome::NoAnswer),
            Event::Tick if self.is_due(now) => {
                let reason = "the human's phone gave no sign of life".to_owned();
                Step::ended("no_answer", None, Outcome::Unreachable { reason })
            }
            _ => Step::default(),
        }
    }

    fn whispering(&mut self, now: Duration, event: Event) -> Step {
        match event {
            Event::Pressed(digit) if digit == self.terms.accept_digit => {
                Step { act: Some(Act::Refer), ..Step::said("taken", None) }
            }
            Event::Pressed(digit) if digit == self.terms.decline_digit => {
                Step::ended("declined", None, Outcome::Declined)
            }
            Event::HungUp => Step::ended("hung_up", None, Outcome::Declined),
            // Somebody or something picked up, and nobody took the call: a voice box for one.
            Event::Tick if self.is_due(now) => Step::ended("no_digit", None, Outcome::NoAnswer),
            _ => Step::default(),
        }
    }

    fn is_due(&self, now: Duration) -> bool {
        self.due().is_some_and(|due| now >= due)
    }
}

impl Step {
    fn said(step: &str, sip_status: Option<u16>) -> Self {
        Self { progress: Some(Progress { step: step.to_owned(), sip_status }), ..Self::default() }
    }

    fn ended(step: &str, sip_status: Option<u16>, outcome: Outcome) -> Self {
        Self { outcome: Some(outcome), ..Self::said(step, sip_status) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn digit(code: u8) -> Digit {
        Digit::from_event(code).unwrap_or_else(|| unreachable!("a test's digit"))
    }

    fn asked() -> Consultation {
        let (accept_digit, decline_digit) = (digit(1), digit(2));
        Consultation::new(Terms { ringing: 30 * S, accept: 10 * S, longest: 38 * S, accept_digit, decline_digit })
    }

    /// What comes of events at seconds of virtual time; ticks come when they are due, as from a real clock.
    fn run(events: impl IntoIterator<Item = (u32, Event)>) -> (Vec<String>, Vec<Act>, Option<(u32, Outcome)>) {
        let mut asked = asked();
        let (mut steps, mut acts, mut outcome) = (Vec::new(), Vec::new(), None);
        let mut take = |asked: &mut Consultation, at: Duration, event| {
            let step = asked.handle(at, event);
            steps.extend(step.progress.map(|p| p.step));
            acts.extend(step.act);
            let seconds = u32::try_from(at.as_secs()).unwrap_or(u32::MAX);
            if let Some(ended) = step.outcome {
                assert_eq!(outcome.replace((seconds, ended)), None, "one outcome at most");
            }
        };
        for (at, event) in events.into_iter().chain([(1_000, Event::Tick)]) {
            while let Some(due) = asked.due().filter(|due| *due <= S * at) {
                take(&mut asked, due, Event::Tick);
            }
            take(&mut asked, S * at, event);
        }
        (steps, acts, outcome)
    }

    #[test]
    fn a_human_who_presses_the_accept_digit_gets_the_caller() {
        let (steps, acts, outcome) = run([
            (0, Event::Sent),
            (1, Event::Provisional(100)),
            (2, Event::Provisional(180)),
            (3, Event::Provisional(180)),
            (9, Event::Answered(200)),
            (12, Event::Pressed(digit(5))),
            (14, Event::Pressed(digit(1))),
            (15, Event::HungUp),
        ]);
        assert_eq!(steps, ["invite_sent", "trying", "ringing", "answered", "taken"]);
        assert_eq!((acts, outcome), (vec![Act::Whisper, Act::Refer], None));
    }

    #[test]
    fn each_way_not_to_take_the_call_has_its_outcome_and_its_moment() {
        let rejected = |code: &str| Outcome::Rejected { code: code.to_owned(), reason: String::new() };
        let refused = |status| Event::Refused { status, reason: String::new() };
        let answered = [(1, Event::Provisional(180)), (5, Event::Answered(200))];
        let after = |event: Event| answered.iter().cloned().chain([(8, event)]).collect::<Vec<_>>();
        for (events, expected) in [
            (vec![(1, Event::Provisional(180)), (2, refused(486))], (2, Outcome::Busy)),
            (vec![(2, refused(603))], (2, Outcome::Declined)),
            (vec![(2, refused(480))], (2, Outcome::NoAnswer)),
            (vec![(2, refused(404))], (2, rejected("404"))),
            (vec![(1, Event::Provisional(180))], (30, Outcome::NoAnswer)),
            (vec![(1, Event::Provisional(180)), (5, Event::CallerGone)], (5, Outcome::CallerGone)),
            (vec![(1, Event::Provisional(180)), (5, Event::CalledOff)], (5, Outcome::Cancelled)),
            (after(Event::Pressed(digit(2))), (8, Outcome::Declined)),
            (after(Event::HungUp), (8, Outcome::Declined)),
            (after(Event::CallerGone), (8, Outcome::CallerGone)),
            // Nobody presses a key; the time runs from the answer.
            (answered.to_vec(), (15, Outcome::NoAnswer)),
            (after(Event::Pressed(digit(9))), (15, Outcome::NoAnswer)),
        ] {
            let told = format!("{events:?}");
            assert_eq!(run(events).2, Some(expected), "{told}");
        }
        let silent = run([(0, Event::Sent)]).2;
        assert!(matches!(silent, Some((30, Outcome::Unreachable { .. }))), "{silent:?}");
    }

    fn events() -> impl Strategy<Value = Event> {
        prop_oneof![
            Just(Event::Sent),
            Just(Event::Elsewhere),
            Just(Event::Challenged(401)),
            (100u16..200).prop_map(Event::Provisional),
            Just(Event::Answered(200)),
            (300u16..700).prop_map(|status| Event::Refused { status, reason: String::new() }),
            Just(Event::Unanswered { reason: String::new() }),
            (0u8..12).prop_map(|code| Event::Pressed(digit(code))),
            Just(Event::HungUp),
            Just(Event::CallerGone),
            Just(Event::CalledOff),
            Just(Event::Tick),
        ]
    }

    proptest! {
        #[test]
        fn the_caller_is_handed_over_only_to_a_human_who_answered_and_pressed(
            history in proptest::collection::vec((0u32..50, events()), 0..16),
        ) {
            let mut history = history;
            history.sort_by_key(|(at, _)| *at);
            let (_, acts, outcome) = run(history.clone());
            let referred = acts.contains(&Act::Refer);
            prop_assert_ne!(referred, outcome.is_some(), "one or the other, always by the deadline");
            if referred {
                let answered = history.iter().position(|(_, e)| matches!(e, Event::Answered(_)));
                let pressed = history.iter().rposition(|(_, e)| *e == Event::Pressed(digit(1)));
                prop_assert!(answered.is_some() && answered < pressed);
                prop_assert_eq!(acts, vec![Act::Whisper, Act::Refer]);
            }
            if let Some((at, _)) = outcome {
                prop_assert!(at <= 38, "ringing and accepting have their limits");
            }
        }
    }
}
