//! How an alert is put for who reads it: one file per format. Each makes the same request of the same [`Told`].
//!
//! | format | limits that it keeps |
//! | --- | --- |
//! | `standard`, `cloudevents` | none: receivers are programs |
//! | `slack` | 50 blocks, 150 characters a header, 3000 a text, 10 fields of 2000, 12,000 in all, 3000 a link |
//! | `teams` | 20,000 bytes in all, below the 28 KB where Teams refuses |
//! | `pagerduty` | a summary of 1024 characters, a dedup key of 255, 512 KB in all |

mod cloudevents;
mod pagerduty;
pub(super) mod request;
mod slack;
mod standard;
mod teams;
#[cfg(test)]
pub(crate) mod tests;
mod words;

use crate::alert::notice::{NoticeEvent, Told};
use crate::alert::outgoing::Outgoing;
use crate::config::secret::Secret;
use crate::config::targets::NotifyFormat;
use request::Rendered;

/// The request that tells a place of an event. `key` is the place's key, where it needs one.
pub(super) fn render(told: &Told, event: NoticeEvent, outgoing: &Outgoing, key: Option<&Secret>) -> Rendered {
    let detail = outgoing.detail;
    match outgoing.format {
        NotifyFormat::Standard => standard::render(told, detail),
        NotifyFormat::Slack => slack::render(told, detail),
        NotifyFormat::Teams => teams::render(told, detail),
        NotifyFormat::PagerDuty => pagerduty::render(told, event, detail, key),
        NotifyFormat::CloudEvents => cloudevents::render(told, detail),
    }
}
