//! What a meter is made of: counters, gauges and histograms that cost an atomic addition, and how Prometheus reads them.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// A label with all the values that it may have; what is none of them counts as the last.
pub(super) type Label = (&'static str, &'static [&'static str]);

/// How a family of series is called, and what it means.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
}

impl Head {
    /// The two lines that stand before the samples of a family.
    pub(super) fn write(&self, kind: &str, text: &mut String) {
        let Self { name, help } = self;
        // Writing to a string does not fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }
}

/// A counter for each combination of its labels' values. All of them are there from the start, with 0: what is first
/// counted between two scrapes is a rise like any other.
#[derive(Debug)]
pub(super) struct Counter {
    head: Head,
    labels: &'static [Label],
    cells: Box<[AtomicU64]>,
}

impl Counter {
    pub(super) fn new(name: &'static str, help: &'static str, labels: &'static [Label]) -> Self {
        let cells = labels.iter().map(|(_, values)| values.len()).product();
        Self {
            head: Head { name, help },
            labels,
            cells: std::iter::repeat_with(AtomicU64::default).take(cells).collect(),
        }
    }

    /// Counts so many for these values, one for each label.
    pub(super) fn add(&self, values: &[&str], count: u64) {
        let at = self.labels.iter().zip(values).fold(0, |at, ((_, known), value)| {
            let value = known.iter().position(|known| known == value).unwrap_or(known.len().saturating_sub(1));
            at * known.len() + value
        });
        if let Some(cell) = self.cells.get(at) {
            cell.fetch_add(count, Ordering::Relaxed);
        }
    }

    pub(super) fn write(&self, text: &mut String) {
        self.head.write("counter", text);
        for (at, cell) in self.cells.iter().enumerate() {
            text.push_str(self.head.name);
            self.write_labels(at, text);
            let _ = writeln!(text, " {}", cell.load(Ordering::Relaxed));
        }
    }

    fn write_labels(&self, at: usize, text: &mut String) {
        let mut below = self.cells.len();
        for (n, (label, values)) in self.labels.iter().enumerate() {
            below /= values.len();
            let value = values[at / below % values.len()];
            let _ = write!(text, "{}{label}=\"{value}\"", if n == 0 { "{" } else { "," });
        }
        if !self.labels.is_empty() {
            text.push('}');
        }
    }
}

/// A number that rises and falls.
#[derive(Debug)]
pub(super) struct Gauge {
    head: Head,
    value: AtomicI64,
}

impl Gauge {
    pub(super) fn new(name: &'static str, help: &'static str) -> Self {
        Self { head: Head { name, help }, value: AtomicI64::new(0) }
    }

    pub(super) fn add(&self, by: i64) {
        self.value.fetch_add(by, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> i64 {
        self.value.load(Ordering::Relaxed)
    }

    pub(super) fn write(&self, text: &mut String) {
        self.head.write("gauge", text);
        let _ = writeln!(text, "{} {}", self.head.name, self.get());
    }
}

/// How often something took how long, in seconds.
#[derive(Debug)]
pub(super) struct Histogram {
    head: Head,
    /// Upper ends of the buckets in microseconds, rising.
    bounds: &'static [u64],
    /// One for each bound, and one for what took longer.
    buckets: Box<[AtomicU64]>,
    sum_us: AtomicU64,
}

impl Histogram {
    pub(super) fn new(name: &'static str, help: &'static str, bounds: &'static [u64]) -> Self {
        let buckets = std::iter::repeat_with(AtomicU64::default).take(bounds.len() + 1).collect();
        Self { head: Head { name, help }, bounds, buckets, sum_us: AtomicU64::new(0) }
    }

    pub(super) fn observe(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let at = self.bounds.partition_point(|bound| *bound < us);
        if let Some(bucket) = self.buckets.get(at) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    pub(super) fn write(&self, text: &mut String) {
        self.head.write("histogram", text);
        let (name, mut below) = (self.head.name, 0);
        let sum = seconds(self.sum_us.load(Ordering::Relaxed));
        for (at, bucket) in self.buckets.iter().enumerate() {
            below += bucket.load(Ordering::Relaxed);
            let bound = self.bounds.get(at).map_or_else(|| "+Inf".to_owned(), |us| seconds(*us).to_string());
            let _ = writeln!(text, "{name}_bucket{{le=\"{bound}\"}} {below}");
        }
        let _ = writeln!(text, "{name}_sum {sum}\n{name}_count {below}");
    }
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of three centuries are exact")]
fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_combination_has_its_place_and_what_is_unknown_the_last() {
        const LABELS: &[Label] = &[("rule", &["streak", "tool"]), ("severity", &["low", "high", "other"])];
        let counter = Counter::new("x_total", "Help.", LABELS);
        counter.add(&["tool", "high"], 2);
        counter.add(&["streak", "never heard of"], 1);
        let mut text = String::new();
        counter.write(&mut text);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..2], ["# HELP x_total Help.", "# TYPE x_total counter"]);
        let right = [("streak", "low", 0), ("streak", "high", 0), ("streak", "other", 1), ("tool", "low", 0)];
        let right = right.into_iter().chain([("tool", "high", 2), ("tool", "other", 0)]);
        for (line, (rule, severity, count)) in lines[2..].iter().zip(right) {
            assert_eq!(*line, format!("x_total{{rule=\"{rule}\",severity=\"{severity}\"}} {count}"));
        }
        assert_eq!(lines.len(), 8);
    }

    #[test]
    fn buckets_hold_all_that_took_no_longer() {
        let histogram = Histogram::new("x_seconds", "Help.", &[1_000, 250_000]);
        for us in [1_000, 1_001, 250_000, 250_001, 4_000_000] {
            histogram.observe(Duration::from_micros(us));
        }
        let mut text = String::new();
        histogram.write(&mut text);
        let samples: Vec<&str> = text.lines().skip(2).collect();
        let right = [
            "x_seconds_bucket{le=\"0.001\"} 1",
            "x_seconds_bucket{le=\"0.25\"} 3",
            "x_seconds_bucket{le=\"+Inf\"} 5",
            "x_seconds_sum 4.502002",
            "x_seconds_count 5",
        ];
        assert_eq!(samples, right);
    }
}
