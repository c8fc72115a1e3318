//! The native dialect for machines: JSON Schemas from the types themselves, and an AsyncAPI 3.0 document that also
//! says in prose what schemas cannot.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::message::{MAX_FRAME, RoomMessage, SUBPROTOCOL, SidecarMessage, VERSION};
use super::samples;
use crate::sentiment::Rating;

/// JSON Schema (2020-12) of what a room may send.
#[must_use]
pub fn room_message() -> Value {
    schemars::schema_for!(RoomMessage).to_value()
}

/// JSON Schema (2020-12) of what the sidecar may send.
#[must_use]
pub fn sidecar_message() -> Value {
    schemars::schema_for!(SidecarMessage).to_value()
}

/// JSON Schema (2020-12) of a rating.
#[must_use]
pub fn rating() -> Value {
    schemars::schema_for!(Rating).to_value()
}

/// JSON Schema (2020-12) of one line of a recording: the header, a room message with its time, a pinned rating, or an
/// expectation. Lines of other types are ignored.
#[must_use]
pub fn recording_line() -> Value {
    let mut generator = SchemaGenerator::default();
    let message = generator.subschema_for::<RoomMessage>().to_value();
    let participant = generator.subschema_for::<super::message::Participant>().to_value();
    let definitions = generator.take_definitions(true);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "one line of a recording",
        "oneOf": [
            {
                "title": "header",
                "description": "The first line.",
                "type": "object",
                "properties": {
                    "type": {"const": "recording"},
                    "version": {"const": 1},
                    "room_name": {"type": "string"},
                    "title": {"type": "string", "description": "What the recording shows, for people."},
                    "agent": {"type": "object", "description": "Settings, as in an agent document."},
                    "participants": {
                        "type": "array",
                        "items": participant,
                        "description": "Who is in the room, for recordings without a welcome."
                    },
                    "capabilities": {
                        "type": "array",
                        "items": {"type": "string"},
                        "description": "What the room offers, for recordings without a welcome."
                    }
                },
                "required": ["type", "version", "room_name"]
            },
            {
                "title": "room message",
                "description": "What the room said, and when, in ms since the recording began.",
                "allOf": [
                    message,
                    {
                        "type": "object",
                        "properties": {"at_ms": {"type": "integer", "minimum": 0}},
                        "required": ["at_ms"]
                    }
                ]
            },
            {
                "title": "pinned rating",
                "description": "Stands in for the rater at one turn.",
                "type": "object",
                "properties": {
                    "type": {"const": "rating"},
                    "turn_id": {"type": "string"},
                    "sentiment": {"type": "number", "minimum": 1, "maximum": 10},
                    "unrated": {"const": true, "description": "The rater fails at this turn."}
                },
                "required": ["type", "turn_id"],
                "oneOf": [{"required": ["sentiment"]}, {"required": ["unrated"]}]
            },
            {
                "title": "expectation",
                "type": "object",
                "properties": {
                    "type": {"const": "expect"},
                    "escalate_at_turn": {
                        "type": ["integer", "null"],
                        "minimum": 1,
                        "description": "The caller turn that escalates, from 1; null when none may."
                    },
                    "action": {"enum": ["transfer", "notify", "flag"]}
                },
                "required": ["type", "escalate_at_turn"]
            }
        ],
        "$defs": definitions
    })
}

/// The AsyncAPI 3.0 document of the native dialect, seen from the sidecar: it `send`s to the room and `receive`s from
/// it.
#[must_use]
pub fn asyncapi() -> Value {
    let received = messages::<RoomMessage, _>("room", &samples::room_messages());
    let sent = messages::<SidecarMessage, _>("sidecar", &samples::sidecar_messages());
    let on_channel: Map<String, Value> = received
        .messages
        .keys()
        .chain(sent.messages.keys())
        .map(|id| (id.clone(), reference(&["components", "messages", id])))
        .collect();
    let mut schemas = received.schemas;
    schemas.extend(sent.schemas);
    let mut operations = operations(&received.messages, "receive");
    operations.extend(self::operations(&sent.messages, "send"));
    let mut all = received.messages;
    all.extend(sent.messages);
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "sentiment-sidecar native room dialect",
            "version": format!("{VERSION}.0.0"),
            "description": PROSE,
            "license": {"name": "MIT OR Apache-2.0"}
        },
        "defaultContentType": "application/json",
        "servers": {
            "room": {
                "host": "{host}",
                "protocol": "wss",
                "description": "The voice platform. The sidecar dials it, once per call. Plain ws is for loopback.",
                "variables": {"host": {"description": "Host, and port where it is not 443."}},
                "security": [{"$ref": "#/components/securitySchemes/bearer"}]
            }
        },
        "channels": {
            "room": {
                "address": "{path}",
                "title": "One live call",
                "description": format!("JSON text frames of at most {MAX_FRAME} bytes, one object each."),
                "parameters": {"path": {"description": "Path and query, whatever the platform chooses."}},
                "messages": on_channel,
                "bindings": {
                    "ws": {
                        "method": "GET",
                        "headers": {
                            "type": "object",
                            "properties": {
                                "Authorization": {"type": "string", "description": "Bearer and the room's token."},
                                "Sec-WebSocket-Protocol": {"type": "string", "const": SUBPROTOCOL}
                            },
                            "required": ["Sec-WebSocket-Protocol"]
                        },
                        "bindingVersion": "0.1.0"
                    }
                }
            }
        },
        "operations": operations,
        "components": {
            "messages": all,
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The token that the platform gave the sidecar for this room. 401 or 403 refuse it for good."
                }
            }
        }
    })
}

/// The messages of one direction, by id, and the schemas that they refer to.
struct Direction {
    messages: Map<String, Value>,
    schemas: Map<String, Value>,
}

/// `side` keeps the two directions' `ack` and `error` apart.
fn messages<T: JsonSchema, M: Serialize>(side: &str, samples: &[M]) -> Direction {
    // Draft 7 is what AsyncAPI's own Schema Object extends.
    let settings = SchemaSettings::draft07().with(|s| s.definitions_path = "/components/schemas".into());
    let mut root = settings.into_generator().into_root_schema_for::<T>().to_value();
    let schemas = match root.pointer_mut("/components/schemas").map(Value::take) {
        Some(Value::Object(schemas)) => schemas,
        _ => Map::new(),
    };
    let samples: Vec<Value> = samples.iter().filter_map(|sample| serde_json::to_value(sample).ok()).collect();
    let mut messages = Map::new();
    for variant in root.get("oneOf").and_then(Value::as_array).into_iter().flatten() {
        let Some(name) = variant.pointer("/properties/type/const").and_then(Value::as_str) else { continue };
        let of_this: Vec<Value> = samples
            .iter()
            .filter(|sample| sample.get("type").and_then(Value::as_str) == Some(name))
            .map(|sample| json!({"payload": sample}))
            .collect();
        let mut payload = variant.clone();
        let summary = payload.as_object_mut().and_then(|p| p.remove("description")).unwrap_or_default();
        let message = json!({
            "name": name,
            "title": name,
            "summary": summary,
            "contentType": "application/json",
            "payload": payload,
            "examples": of_this
        });
        messages.insert(format!("{side}.{name}"), message);
    }
    Direction { messages, schemas }
}

fn operations(messages: &Map<String, Value>, action: &str) -> Map<String, Value> {
    let on_channel = |id: &str| reference(&["channels", "room", "messages", id]);
    messages
        .iter()
        .map(|(id, message)| {
            let mut operation = json!({
                "action": action,
                "channel": reference(&["channels", "room"]),
                "summary": message["summary"],
                "messages": [on_channel(id)]
            });
            let reply = match id.as_str() {
                "sidecar.hello" => Some("room.welcome"),
                "sidecar.command" => Some("room.command.result"),
                "room.tool.call" => Some("sidecar.tool.result"),
                _ => None,
            };
            if let Some(reply) = reply {
                operation["reply"] =
                    json!({"channel": reference(&["channels", "room"]), "messages": [on_channel(reply)]});
            }
            (format!("{action}.{id}"), operation)
        })
        .collect()
}

fn reference(path: &[&str]) -> Value {
    json!({"$ref": format!("#/{}", path.join("/"))})
}

/// What schemas cannot say.
const PROSE: &str = include_str!("DIALECT.md");

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]
    use super::*;

    /// A validator for whatever the AsyncAPI document's messages of one side allow.
    fn validator(side: &str) -> jsonschema::Validator {
        let document = asyncapi();
        let payloads: Vec<Value> = document["components"]["messages"]
            .as_object()
            .unwrap()
            .iter()
            .filter(|(id, _)| id.starts_with(side))
            .map(|(_, message)| message["payload"].clone())
            .collect();
        let schema = json!({"oneOf": payloads, "components": document["components"]});
        jsonschema::draft7::new(&schema).unwrap()
    }

    fn without(message: &Value, field: &str) -> Value {
        let mut message = message.clone();
        message.as_object_mut().unwrap().remove(field);
        message
    }

    #[test]
    fn every_message_that_the_code_sends_or_accepts_fits_the_published_document() {
        let (room, sidecar) = (validator("room."), validator("sidecar."));
        let strict_room = jsonschema::draft202012::new(&room_message()).unwrap();
        let strict_sidecar = jsonschema::draft202012::new(&sidecar_message()).unwrap();
        let mut types = Vec::new();
        for sample in samples::room_messages() {
            let value = serde_json::to_value(&sample).unwrap();
            assert!(room.is_valid(&value) && strict_room.is_valid(&value), "{value}");
            assert_eq!(RoomMessage::from_value(value.clone()).unwrap().as_ref(), Some(&sample));
            types.push(value["type"].as_str().unwrap().to_owned());
        }
        types.sort_unstable();
        types.dedup();
        let mut known = RoomMessage::TYPES.map(str::to_owned).to_vec();
        known.sort_unstable();
        assert_eq!(types, known, "every type has a sample");
        for sample in samples::sidecar_messages() {
            let value = serde_json::to_value(&sample).unwrap();
            assert!(sidecar.is_valid(&value) && strict_sidecar.is_valid(&value), "{value}");
            assert_eq!(serde_json::from_value::<SidecarMessage>(value).unwrap(), sample);
        }
    }

    #[test]
    fn what_the_code_refuses_the_published_document_refuses_too() {
        let room = validator("room.");
        for sample in samples::room_messages() {
            let value = serde_json::to_value(&sample).unwrap();
            for field in value.as_object().unwrap().keys() {
                let cut = without(&value, field);
                let accepted = matches!(RoomMessage::from_value(cut.clone()), Ok(Some(_)));
                assert_eq!(room.is_valid(&cut), accepted, "without {field}: {cut}");
            }
        }
        let wrong = [
            json!({"type": "transcript", "segment_id": {}, "participant_id": "p", "text": "x"}),
            json!({"type": "agent.state", "state": "listening", "seq": -1}),
            json!({"type": "command.result", "command_id": "c", "status": "perhaps"}),
            json!({"type": "welcome", "version": "1", "session_id": "s", "room_name": "r"}),
            json!({"type": "nothing.we.know"}),
            json!([]),
        ];
        for message in wrong {
            assert!(!room.is_valid(&message), "{message}");
            assert!(!matches!(RoomMessage::from_value(message.clone()), Ok(Some(_))), "{message}");
        }
    }

    #[test]
    fn a_command_without_its_arguments_does_not_fit() {
        let sidecar = validator("sidecar.");
        let command =
            json!({"type": "command", "command_id": "c", "deadline_ms": 1, "name": "say", "args": {"text": "x"}});
        assert!(sidecar.is_valid(&command));
        for field in ["command_id", "name", "args", "deadline_ms"] {
            assert!(!sidecar.is_valid(&without(&command, field)), "without {field}");
        }
        let mut unknown = command;
        unknown["name"] = json!("explode");
        assert!(!sidecar.is_valid(&unknown));
    }

    #[test]
    fn the_tool_takes_the_seeds_parameters_and_nothing_else() {
        let tool = crate::room::message::tool::escalate_sentiment();
        assert_eq!(tool.name, "escalate_sentiment");
        let parameters = jsonschema::validator_for(&tool.parameters).unwrap();
        assert!(parameters.is_valid(&json!({"sentiment_score": 2, "description": "waited three days"})));
        for wrong in [
            json!({"sentiment_score": 0, "description": "x"}),
            json!({"sentiment_score": 2.5, "description": "x"}),
            json!({"sentiment_score": 2}),
            json!({"sentiment_score": 2, "description": "x", "target": "+14155551234"}),
        ] {
            assert!(!parameters.is_valid(&wrong), "{wrong}");
        }
    }

    #[test]
    fn recording_lines_fit_their_schema() {
        let lines = jsonschema::draft202012::new(&recording_line()).unwrap();
        for sample in samples::room_messages() {
            let mut line = serde_json::to_value(&sample).unwrap();
            assert!(!lines.is_valid(&line), "without at_ms: {line}");
            line["at_ms"] = json!(120);
            assert!(lines.is_valid(&line), "{line}");
        }
        for line in [
            json!({"type": "recording", "version": 1, "room_name": "room_abc123"}),
            json!({"type": "rating", "turn_id": "t1", "sentiment": 3.0}),
            json!({"type": "expect", "escalate_at_turn": 3, "action": "transfer"}),
            json!({"type": "expect", "escalate_at_turn": null}),
        ] {
            assert!(lines.is_valid(&line), "{line}");
        }
        for line in [
            json!({"type": "recording", "room_name": "room_abc123"}),
            json!({"type": "rating", "turn_id": "t1"}),
            json!({"type": "expect", "escalate_at_turn": 0}),
        ] {
            assert!(!lines.is_valid(&line), "{line}");
        }
    }
}
