//! The sockets on both sides ([`tuned`]).

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// A connection that is silent for so long is asked whether it is there, again so long after that, and so often in vain.
pub(super) const ASK_AFTER: Duration = Duration::from_secs(30);
const ASK_EVERY: Duration = Duration::from_secs(10);
const ASK_TIMES: u32 = 3;

/// Frames are small and urgent. A side that is gone without a word, as its network is, is found out within a minute.
pub(super) fn tuned(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let probes = TcpKeepalive::new().with_time(ASK_AFTER).with_interval(ASK_EVERY).with_retries(ASK_TIMES);
    SockRef::from(stream).set_tcp_keepalive(&probes)
}
