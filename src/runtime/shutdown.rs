//! SIGTERM and SIGINT ask the process to stop: what is open is finished, nothing new is begun.

use tokio_util::sync::CancellationToken;

/// A token that is cancelled by the first SIGTERM or SIGINT.
///
/// Must be called within a tokio runtime. Where signals cannot be listened to, the token is never cancelled and the
/// signals keep their default effect.
#[must_use]
pub fn on_signal() -> CancellationToken {
    let [token] = on_signals();
    token
}

/// Tokens that are cancelled one after another: the first one by the first SIGTERM or SIGINT, the second one by the second, and
/// so on.
///
/// As for [`on_signal`].
#[must_use]
pub fn on_signals<const N: usize>() -> [CancellationToken; N] {
    let tokens = std::array::from_fn(|_| CancellationToken::new());
    // Listened to from here on, not only once the task runs.
    match Signals::listen() {
        Ok(mut signals) => {
            let cancelled: [CancellationToken; N] = tokens.clone();
            tokio::spawn(async move {
                for token in cancelled {
                    signals.next().await;
                    token.cancel();
                }
            });
        }
        Err(error) => tracing::warn!(%error, "signals cannot be listened to"),
    }
    tokens
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
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
struct Signals;

#[cfg(not(unix))]
impl Signals {
    #[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
    fn listen() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        // Where it fails, nobody can ask.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
