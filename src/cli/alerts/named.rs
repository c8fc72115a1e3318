//! How alerts are named, and how they are printed.

use std::io;

use clap::ValueEnum;

use crate::alert::AlertId;
use crate::cli::exit::{Exit, Failure};
use crate::clock::{rfc3339_of, unix_ms};
use crate::store::Store;
use crate::store::review::Concern;

/// Longest name of a user, in characters.
const NAME_CHARS: usize = 64;

/// How it is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Format {
    /// For people
    Table,
    /// For programs
    Json,
}

/// The one alert whose id begins so.
pub(super) async fn find(store: &Store, beginning: &str) -> Result<AlertId, Failure> {
    if beginning.is_empty() {
        // As a variable of a script that was never set; where there is one alert, it would be meant.
        return Err(Failure::new(Exit::Usage, "the alert's id is empty"));
    }
    let mut found = store.find(beginning).await?;
    match (found.pop(), found.is_empty()) {
        (Some(id), true) => Ok(id),
        (None, _) => Err(Failure::new(Exit::Usage, format!("there is no alert {beginning} in {}", store.url()))
            .help("sentiment-sidecar alerts list shows which there are")),
        (Some(_), false) => Err(Failure::new(Exit::Usage, format!("several alerts begin with {beginning}"))
            .help("give more of its letters; alerts list --format json has them whole")),
    }
}

/// Notes who reads callers' words, or erases them: the user of this system.
pub(in crate::cli) async fn audit(store: &Store, what: &str, concern: Concern<'_>) -> Result<(), Failure> {
    store.audit(&user(), what, concern, unix_ms()).await?;
    Ok(())
}

/// The user of this system, as the audit log names them.
pub(super) fn user() -> String {
    let name =
        ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()));
    format!("cli:{}", presentable(&name.unwrap_or_default()))
}

/// A name as others can read it.
pub(super) fn presentable(name: &str) -> String {
    let name: String = name.trim().chars().filter(|c| !c.is_control()).take(NAME_CHARS).collect();
    if name.is_empty() { "somebody".to_owned() } else { name }
}

/// What printing came to. Who closes the pipe has read enough.
pub(in crate::cli) fn printed(result: io::Result<()>) -> Result<Exit, Failure> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(Exit::Ok),
    }
}

/// The time of a day, in UTC.
pub(super) fn time_of_day(ms: u64) -> String {
    rfc3339_of(ms).chars().skip(11).take(8).collect()
}

/// The first letters of an id, which nearly always tell it apart.
pub(in crate::cli) fn short(id: &AlertId) -> String {
    id.as_str().chars().take("alert_".len() + 8).collect()
}
