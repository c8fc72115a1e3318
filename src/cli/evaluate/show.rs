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

/// The fewest columns of a group's name.
const LEAST_NAME: usize = 8;
const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const ALARM: Style = AnsiColor::Red.on_default().bold();

/// What is shown.
pub(super) struct Shown<'a> {
    /// The figures of all calls, and of each group.
    pub(super) rows: Vec<(String, Figures)>,
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
                group: &'a str,
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
        let figures = self.rows.iter().map(|(group, figures)| Line::Figures { group, figures });
        let wrong = self.wrong.iter().map(|call| Line::Wrong { call });
        for line in figures.chain(wrong).chain([Line::Gates { gates: self.gates }]) {
            serde_json::to_writer(&mut *out, &line)?;
            writeln!(out)?;
        }
        out.flush()
    }

    pub(super) fn table(&self, out: &mut impl Write) -> io::Result<()> {
        print(out, &calls(&self.rows))?;
        if self.rows.iter().any(|(_, figures)| figures.turns > 0) {
            writeln!(out)?;
            print(out, &turns(&self.rows))?;
        }
        if let Some(unrated) = self.rows.first().map(|(_, all)| all.unrated).filter(|count| *count > 0) {
            writeln!(out, "{unrated} turns could not be rated and count in no figure")?;
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
        for Checked { gate, bound, holds, .. } in self.gates {
            match holds {
                true => writeln!(out, "gate --{gate} {bound} holds")?,
                false => writeln!(out, "{ALARM}gate --{gate} {bound} fails{ALARM:#}")?,
            }
        }
        out.flush()
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
        (Wrong::Missed, Some(waited)) if waited > 0 => told.push_str(&format!(", and {waited} turns after it")),
        (Wrong::Late, Some(waited)) => told.push_str(&format!(
            ", {waited} turn{} after turn {}",
            if waited == 1 { "" } else { "s" },
            call.wanted_turn.unwrap_or_default()
        )),
        _ => {}
    }
    told
}

/// Recall, false escalations and when, a row a group.
fn calls(rows: &[(String, Figures)]) -> Table {
    table(
        ["", "CALLS", "RECALL (95 %)", "FALSE (95 %)", "LATE", "EARLY"],
        rows.iter().map(|(group, f)| {
            [
                group.clone(),
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
fn turns(rows: &[(String, Figures)]) -> Table {
    table(
        ["", "TURNS", "AUROC", "SPEARMAN", "ERROR", "CALM LOW (95 %)"],
        rows.iter().map(|(group, f)| {
            [
                group.clone(),
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
        row[0] = shorten(&row[0], name);
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

fn print(out: &mut impl Write, table: &Table) -> io::Result<()> {
    for line in table.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
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
