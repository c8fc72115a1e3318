//! `schema`: the contracts for machines.

use std::io::Write;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::exit::{Exit, Failure};
use crate::alert::payload::{FullPayload, SeedPayload};
use crate::config::schema::settings_schema;
use crate::room::message::tool::escalate_sentiment;
use crate::room::schema;

/// Print the JSON Schemas, the AsyncAPI document of the native dialect, or the agent's tool.
///
/// Everything comes from the types that the program itself uses, so what fits these schemas is what it accepts.
/// Use them to generate a client, to validate what your platform sends, or to offer the tool to an agent that your
/// platform does not register tools for.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sentiment-sidecar schema asyncapi > room.asyncapi.json
  sentiment-sidecar schema settings
  sentiment-sidecar schema                    all of them, as one object

Exit codes: 0 it was printed, 2 usage.")]
pub struct SchemaArgs {
    /// Print this [default: everything, as one object by topic].
    #[arg(value_enum)]
    pub topic: Option<Topic>,
}

/// What there is a schema of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Topic {
    /// The native room dialect as AsyncAPI 3.0: messages, examples, acks, resuming, close codes
    Asyncapi,
    /// JSON Schemas of all messages: what a room may send, and what the sidecar may send
    Messages,
    /// JSON Schema of a rating
    Rating,
    /// JSON Schema of one line of a recording
    Recording,
    /// JSON Schema of our keys in an agent document, with their defaults
    Settings,
    /// JSON Schemas of the webhook's body: the five fields of `seed`, and the full detail
    Webhook,
    /// The tool `escalate_sentiment`, as an agent is offered it
    Tool,
}

impl Topic {
    fn document(self) -> Result<Value, serde_json::Error> {
        match self {
            Self::Asyncapi => Ok(schema::asyncapi()),
            Self::Messages => Ok(json!({"room": schema::room_message(), "sidecar": schema::sidecar_message()})),
            Self::Rating => Ok(schema::rating()),
            Self::Recording => Ok(schema::recording_line()),
            Self::Settings => Ok(settings_schema()),
            Self::Webhook => Ok(json!({
                "seed": schemars::schema_for!(SeedPayload).to_value(),
                "full": schemars::schema_for!(FullPayload).to_value(),
            })),
            Self::Tool => serde_json::to_value(escalate_sentiment()),
        }
    }
}

/// Every topic's document, by its name on the command line.
fn everything() -> Result<Value, serde_json::Error> {
    let named = |topic: &Topic| {
        let name = topic.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        Ok((name, topic.document()?))
    };
    Topic::value_variants().iter().map(named).collect::<Result<_, _>>().map(Value::Object)
}

/// Prints one document, or all.
///
/// # Errors
/// When stdout cannot be written.
pub fn run(args: &SchemaArgs) -> Result<Exit, Failure> {
    let document = match args.topic {
        Some(topic) => topic.document(),
        None => everything(),
    };
    let text = document.and_then(|document| serde_json::to_string_pretty(&document));
    let text = text.map_err(|error| Failure::new(Exit::Other, error))?;
    match writeln!(std::io::stdout().lock(), "{text}") {
        // Whoever reads has seen enough, e.g. `| head`.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(Exit::Ok),
        outcome => Ok(outcome.map(|()| Exit::Ok)?),
    }
}
