//! The flags that say how transcripts are read, shared by every command that reads them.

use clap::Args;

use crate::recording::CutLine;
use crate::recording::import::{Format, Options, Source};
use crate::recording::problem::RecordingError;
use crate::telemetry::shown::shown;

/// How transcripts are read.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Transcripts (any format: recordings, vCon, contact centres, agents, text)")]
pub struct ImportArgs {
    /// Read every file as this format, whatever its content looks like; a wrong NAME lists them all.
    #[arg(long, value_name = "NAME", value_parser = format)]
    pub input_format: Option<Format>,

    /// Who is the caller in files that do not say so: a speaker's name, number or channel, e.g. SPEAKER_00.
    #[arg(long, value_name = "SPEAKER")]
    pub caller: Option<String>,
}

fn format(name: &str) -> Result<Format, String> {
    Format::named(name).ok_or_else(|| {
        let names = Format::all().map(|(name, _)| name);
        let nearest = names.min_by_key(|known| strsim::damerau_levenshtein(known, name)).unwrap_or_default();
        let list: Vec<String> = Format::all().map(|(name, about)| format!("  {name:<22} {about}")).collect();
        let meant = format!("did you mean \"{nearest}\"? ");
        // One that is as good as any other helps nobody.
        let meant = if strsim::normalized_damerau_levenshtein(nearest, name) >= 0.5 { meant } else { String::new() };
        format!("{meant}The formats are:\n{}", list.join("\n"))
    })
}

impl ImportArgs {
    /// The options for reading files.
    #[must_use]
    pub fn options(&self, cut: CutLine) -> Options {
        Options { cut, format: self.input_format, caller: self.caller.clone() }
    }
}

/// Says on standard error what was odd about a call.
pub(super) fn warn(source: &Source) {
    warn_of(&source.name, &source.warnings);
}

/// The same of a call that has been taken apart.
pub(super) fn warn_of(name: &str, warnings: &[String]) {
    let yellow = anstyle::AnsiColor::Yellow.on_default().bold();
    for warning in warnings {
        anstream::eprintln!("{yellow}warning{yellow:#}: {}", shown(&format!("{name}: {warning}")));
    }
}

/// Says on standard error what is odd about all of it.
pub(super) fn warn_that(what: &str) {
    let yellow = anstyle::AnsiColor::Yellow.on_default().bold();
    anstream::eprintln!("{yellow}warning{yellow:#}: {what}");
}

/// Says on standard error what cannot be read.
pub(super) fn bad(error: &RecordingError) {
    let red = anstyle::AnsiColor::Red.on_default().bold();
    anstream::eprintln!("{red}error{red:#}: {}", shown(&error.to_string()));
}
