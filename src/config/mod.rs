//! Settings: what they are ([`settings`]), where they come from ([`mod@load`]), and what must not leak ([`secret`]).
//!
//! One table of keys (`keys.rs`) drives reading, the names of environment variables, error messages,
//! [`load::Loaded::explain`] and the JSON Schema ([`schema::settings_schema`]).

pub mod allow;
mod check;
mod document;
pub mod env;
pub mod error;
mod grammar;
mod keys;
pub mod link;
pub mod llm_url;
pub mod load;
mod nearest;
pub mod peers;
pub mod per_call;
mod provenance;
pub mod schema;
pub mod secret;
pub mod settings;
mod shape;
mod shown;
pub mod target_secrets;
pub mod targets;
pub mod webhook;
pub mod webhook_secret;

pub use check::Warning;
pub use env::Env;
pub use error::{SettingsError, SettingsErrors, Source};
pub use load::{AgentFile, Explained, FlagValue, Layers, Loaded, load};
pub use provenance::Provenance;
pub use schema::settings_schema;
pub use secret::load_secrets;
pub(crate) use shown::plain;

#[cfg(test)]
mod tests;
