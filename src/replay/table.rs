//! The replayed call as a table for people: who said what, how it was rated, and where it escalated.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use comfy_table::{Cell, CellAlignment, Table as Cells, presets};

use super::played::{Escalation, PlayedTurn};
use super::report::{Printer, Replayed};
use super::shorten;
use super::spoken::{Spoken, others};
use crate::call::report::Report;
use crate::clock::Millis;
use crate::config::settings::Settings;
use crate::room::message::Role;
use crate::sentiment::Sentiment;

/// Most characters of what was said.
const SAID: usize = 58;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const LOW: Style = AnsiColor::Red.on_default();
const ALARM: Style = AnsiColor::Red.on_default().bold();
const GOOD: Style = AnsiColor::Green.on_default();

/// Prints one table per call. Colour is written always; a stream that strips it stands in front of a plain terminal.
#[derive(Debug, Default)]
pub struct Table;

impl Printer for Table {
    fn call(&mut self, out: &mut dyn Write, call: &Replayed) -> io::Result<()> {
        let title = call.source.recording.header.title.as_deref().unwrap_or_default();
        write!(out, "{BOLD}{}{BOLD:#}", call.source.name)?;
        match shorten(title, 100).as_str() {
            "" => writeln!(out)?,
            title => writeln!(out, "  {title}")?,
        }
        let rows = rows(call);
        let styles: Vec<Style> = std::iter::once(DIM).chain(rows.iter().map(|row| row.style)).collect();
        for (line, style) in cells(&rows).lines().zip(styles) {
            writeln!(out, "{style}{}{style:#}", line.trim_end())?;
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
    if call.has_expectation() && call.mismatches.is_empty() {
        writeln!(out, "  {GOOD}as expected{GOOD:#}")?;
    }
    for mismatch in &call.mismatches {
        writeln!(out, "  {ALARM}{mismatch}{ALARM:#}")?;
    }
    Ok(())
}

struct Row {
    at: Millis,
    style: Style,
    cells: [String; 7],
}

impl Row {
    fn new(at: Millis, style: Style, turn: &str, who: &str, said: &str) -> Self {
        let cell = |text: &str| text.to_owned();
        let cells = [cell(turn), cell(who), shorten(said, SAID), cell(""), cell(""), cell(""), cell("")];
        Self { at, style, cells }
    }
}

fn cells(rows: &[Row]) -> Cells {
    let mut table = Cells::new();
    table.load_style(presets::NOTHING).set_header(["turn", "who", "said", "1-10", "", "streak", ""]);
    for row in rows {
        table.add_row(row.cells.iter().map(Cell::new).collect::<Vec<_>>());
    }
    for right in [0, 3] {
        if let Some(column) = table.column_mut(right) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// Everything in the order in which it happened.
fn rows(call: &Replayed) -> Vec<Row> {
    let window = call.settings.window;
    let mut rows: Vec<Row> = others(&call.source.recording).iter().map(other).collect();
    rows.extend(call.played.timed_turns().into_iter().map(|(at, turn)| caller(at, turn, window)));
    for escalation in &call.played.escalations {
        let decided =
            |report: &Report| matches!(report, Report::Escalation { alert_id, .. } if *alert_id == escalation.alert_id);
        let at = call.played.reports.iter().find(|(_, report)| decided(report)).map(|(at, _)| *at);
        let mut row = Row::new(at.unwrap_or_default(), ALARM, "", "▲", "");
        row.cells[2] = told(escalation);
        rows.push(row);
    }
    // Stable: what is pushed later stands below what happened at the same moment.
    rows.sort_by_key(|row| row.at);
    rows
}

fn caller(at: Millis, turn: &PlayedTurn, window: u32) -> Row {
    let mut row = Row::new(at, Style::new(), &turn.number().to_string(), "caller", turn.text());
    let Some(rated) = turn.rated() else {
        row.cells[6] = "unrated".to_owned();
        row.style = DIM;
        return row;
    };
    row.style = match rated.sentiment.value() {
        _ if rated.low => LOW,
        s if s > 6.0 => GOOD,
        _ => Style::new(),
    };
    row.cells[3] = rated.sentiment.to_string();
    row.cells[4] = bar(rated.sentiment);
    row.cells[5] = format!("{}/{window}", rated.streak);
    let mut marks = Vec::new();
    if rated.filler {
        marks.push("filler".to_owned());
    }
    if rated.low {
        marks.push("low".to_owned());
        marks.extend(rated.cues.first().map(|cue| format!("“{}”", shorten(&cue.text, 24))));
    }
    row.cells[6] = marks.join(" ");
    row
}

fn other(said: &Spoken<'_>) -> Row {
    let who = match said.role {
        Role::Caller => "caller",
        Role::Agent => "agent",
        Role::Supervisor => "supervisor",
        Role::Observer => "observer",
    };
    Row::new(said.at, DIM, "", who, said.text)
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
