//! What went wrong for the caller, in the caller's own words: "charged me twice", "fourth call", "on hold for an hour".

use std::ops::Range;
use std::sync::LazyLock;

use super::pattern::Pattern;
use super::text::Words;

/// The longest piece that is told, in characters.
const LONGEST: usize = 48;

/// Kinds of trouble, each with the ways in which callers say it. The first kinds are told first.
const KINDS: [&[&str]; 6] = [
    // Money.
    &[
        "charged|billed|debited ~ ~ twice|thrice",
        "charged|billed|debited ~ # times",
        "charged|billed me|us|my ~ again|double|for",
        "charged|billed|debited ~ ~ wrong ~ amount|card|account|person",
        "double|over charged|billed",
        "overcharged ~ me|us",
        "overcharged",
        "charged|charging|billed|fined ~ ~ # ~ dollars|pounds|bucks|quid|euros|euro|rupees|naira",
        "took|taken|taking|kept|keeping ~ ~ my ~ money|deposit|payment",
        "paid ~ twice",
        "wrong ~ amount|bill|charge|price",
        "waiting ~ ~ ~ refund|money",
        "still ~ ~ no? refund|refunded",
        "no refund",
        "refund ~ never ~ came|arrived|happened",
    ],
    // How often.
    &[
        "third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|umpteenth time|call|letter|email|visit|person|week|month|engineer|ticket|attempt|agent",
        "# time|call ~ calling|called|ringing|asking|today|now",
        "called|rang|rung|phoned|told|asked|explained|emailed|written|complained|been|tried|called|transferred ~ ~ # ~ times",
        "# ~ calls|emails|letters|visits|tickets|references|agents|engineers",
        "# times ~ today|now|already|this",
        "# ~ times",
        "hundred|hundreds|dozens|loads ~ times",
        "over and over",
        "again and again",
    ],
    // How long.
    &[
        "on hold ~ # ~ minutes|hours|hour|mins",
        "on hold ~ ~ hour|hours|ages|minutes",
        "waiting|waited|waited ~ # ~ minutes|hours|hour|days|weeks|months|years",
        "waiting|waited|sat|stood ~ ~ hour|hours|days|weeks|months|ages|morning|day|afternoon",
        "been|for|going|last|without # ~ hours|days|weeks|months",
        "# ~ days|weeks|months",
    ],
    // What was not done.
    &[
        "nobody|never ~ ~ called|rang|phoned|rings|calls|answers|answered|replied|turned|came|comes|showed|arrived|happened|told ~ back|up",
        "nobody|never ~ ~ called|rang|phoned|rings|calls|answers|answered|replied|came|comes|arrived|happened|helps|knows",
        "no reply|response|answer|callback|confirmation|heating|water|internet|signal|electric|electricity|power|phone",
        "didnt|hasnt|havent|wasnt|not ~ arrive|arrived|come|turned|turn|show|received|delivered|heard|fixed|resolved|sorted ~ back|up",
        "didnt|hasnt|havent|wasnt|not ~ arrive|arrived|come|turned|show|received|delivered|heard|fixed|resolved|sorted",
        "still ~ broken|waiting|down|missing|locked|nothing|wrong|leaking|off|dead",
        "still|doesnt|isnt|not|wont ~ work|working",
        "locked ~ out",
    ],
    // Passed around.
    &[
        "cut|cutting ~ off ~ again|twice",
        "cut|cutting ~ off # times",
        "cut|cutting me|us off",
        "hung|hang|hangs|hanging up on ~ me|us|twice",
        "hung up ~ on",
        "passed|passing|bounced|bouncing|transferred|sent ~ around|about|again|pillar",
        "transferred ~ # ~ times",
        "round in circles",
        "disconnected ~ again|twice|me",
    ],
    // What was done wrong.
    &[
        "wrong address|name|number|item|order|size|colour|color|part|flat|house|date|day|meal|room|seat|person|department|model|account",
        "lied to ~ me|us",
        "lost my ~ luggage|bag|bags|parcel|order|booking|card|application|documents|file|data|reservation",
        "cancelled|canceled my|our ~ order|flight|appointment|booking|card|account|policy|delivery|reservation|service",
        "arrived|came ~ broken|damaged|smashed|cracked|late|cold",
        "broken|damaged again",
        "promised ~ ~ ~ today|yesterday|week|refund|back|call|callback|monday|tuesday|wednesday|thursday|friday|saturday|sunday",
    ],
];

static COMPILED: LazyLock<Vec<Vec<Pattern>>> =
    LazyLock::new(|| KINDS.iter().map(|kind| kind.iter().map(|pattern| Pattern::of(pattern)).collect()).collect());

/// The caller's words for each kind of trouble that `turns`, oldest first, tell of: the last of a kind, which tells most.
/// The kinds come in their order.
pub(super) fn told<'t>(turns: impl DoubleEndedIterator<Item = &'t str> + Clone) -> Vec<&'t str> {
    let mut found: Vec<(&'t str, Range<usize>)> = Vec::new();
    for kind in &*COMPILED {
        let last = turns.clone().rev().find_map(|text| in_turn(text, kind).map(|at| (text, at)));
        // "on hold for three weeks" is one piece of trouble, however many kinds know it.
        let overlaps = |(text, at): &(&'t str, Range<usize>)| {
            found.iter().any(|(other, seen)| std::ptr::eq(*other, *text) && seen.start < at.end && at.start < seen.end)
        };
        found.extend(last.filter(|piece| !overlaps(piece)));
    }
    found.into_iter().map(|(text, at)| &text[at]).collect()
}

/// The first pattern of a kind that a turn has: the patterns that tell most stand first.
fn in_turn(text: &str, kind: &[Pattern]) -> Option<Range<usize>> {
    let words = Words::of(text);
    let at = kind.iter().find_map(|pattern| pattern.find(&words))?;
    let (first, last) = (words.tokens.get(at.start)?, words.tokens.get(at.end.checked_sub(1)?)?);
    let span = first.span.start..last.span.end;
    (text.get(span.clone())?.chars().count() <= LONGEST).then_some(span)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(turns: &[&'static str]) -> Vec<&'static str> {
        told(turns.iter().copied())
    }

    #[test]
    fn the_callers_own_words_say_what_went_wrong() {
        assert_eq!(
            pieces(&[
                "hi you charged me twice for the same order",
                "This is the fourth call, and I was on hold for forty minutes.",
                "nobody ever called me back",
            ]),
            ["charged me twice", "fourth call", "on hold for forty minutes", "nobody ever called me back"]
        );
        assert_eq!(
            pieces(&["you've cut me off twice and sent it to the wrong address"]),
            ["cut me off twice", "wrong address"]
        );
        assert!(pieces(&["good morning i'd like to change my address please", "yes that's right"]).is_empty());
    }

    #[test]
    fn the_last_of_a_kind_is_told_and_none_twice() {
        assert_eq!(
            pieces(&["that's the second time", "third time now", "this is the fifth time i've called"]),
            ["fifth time"]
        );
        assert_eq!(pieces(&["i have been waiting three weeks for my refund"]), ["waiting three weeks for my refund"]);
    }
}
