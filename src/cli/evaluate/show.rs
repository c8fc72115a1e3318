//! How `evaluate` shows what it found.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use comfy_table::{Cell, CellAlignment, Table, presets};
use serde::Serialize;

use super::gates::Checked;
use crate::cli::terminal::{self, words};
use crate::replay::figures::{Figures, Share};
use crate::replay::measured::{Wrong, WrongCall};
use crate::replay::shorten;
use crate::replay::tune::recommend::plural;

/// The fewest columns of a group's name.
const LEAST_NAME: usize = 8;
/// What stands before a value below its field.
const INDENT: &str = "  ";
const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const ALARM: Style = AnsiColor::Red.on_default().bold();

/// The figures of all calls, or of a group of them.
pub(super) struct Row {
    /// The field that they are split by, and their value of it.
    pub(super) group: Option<(String, String)>,
    pub(super) figures: Figures,
}

impl Row {
    /// As its row begins, below its field.
    fn value(&self) -> String {
        self.group.as_ref().map_or_else(|| "all".to_owned(), |(_, value)| format!("{INDENT}{value}"))
    }

    fn name(&self) -> String {
        self.group.as_ref().map_or_else(|| "all".to_owned(), |(field, value)| format!("{field} {value}"))
    }
}

/// What is shown.
pub(super) struct Shown<'a> {
    /// The figures of all calls, then of each group, by field.
    pub(super) rows: Vec<Row>,
    pub(super) gates: &'a [Checked],
    /// The calls that come out wrong, the worst first.
    pub(super) wrong: Vec<WrongCall>,
    /// The most of each kind that a table lists.
    pub(super) most: usize,
}

impl Shown<'_> {
    pub(super) fn json(&self, out: &mut impl Write) -> io::Result<()> {
        #[derive(Serialize)]
        #[serde(tag = "type", rename_all = "snake_case")]
        enum Line<'a> {
            Figures {
                group: String,
                figures: &'a Figures,
            },
            Wrong {
                #[serde(flatten)]
                call: &'a WrongCall,
            },
            Gates {
                gates: &'a [Checked],
            },
        }
        let figures = self.rows.iter().map(|row| Line::Figures { group: row.name(), figures: &row.figures });
        let wrong = self.wrong.iter().map(|call| Line::Wrong { call });
        for line in figures.chain(wrong).chain([Line::Gates { gates: self.gates }]) {
            serde_json::to_writer(&mut *out, &line)?;
            writeln!(out)?;
        }
        out.flush()
    }

    pub(super) fn table(&self, out: &mut impl Write) -> io::Result<()> {
        self.print(out, calls(&self.rows))?;
        if self.rows.iter().any(|row| row.figures.turns > 0) {
            writeln!(out)?;
            self.print(out, turns(&self.rows))?;
        }
        if let Some(unrated) = self.rows.first().map(|all| all.figures.unrated).filter(|count| *count > 0) {
            writeln!(out, "{} could not be rated and count in no figure", plural(unrated, "turn"))?;
        }
        for (wrong, title) in [
            (Wrong::Missed, "MISSED, those first whose callers went on longest"),
            (Wrong::False, "FALSE, the calmest callers first"),
            (Wrong::Late, "LATE, the latest first"),
        ] {
            self.list(out, wrong, title)?;
        }
        if !self.gates.is_empty() {
            writeln!(out)?;
        }
        for Checked { gate, bound, found, holds } in self.gates {
            let found = found.map_or_else(|| "the labels do not give it".to_owned(), told_figure);
            match holds {
                true => writeln!(out, "gate --{gate} {bound} holds: {found}")?,
                false => writeln!(out, "{ALARM}gate --{gate} {bound} fails: {found}{ALARM:#}")?,
            }
        }
        out.flush()
    }

    /// Prints a table of the rows; a field stands once, above its values.
    fn print(&self, out: &mut impl Write, table: Table) -> io::Result<()> {
        // The header comes first.
        let rows = std::iter::once(None).chain(self.rows.iter().map(|row| row.group.as_ref().map(|(field, _)| field)));
        let mut last = None;
        for (line, field) in table.lines().zip(rows) {
            if field != last
                && let Some(field) = field
            {
                writeln!(out, "{BOLD}{}{BOLD:#}", shorten(field, terminal::width()))?;
            }
            last = field;
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }

    fn list(&self, out: &mut impl Write, wrong: Wrong, title: &str) -> io::Result<()> {
        let calls: Vec<&WrongCall> = self.wrong.iter().filter(|call| call.wrong == wrong).collect();
        if calls.is_empty() {
            return Ok(());
        }
        writeln!(out, "\n{BOLD}{title} ({}){BOLD:#}", calls.len())?;
        for call in calls.iter().take(self.most) {
            let style = call.sentiment.map_or(DIM, terminal::by_score);
            for line in words(&told(call), "  ", "      ") {
                writeln!(out, "{style}{line}{style:#}")?;
            }
            if !call.text.is_empty() {
                for line in words(&format!("“{}”", call.text), "      ", "      ") {
                    writeln!(out, "{line}")?;
                }
            }
        }
        if calls.len() > self.most {
            writeln!(out, "  {DIM}… and {} more: --show {}{DIM:#}", calls.len() - self.most, calls.len())?;
        }
        Ok(())
    }
}

/// What is wrong with a call, in a line.
fn told(call: &WrongCall) -> String {
    let mut told = call.file.clone();
    match call.turn {
        Some(0) => told.push_str(", before the first turn"),
        Some(turn) => told.push_str(&format!(", turn {turn}")),
        None => {}
    }
    if let Some(sentiment) = call.sentiment {
        told.push_str(&format!(", rated {sentiment}"));
    }
    if let Some(rule) = call.rule {
        told.push_str(&format!(", {} rule", rule.name()));
    }
    match (call.wrong, call.waited) {
        (Wrong::Missed, Some(waited)) if waited > 0 => {
            told.push_str(&format!(", and {} after it", plural(waited as usize, "turn")))
        }
        (Wrong::Late, Some(waited)) => told.push_str(&format!(
            ", {} after turn {}",
            plural(waited as usize, "turn"),
            call.wanted_turn.unwrap_or_default()
        )),
        _ => {}
    }
    told
}

/// Recall, false escalations and when, a row a group.
fn calls(rows: &[Row]) -> Table {
    table(
        ["", "CALLS", "RECALL (95 %)", "FALSE (95 %)", "LATE", "EARLY"],
        rows.iter().map(|row| {
            let f = &row.figures;
            [
                row.value(),
                f.calls.to_string(),
                shown_share(&f.recall),
                shown_share(&f.false_escalations),
                shown(f.median_late, 1),
                format!("{}/{}", f.early.count, f.early.of),
            ]
        }),
    )
}

/// How good the ratings are, a row a group.
fn turns(rows: &[Row]) -> Table {
    table(
        ["", "TURNS", "AUROC", "SPEARMAN", "ERROR", "CALM LOW (95 %)"],
        rows.iter().map(|row| {
            let f = &row.figures;
            [
                row.value(),
                f.turns.to_string(),
                shown(f.auroc, 3),
                shown(f.spearman, 3),
                shown(f.mean_error, 2),
                shown_share(&f.calm_low),
            ]
        }),
    )
}

/// A row a group, whose names get what the figures leave of the terminal.
fn table<const N: usize>(header: [&str; N], rows: impl Iterator<Item = [String; N]>) -> Table {
    let mut rows: Vec<[String; N]> = std::iter::once(header.map(str::to_owned)).chain(rows).collect();
    let widest = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0) + 1;
    let name = terminal::width().saturating_sub((1..N).map(widest).sum::<usize>() + 1).max(LEAST_NAME);
    for row in &mut rows {
        let indent = if row[0].starts_with(' ') { INDENT } else { "" };
        row[0] = format!("{indent}{}", shorten(&row[0], name.saturating_sub(indent.len())));
    }
    let mut table = Table::new();
    let right = |(at, text): (usize, String)| {
        Cell::new(text).set_alignment(if at == 0 { CellAlignment::Left } else { CellAlignment::Right })
    };
    table.load_style(presets::NOTHING);
    for row in rows {
        table.add_row(row.into_iter().enumerate().map(right));
    }
    // The table's own margins are wider than what it needs at 80 columns.
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
    }
    table
}

/// A figure without decimals that say nothing.
fn told_figure(value: f64) -> String {
    let told = format!("{value:.3}");
    told.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn shown(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.decimals$}"))
}

/// As `81/263 31 % (26-37)`; small shares have a decimal.
fn shown_share(share: &Share) -> String {
    let percent = |value: f64| match 100.0 * value {
        small if small < 9.95 => format!("{small:.1}"),
        large => format!("{large:.0}"),
    };
    match share.share {
        None => "-".to_owned(),
        Some(p) => {
            format!("{}/{} {} % ({}-{})", share.count, share.of, percent(p), percent(share.low), percent(share.high))
        }
    }
}
