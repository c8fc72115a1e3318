//! The words of spoken numbers, for all that read them.

/// Words that cardinal numbers are made of, in order of size.
const CARDINALS: [&str; 31] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
    "thirty",
    "forty",
    "fifty",
    "sixty",
    "seventy",
    "eighty",
    "ninety",
    "hundred",
    "thousand",
    "million",
];

/// Whether a word is part of a cardinal number. "one" is, and may stand for somebody all the same.
pub(super) fn is_cardinal(word: &str) -> bool {
    CARDINALS.contains(&word)
}

/// Whether a word is a whole number from 0 to 10.
pub(super) fn is_up_to_ten(word: &str) -> bool {
    CARDINALS[..=10].contains(&word)
}
