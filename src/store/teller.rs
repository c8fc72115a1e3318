//! What a process tells of its calls in progress ([`Live`]).

use super::StoreError;
use super::live::LiveChange;
use super::sqlite::LiveWriter;

/// What one process tells of its calls in progress, on a way of its own that waits for no disk. Such a call is found on the
/// board until it is over, or until its process has given no sign of life for long.
#[derive(Debug)]
pub struct Live(pub(super) LiveBackend);

#[derive(Debug)]
pub(super) enum LiveBackend {
    Sqlite(LiveWriter),
}

impl Live {
    /// Tells of calls, all at once, and gives a sign of life where one is due.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written; then nothing was.
    pub async fn tell(&mut self, changes: &[LiveChange], now_ms: u64) -> Result<(), StoreError> {
        match &mut self.0 {
            LiveBackend::Sqlite(writer) => writer.tell(changes, now_ms).await,
        }
    }

    /// Takes back all that was told.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn leave(self) -> Result<(), StoreError> {
        match self.0 {
            LiveBackend::Sqlite(writer) => writer.leave().await,
        }
    }
}
