//! Scenarios and properties of the core, driven in virtual time. A turn's text begins with its rating: `2.5 …`;
//! `f …` is filler, `x …` cannot be rated.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

mod by_room;
mod ended;
mod over_sip;
mod properties;
mod rearmed;
mod rules;
mod speakers;
mod stored;
mod streak;
mod taken_over;
mod told;
mod tool;
mod turns;

use std::sync::Arc;

use serde_json::json;

use super::event::{Input, Output, RateResult};
use super::report::{Report, TurnReport};
use super::{Call, CallOptions};
use crate::alert::outcome::Outcome;
use crate::alert::record::StoreResult;
use crate::alert::{Rule, Severity};
use crate::clock::Millis;
use crate::config::settings::{Action, Settings};
use crate::room::message::{RoomMessage, SidecarMessage};
use crate::sentiment::{Label, RateError, Rating, RatingSource, Sentiment, Unit, Valence};

fn rate(text: &str) -> RateResult {
    if text.starts_with('x') {
        return RateResult::Unrated(RateError::Failed { detail: "on purpose".to_owned() });
    }
    let filler = text.starts_with('f');
    let number = text.split_whitespace().next().and_then(|w| w.parse().ok()).unwrap_or(5.0);
    let sentiment = Sentiment::clamped(number);
    RateResult::Rating(Rating {
        sentiment,
        valence: Valence::clamped((number - 5.0) / 5.0),
        frustration: Unit::clamped((6.0 - number) / 5.0),
        urgency: Unit::clamped(0.0),
        label: Label::of(sentiment),
        confidence: Unit::clamped(1.0),
        filler,
        asks_human: text.contains("human"),
        cues: Vec::new(),
        source: RatingSource::Embedded,
        description: None,
        embedded: None,
    })
}

/// A call with edges that answer at once, except where a test holds them back.
struct Sim {
    call: Call,
    now: u64,
    outputs: Vec<Output>,
    journal: String,
    hold_ratings: bool,
    store_result: Option<StoreResult>,
    until: Option<Millis>,
    ended: bool,
}

impl Sim {
    fn new(settings: Settings) -> Self {
        Self::shadowed(settings, false)
    }

    fn shadowed(settings: Settings, shadow: bool) -> Self {
        let options = CallOptions { room_name: "room_abc123".to_owned(), shadow };
        let mut sim = Self {
            call: Call::new(Arc::new(settings), options),
            now: 0,
            outputs: Vec::new(),
            journal: String::new(),
            hold_ratings: false,
            store_result: Some(StoreResult::Written),
            until: None,
            ended: false,
        };
        sim.room(json!({"type": "welcome", "version": 1, "session_id": "s1", "room_name": "room_abc123",
            "capabilities": ["transfer", "say", "set_flag"],
            "participants": [{"id": "c", "role": "caller"}, {"id": "a", "role": "agent"}]}));
        sim
    }

    fn room(&mut self, message: serde_json::Value) {
        let message = RoomMessage::from_value(message).unwrap().unwrap();
        self.input(Input::Room { message });
    }

    fn input(&mut self, input: Input) {
        self.journal.push_str(&serde_json::to_string(&input).unwrap());
        self.call.handle(Millis(self.now), input);
        loop {
            let output = self.call.poll();
            self.journal.push_str(&serde_json::to_string(&output).unwrap());
            match &output {
                Output::Wait { until } => {
                    self.until = *until;
                    return;
                }
                Output::Ended { .. } => self.ended = true,
                _ => {}
            }
            self.outputs.push(output.clone());
            if let Some(answer) = self.answer(output) {
                self.call.handle(Millis(self.now), answer);
            }
        }
    }

    fn answer(&self, output: Output) -> Option<Input> {
        match output {
            Output::Rate { turn_id, rev, turn } if !self.hold_ratings => {
                Some(Input::Rated { turn_id, rev, result: rate(&turn.text) })
            }
            Output::Store { write } => {
                let alert_id = write.alert().id.clone();
                Some(Input::Stored { alert_id, result: self.store_result.clone()? })
            }
            _ => None,
        }
    }

    /// Lets time pass, with a tick at every deadline on the way.
    fn pass(&mut self, ms: u64) {
        let end = self.now + ms;
        while let Some(Millis(due)) = self.until.filter(|until| until.0 <= end) {
            self.now = due.max(self.now);
            self.input(Input::Tick);
        }
        self.now = end;
    }

    fn say(&mut self, turn_id: &str, text: &str) {
        self.now += 1000;
        self.room(json!({"type": "turn.ended", "turn_id": turn_id, "participant_id": "c", "text": text}));
    }

    fn result(&mut self, command_id: &str, status: &str, code: Option<&str>) {
        self.now += 500;
        self.room(json!({"type": "command.result", "command_id": command_id, "status": status, "code": code}));
    }

    fn reports(&self) -> impl DoubleEndedIterator<Item = &Report> {
        self.outputs.iter().filter_map(|o| if let Output::Report { report } = o { Some(report) } else { None })
    }

    fn escalations(&self) -> Vec<(u32, Rule, Severity)> {
        let of = |r: &Report| match r {
            Report::Escalation { turn, rule, severity, .. } => Some((*turn, *rule, *severity)),
            _ => None,
        };
        self.reports().filter_map(of).collect()
    }

    fn last_turn(&self) -> TurnReport {
        let of = |r: &Report| if let Report::Turn(turn) = r { Some(turn.clone()) } else { None };
        self.reports().rev().find_map(of).unwrap()
    }

    fn outcomes(&self) -> Vec<(Option<Outcome>, bool)> {
        let of = |r: &Report| match r {
            Report::Outcome { transfer, fallback, .. } => Some((transfer.clone(), *fallback)),
            _ => None,
        };
        self.reports().filter_map(of).collect()
    }

    fn warnings(&self) -> Vec<String> {
        let of = |r: &Report| if let Report::Warning { detail } = r { Some(detail.clone()) } else { None };
        self.reports().filter_map(of).collect()
    }

    fn commands(&self) -> Vec<&str> {
        let of = |o: &'_ Output| match o {
            Output::Room { message: SidecarMessage::Command { command_id, .. } } => Some(command_id.clone()),
            _ => None,
        };
        // Leaked only to keep assertions short; a test ends soon.
        self.outputs.iter().filter_map(of).map(|id| &*Box::leak(id.into_boxed_str())).collect()
    }

    fn delivered(&self) -> usize {
        self.outputs.iter().filter(|o| matches!(o, Output::Deliver { .. })).count()
    }

    fn rates(&self) -> usize {
        self.outputs.iter().filter(|o| matches!(o, Output::Rate { .. })).count()
    }
}

fn flag() -> Settings {
    Settings { enabled: true, ..Settings::default() }
}

fn notify() -> Settings {
    let webhook = "https://example.com/hook".parse::<crate::config::settings::WebhookUrl>().unwrap();
    let mut settings = Settings { action: Action::Notify, ..flag() };
    settings.webhook.url = Some(webhook);
    settings
}

fn transfer() -> Settings {
    Settings { action: Action::Transfer { target: "+14155551234".parse().unwrap() }, ..notify() }
}

fn angry(sim: &mut Sim) {
    for id in ["u1", "u2", "u3"] {
        sim.say(id, "2 why does nobody help");
    }
}

fn sustained() -> Settings {
    let mut settings = flag();
    settings.sustained.enabled = true;
    settings
}

/// A call in which the caller says these, one after another.
fn said(settings: Settings, turns: &[&str]) -> Sim {
    let mut sim = Sim::new(settings);
    for (at, text) in turns.iter().enumerate() {
        sim.say(&format!("u{at}"), text);
    }
    sim
}
