//! From the transport's and the token client's errors to the house's [`Failure`].
//!
//! The kind follows from what those crates decided where they parsed the answer: a status, a connection fault,
//! Entra's `error` member. Messages are carried over, never read.

use crate::failure::Failure;
use crate::text::clean;
use sortie_abi::kinds;
use sortie_auth::{AccessToken, Call, diagnosis};
use sortie_http::{Disposition, ErrorKind as Http};

/// What became of the work, in the words of an answer head.
pub(crate) const fn outcome(disposition: Disposition) -> &'static str {
    match disposition {
        Disposition::Answered => "answered",
        Disposition::NotSent => "not_sent",
        Disposition::InDoubt => "in_doubt",
    }
}

/// The kind for a status that is neither a success nor something the transport judges by itself.
const fn kind_of_status(status: u16) -> &'static str {
    match status {
        401 => kinds::UNAUTHORIZED,
        403 => kinds::FORBIDDEN,
        404 | 410 => kinds::NOT_FOUND,
        409 | 412 | 423 => kinds::CONFLICT,
        _ => kinds::FAILED,
    }
}

/// The failure of a call, with the remedy where one can be told from the call and the token.
pub(crate) fn of_call(error: &sortie_http::Error, call: &Call, token: Option<&AccessToken>) -> Failure {
    let kind = match error.kind {
        Http::BlockedUrl | Http::Configuration | Http::Certificate => kinds::CONFIGURATION,
        Http::Unavailable => kinds::UNAVAILABLE,
        Http::Timeout => kinds::TIMEOUT,
        Http::Throttled => kinds::THROTTLED,
        Http::TooLarge => kinds::RESPONSE_TOO_LARGE,
        Http::Cancelled => kinds::CANCELLED,
        Http::Status(status) => kind_of_status(status),
        // `BadResponse`, `Partial`, and what a newer transport may add: the answer cannot be used.
        _ => kinds::BAD_RESPONSE,
    };
    let mut failure = Failure::new(kind, &error.message);
    failure.hint = match error.kind {
        Http::Status(401) => Some(diagnosis::unauthorized(call)),
        Http::Status(403) => Some(diagnosis::forbidden(call, token)),
        Http::Certificate => Some(
            "if a proxy opens TLS here, name its CA certificates: ca_file in the profile, or SSL_CERT_FILE".to_owned(),
        ),
        _ => None,
    };
    // Whoever tries a write again whose first try may have been done, does it twice.
    if call.effect.writes() && error.disposition == Disposition::InDoubt {
        failure.retryable = false;
    }
    failure.retry_after = error.retry_after;
    failure.http_status = error.status;
    failure.request_id = error.request_id.as_deref().map(|id| clean(id, 128));
    failure.code = error.code.as_deref().map(|code| clean(code, 128));
    failure
}

impl From<sortie_entra::Error> for Failure {
    fn from(error: sortie_entra::Error) -> Self {
        use sortie_entra::ErrorKind as Entra;
        let kind = match error.kind {
            Entra::InvalidCredential => kinds::INVALID_CREDENTIAL,
            Entra::Configuration => kinds::CONFIGURATION,
            Entra::Forbidden => kinds::FORBIDDEN,
            Entra::Throttled => kinds::THROTTLED,
            Entra::Unavailable => kinds::UNAVAILABLE,
            Entra::Timeout => kinds::TIMEOUT,
            Entra::Cancelled => kinds::CANCELLED,
            _ => kinds::BAD_RESPONSE,
        };
        let mut failure = Self::new(kind, &error.message);
        if let Some(hint) = &error.hint {
            failure = failure.with_hint(hint);
        }
        failure.retry_after = error.retry_after;
        failure.http_status = error.status;
        failure.request_id = error.trace_id.as_deref().map(|id| clean(id, 128));
        failure.code = match error.codes.first() {
            Some(code) => Some(format!("AADSTS{code}")),
            None => error.error.as_deref().map(|code| clean(code, 128)),
        };
        failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sortie_auth::{Api, Effect, LimitClass, Method, Permission, Role};
    use std::borrow::Cow;
    use std::time::Duration;

    fn call(effect: Effect) -> Call {
        Call {
            id: Cow::Borrowed("machines.isolate"),
            api: Api::DEFENDER_ENDPOINT,
            method: Method::Post,
            path: Cow::Borrowed("/machines/{machineId}/isolate"),
            effect,
            role: Role::Remediation,
            permissions: Cow::Owned(vec![Permission::named("Machine.Isolate")]),
            limit: LimitClass::named("defender-endpoint"),
        }
    }

    /// An error of the transport. It makes its own only, so one is had from a URL that is never asked, and changed.
    fn error(kind: Http, disposition: Disposition, status: Option<u16>) -> sortie_http::Error {
        let client = sortie_http::Client::new(sortie_http::Settings::default());
        let request = sortie_http::Request::get("x", "ftp://x.example/".parse().unwrap());
        let until = tokio::time::Instant::now() + Duration::from_secs(60);
        let cancel = tokio_util::sync::CancellationToken::new();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut error = runtime.block_on(client.send(request, until, &cancel)).unwrap_err();
        error.kind = kind;
        error.disposition = disposition;
        error.status = status;
        error.code = Some("Their\nCode".into());
        error.request_id = Some("their-id".into());
        error.retry_after = Some(Duration::from_secs(3));
        error
    }

    #[test]
    fn every_fault_of_the_transport_has_a_kind() {
        for (fault, kind) in [
            (Http::BlockedUrl, "configuration"),
            (Http::Configuration, "configuration"),
            (Http::Certificate, "configuration"),
            (Http::Unavailable, "unavailable"),
            (Http::Timeout, "timeout"),
            (Http::Throttled, "throttled"),
            (Http::BadResponse, "bad_response"),
            (Http::Partial, "bad_response"),
            (Http::TooLarge, "response_too_large"),
            (Http::Cancelled, "cancelled"),
            (Http::Status(400), "failed"),
            (Http::Status(401), "unauthorized"),
            (Http::Status(403), "forbidden"),
            (Http::Status(404), "not_found"),
            (Http::Status(409), "conflict"),
            (Http::Status(423), "conflict"),
        ] {
            let failure = of_call(&error(fault, Disposition::Answered, Some(418)), &call(Effect::Read), None);
            assert_eq!(failure.kind, kind, "{fault:?}");
            assert!(kinds::find(&failure.kind).is_some());
            assert_eq!((failure.http_status, failure.code.as_deref()), (Some(418), Some("Their Code")));
            assert_eq!(failure.retry_after, Some(Duration::from_secs(3)));
            assert_eq!(failure.request_id.as_deref(), Some("their-id"));
        }
    }

    #[test]
    fn a_write_in_doubt_is_never_called_retryable() {
        for (effect, disposition, retryable) in [
            (Effect::Read, Disposition::InDoubt, true),
            (Effect::Write, Disposition::NotSent, true),
            (Effect::Write, Disposition::InDoubt, false),
            (Effect::Destructive, Disposition::InDoubt, false),
        ] {
            let failure = of_call(&error(Http::Timeout, disposition, None), &call(effect), None);
            assert_eq!(failure.retryable, retryable, "{effect:?} {disposition:?}");
        }
    }
}
