//! Reads what an LLM answered: nothing of it is trusted.

use serde::{Deserialize, Serialize};

use super::error::{LlmError, place};
use crate::sentiment::{Sentiment, Unit, describe};

/// A turn as an LLM rates it. Every value lies in its range, and the description is fit to be shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LlmRating {
    /// 1 to 10, by the rubric.
    pub sentiment: Sentiment,
    /// 0 to 1.
    pub frustration: Unit,
    /// 0 to 1.
    pub urgency: Unit,
    /// Whether the caller's praise or agreement is meant the other way round.
    pub sarcasm: bool,
    /// One sentence on what upset the caller, as [`describe::presentable`] lets it pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A rating, and the model that says to have given it.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The rating.
    pub rating: LlmRating,
    /// The model's name in the endpoint's words, which may be anything.
    pub model: Option<String>,
}

/// A chat completion, as far as it matters. Tool calls and all else are not even looked at.
#[derive(Deserialize)]
struct Completion {
    #[serde(default)]
    model: Option<serde_json::Value>,
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    message: Message,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
}

/// What the model was told to write.
#[derive(Deserialize)]
struct Written {
    sentiment: f64,
    frustration: f64,
    urgency: f64,
    sarcasm: bool,
    description: String,
}

/// Reads a whole response body.
///
/// # Errors
/// [`LlmError`] for whatever is not a rating within its ranges.
pub(super) fn read(body: &[u8]) -> Result<Answer, LlmError> {
    let not_one = |detail: String| LlmError::NotACompletion { detail };
    let completion: Completion = serde_json::from_slice(body).map_err(|error| not_one(place(&error)))?;
    let Some(choice) = completion.choices.into_iter().next() else {
        return Err(not_one("it has no choices".to_owned()));
    };
    if choice.message.refusal.is_some_and(|refusal| !refusal.is_empty()) {
        return Err(LlmError::Refused);
    }
    match choice.finish_reason.as_deref() {
        Some("content_filter") => return Err(LlmError::Filtered),
        Some("length") => return Err(LlmError::CutOff),
        _ => {}
    }
    let Some(content) = choice.message.content else {
        return Err(not_one("its message has no content".to_owned()));
    };
    let model = completion.model.and_then(|model| model.as_str().map(str::to_owned));
    Ok(Answer { rating: written(&content)?, model })
}

fn written(content: &str) -> Result<LlmRating, LlmError> {
    let written: Written =
        serde_json::from_str(content).map_err(|error| LlmError::NotARating { detail: place(&error) })?;
    let description = describe::presentable(&written.description);
    let unit = |what, value| crate::sentiment::in_range(what, value, 0.0, 1.0).map(Unit::clamped);
    Ok(LlmRating {
        sentiment: Sentiment::new(written.sentiment).map_err(LlmError::OutOfRange)?,
        frustration: unit("frustration", written.frustration).map_err(LlmError::OutOfRange)?,
        urgency: unit("urgency", written.urgency).map_err(LlmError::OutOfRange)?,
        sarcasm: written.sarcasm,
        description: Some(description).filter(|text| !text.is_empty()),
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn completion(content: &str) -> Value {
        json!({"choices": [{"message": {"role": "assistant", "content": content}, "finish_reason": "stop"}]})
    }

    fn kind(body: &str) -> &'static str {
        read(body.as_bytes()).unwrap_err().kind()
    }

    fn kind_of(content: &str) -> &'static str {
        kind(&completion(content).to_string())
    }

    #[test]
    fn a_good_answer_is_a_rating() {
        let content = r#"{"sentiment": 2, "frustration": 0.8, "urgency": 0.25, "sarcasm": true,
            "description": "Billing unresolved\nfor the third time, call +44 20 7946 0018"}"#;
        let rating = read(completion(content).to_string().as_bytes()).unwrap().rating;
        assert_eq!(rating.sentiment.value(), 2.0);
        assert!(rating.sarcasm);
        assert_eq!(rating.description.as_deref(), Some("Billing unresolved for the third time, call [number]"));
    }

    #[test]
    fn every_lie_is_told_apart() {
        let with = |field: &str, value: &str| {
            let mut fields = vec![
                ("sentiment", "5"),
                ("frustration", "0"),
                ("urgency", "0"),
                ("sarcasm", "false"),
                ("description", "\"\""),
            ];
            fields.retain(|(name, _)| *name != field);
            fields.push((field, value));
            let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
            kind_of(&format!("{{{}}}", fields.join(",")))
        };
        for value in ["0", "0.9", "10.1", "-3", "11", "1e300", "100"] {
            assert_eq!(with("sentiment", value), "out_of_range", "{value}");
        }
        for value in ["\"NaN\"", "NaN", "1e400", "-1e400", "\"3\"", "null", "[3]", "{}", "true", "Infinity"] {
            assert_eq!(with("sentiment", value), "not_a_rating", "{value}");
        }
        assert_eq!(with("frustration", "1.5"), "out_of_range");
        assert_eq!(with("urgency", "-0.1"), "out_of_range");
        assert_eq!(with("sarcasm", "1"), "not_a_rating");
        assert_eq!(with("description", "7"), "not_a_rating");
        assert_eq!(kind_of(r#"{"sentiment": 5, "sentiment": 6}"#), "not_a_rating");
        for content in ["", "10", "null", "I would say 3.", "[]", "{}", "{\"sentiment\": 3", "```json\n{}\n```"] {
            assert_eq!(kind_of(content), "not_a_rating", "{content}");
        }
    }

    #[test]
    fn a_body_that_is_no_completion_and_one_that_says_no() {
        for body in ["", "{", "[]", "null", "{}", r#"{"choices": []}"#, r#"{"choices": 7}"#, "<html>"] {
            assert_eq!(kind(body), "not_a_completion", "{body}");
        }
        assert_eq!(kind(r#"{"choices": [{"message": {"tool_calls": [{"name": "transfer"}]}}]}"#), "not_a_completion");
        assert_eq!(kind(r#"{"choices": [{"message": {"content": null, "refusal": "No."}}]}"#), "refused");
        let stopped = |reason: &str| {
            kind(&json!({"choices": [{"message": {"content": "{\"sent"}, "finish_reason": reason}]}).to_string())
        };
        assert_eq!(stopped("content_filter"), "filtered");
        assert_eq!(stopped("length"), "cut_off");
    }

    #[test]
    fn errors_never_repeat_what_was_said() {
        let body = completion(r#"{"sentiment": "hunter2"}"#).to_string();
        assert!(!format!("{:?}", read(body.as_bytes()).unwrap_err()).contains("hunter2"));
    }

    proptest! {
        #[test]
        fn no_body_and_no_content_panics(body in any::<Vec<u8>>(), content in any::<String>(), number in any::<f64>()) {
            let _ = read(&body);
            let _ = read(completion(&content).to_string().as_bytes());
            let fields = json!({"sentiment": number, "frustration": 0, "urgency": 1, "sarcasm": true, "description": content});
            if let Ok(Answer { rating, .. }) = read(completion(&fields.to_string()).to_string().as_bytes()) {
                prop_assert!((1.0..=10.0).contains(&rating.sentiment.value()));
            }
        }
    }
}
