//! Whether a turn asks for a human: in a sentence ("can I speak to a manager"), in one word ("operator", "agent agent
//! agent"), or spelt out for a machine that does not listen ("re pre sen ta tive").

use std::collections::HashMap;
use std::ops::Range;
use std::sync::LazyLock;

use super::pattern::Pattern;
use super::text::Words;

/// People who are nobody but the one that is asked for.
macro_rules! staff {
    () => {
        "human|person|operator|representative|representatives|rep|agent|advisor|adviser|advisors|advisers|supervisor|manager|\
         boss|superior|receptionist|consultant|consultants|officer|staff|colleague|colleagues"
    };
}
/// The same, and words for anybody.
macro_rules! anyone {
    () => {
        concat!(
            staff!(),
            "|humans|people|agents|operators|managers|somebody|someone|somebodys|someones|anybody|anyone|whoever|whoevers|soul"
        )
    };
}

/// Words with spaces between them.
struct List(&'static str);

impl List {
    fn has(&self, word: &str) -> bool {
        self.0.split_ascii_whitespace().any(|listed| listed == word)
    }
}

/// Sentences that ask for a human.
const ASKS: &[&str] = &[
    // To talk.
    concat!("speak|talk|chat|speaking|talking|chatting ~ to|with ~ ", anyone!()),
    concat!("speak|talk|chat|speaking|talking ~ to|with one|any of ~ ", staff!()),
    concat!("speak|talk|chat|discuss|deal|sort ~ ~ with ~ ", anyone!()),
    concat!("get|be speaking|talking to|with ~ ", anyone!()),
    // To be put through.
    "put|patch|pass|send me|us|this ~ through|over|on to",
    "put|patch me|us on|through",
    "put|patch me|us ~ through",
    "be|like|want|need put|putting through",
    "connect me|us",
    "connect me|us to|with|now|please|$",
    "transfer me|us",
    concat!("put|get|have ~ ", anyone!(), " ~ on|to the|this? ~ phone|line|me"),
    concat!("put ~ ", anyone!(), " on"),
    concat!("transfer|connect|switch|redirect ~ to ~ ", anyone!()),
    // To be given one.
    concat!("get|give|find|bring|fetch|show|put me|us ~ ", anyone!()),
    "put|bring on ~ boss|manager|supervisor|human|person",
    concat!("get|bring|fetch your|the ~ ", staff!()),
    concat!("want|wanna|need|demand|prefer|require|requesting|request|expect ~ ", staff!()),
    concat!("id|would ~ like|prefer|rather ~ ", staff!()),
    concat!("rather|sooner|prefer ~ have|get|was|were ~ ", staff!()),
    concat!("rather|sooner|prefer ~ explain|say|tell|discuss ~ ~ to|with|tae ~ ", anyone!()),
    concat!("can|could|may|might|cant|couldnt i|we ~ have|get ~ ", staff!()),
    // "could I have" is "could I've" here.
    concat!("can|could|may|might|cant|couldnt ive|weve ~ ", staff!()),
    "can|could|may|might ive|weve ~ somebody|someone else|real|human|senior|proper|who",
    "can|could|may|might|cant|couldnt i|we ~ have|get ~ somebody|someone else|real|human|senior|proper|who",
    "want|need ~ somebody|someone real|human|else|senior|higher|over|above|who|with|that|alive|proper",
    concat!("have|get|want|need|ask|tell ~ ", anyone!(), " to? call|ring|phone me|us"),
    concat!("please ~ ", staff!(), " $"),
    concat!("real|actual|live|living|human|proper ", staff!(), "|being please|now|$"),
    concat!(staff!(), " please|now|immediately"),
    concat!(staff!(), " if you|thats|possible|i"),
    concat!(staff!(), " would be better|best|good|great|nice|lovely|fine|ideal"),
    "living|live breathing|living human|person|soul",
    concat!("a live ~ ", staff!()),
    "just|only a person|human",
    "human voice",
    "member of staff",
    "human being please|now|$",
    "somebody|someone|anybody real|human|alive please|now|$",
    "somebody|someone|anybody with a ~ pulse|brain|heart|clue|name|tongue",
    concat!("said|say|saying|repeat|repeating ", staff!()),
    concat!("ask|asked|asking|begging ~ ~ ~ for ~ ", anyone!()),
    // Is there one?
    concat!(
        "is|isnt|are|arent there|theres ~ ",
        anyone!(),
        " ~ i|we can|could|to|who|that|else|available|real|human|here|in"
    ),
    concat!("is|isnt|are|arent there a|an|any|no|some|not ~ ", staff!()),
    "is|isnt there anybody|anyone|somebody|someone i|who|else|real|human",
    "who can i speak|talk to",
    "nobody i can speak|talk",
    // To be taken seriously.
    "escalate this|it|me|my|to",
    "want|need|get|have this|it|my ~ escalated",
    "somebody|someone pick up",
    "let me|us speak|talk to",
];

/// Sentences that ask for it by what they do not want.
const NOT_A_MACHINE: &[&str] = &[
    "dont|not|wont|never|stop ~ ~ talk|speak|talking|speaking|deal|dealing to|with ~ bot|robot|machine|computer|recording|ai|computers|machines|robots|bots|assistant",
    "dont|not ~ want|need ~ bot|robot|machine|computer|recording|chatbot",
    "no|not more|another? bots|robots|machines|bot|robot|machine",
];

/// What goes before and makes it another's request, a report, or none.
const TAKEN_BACK: List = List("dont not didnt never doesnt wouldnt without nor hadnt wasnt");
const OF_OTHERS: List =
    List("he she they nobody who hes shes theyre theyd hed shed lady man girl guy colleague husband wife");
/// "Can you", "if you": what follows is wanted of us.
const MODAL: List = List("can could will would should if please dont cant wont");
/// A person of the caller's own, or of another trade.
const NOT_YOURS: List = List(
    "my his her their our estate letting travel property project booking insurance sales parking police \
     probation case loan delivery im",
);

/// Words of a turn that does nothing but ask.
const BARE: List = List(
    "a an the any another real actual live living breathing human being proper some one please now just only \
     no yes yeah okay hello hi i said say want need id like to speak talk with for me us get give your you and \
     or god oh come on right asap sorry thanks thank then again service services customer care support sir \
     maam hey of desk help immediately line there else bot robot machine so well look really still must can \
     could have kindly if do instead rather",
);
/// One of these makes it an ask.
const NAMED: List = List(
    "human humans person operator representative representatives rep reps agent agents advisor adviser \
     supervisor manager receptionist somebody someone",
);
/// The longest turn that only asks, in words.
const LONGEST_BARE: usize = 7;
/// Spelt in pieces for a machine; long enough to be nothing else. An "er" between pieces was taken for a hesitation.
const IN_PIECES: List = List("representative operator opator supervisor advisor");
/// Pieces are so short.
const PIECE: usize = 5;

/// Words by which an agent asks what or who someone is.
const WHO: List = List("who whos whose title occupation job profession role relationship capacity");

/// Titles that nobody says alone but to ask for one.
const TITLES: List = List("operator representative supervisor advisor adviser agent human");
/// Before a title that ends a turn, these make it part of a sentence.
const LEADING: List = List(
    "a an the my your his her their our this that another same other different last first by from to of with \
     estate travel letting claims delivery tour im youre being only is as ticket insurance be are was new",
);
/// After a title that begins a turn, these make it part of a sentence.
const FOLLOWING: List = List(
    "is was said says told hung called who that has had number name id did didnt never just on at from being \
     error put gave sent keeps kept or and fee code",
);

/// Where a turn asks for a human, in tokens. `asked` are the agent's last words: "a manager" may be the answer to them.
pub(super) fn for_a_human(words: &Words, asked: Option<&Words>) -> Option<Range<usize>> {
    in_a_sentence(words)
        .or_else(|| bare(words, asked))
        .or_else(|| called_for(words, asked))
        .or_else(|| in_pieces(words))
}

fn in_a_sentence(words: &Words) -> Option<Range<usize>> {
    let patterns = &*COMPILED;
    (0..words.tokens.len()).find_map(|at| {
        let by_word = patterns.by_word.get(words.tokens[at].word.as_str()).map(Vec::as_slice).unwrap_or_default();
        by_word.iter().find_map(|&index| {
            let (pattern, by_refusal) = &patterns.patterns[index];
            let end = pattern.end(words, at)?;
            (*by_refusal || is_meant(words, at..end)).then_some(at..end)
        })
    })
}

/// Whether the caller wants it, now, of us.
fn is_meant(words: &Words, at: Range<usize>) -> bool {
    let word = |place: usize| words.tokens.get(place).map_or("", |token| token.word.as_str());
    let before = |back: usize| at.start.checked_sub(back).map_or("", word);
    // But "why don't you put me through", "you won't let me speak to".
    let refuses_us = |back: usize| (at.start - back..at.end).any(|place| ["you", "let"].contains(&word(place)));
    let taken_back = (1..=3).any(|back| TAKEN_BACK.has(before(back)) && !refuses_us(back))
        || (1..=3).any(|back| before(back + 1) == "no" && before(back) == "need");
    // "they put me through", "she told me to speak to someone".
    let of_others = (1..=2).any(|back| OF_OTHERS.has(before(back)))
        || before(1) == "to" && before(2) == "me" && ["told", "asked", "said", "telling"].contains(&before(3));
    // "you put me through", but "can you", "if you", "why don't you".
    let by_us = before(1) == "you" && !(2..=3).any(|back| MODAL.has(before(back)));
    let not_yours = at.clone().skip(1).any(|place| NOT_YOURS.has(word(place)));
    // "i want to rep- report".
    let cut_off = ["want", "need", "wanna"].contains(&word(at.start)) && word(at.end.saturating_sub(2)) == "to";
    // "you put me through hell".
    let suffered = word(at.start) == "put" && ["hell", "this", "that", "all", "so", "it"].contains(&word(at.end));
    !(taken_back || of_others || by_us || not_yours || cut_off || suffered)
}

/// A turn that says nothing else.
fn bare(words: &Words, asked: Option<&Words>) -> Option<Range<usize>> {
    let count = words.tokens.len();
    let only_asks = (1..=LONGEST_BARE).contains(&count) && words.iter().all(|word| BARE.has(word) || NAMED.has(word));
    let service = words.tokens.windows(2).any(|pair| {
        pair[0].word == "customer" && ["service", "services", "care", "support"].contains(&pair[1].word.as_str())
    });
    let named = service || words.iter().any(|word| NAMED.has(word));
    (only_asks && named && !asks_who(asked)).then_some(0..count)
}

/// A title that begins or ends a turn, by itself: "Nothing! Operator.", "agent, you daft thing".
fn called_for(words: &Words, asked: Option<&Words>) -> Option<Range<usize>> {
    let word = |place: usize| words.tokens.get(place).map_or("", |token| token.word.as_str());
    let last = words.tokens.len().checked_sub(1)?;
    let ends = TITLES.has(word(last)) && (last == 0 || !LEADING.has(word(last - 1)));
    let begins = TITLES.has(word(0)) && !FOLLOWING.has(word(1));
    let at = if ends { last } else { 0 };
    ((ends || begins) && !asks_who(asked)).then_some(at..at + 1)
}

/// Whether the agent asked what or who someone is.
fn asks_who(asked: Option<&Words>) -> bool {
    asked.is_some_and(|asked| asked.iter().any(|word| WHO.has(word)))
}

/// A word spelt in pieces.
fn in_pieces(words: &Words) -> Option<Range<usize>> {
    let pieces = |start: usize| words.tokens.iter().enumerate().skip(start).take_while(|(_, t)| t.word.len() <= PIECE);
    (0..words.tokens.len()).find_map(|start| {
        let mut whole = String::new();
        pieces(start).find_map(|(at, token)| {
            whole.push_str(&token.word);
            (at > start && IN_PIECES.has(&whole)).then_some(start..at + 1)
        })
    })
}

/// The patterns, and whether each asks by refusing, by the word that they start with.
struct Compiled {
    by_word: HashMap<&'static str, Vec<usize>>,
    patterns: Vec<(Pattern, bool)>,
}

static COMPILED: LazyLock<Compiled> = LazyLock::new(|| {
    let rows = ASKS.iter().map(|row| (*row, false)).chain(NOT_A_MACHINE.iter().map(|row| (*row, true)));
    let patterns: Vec<(Pattern, bool)> = rows.map(|(row, by_refusal)| (Pattern::of(row), by_refusal)).collect();
    let mut by_word: HashMap<&'static str, Vec<usize>> = HashMap::new();
    for (index, (pattern, _)) in patterns.iter().enumerate() {
        for word in pattern.first_words().unwrap_or_default() {
            by_word.entry(word).or_default().push(index);
        }
    }
    Compiled { by_word, patterns }
});

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(text: &str) -> bool {
        for_a_human(&Words::of(text), None).is_some()
    }

    #[test]
    fn every_pattern_starts_with_words_that_find_it() {
        assert!(
            COMPILED.patterns.iter().all(|(pattern, _)| pattern.first_words().is_some_and(|words| !words.is_empty()))
        );
    }

    #[test]
    fn asks_are_heard_in_sentences_in_one_word_and_in_pieces() {
        for text in [
            "operator",
            "Agent. Agent. AGENT!",
            "representative please",
            "a human",
            "customer service",
            "real person real person",
            "re pre sen ta tive",
            "op er a tor",
            "is there any chance of speaking to a human",
            "can I speak to a manager, please?",
            "i want to speak to someone who can actually help",
            "no no please don't cancel i'd just like a person please",
            "put me through to somebody who knows",
            "could you transfer me to an adviser",
            "why won't you let me speak to your supervisor",
            "why don't you put me through to a person",
            "i don't want to talk to a machine",
            "get me your manager",
            "i have asked for a person a few times now",
            "so there is no human being in this your company bring your manager now",
            "i'd rather discuss it with a person",
            "escalate this",
            "can someone call me back i need somebody real",
            "no rep re sen ta tive god",
            "none of them operator",
            "agent you daft thing",
            "hi sorry could i have a human",
            "may i speak with one of your consultants",
        ] {
            assert!(asks(text), "{text}");
        }
    }

    #[test]
    fn reports_refusals_and_others_are_no_asks() {
        for text in [
            "no rush at all whenever you get a minute",
            "i spoke to a manager last week",
            "they put me through to billing and hung up",
            "i don't need a person thanks",
            "i need to speak to my manager first",
            "she said she'd speak to someone",
            "you told me to speak to the manager",
            "i'm a person not a number",
            "you've put me through hell",
            "can someone come out and fix the boiler",
            "i need someone to look at the meter",
            "talk to me like a human being would",
            "i work for an estate agent",
            "the operator was lovely",
            "no need to put me through",
            "don't treat me like a machine",
            "transfer the money to my account",
            "the agent said it would come on monday",
            "agent said it would come",
            "he told me he was an agent",
            "i'll put me good top on then",
            "somebody came in with a key",
        ] {
            assert!(!asks(text), "{text}: {:?}", for_a_human(&Words::of(text), None));
        }
    }

    #[test]
    fn an_answer_to_who_is_no_ask() {
        let asked = Words::of("who told you that");
        assert!(for_a_human(&Words::of("a manager"), Some(&asked)).is_none());
        let asked = Words::of("sorry who would you like");
        assert!(for_a_human(&Words::of("i want to speak to a manager"), Some(&asked)).is_some());
    }
}
