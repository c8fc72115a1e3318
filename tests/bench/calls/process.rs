//! The children of the bench: how they are started, heard, measured and ended.

use std::fs::read_to_string;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A tick of `/proc/PID/stat`, the same on every Linux (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// What the rooms tell: JSON lines on their stdout.
#[derive(Serialize, Deserialize)]
pub(crate) enum Said {
    /// Where they listen.
    Port(u16),
    /// As many calls are in as are expected.
    Attached,
    /// What was not counted is over.
    WarmedUp,
    /// A round is over: how long each turn waited, in µs, and how many waited in vain.
    Round { waited: Vec<u64>, undecided: usize },
    /// How often each open board moved at least, and how much came to one at most, in KB.
    Moved { least: usize, most_kb: usize },
}

/// A child, killed when it is dropped. One that is left alone ends by itself when its stdin closes, or with its room.
pub(crate) struct Process {
    child: Child,
    stdin: ChildStdin,
    lines: BufReader<ChildStdout>,
}

impl Process {
    /// This program again, in another role, with as many open files as it may have.
    pub(crate) fn role(args: &[String]) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", r#"ulimit -n "$(ulimit -Hn)" && exec "$@""#, "sh"]);
        Self::start(command.arg(std::env::current_exe().unwrap()).args(args))
    }

    pub(crate) fn attach(program: &str, url: &str, room: &str, store: &str) -> Self {
        let mut command = Command::new(program);
        command.args(["attach", "--room-url", url, "--room", room, "--store", store]);
        Self::start(command.args(["--set", "sentimentEscalationEnabled=true"]))
    }

    /// The review pages on a free port, for whoever has this token.
    pub(crate) fn review(program: &str, store: &str, token: &str) -> Self {
        let mut command = Command::new(program);
        command.args(["review", "--listen", "127.0.0.1:0", "--store", store]);
        Self::start(command.env("SIDECAR_REVIEW_TOKEN", token))
    }

    fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, stdin, lines: BufReader::new(stdout) }
    }

    /// The next line. An attach says little enough that what nobody reads fits into the pipe.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "a child ended: {:?}", self.child.wait());
        line
    }

    pub(crate) fn hear(&mut self) -> Said {
        serde_json::from_str(&self.line()).unwrap()
    }

    pub(crate) fn go(&mut self) {
        writeln!(self.stdin, "go").unwrap();
    }

    /// CPU so far.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // The name, in parentheses, may hold blanks; utime and stime are the 14th and 15th field.
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let ticks: u32 = fields.split(' ').skip(11).take(2).map(|field| field.parse::<u32>().unwrap()).sum();
        TICK * ticks
    }

    pub(crate) fn memory(&self) -> Memory {
        let rollup = read_to_string(format!("/proc/{}/smaps_rollup", self.child.id())).unwrap();
        let kilobytes = |name: &str| -> u64 {
            let line = rollup.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().trim_end_matches(" kB").parse().unwrap()
        };
        Memory { pss: kilobytes("Pss:"), private: kilobytes("Private_Dirty:") }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Kilobytes: with its share of what it has in common with other processes; and what it wrote, so that it has it alone.
#[derive(Clone, Copy, Default)]
pub(crate) struct Memory {
    pub(crate) pss: u64,
    pub(crate) private: u64,
}

impl Memory {
    pub(crate) fn of(processes: &[Process]) -> Self {
        processes
            .iter()
            .map(Process::memory)
            .fold(Self::default(), |sum, one| Self { pss: sum.pss + one.pss, private: sum.private + one.private })
    }
}

/// How many files a process may open at most.
pub(crate) fn open_files_limit() -> usize {
    let limits = read_to_string("/proc/self/limits").unwrap();
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    files.split_whitespace().nth(1).unwrap().parse().unwrap_or(usize::MAX)
}
