//! The live side: hosts and their calls, the loop that drives the core: the only clock, the only task tree, the shutdown.
//!
//! [`host`] is what a process owns once, [`attachment`] one call in it and its drive loop. `edges` carries out what the core
//! wants (rate, store, deliver, transfer) and brings the answers back as inputs; `rating` rates a turn by its deadline, [`pool`] is
//! where ratings are computed, `writer` the one task that writes to the store, `counted` what is counted of calls, `live` the one that tells the board how
//! calls stand, `sip_agents` who transfers; `about` knows whom a call's alerts are about, `mood` the caller's mood, `standing` how a call stands, and
//! `transcript` what is kept of what was said, `interims` which of them. [`journal`] writes inputs and outputs down,
//! [`worker`] serves many calls as a dispatcher gives them out; [`shutdown`] turns signals into a request to stop.

mod about;
pub mod attachment;
mod counted;
mod edges;
pub mod host;
mod interims;
pub mod journal;
mod live;
mod mood;
pub mod pool;
mod rating;
pub mod shutdown;
mod sip_agents;
mod standing;
mod transcript;
pub mod worker;
mod writer;

pub use attachment::{Attachment, Call, Ending, Event};
pub use counted::delivered;
pub use host::{Host, Means};
pub use pool::RatingPool;
