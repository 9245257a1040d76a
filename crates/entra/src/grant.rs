//! The token request on the wire: the form that goes out and the answer that comes back (contract section 2).

use crate::error::{Error, ErrorKind};
use bytes::Bytes;
use http::HeaderValue;
use http::header::{ACCEPT, CONTENT_TYPE};
use serde::Deserialize;
use sortie_auth::{AccessToken, Secret};
use sortie_http::{Policy, Request};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use url::{Url, form_urlencoded};
use uuid::Uuid;
use zeroize::Zeroizing;

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What proves who is asking.
pub(crate) enum Proof<'a> {
    Secret(&'a str),
    Assertion(&'a str),
}

/// A `client_credentials` request.
pub(crate) fn request(
    endpoint: &Url,
    client_id: &str,
    audience: &str,
    proof: &Proof<'_>,
    claims: Option<&str>,
) -> Request {
    // Long enough from the start: a growing string would leave copies behind.
    let mut form = form_urlencoded::Serializer::new(String::with_capacity(16 << 10));
    form.append_pair("client_id", client_id);
    form.append_pair("scope", &format!("{audience}/.default"));
    form.append_pair("grant_type", "client_credentials");
    match proof {
        Proof::Secret(secret) => form.append_pair("client_secret", secret),
        Proof::Assertion(assertion) => {
            form.append_pair("client_assertion_type", JWT_BEARER).append_pair("client_assertion", assertion)
        }
    };
    if let Some(claims) = claims {
        form.append_pair("claims", claims);
    }
    // A secret may be used again, an assertion carries an id that is good for one use.
    let policy = match proof {
        Proof::Secret(_) => Policy::Read,
        Proof::Assertion(_) => Policy::Write,
    };
    let mut request = Request::new("token", http::Method::POST, endpoint.clone(), policy);
    request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    request.headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    request.body = Bytes::from_owner(Zeroizing::new(form.finish().into_bytes()));
    request
}

/// The answer. Managed-identity hosts send numbers as strings and a time beside the span.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    token_type: Option<String>,
    access_token: String,
    #[serde(default)]
    expires_in: Option<Number>,
    #[serde(default)]
    refresh_in: Option<Number>,
    #[serde(default)]
    expires_on: Option<Number>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Number(f64),
    Text(String),
}

impl Number {
    fn seconds(&self) -> Option<Duration> {
        let seconds = match self {
            Self::Number(number) => *number,
            Self::Text(text) => text.trim().parse().ok()?,
        };
        Duration::try_from_secs_f64(seconds).ok()
    }
}

/// Tokens live an hour, a day at most; a longer life is cut.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 3600);

/// Without advice from the server a token is renewed this long before its end (or in the last quarter of a short life).
const RENEW_BEFORE_END: Duration = Duration::from_secs(300);

/// A managed identity's token with at least this long a life is renewed at half of it.
const LONG_MANAGED_LIFE: Duration = Duration::from_secs(7200);

/// The latest that renewals are spread over, so that many processes do not ask in the same second.
const LARGEST_JITTER: Duration = Duration::from_secs(60);

/// Reads a token out of an answer.
pub(crate) fn parse(body: &[u8], managed: bool, now: SystemTime) -> Result<AccessToken, Error> {
    let refuse =
        |why: &str| Error::new(ErrorKind::BadResponse, format!("the token endpoint's answer is unusable: {why}"));
    // The parser's message would show the text around the fault.
    let answer: Answer = serde_json::from_slice(body).map_err(|_| refuse("it holds no access token"))?;
    let access_token = Zeroizing::new(answer.access_token);
    if access_token.is_empty() || !access_token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(refuse("its access token is empty or holds characters that no token has"));
    }
    if answer.token_type.is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err(refuse("its token is not a bearer token"));
    }
    let until = answer.expires_on.and_then(|time| (UNIX_EPOCH + time.seconds()?).duration_since(now).ok());
    let life = answer
        .expires_in
        .and_then(|span| span.seconds())
        .or(until)
        .ok_or_else(|| refuse("it does not say how long the token lives"))?;
    if life.is_zero() {
        return Err(refuse("its token has already expired"));
    }
    let life = life.min(LONGEST_LIFE);
    let advised = answer.refresh_in.and_then(|span| span.seconds()).filter(|span| *span < life);
    let renew = match advised {
        Some(advised) => advised,
        None if managed && life >= LONG_MANAGED_LIFE => life / 2,
        None => life - RENEW_BEFORE_END.min(life / 4),
    };
    let jitter = LARGEST_JITTER.min(renew / 10).min((life - renew) / 2).mul_f64(fraction());
    Ok(AccessToken {
        secret: Secret::new(access_token.as_str()),
        refresh_on: now + renew + jitter,
        expires_on: now + life,
    })
}

/// A random number in `0.0..1.0`.
fn fraction() -> f64 {
    // The first 48 bits of such an id are random throughout.
    let (bits, _) = Uuid::new_v4().as_u64_pair();
    (bits >> 16) as f64 / (1_u64 << 48) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(body: &str, managed: bool) -> Result<(String, u64, u64), Error> {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let token = parse(body.as_bytes(), managed, now)?;
        let after = |time: SystemTime| time.duration_since(now).unwrap().as_secs();
        Ok((token.secret.expose().to_owned(), after(token.refresh_on), after(token.expires_on)))
    }

    #[test]
    fn answers_are_read_as_they_are_documented() {
        let (token, refresh, expires) =
            read(r#"{"token_type":"Bearer","expires_in":3599,"ext_expires_in":0,"access_token":"abc"}"#, false)
                .unwrap();
        assert_eq!((token.as_str(), expires), ("abc", 3599));
        assert!((3299..=3359).contains(&refresh), "{refresh}");
        let (_, refresh, _) =
            read(r#"{"token_type":"bearer","expires_in":86400,"refresh_in":43200,"access_token":"abc"}"#, false)
                .unwrap();
        assert!((43_200..=43_260).contains(&refresh), "{refresh}");
        assert_eq!(read(r#"{"expires_in":3600,"refresh_in":0,"access_token":"abc"}"#, false).unwrap().1, 0);
        assert_eq!(read(r#"{"expires_in":60,"access_token":"abc"}"#, false).unwrap().2, 60);
        assert_eq!(read(r#"{"expires_in":1e9,"access_token":"abc"}"#, false).unwrap().2, 86_400);
    }

    #[test]
    fn managed_identities_write_numbers_as_text() {
        let (_, refresh, expires) = read(
            r#"{"access_token":"abc","expires_in":"86400","expires_on":"1","token_type":"Bearer","resource":"x"}"#,
            true,
        )
        .unwrap();
        assert_eq!(expires, 86_400);
        assert!((43_200..=43_260).contains(&refresh), "{refresh}");
        assert_eq!(read(r#"{"access_token":"abc","expires_on":"1003600"}"#, true).unwrap().2, 3600);
        assert_eq!(read(r#"{"access_token":"abc","expires_on":1003600}"#, true).unwrap().2, 3600);
    }

    #[test]
    fn useless_answers_are_refused_without_being_quoted() {
        for body in [
            "{}",
            "[]",
            r#"{"access_token":"canary"}"#,
            r#"{"access_token":"","expires_in":1}"#,
            r#"{"access_token":7,"expires_in":"canary"}"#,
            r#"{"access_token":"canary\r\nX: y","expires_in":1}"#,
            r#"{"access_token":"canary","expires_in":0}"#,
            r#"{"access_token":"canary","expires_in":-5}"#,
            r#"{"access_token":"canary","expires_in":"soon"}"#,
            r#"{"access_token":"canary","expires_on":"5"}"#,
            r#"{"access_token":"canary","expires_in":5,"token_type":"mac"}"#,
        ] {
            let error = read(body, false).unwrap_err();
            assert_eq!(error.kind, ErrorKind::BadResponse, "{body}");
            assert!(!format!("{error:?} {error}").contains("canary"), "{error}");
        }
    }

    #[test]
    fn secrets_are_encoded_and_the_scope_names_one_resource() {
        let endpoint = Url::parse("https://login.example/t/oauth2/v2.0/token").unwrap();
        let sent =
            request(&endpoint, "app", "https://graph.microsoft.com", &Proof::Secret("a+b &=%ü~"), Some(r#"{"x":1}"#));
        let pairs: Vec<_> = form_urlencoded::parse(&sent.body).into_owned().collect();
        let get = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        assert_eq!(get("client_secret"), Some("a+b &=%ü~"));
        assert_eq!(get("scope"), Some("https://graph.microsoft.com/.default"));
        assert_eq!(get("grant_type"), Some("client_credentials"));
        assert_eq!(get("claims"), Some(r#"{"x":1}"#));
        let sent = request(&endpoint, "app", "x", &Proof::Assertion("e30.e30.x"), None);
        let pairs: Vec<_> = form_urlencoded::parse(&sent.body).into_owned().collect();
        assert!(pairs.contains(&("client_assertion_type".into(), JWT_BEARER.into())));
        assert_eq!(sent.policy, Policy::Write);
    }

    proptest! {
        #[test]
        fn renewal_lies_within_life(life in 0.001_f64..1e7, refresh in prop::option::of(0.0_f64..1e7), managed: bool) {
            let refresh = refresh.map_or(String::new(), |refresh| format!(r#","refresh_in":{refresh}"#));
            let body = format!(r#"{{"access_token":"abc","expires_in":{life}{refresh}}}"#);
            let token = parse(body.as_bytes(), managed, SystemTime::now()).unwrap();
            prop_assert!(token.refresh_on <= token.expires_on);
        }

        #[test]
        fn no_body_makes_it_fall_over(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&body, true, SystemTime::now());
        }
    }
}
