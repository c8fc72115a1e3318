//! Scenarios and properties of the core, driven in virtual time. A turn's text begins with its rating: `2.5 …`;
//! `f …` is filler, `x …` cannot be rated.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use super::event::{Input, Output, RateResult};
use super::report::{Doubt, Report, TurnReport};
use super::{Call, CallOptions};
use crate::alert::outcome::{Outcome, Progress};
use crate::alert::record::{DeliveryResult, StoreResult, StoreWrite, WebhookPlan};
use crate::alert::{AlertId, Rule, Severity};
use crate::call::route::{Route, TransferRequest};
use crate::clock::Millis;
use crate::config::settings::{Action, Settings, Sustained, TransferMode};
use crate::room::message::{CommandKind, RoomMessage, SidecarMessage};
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

#[test]
fn three_low_turns_escalate_at_the_third() {
    let mut sim = Sim::new(flag());
    sim.say("u1", "2");
    sim.say("u2", "2.9");
    assert_eq!(sim.escalations(), []);
    sim.say("u3", "1");
    assert_eq!(sim.escalations(), [(3, Rule::Streak, Severity::Critical)]);
    assert_eq!(sim.commands(), ["set_flag-u3"]);
}

#[test]
fn the_threshold_itself_is_not_low() {
    let mut sim = Sim::new(flag());
    for id in ["u1", "u2", "u3", "u4"] {
        sim.say(id, "3.0");
    }
    assert_eq!(sim.escalations(), []);
    assert_eq!((sim.last_turn().streak, sim.last_turn().low), (0, false));
}

#[test]
fn a_recovered_turn_resets() {
    let mut sim = Sim::new(flag());
    for (id, text) in [("u1", "2"), ("u2", "2"), ("u3", "3"), ("u4", "2"), ("u5", "2")] {
        sim.say(id, text);
    }
    assert_eq!(sim.escalations(), []);
    assert_eq!(sim.last_turn().streak, 2);
}

#[test]
fn fillers_agents_empties_and_unrated_turns_neither_count_nor_reset() {
    let mut sim = Sim::new(flag());
    sim.say("u1", "2");
    sim.say("u2", "f yeah");
    sim.room(json!({"type": "turn.ended", "turn_id": "a1", "participant_id": "a", "text": "9 how lovely"}));
    sim.say("u3", "2");
    sim.say("u4", "   ");
    sim.say("u5", "x");
    assert_eq!(sim.escalations(), []);
    sim.say("u6", "2");
    assert_eq!(sim.escalations(), [(5, Rule::Streak, Severity::Medium)], "the empty turn has no number");
}

#[test]
fn fillers_count_when_the_settings_say_so() {
    let mut sim = Sim::new(Settings { count_filler_turns: true, ..flag() });
    for (id, text) in [("u1", "2"), ("u2", "2"), ("u3", "f"), ("u4", "2")] {
        sim.say(id, text);
    }
    assert_eq!(sim.escalations(), []);
    assert_eq!(sim.last_turn().streak, 1);
}

#[test]
fn after_a_flag_a_recovered_turn_and_a_full_streak_are_needed() {
    let mut sim = Sim::new(flag());
    angry(&mut sim);
    sim.say("u4", "1");
    sim.say("u5", "1");
    assert_eq!(sim.escalations().len(), 1);
    sim.say("u6", "6");
    for id in ["u7", "u8"] {
        sim.say(id, "2");
    }
    assert_eq!(sim.escalations().len(), 1);
    sim.say("u9", "2");
    assert_eq!(sim.escalations().len(), 2);
}

#[test]
fn silence_and_the_agent_close_turns_where_the_room_has_no_turn_events() {
    let mut sim = Sim::new(flag());
    let piece = |id: &str, text: &str, who: &str| json!({"type": "transcript", "segment_id": id, "participant_id": who, "text": text, "final": true});
    sim.room(piece("s1", "2 one", "c"));
    sim.pass(1000);
    sim.room(piece("s2", "more", "c"));
    sim.pass(1199);
    assert_eq!(sim.rates(), 0, "two finals, one turn");
    sim.pass(1);
    assert_eq!(sim.last_turn().text, "2 one more");
    sim.room(piece("s3", "2 two", "c"));
    sim.room(json!({"type": "agent.state", "state": "speaking"}));
    assert_eq!(sim.last_turn().text, "2 two");
    sim.room(piece("s4", "2 three", "c"));
    sim.room(piece("g1", "hello", "a"));
    assert_eq!(sim.escalations().len(), 1);
}

#[test]
fn a_late_final_rerates_its_turn_and_adds_none() {
    let mut sim = Sim::new(flag());
    sim.say("u1", "2");
    sim.say("u2", "2");
    sim.room(json!({"type": "transcript", "segment_id": "s3", "rev": 1, "participant_id": "c", "text": "5 that is", "final": false}));
    sim.room(json!({"type": "turn.ended", "turn_id": "u3", "participant_id": "c", "segment_ids": ["s3"]}));
    assert_eq!((sim.last_turn().turn, sim.last_turn().streak), (3, 0));
    sim.room(json!({"type": "transcript", "segment_id": "s3", "rev": 2, "participant_id": "c", "text": "2 that is ridiculous", "final": true}));
    assert_eq!((sim.last_turn().turn, sim.last_turn().streak), (3, 3));
    assert_eq!(sim.escalations(), [(3, Rule::Streak, Severity::Medium)]);
}

#[test]
fn a_late_final_finds_its_turn_by_time() {
    let mut sim = Sim::new(flag());
    let piece = |id: &str, text: &str, who: &str, start: u64, end: u64| {
        json!({"type": "transcript", "segment_id": id, "participant_id": who,
        "text": text, "final": true, "start_ms": start, "end_ms": end})
    };
    sim.room(piece("s1", "2 one", "c", 0, 1000));
    sim.room(piece("g1", "hello", "a", 2000, 3000));
    sim.room(piece("s2", "and more", "c", 1100, 1900));
    assert_eq!(sim.last_turn().text, "2 one and more");
    assert_eq!(sim.last_turn().turn, 1);
    assert_eq!(sim.rates(), 2);
}

#[test]
fn the_rooms_turn_adopts_one_that_was_closed_here() {
    let mut sim = Sim::new(flag());
    sim.room(
        json!({"type": "transcript", "segment_id": "s1", "participant_id": "c", "text": "2 late room", "final": true}),
    );
    sim.pass(1500);
    assert_eq!(sim.last_turn().turn_id, "t-s1");
    sim.room(json!({"type": "turn.ended", "turn_id": "u1", "participant_id": "c", "text": "2 late room", "segment_ids": ["s1"]}));
    sim.say("u2", "2");
    assert_eq!((sim.last_turn().turn, sim.last_turn().streak), (2, 2));
    assert_eq!(sim.rates(), 2);
}

#[test]
fn what_was_said_before_takes_nothing_of_what_is_being_said() {
    let told = |id: &str, who: &str, segment: &str, start: u64, text: &str| {
        json!({"type": "turn.ended", "turn_id": id, "participant_id": who, "segment_ids": [segment], "text": text,
            "start_ms": start, "end_ms": start + 900, "whole": segment != "s3"})
    };
    let mut sim = Sim::new(flag());
    let unfinished = json!({"type": "transcript", "segment_id": "s3", "rev": 1, "participant_id": "c", "text": "2 I"});
    sim.room(unfinished);
    sim.now += 50;
    sim.room(told("u3", "c", "s3", 5_000, "2 I have had it"));
    sim.room(told("u1", "c", "u1", 1_000, "2 help"));
    sim.room(told("a1", "a", "a1", 2_000, "8 sure"));
    sim.room(told("u2", "c", "u2", 3_000, "2 no"));
    sim.room(told("a2", "a", "a2", 4_000, "8 of course"));
    assert_eq!(sim.escalations(), [(3, Rule::Streak, Severity::Medium)]);
    sim.pass(30_000);
    sim.say("u4", "2 hello");
    assert_eq!((sim.last_turn().turn, sim.last_turn().text.as_str()), (4, "2 hello"));
    assert_eq!(
        sim.call.book.order().iter().map(|key| sim.call.book.turn(*key).id.as_str()).collect::<Vec<_>>(),
        ["u1", "a1", "u2", "a2", "u3", "u4"]
    );
}

#[test]
fn a_turn_whose_segments_never_came_stands_in_the_stretch_in_which_it_is_told() {
    let told = |id: &str, start: u64| {
        json!({"type": "turn.ended", "turn_id": id, "participant_id": "c", "segment_ids": [format!("s-{id}")],
            "text": "2 no", "start_ms": start, "end_ms": start + 900})
    };
    let mut sim = Sim::new(flag());
    sim.room(told("u1", 1_000));
    sim.room(json!({"type": "turn.ended", "turn_id": "a1", "participant_id": "a", "text": "8 sure"}));
    sim.room(told("u2", 2_000));
    assert_eq!(sim.last_turn().turn, 2, "the agent spoke between them");
}

#[test]
fn turns_order_by_index_not_by_arrival() {
    let mut sim = Sim::new(flag());
    for (index, text) in [(0, "2"), (1, "2"), (3, "2"), (2, "5")] {
        sim.hold_ratings = index == 3;
        sim.room(json!({"type": "turn.ended", "turn_id": format!("u{index}"), "index": index, "participant_id": "c", "text": text}));
    }
    sim.input(Input::Rated { turn_id: "u3".to_owned(), rev: 1, result: rate("2") });
    assert_eq!(sim.escalations(), []);
    assert_eq!((sim.last_turn().turn, sim.last_turn().streak), (4, 1));
}

#[test]
fn a_turn_that_waits_for_its_rating_holds_back_the_count() {
    let mut sim = Sim::new(flag());
    sim.hold_ratings = true;
    for (id, text) in [("u1", "2"), ("u2", "5"), ("u3", "2"), ("u4", "2")] {
        sim.say(id, text);
    }
    for (id, text) in [("u4", "2"), ("u3", "2"), ("u1", "2"), ("u2", "5")] {
        assert_eq!(sim.escalations(), []);
        sim.input(Input::Rated { turn_id: id.to_owned(), rev: 1, result: rate(text) });
    }
    assert_eq!(sim.escalations(), []);
    assert_eq!(sim.last_turn().streak, 2);
}

#[test]
fn a_rater_that_never_answers_leaves_the_turn_unrated() {
    let mut sim = Sim::new(flag());
    sim.hold_ratings = true;
    sim.say("u1", "2");
    sim.pass(3000);
    assert!(sim.reports().any(|r| matches!(r, Report::Unrated { turn: 1, .. })));
    assert_eq!(sim.until, None);
}

#[test]
fn a_transfer_says_its_sentence_then_goes_through_the_room() {
    let mut sim = Sim::new(transfer());
    angry(&mut sim);
    assert_eq!(sim.commands(), ["say-u3"]);
    sim.result("say-u3", "done", None);
    assert_eq!(sim.commands(), ["say-u3", "transfer-u3"]);
    sim.result("transfer-u3", "accepted", None);
    assert_eq!(sim.outcomes(), []);
    sim.result("transfer-u3", "done", None);
    assert_eq!(sim.outcomes(), [(Some(Outcome::Transferred), false)]);
    assert_eq!(sim.delivered(), 0);
    let rates = sim.rates();
    sim.say("u4", "1");
    assert_eq!(sim.rates(), rates, "once a human is on the call, rating stops");
}

#[test]
fn a_busy_line_falls_back_to_the_webhook_and_comforts_the_caller() {
    let mut sim = Sim::new(transfer());
    angry(&mut sim);
    sim.result("say-u3", "failed", None);
    sim.result("transfer-u3", "failed", Some("busy"));
    assert_eq!(sim.outcomes(), [(Some(Outcome::Busy), true)]);
    assert_eq!(sim.commands(), ["say-u3", "transfer-u3", "say-fallback-u3"]);
    assert_eq!(sim.delivered(), 1);
    let plans: Vec<WebhookPlan> = sim
        .outputs
        .iter()
        .filter_map(|o| match o {
            Output::Store { write: StoreWrite::Alert { webhook, .. } | StoreWrite::Outcome { webhook, .. } } => {
                Some(*webhook)
            }
            _ => None,
        })
        .collect();
    assert!(matches!(plans[..], [WebhookPlan::Hold { .. }, WebhookPlan::Send]), "{plans:?}");
}

#[test]
fn a_transfer_without_an_answer_is_unknown_after_its_deadline() {
    let mut sim = Sim::new(transfer());
    angry(&mut sim);
    sim.pass(8_000 + 45_000);
    assert_eq!(sim.outcomes(), []);
    sim.pass(5_000);
    assert_eq!(sim.outcomes(), [(Some(Outcome::Unknown), true)]);
}

#[test]
fn a_supervisor_who_joins_settles_it() {
    let mut sim = Sim::new(transfer());
    angry(&mut sim);
    sim.pass(8_000 + 45_000);
    sim.room(json!({"type": "participant.joined", "participant": {"id": "h", "role": "supervisor"}}));
    assert_eq!(sim.outcomes(), [(Some(Outcome::Transferred), false)]);
}

#[test]
fn a_caller_who_hangs_up_while_it_rings_is_gone() {
    let mut sim = Sim::new(transfer());
    angry(&mut sim);
    sim.result("say-u3", "done", None);
    sim.result("transfer-u3", "accepted", None);
    sim.room(json!({"type": "participant.left", "participant": {"id": "c", "role": "caller"}}));
    assert_eq!(sim.outcomes(), []);
    sim.pass(2_000);
    assert_eq!(sim.outcomes(), [(Some(Outcome::CallerGone), true)]);
    assert!(!sim.commands().contains(&"say-fallback-u3"));
}

#[test]
fn a_room_that_cannot_tell_where_the_caller_went_does_not_say_that_they_hung_up() {
    let mut sim = Sim::new(transfer());
    angry(&mut sim);
    sim.result("say-u3", "done", None);
    sim.result("transfer-u3", "accepted", None);
    sim.room(json!({"type": "participant.left", "participant": {"id": "c", "role": "caller"}}));
    sim.result("transfer-u3", "failed", Some("unknown"));
    sim.room(json!({"type": "session.ended", "reason": "the room closed"}));
    assert_eq!(sim.outcomes(), [(Some(Outcome::Unknown), true)]);
    assert!(!sim.commands().contains(&"say-fallback-u3"), "nobody is there to hear it");
    assert!(sim.ended);
}

#[test]
fn the_callers_leg_may_go_just_before_the_success() {
    let mut sim = Sim::new(transfer());
    angry(&mut sim);
    sim.result("say-u3", "done", None);
    sim.room(json!({"type": "session.ended", "reason": "caller transferred"}));
    assert!(!sim.ended);
    sim.result("transfer-u3", "done", None);
    assert_eq!(sim.outcomes(), [(Some(Outcome::Transferred), false)]);
    assert!(sim.ended);
}

/// A call whose room hands over a SIP dialog, whose human is asked first.
fn attended() -> Sim {
    over_sip(TransferMode::Attended)
}

fn over_sip(mode: TransferMode) -> Sim {
    // A room that transfers by itself does so, unless a human is to be asked.
    let offered =
        if mode == TransferMode::Attended { vec!["transfer", "say", "set_flag"] } else { vec!["say", "set_flag"] };
    let mut settings = transfer();
    settings.sip.mode = mode;
    let mut sim = Sim::new(settings);
    sim.room(json!({"type": "welcome", "version": 1, "session_id": "s1", "room_name": "room_abc123", "resumed": true,
        "capabilities": offered,
        "participants": [{"id": "c", "role": "caller"}, {"id": "a", "role": "agent"}],
        "call": {"sip": {"call_id": "c1", "local_tag": "a", "remote_tag": "b"}}}));
    angry(&mut sim);
    sim
}

impl Sim {
    fn transfer_request(&self) -> Option<&TransferRequest> {
        self.outputs.iter().find_map(|output| match output {
            Output::Transfer { request } => Some(request),
            _ => None,
        })
    }

    fn stops_asking(&self) -> usize {
        self.outputs.iter().filter(|o| matches!(o, Output::StopAsking { .. })).count()
    }

    fn transfer_done(&mut self, outcome: Outcome) {
        let alert_id = self.transfer_request().unwrap().alert_id.clone().into();
        self.input(Input::TransferDone { alert_id, outcome });
    }
}

#[test]
fn an_attended_transfer_asks_over_sip_and_says_how_bad_it_is() {
    let mut sim = attended();
    sim.result("say-u3", "done", None);
    let request = sim.transfer_request().unwrap();
    assert!(matches!(request.route, Route::Attended { .. }), "{request:?}");
    assert_eq!((request.severity, request.ringing_timeout_ms), (Some(Severity::Medium), 30_000));
    sim.transfer_done(Outcome::Declined);
    assert_eq!(sim.outcomes(), [(Some(Outcome::Declined), true)]);
    assert!(sim.commands().contains(&"say-fallback-u3"));
    assert_eq!(sim.stops_asking(), 0);
}

#[test]
fn a_caller_who_hangs_up_while_the_human_is_asked_ends_the_asking_at_once() {
    let mut sim = attended();
    sim.result("say-u3", "done", None);
    sim.room(json!({"type": "participant.left", "participant": {"id": "c", "role": "caller"}}));
    assert_eq!(sim.stops_asking(), 1);
    // The same when the human took the caller at this very moment: then it is a success, though the caller has left.
    sim.transfer_done(Outcome::Transferred);
    assert_eq!(sim.outcomes(), [(Some(Outcome::Transferred), false)]);

    let mut sim = attended();
    sim.result("say-u3", "done", None);
    sim.input(Input::Shutdown);
    assert_eq!(sim.stops_asking(), 1);
    sim.transfer_done(Outcome::Cancelled);
    assert_eq!(sim.outcomes(), [(Some(Outcome::Cancelled), true)]);
    assert!(sim.ended);
}

#[test]
fn a_human_who_joins_by_themselves_ends_the_asking() {
    let mut sim = attended();
    sim.result("say-u3", "done", None);
    sim.room(json!({"type": "participant.joined", "participant": {"id": "h", "role": "supervisor"}}));
    assert_eq!(sim.stops_asking(), 1);
    assert_eq!(sim.outcomes(), [(Some(Outcome::Transferred), false)]);
}

#[test]
fn the_room_may_settle_it_for_as_long_whoever_notices_the_deadline_first() {
    for sip_notices_first in [true, false] {
        let mut sim = over_sip(TransferMode::Blind);
        sim.result("say-u3", "done", None);
        if sip_notices_first {
            sim.transfer_done(Outcome::Unknown);
        } else {
            sim.pass(45_000);
            sim.transfer_done(Outcome::Unknown);
        }
        sim.pass(4_900);
        assert_eq!(sim.outcomes(), [], "the SIP edge first: {sip_notices_first}");
        sim.room(json!({"type": "participant.joined", "participant": {"id": "h", "role": "supervisor"}}));
        assert_eq!(sim.outcomes(), [(Some(Outcome::Transferred), false)]);
    }
}

/// A transfer over SIP whose steps are told.
fn told(steps: &[&str]) -> Sim {
    let mut sim = over_sip(TransferMode::Blind);
    sim.result("say-u3", "done", None);
    let alert_id: AlertId = sim.transfer_request().unwrap().alert_id.clone().into();
    for step in steps {
        let progress = Progress { step: (*step).to_owned(), sip_status: None };
        sim.input(Input::TransferProgress { alert_id: alert_id.clone(), progress });
    }
    sim
}

#[test]
fn a_subscription_that_is_over_without_a_result_is_settled_once() {
    let mut sim = told(&["refer_sent", "accepted", "terminated", "trying"]);
    sim.pass(4_900);
    assert_eq!(sim.outcomes(), []);
    sim.transfer_done(Outcome::Transferred);
    assert_eq!(sim.outcomes(), [(Some(Outcome::Transferred), false)]);

    // The SIP edge listens as long, and adds nothing.
    for sip_notices_first in [true, false] {
        let mut sim = told(&["refer_sent", "accepted", "terminated", "trying"]);
        if sip_notices_first {
            sim.pass(4_990);
            sim.transfer_done(Outcome::Unknown);
        }
        sim.pass(5_000);
        assert_eq!(sim.outcomes(), [(Some(Outcome::Unknown), true)]);
    }
}

#[test]
fn a_caller_who_leaves_while_nobody_tells_of_the_transfer_may_be_with_the_human() {
    for (steps, outcome) in [
        (&["refer_sent"][..], Outcome::CallerGone),
        (&["refer_sent", "accepted"], Outcome::Unknown),
        (&["refer_sent", "accepted", "ringing"], Outcome::CallerGone),
        (&["refer_sent", "accepted", "terminated", "trying"], Outcome::Unknown),
    ] {
        for the_edge_says_so in [true, false] {
            let mut sim = told(steps);
            sim.room(json!({"type": "participant.left", "participant": {"id": "c", "role": "caller"}}));
            if the_edge_says_so {
                sim.transfer_done(Outcome::Unknown);
            }
            sim.pass(2_000);
            assert_eq!(sim.outcomes(), [(Some(outcome.clone()), true)], "{steps:?}");
            assert!(!sim.commands().contains(&"say-fallback-u3"), "nobody is there to hear it");
        }
    }
}

#[test]
fn nobody_is_asked_when_the_process_stops_before() {
    let mut sim = attended();
    sim.input(Input::Shutdown);
    assert_eq!(sim.transfer_request(), None);
    assert_eq!(sim.outcomes(), [(Some(Outcome::Cancelled), true)]);
}

#[test]
fn nothing_is_sent_before_the_store_has_the_alert() {
    let mut sim = Sim::new(notify());
    sim.store_result = None;
    angry(&mut sim);
    assert_eq!((sim.delivered(), sim.commands().len()), (0, 0));
    sim.pass(3_000);
    let unstored = sim.outputs.iter().any(|o| matches!(o, Output::Deliver { unstored: Some(_), .. }));
    assert!(unstored, "a store that hangs does not lose the alert");
}

#[test]
fn a_transfer_beyond_the_cap_of_the_hour_is_not_tried_and_falls_back() {
    let mut sim = Sim::new(transfer());
    sim.store_result = Some(StoreResult::AtCap { cap: 7 });
    angry(&mut sim);
    let outcomes = sim.outcomes();
    let [(Some(Outcome::Rejected { code, reason }), true)] = &outcomes[..] else { panic!("{outcomes:?}") };
    assert_eq!(code, "hourly_cap");
    assert!(reason.contains("7 transfers") && reason.contains("sentimentTransferHourlyCap"), "{reason}");
    assert_eq!(sim.commands(), ["say-fallback-u3"], "nobody is rung, and the caller is not left in silence");
    assert_eq!(sim.delivered(), 1);
}

#[test]
fn only_transfers_that_are_carried_out_take_a_place() {
    let cap = |settings: Settings, shadow: bool| {
        let mut sim = Sim::shadowed(settings, shadow);
        angry(&mut sim);
        sim.outputs.iter().find_map(|output| match output {
            Output::Store { write: StoreWrite::Alert { transfer_cap, .. } } => Some(*transfer_cap),
            _ => None,
        })
    };
    assert_eq!(cap(transfer(), false), Some(Some(1_000)));
    assert_eq!(cap(Settings { transfer_hourly_cap: 0, ..transfer() }, false), Some(None), "0 sets no cap");
    assert_eq!(cap(transfer(), true), Some(None));
    assert_eq!(cap(flag(), false), Some(None));
}

#[test]
fn an_alert_of_an_earlier_process_is_not_acted_on_again() {
    for outcome in [Outcome::Busy, Outcome::Transferred] {
        let mut sim = Sim::new(transfer());
        sim.store_result = Some(StoreResult::Existing { outcome: Some(outcome) });
        angry(&mut sim);
        assert_eq!(sim.outcomes(), []);
        assert!(!sim.commands().iter().any(|c| c.starts_with("transfer-")), "a human's phone is not rung twice");
    }
}

#[test]
fn a_room_that_was_to_transfer_is_asked_again_under_the_same_id_and_its_result_counts() {
    let mut sim = Sim::new(transfer());
    sim.store_result = Some(StoreResult::Existing { outcome: None });
    angry(&mut sim);
    assert_eq!(sim.commands(), ["transfer-u3"], "no sentence is said twice, and none that is untrue");
    assert_eq!(sim.outcomes(), []);
    sim.result("transfer-u3", "done", None);
    assert_eq!(sim.outcomes(), [(Some(Outcome::Transferred), false)]);
    assert_eq!((sim.commands().len(), sim.delivered()), (1, 0));
}

#[test]
fn while_a_phone_may_ring_over_sip_for_an_earlier_process_nobody_is_told_that_nobody_came() {
    let welcome = json!({"type": "welcome", "version": 1, "session_id": "s1", "room_name": "room_abc123",
        "capabilities": ["say"], "call": {"sip": {"call_id": "x", "local_tag": "a", "remote_tag": "b", "cseq": 7,
            "local_uri": "sip:a@x.example", "remote_uri": "sip:b@x.example", "remote_target": "sip:b@x.example"}},
        "participants": [{"id": "c", "role": "caller"}, {"id": "a", "role": "agent"}]});
    let mut sim = Sim::new(transfer());
    sim.room(welcome.clone());
    sim.store_result = Some(StoreResult::Existing { outcome: None });
    angry(&mut sim);
    sim.pass(Settings::default().transfer_deadline_ms);
    assert_eq!((sim.outcomes(), sim.commands().len(), sim.delivered()), (vec![], 0, 0));
    assert!(!sim.outputs.iter().any(|o| matches!(o, Output::Transfer { .. })), "no second phone rings");
    sim.store_result = Some(StoreResult::Written);
    sim.room(json!({"type": "participant.joined", "participant": {"id": "s", "role": "supervisor"}}));
    assert_eq!(sim.outcomes(), [(Some(Outcome::Transferred), false)]);
    // Where nobody comes, the time of the first phone runs out, and only then is it said.
    let mut sim = Sim::new(transfer());
    sim.room(welcome);
    sim.store_result = Some(StoreResult::Existing { outcome: None });
    angry(&mut sim);
    sim.store_result = Some(StoreResult::Written);
    sim.pass(Settings::default().transfer_deadline_ms + 5_000);
    assert_eq!(sim.outcomes(), [(Some(Outcome::Unknown), true)]);
    assert_eq!((sim.commands(), sim.delivered()), (vec!["say-fallback-u3"], 1));
}

/// A room that keeps which alerts were taken up.
fn room_that_keeps(alerts: &serde_json::Value) -> serde_json::Value {
    json!({"type": "welcome", "version": 1, "session_id": "s1", "room_name": "room_abc123",
        "capabilities": ["transfer", "say", "set_flag", "alerts"], "alerts": alerts,
        "participants": [{"id": "c", "role": "caller"}, {"id": "a", "role": "agent"}]})
}

/// What a call tells its room of alerts: which, and what came of it.
fn alerts_told(sim: &Sim) -> Vec<serde_json::Value> {
    let told = sim.outputs.iter().filter_map(|output| match output {
        Output::Room { message: message @ SidecarMessage::Alert(_) } => Some(message),
        _ => None,
    });
    told.map(|message| serde_json::to_value(message).unwrap()).collect()
}

/// What the room keeps of an alert by the third turn, as a process told it that died then.
fn kept_of(settings: Settings, result: Option<&str>, told: bool) -> serde_json::Value {
    let mut sim = Sim::new(settings);
    sim.room(room_that_keeps(&json!([])));
    angry(&mut sim);
    if let Some(code) = result {
        sim.result("say-u3", "done", None);
        sim.result("transfer-u3", "failed", Some(code));
    }
    if told {
        let alert_id = AlertId::from(alerts_told(&sim)[0]["alert_id"].as_str().unwrap().to_owned());
        let result = DeliveryResult::Delivered { status: 200, attempts: 1 };
        sim.input(Input::Delivery { alert_id, result, target: String::new() });
    }
    let kept = alerts_told(&sim);
    let outcome = kept.iter().find_map(|told| told.get("outcome"));
    let told = kept.iter().any(|told| told["told"] == json!(true));
    json!([{"alert_id": kept[0]["alert_id"], "outcome": outcome, "told": told}])
}

/// Another process with a store of its own, in a room that keeps this.
fn taken_over(settings: Settings, kept: &serde_json::Value, stored: StoreResult) -> Sim {
    let mut sim = Sim::new(settings);
    sim.room(room_that_keeps(kept));
    sim.store_result = Some(stored);
    angry(&mut sim);
    sim
}

#[test]
fn the_room_hears_of_an_alert_before_it_is_acted_on_and_of_its_outcome() {
    let mut sim = Sim::new(transfer());
    sim.room(room_that_keeps(&json!([])));
    sim.store_result = None;
    angry(&mut sim);
    assert!(alerts_told(&sim).is_empty(), "it is not stored yet");
    sim.store_result = Some(StoreResult::Written);
    sim.pass(3_000);
    sim.result("say-u3", "done", None);
    let sent: Vec<_> = sim
        .outputs
        .iter()
        .filter_map(|output| match output {
            Output::Room { message: SidecarMessage::Alert(_) } => Some("alert"),
            Output::Room { message: SidecarMessage::Command { command_id, .. } } => Some(command_id.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(sent, ["alert", "say-u3", "transfer-u3"]);
    sim.result("transfer-u3", "failed", Some("busy"));
    let told = alerts_told(&sim);
    assert_eq!((told.len(), &told[1]["outcome"]), (2, &json!("busy")));
    assert_eq!(told[0]["alert_id"], told[1]["alert_id"]);
    let mut sim = Sim::new(transfer());
    sim.room(room_that_keeps(&json!([])));
    sim.store_result = Some(StoreResult::AtCap { cap: 7 });
    angry(&mut sim);
    let outcomes: Vec<_> = alerts_told(&sim).iter().map(|told| told.get("outcome").cloned()).collect();
    assert_eq!(outcomes, [None, Some(json!("rejected"))]);
    let mut sim = Sim::new(transfer());
    angry(&mut sim);
    assert!(alerts_told(&sim).is_empty(), "this room does not offer it");
    let mut sim = Sim::shadowed(transfer(), true);
    sim.room(room_that_keeps(&json!([])));
    angry(&mut sim);
    assert!(alerts_told(&sim).is_empty(), "shadow mode touches nothing");
}

#[test]
fn an_alert_that_the_room_knows_is_not_acted_on_again_whatever_our_own_store_has() {
    let results = || [StoreResult::Written, StoreResult::Failed { detail: "disk".to_owned() }];
    for (settings, result) in [(notify(), None), (flag(), None), (transfer(), Some("no_answer"))] {
        let kept = kept_of(settings.clone(), result, true);
        for stored in results() {
            let mut sim = taken_over(settings.clone(), &kept, stored);
            assert_eq!(sim.escalations().len(), 1, "it is told under its id");
            assert_eq!((sim.commands().len(), sim.delivered(), sim.outcomes()), (0, 0, vec![]));
            let plan = sim.outputs.iter().find_map(|output| match output {
                Output::Store { write: StoreWrite::Alert { webhook, transfer_cap, .. } } => {
                    Some((*webhook, *transfer_cap))
                }
                _ => None,
            });
            assert_eq!(plan, Some((WebhookPlan::None, None)), "nor is anything queued");
            for (id, text) in [("u4", "7 fine"), ("u5", "2 no"), ("u6", "2 no"), ("u7", "2 no")] {
                sim.say(id, text);
            }
            assert_eq!(sim.escalations().len(), 2, "another one is acted on");
        }
    }
    let kept = kept_of(transfer(), None, false);
    let kept = json!([{"alert_id": kept[0]["alert_id"], "outcome": "transferred"}]);
    let mut sim = taken_over(transfer(), &kept, StoreResult::Written);
    assert_eq!((sim.commands().len(), sim.delivered()), (0, 0));
    sim.say("u4", "1 no");
    assert_eq!(sim.escalations().len(), 1, "a human has the caller");
}

#[test]
fn what_nobody_was_told_of_before_the_call_was_taken_over_is_told_once_more() {
    for (settings, result) in [(notify(), None), (transfer(), Some("no_answer"))] {
        let kept = kept_of(settings.clone(), result, false);
        let sim = taken_over(settings, &kept, StoreResult::Written);
        assert_eq!((sim.commands().len(), sim.delivered()), (0, 1), "a webhook under the same id, and nothing else");
    }
    let failed = StoreResult::Failed { detail: "disk".to_owned() };
    for (stored, unstored) in [(StoreResult::Written, false), (failed, true)] {
        let sim = taken_over(notify(), &kept_of(notify(), None, false), stored);
        let past_the_store = |o: &Output| matches!(o, Output::Deliver { unstored: Some(_), .. });
        assert_eq!(sim.outputs.iter().any(past_the_store), unstored);
    }
}

#[test]
fn a_transfer_that_the_room_knows_to_be_begun_is_waited_for_and_falls_back_once() {
    let kept = kept_of(transfer(), None, false);
    let mut sim = taken_over(transfer(), &kept, StoreResult::Written);
    sim.pass(Settings::default().transfer_deadline_ms);
    assert_eq!((sim.commands().len(), sim.delivered(), sim.outcomes()), (0, 0, vec![]), "a phone may ring");
    sim.pass(5_000);
    assert_eq!(sim.outcomes(), [(Some(Outcome::Unknown), true)]);
    assert_eq!((sim.commands(), sim.delivered()), (vec!["say-fallback-u3"], 1));
    let told = alerts_told(&sim);
    assert_eq!((told.len(), &told[0]["outcome"]), (1, &json!("unknown")), "the next one does not wait again");
    // A store that hangs does not make it two.
    let mut sim = Sim::new(notify());
    sim.room(room_that_keeps(&kept_of(notify(), None, true)));
    sim.store_result = None;
    angry(&mut sim);
    sim.pass(3_000);
    assert_eq!((sim.escalations().len(), sim.delivered()), (1, 0));
}

#[test]
fn what_the_room_said_is_decided_in_its_order_however_long_a_rating_takes() {
    let tool = json!({"type": "tool.call", "call_id": "k1", "name": "escalate_sentiment",
        "arguments": {"sentiment_score": 1, "description": "billing unresolved for 3 days"}});
    let decide = |hold: bool| {
        let mut sim = Sim::new(flag());
        sim.hold_ratings = hold;
        // All at one moment: no rating is given up.
        let say = |sim: &mut Sim, id: &str| {
            sim.room(json!({"type": "turn.ended", "turn_id": id, "participant_id": "c", "text": "2 why, oh why"}));
        };
        for id in ["u1", "u2", "u3"] {
            say(&mut sim, id);
        }
        sim.room(tool.clone());
        say(&mut sim, "u4");
        let asked: Vec<_> = sim
            .outputs
            .iter()
            .filter_map(|o| match o {
                Output::Rate { turn_id, rev, turn } => Some((turn_id.clone(), *rev, turn.text.clone())),
                _ => None,
            })
            .collect();
        if hold {
            assert_eq!(sim.escalations(), [], "nothing overtakes a turn that waits for its rating");
            for (turn_id, rev, text) in asked.into_iter().rev() {
                sim.input(Input::Rated { turn_id, rev, result: rate(&text) });
            }
        }
        let of = |r: &Report| if let Report::Escalation { alert_id, .. } = r { Some(alert_id.clone()) } else { None };
        (sim.escalations(), sim.reports().filter_map(of).collect::<Vec<_>>())
    };
    assert_eq!(decide(true), decide(false));
    assert_eq!(decide(true).0, [(3, Rule::Streak, Severity::Medium)]);
}

#[test]
fn a_caller_is_told_that_the_team_knows_only_where_it_does() {
    for (store, told) in [(StoreResult::Written, true), (StoreResult::Failed { detail: "disk".to_owned() }, false)] {
        let mut settings = transfer();
        settings.webhook.url = None;
        let mut sim = Sim::new(settings);
        sim.store_result = Some(store);
        angry(&mut sim);
        sim.result("say-u3", "done", None);
        sim.result("transfer-u3", "failed", Some("busy"));
        let said = sim.outputs.iter().find_map(|o| match o {
            Output::Room {
                message: SidecarMessage::Command { command_id, command: CommandKind::Say { text }, .. },
            } if command_id == "say-fallback-u3" => Some(text.clone()),
            _ => None,
        });
        assert_eq!(said.unwrap().contains("let the team know"), told);
    }
}

#[test]
fn the_agents_tool_goes_through_the_same_latch() {
    let mut sim = Sim::new(flag());
    let call = |id: &str, score: f64| {
        json!({"type": "tool.call", "call_id": id, "name": "escalate_sentiment",
        "arguments": {"sentiment_score": score, "description": "billing unresolved for 3 days"}})
    };
    for (id, score) in [("k1", 3.0), ("k2", 2.5), ("k3", 11.0)] {
        sim.room(call(id, score));
        assert_eq!(sim.escalations(), [], "{score}");
    }
    sim.room(call("k4", 2.0));
    sim.room(call("k4", 2.0));
    sim.room(call("k5", 1.0));
    assert_eq!(sim.escalations(), [(0, Rule::Tool, Severity::Medium)]);
    let answers: Vec<bool> = sim
        .outputs
        .iter()
        .filter_map(|o| match o {
            Output::Room { message: SidecarMessage::ToolResult { ok, .. } } => Some(*ok),
            _ => None,
        })
        .collect();
    assert_eq!(answers, [false, false, false, true, true, false]);
}

#[test]
fn trajectory_rules_need_two_signals_except_critical() {
    let mut settings = flag();
    settings.trajectory.enabled = true;
    let mut sim = Sim::new(settings.clone());
    sim.say("u1", "1.4");
    assert_eq!(sim.escalations(), [(1, Rule::Trajectory, Severity::Critical)]);
    let mut sim = Sim::new(settings);
    sim.say("u1", "2.2");
    assert_eq!(sim.escalations(), []);
    sim.say("u2", "2.2");
    assert_eq!(sim.escalations(), [(2, Rule::Trajectory, Severity::Medium)]);
}

#[test]
fn after_an_alert_a_turn_with_a_signal_is_no_recovery_where_no_turn_is_low() {
    let mut settings = Settings { threshold: 1, ..flag() };
    settings.trajectory.enabled = true;
    let sim = said(settings.clone(), &["2", "2", "2", "1.4", "2", "2"]);
    assert_eq!(sim.escalations(), [(2, Rule::Trajectory, Severity::Medium)]);
    let sim = said(settings, &["2", "2", "2", "5", "2", "2"]);
    assert_eq!(sim.escalations().last(), Some(&(6, Rule::Trajectory, Severity::Medium)));
}

#[test]
fn after_an_alert_signals_in_a_row_count_from_the_recovery() {
    let mut settings = Settings { threshold: 1, ..flag() };
    settings.trajectory.enabled = true;
    // The 2.6 is without a signal, and the mean is back two turns later: signals in a row count from there.
    settings.sustained = Sustained { enabled: true, level: 2.1, weight: 0.5 };
    settings.trajectory.critical_frustration = 1.0;
    let turns = ["1.2", "1.2", "1.2", "1.2", "1.2", "2.6", "2.2", "2.2"];
    assert_eq!(said(settings.clone(), &turns).escalations().len(), 1);
    let sim = said(settings, &[&turns[..], &["2.2", "2.2"]].concat());
    assert_eq!(sim.escalations().last(), Some(&(10, Rule::Trajectory, Severity::Medium)));
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

fn means(sim: &Sim) -> Vec<Option<f64>> {
    let of = |r: &Report| if let Report::Turn(turn) = r { Some(turn.mean) } else { None };
    sim.reports().filter_map(of).collect()
}

#[test]
fn a_low_running_mean_escalates_over_a_plain_answer() {
    let turns = ["2", "2", "5", "2", "1.8"];
    assert_eq!(said(flag(), &turns).escalations(), [], "the streak alone does not find it");
    let sim = said(sustained(), &turns);
    assert_eq!(sim.escalations(), [(5, Rule::Sustained, Severity::High)]);
    assert_eq!(means(&sim), [3.8, 3.08, 3.85, 3.11, 2.59].map(Some));
    assert_eq!(means(&said(flag(), &turns)), [None; 5]);
}

#[test]
fn the_mean_never_escalates_at_the_first_turn_and_only_strictly_below_its_level() {
    let mut settings = sustained();
    settings.sustained.weight = 1.0;
    settings.sustained.level = 2.0;
    assert_eq!(said(settings.clone(), &["1"]).escalations(), []);
    assert_eq!(said(settings.clone(), &["1", "2"]).escalations(), [], "2.0 is not below 2.0");
    assert_eq!(said(settings, &["f", "x", "1", "1.9"]).escalations().len(), 1);
}

#[test]
fn fillers_and_unrated_turns_move_no_mean_and_ask_for_nothing() {
    let mut settings = sustained();
    settings.human_requests = 2;
    let sim = said(settings, &["2", "f human", "x human", "5 human"]);
    assert_eq!(sim.escalations(), []);
    // An unrated turn is no turn report.
    assert_eq!(means(&sim), [Some(3.8), Some(3.8), Some(4.28)]);
}

#[test]
fn so_many_asks_for_a_human_escalate_whatever_the_ratings() {
    let turns = ["5 human", "5", "6 human", "5", "5 human"];
    assert_eq!(said(flag(), &turns).escalations(), []);
    let mut settings = flag();
    settings.human_requests = 3;
    let sim = said(settings, &turns);
    assert_eq!(sim.escalations(), [(5, Rule::HumanRequest, Severity::Medium)]);
    let told = sim.reports().find_map(|r| match r {
        Report::Escalation { human_requests, mean, .. } => Some((*human_requests, *mean)),
        _ => None,
    });
    assert_eq!(told, Some((Some(3), None)));
}

#[test]
fn the_first_rule_that_holds_names_the_alert_and_the_worst_severity_counts() {
    let mut settings = sustained();
    settings.human_requests = 2;
    settings.window = 2;
    settings.sustained.level = 4.0;
    settings.trajectory.enabled = true;
    // 2.0 has a frustration of .8: a medium signal. At 1.2 it is .96, which is critical at once.
    let turns = ["2 human", "1.2 human"];
    assert_eq!(said(settings.clone(), &turns).escalations(), [(2, Rule::Streak, Severity::Critical)]);
    settings.window = 5;
    assert_eq!(said(settings.clone(), &turns).escalations(), [(2, Rule::Sustained, Severity::Critical)]);
    settings.sustained.enabled = false;
    assert_eq!(said(settings.clone(), &turns).escalations(), [(2, Rule::HumanRequest, Severity::Critical)]);
    settings.human_requests = 0;
    assert_eq!(said(settings, &turns).escalations(), [(2, Rule::Trajectory, Severity::Critical)]);
}

#[test]
fn after_an_alert_the_mean_must_be_back_at_its_level_and_asks_count_from_zero() {
    let mut settings = sustained();
    settings.human_requests = 2;
    // Escalates at the second turn, where the mean is 2.88. The 3.1 is back at the threshold, but the mean is not at its
    // level until the 5: asks up to there are not counted.
    let turns = ["2", "1.5", "3.1", "3 human", "3 human", "5 human", "5 human"];
    let sim = said(settings.clone(), &turns);
    assert_eq!(sim.escalations().len(), 1, "{:?}", sim.escalations());
    let sim = said(settings, &[&turns[..], &["5 human"]].concat());
    assert_eq!(sim.escalations().last(), Some(&(8, Rule::HumanRequest, Severity::Medium)));
}

#[test]
fn without_the_sustained_rule_a_turn_at_the_threshold_arms_all_rules_again() {
    let mut settings = flag();
    settings.human_requests = 1;
    let sim = said(settings, &["5 human", "2 human", "5", "5 human"]);
    assert_eq!(sim.escalations().iter().map(|e| e.0).collect::<Vec<_>>(), [1, 4]);
}

#[test]
fn a_late_rating_moves_the_mean_of_the_turns_after_it() {
    let mut sim = said(sustained(), &["4", "4"]);
    sim.say("u2", "4");
    assert_eq!(sim.escalations(), []);
    sim.input(Input::Rated { turn_id: "u0".to_owned(), rev: 1, result: rate("1") });
    sim.input(Input::Rated { turn_id: "u1".to_owned(), rev: 1, result: rate("1") });
    assert_eq!(means(&sim).last(), Some(&Some(3.06)));
    assert_eq!(sim.escalations(), [(2, Rule::Sustained, Severity::Critical)]);
}

#[test]
fn what_is_learnt_of_a_turn_before_an_alert_raises_no_other() {
    let mut sim = said(flag(), &["2", "5", "2", "2", "2"]);
    assert_eq!(sim.escalations().len(), 1);
    sim.input(Input::Rated { turn_id: "u1".to_owned(), rev: 1, result: rate("2") });
    assert_eq!(sim.escalations().len(), 1);
}

#[test]
fn shadow_mode_decides_and_touches_nothing() {
    let mut sim = Sim::shadowed(transfer(), true);
    angry(&mut sim);
    assert_eq!(sim.escalations().len(), 1);
    let touched = |o: &Output| matches!(o, Output::Room { .. } | Output::Transfer { .. } | Output::Deliver { .. });
    assert!(!sim.outputs.iter().any(touched));
}

#[test]
fn shutdown_rates_the_open_turn_and_ends() {
    let mut sim = Sim::new(notify());
    sim.say("u1", "2");
    sim.say("u2", "2");
    sim.room(json!({"type": "transcript", "segment_id": "s9", "participant_id": "c", "text": "2 and another", "final": true}));
    sim.input(Input::Shutdown);
    assert_eq!(sim.escalations().len(), 1);
    assert_eq!(sim.delivered(), 1);
    assert!(sim.ended);
}

#[test]
fn the_tone_changes_with_the_label_only() {
    let mut sim = Sim::new(flag());
    for (id, text) in [("u1", "5"), ("u2", "3.5"), ("u3", "3.2"), ("u4", "8")] {
        sim.say(id, text);
    }
    let tones: Vec<&str> = sim
        .outputs
        .iter()
        .filter_map(|o| match o {
            Output::Room { message: SidecarMessage::Tone { label, .. } } => Some(label.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(tones, ["negative", "positive"]);
}

#[test]
fn whoever_speaks_unannounced_is_taken_for_the_caller_until_the_room_says_more() {
    let mut sim = Sim::new(flag());
    for id in ["u1", "u2"] {
        sim.room(json!({"type": "turn.ended", "turn_id": id, "participant_id": "later", "text": "2 hello"}));
    }
    assert_eq!((sim.rates(), sim.warnings().len()), (2, 1));
    sim.room(json!({"type": "participant.joined", "participant": {"id": "later", "role": "caller"}}));
    sim.room(json!({"type": "turn.ended", "turn_id": "u3", "participant_id": "later", "text": "2 hello"}));
    assert_eq!(sim.escalations().len(), 1);
}

#[test]
fn an_unannounced_speaker_who_turns_out_to_be_nobody_to_rate_counts_no_more() {
    let mut sim = Sim::new(flag());
    for id in ["u1", "u2"] {
        sim.room(json!({"type": "turn.ended", "turn_id": id, "participant_id": "later", "text": "2 hello"}));
    }
    sim.room(json!({"type": "participant.joined", "participant": {"id": "later", "role": "observer"}}));
    sim.say("u3", "2 hello");
    assert_eq!((sim.last_turn().turn, sim.last_turn().streak), (1, 1));
}

#[test]
fn a_role_that_flips_costs_no_rating() {
    let mut sim = Sim::new(flag());
    for turn in 0..20 {
        sim.say(&format!("u{turn}"), if turn % 3 == 0 { "5 well" } else { "2 no" });
    }
    let rates = sim.rates();
    for _ in 0..10 {
        for role in ["observer", "caller"] {
            sim.room(json!({"type": "participant.joined", "participant": {"id": "c", "role": role}}));
        }
    }
    sim.say("u20", "2 no");
    assert_eq!((sim.rates(), sim.last_turn().turn, sim.last_turn().streak), (rates + 1, 21, 2));
}

/// A piece of the caller's words.
fn piece(segment: &str, text: &str, from: u64, to: u64) -> serde_json::Value {
    json!({"type": "transcript", "segment_id": segment, "participant_id": "c", "text": text, "final": true,
        "start_ms": from, "end_ms": to})
}

#[test]
fn after_an_outage_turns_follow_the_times_of_their_pieces_and_not_their_arrival() {
    let mut sim = Sim::new(flag());
    for turn in 0..3 {
        sim.room(piece(&format!("s{turn}"), "2 no", turn * 5_000, turn * 5_000 + 900));
    }
    sim.pass(1_200);
    assert_eq!((sim.last_turn().turn, sim.escalations().len()), (3, 1), "a burst of three turns");
    let mut sim = Sim::new(flag());
    for n in 0..3 {
        sim.room(piece(&format!("s{n}"), "2 no", n * 1_200, n * 1_200 + 900));
        sim.pass(4_000);
    }
    assert_eq!((sim.last_turn().turn, sim.escalations().len()), (1, 0), "one turn that arrived in three");
}

#[test]
fn a_turn_id_that_comes_again_for_another_turn_is_another_turn() {
    let mut sim = Sim::new(flag());
    for text in ["2 nobody ever calls me back", "2 where is my parcel", "2 this is the third time"] {
        sim.say("u1", text);
        sim.room(json!({"type": "agent.state", "state": "speaking"}));
    }
    assert_eq!((sim.last_turn().turn, sim.escalations().len()), (3, 1));
    assert_eq!(sim.warnings(), ["odd: turn ids of \"c\" came again for another turn; it counts too"]);
    // A correction keeps words of what it corrects.
    sim.say("u1", "2 this was the third time");
    assert_eq!(sim.last_turn().turn, 3);
}

#[test]
fn our_own_handover_sentence_on_the_callers_line_is_no_turn() {
    let mut sim = Sim::new(transfer());
    angry(&mut sim);
    let said = sim.outputs.iter().find_map(|o| match o {
        Output::Room { message: SidecarMessage::Command { command: CommandKind::Say { text }, .. } } => {
            Some(text.clone())
        }
        _ => None,
    });
    sim.say("u4", &said.unwrap().to_uppercase());
    assert_eq!(sim.last_turn().turn, 3);
    assert!(sim.warnings().iter().any(|warning| warning.contains("an echo is not rated")), "{:?}", sim.warnings());
}

fn doubt(sim: &Sim) -> Option<Doubt> {
    sim.reports().find_map(|r| if let Report::Ended { doubt, .. } = r { Some(*doubt) } else { None }).unwrap()
}

#[test]
fn a_call_of_which_little_was_heard_does_not_look_like_a_calm_one() {
    let end = |sim: &mut Sim| sim.room(json!({"type": "session.ended", "reason": "hangup"}));
    let mut calm = Sim::new(flag());
    calm.say("u1", "7 fine");
    calm.say("u2", "x quoi");
    end(&mut calm);
    assert_eq!(doubt(&calm), None);
    let mut foreign = Sim::new(flag());
    foreign.say("u1", "7 fine");
    foreign.say("u2", "x quoi");
    foreign.say("u3", "x non");
    end(&mut foreign);
    assert_eq!(doubt(&foreign), Some(Doubt::MostlyUnrated));
    let mut unknown = Sim::new(flag());
    unknown.room(json!({"type": "participant.joined", "participant": {"id": "c", "role": "client"}}));
    unknown.say("u1", "2 no");
    end(&mut unknown);
    assert_eq!(doubt(&unknown), Some(Doubt::NobodyHeard));
    assert!(unknown.warnings()[0].contains("\"c\" has a role that is none of"), "{:?}", unknown.warnings());
}

#[test]
fn what_the_room_does_not_offer_is_not_sent_and_said_once() {
    let mut sim = Sim::new(transfer());
    sim.room(json!({"type": "welcome", "version": 1, "session_id": "s1", "room_name": "room_abc123", "resumed": true,
        "capabilities": ["transfer"], "participants": []}));
    angry(&mut sim);
    assert_eq!(sim.commands(), ["transfer-u3"]);
    sim.result("transfer-u3", "failed", Some("busy"));
    assert_eq!(sim.commands(), ["transfer-u3"]);
    assert_eq!(sim.warnings(), ["the room does not offer `say` in its capabilities; the caller is told nothing"]);
}

#[test]
fn an_alert_id_that_another_call_had_is_passed_over_and_nothing_is_told_before_the_store_has_it() {
    let alert_ids = |sim: &Sim| -> Vec<AlertId> {
        let of = |o: &Output| match o {
            Output::Store { write: StoreWrite::Alert { alert, .. } } => Some(alert.id.clone()),
            _ => None,
        };
        sim.outputs.iter().filter_map(of).collect()
    };
    let again = || {
        let mut sim = Sim::new(notify());
        sim.store_result = None;
        angry(&mut sim);
        let first = alert_ids(&sim)[0].clone();
        assert_eq!(sim.escalations().len(), 0);
        sim.input(Input::Stored { alert_id: first.clone(), result: StoreResult::OtherCall });
        assert_eq!(sim.escalations().len(), 0);
        let second = alert_ids(&sim)[1].clone();
        sim.input(Input::Stored { alert_id: second.clone(), result: StoreResult::Written });
        assert_eq!((sim.escalations().len(), sim.delivered()), (1, 1));
        (first, second)
    };
    let (first, second) = again();
    assert_ne!(first, second);
    assert_eq!(again(), (first, second));
}

#[test]
fn alert_ids_follow_from_what_they_name() {
    let id = AlertId::derive(&["room", "session"], "turn");
    assert_eq!(id, AlertId::derive(&["room", "session"], "turn"));
    assert_ne!(id, AlertId::derive(&["room", "sessiont"], "urn"));
    assert_ne!(id, AlertId::derive(&["room", "session", "another call"], "turn"));
    assert!(id.as_str().starts_with("alert_"));
}

#[test]
fn commands_are_bare_of_names_that_a_transcript_could_choose() {
    let mut sim = Sim::new(transfer());
    for id in ["u1", "u2", "u3"] {
        sim.say(id, "1 transfer me to +19005550000 now");
    }
    sim.result("say-u3", "done", None);
    let targets: Vec<&str> = sim
        .outputs
        .iter()
        .filter_map(|o| match o {
            Output::Room { message: SidecarMessage::Command { command: CommandKind::Transfer { target, .. }, .. } } => {
                Some(target.as_str())
            }
            _ => None,
        })
        .collect();
    assert_eq!(targets, ["+14155551234"]);
}

/// One caller turn of the clean sequence, with what may be done to it.
#[derive(Debug, Clone)]
struct Messy {
    tenths: u8,
    filler: bool,
    cuts: usize,
    interims: usize,
    duplicate: bool,
    swap: bool,
    agent_between: bool,
}

fn messy() -> impl Strategy<Value = Messy> {
    (10u8..=60, prop::bool::weighted(0.2), 1usize..4, 0usize..3, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(tenths, filler, cuts, interims, duplicate, swap, agent_between)| Messy {
            tenths,
            filler,
            cuts,
            interims,
            duplicate,
            swap,
            agent_between,
        },
    )
}

impl Messy {
    fn text(&self) -> String {
        if self.filler {
            "f yeah".to_owned()
        } else {
            format!("{:.1} words of the turn", f64::from(self.tenths) / 10.0)
        }
    }

    /// The turn's segments as a recogniser emits them: interims, finals, duplicates, finals swapped.
    fn segments(&self, turn: usize) -> Vec<serde_json::Value> {
        let text = self.text();
        let words: Vec<&str> = text.split(' ').collect();
        let size = words.len().div_ceil(self.cuts);
        let mut finals = Vec::new();
        let mut out = Vec::new();
        for (n, chunk) in words.chunks(size).enumerate() {
            let start = turn as u64 * 10_000 + n as u64 * 1000;
            let piece = |text: String, rev: usize, is_final: bool| {
                json!({"type": "transcript", "segment_id": format!("s{turn}-{n}"), "rev": rev, "participant_id": "c",
                    "text": text, "final": is_final, "start_ms": start, "end_ms": start + 900})
            };
            for rev in 0..self.interims {
                out.push(piece(format!("9 guess {rev}"), rev, false));
            }
            finals.push(piece(chunk.join(" "), self.interims, true));
        }
        if self.swap {
            finals.reverse();
        }
        out.extend(finals);
        if self.duplicate {
            out.extend(out.clone());
        }
        out
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_mess_leaves_the_streak_as_the_clean_sequence_has_it(
        turns in prop::collection::vec(messy(), 1..12),
        turn_events in any::<bool>(),
    ) {
        let mut clean = Sim::new(flag());
        let mut mess = Sim::new(flag());
        for (n, turn) in turns.iter().enumerate() {
            clean.say(&format!("u{n}"), &turn.text());
            for segment in turn.segments(n) {
                mess.now += 10;
                mess.room(segment);
            }
            if turn_events {
                let ids: Vec<String> = (0..turn.cuts).map(|c| format!("s{n}-{c}")).collect();
                let ended = json!({"type": "turn.ended", "turn_id": format!("u{n}"), "participant_id": "c",
                    "text": turn.text(), "segment_ids": ids, "start_ms": n * 10_000});
                mess.room(ended.clone());
                mess.room(ended);
            } else if turn.agent_between {
                mess.room(json!({"type": "agent.state", "state": "speaking"}));
            } else {
                mess.pass(1200);
            }
            if turn.agent_between {
                mess.room(json!({"type": "transcript", "segment_id": format!("g{n}"), "participant_id": "a",
                    "text": "one moment", "final": true, "start_ms": n * 10_000 + 6000, "end_ms": n * 10_000 + 7000}));
            }
            for segment in turn.segments(n).into_iter().filter(|_| turn.duplicate) {
                mess.room(segment);
            }
        }
        prop_assert_eq!(mess.escalations(), clean.escalations());
        prop_assert_eq!(mess.call.standing().counts.streak, clean.call.standing().counts.streak);
        prop_assert_eq!(mess.call.standing().ordinal, clean.call.standing().ordinal);
    }

    #[test]
    fn ratings_in_any_order_escalate_where_the_clean_sequence_does(
        tenths in prop::collection::vec(10u8..=50, 1..10),
        shuffle in any::<prop::sample::Index>(),
    ) {
        let mut clean = Sim::new(flag());
        let mut late = Sim::new(flag());
        late.hold_ratings = true;
        let mut waiting = Vec::new();
        for (n, tenth) in tenths.iter().enumerate() {
            let text = format!("{:.1}", f64::from(*tenth) / 10.0);
            clean.say(&format!("u{n}"), &text);
            late.say(&format!("u{n}"), &text);
            late.now -= 1000;
            waiting.push((format!("u{n}"), text));
        }
        let by = shuffle.index(waiting.len());
        waiting.rotate_left(by);
        if by % 2 == 0 {
            waiting.reverse();
        }
        for (turn_id, text) in waiting {
            late.input(Input::Rated { turn_id, rev: 1, result: rate(&text) });
        }
        prop_assert_eq!(late.escalations(), clean.escalations());
    }

    #[test]
    fn at_most_one_escalation_is_latched_and_the_journal_repeats(
        steps in prop::collection::vec((0u8..10, 0usize..6), 1..60),
    ) {
        let run = || {
            let mut sim = Sim::new(transfer());
            for (step, n) in &steps {
                let last = format!("u{n}");
                match step {
                    0..=3 => sim.say(&last, "1 furious"),
                    4 => sim.say(&last, "7 fine"),
                    5 => sim.result(&format!("say-{last}"), "done", None),
                    6 => sim.result(&format!("transfer-{last}"), "failed", Some("busy")),
                    7 => sim.room(json!({"type": "tool.call", "call_id": format!("k{n}"), "name": "escalate_sentiment",
                        "arguments": {"sentiment_score": 1, "description": "upset"}})),
                    8 => sim.pass(*n as u64 * 4_000),
                    _ => sim.room(json!({"type": "participant.left", "participant": {"id": "c", "role": "caller"}})),
                }
            }
            sim
        };
        let sim = run();
        let mut open = 0;
        for report in sim.reports() {
            match report {
                Report::Escalation { .. } => open += 1,
                Report::Outcome { .. } => open -= 1,
                _ => {}
            }
            prop_assert!((0..=1).contains(&open), "two escalations at once");
        }
        prop_assert_eq!(sim.journal, run().journal);
    }
}
