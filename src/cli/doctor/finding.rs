//! What a check found, as one aligned line.

use std::fmt;

use anstyle::{AnsiColor, Style};

use crate::cli::exit::Exit;
use crate::cli::terminal;

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Ok,
    Warn,
    Fail,
    /// There was nothing to check.
    Skip,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    check: Check,
    verdict: Verdict,
    detail: String,
    mend: Option<String>,
}

/// The checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    Settings,
    Secrets,
    Store,
    Webhook,
    /// `doctor --send-test`.
    Test,
    Sip,
    Room,
    Llm,
    /// The steps of `doctor --sip`.
    Transfer(Step),
}

/// What a transfer over SIP needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// A number to transfer to.
    Target,
    /// An address of ours that answers come to.
    Listen,
    /// The peer's places.
    Resolve,
    /// An answer from one of them.
    Reach,
    /// That the peer knows us.
    Login,
    /// REFER in a dialog that the room hands over.
    Inside,
    /// REFER from outside of the dialog.
    Outside,
    /// A call to the human first.
    Attended,
}

impl Step {
    fn name(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::Listen => "listen",
            Self::Resolve => "resolve",
            Self::Reach => "reach",
            Self::Login => "login",
            Self::Inside => "inside",
            Self::Outside => "outside",
            Self::Attended => "attended",
        }
    }
}

impl Finding {
    /// Whether nothing has to be mended.
    pub(super) fn is_well(&self) -> bool {
        self.verdict != Verdict::Fail
    }
}

impl Check {
    fn name(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Secrets => "secrets",
            Self::Store => "store",
            Self::Webhook => "webhook",
            Self::Test => "test",
            Self::Sip => "sip",
            Self::Room => "room",
            Self::Transfer(step) => step.name(),
            Self::Llm => "llm",
        }
    }

    /// The exit code when it fails.
    fn exit(self) -> Exit {
        match self {
            Self::Settings | Self::Secrets => Exit::BadSettings,
            Self::Store => Exit::StoreUnusable,
            Self::Room => Exit::RoomRefused,
            Self::Webhook | Self::Test | Self::Sip | Self::Llm | Self::Transfer(_) => Exit::Other,
        }
    }

    fn finding(self, verdict: Verdict, detail: impl fmt::Display) -> Finding {
        Finding { check: self, verdict, detail: detail.to_string(), mend: None }
    }

    pub(super) fn ok(self, detail: impl fmt::Display) -> Finding {
        self.finding(Verdict::Ok, detail)
    }

    pub(super) fn warn(self, detail: impl fmt::Display) -> Finding {
        self.finding(Verdict::Warn, detail)
    }

    pub(super) fn skip(self, detail: impl fmt::Display) -> Finding {
        self.finding(Verdict::Skip, detail)
    }

    pub(super) fn fail(self, detail: impl fmt::Display, mend: impl fmt::Display) -> Finding {
        Finding { mend: Some(mend.to_string()), ..self.finding(Verdict::Fail, detail) }
    }
}

/// 0 when nothing failed; else the code of what has to be mended first.
pub(super) fn exit_of(findings: &[Finding]) -> Exit {
    let failed = |exit: &Exit| findings.iter().any(|f| f.verdict == Verdict::Fail && f.check.exit() == *exit);
    let by_rank = [Exit::BadSettings, Exit::StoreUnusable, Exit::RoomRefused, Exit::Other];
    by_rank.into_iter().find(failed).unwrap_or(Exit::Ok)
}

/// Where what was found begins, in columns.
const INDENT: usize = 18;

/// In lines that fit the terminal, without a word cut: paths and addresses are to be copied. Whatever else reads has a line for
/// each thing that was found.
fn wrapped(text: &str) -> Vec<String> {
    let Some(width) = terminal::width_of_screen() else { return vec![text.to_owned()] };
    let options = textwrap::Options::new(width.saturating_sub(INDENT)).break_words(false);
    let options = options.word_splitter(textwrap::WordSplitter::NoHyphenation);
    textwrap::wrap(text, options).into_iter().map(std::borrow::Cow::into_owned).collect()
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (symbol, word, style) = match self.verdict {
            Verdict::Ok => ('✓', "ok", AnsiColor::Green.on_default()),
            Verdict::Warn => ('!', "warn", AnsiColor::Yellow.on_default()),
            Verdict::Fail => ('✗', "fail", AnsiColor::Red.on_default().bold()),
            Verdict::Skip => ('-', "skip", Style::new().dimmed()),
        };
        let mut lines = self.detail.lines().flat_map(wrapped);
        let first = lines.next().unwrap_or_default();
        write!(f, "{style}{symbol} {word:<4}{style:#}  {:<8}  {first}", self.check.name())?;
        let mend = self.mend.iter().map(|mend| format!("mend: {mend}"));
        lines.chain(mend.flat_map(|mend| wrapped(&mend))).try_for_each(|line| write!(f, "\n{:INDENT$}{line}", ""))
    }
}
