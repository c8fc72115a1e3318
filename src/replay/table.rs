//! The replayed call as a table for people: who said what, how it was rated, and where it escalated.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use textwrap::core::display_width;

use super::played::{Escalation, PlayedTurn};
use super::report::{Printer, Replayed};
use super::shorten;
use crate::call::report::Report;
use crate::call::said::Said;
use crate::clock::Millis;
use crate::config::settings::Settings;
use crate::room::message::Role;
use crate::sentiment::Sentiment;

/// Columns of a call's rating, its bar, its streak, and what else there is to say of a turn.
const RATED: [usize; 4] = [4, 10, 6, 12];
/// Fewer columns for what was said are no use.
const LEAST_SAID: usize = 16;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const LOW: Style = AnsiColor::Red.on_default();
const ALARM: Style = AnsiColor::Red.on_default().bold();
const GOOD: Style = AnsiColor::Green.on_default();

/// Prints one table per call. Colour is written always; a stream that strips it stands in front of a plain terminal.
#[derive(Debug)]
pub struct Table {
    width: usize,
}

impl Table {
    /// Tables of so many columns.
    #[must_use]
    pub fn new(width: usize) -> Self {
        Self { width }
    }
}

impl Printer for Table {
    fn call(&mut self, out: &mut dyn Write, call: &Replayed) -> io::Result<()> {
        let title = call.source.recording.header.title.as_deref().unwrap_or_default();
        write!(out, "{BOLD}{}{BOLD:#}", call.source.name)?;
        match shorten(title, usize::MAX).as_str() {
            "" => writeln!(out)?,
            title => {
                writeln!(out)?;
                for line in textwrap::wrap(title, self.width.saturating_sub(2)) {
                    writeln!(out, "  {line}")?;
                }
            }
        }
        let rows = rows(call);
        let who = rows.iter().map(|row| row.who.chars().count()).max().unwrap_or(0).max(3);
        let said = self.width.saturating_sub(5 + who + 1 + RATED.iter().map(|column| column + 1).sum::<usize>());
        let layout = Layout { who, said: said.max(LEAST_SAID), width: self.width };
        let header = ["1-10", "", "streak", ""].map(str::to_owned);
        layout.row(
            out,
            &Row {
                at: Millis::default(),
                style: DIM,
                turn: "turn".to_owned(),
                who: "who",
                said: "said".to_owned(),
                rated: Some(header),
            },
        )?;
        for row in &rows {
            layout.row(out, row)?;
        }
        verdict(out, call)?;
        writeln!(out)
    }
}

fn verdict(out: &mut dyn Write, call: &Replayed) -> io::Result<()> {
    let Settings { threshold, window, .. } = call.settings;
    let ended = match call.played.at_turn() {
        Some(turn) => format!("escalated at turn {turn}"),
        None => format!("not escalated, longest streak {} of {window}", call.played.longest_streak()),
    };
    writeln!(out, "  {ended} {DIM}(threshold {threshold}, window {window}){DIM:#}")?;
    if let Some(doubt) = call.played.doubt() {
        writeln!(out, "  {LOW}{}: this says nothing of how the call went{LOW:#}", doubt.words())?;
    }
    for detail in call.played.warnings() {
        writeln!(out, "  {DIM}{}{DIM:#}", shorten(detail, 160))?;
    }
    if call.has_expectation() && call.mismatches.is_empty() {
        writeln!(out, "  {GOOD}as expected{GOOD:#}")?;
    }
    for mismatch in &call.mismatches {
        writeln!(out, "  {ALARM}{mismatch}{ALARM:#}")?;
    }
    Ok(())
}

/// A line of the table, or more where the words need them.
struct Row {
    at: Millis,
    style: Style,
    turn: String,
    who: &'static str,
    said: String,
    /// Rating, bar, streak and marks; whatever has none goes on to the margin.
    rated: Option<[String; 4]>,
}

impl Row {
    fn new(at: Millis, style: Style, who: &'static str, said: &str) -> Self {
        Self { at, style, turn: String::new(), who, said: shorten(said, usize::MAX), rated: None }
    }
}

/// How wide the columns are.
struct Layout {
    who: usize,
    said: usize,
    width: usize,
}

impl Layout {
    fn row(&self, out: &mut dyn Write, row: &Row) -> io::Result<()> {
        let Row { style, turn, who, said, rated, .. } = row;
        let width = if rated.is_some() { self.said } else { self.width.saturating_sub(6 + self.who).max(LEAST_SAID) };
        let said = textwrap::wrap(said, width);
        let marks = rated.as_ref().map(|[.., marks]| textwrap::wrap(marks, RATED[3])).unwrap_or_default();
        for at in 0..said.len().max(marks.len()).max(1) {
            let words = said.get(at).map_or("", |line| line);
            let (turn, who) = if at == 0 { (turn.as_str(), *who) } else { ("", "") };
            let mut line = format!("{turn:>4} {who:<0$} {words}", self.who);
            if let Some([rating, bar, streak, _]) = rated {
                let [rating, bar, streak] = if at == 0 { [rating.as_str(), bar, streak] } else { [""; 3] };
                line.push_str(&" ".repeat(self.said.saturating_sub(display_width(words))));
                let marks = marks.get(at).map_or("", |line| line);
                line.push_str(&format!(" {rating:>4} {bar:<10} {streak:<6} {marks}"));
            }
            writeln!(out, "{style}{}{style:#}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Everything in the order of the call, each escalation behind the turn at which it was decided.
fn rows(call: &Replayed) -> Vec<Row> {
    let window = call.settings.window;
    let row = |(said, turn): (&Said, Option<&PlayedTurn>)| match turn {
        Some(turn) => caller(said.heard_at, turn, window),
        None => other(said),
    };
    let mut rows: Vec<Row> = call.played.whole().map(row).collect();
    for escalation in &call.played.escalations {
        let decided =
            |report: &Report| matches!(report, Report::Escalation { alert_id, .. } if *alert_id == escalation.alert_id);
        let at = call.played.reports.iter().find(|(_, report)| decided(report)).map(|(at, _)| *at);
        let mut row = Row::new(at.unwrap_or_default(), ALARM, "▲", "");
        row.said = told(escalation);
        let turn = escalation.turn.to_string();
        let behind = rows.iter().rposition(|row| row.turn == turn).map_or(0, |at| at + 1);
        // What was heard before the decision stands before it: the agent may say that they call for somebody.
        let heard = rows[behind..].iter().take_while(|other| other.at < row.at).count();
        rows.insert(behind + heard, row);
    }
    rows
}

fn caller(at: Millis, turn: &PlayedTurn, window: u32) -> Row {
    let mut row = Row { turn: turn.number().to_string(), ..Row::new(at, Style::new(), "caller", turn.text()) };
    let cell = |text: &str| text.to_owned();
    let Some(rated) = turn.rated() else {
        row.rated = Some([cell("-"), cell(""), cell(""), cell("unrated")]);
        row.style = DIM;
        return row;
    };
    row.style = match rated.sentiment.value() {
        _ if rated.low => LOW,
        s if s > 6.0 => GOOD,
        _ => Style::new(),
    };
    let mut marks = Vec::new();
    if rated.filler {
        marks.push("filler".to_owned());
    }
    if rated.low {
        marks.push("low".to_owned());
        marks.extend(rated.cues.first().map(|cue| format!("“{}”", shorten(&cue.text, 24))));
    }
    let streak = format!("{}/{window}", rated.streak);
    row.rated = Some([rated.sentiment.to_string(), bar(rated.sentiment), streak, marks.join(" ")]);
    row
}

fn other(said: &Said) -> Row {
    let who = match said.role {
        Role::Caller => "caller",
        Role::Agent => "agent",
        Role::Supervisor => "supervisor",
        Role::Observer | Role::Unknown => "observer",
    };
    Row::new(said.heard_at, DIM, who, &said.text)
}

/// Ten steps, one per point of sentiment.
fn bar(sentiment: Sentiment) -> String {
    let filled = usize::from(sentiment.score()).min(10);
    format!("{}{}", "█".repeat(filled), "░".repeat(10 - filled))
}

fn told(escalation: &Escalation) -> String {
    let mut told = format!(
        "escalates: {}, {} severity, {}",
        escalation.rule.name(),
        escalation.severity.name(),
        escalation.action
    );
    if let Some(outcome) = &escalation.outcome {
        told.push_str(&format!(" → {}", outcome.name()));
    }
    if escalation.fallback {
        told.push_str(", webhook instead");
    }
    told
}
