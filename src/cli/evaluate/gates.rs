//! What must hold over all calls: the gates of `evaluate`.

use clap::Args;
use serde::Serialize;

use crate::replay::figures::Figures;

/// What must hold over all calls. A figure that the labels do not give fails its gate.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Gates (exit code 4 when one fails)")]
pub(super) struct Gates {
    /// Of the calls that should escalate, at least this share must (0 to 1).
    #[arg(long, value_name = "SHARE", value_parser = share)]
    min_recall: Option<f64>,
    /// Of the calls that should not escalate, at most this share may (0 to 1).
    #[arg(long, value_name = "SHARE", value_parser = share)]
    max_false: Option<f64>,
    /// At least this AUROC of turns of gold 2 or less against 4 or more (0 to 1).
    #[arg(long, value_name = "AUROC", value_parser = share)]
    min_auroc: Option<f64>,
    /// At least this rank correlation with gold (0 to 1).
    #[arg(long, value_name = "RHO", value_parser = share)]
    min_spearman: Option<f64>,
    /// At most this mean distance from gold, in points (0 to 9).
    #[arg(long, value_name = "POINTS", value_parser = points)]
    max_error: Option<f64>,
    /// At most this share of calm turns taken for low (0 to 1).
    #[arg(long, value_name = "SHARE", value_parser = share)]
    max_calm_low: Option<f64>,
    /// At most this many turns late, at the median.
    #[arg(long, value_name = "TURNS", value_parser = points)]
    max_late: Option<f64>,
}

fn share(text: &str) -> Result<f64, String> {
    number(text, 1.0).ok_or_else(|| "give a number from 0 to 1, such as 0.9".to_owned())
}

fn points(text: &str) -> Result<f64, String> {
    number(text, 1000.0).ok_or_else(|| "give a number from 0 to 1000".to_owned())
}

fn number(text: &str, most: f64) -> Option<f64> {
    text.parse().ok().filter(|value| (0.0..=most).contains(value))
}

/// One gate and whether it holds.
#[derive(Debug, Serialize)]
pub(super) struct Checked {
    pub(super) gate: &'static str,
    pub(super) bound: f64,
    pub(super) found: Option<f64>,
    pub(super) holds: bool,
}

impl Gates {
    pub(super) fn check(&self, all: &Figures) -> Vec<Checked> {
        let least = [
            ("min-recall", self.min_recall, all.recall.share),
            ("min-auroc", self.min_auroc, all.auroc),
            ("min-spearman", self.min_spearman, all.spearman),
        ];
        let most = [
            ("max-false", self.max_false, all.false_escalations.share),
            ("max-error", self.max_error, all.mean_error),
            ("max-calm-low", self.max_calm_low, all.calm_low.share),
            ("max-late", self.max_late, all.median_late),
        ];
        let checked = |holds: fn(f64, f64) -> bool| {
            move |(gate, bound, found): (&'static str, Option<f64>, Option<f64>)| {
                let bound = bound?;
                Some(Checked { gate, bound, found, holds: found.is_some_and(|found| holds(found, bound)) })
            }
        };
        let least = least.into_iter().filter_map(checked(|found, bound| found >= bound));
        least.chain(most.into_iter().filter_map(checked(|found, bound| found <= bound))).collect()
    }
}
