//! What is printed for people fits the terminal, and is wrapped by words.

use std::io::{self, Write as _};

use anstyle::{AnsiColor, Style};
use terminal_size::{Width, terminal_size};

use crate::replay::shorten;
use crate::sentiment::Sentiment;

/// Columns where there is no terminal, or a wider one: longer lines are hard to read.
const WIDTH: usize = 80;
/// The most columns of a table.
const WIDEST: usize = 132;
/// Narrower terminals wrap as they like.
const LEAST: usize = 40;

/// Prints a line.
///
/// # Errors
/// When standard output cannot be written, or nobody reads it any more.
pub(super) fn say(line: impl std::fmt::Display) -> io::Result<()> {
    writeln!(anstream::stdout(), "{line}")
}

/// How many columns there are for running words.
pub(super) fn width() -> usize {
    width_of_screen().unwrap_or(WIDTH)
}

/// The same, where somebody looks at a terminal.
pub(super) fn width_of_screen() -> Option<usize> {
    terminal_size().map(|(Width(width), _)| usize::from(width).clamp(LEAST, WIDTH))
}

/// How many columns there are for a table.
pub(super) fn columns() -> usize {
    terminal_size().map_or(WIDTH, |(Width(width), _)| usize::from(width).clamp(LEAST, WIDEST))
}

/// Words on as many lines as they need; nothing in them can steer the terminal.
pub(super) fn words(text: &str, first: &str, next: &str) -> Vec<String> {
    let text = shorten(text, usize::MAX);
    let options = textwrap::Options::new(width()).initial_indent(first).subsequent_indent(next);
    textwrap::wrap(&text, options).into_iter().map(std::borrow::Cow::into_owned).collect()
}

/// The colour of a rating: red is bad, green is good.
pub(super) fn by_score(sentiment: Sentiment) -> Style {
    match sentiment.value() {
        value if value < 3.0 => AnsiColor::Red.on_default(),
        value if value < 4.0 => AnsiColor::Yellow.on_default(),
        value if value > 6.0 => AnsiColor::Green.on_default(),
        _ => Style::new(),
    }
}
