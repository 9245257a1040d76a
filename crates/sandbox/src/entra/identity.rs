//! Managed identity: the instance metadata service (IMDS, 2018-02-01) and the App Service endpoint (2019-08-01).

use serde_json::{Value, json};

use super::directory::{Audience, Directory, Grant};
use crate::application::Application;
use crate::call::Call;
use crate::reply::Reply;

/// `GET /identity/metadata/identity/oauth2/token`
pub(crate) fn metadata(call: &Call, directory: &mut Directory) -> Reply {
    let refuse =
        |status, error: &str, text: &str| Reply::json(status, &json!({ "error": error, "error_description": text }));
    if call.header("x-forwarded-for").is_some() {
        return refuse(400, "bad_request", "X-Forwarded-For is not allowed.");
    }
    if call.header("metadata") != Some("true") {
        return refuse(400, "bad_request_102", "Required metadata header not specified");
    }
    match call.option("api-version") {
        Some("2018-02-01") => {}
        Some(_) => return refuse(400, "bad_request", "The api-version is not supported."),
        None => return refuse(400, "bad_request", "Required query variable 'api-version' is missing"),
    }
    let Some(resource) = call.option("resource") else {
        return refuse(400, "invalid_request", "Required query variable 'resource' is missing");
    };
    let named = [("client_id", 0), ("object_id", 1), ("principal_id", 1), ("msi_res_id", 2), ("mi_res_id", 2)];
    let Some(application) = choose(call, directory, &named) else {
        return refuse(400, "invalid_request", "Identity not found");
    };
    let Some(audience) = Audience::of(resource) else {
        return refuse(
            400,
            "invalid_resource",
            &format!("AADSTS500011: The resource principal named {resource} was not found in the tenant."),
        );
    };
    let client_id = application.client_id.clone();
    answer(call, directory, &client_id, audience, resource, true)
}

/// `GET /identity/msi/token`
pub(crate) fn app_service(call: &Call, directory: &mut Directory, identity_header: &str) -> Reply {
    let refuse = |status: u16, text: &str| {
        Reply::json(status, &json!({ "statusCode": status, "message": text, "correlationId": null }))
    };
    if call.header("x-identity-header") != Some(identity_header) {
        return refuse(401, "The X-IDENTITY-HEADER is missing or wrong.");
    }
    if call.option("api-version") != Some("2019-08-01") {
        return refuse(400, "The api-version is not supported.");
    }
    let Some(resource) = call.option("resource") else {
        return refuse(400, "Required query variable 'resource' is missing.");
    };
    let named = [("client_id", 0), ("principal_id", 1), ("object_id", 1), ("mi_res_id", 2)];
    let Some(application) = choose(call, directory, &named) else {
        return refuse(
            400,
            "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId.",
        );
    };
    let Some(audience) = Audience::of(resource) else {
        return refuse(
            400,
            &format!("AADSTS500011: The resource principal named {resource} was not found in the tenant."),
        );
    };
    let client_id = application.client_id.clone();
    answer(call, directory, &client_id, audience, resource, false)
}

/// The managed identity that the query names; without a name, the system-assigned one. More than one name finds none.
fn choose<'a>(call: &Call, directory: &'a Directory, named: &[(&str, u8)]) -> Option<&'a Application> {
    let wanted: Vec<(u8, &str)> =
        named.iter().filter_map(|(option, kind)| Some((*kind, call.option(option)?))).collect();
    let mut identities =
        directory.applications().filter_map(|application| Some((application, application.managed_identity.as_ref()?)));
    match wanted[..] {
        [] => identities.find(|(_, identity)| identity.system_assigned),
        [(kind, value)] => identities.find(|(application, identity)| match kind {
            0 => application.client_id.eq_ignore_ascii_case(value),
            1 => identity.object_id.eq_ignore_ascii_case(value),
            _ => identity.resource_id.eq_ignore_ascii_case(value),
        }),
        _ => None,
    }
    .map(|(application, _)| application)
}

fn answer(
    call: &Call,
    directory: &mut Directory,
    client_id: &str,
    audience: Audience,
    resource: &str,
    metadata: bool,
) -> Reply {
    let seconds = call.switches.token_seconds;
    let Some(token) = directory.issue(client_id, &Grant { audience, claims: None }, seconds, call.now) else {
        return Reply::json(500, &json!({ "error": "server_error" }));
    };
    let number =
        |value: i64| if call.switches.identity_text_times { Value::String(value.to_string()) } else { value.into() };
    let expires_on = call.now.as_second() + seconds;
    let mut body = json!({
        "access_token": token,
        "client_id": client_id,
        "expires_on": number(expires_on),
        "resource": resource,
        "token_type": "Bearer",
    });
    if metadata {
        body["expires_in"] = number(seconds);
        body["ext_expires_in"] = number(seconds);
        body["not_before"] = number(call.now.as_second());
    }
    Reply::json(200, &body).worked()
}
