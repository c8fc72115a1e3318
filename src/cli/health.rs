//! `--listen`: probes and metrics beside what a command does ([`HealthArgs`]).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use clap::Args;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::events::Events;
use super::exit::{Exit, Failure};
use crate::web::health::{Health, serve};

/// Where processes of many calls serve them, unless they are told otherwise: nobody outside of the host reaches it.
const USUAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9464);

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
        listen(self.listen, "--listen", health).await
    }
}

/// Listens at the address that this flag names.
///
/// # Errors
/// [`Exit::Other`] when it cannot be listened on.
pub(super) async fn bind(address: SocketAddr, flag: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        Failure::new(Exit::Other, format!("{address} cannot be listened on: {error}"))
            .help(format!("choose another address with {flag}"))
    })
}

/// Begins to serve at the address that this flag names, if it names one.
///
/// # Errors
/// As for [`bind`].
async fn listen(address: Option<SocketAddr>, flag: &str, health: Health) -> Result<Option<Serving>, Failure> {
    let Some(address) = address else { return Ok(None) };
    let listener = bind(address, flag).await?;
    Ok(Some(Serving::start(listener, health)))
}

/// Begins to serve at the address that this flag names, else at [`USUAL`], else, where another process of the host is there, at a
/// loopback port that is free. For processes that serve many calls: somebody watches them. Says where.
///
/// # Errors
/// As for [`bind`].
pub(super) async fn listen_anyway(
    address: Option<SocketAddr>,
    flag: &str,
    health: Health,
    events: &Events,
) -> Result<Serving, Failure> {
    let listener = match address {
        Some(address) => bind(address, flag).await?,
        None => match TcpListener::bind(USUAL).await {
            Ok(listener) => listener,
            Err(_) => bind(SocketAddr::new(USUAL.ip(), 0), flag).await?,
        },
    };
    events.listening(listener.local_addr()?);
    Ok(Serving::start(listener, health))
}

/// What serves them.
#[derive(Debug)]
pub(super) struct Serving {
    stop: CancellationToken,
    task: JoinHandle<std::io::Result<()>>,
}

impl Serving {
    fn start(listener: TcpListener, health: Health) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve(listener, health, stop.clone()));
        Self { stop, task }
    }

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
