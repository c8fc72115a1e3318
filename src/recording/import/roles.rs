//! What a speaker is, by the words that files use for it.

use super::call::Party;

const CALLER: [&str; 26] = [
    "caller",
    "customer",
    "user",
    "client",
    "human",
    "end user",
    "enduser",
    "external",
    "contact",
    "guest",
    "consumer",
    "patient",
    "member",
    "subscriber",
    "policyholder",
    "visitor",
    "callers",
    "customers",
    "anrufer",
    "anruferin",
    "kunde",
    "kundin",
    "cliente",
    "appelant",
    "klant",
    "callee",
];
const AGENT: [&str; 46] = [
    "agent",
    "assistant",
    "bot",
    "ai",
    "representative",
    "rep",
    "csr",
    "human agent",
    "automated agent",
    "ai agent",
    "virtual agent",
    "custom bot",
    "internal",
    "voicebot",
    "chatbot",
    "advisor",
    "adviser",
    "operator",
    "associate",
    "receptionist",
    "model",
    "ai assistant",
    "virtual assistant",
    "support",
    "berater",
    "beraterin",
    "mitarbeiter",
    "mitarbeiterin",
    "agente",
    "conseiller",
    "conseillère",
    "medewerker",
    "call center agent",
    "call centre agent",
    "contact center agent",
    "customer care",
    "customer care representative",
    "customer service",
    "customer service agent",
    "customer service representative",
    "customer support",
    "dispatcher",
    "help desk",
    "helpdesk",
    "live agent",
    "support agent",
];
const SUPERVISOR: [&str; 2] = ["supervisor", "manager"];
const OBSERVER: [&str; 7] = ["observer", "other", "transfer target", "ivr", "acd", "monitor", "recorder"];
const NOBODY: [&str; 20] = [
    "system",
    "developer",
    "tool",
    "function",
    "tool calls",
    "tool call",
    "tool call result",
    "tool call invocation",
    "node transition",
    "dtmf",
    "sms",
    "injected",
    "event",
    "system message",
    "function call",
    "function call output",
    "tool result",
    "tool use",
    "tool calls result",
    "function call result",
];

/// What a role word stands for. Case, and how its parts are held together, mean nothing: `END_USER`, `endUser`.
pub(crate) fn party(word: &str) -> Option<Party> {
    let mut plain = String::with_capacity(word.len() + 2);
    let mut before = ' ';
    for c in word.trim().chars() {
        let apart = c.is_uppercase() && before.is_lowercase();
        if apart || (!c.is_alphanumeric() && !plain.ends_with(' ')) {
            plain.push(' ');
        }
        if c.is_alphanumeric() {
            plain.extend(c.to_lowercase());
        }
        before = c;
    }
    let plain = plain.trim();
    let is_in = |words: &[&str]| words.contains(&plain);
    if is_in(&CALLER) {
        Some(Party::Caller)
    } else if is_in(&AGENT) {
        Some(Party::Agent)
    } else if is_in(&SUPERVISOR) {
        Some(Party::Supervisor)
    } else if is_in(&OBSERVER) {
        Some(Party::Observer)
    } else if is_in(&NOBODY) {
        Some(Party::Nobody)
    } else {
        None
    }
}

/// What a label in running text stands for: a role word by itself, with a number (`Agent 2`), or with a name set apart
/// (`AGENT (Dana)`, `Dana - Agent`, `Dana (Customer)`, `Agent: Dana`).
pub(super) fn party_of_label(label: &str) -> Option<Party> {
    if let Some(party) = party(label) {
        return Some(party);
    }
    let unnumbered = label.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, ' ' | '#' | '_' | '-' | '.'));
    let parts = label.split(['(', ')', '[', ']', '-', '–', '—', '/', '|', ',', ':']);
    let apart = parts.map(str::trim).filter(|part| !part.is_empty()).filter(|part| part.len() < label.len());
    std::iter::once(unnumbered).chain(apart).find_map(party)
}

/// Whether a role word stands within a name, which says nothing for sure: `Wireless Caller`.
pub(super) fn party_hinted(name: &str) -> Option<Party> {
    // "Customer Service" and "Guest Relations" are who serve them.
    let serves = ["service", "services", "support", "care", "relations", "desk", "team"];
    if name.split(|c: char| !c.is_alphanumeric()).any(|word| serves.contains(&word.to_lowercase().as_str())) {
        return Some(Party::Agent);
    }
    name.split(|c: char| !c.is_alphanumeric())
        .find_map(party)
        .filter(|party| matches!(party, Party::Caller | Party::Agent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn role_words_are_known_however_they_are_written() {
        for (word, wanted) in [
            ("CUSTOMER", Some(Party::Caller)),
            ("END_USER", Some(Party::Caller)),
            ("endUser", Some(Party::Caller)),
            ("HUMAN_AGENT", Some(Party::Agent)),
            ("bot", Some(Party::Agent)),
            ("tool_call_result", Some(Party::Nobody)),
            ("transfer_target", Some(Party::Observer)),
            ("SUPERVISOR", Some(Party::Supervisor)),
            ("SPEAKER_00", None),
            ("cat", None),
            ("", None),
        ] {
            assert_eq!(party(word), wanted, "{word}");
        }
        for (label, wanted) in [
            ("AGENT (Dana)", Some(Party::Agent)),
            ("Dana - Customer", Some(Party::Caller)),
            ("Agent 2", Some(Party::Agent)),
            ("Customer Service", Some(Party::Agent)),
            ("Customer Care (Mia)", Some(Party::Agent)),
            ("Dana Cole", None),
            ("Wireless Caller (5***1)", None),
        ] {
            assert_eq!(party_of_label(label), wanted, "{label}");
        }
        assert_eq!(party_hinted("Guest Relations"), Some(Party::Agent));
        assert_eq!(party_hinted("Wireless Caller (5***1)"), Some(Party::Caller));
    }
}
