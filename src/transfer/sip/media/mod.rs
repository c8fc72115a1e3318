//! The sound of an attended transfer: the whisper goes out as RTP, the human's digit comes in as telephone event.

pub mod dtmf;
pub mod g711;
mod rtp;
mod session;
pub mod wav;
pub mod whisper;

pub(super) use session::{Media, Mood};

/// Samples in a packet: 20 ms at 8000 Hz (RFC 3551 section 4.5.14).
const FRAME: usize = 160;
