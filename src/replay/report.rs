//! What `replay` prints: one printer per format, and the tally at the end.
//!
//! `--format json` is a contract: per call a `warning` for whatever was odd or guessed about its file or its stream; per caller turn a
//! `turn` line with its final rating, in order; after its turn every `escalation`; last a `summary`.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;

use super::expect::Mismatch;
use super::played::{Played, PlayedTurn};
use crate::alert::{Rule, Severity};
use crate::call::report::Doubt;
use crate::config::settings::{ActionKind, Settings};
use crate::recording::import::Source;
use crate::recording::problem::RecordingError;
use crate::sentiment::{Cue, Label, RatingSource, Sentiment, Unit, Valence};
use crate::telemetry::shown::json_line;

/// A call that was replayed.
#[derive(Debug)]
pub struct Replayed {
    /// The call and where it came from.
    pub source: Source,
    /// The settings that it was replayed under.
    pub settings: Settings,
    /// What came of it.
    pub played: Played,
    /// In what it differs from its expectation; empty when it kept to it or has none.
    pub mismatches: Vec<Mismatch>,
    /// How long that took.
    pub took: Duration,
}

impl Replayed {
    /// Checks what came of a call against what its recording expects.
    #[must_use]
    pub fn new(source: Source, settings: Settings, played: Played, took: Duration) -> Self {
        let expectation = source.recording.expectation.as_ref();
        let mismatches = expectation.map(|e| e.check(&played, settings.window)).unwrap_or_default();
        Self { source, settings, played, mismatches, took }
    }

    /// Whether the recording says what it expects.
    #[must_use]
    pub fn has_expectation(&self) -> bool {
        self.source.recording.expectation.is_some()
    }
}

/// Prints replayed calls in one format.
pub trait Printer {
    /// Prints one call.
    ///
    /// # Errors
    /// When the output cannot be written.
    fn call(&mut self, out: &mut dyn Write, call: &Replayed) -> io::Result<()>;

    /// Prints that a recording could not be read. The command says so on stderr as well.
    ///
    /// # Errors
    /// When the output cannot be written.
    fn bad(&mut self, _out: &mut dyn Write, _error: &RecordingError) -> io::Result<()> {
        Ok(())
    }

    /// Prints what comes after the last call.
    ///
    /// # Errors
    /// When the output cannot be written.
    fn finish(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

/// How many calls there were and how they went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Calls that were replayed.
    pub calls: usize,
    /// Calls that escalated.
    pub escalated: usize,
    /// Calls that kept to their expectation.
    pub met: usize,
    /// Calls that did not.
    pub failed: usize,
    /// Files that could not be read, or not all of them.
    pub bad: BTreeSet<String>,
}

impl Tally {
    /// Counts the file of what cannot be read, once however much of it that is.
    pub fn cannot_read(&mut self, error: &RecordingError) {
        self.bad.insert(error.file.clone());
    }

    /// Counts one call.
    pub fn count(&mut self, call: &Replayed) {
        self.calls += 1;
        self.escalated += usize::from(!call.played.escalations.is_empty());
        self.met += usize::from(call.has_expectation() && call.mismatches.is_empty());
        self.failed += usize::from(!call.mismatches.is_empty());
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plural = |n: usize| if n == 1 { "" } else { "s" };
        write!(f, "{} call{} replayed", self.calls, plural(self.calls))?;
        if self.calls > 0 {
            let rate = 100.0 * self.escalated as f64 / self.calls as f64;
            write!(f, ", {} escalated ({rate:.1} %)", self.escalated)?;
        }
        if self.met + self.failed > 0 {
            write!(f, "; {} of {} expectations met", self.met, self.met + self.failed)?;
        }
        if !self.bad.is_empty() {
            write!(f, "; {} file{} could not be read", self.bad.len(), plural(self.bad.len()))?;
        }
        Ok(())
    }
}

/// The `turn` line. A turn that the rater failed at has `null` ratings and says why in `unrated`.
#[derive(Serialize)]
#[serde(rename = "turn", tag = "type")]
struct TurnLine<'a> {
    file: &'a str,
    turn: u32,
    text: &'a str,
    sentiment: Option<Sentiment>,
    valence: Option<Valence>,
    frustration: Option<Unit>,
    urgency: Option<Unit>,
    label: Option<Label>,
    confidence: Option<Unit>,
    filler: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    asks_human: bool,
    cues: &'a [Cue],
    streak: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    mean: Option<f64>,
    low: bool,
    #[serde(skip_serializing_if = "RatingSource::is_embedded")]
    source: RatingSource,
    #[serde(skip_serializing_if = "Option::is_none")]
    unrated: Option<String>,
}

impl<'a> TurnLine<'a> {
    fn new(file: &'a str, turn: &'a PlayedTurn, streak_before: u32) -> Self {
        let rated = turn.rated();
        Self {
            file,
            turn: turn.number(),
            text: turn.text(),
            sentiment: rated.map(|t| t.sentiment),
            valence: rated.map(|t| t.valence),
            frustration: rated.map(|t| t.frustration),
            urgency: rated.map(|t| t.urgency),
            label: rated.map(|t| t.label),
            confidence: rated.map(|t| t.confidence),
            filler: rated.is_some_and(|t| t.filler),
            asks_human: rated.is_some_and(|t| t.asks_human),
            cues: rated.map(|t| t.cues.as_slice()).unwrap_or_default(),
            streak: rated.map_or(streak_before, |t| t.streak),
            mean: rated.and_then(|t| t.mean),
            low: rated.is_some_and(|t| t.low),
            source: rated.map(|t| t.source).unwrap_or_default(),
            unrated: match turn {
                PlayedTurn::Rated(_) => None,
                PlayedTurn::Unrated { error, .. } => Some(error.to_string()),
            },
        }
    }
}

/// The `escalation` line.
#[derive(Serialize)]
#[serde(rename = "escalation", tag = "type")]
struct EscalationLine<'a> {
    file: &'a str,
    turn: u32,
    rule: Rule,
    severity: Severity,
    action: ActionKind,
    description: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    mean: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    human_requests: Option<u32>,
}

/// The `warning` line.
#[derive(Serialize)]
#[serde(rename = "warning", tag = "type")]
struct WarningLine<'a> {
    file: &'a str,
    detail: &'a str,
}

/// The `summary` line.
#[derive(Serialize)]
#[serde(rename = "summary", tag = "type")]
struct SummaryLine<'a> {
    file: &'a str,
    turns: u32,
    escalated: bool,
    at_turn: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    doubt: Option<Doubt>,
}

/// Prints JSON Lines.
#[derive(Debug, Default)]
pub struct Json;

impl Printer for Json {
    fn call(&mut self, out: &mut dyn Write, call: &Replayed) -> io::Result<()> {
        let file = call.source.name.as_str();
        for detail in call.source.warnings.iter().map(String::as_str).chain(call.played.warnings()) {
            line(out, &WarningLine { file, detail })?;
        }
        let turns = call.played.turns();
        let mut escalations = call.played.escalations.iter().peekable();
        let mut streak = 0;
        for turn in &turns {
            // The agent's own tool call may come before the caller's first turn.
            while let Some(escalation) = escalations.next_if(|e| e.turn < turn.number()) {
                line(out, &escalation_line(file, escalation))?;
            }
            let turn = TurnLine::new(file, turn, streak);
            streak = turn.streak;
            line(out, &turn)?;
        }
        for escalation in escalations {
            line(out, &escalation_line(file, escalation))?;
        }
        let escalated = !call.played.escalations.is_empty();
        let (turns, at_turn, doubt) = (call.played.turn_count(), call.played.at_turn(), call.played.doubt());
        line(out, &SummaryLine { file, turns, escalated, at_turn, doubt })
    }
}

fn escalation_line<'a>(file: &'a str, escalation: &'a super::played::Escalation) -> EscalationLine<'a> {
    EscalationLine {
        file,
        turn: escalation.turn,
        rule: escalation.rule,
        severity: escalation.severity,
        action: escalation.action,
        description: &escalation.description,
        mean: escalation.mean,
        human_requests: escalation.human_requests,
    }
}

fn line(out: &mut dyn Write, line: &impl Serialize) -> io::Result<()> {
    out.write_all(json_line(line)?.as_bytes())
}
