//! Whether words that could ask for a human do: a request of the caller's, now, of us, for somebody to talk to.

use std::ops::Range;

use crate::sentiment::list::List;
use crate::sentiment::text::Words;

/// Titles that nobody says alone but to ask for one.
pub(super) const TITLES: List = List("operator representative supervisor advisor adviser agent human");
/// What goes before and makes it another's request, a report, or none.
const TAKEN_BACK: List = List("dont not didnt never doesnt wouldnt without nor hadnt wasnt no");
/// Words through which a "not" reaches a request: "i don't really need to", "not sure if i want".
const REACHED: List = List(
    "need needed needing want wanted wanting wanna wish have had having get got getting going gonna go able trying try to \
     really even necessarily just actually be been like asking asked ask for think sure if whether suppose believe all \
     bother bothered to know",
);
/// Verbs after which "i" is the subject of what is wanted: "i don't think i need".
const THAT_I: List = List("think sure if whether suppose believe");
const OF_OTHERS: List = List("he she they nobody who hes shes theyre theyd hed shed colleague husband wife");
/// Others too, where one of [`ONE_OF`] is before them; else they are addressed: "listen man".
const SOME: List = List("man lady girl guy woman bloke");
const ONE_OF: List = List("the that this a");
/// Words between others and what they did: "they then put me through".
const THEN: List = List(
    "just then said says will would wont can cant could couldnt did didnt never always only finally eventually actually got kept \
     tried had have has even both all to also again now",
);
/// Before a "you" that something is done to, and not who did it: "i'm begging you".
const TO_YOU: List = List(
    "to with at for of from about on tell told telling beg begging ask asked asking thank thanks hate warn warned warning \
     bless damn fuck screw want need",
);
/// What cannot or will not, where it is nobody's "you": "my laptop won't connect me".
const FAILS: List = List("wont will doesnt didnt cant couldnt would wouldnt keeps should");
const SOMEBODY: List = List("you somebody someone anybody anyone they nobody");
/// What a person is wanted for who only talks.
const TALK: List = List(
    "speak talk chat help call ring phone explain deal listen answer sort handle discuss assist understand take tell me us \
     be resolve review continue contact who get give look",
);
/// Trades whose work may be wanted instead: "an agent to sell my house", "an officer to come".
const TRADES: List = List("agent officer consultant representative rep advisor adviser staff operator");
/// Where or how a person of such a trade is wanted: "an officer at my house".
const PLACED: List = List("at near out outside from who");
/// After the word for a person, things that are called by it: "an operator licence", "staff discount".
const THINGS: List = List(
    "discount parking code codes number fee fees licence license id card special training meal login portal room entrance \
     sample form pack agreement",
);
/// After "call me": a message is wanted, once there is one.
const LATER: List = List("when whenever once if as with after before");
/// Before a person that is counted, and not asked for: "a table for one person".
const COUNTED: List = List("per each every extra additional for");
/// "Can you", "if you": what follows is wanted of us.
const MODAL: List = List("can could will would should if please dont cant wont");
/// A person of the caller's own, or of another trade.
const NOT_YOURS: List = List(
    "estate letting travel property project booking insurance sales parking police probation case loan delivery im",
);
const POSSESSED: List = List("my his her their our");
/// Who is put through gets to a department too: "to the sales manager".
const PUT_THROUGH: List = List("put patch pass send connect transfer redirect");

/// Whether the caller wants it, now, of us.
pub(super) fn is_meant(words: &Words, at: Range<usize>) -> bool {
    let around = Before { words, at: at.start };
    let word = |place: usize| words.tokens.get(place).map_or("", |token| token.word.as_str());
    // "my" may also be what follows: "let me speak to my wife".
    let whose =
        if ["to", "with"].contains(&word(at.end - 1)) { at.start + 1..at.end + 1 } else { at.start + 1..at.end };
    let put_through = PUT_THROUGH.has(word(at.start));
    let not_yours = whose.clone().any(|place| POSSESSED.has(word(place)) || !put_through && NOT_YOURS.has(word(place)));
    // "i want to rep- report".
    let cut_off = ["want", "need", "wanna"].contains(&word(at.start)) && word(at.end.saturating_sub(2)) == "to";
    // "you put me through hell".
    let suffered = word(at.start) == "put" && ["hell", "this", "that", "all", "so", "it"].contains(&word(at.end));
    // "have someone call me when it's ready".
    let later = ["call", "ring", "phone"].contains(&word(at.end.saturating_sub(2))) && LATER.has(word(at.end));
    // "i need a ride, boss".
    let addressed = at.len() > 1 && word(at.end - 1) == "boss" && words.tokens[at.end - 1].begins;
    !(around.take_it_back()
        || around.are_others()
        || around.are_us()
        || around.are_a_thing(word(at.start))
        || not_yours
        || cut_off
        || suffered
        || later
        || addressed
        || is_for_work(words, &at)
        || is_counted(words, &at))
}

/// The words of a clause that stand before what may be a request.
struct Before<'w> {
    words: &'w Words,
    at: usize,
}

impl Before<'_> {
    /// The word so many before it, where it is of the same clause.
    fn word(&self, back: usize) -> &str {
        match self.at.checked_sub(back) {
            Some(place) if (place..self.at).all(|between| !self.words.tokens[between + 1].begins) => {
                &self.words.tokens[place].word
            }
            _ => "",
        }
    }

    /// "I don't really need to", but "it does not work, put me through", with or without the comma.
    fn take_it_back(&self) -> bool {
        for back in 1.. {
            let (word, before) = (self.word(back), self.word(back + 1));
            let after = if back == 1 { &self.words.tokens[self.at].word } else { self.word(back - 1) };
            match word {
                // "no need to", but "no, i want".
                "no" => return after == "need",
                // "why don't you put me through".
                _ if TAKEN_BACK.has(word) => return after != "you" || before == "nor",
                "i" if before == "that" || THAT_I.has(before) => {}
                "that" if THAT_I.has(before) => {}
                "you" if after == "to" => {}
                "know" if !["if", "whether"].contains(&after) => return false,
                _ if REACHED.has(word) => {}
                _ => return false,
            }
        }
        false
    }

    /// "They put me through", "she told me to speak to someone".
    fn are_others(&self) -> bool {
        let other = |back: usize| {
            OF_OTHERS.has(self.word(back)) || SOME.has(self.word(back)) && ONE_OF.has(self.word(back + 1))
        };
        let told = ["told", "asked", "said", "telling"].contains(&self.word(3));
        other(1) || other(2) && THEN.has(self.word(1)) || self.word(1) == "to" && self.word(2) == "me" && told
    }

    /// "You put me through", but "can you", "if you", "i'm begging you".
    fn are_us(&self) -> bool {
        self.word(1) == "you" && !(2..=3).any(|back| MODAL.has(self.word(back))) && !TO_YOU.has(self.word(2))
    }

    /// "My laptop won't connect me", but "why won't you", "will somebody".
    fn are_a_thing(&self, verb: &str) -> bool {
        ["connect", "transfer", "put", "patch"].contains(&verb)
            && (self.word(1) == "it" && ["", "and", "then", "when", "but"].contains(&self.word(2))
                || FAILS.has(self.word(1)) && !SOMEBODY.has(self.word(2)) && !self.word(2).is_empty())
    }
}

/// Whether the person asked for is wanted for the work of a trade, and not to talk to: "an agent to sell my house".
fn is_for_work(words: &Words, at: &Range<usize>) -> bool {
    let word = |place: usize| words.tokens.get(place).map_or("", |token| token.word.as_str());
    let talks = at.clone().any(|place| {
        ["speak", "talk", "chat", "speaking", "talking", "connect", "transfer", "put", "explain", "discuss"]
            .contains(&word(place))
    });
    let real = at.clone().any(|place| ["real", "actual", "live", "living", "human"].contains(&word(place)));
    let ends_clause = words.tokens.get(at.end).is_none_or(|token| token.begins);
    if talks || real || ends_clause {
        return false;
    }
    if THINGS.has(word(at.end)) {
        return true;
    }
    if !TRADES.has(word(at.end - 1)) {
        return false;
    }
    let to_talk = |verb: &str| TALK.has(verb) || TITLES.has(verb);
    word(at.end) == "to" && !to_talk(word(at.end + 1))
        || PLACED.has(word(at.end)) && !["can", "could"].contains(&word(at.end + 1))
}

/// Whether a person is only counted: "a table for one person", "twenty per person".
fn is_counted(words: &Words, at: &Range<usize>) -> bool {
    let word = |place: usize| words.tokens.get(place).map_or("", |token| token.word.as_str());
    at.clone().filter(|place| ["person", "people"].contains(&word(*place))).any(|place| {
        let before = |back: usize| place.checked_sub(back).map_or("", word);
        let number = place > 0 && words.tokens[place - 1].number;
        number && (before(1) != "one" || COUNTED.has(before(2))) || COUNTED.has(before(1)) && before(1) != "for"
    })
}
