//! A room's client against peers that behave, misbehave and vanish, and our room server against plain clients.

mod client;
mod commands;
mod peer;
mod server;
pub(crate) mod tls;
