//! `demo`: the main job on loopback, with all that it needs.

pub mod phone;
