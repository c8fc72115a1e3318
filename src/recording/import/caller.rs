//! Who is the caller. It decides more than anything else of a file: rated the wrong way round, hardly any call that
//! needs a supervisor is found. In this order: who `--caller` names; what the file says of its speakers; who is left
//! when all others are known; and a guess by how agents speak, which is always said.

use super::call::{Call, Fault, Party};
use super::marks::without_marks;
use super::roles::{party_hinted, party_of_label};

/// What people say who serve: greetings, offers, questions by the form, words of the trade.
const AGENT_SAYS: [(&str, i32); 75] = [
    ("good morning", 1),
    ("good afternoon", 1),
    ("good evening", 1),
    ("thank you for calling", 4),
    ("thanks for calling", 4),
    ("thank you for contacting", 4),
    ("thanks for contacting", 4),
    ("thank you for reaching", 3),
    ("thanks for reaching", 3),
    ("thank you for holding", 3),
    ("thanks for holding", 3),
    ("thank you for your patience", 3),
    ("thank you for waiting", 2),
    ("how can i help", 5),
    ("how may i help", 5),
    ("how can i assist", 5),
    ("how may i assist", 5),
    ("how can we help", 4),
    ("what can i do for you", 4),
    ("what can i help", 4),
    ("can i help you", 3),
    ("i can help you with", 3),
    ("help you with today", 3),
    ("anything else i can", 4),
    ("is there anything else", 3),
    ("anything else you need", 2),
    ("may i have your", 4),
    ("can i have your", 3),
    ("could i have your", 3),
    ("can i get your", 3),
    ("could i get your", 3),
    ("may i get your", 3),
    ("can you give me your", 2),
    ("could you give me your", 2),
    ("tell me your name", 3),
    ("what is your name", 2),
    ("whats your name", 2),
    ("what is your account", 3),
    ("whats your account", 3),
    ("can you confirm", 3),
    ("could you confirm", 3),
    ("could you please provide", 3),
    ("can you please provide", 3),
    ("may i ask who", 3),
    ("may i place you on", 3),
    ("put you on a brief hold", 3),
    ("put you on hold", 2),
    ("place you on hold", 2),
    ("one moment", 1),
    ("bear with me", 2),
    ("let me check", 2),
    ("let me look", 2),
    ("let me pull up", 3),
    ("let me see what", 2),
    ("pull up your", 3),
    ("look up your", 2),
    ("id be happy to", 3),
    ("happy to help", 3),
    ("glad to help", 2),
    ("i apologize for", 2),
    ("i do apologize", 2),
    ("apologies for", 1),
    ("sorry to hear", 2),
    ("sorry for the inconvenience", 3),
    ("for the inconvenience", 2),
    ("for security purposes", 3),
    ("for verification", 2),
    ("date of birth", 1),
    ("have a great day", 1),
    ("have a nice day", 1),
    ("youre speaking with", 3),
    ("our records", 2),
    ("your account number", 1),
    ("sir", 1),
    ("maam", 1),
];

/// What people say who want something.
const CALLER_SAYS: [(&str, i32); 49] = [
    ("is my", 1),
    ("id like to", 2),
    ("i would like to", 2),
    ("i want to", 2),
    ("i want my", 3),
    ("i need to", 2),
    ("i need a", 2),
    ("i need help", 3),
    ("i need you", 2),
    ("im calling about", 4),
    ("im calling because", 4),
    ("im calling to", 2),
    ("i am calling", 2),
    ("ive been calling", 3),
    ("i called", 2),
    ("ive been on hold", 4),
    ("ive been waiting", 3),
    ("ive been trying", 3),
    ("i have a question", 3),
    ("quick question", 3),
    ("i have a problem", 3),
    ("im having", 2),
    ("im trying to", 2),
    ("i was wondering", 2),
    ("i was charged", 3),
    ("you charged me", 3),
    ("i was told", 2),
    ("i ordered", 2),
    ("i bought", 2),
    ("i paid", 2),
    ("i lost my", 3),
    ("i moved", 1),
    ("i cant", 1),
    ("i never", 1),
    ("my account", 1),
    ("my bill", 2),
    ("my order", 2),
    ("my card", 1),
    ("my appointment", 2),
    ("my invoice", 2),
    ("my money", 2),
    ("my name is", 1),
    ("my number is", 1),
    ("doesnt work", 1),
    ("not working", 1),
    ("can you help me", 3),
    ("where is my", 3),
    ("is wrong", 1),
    ("thank you for your help", 2),
];

/// How many pieces tell how their speakers speak.
const PIECES_THAT_TELL: usize = 10_000;

/// How much each speaker sounds like an agent; below zero, like a caller.
fn scores(call: &Call) -> Vec<i32> {
    let mut scores = vec![0; call.speakers.len()];
    let mut first = true;
    for piece in call.pieces.iter().take(PIECES_THAT_TELL) {
        let Some(at) = piece.speaker.filter(|at| *at < scores.len()) else { continue };
        if piece.text.trim().is_empty() {
            continue;
        }
        scores[at] += agent_score(&piece.text);
        if std::mem::take(&mut first) {
            // Most often the one who is called speaks first; it decides between equals.
            scores[at] += 1;
        }
    }
    for (score, speaker) in scores.iter_mut().zip(&call.speakers) {
        match party_hinted(speaker.shown()) {
            Some(Party::Caller) => *score -= 4,
            Some(_) => *score += 4,
            None => {}
        }
    }
    scores
}

/// Words in lower case with one blank before, between and after, without punctuation.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len() + 2);
    plain.push(' ');
    for word in text.split_whitespace() {
        plain.extend(word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase));
        if !plain.ends_with(' ') {
            plain.push(' ');
        }
    }
    plain
}

/// How much words sound like an agent's; below zero, like a caller's.
pub(super) fn agent_score(text: &str) -> i32 {
    let words = plain(&without_marks(text).text);
    let said = |table: &[(&str, i32)]| -> i32 {
        table.iter().filter(|(phrase, _)| has_phrase(&words, phrase)).map(|(_, weight)| weight).sum()
    };
    said(&AGENT_SAYS) - said(&CALLER_SAYS)
}

/// Whether a phrase stands in words as they come from [`plain`], with a blank on either side.
fn has_phrase(words: &str, phrase: &str) -> bool {
    words.match_indices(phrase).any(|(at, _)| {
        words.get(..at).is_some_and(|before| before.ends_with(' '))
            && words.get(at + phrase.len()..).is_some_and(|after| after.starts_with(' '))
    })
}

/// How many voices a file tells apart.
pub(super) enum Voices {
    /// It names nobody.
    None,
    /// All is said by one, of whom it does not say what they are.
    One(String),
    /// It has several, or says what the one is.
    Several,
}

/// The voices of a call. `wanted` is what `--caller` says.
pub(super) fn voices(call: &Call, wanted: Option<&str>) -> Voices {
    let heard = call.pieces.iter().filter(|piece| !piece.text.trim().is_empty());
    let mut speakers: Vec<usize> = heard.filter_map(|piece| piece.speaker).collect();
    speakers.sort_unstable();
    speakers.dedup();
    match speakers.as_slice() {
        [] => Voices::None,
        [one] => {
            let speaker = &call.speakers[*one];
            let said = speaker.party.or_else(|| speaker.names.iter().find_map(|name| party_of_label(name)));
            let other = wanted.is_some_and(|wanted| !named(call, wanted).contains(one));
            if said.is_some() || other { Voices::Several } else { Voices::One(speaker.shown().to_owned()) }
        }
        _ => Voices::Several,
    }
}

/// The party of each speaker. `wanted` is what `--caller` says.
///
/// # Errors
/// A [`Fault`] when `wanted` names nobody in a file that does not say itself who the caller is.
pub(super) fn parties(call: &mut Call, wanted: Option<&str>) -> Result<Vec<Party>, Fault> {
    for speaker in &mut call.speakers {
        speaker.party = speaker.party.or_else(|| speaker.names.iter().find_map(|name| party_of_label(name)));
    }
    let speaks = |at: usize| call.pieces.iter().any(|piece| piece.speaker == Some(at) && !piece.text.trim().is_empty());
    let speaking: Vec<usize> = (0..call.speakers.len()).filter(|at| speaks(*at)).collect();
    let said_caller = speaking.iter().any(|at| call.speakers[*at].party == Some(Party::Caller));
    if let Some(wanted) = wanted {
        let named = named(call, wanted);
        if !named.is_empty() {
            return Ok(with_caller(call, &named));
        }
        if !said_caller && !speaking.is_empty() {
            return Err(Fault::new("", nobody_named(call, &speaking, wanted)));
        }
    }
    let unknown: Vec<usize> = speaking.iter().copied().filter(|at| call.speakers[*at].party.is_none()).collect();
    if said_caller || unknown.is_empty() {
        if said_caller || speaking.is_empty() {
            return Ok(settled(call, &[]));
        }
        call.warnings.push("nobody in it is the caller; name them with --caller if that is wrong".to_owned());
        return Ok(settled(call, &[]));
    }
    let callers = guessed(call, &unknown);
    let warning = guess_warning(call, &unknown, &callers);
    call.warnings.push(warning);
    Ok(settled(call, &callers))
}

/// What each speaker is, those that nothing is known of being agents unless they are among the callers.
fn settled(call: &Call, callers: &[usize]) -> Vec<Party> {
    let party = |(at, speaker): (usize, &super::call::Speaker)| match speaker.party {
        _ if callers.contains(&at) => Party::Caller,
        party => party.unwrap_or(Party::Agent),
    };
    call.speakers.iter().enumerate().map(party).collect()
}

/// What each speaker is when these are the callers whatever the file says: nobody else is.
fn with_caller(call: &Call, callers: &[usize]) -> Vec<Party> {
    let parties = settled(call, callers).into_iter().enumerate();
    let other = |(at, party): (usize, Party)| {
        if party == Party::Caller && !callers.contains(&at) { Party::Agent } else { party }
    };
    parties.map(other).collect()
}

/// Of speakers that nothing is known of, those who sound like callers: at least one.
fn guessed(call: &Call, unknown: &[usize]) -> Vec<usize> {
    let scores = scores(call);
    let Some(lowest) = unknown.iter().copied().min_by_key(|at| scores[*at]) else { return Vec::new() };
    // A recogniser may take one voice for two.
    unknown
        .iter()
        .copied()
        .filter(|at| *at == lowest || (scores[*at] <= -4 && scores[*at] <= scores[lowest] / 2))
        .collect()
}

fn guess_warning(call: &Call, unknown: &[usize], callers: &[usize]) -> String {
    let quoted = |speakers: &[usize]| {
        let shown = |at: &usize| format!("\"{}\"", call.speakers[*at].shown());
        speakers.iter().map(shown).collect::<Vec<_>>().join(" and ")
    };
    let others: Vec<usize> = unknown.iter().copied().filter(|at| !callers.contains(at)).collect();
    match (callers, others.first()) {
        (callers, Some(other)) => format!(
            "it does not say who is the caller; by how they speak it is {}; if that is wrong, say --caller {}",
            quoted(callers),
            quoted(&[*other])
        ),
        (callers, None) => format!(
            "it does not say who is the caller; {} {} left when all others are known; if that is wrong, name the caller \
             with --caller",
            quoted(callers),
            if callers.len() == 1 { "is" } else { "are" }
        ),
    }
}

fn nobody_named(call: &Call, speaking: &[usize], wanted: &str) -> String {
    let names: Vec<String> =
        speaking.iter().take(8).map(|at| format!("\"{}\"", call.speakers[*at].names.join("\" or \""))).collect();
    format!("has nobody called \"{wanted}\", whom --caller names; it has {}", names.join(", "))
}

/// The speakers of this name, number or channel: written the same, or else the same but for case and for words such as
/// `SPEAKER_` and leading zeros.
fn named(call: &Call, wanted: &str) -> Vec<usize> {
    let find = |fits: &dyn Fn(&str) -> bool| -> Vec<usize> {
        let fits = |at: &usize| call.speakers[*at].names.iter().any(|name| fits(name));
        (0..call.speakers.len()).filter(fits).collect()
    };
    let exact = find(&|name| name.eq_ignore_ascii_case(wanted.trim()));
    if !exact.is_empty() {
        return exact;
    }
    let core = core(wanted);
    if core.is_empty() { Vec::new() } else { find(&|name| self::core(name) == core) }
}

/// What is left of a name without `speaker`, `channel` and the like: `SPEAKER_00`, `spk_0` and `channel 0` are `0`.
fn core(name: &str) -> String {
    let lower = name.trim().to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let kept: Vec<&str> =
        words.filter(|word| !matches!(*word, "speaker" | "channel" | "ch" | "spk" | "participant")).collect();
    let name = kept.join(" ");
    let short = name.trim_start_matches('0');
    if short.is_empty() && !name.is_empty() { "0".to_owned() } else { short.to_owned() }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;

    fn call(said: &[(&str, &str)]) -> Call {
        let mut call = Call::default();
        for (name, text) in said {
            let speaker = call.speaker(name, None);
            call.say(Some(speaker), text, None, None);
        }
        call
    }

    const HOTEL: [(&str, &str); 3] = [
        ("spk_1", "Thank you for calling the museum, how can I help you?"),
        ("spk_0", "Hi, I have a question about my invoice."),
        ("spk_1", "Sure, may I have your name?"),
    ];

    #[test]
    fn who_speaks_like_an_agent_is_not_the_caller_and_the_guess_is_said() {
        for said in [HOTEL.to_vec(), HOTEL.iter().copied().rev().collect()] {
            let mut call = call(&said);
            let parties = parties(&mut call, None).unwrap();
            let of = |name: &str| parties[call.speakers.iter().position(|s| s.shown() == name).unwrap()];
            assert_eq!((of("spk_0"), of("spk_1")), (Party::Caller, Party::Agent));
            assert!(call.warnings[0].contains("--caller \"spk_1\""), "{:?}", call.warnings);
        }
    }

    #[test]
    fn a_name_a_number_or_a_channel_overrules_the_guess_and_a_wrong_one_is_told() {
        for wanted in ["spk_1", "SPK_1", "1", "SPEAKER_01", "channel 1"] {
            let mut call = call(&HOTEL);
            assert_eq!(parties(&mut call, Some(wanted)).unwrap(), [Party::Caller, Party::Agent]);
            assert!(call.warnings.is_empty());
        }
        let told = parties(&mut call(&HOTEL), Some("Dana")).unwrap_err();
        assert!(told.problem.contains("\"Dana\"") && told.problem.contains("\"spk_1\", \"spk_0\""), "{told:?}");
    }

    #[test]
    fn what_the_file_says_is_used_and_who_is_left_is_the_caller() {
        let mut said = call(&[("Agent", "I want to cancel."), ("CUSTOMER (Sam)", "How can I help you?")]);
        assert_eq!(parties(&mut said, Some("SPEAKER_00")).unwrap(), [Party::Agent, Party::Caller]);
        assert!(said.warnings.is_empty());
        let mut left = call(&[("agent", "Thanks for calling."), ("A", "How can I help? Just joking.")]);
        assert_eq!(parties(&mut left, None).unwrap(), [Party::Agent, Party::Caller]);
        assert!(left.warnings[0].contains("\"A\" is left"), "{:?}", left.warnings);
    }
}
