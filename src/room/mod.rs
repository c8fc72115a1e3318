//! Rooms: where calls happen, and the dialects that they speak.

pub mod message;
