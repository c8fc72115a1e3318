//! Whether a turn asks for a human: in a sentence ("can I speak to a manager"), in one word ("operator", "agent agent
//! agent"), or spelt out for a machine that does not listen ("re pre sen ta tive").

mod meant;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::LazyLock;

use self::meant::{TITLES, is_meant};
use super::list::List;
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

/// Departments, and whoever sits there.
macro_rules! desk {
    () => {
        "team|teams|department|dept|desk|office|branch|reception|switchboard|billing|fraud|sales|claims|complaints|\
         cancellations|retentions|accounts|payments|renewals|returns|refunds|loans|mortgages|lettings|repairs|maintenance|\
         bookings|reservations|collections|admissions|dispatch|security|support|technical|tech|customer|hr|legal|ward|\
         kitchen|housekeeping|pharmacy|surgery|nurse|doctor|midwife|pharmacist|sergeant|detective|engineer|engineers|\
         specialist|specialists|expert|adjuster|solicitor|lawyer|banker|broker|teller|clerk|secretary|assistant|director|\
         owner|chef|duty|senior|oga|extension"
    };
}
/// What may follow a request that is whole: it is made pressing, or something else begins.
macro_rules! whole {
    () => {
        "now|please|immediately|straight|right|asap|already|again|or|and|because|before|then|instead|i|ive|im|id|ill|if|you|\
         youre|youve|dont|are|we|weve|thanks|thank|god|jesus|so|just"
    };
}

/// Sentences that ask for a human.
const ASKS: &[&str] = &[
    // To talk.
    concat!("speak|talk|chat|speaking|talking|chatting ~ to|with ~ ", anyone!()),
    concat!("speak|talk|chat|speaking|talking ~ to|with one|any of ~ ", staff!()),
    concat!("speak|talk|chat|discuss|deal|sort ~ ~ with ~ ", anyone!()),
    concat!("get|be speaking|talking to|with ~ ", anyone!()),
    // To be put through.
    "put|patch|pass|send me|us straight|directly|right|back? through to",
    concat!("put|patch|pass|send me|us straight|directly|right|back? over|on to|with ~ ", anyone!(), "|", desk!()),
    concat!("put|pass|send this|the ~ through|over|on to ~ ", staff!()),
    "put|patch me|us straight|directly|right|back? through .",
    concat!("put|patch me|us straight|directly|right|back? through ", whole!()),
    concat!("put me|us with ~ ", anyone!()),
    "be|like|want|need put|putting through .",
    concat!("be|like|want|need put|putting through to|", whole!()),
    "connect|transfer me|us .",
    concat!("connect|transfer me|us ", whole!()),
    concat!("connect|transfer me|us to|with|over|through|back to? ~ ~ ", anyone!(), "|", desk!()),
    concat!("connect|transfer|redirect me|us|call ~ to|with ~ ", anyone!()),
    concat!("connect|transfer|redirect|switch to|with ~ ", staff!()),
    concat!("put|get|have ~ ", anyone!(), " ~ on the|this|your? ~ phone|line"),
    concat!("put|get|have ~ ", anyone!(), " ~ on to me"),
    concat!("get|put ~ ", anyone!(), " ~ to the|this? phone"),
    concat!("get|put ~ ", anyone!(), " on|to me"),
    concat!("put ~ ", anyone!(), " on ."),
    concat!("put ~ ", anyone!(), " on who|that|here|to|with|", whole!()),
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
    "want|need ~ somebody|someone real|human|senior|higher|over|above|who|with|that|alive|proper",
    "want|need just|a? somebody|someone else .",
    concat!("want|need just|a? somebody|someone else ", whole!()),
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
        " ~ i|we|you can|could|may|might|speak|talk|deal|oughta|should"
    ),
    concat!(
        "is|isnt|are|arent there|theres ~ ",
        anyone!(),
        " who|that can|could|will|would|may|might|knows|understands|speaks"
    ),
    concat!("is|isnt|are|arent there|theres ~ ", anyone!(), " to speak|talk|help|answer|deal|listen|call"),
    concat!("is|isnt|are|arent there|theres ~ ", anyone!(), " else? available|real|human|here|there|free|around|about"),
    concat!("is|isnt|are|arent there|theres ~ ", anyone!(), " ~ in charge|today|there"),
    concat!("is|isnt|are|arent there no|not|any real|actual|live|living|human|single|one? ", staff!(), "|being"),
    concat!("is|isnt|are|arent there a|an|any|no|some|not ~ ", staff!(), " ."),
    concat!("is|isnt|are|arent there a|an|any|no|some|not ~ ", staff!(), " in? ", whole!()),
    concat!("is|isnt|are|arent there ~ real|actual|live|living|human|breathing ", staff!(), "|being"),
    "is|isnt there anybody|anyone|somebody|someone real|human",
    "is|isnt there anybody|anyone|somebody|someone else .",
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
mod tests;
