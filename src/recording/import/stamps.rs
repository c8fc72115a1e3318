//! Stamps as people and programs write them: a clock, in twelve hours too, a date with its month as a number or a word,
//! a stretch such as `1m 32s`; in brackets or not.

use super::json::Json;
use super::times::{DAY_MS, HOUR_MS, clock, day, days, micros, millis, moment, offset, seconds, written};

/// The stamp that a line begins with, and the rest: `[00:00:02]`, `(00:02)`, `00:00:02.5`, `[00:01 - 00:04]`, `( 2s )`.
pub(super) fn stamp(line: &str) -> Option<(i64, &str)> {
    let close = match line.chars().next()? {
        '[' => Some(']'),
        '(' => Some(')'),
        '{' => Some('}'),
        _ => None,
    };
    match close {
        Some(close) => {
            let (inner, rest) = line.get(1..)?.split_once(close)?;
            // A stretch alone says how long nobody spoke.
            let begins = |_: &i64| !rest.trim().is_empty();
            let at = spoken(inner).filter(begins).or_else(|| span(inner));
            let at = at.or_else(|| Some(time(inner.trim())?.0))?;
            Some((at, rest.trim_start_matches(':').trim_start()))
        }
        None => {
            let (at, rest) = time(line)?;
            // `00:01 --> 00:04`: when it ends says nothing more.
            let end = rest.trim_start_matches(['-', '–', '>']);
            let rest =
                time_of_day(end.trim_start(), false).filter(|_| end.len() < rest.len()).map_or(rest, |(_, rest)| rest);
            Some((at, rest.trim_start_matches(':').trim_start()))
        }
    }
}

/// The stamp that ends a heading, and the name before it.
pub(super) fn trailing_stamp(head: &str) -> Option<(&str, i64)> {
    let head = head.trim_end();
    let (name, stamp) = match head.chars().last()? {
        ')' => head.strip_suffix(')')?.rsplit_once('(')?,
        ']' => head.strip_suffix(']')?.rsplit_once('[')?,
        'M' | 'm' => {
            let at = head.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ').rfind(char::is_whitespace)?;
            head.split_at(at)
        }
        _ => head.rsplit_once(char::is_whitespace)?,
    };
    let (at, rest) = span(stamp).map(|at| (at, "")).or_else(|| time(stamp.trim()))?;
    rest.is_empty().then(|| (name.trim_end_matches(['-', '–', '|', ' ', '\t', ',']), at))
}

/// When a span begins: `00:01 - 00:04`, `0.52s - 3.10s`.
fn span(text: &str) -> Option<i64> {
    let at = |text: &str| spoken(text).or_else(|| time(text).filter(|(_, rest)| rest.is_empty()).map(|(at, _)| at));
    let (begin, end) = [" - ", " – ", " --> "].iter().find_map(|sign| text.split_once(sign))?;
    at(begin).filter(|_| at(end).is_some())
}

/// The time that a text begins with, and the rest: a clock, in twelve hours too, with or without a date before it.
pub(super) fn time(text: &str) -> Option<(i64, &str)> {
    let begin = text.len() - text.trim_start().len();
    let end = text[begin..].find(char::is_whitespace).map_or(text.len(), |at| begin + at);
    let (first, rest) = (text.get(begin..end)?, text.get(end..)?);
    if let Some(at) = moment(first.trim_end_matches([',', ':'])) {
        return Some((at, rest.trim_start()));
    }
    let date = first.trim_end_matches(',');
    if is_date(date) {
        let (at, after) = time_of_day(rest.trim_start(), true)?;
        // Dates whose order nobody knows only part a stamp from its day.
        return Some((day(date).unwrap_or(0) * DAY_MS + at, after));
    }
    time_of_day(&text[begin..], false)
}

/// Three numbers with signs between them.
pub(super) fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split(['-', '/', '.']).collect();
    parts.len() == 3
        && parts.iter().all(|part| (1..=4).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit()))
}

/// A clock, in ms since its zero, with `AM` or `PM` if it has one. `10:59` is of a day when a date or a half says so, else
/// of a call.
fn time_of_day(text: &str, dated: bool) -> Option<(i64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && !matches!(c, ':' | '.' | ',')).unwrap_or(text.len());
    let (first, rest) = text.split_at(end);
    let first = first.trim_end_matches([':', ',', '.']);
    let at = clock(first)?;
    let of_day = if first.matches(':').count() == 1 { at * 60 } else { at };
    let rest = rest.trim_start();
    let half = rest.get(..2).filter(|half| half.eq_ignore_ascii_case("am") || half.eq_ignore_ascii_case("pm"));
    let ends = |rest: &str| rest.chars().next().is_none_or(|c| !c.is_alphanumeric());
    match half.filter(|_| ends(&rest[2..]) && of_day < 13 * HOUR_MS) {
        Some(half) => {
            let noon = if half.eq_ignore_ascii_case("pm") { 12 * HOUR_MS } else { 0 };
            Some((of_day % (12 * HOUR_MS) + noon, rest[2..].trim_start()))
        }
        None => Some((if dated { of_day } else { at }, rest)),
    }
}

/// A field that holds a time in any form; `number` reads a plain one, whose unit only the field's name tells.
pub(super) fn when(value: &Json, number: impl Fn(&Json) -> Option<i64>) -> Option<i64> {
    let whole = |text: &str| time(text).filter(|(_, rest)| rest.is_empty()).map(|(at, _)| at);
    let text = value.text().map(str::trim);
    let worded = || text.and_then(|text| whole(text).or_else(|| dated(text)).or_else(|| spoken(text)));
    written(value).or_else(worded).or_else(|| number(value)).or_else(|| {
        // `2,5`, as half of the world writes it.
        let point = text.filter(|text| text.matches(',').count() == 1)?.replace(',', ".");
        number(&Json::Text(point))
    })
}

/// A plain number of which nothing tells the unit: seconds, unless they were a moment too late for any.
pub(super) fn unitless(value: &Json) -> Option<i64> {
    seconds(value).or_else(|| millis(value)).or_else(|| micros(value))
}

/// The day and the clock that stand apart from each other; the clock alone where nobody knows the day.
pub(super) fn joined(date: &str, at: i64) -> i64 {
    let date = date.trim();
    let known = day(date).or_else(|| Some(dated(&format!("{date} 00:00"))? / DAY_MS));
    if (0..DAY_MS).contains(&at) { known.map_or(at, |day| day * DAY_MS + at) } else { at }
}

/// Months, by their first letters.
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Which of a list a word is, in full or cut short: from 0.
fn known(word: &str, list: &[&str]) -> Option<usize> {
    let lower = word.trim_end_matches('.').to_lowercase();
    let is_word = lower.len() <= 9 && lower.bytes().all(|b| b.is_ascii_lowercase());
    list.iter().position(|known| is_word && lower.starts_with(known))
}

/// A date whose month is a word, with a clock: `Thu, 05 Mar 2026 09:15:02 +0000`, `05-Mar-2026 09:15:02`,
/// `March 5, 2026 9:15:02 AM`.
fn dated(text: &str) -> Option<i64> {
    let clock_at = text.find(':')?;
    let clock_at = text[..clock_at].rfind(|c: char| !c.is_ascii_digit())? + 1;
    let (date, clock) = text.split_at_checked(clock_at)?;
    let words = date.split([' ', ',', '-', '/']).filter(|word| !word.is_empty() && *word != "at");
    let words: Vec<&str> = words.skip_while(|word| known(word, &WEEKDAYS).is_some()).collect();
    let [first, second, year] = words[..] else { return None };
    let (month, day) = match (known(first, &MONTHS), known(second, &MONTHS)) {
        (Some(month), None) => (month, second),
        (None, Some(month)) => (month, first),
        _ => return None,
    };
    let day = day.trim_end_matches(|c: char| c.is_ascii_lowercase()).parse().ok()?;
    let year = year.parse().ok().filter(|_| year.len() == 4)?;
    let (at, zone) = time_of_day(clock, true)?;
    Some(days(year, month as i64 + 1, day)? * DAY_MS + at - offset(zone)?)
}

/// `2m 2s`, `1h 2m 3s`, `0.52s`: numbers with their units.
fn spoken(text: &str) -> Option<i64> {
    let mut rest = text.trim();
    let (mut ms, mut smallest) = (0.0, f64::INFINITY);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        let after = after.trim_start();
        let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let worth = match unit {
            "h" | "hr" | "hrs" => 3_600_000.0,
            "m" | "min" | "mins" => 60_000.0,
            "s" | "sec" | "secs" => 1000.0,
            "ms" => 1.0,
            _ => return None,
        };
        // Each unit is smaller than the one before it.
        if worth >= smallest {
            return None;
        }
        smallest = worth;
        ms += number.parse::<f64>().ok()? * worth;
        rest = after.trim_start();
    }
    // In range, so the cast keeps it.
    (smallest.is_finite() && ms < 1e12).then(|| ms.round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_the_same_however_its_date_is_written() {
        let wanted = moment("2026-03-05T09:15:02Z");
        for text in [
            "2026-03-05 09:15:02 UTC",
            "2026-03-05T10:15:02 +0100",
            "2026/03/05 09:15:02",
            "05.03.2026 09:15:02",
            "Thu, 05 Mar 2026 09:15:02 +0000",
            "Thu, 05 Mar 2026 10:15:02 +0100",
            "05-Mar-2026 09:15:02",
            "March 5, 2026 9:15:02 AM",
            "Mar 5th, 2026 at 9:15:02 AM",
            "Thursday, March 05, 2026, 09:15:02 (+0000)",
            "20260305T091502Z",
        ] {
            assert_eq!(when(&Json::Text(text.to_owned()), |_| None), wanted, "{text}");
        }
        for text in ["March madness, 2026: 9:15", "at 9:15", "May I come at 4:30", "31-Feb-2026 09:15:02", ": 1"] {
            assert_eq!(when(&Json::Text(text.to_owned()), |_| None), None, "{text}");
        }
    }

    #[test]
    fn stretches_and_decimal_commas_are_times() {
        let read = |text: &str| when(&Json::Text(text.to_owned()), seconds);
        assert_eq!(read("2m 2s"), Some(122_000));
        assert_eq!(read("1h2m3s"), Some(3_723_000));
        assert_eq!(read("0.52s"), Some(520));
        assert_eq!(read("2,25"), Some(2250));
        assert_eq!(read("00:00:02:040"), Some(2040));
        assert_eq!(read("2s 2m"), None);
        assert_eq!(read("5 apples"), None);
        assert_eq!(stamp("( 1m 32s ) Visitor: Hi."), Some((92_000, "Visitor: Hi.")));
        assert_eq!(stamp("(2s)"), None);
        assert_eq!(stamp("[0.52s - 3.10s] Hi."), Some((520, "Hi.")));
        assert_eq!(trailing_stamp("SPEAKER_00 (0.52s - 3.10s)"), Some(("SPEAKER_00", 520)));
        assert_eq!(trailing_stamp("Dana [00:01 - 00:04]"), Some(("Dana", 1000)));
        assert_eq!(trailing_stamp("Pause (2s)"), None);
    }

    #[test]
    fn a_day_and_a_clock_in_columns_of_their_own_are_one_moment() {
        let at = moment("2026-03-05T09:15:02Z");
        let clock = 33_302_000;
        for date in ["2026-03-05", "05.03.2026", "5 March 2026"] {
            assert_eq!(Some(joined(date, clock)), at, "{date}");
        }
        // Nobody knows which of the two is the month.
        assert_eq!(joined("03/05/2026", clock), clock);
    }
}
