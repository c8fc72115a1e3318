//! Logs of what a platform sends while a call goes on and when it is over. Several messages may hold one call: the last
//! counts, as the earlier ones were sent before all was said.

use std::collections::VecDeque;

use super::call::{Call, Fault};
use super::json::Json;

/// How many bytes of words are held before the oldest call is given out.
const MAX_HELD: usize = if cfg!(test) { 64 * 1024 } else { 32 * 1024 * 1024 };

/// Whether a document is a message of such a log: Retell's `{"event":…,"call":{…}}`, Vapi's `{"message":{"type":…}}`.
pub(super) fn is_event(value: &Json) -> bool {
    let message = value.get("message");
    let of_retell = value.get("event").text().is_some_and(|event| event.starts_with("call_"))
        && value.at(&["call", "call_id"]).text().is_some();
    let of_vapi = message.get("type").text().is_some() && message.at(&["call", "id"]).text().is_some();
    of_retell || of_vapi
}

/// Whether a message of such a log may hold a whole call.
pub(super) fn is_report(value: &Json) -> bool {
    let kind = value.at(&["message", "type"]).text();
    kind.is_none_or(|kind| kind == "end-of-call-report")
}

/// A call that was read, where it stands, and what the importer is called.
pub(super) type Reported = (Call, u64, &'static str);

/// Calls by their ids, until the file is over or too much of it is held.
#[derive(Debug, Default)]
pub(super) struct Reports {
    calls: VecDeque<Reported>,
    held: usize,
    /// Whether there was more than one.
    pub(super) many: bool,
}

impl Reports {
    /// Takes in what a message holds. Gives back what has nothing to do with the others: a fault, and calls without an
    /// id.
    pub(super) fn take(
        &mut self,
        calls: Result<Vec<Call>, Fault>,
        line: u64,
        format: &'static str,
    ) -> Option<Result<Vec<Call>, Fault>> {
        let calls = match calls {
            Ok(calls) if calls.iter().all(|call| call.id.is_some()) => calls,
            other => return Some(other),
        };
        for call in calls {
            match self.calls.iter_mut().find(|(one, ..)| one.id == call.id) {
                // One that lacks words was cut, and tells less.
                Some(known) if held(&known.0) > held(&call) => {}
                Some(known) => {
                    self.held = self.held.saturating_sub(held(&known.0)) + held(&call);
                    *known = (call, line, format);
                }
                None => {
                    self.many |= !self.calls.is_empty();
                    self.held += held(&call);
                    self.calls.push_back((call, line, format));
                }
            }
        }
        None
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// The oldest call, when more is held than should be.
    pub(super) fn overdue(&mut self) -> Option<Reported> {
        if self.held > MAX_HELD { self.oldest() } else { None }
    }

    /// The oldest call.
    pub(super) fn oldest(&mut self) -> Option<Reported> {
        let oldest = self.calls.pop_front()?;
        self.held = self.held.saturating_sub(held(&oldest.0));
        Some(oldest)
    }
}

/// Bytes of a call's words.
fn held(call: &Call) -> usize {
    call.pieces.iter().map(|piece| piece.text.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(id: &str, text: &str) -> Result<Vec<Call>, Fault> {
        let mut call = Call { id: Some(id.to_owned()), ..Call::default() };
        call.say(None, text, None, None);
        Ok(vec![call])
    }

    #[test]
    fn the_last_report_of_a_call_counts_unless_it_has_lost_words() {
        let mut reports = Reports::default();
        for (line, (id, text)) in (1..).zip([("a", "one"), ("b", "two"), ("a", "One."), ("a", "")]) {
            assert!(reports.take(call(id, text), line, "retell").is_none());
        }
        assert!(reports.many);
        let told: Vec<_> = std::iter::from_fn(|| reports.oldest()).map(|(_, line, _)| line).collect();
        assert_eq!(told, [3, 2]);
    }

    #[test]
    fn only_so_much_is_held() {
        let mut reports = Reports::default();
        assert!(reports.take(call("a", &"a".repeat(MAX_HELD)), 1, "vapi").is_none());
        assert!(reports.overdue().is_none());
        assert!(reports.take(call("b", "b"), 2, "vapi").is_none());
        assert_eq!(reports.overdue().map(|(_, line, _)| line), Some(1));
        assert!(reports.overdue().is_none());
    }
}
