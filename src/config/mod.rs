//! Settings: what they are ([`settings`]), where they come from, and what must not leak ([`secret`]).

pub mod secret;
pub mod settings;
