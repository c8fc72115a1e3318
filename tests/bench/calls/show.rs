//! The tables, at most 80 columns wide. Behind each figure, in parentheses, the least and the most of the rounds.

use crate::measure::{Measured, Start, Starts};
use crate::process::Memory;

/// The value below which that share of the sorted values lies.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

/// The median, and the least and the most.
pub(crate) struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        Self { median: quantile(&values, 0.5), least: quantile(&values, 0.0), most: quantile(&values, 1.0) }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { median, least, most } = self;
        f.pad(&format!("{} ({}-{})", short(*median), short(*least), short(*most)))
    }
}

/// With a decimal where it says something.
pub(crate) fn short(value: f64) -> String {
    if value < 100.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}

pub(crate) fn megabytes(kilobytes: u64) -> f64 {
    kilobytes as f64 / 1024.0
}

/// Kilobytes a call beyond the first; nothing for the first.
fn beyond_first(rows: &[Measured], last: &Measured, of: impl Fn(&Measured) -> u64) -> Option<f64> {
    let first = rows.first().filter(|first| first.calls == 1 && last.calls > 1)?;
    Some((of(last) as f64 - of(first) as f64) / (last.calls - 1) as f64)
}

fn or_dash(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), short)
}

impl Measured {
    /// Of all rounds together.
    fn waited(&self, share: f64) -> f64 {
        let mut all: Vec<f64> = self.rounds.iter().flat_map(|round| round.waited.iter().copied()).collect();
        all.sort_by(f64::total_cmp);
        quantile(&all, share)
    }

    pub(crate) fn cpu(&self) -> Spread {
        Spread::of(self.rounds.iter().map(|round| round.cpu.as_secs_f64() * 1000.0 / round.waited.len().max(1) as f64))
    }
}

pub(crate) fn starts(all: &[Starts]) {
    println!("\nspawn to attached, one process after another");
    println!("{:8} {:>6} {:>20} {:>9} {:>12}", "", "starts", "ms", "PSS, MB", "private, MB");
    let memory = |starts: &Starts, of: fn(&Memory) -> u64| {
        Spread::of(starts.all.iter().map(|start| megabytes(of(&start.memory)))).median
    };
    let took = |starts: &Starts| Spread::of(starts.all.iter().map(|Start { took, .. }| took.as_secs_f64() * 1000.0));
    for starts in all {
        println!(
            "{:8} {:>6} {:>20} {:>9.1} {:>12.1}",
            starts.name,
            starts.all.len(),
            took(starts),
            memory(starts, |memory| memory.pss),
            memory(starts, |memory| memory.private),
        );
    }
    if let [now, before] = all {
        println!(
            "{:8} {:>6} {:>20.2} {:>9.2} {:>12.2}",
            "ratio",
            "",
            took(now).median / took(before).median,
            memory(now, |memory| memory.pss) / memory(before, |memory| memory.pss),
            memory(now, |memory| memory.private) / memory(before, |memory| memory.private),
        );
    }
}

/// The same calls told to the board and not, in turns.
pub(crate) fn board(on: &[Measured], off: &[Measured]) {
    let cpu = |all: &[Measured]| Spread::of(all.iter().map(|one| one.cpu().median));
    println!("\n{:14} {:>20} {:>11} {:>14}", "", "CPU a turn, ms", "private, MB", "p99, ms");
    for (name, all) in [("on the board", on), ("off the board", off)] {
        let private = Spread::of(all.iter().map(|one| megabytes(one.talked.private))).median;
        let waited = Spread::of(all.iter().map(|one| one.waited(0.99))).median;
        println!("{name:14} {:>20} {:>11} {:>14}", cpu(all), short(private), short(waited));
    }
    let (on, off) = (cpu(on).median, cpu(off).median);
    println!("the board's share of a call's CPU: {:.1} %", (on - off) / on * 100.0);
}

pub(crate) fn heading(name: &str) {
    println!("\n{name:14} KB a call beyond the first");
    println!(
        "{:>6} {:>7} {:>8} {:>7} {:>7} {:>15} {:>5} {:>17}",
        "calls", "PSS, MB", "attached", "talked", "private", "CPU a turn, ms", "p50", "p99, ms"
    );
}

/// The last row of those so far.
pub(crate) fn row(rows: &[Measured]) {
    let Some(last) = rows.last() else { return };
    let each = |of: fn(&Measured) -> u64| or_dash(beyond_first(rows, last, of));
    let p99 = Spread { median: last.waited(0.99), ..Spread::of(last.rounds.iter().map(|r| quantile(&r.waited, 0.99))) };
    println!(
        "{:>6} {:>7} {:>8} {:>7} {:>7} {:>15} {:>5} {:>17}",
        last.calls,
        short(megabytes(last.talked.pss)),
        each(|measured| measured.attached.pss),
        each(|measured| measured.talked.pss),
        each(|measured| measured.talked.private),
        last.cpu(),
        short(last.waited(0.5)),
        p99,
    );
    let undecided: usize = last.rounds.iter().map(|round| round.undecided).sum();
    if undecided > 0 {
        println!("       {undecided} turns were not decided within 5 s");
    }
}

/// One process each, as a multiple of all in one.
pub(crate) fn ratios(in_one: &[Measured], one_each: &[Measured]) {
    println!("\na process each, as a multiple of all in one process");
    let memory = |rows: &[Measured]| rows.last().and_then(|last| beyond_first(rows, last, |m| m.talked.pss));
    if let (Some(together), Some(apart)) = (memory(in_one), memory(one_each)) {
        println!("  memory a call beyond the first (PSS, of the most calls each): {:.1}", apart / together);
    }
    for together in in_one {
        let Some(apart) = one_each.iter().find(|apart| apart.calls == together.calls) else { continue };
        println!(
            "  at {} calls: CPU a turn {:.2}, p50 {:.2}, p99 {:.2}, time to join {:.1}",
            together.calls,
            apart.cpu().median / together.cpu().median,
            apart.waited(0.5) / together.waited(0.5),
            apart.waited(0.99) / together.waited(0.99),
            apart.joined_in.as_secs_f64() / together.joined_in.as_secs_f64(),
        );
    }
}

/// Memory alone, of as many calls as there may be.
pub(crate) fn most(in_one: &[Measured], most: &Measured) {
    println!(
        "\n{} calls in one process, all attached within {:.1} s\n  {:.1} MB (PSS), {} KB a call beyond the first",
        most.calls,
        most.joined_in.as_secs_f64(),
        megabytes(most.attached.pss),
        or_dash(beyond_first(in_one, most, |measured| measured.attached.pss)),
    );
}
