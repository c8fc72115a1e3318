//! How good ratings and escalations are against labels: the figures of `evaluate`.

use serde::Serialize;

/// A caller turn that a careful reader rated too.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LabelledTurn {
    /// The reader's sentiment, 1 to 10.
    pub gold: f64,
    /// The program's, 1 to 10.
    pub rated: f64,
    /// Whether it stands in a call where nobody gets angry at us.
    pub calm: bool,
    /// Whether the program takes it for a low turn.
    pub low: bool,
}

/// A call with a judgement on whether a supervisor should have been brought in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JudgedCall {
    /// Whether, as judged.
    pub wanted: bool,
    /// From which caller turn on (0 is the first), where that was judged.
    pub wanted_at: Option<u32>,
    /// The caller turn (0 is the first) after which the program escalated.
    pub escalated_at: Option<u32>,
}

/// A share of something, with the interval in which it lies with 95 % confidence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Share {
    /// How many.
    pub count: usize,
    /// Of how many.
    pub of: usize,
    /// `count / of`; none of nothing.
    pub share: Option<f64>,
    /// Lower bound of the Wilson score interval.
    pub low: f64,
    /// Upper bound of the Wilson score interval.
    pub high: f64,
}

impl Share {
    /// The share of `count` in `of`, with its Wilson score interval (E. B. Wilson, 1927).
    #[must_use]
    pub fn new(count: usize, of: usize) -> Self {
        /// Standard deviations that hold 95 % of a normal distribution.
        const Z: f64 = 1.959_963_985;
        if of == 0 {
            return Self { count, of, share: None, low: 0.0, high: 1.0 };
        }
        let (n, p) = (of as f64, count as f64 / of as f64);
        let centre = (p + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
        let half = Z / (1.0 + Z * Z / n) * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        Self { count, of, share: Some(p), low: (centre - half).max(0.0), high: (centre + half).min(1.0) }
    }
}

/// All figures over some calls. A figure is none where there is nothing to compute it from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// How many calls.
    pub calls: usize,
    /// How many labelled turns that were rated.
    pub turns: usize,
    /// How many labelled turns could not be rated.
    pub unrated: usize,
    /// Of the calls that should escalate, those that did.
    pub recall: Share,
    /// Of the calls that should not escalate, those that did.
    pub false_escalations: Share,
    /// Of the hits, those before the judged turn.
    pub early: Share,
    /// Median of turns between the judged turn and the escalation; negative is early.
    pub median_late: Option<f64>,
    /// How well ratings tell turns of gold 2 or less from those of 4 or more (0.5 is chance, 1 is perfect).
    pub auroc: Option<f64>,
    /// Rank correlation of ratings with gold, -1 to 1.
    pub spearman: Option<f64>,
    /// Mean distance of ratings from gold, in points.
    pub mean_error: Option<f64>,
    /// Of the turns of gold 4 or more in calm calls, those taken for low.
    pub calm_low: Share,
}

impl Figures {
    /// The figures of these turns and calls.
    #[must_use]
    pub fn of(calls: &[JudgedCall], turns: &[LabelledTurn], unrated: usize) -> Self {
        let of = |kept: fn(&JudgedCall) -> bool| calls.iter().filter(move |call| kept(call));
        let escalated = |call: &&JudgedCall| call.escalated_at.is_some();
        let late = late(calls);
        let calm: Vec<&LabelledTurn> = turns.iter().filter(|turn| turn.calm && turn.gold >= 4.0).collect();
        let error: f64 = turns.iter().map(|turn| (turn.gold - turn.rated).abs()).sum();
        Self {
            calls: calls.len(),
            turns: turns.len(),
            unrated,
            recall: Share::new(of(|call| call.wanted).filter(escalated).count(), of(|call| call.wanted).count()),
            false_escalations: Share::new(
                of(|call| !call.wanted).filter(escalated).count(),
                of(|call| !call.wanted).count(),
            ),
            early: Share::new(late.iter().filter(|turns| **turns < 0.0).count(), late.len()),
            median_late: median(&late),
            auroc: auroc(turns),
            spearman: spearman(turns),
            mean_error: (!turns.is_empty()).then(|| error / turns.len() as f64),
            calm_low: Share::new(calm.iter().filter(|turn| turn.low).count(), calm.len()),
        }
    }
}

impl Figures {
    /// Whether anybody has said anything of these calls.
    #[must_use]
    pub fn is_labelled(&self) -> bool {
        self.recall.of + self.false_escalations.of + self.turns + self.unrated > 0
    }
}

/// By how many turns the hits are late, sorted.
fn late(calls: &[JudgedCall]) -> Vec<f64> {
    let wanted = calls.iter().filter(|call| call.wanted);
    let late = |call: &JudgedCall| Some(f64::from(call.escalated_at?) - f64::from(call.wanted_at?));
    let mut late: Vec<f64> = wanted.filter_map(late).collect();
    late.sort_by(f64::total_cmp);
    late
}

/// Median of turns between the judged turn and the escalation; negative is early. None where nothing was hit or no turn
/// judged.
#[must_use]
pub fn median_late(calls: &[JudgedCall]) -> Option<f64> {
    median(&late(calls))
}

fn median(sorted: &[f64]) -> Option<f64> {
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    Some(if sorted.len().is_multiple_of(2) { f64::midpoint(sorted[middle - 1], upper) } else { upper })
}

/// The chance that an angry turn is rated below a calm one, ties counting half.
fn auroc(turns: &[LabelledTurn]) -> Option<f64> {
    let clear: Vec<&LabelledTurn> = turns.iter().filter(|turn| turn.gold <= 2.0 || turn.gold >= 4.0).collect();
    let ranks = ranks(&clear.iter().map(|turn| turn.rated).collect::<Vec<_>>());
    let calm = clear.iter().filter(|turn| turn.gold >= 4.0).count() as f64;
    let angry = clear.len() as f64 - calm;
    let sum: f64 = clear.iter().zip(ranks).filter(|(turn, _)| turn.gold >= 4.0).map(|(_, rank)| rank).sum();
    (calm > 0.0 && angry > 0.0).then(|| (sum - calm * (calm + 1.0) / 2.0) / (calm * angry))
}

fn spearman(turns: &[LabelledTurn]) -> Option<f64> {
    let gold = ranks(&turns.iter().map(|turn| turn.gold).collect::<Vec<_>>());
    let rated = ranks(&turns.iter().map(|turn| turn.rated).collect::<Vec<_>>());
    let mean = (turns.len() as f64 + 1.0) / 2.0;
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| (x - mean) * (y - mean)).sum::<f64>();
    let spread = (product(&gold, &gold) * product(&rated, &rated)).sqrt();
    (spread > 0.0).then(|| product(&gold, &rated) / spread)
}

/// Ranks from 1; equal values share the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut from = 0;
    for group in order.chunk_by(|a, b| values[*a] == values[*b]) {
        let rank = from as f64 + (group.len() as f64 + 1.0) / 2.0;
        for place in group {
            ranks[*place] = rank;
        }
        from += group.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;

    fn turn(gold: f64, rated: f64) -> LabelledTurn {
        LabelledTurn { gold, rated, calm: true, low: rated < 3.0 }
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-3
    }

    #[test]
    fn the_wilson_interval_agrees_with_published_values() {
        // Newcombe 1998, table I: 81 of 263 and 0 of 20.
        let share = Share::new(81, 263);
        assert!(near(share.low, 0.2553) && near(share.high, 0.3662), "{share:?}");
        let none = Share::new(0, 20);
        assert!(near(none.low, 0.0) && near(none.high, 0.1611), "{none:?}");
        assert_eq!(Share::new(0, 0).share, None);
    }

    #[test]
    fn perfect_ratings_have_perfect_figures_and_reversed_ones_the_worst() {
        let gold = [1.0, 2.0, 3.0, 4.0, 5.0];
        let perfect: Vec<_> = gold.iter().map(|g| turn(*g, *g)).collect();
        let figures = Figures::of(&[], &perfect, 0);
        assert_eq!((figures.auroc, figures.spearman, figures.mean_error), (Some(1.0), Some(1.0), Some(0.0)));
        let reversed: Vec<_> = gold.iter().map(|g| turn(*g, 6.0 - g)).collect();
        let figures = Figures::of(&[], &reversed, 0);
        assert_eq!((figures.auroc, figures.spearman), (Some(0.0), Some(-1.0)));
        assert_eq!((figures.calm_low.count, figures.calm_low.of), (2, 2));
    }

    #[test]
    fn ties_count_half() {
        let tied = [turn(1.0, 4.0), turn(5.0, 4.0), turn(6.0, 4.0)];
        assert_eq!(Figures::of(&[], &tied, 0).auroc, Some(0.5));
        assert_eq!(Figures::of(&[], &tied, 0).spearman, None);
    }

    #[test]
    fn calls_are_counted_by_what_was_wanted_and_when() {
        let call = |wanted, wanted_at, escalated_at| JudgedCall { wanted, wanted_at, escalated_at };
        let calls = [
            call(true, Some(4), Some(3)),
            call(true, Some(4), Some(6)),
            call(true, Some(4), None),
            call(false, None, Some(2)),
            call(false, None, None),
        ];
        let figures = Figures::of(&calls, &[], 0);
        assert_eq!((figures.recall.count, figures.recall.of), (2, 3));
        assert_eq!((figures.false_escalations.count, figures.false_escalations.of), (1, 2));
        assert_eq!((figures.early.count, figures.median_late.unwrap()), (1, 0.5));
    }

    #[test]
    fn of_nothing_there_are_no_figures() {
        let figures = Figures::of(&[], &[], 0);
        assert_eq!(
            (figures.auroc, figures.spearman, figures.mean_error, figures.median_late),
            (None, None, None, None)
        );
    }
}
