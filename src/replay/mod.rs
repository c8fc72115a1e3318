//! Replay: recorded calls through the same core that live calls use, in virtual time.
//!
//! # Layout
//! - [`files`]: finds and opens recordings ([`crate::recording`]).
//! - [`engine`]: drives one call; [`played`]: what came of it.
//! - [`expect`]: what a recording says should come of it.
//! - [`labels`], [`label_table`], [`measured`], [`figures`], [`swap`]: calls that people have labelled, how good ratings and
//!   settings are against them, and which calls come out wrong.
//! - [`report`], [`table`], [`junit`]: what `replay` prints; [`vcon`]: a call with its ratings in a form that others read.
//! - [`again`]: a live call's journal, which must come out the same.
//! - [`tune`]: which settings to have; [`cache`]: ratings that are known from the last time.

pub mod again;
pub mod cache;
pub mod engine;
pub mod expect;
pub mod figures;
pub mod files;
pub mod junit;
pub mod label_table;
pub mod labels;
pub mod measured;
pub mod played;
pub mod report;
pub mod swap;
pub mod table;
pub mod tune;
pub mod vcon;

use crate::telemetry::shown::is_unprintable;

/// The first `max` characters of `text`, on one line, with an ellipsis where it goes on.
#[must_use]
pub fn shorten(text: &str, max: usize) -> String {
    // Control characters in a transcript must not reach a terminal.
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ").replace(is_unprintable, "\u{fffd}");
    if line.chars().count() <= max {
        return line;
    }
    let head: String = line.chars().take(max.saturating_sub(1)).collect();
    format!("{}…", head.trim_end())
}
