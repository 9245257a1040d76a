//! Requests, clients and deadlines as the transport's tests use them.

use sortie_http::{Client, Error, Policy, Request, Response, Retry, Settings, Timeouts};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

/// Settings under which nothing takes long.
pub(crate) fn quick() -> Settings {
    Settings {
        retry: Retry { attempts: 3, first: Duration::from_millis(2), max_delay: Duration::from_millis(5) },
        timeouts: Timeouts {
            connect: Duration::from_secs(2),
            header: Duration::from_secs(10),
            idle_read: Duration::from_secs(10),
            total: Duration::from_secs(20),
        },
        ..Settings::default()
    }
}

pub(crate) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

pub(crate) fn read(url: Url) -> Request {
    Request::get("test.read", url)
}

/// A request that does something.
pub(crate) fn write(url: Url) -> Request {
    let mut request = Request::new("test.write", http::Method::POST, url, Policy::Write);
    request.body = r#"{"Comment":"x"}"#.into();
    request
}

pub(crate) async fn send(settings: Settings, request: Request) -> Result<Response, Error> {
    Client::new(settings).send(request, soon(), &CancellationToken::new()).await
}
