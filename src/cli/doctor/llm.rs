//! Whether the LLM would be of use on a call.

use std::time::Duration;

use tokio::time::Instant;

use super::finding::{Check, Finding};
use crate::config::plain;
use crate::config::secret::Secrets;
use crate::config::settings::{Llm, Settings};
use crate::sentiment::TurnInContext;
use crate::sentiment::llm::{LlmError, LlmRater, Pace};
use crate::tls::{Authorities, TlsError};

/// A turn that no call is about.
const NEUTRAL: &str = "I would like to change the delivery address of my order, please.";
/// The longest name of a model that is shown, in characters.
const LONGEST_NAME: usize = 60;

/// The endpoint takes our key, and rates one neutral turn in the schema within the deadline.
pub(super) async fn llm(
    settings: Option<&Settings>,
    secrets: Option<&Secrets>,
    authorities: &Result<Authorities, TlsError>,
) -> Finding {
    let (Some(settings), Some(secrets)) = (settings, secrets) else {
        return Check::Llm.skip("waits for right settings and secrets");
    };
    let Some(url) = &settings.llm.url else { return Check::Llm.skip("llmUrl is not set") };
    let key = secrets.llm_api_key.as_ref();
    let authorities = match authorities {
        Ok(authorities) => authorities,
        Err(error) => return Check::Llm.fail(error, "give --ca-file a PEM file with certificates"),
    };
    let rater = match LlmRater::new(&settings.llm, key, None, Pace::Live, authorities) {
        Ok(rater) => rater,
        Err(error) => return Check::Llm.fail(error, "check SIDECAR_LLM_API_KEY and the system's trust store"),
    };
    let start = Instant::now();
    match rater.probe(&TurnInContext::alone(NEUTRAL)).await {
        Ok(answer) => rated(&settings.llm, &url.shown(), answer.model.as_deref(), start.elapsed()),
        Err(error) => {
            Check::Llm.fail(format!("{}: {}", url.shown(), plain(&error.to_string())), mend(&error, key.is_some()))
        }
    }
}

/// It rated the turn.
fn rated(settings: &Llm, shown: &str, model: Option<&str>, took: Duration) -> Finding {
    let took = took.as_millis();
    let model = match model.map(|name| plain(name).chars().take(LONGEST_NAME).collect::<String>()) {
        Some(name) if name != settings.model => format!("{name} for {}", settings.model),
        _ => settings.model.clone(),
    };
    let said = format!("{shown} rates a neutral turn with {model} in {took} ms");
    if took <= u128::from(settings.deadline_ms) {
        return Check::Llm.ok(said);
    }
    Check::Llm.warn(format!(
        "{said}, which is later than llmDeadlineMs ({}): turns are rated without it first, and again once it has answered",
        settings.deadline_ms
    ))
}

fn mend(error: &LlmError, has_key: bool) -> &'static str {
    match error {
        LlmError::Status { status: 401 | 403, .. } if has_key => "check SIDECAR_LLM_API_KEY, which it does not take",
        LlmError::Status { status: 401 | 403, .. } => "set SIDECAR_LLM_API_KEY, or SIDECAR_LLM_API_KEY_FILE",
        LlmError::Status { status: 404, .. } => {
            "check llmUrl, which is the part before /chat/completions, and llmModel"
        }
        LlmError::Status { status: 400 | 422, .. } => {
            "check llmModel, and that the endpoint takes response_format json_schema"
        }
        LlmError::Status { status: 429, .. } => "it has enough of us: check the limits and the balance of the account",
        LlmError::Status { .. } => "see the endpoint's own logs",
        LlmError::Unreachable { .. } | LlmError::BrokenOff { .. } | LlmError::Timeout { .. } => {
            "check llmUrl, and that the endpoint is up and can be reached from here"
        }
        LlmError::NotACompletion { .. } | LlmError::TooLarge { .. } => {
            "check llmUrl: what is there does not speak OpenAI's chat completions"
        }
        _ => "choose a model with llmModel that keeps to a JSON schema",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(model: Option<&str>, took: u64) -> String {
        let settings = Settings::default().llm;
        let finding = rated(&settings, "https://llm.example/v1", model, Duration::from_millis(took));
        anstream::adapter::strip_str(&finding.to_string()).to_string()
    }

    #[test]
    fn it_says_which_model_how_fast_and_when_that_is_too_slow() {
        let long = format!("evil\u{1b}[31m{}", "x".repeat(500));
        let lines = [
            line(None, 120),
            line(Some("gpt-4o-mini"), 400),
            line(Some("gpt-4o-mini-2024-07-18"), 401),
            line(Some(&long), 5),
        ];
        insta::assert_snapshot!(lines.join("\n"));
    }
}
