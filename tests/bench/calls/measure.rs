//! What is measured, stage by stage.

use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::process::{Memory, Process, Said};
use crate::rooms::Play;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_sentiment-sidecar");
/// How many processes start at a time.
const STARTING: usize = 4;

/// Where the calls are.
#[derive(Clone, Copy)]
pub(crate) enum Stage {
    InOne,
    /// In one process that tells no board of them.
    OffBoard,
    OneEach,
}

/// So many calls, from joining to the last round.
pub(crate) struct Measured {
    pub(crate) calls: usize,
    /// From the first process's spawn until all calls were in.
    pub(crate) joined_in: Duration,
    /// Before the first turn.
    pub(crate) attached: Memory,
    /// After the last.
    pub(crate) talked: Memory,
    pub(crate) rounds: Vec<Round>,
}

pub(crate) struct Round {
    /// How long each turn waited for its decision, in ms, sorted.
    pub(crate) waited: Vec<f64>,
    pub(crate) undecided: usize,
    /// CPU of the calls' processes.
    pub(crate) cpu: Duration,
}

/// The start of one `attach`.
pub(crate) struct Start {
    pub(crate) took: Duration,
    pub(crate) memory: Memory,
}

/// The starts of one program.
pub(crate) struct Starts {
    pub(crate) name: &'static str,
    pub(crate) all: Vec<Start>,
}

/// The rooms, and a store for those who join them.
pub(crate) struct Platform {
    pub(crate) rooms: Process,
    pub(crate) url: String,
    folder: TempDir,
}

impl Platform {
    pub(crate) fn open(play: Play) -> Self {
        let mut rooms = Process::role(&play.to_args());
        let Said::Port(port) = rooms.hear() else { panic!("the rooms should first say where they listen") };
        Self { rooms, url: format!("ws://127.0.0.1:{port}/"), folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn store(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn attach(&self, program: &str, number: usize, store: &str) -> Process {
        Process::attach(program, &self.url, &format!("bench-{number}"), store)
    }
}

/// Returns once it is attached.
fn attached(process: &mut Process) {
    while !process.line().contains(r#""type":"attached""#) {}
}

/// One start after another, of this program and, where it is named, of an earlier version in turns with it.
pub(crate) fn starts(times: usize) -> Vec<Starts> {
    let before = std::env::var("SIDECAR_BENCH_BEFORE").ok();
    let programs = [("attach", Some(PROGRAM)), ("before", before.as_deref())];
    let programs: Vec<_> = programs.iter().filter_map(|(name, program)| Some((*name, (*program)?))).collect();
    let nobody_talks =
        Play { calls: u32::MAX as usize, turns: None, every: Duration::ZERO, round: Duration::ZERO, rounds: 0 };
    let platform = Platform::open(nobody_talks);
    let mut all: Vec<Starts> = programs.iter().map(|(name, _)| Starts { name, all: Vec::new() }).collect();
    for number in 0..times {
        for ((name, program), starts) in programs.iter().zip(&mut all) {
            let store = platform.store(name);
            let began = Instant::now();
            let mut process = platform.attach(program, number, &store);
            attached(&mut process);
            starts.all.push(Start { took: began.elapsed(), memory: process.memory() });
        }
    }
    all
}

/// Joins, lets talk, and measures.
pub(crate) fn calls(stage: Stage, play: Play) -> Measured {
    let mut platform = Platform::open(play);
    let began = Instant::now();
    let processes = match stage {
        Stage::InOne | Stage::OffBoard => {
            let role = if matches!(stage, Stage::OffBoard) { "host-off-board" } else { "host" };
            let (calls, store) = (play.calls.to_string(), platform.store("store.db"));
            vec![Process::role(&[role.to_owned(), platform.url.clone(), calls, store])]
        }
        Stage::OneEach => each(&platform, play.calls),
    };
    assert!(matches!(platform.rooms.hear(), Said::Attached));
    let joined_in = began.elapsed();
    let attached = Memory::of(&processes);
    let rounds = if play.rounds > 0 { talk(&mut platform.rooms, &processes, play.rounds) } else { Vec::new() };
    let talked = Memory::of(&processes);
    Measured { calls: play.calls, joined_in, attached, talked, rounds }
}

fn each(platform: &Platform, calls: usize) -> Vec<Process> {
    let store = platform.store("store.db");
    let mut processes = Vec::with_capacity(calls);
    for first in (0..calls).step_by(STARTING) {
        let numbers = first..calls.min(first + STARTING);
        processes.extend(numbers.map(|number| platform.attach(PROGRAM, number, &store)));
        processes[first..].iter_mut().for_each(attached);
    }
    processes
}

fn talk(rooms: &mut Process, processes: &[Process], rounds: usize) -> Vec<Round> {
    let cpu = || processes.iter().map(Process::cpu).sum::<Duration>();
    rooms.go();
    assert!(matches!(rooms.hear(), Said::WarmedUp));
    let mut so_far = cpu();
    let round = |_| {
        let Said::Round { mut waited, undecided } = rooms.hear() else { panic!("a round should have ended") };
        let until_now = cpu();
        let cpu = until_now - std::mem::replace(&mut so_far, until_now);
        waited.sort_unstable();
        Round { waited: waited.into_iter().map(|us| us as f64 / 1000.0).collect(), undecided, cpu }
    };
    (0..rounds).map(round).collect()
}
