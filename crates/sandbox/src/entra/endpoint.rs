//! `POST /login/{tenant}/oauth2/v2.0/token`: the client credentials grant (contract section 2).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use super::assertion::Judge;
use super::directory::{Audience, Directory, Grant, fingerprint};
use crate::call::Call;
use crate::record::SecretSeen;
use crate::reply::Reply;

/// What the endpoint needs to know of the tenant.
#[derive(Debug)]
pub(crate) struct Realm<'a> {
    pub(crate) tenant_id: &'a str,
    pub(crate) domain: &'a str,
    pub(crate) origin: &'a str,
}

/// A refusal: the `error` member, the AADSTS number, the text.
struct No(&'static str, u32, String);

fn no<T>(error: &'static str, code: u32, text: impl Into<String>) -> Result<T, No> {
    Err(No(error, code, text.into()))
}

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The `{tenant}` segments that name no tenant.
const SHARED: &[&str] = &["common", "consumers", "organizations"];

/// A form: its fields, and what the record may keep of it.
#[derive(Default)]
struct Form {
    fields: Vec<(String, String)>,
    basic: Option<(String, String)>,
}

impl Form {
    fn read(call: &Call) -> Self {
        let kind = call.header("content-type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        let fields = if kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            url::form_urlencoded::parse(&call.body).into_owned().collect()
        } else {
            Vec::new()
        };
        Self { fields, basic: call.header("authorization").and_then(basic) }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    fn client_id(&self) -> Option<&str> {
        self.get("client_id").or_else(|| self.basic.as_ref().map(|(id, _)| id.as_str()))
    }

    fn secret(&self) -> Option<&str> {
        self.get("client_secret").or_else(|| self.basic.as_ref().map(|(_, secret)| secret.as_str()))
    }
}

/// HTTP Basic: id and secret, each form-encoded before they were joined (RFC 6749 section 2.3.1).
pub(crate) fn basic(header: &str) -> Option<(String, String)> {
    let text = String::from_utf8(STANDARD.decode(header.strip_prefix("Basic ")?).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    let decode =
        |part: &str| percent_decode_str(&part.replace('+', " ")).decode_utf8().ok().map(|text| text.into_owned());
    Some((decode(id)?, decode(secret)?))
}

/// What a record keeps of a token request: the form with secrets replaced, and what the secrets were.
pub(crate) fn redact(body: &[u8], directory: &Directory) -> (String, Vec<SecretSeen>) {
    let mut seen = Vec::new();
    let mut text = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in url::form_urlencoded::parse(body) {
        let secret = matches!(&*name, "client_secret" | "client_assertion" | "password" | "refresh_token");
        if secret {
            let fingerprint = fingerprint(&value);
            text.append_pair(&name, &format!("sha256:{fingerprint}"));
            let application = if name == "client_secret" { directory.owner_of_secret(&value) } else { None };
            seen.push(SecretSeen { field: name.into_owned(), fingerprint, application });
        } else {
            text.append_pair(&name, &value);
        }
    }
    (text.finish(), seen)
}

/// Answers a token request; with the name of the application that proved to be itself.
pub(crate) fn token(
    call: &Call,
    realm: &Realm<'_>,
    directory: &mut Directory,
    trace: (&str, &str),
) -> (Reply, Option<String>) {
    let form = Form::read(call);
    match grant(call, &form, realm, directory) {
        Ok((client_id, name, grant)) => {
            let switches = &call.switches;
            let Some(token) = directory.issue(&client_id, &grant, switches.token_seconds, call.now) else {
                return (
                    refusal(call, &No("server_error", 90033, "A transient error has occurred.".to_owned()), trace),
                    None,
                );
            };
            let mut body = Map::new();
            body.insert("token_type".to_owned(), "Bearer".into());
            body.insert("expires_in".to_owned(), switches.token_seconds.into());
            if switches.token_ext_expires_in {
                body.insert("ext_expires_in".to_owned(), switches.token_seconds.into());
            }
            if let Some(refresh_in) = switches.token_refresh_in {
                body.insert("refresh_in".to_owned(), refresh_in.into());
            }
            body.insert("access_token".to_owned(), token.into());
            let reply = Reply::json(200, &Value::Object(body)).header("cache-control", "no-store, no-cache").worked();
            (reply, Some(name))
        }
        Err(refused) => (refusal(call, &refused, trace), None),
    }
}

fn grant(
    call: &Call,
    form: &Form,
    realm: &Realm<'_>,
    directory: &mut Directory,
) -> Result<(String, String, Grant), No> {
    // segments: {tenant}, "oauth2", "v2.0", "token"
    let tenant = call.segments.first().map(String::as_str).unwrap_or_default();
    if SHARED.contains(&tenant) {
        return no(
            "invalid_request",
            9_001_023,
            "The grant type isn't supported over the /common or /consumers endpoints. Please use the /organizations or tenant-specific endpoint.",
        );
    }
    if tenant != realm.tenant_id && !tenant.eq_ignore_ascii_case(realm.domain) {
        return no(
            "invalid_request",
            90002,
            format!(
                "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud."
            ),
        );
    }
    let missing = |name: &str| {
        No("invalid_request", 900_144, format!("The request body must contain the following parameter: '{name}'."))
    };
    for (place, (name, _)) in form.fields.iter().enumerate() {
        if form.fields.iter().take(place).any(|(known, _)| known == name) {
            return no(
                "invalid_request",
                9_002_313,
                format!("Invalid request. Request is malformed or invalid: '{name}' is duplicated."),
            );
        }
    }
    let kind = form.get("grant_type").ok_or_else(|| missing("grant_type"))?;
    if kind != "client_credentials" {
        return no("unsupported_grant_type", 70003, format!("The app requested an unsupported grant type '{kind}'."));
    }
    let client_id = form.client_id().ok_or_else(|| missing("client_id"))?.to_owned();
    let scope = form.get("scope").ok_or_else(|| missing("scope"))?;
    let Some((application, registered)) = directory.application(&client_id) else {
        return no(
            "unauthorized_client",
            700_016,
            format!("Application with identifier '{client_id}' was not found in the directory '{}'.", realm.domain),
        );
    };
    if application.disabled {
        return no(
            "unauthorized_client",
            7_000_112,
            format!("Application '{client_id}'({}) is disabled.", application.name),
        );
    }
    let name = application.name.clone();
    let own_id = application.client_id.clone();
    let mut assertion_id = None;
    if let Some(assertion) = form.get("client_assertion") {
        if form.get("client_assertion_type") != Some(ASSERTION_TYPE) {
            return no(
                "invalid_request",
                900_144,
                "The request body must contain the following parameter: 'client_assertion_type'.",
            );
        }
        let endpoint = format!("{}{}", realm.origin, call.path);
        let judge =
            Judge { application, registered, endpoint: &endpoint, now: call.now, rs256: call.switches.assertion_rs256 };
        let accepted = judge.check(assertion).map_err(|refused| No("invalid_client", refused.0, refused.1))?;
        assertion_id = accepted.id.map(|id| (id, accepted.expires));
    } else if let Some(secret) = form.secret() {
        match application.secrets.iter().find(|known| known.value == secret) {
            None => {
                return no(
                    "invalid_client",
                    7_000_215,
                    format!(
                        "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '{client_id}'."
                    ),
                );
            }
            Some(known) if known.expires.is_some_and(|expires| expires <= call.now) => {
                return no(
                    "invalid_client",
                    7_000_222,
                    format!("The provided client secret keys for app '{client_id}' are expired."),
                );
            }
            Some(_) => {}
        }
    } else {
        return no(
            "invalid_client",
            7_000_218,
            "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
        );
    }
    let audience = audience(scope, realm)?;
    if let Some((id, expires)) = assertion_id
        && !directory.use_once(id, expires, call.now)
    {
        return no(
            "invalid_client",
            700_027,
            "Client assertion failed signature validation: the assertion was used before.",
        );
    }
    Ok((own_id, name, Grant { audience, claims: form.get("claims").map(str::to_owned) }))
}

/// The one resource that a scope names.
fn audience(scope: &str, realm: &Realm<'_>) -> Result<Audience, No> {
    let scopes: Vec<&str> = scope.split(' ').filter(|scope| !scope.is_empty()).collect();
    let mut found = None;
    for scope in &scopes {
        let Some(resource) = scope.strip_suffix("/.default") else {
            return no(
                "invalid_scope",
                70011,
                format!(
                    "The provided value for the input parameter 'scope' is not valid. The scope {scope} is not valid."
                ),
            );
        };
        if found.is_some_and(|known| known != resource) {
            return no(
                "invalid_request",
                700_022,
                "The provided value for the input parameter 'scope' isn't valid because it contains more than one resource.",
            );
        }
        found = Some(resource);
    }
    let Some(resource) = found else {
        return no("invalid_scope", 70011, "The provided value for the input parameter 'scope' is not valid.");
    };
    Audience::of(resource).map_or_else(
        || {
            no(
                "invalid_resource",
                500_011,
                format!("The resource principal named {resource} was not found in the tenant named {}.", realm.domain),
            )
        },
        Ok,
    )
}

fn refusal(call: &Call, No(error, code, text): &No, (trace_id, correlation_id): (&str, &str)) -> Reply {
    let status = if *error == "invalid_client" { call.switches.credential_error_status } else { 400 };
    error_body(status, error, *code, text, call.now, trace_id, correlation_id)
}

/// An error of the token endpoint.
pub(crate) fn error_body(
    status: u16,
    error: &str,
    code: u32,
    text: &str,
    now: Timestamp,
    trace_id: &str,
    correlation_id: &str,
) -> Reply {
    let timestamp = now.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
    let body = json!({
        "error": error,
        "error_description": format!("AADSTS{code}: {text}\r\nTrace ID: {trace_id}\r\nCorrelation ID: {correlation_id}\r\nTimestamp: {timestamp}"),
        "error_codes": [code],
        "timestamp": timestamp,
        "trace_id": trace_id,
        "correlation_id": correlation_id,
        "error_uri": format!("https://login.microsoftonline.com/error?code={code}"),
    });
    Reply::json(status, &body)
}
