//! The ways to a human: SIP.

pub mod sip;
