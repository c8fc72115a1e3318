//! `schema`: the contracts for machines.

use std::io::Write;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::exit::{Exit, Failure};
use crate::room::schema;

/// Print the JSON Schemas, the AsyncAPI document of the native dialect, or the agent's tool
///
/// Everything comes from the types that the program itself uses, so what fits these schemas is what it accepts.
/// Use them to generate a client, to validate what your platform sends, or to offer the tool to an agent that your
/// platform does not register tools for.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    sentiment-sidecar schema asyncapi > room.asyncapi.json\n  \
    sentiment-sidecar schema tool")]
pub struct SchemaArgs {
    /// What to print
    #[arg(value_enum)]
    pub topic: Topic,
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
            Self::Tool => serde_json::to_value(schema::escalate_sentiment_tool()),
        }
    }
}

/// Prints one document.
///
/// # Errors
/// When stdout cannot be written.
pub fn run(args: &SchemaArgs) -> Result<Exit, Failure> {
    let text = args.topic.document().and_then(|document| serde_json::to_string_pretty(&document));
    let text = text.map_err(|error| Failure::new(Exit::Other, error))?;
    match writeln!(std::io::stdout().lock(), "{text}") {
        // Whoever reads has seen enough, e.g. `| head`.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(Exit::Ok),
        outcome => Ok(outcome.map(|()| Exit::Ok)?),
    }
}
