//! The edges of a live call, and the loop that drives the core: the only clock, the only task tree, the shutdown.
//!
//! [`attachment`] is the drive loop, [`edges`] carries out what the core wants (rate, store, deliver, transfer) and
//! brings the answers back as inputs, [`journal`] writes both down, [`shutdown`] turns signals into a request to stop.

pub mod attachment;
pub mod edges;
pub mod journal;
pub mod shutdown;

pub use attachment::{Attachment, Ending};
