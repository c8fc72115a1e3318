//! Many calls in one process beside one process each, in one run: memory a call, CPU a caller turn, and how long a turn
//! waits for its decision. The rooms are a process of their own and count for nothing but the two cores that they share.
//!
//! Each call has a caller turn every 10 s, between two turns of its agent, rated by the embedded rater; the calls' turns
//! are spread evenly over the 10 s. The first 10 s are not counted. A single call has a turn a second, for figures that
//! say something. Goals on two cores: 150 KB a call beyond the first, 99 of 100 turns decided within 50 ms at 1,000 calls,
//! spawn to attached and the memory of one `attach` no more than before.
//!
//! `-- --board` measures what telling the board of them costs: the same calls in one process that does and in one that does
//! not, in turns. `-- --soak MINUTES` is a busy day: 2,000 calls at any time (`--calls N`) of five minutes each in one process, and
//! 50 open boards (`--boards N`), with the memory of it each minute.
//!
//! `-- --quick` measures few calls, for seconds. The binary of an earlier version is measured beside this one where
//! `SIDECAR_BENCH_BEFORE` names it:
//!
//! ```sh
//! SIDECAR_BENCH_BEFORE=before/sentiment-sidecar cargo bench --bench calls
//! ```
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints, and should panic when it cannot go on")]

mod boards;
mod host;
mod measure;
mod process;
mod rooms;
mod show;
mod soak;

use std::time::Duration;

use measure::Stage;
use rooms::Play;

/// How often each caller speaks.
const EVERY: Duration = Duration::from_secs(10);
const SECOND: Duration = Duration::from_secs(1);

/// How much is measured.
struct Extent {
    in_one: &'static [usize],
    one_each: &'static [usize],
    /// For memory alone.
    most: Option<usize>,
    rounds: usize,
    starts: usize,
}

const FULL: Extent =
    Extent { in_one: &[1, 100, 1_000, 2_000], one_each: &[1, 100, 500], most: Some(10_000), rounds: 3, starts: 20 };
const QUICK: Extent = Extent { in_one: &[1, 50], one_each: &[1, 10], most: None, rounds: 1, starts: 3 };

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["rooms", play @ ..] => rooms::run(Play::from_args(play)),
        ["host", url, calls, store] => host::run(url, calls.parse().unwrap(), store, true),
        ["host-off-board", url, calls, store] => host::run(url, calls.parse().unwrap(), store, false),
        ["boards", url, token, people] => boards::run(url, token, people.parse().unwrap()),
        args if args.contains(&"--soak") => {
            let number = |flag, otherwise| number_after(args, flag).unwrap_or(otherwise);
            soak::run(number("--soak", 60), number("--calls", 2_000), number("--boards", 50));
        }
        args if args.contains(&"--board") => board(number_after(args, "--calls").unwrap_or(500)),
        args => bench(if args.contains(&"--quick") { QUICK } else { FULL }),
    }
}

fn number_after(args: &[&str], flag: &str) -> Option<usize> {
    let at = args.iter().position(|arg| *arg == flag)?;
    args.get(at + 1)?.parse().ok()
}

/// What telling the board costs, of so many calls.
fn board(calls: usize) {
    const TURNS: usize = 3;
    let load = std::fs::read_to_string("/proc/loadavg").unwrap();
    println!("load before: {}", load.trim_end());
    let (mut on, mut off) = (Vec::new(), Vec::new());
    println!("{calls} calls, {TURNS} times on the board and off it; each takes the better part of a minute");
    for turn in 1..=TURNS {
        on.push(measure::calls(Stage::InOne, play(calls, 3)));
        off.push(measure::calls(Stage::OffBoard, play(calls, 3)));
        println!(
            "{turn} of {TURNS}: {} ms of CPU a turn on the board, {} off it",
            on[turn - 1].cpu(),
            off[turn - 1].cpu()
        );
    }
    show::board(&on, &off);
}

fn play(calls: usize, rounds: usize) -> Play {
    let alone = calls == 1;
    let (every, round) = if alone { (SECOND, 5 * SECOND) } else { (EVERY, EVERY) };
    Play { calls, turns: None, every, round, rounds }
}

fn bench(extent: Extent) {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap();
    println!("load before: {}", load.trim_end());
    show::starts(&measure::starts(extent.starts));

    let stage = |name: &str, stage: Stage, counts: &[usize]| {
        show::heading(name);
        let mut rows = Vec::new();
        for &calls in counts {
            rows.push(measure::calls(stage, play(calls, extent.rounds)));
            show::row(&rows);
        }
        rows
    };
    let in_one = stage("one process", Stage::InOne, extent.in_one);
    let one_each = stage("a process each", Stage::OneEach, extent.one_each);
    show::ratios(&in_one, &one_each);

    let Some(most) = extent.most else { return };
    let limit = process::open_files_limit();
    if limit < most + 100 {
        println!("{most} calls in one process: left out, since a process may open {limit} files at most");
        return;
    }
    show::most(&in_one, &measure::calls(Stage::InOne, play(most, 0)));
}
