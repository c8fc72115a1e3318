//! Whether two texts are the same words, or one heard again: by words alone, without case and punctuation.

use std::collections::HashMap;

/// The words of a text, lower case, without punctuation.
pub(crate) fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric() && c != '\'')
        .map(|word| word.trim_matches('\'').to_lowercase())
        .filter(|word| !word.is_empty())
        .collect()
}

/// How much two texts have in common: 0, nothing, to 1, the same words in any order.
pub(crate) fn likeness(a: &str, b: &str) -> f64 {
    let (a, b) = (words(a), words(b));
    let longer = a.len().max(b.len());
    if longer == 0 {
        return 1.0;
    }
    let mut left: HashMap<&str, usize> = HashMap::new();
    for word in &a {
        *left.entry(word).or_default() += 1;
    }
    let common =
        b.iter().filter(|word| left.get_mut(word.as_str()).is_some_and(|n| n.checked_sub(1).map(|m| *n = m).is_some()));
    ratio(common.count(), longer)
}

/// How much of `heard` is found again in `said`, in its order and in one place: 0 to 1.
pub(crate) fn found_in(heard: &[String], said: &[String]) -> f64 {
    /// A recogniser may hear words into an echo that were not said.
    const SLACK: usize = 2;
    let reach = heard.len() + SLACK;
    let begins = 0..=said.len().saturating_sub(heard.len().saturating_sub(SLACK));
    let best = begins.map(|at| common_in_order(heard, &said[at.min(said.len())..said.len().min(at + reach)])).max();
    ratio(best.unwrap_or_default(), heard.len().max(1))
}

/// The length of the longest common subsequence of words.
fn common_in_order(a: &[String], b: &[String]) -> usize {
    let mut row = vec![0; b.len() + 1];
    for word in a {
        let mut diagonal = 0;
        for (at, other) in b.iter().enumerate() {
            let above = row[at + 1];
            row[at + 1] = if word == other { diagonal + 1 } else { above.max(row[at]) };
            diagonal = above;
        }
    }
    row[b.len()]
}

fn ratio(part: usize, whole: usize) -> f64 {
    // Texts of a turn are far shorter than what an f64 counts exactly.
    #[expect(clippy::cast_precision_loss, reason = "see above")]
    let ratio = part as f64 / whole as f64;
    ratio
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_words_are_alike_whatever_their_dress() {
        assert!(likeness("i did not get the email", "I did not get the email.") > 0.99);
        assert!(likeness("Hi, I wou", "Hi, I would like to check on my order please.") < 0.5);
        assert!(likeness("It is order 4417", "Nobody cares.") < 0.01);
        assert!(likeness("no no no", "no") < 0.5);
    }

    #[test]
    fn an_echo_is_found_in_what_was_said_with_a_word_misheard() {
        let said = words("Good morning. I completely understand your frustration and I am sorry that nobody called.");
        assert!(found_in(&words("completely understand your frustration and I am story that"), &said) > 0.85);
        assert!(found_in(&words("I am so sorry, I understand nobody called you"), &said) < 0.85);
        assert!(found_in(&words("nobody called"), &[]) < 0.01);
    }
}
