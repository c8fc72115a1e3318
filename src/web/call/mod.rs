//! A call as its page shows it: `turns` is who said what, with the caller's ratings and what made them; `chart` draws ratings and
//! everything that happened over the same time.

mod chart;
mod turns;

pub(super) use chart::Chart;
pub(super) use turns::{Turn, last_turns, whole_call};
