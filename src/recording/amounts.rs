//! Numbers that tell how much or when, and nobody's: sums of money, measures with decimals, years.

use crate::sentiment::spelled::Spelled;

/// Signs of money, before or after a sum.
const SIGNS: [char; 6] = ['$', '€', '£', '¥', '₹', '₩'];
/// Words of money after a sum.
const MONEY: [&str; 22] = [
    "$", "€", "£", "usd", "eur", "gbp", "cad", "aud", "chf", "inr", "dollar", "dollars", "euro", "euros", "pound",
    "pounds", "buck", "bucks", "cent", "cents", "francs", "rupees",
];
/// Words without which a spoken number of several words is read out digit by digit.
const SCALES: [&str; 6] = ["hundred", "thousand", "million", "billion", "lakh", "grand"];
/// Sums of more digits are none.
const LONGEST_SUM: usize = 9;
/// Years that callers speak of.
const YEARS: std::ops::RangeInclusive<u32> = 1950..=2049;

/// Whether a number of a text is nobody's.
pub(super) fn is_nobodys(text: &str, number: &Spelled) -> bool {
    let (Some(first), Some(last)) = (number.pieces.first(), number.pieces.last()) else { return false };
    let before = text[..first.start].trim_end();
    let after = text[last.end..].trim_start_matches([' ', ',']);
    let is_money = before.ends_with(SIGNS)
        || after.starts_with(SIGNS)
        || after
            .split(|c: char| !c.is_alphanumeric())
            .next()
            .is_some_and(|word| MONEY.contains(&word.to_lowercase().as_str()));
    let pieces: Vec<&str> = number.pieces.iter().map(|piece| &text[piece.clone()]).collect();
    let mut parts = pieces
        .iter()
        .flat_map(|piece| piece.split([' ', '\n', '/', '-', '–']))
        .map(plain)
        .filter(|part| !part.is_empty());
    if !number.is_written() {
        return is_money
            && pieces.iter().any(|piece| {
                piece.split_whitespace().any(|word| SCALES.contains(&plain(word).to_lowercase().as_str()))
            });
    }
    let is_sum = || is_money && number.digits <= LONGEST_SUM && matches!(pieces[..], [piece] if is_grouped(piece));
    is_sum() || parts.all(|part| is_decimal(part) || is_year(part))
}

fn plain(word: &str) -> &str {
    word.trim_matches(|c: char| !c.is_alphanumeric())
}

/// A whole number, or one with decimals, whose thousands may stand apart.
fn is_grouped(piece: &str) -> bool {
    let piece = piece.replace(' ', ",");
    is_decimal(&piece) || is_whole(&piece)
}

/// `120.50`, `1,200.5`, `12,5`: one or two decimals, as neither phones nor accounts have.
fn is_decimal(word: &str) -> bool {
    word.rsplit_once(['.', ',']).is_some_and(|(whole, decimals)| {
        (1..=2).contains(&decimals.len()) && decimals.bytes().all(|b| b.is_ascii_digit()) && is_whole(whole)
    })
}

/// `12000`, `12,000`, `1.200.500`.
fn is_whole(word: &str) -> bool {
    let mut groups = word.split(['.', ',']);
    let is_number = |group: &str| !group.is_empty() && group.bytes().all(|b| b.is_ascii_digit());
    let first = groups.next().unwrap_or_default();
    let mut rest = groups.peekable();
    let longest = if rest.peek().is_some() { 3 } else { LONGEST_SUM };
    is_number(first) && first.len() <= longest && rest.all(|group| is_number(group) && group.len() == 3)
}

fn is_year(word: &str) -> bool {
    word.len() == 4 && word.parse().is_ok_and(|year| YEARS.contains(&year))
}
