//! The core: one call, pure and clockless.

pub mod escalation;
pub mod event;
pub mod report;
pub mod tracker;
