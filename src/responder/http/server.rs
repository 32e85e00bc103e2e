//! Connections: from the listener to a request, with a bound on everything that a peer can draw out.
//!
//! | what a peer may do | what ends it |
//! |---|---|
//! | say nothing, or half a handshake | `header_timeout` |
//! | say nothing, or half a header, after it; stay idle | `header_timeout`, by hyper |
//! | send half a body | `header_timeout` without a byte, `request_timeout` in all |
//! | send a header that is too long | 431 at `HEADER_BYTES` |
//! | take its answer by the byte | twice `request_timeout` and `header_timeout` after its request began |
//! | open as many connections as it likes | one of whoever has the most makes room (`connections`) |

use std::{convert::Infallible, io, net::IpAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use hyper::{Request, body::Incoming, server::conn::http1, service::Service as _};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    pin,
    time::{sleep, timeout},
};
use tokio_rustls::{LazyConfigAcceptor, rustls::server::Acceptor, server::TlsStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, warn};

use super::{
    connections::{Connections, Slot},
    seldom::Seldom,
    tls,
    web_file::{Handshake, WebFile},
};
use crate::{
    domain::line::line,
    responder::metrics::{ByReason, Metrics},
};

/// The longest header of a request, in bytes. What is sent here has a few hundred.
const HEADER_BYTES: usize = 16 * 1024;
/// What is read of a connection before somebody takes it, in bytes.
const BUFFER_BYTES: usize = 64 * 1024;
/// How long connections that are answered may take to close once we stop.
const LINGER: Duration = Duration::from_secs(1);
/// How long no connection is taken after the system refused one.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// Why connections are closed on whom they belong to, for metrics that start at zero.
pub const CUT_REASONS: [&str; 3] = ["slow", "crowded", "handshake"];

/// How long things may take; a reload may change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// To a header's end, from the connection's begin, its handshake's or its last answer's.
    pub header: Duration,
    /// A whole request.
    pub request: Duration,
    /// How many connections may be without a whole request.
    pub connections: u32,
}

/// A connection that was closed on its peer.
#[derive(Debug, thiserror::Error)]
enum Cut {
    #[error("it took too long")]
    Slow,
    #[error("others have come since")]
    Crowded,
    #[error("the handshake failed: {0}")]
    Handshake(io::Error),
    #[error("{0}")]
    Broken(hyper::Error),
}

impl Cut {
    /// The reason as metrics write it. A peer that went away has none, nor has one that was answered and
    /// asks nothing more.
    fn reason(&self, slot: &Slot) -> Option<&'static str> {
        match self {
            Self::Slow => Some("slow"),
            Self::Crowded => Some("crowded"),
            Self::Handshake(error) => (error.kind() != io::ErrorKind::UnexpectedEof).then_some("handshake"),
            Self::Broken(error) => (error.is_timeout() && !slot.has_asked()).then_some("slow"),
        }
    }
}

/// Serves a router on a listener.
#[derive(Debug)]
pub struct Server<B> {
    /// What answers.
    pub router: Router,
    /// How long things may take, as it stands now.
    pub bounds: B,
    /// The web configuration file, where there is one.
    pub file: Option<Arc<WebFile>>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Which connections are open.
    pub connections: Arc<Connections>,
    /// How often the log is told of connections that were cut.
    pub told: Seldom,
}

impl<B: Fn() -> Bounds + Send + Sync + 'static> Server<B> {
    /// Takes connections until it is told to stop, then lets those that are answered end.
    pub async fn run(self, listener: TcpListener, stop: CancellationToken) {
        let (server, open, cut) = (Arc::new(self), TaskTracker::new(), CancellationToken::new());
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => break,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let (server, stop, cut) = (Arc::clone(&server), stop.clone(), cut.clone());
                    open.spawn(async move {
                        tokio::select! {
                            () = server.connection(stream, peer.ip(), stop) => {}
                            () = cut.cancelled() => {}
                        }
                    });
                }
                Err(error) => {
                    // The peer has gone, or we have no file left: somebody who waits makes room.
                    server.connections.make_room();
                    if let Some(suppressed) = server.told.now() {
                        warn!(%error, suppressed, "a connection cannot be taken");
                    }
                    sleep(ACCEPT_AGAIN).await;
                }
            }
        }
        drop(listener);
        open.close();
        if timeout(LINGER, open.wait()).await.is_err() {
            warn!(connections = open.len(), "connections that would not end were cut");
            cut.cancel();
            open.wait().await;
        }
    }

    async fn connection(&self, stream: TcpStream, peer: IpAddr, stop: CancellationToken) {
        let bounds = (self.bounds)();
        let slot = self.connections.enter(peer, bounds.connections);
        // Answers are short and are waited for; a system without it is as right without it.
        let _ = stream.set_nodelay(true);
        let ended = tokio::select! {
            ended = self.talk(stream, &slot, bounds, stop) => ended,
            () = slot.crowded_out() => Err(Cut::Crowded),
            () = slot.overdue(bounds.header + 2 * bounds.request) => Err(Cut::Slow),
        };
        let Err(cut) = ended else { return };
        let Some(reason) = cut.reason(&slot) else {
            debug!(error = %cut, "connection ended");
            return;
        };
        self.metrics.connections_cut.get_or_create(&ByReason::new(reason)).inc();
        if let Some(suppressed) = self.told.now() {
            // A handshake fails in the words of whoever sent it.
            warn!(reason, error = line(&cut), suppressed, "connection cut");
        }
    }

    async fn talk(
        &self,
        stream: TcpStream,
        slot: &Arc<Slot>,
        bounds: Bounds,
        stop: CancellationToken,
    ) -> Result<(), Cut> {
        match self.file.as_ref().filter(|file| file.speaks_tls()) {
            None => self.serve(stream, None, slot, bounds, stop).await,
            Some(file) => {
                let (stream, handshake) =
                    timeout(bounds.header, greet(stream, file)).await.map_err(|_| Cut::Slow)??;
                self.serve(stream, Some(handshake), slot, bounds, stop).await
            }
        }
    }

    async fn serve(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        handshake: Option<Handshake>,
        slot: &Arc<Slot>,
        bounds: Bounds,
        stop: CancellationToken,
    ) -> Result<(), Cut> {
        let answers = TowerToHyperService::new(self.router.clone());
        let service = hyper::service::service_fn(|mut request: Request<Incoming>| {
            slot.begins();
            if hyper::body::Body::is_end_stream(request.body()) {
                slot.is_whole();
            }
            request.extensions_mut().insert(Arc::clone(slot));
            request.extensions_mut().extend(handshake.clone().map(extension).unwrap_or_default());
            let (answer, slot) = (answers.call(request), Arc::clone(slot));
            async move {
                let answer: Result<hyper::Response<Body>, Infallible> = answer.await;
                slot.waits();
                answer
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(bounds.header)
            .max_header_size(HEADER_BYTES)
            .max_buf_size(BUFFER_BYTES)
            .serve_connection(TokioIo::new(stream), service);
        pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        ended.map_err(Cut::Broken)
    }
}

fn extension(handshake: Handshake) -> hyper::http::Extensions {
    let mut extensions = hyper::http::Extensions::new();
    extensions.insert(handshake);
    extensions
}

/// Shakes hands by what the file says now. The file is looked at once the peer has said something.
async fn greet(stream: TcpStream, file: &Arc<WebFile>) -> Result<(TlsStream<TcpStream>, Handshake), Cut> {
    let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await.map_err(Cut::Handshake)?;
    let file = Arc::clone(file);
    let looked = tokio::task::spawn_blocking(move || file.handshake()).await;
    let Ok(Some((config, mut handshake))) = looked else {
        return Err(Cut::Handshake(io::Error::other("there is nothing to shake hands with")));
    };
    let stream = start.into_stream(config).await.map_err(Cut::Handshake)?;
    let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    handshake.subject = shown.and_then(tls::subject).map(Into::into);
    Ok((stream, handshake))
}
