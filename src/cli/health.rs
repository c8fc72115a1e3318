//! `--listen`: probes and metrics beside what a command does ([`HealthArgs`]).

use std::net::SocketAddr;

use clap::Args;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::exit::{Exit, Failure};
use crate::web::health::{Health, serve};

/// Where probes and metrics are served, if anywhere.
#[derive(Debug, Clone, Default, Args)]
pub struct HealthArgs {
    /// Serve /healthz, /readyz and /metrics (Prometheus) at this address, e.g. 127.0.0.1:9464.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
}

impl HealthArgs {
    /// Begins to serve, where that was asked for.
    ///
    /// # Errors
    /// [`Exit::Other`] when the address cannot be listened on.
    pub(super) async fn serve(&self, health: Health) -> Result<Option<Serving>, Failure> {
        listen(self.listen, health).await
    }
}

/// Begins to serve at this address, if it is one.
///
/// # Errors
/// [`Exit::Other`] when the address cannot be listened on.
pub(super) async fn listen(address: Option<SocketAddr>, health: Health) -> Result<Option<Serving>, Failure> {
    let Some(address) = address else { return Ok(None) };
    let listener = TcpListener::bind(address).await.map_err(|error| {
        Failure::new(Exit::Other, format!("{address} cannot be listened on: {error}"))
            .help("choose another address with --listen")
    })?;
    let stop = CancellationToken::new();
    let task = tokio::spawn(serve(listener, health, stop.clone()));
    Ok(Some(Serving { stop, task }))
}

/// What serves them.
#[derive(Debug)]
pub(super) struct Serving {
    stop: CancellationToken,
    task: JoinHandle<std::io::Result<()>>,
}

impl Serving {
    /// Ends it: what is being answered is answered first, within a second.
    pub(super) async fn close(self) {
        self.stop.cancel();
        match self.task.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "probes and metrics were no longer served"),
            Err(error) => tracing::error!(%error, "what serves probes and metrics broke off"),
        }
    }
}
