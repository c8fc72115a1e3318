//! Values as errors and tables show them: short, on one line, phone numbers and URLs only in part.

use serde_json::Value;

use crate::telemetry::shown::is_unprintable;

/// Longest text that is shown of a value.
const SHOWN_CHARS: usize = 60;

/// Fewest digits that are taken for a phone number.
const PHONE_DIGITS: usize = 7;

/// A name or pointer from outside, fit to print: what is unprintable escaped, cut when long.
pub(crate) fn plain(text: &str) -> String {
    let mut shown = String::new();
    for (n, c) in text.chars().enumerate() {
        if n == 2 * SHOWN_CHARS {
            shown.push('…');
            break;
        }
        if is_unprintable(c) { shown.extend(c.escape_unicode()) } else { shown.push(c) }
    }
    shown
}

/// A setting's value as JSON, shortened.
pub(super) fn value(value: &Value) -> String {
    let json = hide(value).to_string();
    if json.chars().count() <= SHOWN_CHARS {
        return plain(&json);
    }
    let mut head: String = json.chars().take(SHOWN_CHARS).collect();
    head.push('…');
    plain(&head)
}

fn hide(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(hide_text(text)),
        // A phone number without its quotes is still one.
        Value::Number(number) if number.to_string().len() >= PHONE_DIGITS => {
            Value::String(hide_phones(&number.to_string()))
        }
        Value::Array(values) => values.iter().map(hide).collect(),
        Value::Object(_) => Value::String("{…}".to_owned()),
        other => other.clone(),
    }
}

/// Paths, queries and user info of URLs often hold secrets, so only scheme and host stay.
fn hide_text(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return hide_phones(text) };
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let host = match authority.rsplit_once('@') {
        Some((_, host)) => format!("…@{host}"),
        None => authority.to_owned(),
    };
    let tail = if authority.len() == rest.len() { "" } else { "/…" };
    format!("{scheme}://{host}{tail}")
}

/// Shortens every run that could be a phone number: `+14155551234` to `+1…34`.
fn hide_phones(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c == '+' || c.is_numeric()) {
        let (before, run) = rest.split_at(start);
        let end = run.find(|c: char| !is_phone_char(c)).unwrap_or(run.len());
        let (run, after) = run.split_at(end);
        shown.push_str(before);
        if run.chars().filter(|c| c.is_numeric()).count() < PHONE_DIGITS {
            shown.push_str(run);
        } else {
            let kept: Vec<char> = run.trim_end_matches(|c: char| !c.is_numeric()).chars().collect();
            shown.extend(kept.iter().take(2));
            shown.push('…');
            shown.extend(kept.iter().skip(kept.len() - 2));
        }
        rest = after;
    }
    shown + rest
}

fn is_phone_char(c: char) -> bool {
    c.is_numeric() || matches!(c, '+' | ' ' | '-' | '(' | ')' | '.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn phone_numbers_and_urls_are_shown_in_part() {
        for (given, shown) in [
            (json!("+14155551234"), r#""+1…34""#),
            (json!("call +1 (415) 555-1234."), r#""call +1…34""#),
            (json!("+1 (415) DROP"), r#""+1 (415) DROP""#),
            (json!("٤١٥٥٥٥١٢٣٤"), r#""٤١…٣٤""#),
            (json!("https://user:pass@host.example/T0/SECRET?x=1"), r#""https://…@host.example/…""#),
            (json!("https://host.example"), r#""https://host.example""#),
            (json!(["10.0.0.0/8", "+14155551234"]), r#"["10.0.0.0/8","+1…34"]"#),
            (json!(14155551234_u64), r#""14…34""#),
            (json!(45000), "45000"),
            (json!({"a": "+14155551234"}), r#""{…}""#),
            (json!("a\r\nb\u{9b}c"), r#""a\r\nb\u{9b}c""#),
        ] {
            assert_eq!(value(&given), shown);
        }
    }

    #[test]
    fn long_values_are_cut() {
        assert_eq!(value(&json!("x".repeat(500))).chars().count(), SHOWN_CHARS + 1);
    }
}
