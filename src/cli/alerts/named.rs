//! How alerts are named, and how they are printed.

use clap::ValueEnum;

use crate::alert::AlertId;
use crate::cli::exit::{Exit, Failure};
use crate::clock::rfc3339_of;
use crate::store::Store;

/// How it is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    Table,
    /// For programs
    Json,
}

/// The one alert whose id begins so.
pub(super) async fn find(store: &Store, beginning: &str) -> Result<AlertId, Failure> {
    let mut found = store.find(beginning).await?;
    match (found.pop(), found.is_empty()) {
        (Some(id), true) => Ok(id),
        (None, _) => Err(Failure::new(Exit::Usage, format!("there is no alert {beginning} in {}", store.url()))
            .help("sentiment-sidecar alerts list shows which there are")),
        (Some(_), false) => Err(Failure::new(Exit::Usage, format!("several alerts begin with {beginning}"))
            .help("give more of its letters; alerts list --format json has them whole")),
    }
}

/// The time of a day, in UTC.
pub(super) fn time_of_day(ms: u64) -> String {
    rfc3339_of(ms).chars().skip(11).take(8).collect()
}

/// The first letters of an id, which nearly always tell it apart.
pub(super) fn short(id: &AlertId) -> String {
    id.as_str().chars().take("alert_".len() + 8).collect()
}
