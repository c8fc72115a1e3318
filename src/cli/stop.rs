//! Ctrl-C during long work: the first one stops the work, so that what there is by then is printed; where nothing stops any
//! more, and at the second one, it ends the process as it always did.

use std::sync::{Arc, Weak};

use tokio::runtime::Builder;
use tokio::signal::ctrl_c;
use tokio_util::sync::CancellationToken;

/// What shells make of a process that Ctrl-C ended.
const ENDED: i32 = 130;

/// Listens for Ctrl-C until it is dropped.
pub(super) struct Stop(Arc<CancellationToken>);

impl Stop {
    /// Begins to listen, on a thread of its own: whoever reads a pipe to its end, or calculates, looks at nothing else.
    pub(super) fn listen() -> Self {
        let stop = Self(Arc::default());
        let asked = Arc::downgrade(&stop.0);
        // Without a thread Ctrl-C does what it always did.
        let _ = std::thread::Builder::new().name("ctrl-c".to_owned()).spawn(move || heard(&asked));
        stop
    }

    /// Waits for the first Ctrl-C.
    pub(super) async fn asked(&self) {
        self.0.cancelled().await;
    }
}

fn heard(asked: &Weak<CancellationToken>) {
    let Ok(runtime) = Builder::new_current_thread().enable_io().build() else { return };
    while runtime.block_on(ctrl_c()).is_ok() {
        match asked.upgrade() {
            Some(asked) if !asked.is_cancelled() => asked.cancel(),
            _ => std::process::exit(ENDED),
        }
    }
}
