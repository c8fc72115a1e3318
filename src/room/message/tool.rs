//! The tool that the agent's model is offered: `escalate_sentiment`.

use serde_json::json;

use super::Tool;

/// The tool's name.
pub const ESCALATE_SENTIMENT: &str = "escalate_sentiment";

/// The tool's definition: the seed's parameters, as the agent's model is told of them.
#[must_use]
pub fn escalate_sentiment() -> Tool {
    Tool {
        name: ESCALATE_SENTIMENT.to_owned(),
        description: "Call this when the caller has been frustrated, angry or upset for several turns and a human \
                      should step in. It brings one in, or tells you why not."
            .to_owned(),
        parameters: json!({
            "type": "object",
            "properties": {
                "sentiment_score": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": 10,
                    "description": "How the caller feels, from 1 (extremely negative) to 10 (delighted).",
                },
                "description": {
                    "type": "string",
                    "description": "What upset the caller, in one short sentence.",
                },
            },
            "required": ["sentiment_score", "description"],
            "additionalProperties": false,
        }),
    }
}
