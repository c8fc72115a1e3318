//! What a cell is worth over some calls: [`Weighed`].

use serde::Serialize;

use super::cell::Cell;
use super::outcomes::Outcomes;
use crate::replay::figures::{JudgedCall, Share, median_late};

/// The escalation rates that are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Band {
    /// The lowest, 0 to 1.
    pub min: f64,
    /// The highest, 0 to 1.
    pub max: f64,
    /// Whether somebody asked for it, so that it binds whatever labels say.
    pub given: bool,
}

/// Where a rate lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Too few calls escalate.
    Below,
    /// Within the band.
    Within,
    /// Too many calls escalate.
    Above,
}

impl Band {
    /// A sound place to start: 5 to 15 % of calls.
    pub const USUAL: Self = Self { min: 0.05, max: 0.15, given: false };

    /// Where a rate (0 to 1) lies.
    #[must_use]
    pub fn side(&self, rate: f64) -> Side {
        match rate {
            rate if rate < self.min => Side::Below,
            rate if rate > self.max => Side::Above,
            _ => Side::Within,
        }
    }

    /// How far a rate lies from the middle.
    #[must_use]
    pub fn off(&self, rate: f64) -> f64 {
        (rate - f64::midpoint(self.min, self.max)).abs()
    }

    /// Whether so few calls stand behind a rate that it may as well lie on another side: an edge of the band lies within
    /// its interval.
    #[must_use]
    pub fn is_thin(&self, rate: &Share) -> bool {
        let side = |share| self.side(share);
        side(rate.low) != side(rate.high)
    }

    /// Whether so few calls stand behind a rate that nothing is to be built on it: its interval is wider than the band.
    #[must_use]
    pub fn is_wide(&self, rate: &Share) -> bool {
        rate.high - rate.low > self.max - self.min
    }

    /// From how many calls on a rate in the band's middle is not too wide.
    #[must_use]
    pub fn enough(&self) -> usize {
        let middle = f64::midpoint(self.min, self.max);
        // Rounding is as good as any call more or less.
        (1..100_000)
            .find(|calls| !self.is_wide(&Share::new((middle * *calls as f64).round() as usize, *calls)))
            .unwrap_or(100_000)
    }
}

/// What a cell is worth over some calls.
#[derive(Debug, Clone, PartialEq)]
pub struct Weighed {
    /// The cell.
    pub cell: Cell,
    /// Of all calls, those that escalate.
    pub rate: Share,
    /// Where that lies.
    pub side: Side,
    /// Whether so few calls stand behind it that it may as well lie on another side.
    pub thin: bool,
    /// Of the calls that should escalate, those that do.
    pub recall: Share,
    /// Of the calls that should not escalate, those that do.
    pub false_alarms: Share,
    /// Of the judged calls that escalate, those that should.
    pub precision: Share,
    /// Median of turns between the judged turn and the escalation; negative is early.
    pub median_late: Option<f64>,
}

impl Weighed {
    /// Weighs a cell over these calls.
    #[must_use]
    pub fn of(outcomes: &Outcomes, cell: Cell, over: &[usize], band: &Band) -> Self {
        let turns: Vec<Option<u32>> = outcomes.of(&cell).collect();
        let escalated = over.iter().filter(|call| turns[**call].is_some()).count();
        let judged = over.iter().filter_map(|call| judged(outcomes, *call, turns[*call]));
        Self::new(cell, Share::new(escalated, over.len()), &judged.collect::<Vec<_>>(), band)
    }

    /// Weighs what was judged elsewhere.
    #[must_use]
    pub fn new(cell: Cell, rate: Share, judged: &[JudgedCall], band: &Band) -> Self {
        let count = |wanted: bool, escalated: bool| {
            let fits = |call: &&JudgedCall| call.wanted == wanted && call.escalated_at.is_some() == escalated;
            judged.iter().filter(fits).count()
        };
        let (hits, misses, alarms, quiet) =
            (count(true, true), count(true, false), count(false, true), count(false, false));
        Self {
            cell,
            rate,
            side: band.side(rate.share.unwrap_or(0.0)),
            thin: band.is_thin(&rate),
            recall: Share::new(hits, hits + misses),
            false_alarms: Share::new(alarms, alarms + quiet),
            precision: Share::new(hits, hits + alarms),
            median_late: median_late(judged),
        }
    }

    /// What labels are to say of settings in one number: of the calls that should escalate or do, the share of those that
    /// should and do (0 to 1). Missed calls and false alarms lower it alike, and the many calls that rightly go on do not
    /// raise it, so that never to escalate is worth nothing however few should. Meteorologists call it the threat score
    /// (J. T. Schaefer, 1990).
    #[must_use]
    pub fn success(&self) -> f64 {
        let either = self.recall.of + self.false_alarms.count;
        if either == 0 { 0.0 } else { self.recall.count as f64 / either as f64 }
    }

    /// Missed calls and false alarms together.
    #[must_use]
    pub fn wrong(&self) -> usize {
        self.recall.of - self.recall.count + self.false_alarms.count
    }

    /// The rate, 0 to 1; of no calls, 0.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.rate.share.unwrap_or(0.0)
    }
}

/// What recommendations are worth on calls that they were not made from.
#[derive(Debug, Clone)]
pub struct Validated {
    /// The figures; their cell is the recommended one.
    pub weighed: Weighed,
    /// After which caller turn each call escalates.
    pub(super) turns: Vec<Option<u32>>,
}

/// How a call that was judged came out.
pub(super) fn judged(outcomes: &Outcomes, call: usize, turn: Option<u32>) -> Option<JudgedCall> {
    let judged = &outcomes.calls[call];
    Some(JudgedCall {
        wanted: judged.escalate?,
        wanted_at: judged.at,
        escalated_at: turn.map(|turn| turn.saturating_sub(1)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_thin_where_an_edge_of_the_band_lies_within_its_interval() {
        let thin = |count, of| Band::USUAL.is_thin(&Share::new(count, of));
        // 71 % (66-77), 34 % (29-40) and 0 % (0-1.4) lie on one side for sure, however wide they are.
        assert!(!thin(192, 270) && !thin(92, 270) && !thin(0, 270));
        // 16 % (12-20) and 15 % (11-20) may lie above the band or within, 4.4 % (2.6-7.6) below it or within.
        assert!(thin(43, 270) && thin(41, 270) && thin(12, 270));
        assert!(!thin(27, 270), "10 % (7-14) lies within");
        // Without a lower bound nothing is below it.
        let band = Band { min: 0.0, max: 0.15, given: true };
        assert!(!band.is_thin(&Share::new(0, 270)) && band.is_thin(&Share::new(0, 10)));
    }
}
