//! Managed identities: the token comes from a host beside this process, which knows who runs here.
//!
//! Two hosts: the instance metadata service of a virtual machine (IMDS, `2018-02-01`) and that of App Service, Functions and
//! Container Apps (`2019-08-01`). Both speak plain http on a loopback or link-local address; the transport reaches them
//! without proxy and follows no redirect. Neither takes claims.

use crate::error::{Error, ErrorKind};
use crate::grant;
use http::header::{ACCEPT, HeaderName, HeaderValue};
use sortie_auth::{AccessToken, Identity, ManagedIdentityHost};
use sortie_http::{Client, Disposition, Policy, Request};
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use url::Url;
use zeroize::Zeroizing;

const IMDS: &str = "http://169.254.169.254";

/// IMDS answers 410 while it is being updated, for up to 70 seconds.
const GONE_WAIT: Duration = Duration::from_secs(10);
const GONE_ATTEMPTS: u32 = 8;

/// Attempts in other cases.
const ATTEMPTS: u32 = 5;

/// A host that is not there will not be there a second later either; once more, for the packet that was lost.
const UNREACHABLE_ATTEMPTS: u32 = 2;

pub(crate) async fn fetch(
    http: &Client,
    host: &ManagedIdentityHost,
    identity: Option<&Identity>,
    audience: &str,
    until: Instant,
    cancel: &CancellationToken,
) -> Result<AccessToken, Error> {
    let request = request(host, identity, audience)?;
    let secret = match host {
        ManagedIdentityHost::AppService { header, .. } => header.expose(),
        _ => "",
    };
    let mut attempt = 0;
    loop {
        attempt += 1;
        let error = match http.send(request.clone(), until, cancel).await {
            Ok(response) => return grant::parse(&Zeroizing::new(response.body), true, SystemTime::now()),
            Err(error) => error,
        };
        let (attempts, wait) = match error.status {
            Some(410) => (GONE_ATTEMPTS, GONE_WAIT),
            Some(404 | 408 | 429 | 500..) => (ATTEMPTS, http.settings().retry.wait(attempt)),
            None if error.disposition == Disposition::NotSent && error.retryable() => {
                (UNREACHABLE_ATTEMPTS, http.settings().retry.wait(attempt))
            }
            None if error.retryable() => (ATTEMPTS, http.settings().retry.wait(attempt)),
            _ => (1, Duration::ZERO),
        };
        let wait = wait.max(error.retry_after.unwrap_or_default());
        if attempt >= attempts || Instant::now() + wait >= until {
            return Err(explain(&error, secret));
        }
        tokio::select! {
            () = cancel.cancelled() => return Err(Error::new(ErrorKind::Cancelled, "cancelled")),
            () = sleep(wait) => {}
        }
    }
}

fn request(host: &ManagedIdentityHost, identity: Option<&Identity>, audience: &str) -> Result<Request, Error> {
    let (endpoint, version, header) = match host {
        ManagedIdentityHost::Imds { endpoint } => {
            let mut endpoint = endpoint_url(endpoint.as_deref().unwrap_or(IMDS))?;
            endpoint
                .path_segments_mut()
                .map_err(|()| refuse("it has no path"))?
                .pop_if_empty()
                .extend(["metadata", "identity", "oauth2", "token"]);
            (endpoint, "2018-02-01", (HeaderName::from_static("metadata"), HeaderValue::from_static("true")))
        }
        ManagedIdentityHost::AppService { endpoint, header } => {
            let mut value = HeaderValue::from_str(header.expose())
                .map_err(|_| refuse("the identity header holds characters that no header can carry"))?;
            value.set_sensitive(true);
            (endpoint_url(endpoint)?, "2019-08-01", (HeaderName::from_static("x-identity-header"), value))
        }
        _ => return Err(refuse("this kind of host is not known")),
    };
    let app_service = matches!(host, ManagedIdentityHost::AppService { .. });
    let mut url = endpoint;
    let mut query = url.query_pairs_mut();
    query.append_pair("api-version", version).append_pair("resource", audience);
    match identity {
        None => {}
        Some(Identity::ClientId(id)) => {
            query.append_pair("client_id", id);
        }
        Some(Identity::ObjectId(id)) => {
            query.append_pair(if app_service { "principal_id" } else { "object_id" }, id);
        }
        Some(Identity::ResourceId(id)) => {
            query.append_pair(if app_service { "mi_res_id" } else { "msi_res_id" }, id);
        }
    }
    drop(query);
    let mut request = Request::new("token", http::Method::GET, url, Policy::Once);
    request.managed_identity = true;
    request.headers.insert(header.0, header.1);
    request.headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    Ok(request)
}

fn endpoint_url(endpoint: &str) -> Result<Url, Error> {
    let url = Url::parse(endpoint.trim()).map_err(|error| refuse(&format!("it is not a URL ({error})")))?;
    if url.fragment().is_some() {
        return Err(refuse("it has a fragment"));
    }
    Ok(url)
}

fn refuse(why: &str) -> Error {
    Error::new(ErrorKind::Configuration, format!("the managed-identity endpoint cannot be used: {why}"))
}

fn explain(error: &sortie_http::Error, secret: &str) -> Error {
    let unreachable = error.status.is_none() && error.disposition == Disposition::NotSent && error.retryable();
    let hint = match error.status {
        Some(400) => Some(
            "The resource has no such identity: assign a managed identity to it, and name which one if it has several.",
        ),
        Some(403) => {
            Some("The managed-identity host refuses this process: a proxy or a container network may stand between.")
        }
        Some(404 | 410) => Some("The managed-identity host is starting or being updated: try again in a minute."),
        None if unreachable => Some(
            "No managed-identity host answers here: this process does not run on an Azure resource that has one. Use a certificate or a secret instead.",
        ),
        _ => None,
    };
    let status = error.status;
    let mut explained = Error::from_http(error, &"the managed identity", &[secret]);
    // 400 is "no such identity", whatever its body says.
    if status == Some(400) {
        explained.kind = ErrorKind::InvalidCredential;
    } else if matches!(status, Some(404 | 410)) {
        explained.kind = ErrorKind::Unavailable;
    }
    explained.hint = hint.map(ToOwned::to_owned).or_else(|| explained.hint.take());
    explained
}
