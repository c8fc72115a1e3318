//! One choice of the rules' settings: a [`Cell`] of the grids.

use std::hash::{Hash, Hasher};

use serde_json::{Map, Value, json};

use crate::config::settings::{Settings, Sustained, Trajectory};

/// A number that can be looked up: what goes in comes from lists or from settings, and is never NaN.
#[derive(Debug, Clone, Copy)]
pub struct Exact(pub f64);

impl PartialEq for Exact {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Exact {}

impl Hash for Exact {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

/// The streak rule: so many turns in a row below a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Streak {
    /// `sentimentThreshold`, 1 to 10.
    pub threshold: u8,
    /// `sentimentWindowTurns`, 1 to 100.
    pub window: u32,
}

/// The sustained rule: a running mean below a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mean {
    /// `sentimentSustainedLevel`, 1 to 10.
    pub level: Exact,
    /// `sentimentSustainedWeight`, above 0 and at most 1.
    pub weight: Exact,
}

/// One choice of the rules' settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cell {
    /// The streak rule; none where another rule is looked at alone, which no settings can say.
    pub streak: Option<Streak>,
    /// The sustained rule, where it is on.
    pub sustained: Option<Mean>,
    /// `sentimentHumanRequests`; 0 is off.
    pub human_requests: u32,
    /// `sentimentTrajectoryRules`.
    pub trajectory: bool,
}

impl Cell {
    /// What these settings choose.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        let Sustained { enabled, level, weight } = settings.sustained;
        Self {
            streak: Some(Streak { threshold: settings.threshold, window: settings.window }),
            sustained: enabled.then_some(Mean { level: Exact(level), weight: Exact(weight) }),
            human_requests: settings.human_requests,
            trajectory: settings.trajectory.enabled,
        }
    }

    /// No rule at all.
    #[must_use]
    pub fn none() -> Self {
        Self { streak: None, sustained: None, human_requests: 0, trajectory: false }
    }

    /// These settings with the rules as chosen here.
    #[must_use]
    pub fn settings(&self, base: &Settings) -> Settings {
        let Sustained { level, weight, .. } = base.sustained;
        let sustained = match self.sustained {
            Some(mean) => Sustained { enabled: true, level: mean.level.0, weight: mean.weight.0 },
            None => Sustained { enabled: false, level, weight },
        };
        Settings {
            threshold: self.streak.map_or(base.threshold, |streak| streak.threshold),
            // Without a streak rule: longer than any call.
            window: self.streak.map_or(u32::MAX, |streak| streak.window),
            sustained,
            human_requests: self.human_requests,
            trajectory: Trajectory { enabled: self.trajectory, ..base.trajectory },
            ..base.clone()
        }
    }

    /// Whether settings can say so.
    #[must_use]
    pub fn can_be_set(&self) -> bool {
        self.streak.is_some()
    }

    /// How many settings differ from `today`'s, level and weight of the sustained rule only where it is on.
    #[must_use]
    pub fn changes(&self, today: &Self, base: &Settings) -> usize {
        let (ours, theirs) = (self.document(base), today.document(base));
        ours.iter().filter(|(key, value)| theirs.get(*key) != Some(value)).count()
    }

    /// The keys of an agent document that say so.
    #[must_use]
    pub fn document(&self, base: &Settings) -> Map<String, Value> {
        let settings = self.settings(base);
        let mut document = Map::new();
        let mut put = |key: &str, value: Value| document.insert(key.to_owned(), value);
        put("sentimentThreshold", json!(settings.threshold));
        put("sentimentWindowTurns", json!(settings.window));
        put("sentimentSustainedRule", json!(settings.sustained.enabled));
        if settings.sustained.enabled {
            put("sentimentSustainedLevel", json!(settings.sustained.level));
            put("sentimentSustainedWeight", json!(settings.sustained.weight));
        }
        put("sentimentHumanRequests", json!(settings.human_requests));
        put("sentimentTrajectoryRules", json!(settings.trajectory.enabled));
        document
    }

    /// What is chosen, for people: the rules that are on.
    #[must_use]
    pub fn told(&self) -> String {
        let mut told = Vec::new();
        if let Some(Streak { threshold, window }) = self.streak {
            told.push(format!("{window} in a row below {threshold}"));
        }
        if let Some(Mean { level, weight }) = self.sustained {
            told.push(format!("mean (weight {}) below {}", weight.0, level.0));
        }
        match self.human_requests {
            0 => {}
            1 => told.push("1 request for a human".to_owned()),
            n => told.push(format!("{n} requests for a human")),
        }
        if self.trajectory {
            told.push("trajectory".to_owned());
        }
        if told.is_empty() { "no rule".to_owned() } else { told.join(", or ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_settings_choose_is_what_they_become_again() {
        let base = Settings {
            threshold: 4,
            window: 2,
            sustained: Sustained { enabled: true, level: 2.8, weight: 0.35 },
            human_requests: 2,
            ..Settings::default()
        };
        assert_eq!(Cell::of(&base).settings(&base), base);
        let off = Settings { sustained: Sustained { enabled: false, ..base.sustained }, ..base.clone() };
        assert_eq!(Cell::of(&off).settings(&base), off);
        assert!(!Cell::none().can_be_set());
        assert_eq!(
            Cell::of(&base).told(),
            "2 in a row below 4, or mean (weight 0.35) below 2.8, or 2 requests for a human"
        );
    }

    #[test]
    fn changes_are_counted_as_one_would_make_them() {
        let today = Settings::default();
        let cell = Cell::of(&today);
        assert_eq!(cell.changes(&cell, &today), 0);
        let mean = Mean { level: Exact(3.0), weight: Exact(0.4) };
        // The switch, and a level and weight that are written down with it.
        assert_eq!(Cell { sustained: Some(mean), ..cell }.changes(&cell, &today), 3);
        let streak = Some(Streak { threshold: 4, window: 3 });
        assert_eq!(Cell { streak, human_requests: 2, ..cell }.changes(&cell, &today), 2);
    }
}
