//! `manual`: what the program is and does, page by page.

use std::io::Write;

use clap::Args;

use super::exit::{Exit, Failure};
use crate::manual::{self, PAGES};

/// How wide a page is, in columns.
const WIDTH: usize = 80;

/// Print a page of the manual, or the list of them.
///
/// The pages are those of the documentation: settings, webhook, transfer, rooms and more. Nothing is fetched, so that
/// the page always tells of the program that prints it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sentiment-sidecar manual                  lists the topics
  sentiment-sidecar manual settings
  sentiment-sidecar manual transfer | less -R

Exit codes: 0 it was printed, 2 there is no such topic.")]
pub struct ManualArgs {
    /// Print this page [default: a list of all].
    pub topic: Option<String>,
}

/// Prints a page, or the list of topics.
///
/// # Errors
/// [`Exit::Usage`] when there is no such topic, and when stdout cannot be written.
pub fn run(args: &ManualArgs) -> Result<Exit, Failure> {
    let text = match &args.topic {
        None => topics(),
        Some(topic) => manual::page(topic).map(|page| page.for_terminal(WIDTH)).map_err(|nearest| {
            let wrong: String = topic.chars().filter(|c| !c.is_control()).take(40).collect();
            Failure::new(Exit::Usage, format!("the manual has no page {wrong:?}; did you mean {}?", nearest.topic))
                .help("sentiment-sidecar manual lists all topics")
        })?,
    };
    match anstream::stdout().lock().write_all(text.as_bytes()) {
        // Whoever reads has seen enough, e.g. `| head`.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(Exit::Ok),
        outcome => Ok(outcome.map(|()| Exit::Ok)?),
    }
}

fn topics() -> String {
    let mut text = "sentiment-sidecar manual TOPIC prints one of these pages:\n\n".to_owned();
    for page in PAGES {
        text.push_str(&format!("  {:<11} {}\n", page.topic, page.about));
    }
    text
}
