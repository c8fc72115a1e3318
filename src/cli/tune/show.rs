//! What `tune` shows people: heat maps, what the best of each rule comes to, the recommendation and what it changes.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use comfy_table::{Cell as TableCell, CellAlignment, Table, presets};

use super::super::cached::Counts;
use super::super::terminal::{self, words};
use crate::replay::shorten;
use crate::replay::tune::grid::{LEVELS, STREAK, WEIGHTS};
use crate::replay::tune::outcomes::TunedCall;
use crate::replay::tune::recommend::{Verdict, percent, plural, shown};
use crate::replay::tune::trace::Decided;
use crate::replay::tune::weigh::{Side, Validated, Weighed};
use crate::replay::tune::{Flip, Tuning};

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const BELOW: Style = AnsiColor::Cyan.on_default();
const WITHIN: Style = AnsiColor::Green.on_default().bold();
const ABOVE: Style = AnsiColor::Red.on_default();

/// Prints all of it; at most `most` of the calls that change.
pub(super) fn table(out: &mut impl Write, tuning: &Tuning, counts: Counts, most: usize) -> io::Result<()> {
    calls(out, tuning, counts)?;
    maps(out, tuning)?;
    candidates(out, tuning)?;
    recommendation(out, tuning)?;
    flips(out, tuning, most)?;
    out.flush()
}

fn calls(out: &mut impl Write, tuning: &Tuning, counts: Counts) -> io::Result<()> {
    let calls = &tuning.outcomes.calls;
    let turns: Vec<_> = calls.iter().flat_map(TunedCall::caller_turns).collect();
    let unrated = turns.iter().filter(|turn| turn.sentiment.is_none()).count();
    let judged = |wanted| calls.iter().filter(|call| call.escalate == Some(wanted)).count();
    let (yes, no) = (judged(true), judged(false));
    write!(out, "{}, {}", plural(calls.len(), "call"), plural(turns.len(), "caller turn"))?;
    if unrated > 0 {
        write!(out, ", {unrated} of them unrated")?;
    }
    writeln!(out, " {DIM}({} rated now, {} known){DIM:#}", counts.rated, counts.known)?;
    if yes + no > 0 {
        let unjudged = match calls.len() - yes - no {
            0 => String::new(),
            unjudged => format!(", of {unjudged} nobody has said"),
        };
        writeln!(out, "{yes} should escalate, {no} should not{unjudged}")?;
    }
    writeln!(out, "{} settings tried", tuning.tried.count())
}

fn maps(out: &mut impl Write, tuning: &Tuning) -> io::Result<()> {
    let (tried, band) = (&tuning.tried, &tuning.aim.band);
    writeln!(out, "\n{BOLD}STREAK ALONE{BOLD:#}  % of calls that escalate, by threshold and window")?;
    let windows: Vec<String> = STREAK.map(|window| window.to_string()).collect();
    let thresholds: Vec<String> = STREAK.map(|threshold| threshold.to_string()).collect();
    heat(out, ("below", &thresholds), ("in a row", &windows), &tried.streaks, tuning)?;
    writeln!(out, "\n{BOLD}SUSTAINED ALONE{BOLD:#}  the same by level and weight of the mean")?;
    let weights: Vec<String> = WEIGHTS.iter().map(f64::to_string).collect();
    let levels: Vec<String> = LEVELS.iter().map(|level| format!("{level:.1}")).collect();
    heat(out, ("below", &levels), ("weight", &weights), &tried.means, tuning)?;
    let requests: Vec<String> = tried
        .requests
        .iter()
        .map(|weighed| format!("{} or more: {} %", weighed.cell.human_requests, percent(weighed.share())))
        .collect();
    writeln!(out, "\n{BOLD}REQUESTS FOR A HUMAN ALONE{BOLD:#}")?;
    writeln!(out, "  {}", requests.join(", "))?;
    writeln!(out, "{BOLD}TRAJECTORY ALONE{BOLD:#}  {} %", percent(tried.trajectory.share()))?;
    let legend = format!(
        "[ ] within {} to {} %; * today's threshold and window; ? so few calls that it may as well lie on another side",
        100.0 * band.min,
        100.0 * band.max
    );
    for line in words(&legend, "", "") {
        writeln!(out, "{DIM}{line}{DIM:#}")?;
    }
    Ok(())
}

/// One row a first value, one column a second value.
fn heat(
    out: &mut impl Write,
    (down, rows): (&str, &[String]),
    (across, columns): (&str, &[String]),
    cells: &[Weighed],
    tuning: &Tuning,
) -> io::Result<()> {
    let today = tuning.tried.today.cell;
    let header: String = columns.iter().map(|column| format!("{column:>5}  ")).collect();
    writeln!(out, "{DIM}{down:>5}   {across}{DIM:#}")?;
    writeln!(out, "{DIM}      {}{DIM:#}", header.trim_end())?;
    for (row, cells) in rows.iter().zip(cells.chunks(columns.len())) {
        write!(out, "{DIM}{row:>5}{DIM:#}")?;
        for (at, weighed) in cells.iter().enumerate() {
            let (style, open, close) = match weighed.side {
                Side::Below => (BELOW, ' ', ' '),
                Side::Within => (WITHIN, '[', ']'),
                Side::Above => (ABOVE, ' ', ' '),
            };
            let is_today = weighed.cell.streak.is_some() && weighed.cell.streak == today.streak;
            let mark = if is_today {
                '*'
            } else if weighed.thin {
                '?'
            } else {
                ' '
            };
            let text = format!("{open}{:>4}{mark}{close}", percent(weighed.share()));
            let text = if at + 1 == cells.len() { text.trim_end() } else { &text };
            write!(out, "{style}{text}{style:#}")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// Today's settings, the best of each rule and the recommended ones, side by side.
fn candidates(out: &mut impl Write, tuning: &Tuning) -> io::Result<()> {
    let rows = tuning.candidates();
    let labelled = rows.iter().any(|(_, weighed)| weighed.recall.of + weighed.false_alarms.of > 0);
    let mut header = vec!["BEST OF EACH", "RATE % (95 %)"];
    if labelled {
        header.extend(["RECALL", "FALSE", "RIGHT", "LATE"]);
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(aligned(header.into_iter().map(str::to_owned).collect()));
    for (name, weighed) in &rows {
        let mut cells = vec![(*name).to_owned(), shown(&weighed.rate).replace(" %", "")];
        if labelled {
            let of = |share: &crate::replay::figures::Share| match share.share {
                Some(p) => format!("{}/{} {} %", share.count, share.of, percent(p)),
                None => "-".to_owned(),
            };
            let late = weighed.median_late.map_or_else(|| "-".to_owned(), |late| format!("{late:.1}"));
            cells.extend([of(&weighed.recall), of(&weighed.false_alarms), of(&weighed.precision), late]);
        }
        table.add_row(aligned(cells));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
    }
    writeln!(out)?;
    for line in table.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    if labelled {
        let told = "RIGHT: of those that escalate, the ones that should (precision), on these calls. LATE: turns after the \
                    judged one, at the median.";
        for line in words(told, "", "") {
            writeln!(out, "{DIM}{line}{DIM:#}")?;
        }
    }
    Ok(())
}

fn aligned(cells: Vec<String>) -> Vec<TableCell> {
    let right = |(at, text): (usize, String)| {
        TableCell::new(text).set_alignment(if at == 0 { CellAlignment::Left } else { CellAlignment::Right })
    };
    cells.into_iter().enumerate().map(right).collect()
}

fn recommendation(out: &mut impl Write, tuning: &Tuning) -> io::Result<()> {
    let recommendation = &tuning.recommendation;
    let (style, title) = match recommendation.verdict {
        Verdict::Change => (WITHIN, "RECOMMENDED"),
        Verdict::Keep => (WITHIN, "KEEP TODAY'S SETTINGS"),
        Verdict::NotEnoughCalls => (ABOVE, "KEEP TODAY'S SETTINGS: NOT ENOUGH CALLS TO TELL"),
        Verdict::NothingFits => (ABOVE, "KEEP TODAY'S SETTINGS: NOTHING FITS"),
    };
    writeln!(out)?;
    for line in words(&recommendation.weighed.cell.told(), &format!("{title}  "), "  ") {
        // The title has its style, and takes no more columns by it.
        writeln!(out, "{}", line.replacen(title, &format!("{style}{title}{style:#}"), 1))?;
    }
    for line in words(&recommendation.reason, "  ", "  ") {
        writeln!(out, "{line}")?;
    }
    if let Some(Validated { weighed: validated, .. }) = tuning.validated.as_ref().filter(|_| tuning.changes()) {
        let told = format!(
            "Cross-validated, on calls that it was not made from: recall {}, false alarms {}.",
            shown(&validated.recall),
            shown(&validated.false_alarms)
        );
        for line in words(&told, "  ", "  ") {
            writeln!(out, "{line}")?;
        }
    }
    if tuning.changes() {
        writeln!(out, "\n{}", tuning.document())?;
    }
    Ok(())
}

fn flips(out: &mut impl Write, tuning: &Tuning, most: usize) -> io::Result<()> {
    if tuning.flips.is_empty() {
        return Ok(());
    }
    let calls = tuning.flips.len();
    writeln!(out, "\n{BOLD}WHAT CHANGES{BOLD:#}  {}", plural(calls, "call"))?;
    for flip in tuning.flips.iter().take(most) {
        let call = &tuning.outcomes.calls[flip.call];
        for line in words(&told(call, flip), "  ", "      ") {
            writeln!(out, "{line}")?;
        }
        let decided = flip.then.or(flip.today);
        let turn =
            call.lines.iter().find(|line| line.turn.is_some() && line.turn == decided.map(|decided| decided.turn));
        if let Some(turn) = turn {
            let style = turn.sentiment.map_or(DIM, terminal::by_score);
            let rated = turn.sentiment.map_or_else(|| "-".to_owned(), |sentiment| sentiment.to_string());
            for line in words(&format!("{rated} “{}”", turn.text), "      ", "      ") {
                writeln!(out, "{style}{line}{style:#}")?;
            }
        }
    }
    if calls > most {
        writeln!(out, "  {DIM}… and {} more: --show {calls}{DIM:#}", calls - most)?;
    }
    Ok(())
}

/// What becomes of a call, in a line.
fn told(call: &TunedCall, flip: &Flip) -> String {
    let at = |decided: Decided| format!("turn {}, {} rule", decided.turn, decided.rule.name());
    let change = match (flip.today, flip.then) {
        (None, Some(then)) => format!("escalates now ({})", at(then)),
        (Some(today), None) => format!("escalates no more (it did at {})", at(today)),
        (Some(today), Some(then)) => format!("escalates at {} instead of turn {}", at(then), today.turn),
        (None, None) => "is as before".to_owned(),
    };
    let judged = match call.escalate {
        Some(true) => ", and should",
        Some(false) => ", and should not",
        None => "",
    };
    // Judged is whether it should escalate at all; when, says its turn.
    let judged = if flip.today.is_some() == flip.then.is_some() { "" } else { judged };
    format!("{} {change}{judged}", shorten(&call.name, 60))
}
