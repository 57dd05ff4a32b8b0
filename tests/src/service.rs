//! An HTTP service on a loopback port of its own, on a thread of its own, for as long as the value lives.

use std::{net::SocketAddr, thread::JoinHandle};

use axum::Router;
use tokio::{net::TcpListener, sync::oneshot};

use crate::{Doing as _, Error};

/// A running service. Dropping it closes the port and abandons open connections.
#[derive(Debug)]
pub struct Service {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Service {
    /// Serves what `router` makes of the service's own URL (`http://127.0.0.1:PORT`).
    ///
    /// # Errors
    /// No port or no thread could be had.
    pub fn start(router: impl FnOnce(&str) -> Router) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .doing("start a runtime")?;
        let listener = runtime
            .block_on(TcpListener::bind(("127.0.0.1", 0)))
            .doing("listen on 127.0.0.1")?;
        let address = listener.local_addr().doing("read the port")?;
        let router = router(&format!("http://{address}"));
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("service".into())
            .spawn(move || {
                runtime.block_on(async move {
                    tokio::select! {
                        _ = axum::serve(listener, router) => (),
                        _ = stopped => (),
                    }
                });
                runtime.shutdown_background();
            })
            .doing("start a thread")?;
        Ok(Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
