//! What kind of value a key takes: how it is read from JSON and from text, what is said when it does not fit, and its
//! JSON Schema.

use serde_json::{Value, json};

use super::targets::NotifyTarget;

/// What is wrong with a value, as a fragment of a sentence.
pub(super) type Problem = String;

/// Most entries that a list may have.
const LIST_ENTRIES: usize = 256;

/// Most places that an alert may go to.
const MOST_TARGETS: usize = 16;

/// The kind of value that a key takes.
pub(super) enum Shape {
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer { min: u64, max: u64 },
    /// A number.
    Number { min: f64, max: f64 },
    /// A share that is more than nothing: above 0, and at most 1.
    Share,
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// Text that is always there, maybe empty.
    Text { form: &'static str, check: fn(&str) -> Result<(), Problem> },
    /// Text that may be missing.
    Optional { form: &'static str, check: fn(&str) -> Result<(), Problem> },
    /// Several texts; commas separate them where there is only text.
    List { form: &'static str, check: fn(&str) -> Result<(), Problem> },
    /// Several places that alerts go to; JSON where there is only text.
    Targets,
}

impl Shape {
    /// What is allowed, for people.
    pub(super) fn allowed(&self) -> String {
        match self {
            Self::Boolean => "true or false".into(),
            Self::Integer { min, max } => format!("an integer from {min} to {max}"),
            Self::Number { min, max } => format!("a number from {min} to {max}"),
            Self::Share => "a number above 0, up to 1".into(),
            Self::Choice([first @ .., last]) => format!("{} or {last}", first.join(", ")),
            Self::Choice([]) => "nothing".into(),
            Self::Text { form, .. } | Self::Optional { form, .. } => (*form).into(),
            Self::List { form, .. } => format!("a list, each {form}"),
            Self::Targets => format!("a list, each {}", NotifyTarget::FORM),
        }
    }

    /// Takes a JSON value, in its plainest form (`3.0` is the integer 3, as JSON Schema has it), or says what is wrong.
    pub(super) fn accept(&self, value: &Value) -> Result<Value, Problem> {
        match (self, value) {
            (Self::Boolean, Value::Bool(_)) | (Self::Optional { .. }, Value::Null) => Ok(value.clone()),
            (Self::Boolean, _) => Err(not("a boolean", value)),
            (Self::Integer { min, max }, _) => match whole(value) {
                Some(number) if (*min..=*max).contains(&number) => Ok(number.into()),
                None if !value.is_number() => Err(not("an integer", value)),
                None if value.as_f64().is_some_and(|n| n.fract() != 0.0) => Err("it is not an integer".into()),
                _ => Err("it is out of range".into()),
            },
            (Self::Number { min, max }, _) => match value.as_f64() {
                Some(number) if (*min..=*max).contains(&number) => Ok(number.into()),
                Some(_) => Err("it is out of range".into()),
                None => Err(not("a number", value)),
            },
            (Self::Share, _) => match value.as_f64() {
                Some(number) if number > 0.0 && number <= 1.0 => Ok(number.into()),
                Some(_) => Err("it is out of range".into()),
                None => Err(not("a number", value)),
            },
            (Self::Choice(names), Value::String(text)) => {
                if names.contains(&text.as_str()) {
                    Ok(value.clone())
                } else {
                    Err("there is no such choice".into())
                }
            }
            (Self::Text { check, .. } | Self::Optional { check, .. }, Value::String(text)) => {
                check(text).map(|()| value.clone())
            }
            (Self::Choice(_) | Self::Text { .. } | Self::Optional { .. }, _) => Err(not("a string", value)),
            (Self::List { check, .. }, Value::Array(entries)) => accept_list(entries, *check).map(|()| value.clone()),
            (Self::Targets, Value::Array(entries)) => accept_targets(entries).map(|()| value.clone()),
            (Self::List { .. } | Self::Targets, _) => Err(not("a list", value)),
        }
    }

    /// Takes text, as the environment and flags give it. Empty text unsets what is optional.
    pub(super) fn accept_text(&self, text: &str) -> Result<Value, Problem> {
        let value = match self {
            Self::Boolean => text.parse::<bool>().map(Value::from).map_err(|_| "it is neither true nor false")?,
            Self::Integer { .. } => return self.accept(&integer_text(text)?),
            Self::Number { .. } | Self::Share => match text.parse::<f64>() {
                Ok(number) if number.is_finite() => number.into(),
                _ => return Err("it is not a number".into()),
            },
            Self::Optional { .. } if text.is_empty() => Value::Null,
            Self::Choice(_) | Self::Text { .. } | Self::Optional { .. } => text.into(),
            Self::List { .. } | Self::Targets if text.trim().is_empty() => Value::Array(Vec::new()),
            // What is wrong with it is told without it: somebody may have written a secret.
            Self::Targets => serde_json::from_str(text).map_err(|_| "it is not JSON")?,
            Self::List { .. } => text.split(',').map(|entry| Value::from(entry.trim())).collect(),
        };
        self.accept(&value)
    }

    /// The JSON Schema of a key of this kind.
    pub(super) fn schema(&self) -> Value {
        match self {
            Self::Boolean => json!({ "type": "boolean" }),
            Self::Integer { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
            Self::Number { min, max } => json!({ "type": "number", "minimum": min, "maximum": max }),
            Self::Share => json!({ "type": "number", "exclusiveMinimum": 0, "maximum": 1 }),
            Self::Choice(names) => json!({ "type": "string", "enum": names }),
            Self::Text { .. } => json!({ "type": "string" }),
            Self::Optional { .. } => json!({ "type": ["string", "null"] }),
            Self::List { .. } => json!({ "type": "array", "items": { "type": "string" }, "maxItems": LIST_ENTRIES }),
            Self::Targets => json!({ "type": "array", "items": NotifyTarget::schema(), "maxItems": MOST_TARGETS }),
        }
    }
}

fn accept_list(entries: &[Value], check: fn(&str) -> Result<(), Problem>) -> Result<(), Problem> {
    if entries.len() > LIST_ENTRIES {
        return Err(format!("it has more than {LIST_ENTRIES} entries"));
    }
    for (n, entry) in entries.iter().enumerate() {
        let problem = match entry {
            Value::String(text) => check(text),
            other => Err(not("a string", other)),
        };
        problem.map_err(|problem| format!("entry {}: {problem}", n + 1))?;
    }
    Ok(())
}

fn accept_targets(entries: &[Value]) -> Result<(), Problem> {
    if entries.len() > MOST_TARGETS {
        return Err(format!("it has more than {MOST_TARGETS} entries"));
    }
    let mut targets = Vec::with_capacity(entries.len());
    for (n, entry) in entries.iter().enumerate() {
        targets.push(NotifyTarget::read(entry).map_err(|problem| format!("entry {}: {problem}", n + 1))?);
    }
    let mut names = NotifyTarget::names(&targets);
    names.sort_unstable();
    match names.windows(2).find(|two| two[0] == two[1]) {
        Some(twice) => Err(format!("two entries are called {}", twice[0])),
        None => Ok(()),
    }
}

/// The value as a whole number that is not negative.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked: whole and within u32")]
fn whole(value: &Value) -> Option<u64> {
    let from_float = |n: f64| (n.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&n)).then_some(n as u64);
    value.as_u64().or_else(|| value.as_f64().and_then(from_float))
}

/// Text as a whole number; a sign, a fraction or a letter is told apart from a number that is merely too large.
fn integer_text(text: &str) -> Result<Value, Problem> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err("it is not an integer".into());
    }
    text.parse::<u64>().map(Value::from).map_err(|_| "it is out of range".into())
}

fn not(wanted: &str, value: &Value) -> Problem {
    let is = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    format!("it is {is}, not {wanted}")
}
