//! The calls that a command goes through.

use std::path::PathBuf;

use clap::Args;

use super::raters::CassetteArgs;
use super::settings_args::SettingsArgs;

/// Calls that are over, and how they are rated and counted. To be flattened last, as its headings would also stand over
/// what follows.
#[derive(Debug, Args)]
pub struct CallsArgs {
    /// Go through these files, folders of them, or patterns; - is the standard input.
    // Without the heading of what a command has before it.
    #[arg(value_name = "FILE", required = true, help_heading = None::<&'static str>)]
    pub paths: Vec<PathBuf>,

    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take it for help")]
    pub cassette: CassetteArgs,

    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take it for help")]
    pub settings: SettingsArgs,
}
