//! SIGTERM and SIGINT ask the process to stop: what is open is finished, nothing new is begun.

use tokio_util::sync::CancellationToken;

/// A token that is cancelled by the first SIGTERM or SIGINT.
///
/// Must be called within a tokio runtime. Where signals cannot be listened to, the token is never cancelled and the
/// signals keep their default effect.
#[must_use]
pub fn on_signal() -> CancellationToken {
    let token = CancellationToken::new();
    // Listened to from here on, not only once the task runs.
    match listen() {
        Ok(asked) => {
            let cancelled = token.clone();
            tokio::spawn(async move {
                asked.await;
                cancelled.cancel();
            });
        }
        Err(error) => tracing::warn!(%error, "signals cannot be listened to"),
    }
    token
}

#[cfg(unix)]
fn listen() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// SIGXFSZ, which kills a process whose file outgrows its limit: the write fails instead, as on a full disk.
///
/// Must be called within a tokio runtime.
#[cfg(unix)]
pub fn survive_file_limits() {
    use tokio::signal::unix::{SignalKind, signal};
    // From <asm-generic/signal.h>; the same number on all Unix systems that this runs on but MIPS.
    const SIGXFSZ: i32 = if cfg!(any(target_arch = "mips", target_arch = "mips64")) { 31 } else { 25 };
    // A handler is enough; nobody needs to listen, and it stays for the life of the process.
    if let Err(error) = signal(SignalKind::from_raw(SIGXFSZ)) {
        tracing::debug!(%error, "SIGXFSZ keeps its effect");
    }
}

/// There is no such limit here.
#[cfg(not(unix))]
pub fn survive_file_limits() {}

#[cfg(not(unix))]
fn listen() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async {
        // Where it fails, nobody can ask.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
