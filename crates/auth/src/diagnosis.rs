//! What a refusal means and what to do about it.
//!
//! Two kinds of refusal are read here: Entra's, when a token is asked for (a number such as AADSTS7000215 in
//! `error_codes`), and an API's, when a call is made (401, 403). Microsoft says that its numbers and texts may change and
//! must not drive a program, so they choose a *hint*, never what the program does: that follows from the HTTP
//! status and the `error` member alone.
//!
//! The meanings are those of contract section 2.

use crate::{AccessToken, Call, Permission};

/// Whose turn it is to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remedy {
    /// The secret, certificate or federated token must be replaced or set up.
    Credential,
    /// The tenant, the cloud or the application id in the profile must be corrected.
    Profile,
    /// A permission, a consent or the API itself must be granted in the tenant.
    Consent,
    /// A policy of the tenant stands in the way.
    Policy,
    /// Nothing: it passes.
    Wait,
    /// The request itself is wrong: a fault of the settings or of this program.
    Request,
}

/// What one of Entra's error numbers means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advice {
    /// The number, without `AADSTS`.
    pub code: u32,
    /// Whose turn it is.
    pub remedy: Remedy,
    /// What to do, in one or two sentences.
    pub hint: &'static str,
}

const fn advice(code: u32, remedy: Remedy, hint: &'static str) -> Advice {
    Advice { code, remedy, hint }
}

const NATIONAL_CLOUD: &str =
    "The tenant lives in another national cloud: set the profile's cloud (gcc, gcc-high, dod, china) accordingly.";
const SIGNATURE: &str = "The certificate is not registered with the application, or its key does not match: upload the certificate to the application, and check which PEM file the profile names.";
const FEDERATED: &str = "No federated credential of the application matches the token: compare issuer, subject and audience of the token file with those registered on the application.";
const CONSENT: &str = "The API is not granted to the application: add its application permissions and have an administrator grant consent.";
const CONDITIONAL_ACCESS: &str = "A Conditional Access policy for workload identities blocks the application from here: an administrator must exclude it or allow this network.";
const TRANSIENT: &str = "Entra has a passing problem: try again later.";
const MALFORMED: &str =
    "Entra could not read the request: check client id, tenant and audience in the profile for stray characters.";

/// Everything this crate knows, sorted by number.
pub const ADVICE: &[Advice] = &[
    advice(50012, Remedy::Credential, SIGNATURE),
    advice(
        50196,
        Remedy::Wait,
        "Entra sees too many token requests: leave the token cache on, and run fewer processes with this application at once.",
    ),
    advice(53003, Remedy::Policy, CONDITIONAL_ACCESS),
    advice(65001, Remedy::Consent, CONSENT),
    advice(
        70011,
        Remedy::Request,
        "The audience in the profile is not one that Entra knows for this tenant: check the audience of this API.",
    ),
    advice(70021, Remedy::Credential, FEDERATED),
    advice(
        90002,
        Remedy::Profile,
        "Entra knows no such tenant here. Check the tenant id or domain in the profile, and that the profile's cloud is the one the tenant lives in.",
    ),
    advice(90006, Remedy::Wait, TRANSIENT),
    advice(90012, Remedy::Wait, TRANSIENT),
    advice(90014, Remedy::Request, MALFORMED),
    advice(90024, Remedy::Wait, TRANSIENT),
    advice(90033, Remedy::Wait, TRANSIENT),
    advice(90038, Remedy::Profile, NATIONAL_CLOUD),
    advice(90055, Remedy::Wait, "Entra throttles this tenant: wait some minutes, and leave the token cache on."),
    advice(90094, Remedy::Consent, "An administrator must grant consent to the application's permissions."),
    advice(
        500_011,
        Remedy::Consent,
        "The API has no service principal in this tenant: the product is not licensed or not provisioned there, or the audience in the profile is wrong for this cloud.",
    ),
    advice(530_032, Remedy::Policy, "A security policy of the tenant blocks the request: ask an administrator."),
    advice(530_035, Remedy::Policy, "The tenant's security defaults block the request: ask an administrator."),
    advice(650_052, Remedy::Consent, CONSENT),
    advice(650_056, Remedy::Consent, CONSENT),
    advice(650_057, Remedy::Consent, CONSENT),
    advice(
        700_016,
        Remedy::Profile,
        "The tenant knows no application with this client id: check the client id and the tenant, and that the application was registered (or consented to) there.",
    ),
    advice(
        700_022,
        Remedy::Request,
        "The audience in the profile names more than one API: each API has an audience of its own.",
    ),
    advice(
        700_023,
        Remedy::Request,
        "The audience in the profile names no API: it is a URL such as https://graph.microsoft.com, or an application id.",
    ),
    advice(
        700_024,
        Remedy::Credential,
        "The assertion is outside its time range: check this machine's clock, and that the federated token file is being renewed.",
    ),
    advice(
        700_025,
        Remedy::Profile,
        "The application is registered as a public client, which has no secret: use a confidential application.",
    ),
    advice(700_027, Remedy::Credential, SIGNATURE),
    advice(
        700_030,
        Remedy::Credential,
        "The certificate's subject is not one that the application trusts: check its trusted subject names and issuers.",
    ),
    advice(700_211, Remedy::Credential, FEDERATED),
    advice(700_212, Remedy::Credential, FEDERATED),
    advice(700_213, Remedy::Credential, FEDERATED),
    advice(
        700_229,
        Remedy::Credential,
        "Entra as issuer of a federated token needs an app-only token: have the token issued to an application.",
    ),
    advice(900_144, Remedy::Request, MALFORMED),
    advice(900_382, Remedy::Profile, NATIONAL_CLOUD),
    advice(900_384, Remedy::Credential, SIGNATURE),
    advice(900_432, Remedy::Profile, NATIONAL_CLOUD),
    advice(7_000_112, Remedy::Consent, "The application is disabled in this tenant: have an administrator enable it."),
    advice(
        7_000_215,
        Remedy::Credential,
        "The client secret is wrong. Put the secret's value into the profile, not the secret's id, and check that it belongs to this application.",
    ),
    advice(
        7_000_218,
        Remedy::Credential,
        "The request carried no secret and no assertion: set up a credential for this application.",
    ),
    advice(
        7_000_222,
        Remedy::Credential,
        "The client secret has expired: create a new one on the application (or use a certificate) and put it into the profile.",
    ),
    advice(
        9_001_023,
        Remedy::Profile,
        "The tenant must be named: a tenant id or domain, not common, organizations or consumers.",
    ),
    advice(9_002_313, Remedy::Request, MALFORMED),
];

/// What Entra's error numbers mean, by the first one that is known.
pub fn entra(codes: &[u32]) -> Option<&'static Advice> {
    codes.iter().find_map(|code| {
        let at = ADVICE.binary_search_by_key(code, |advice| advice.code).ok()?;
        ADVICE.get(at)
    })
}

/// What to do about a 403 to this call: the permission that is missing, or why it is none.
///
/// Without the token nothing can be said about what it grants.
pub fn forbidden(call: &Call, token: Option<&AccessToken>) -> String {
    let role = call.role;
    let needed = any_of(&call.permissions);
    let Some(roles) = token.and_then(AccessToken::roles) else {
        return format!(
            "The {role} application needs the application permission {needed} of {api}, granted by an administrator.",
            api = call.api
        );
    };
    let has = |permission: &Permission| roles.iter().any(|role| role == permission.as_str());
    if call.permissions.iter().any(has) {
        return format!(
            "The {role} application has the permission {needed}, yet the service refuses: the license, the device group or the role-based access of the tenant may exclude it."
        );
    }
    if roles.is_empty() {
        return format!(
            "The token of the {role} application grants nothing on {api}. Add the application permission {needed} and have an administrator grant consent.",
            api = call.api
        );
    }
    format!(
        "The {role} application lacks the application permission {needed} of {api}; its token grants {granted}. Add it and have an administrator grant consent.",
        api = call.api,
        granted = listed(&roles)
    )
}

/// What to do about a 401 to this call that a new token did not cure.
pub fn unauthorized(call: &Call) -> String {
    format!(
        "{api} does not accept the token: check this API's audience in the profile, that base URL and audience belong to the same cloud, and this machine's clock.",
        api = call.api
    )
}

/// The text of a `claims` parameter, from the `WWW-Authenticate` header of a 401 that asks for one.
///
/// `None` unless the header says `error="insufficient_claims"` and carries claims that decode to a JSON object.
pub fn claims_challenge(challenge: &str) -> Option<String> {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
    if parameter(challenge, "error")? != "insufficient_claims" {
        return None;
    }
    let encoded = parameter(challenge, "claims")?.trim_end_matches('=');
    let claims = URL_SAFE_NO_PAD.decode(encoded).or_else(|_| STANDARD_NO_PAD.decode(encoded)).ok()?;
    let claims = String::from_utf8(claims).ok()?;
    serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&claims).ok()?;
    Some(claims)
}

/// The value of a parameter of a challenge: `name="value"`, where the name is a whole word.
fn parameter<'a>(challenge: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = challenge;
    loop {
        let at = rest.find('=')?;
        let (before, after) = (rest.get(..at)?, rest.get(at + 1..)?);
        let key = before.rsplit([' ', ',']).next().unwrap_or_default();
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_at(after.find([' ', ',']).unwrap_or(after.len())),
        };
        if key.eq_ignore_ascii_case(name) {
            return Some(value);
        }
        rest = next;
    }
}

fn any_of(permissions: &[Permission]) -> String {
    permissions.iter().map(Permission::as_str).collect::<Vec<_>>().join(" or ")
}

/// The first few roles: a token may grant a hundred.
fn listed(roles: &[String]) -> String {
    const SHOWN: usize = 8;
    let mut shown = roles.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if roles.len() > SHOWN {
        shown.push_str(", ...");
    }
    shown
}

#[cfg(test)]
mod tests;
