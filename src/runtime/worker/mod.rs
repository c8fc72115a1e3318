//! A process that serves many calls, as a dispatcher gives them out ([`Worker`]).
//!
//! [`state`] is how it stands: what is asked of it by whoever watches. `load` measures how much it does of what it can; `tasks`
//! keeps which calls there are, and `serve` takes, ends and counts them.

mod load;
mod serve;
pub mod state;
mod tasks;

pub use load::Load;
pub use serve::{Listener, News, Prepared, Preparing, Worker};
pub use state::{Limits, WorkerState};
