//! `sortie check`: what works and what is missing, before an incident needs it.
//!
//! For every API and role that the actions need a token is obtained and its permissions are read; each API gets one
//! cheap call; and each call of each action is compared with what its token grants.

use crate::action::Action;
use crate::core::{Core, Until};
use crate::failure::Failure;
use crate::refusal;
use crate::services::fan;
use crate::services::url;
use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderValue, Method as HttpMethod};
use serde::Serialize;
use sortie_abi::kinds;
use sortie_auth::{AccessToken, Api, Call, Effect, Method, Permission, Role};
use sortie_http::{Policy, Request};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Requests in flight at once.
const WIDTH: usize = 4;

/// What was found.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Report {
    /// One entry per role and API that the actions need.
    pub tokens: Vec<TokenCheck>,
    /// One entry per API that the actions need.
    pub apis: Vec<ApiCheck>,
    /// One entry per action.
    pub actions: Vec<ActionCheck>,
}

/// A token that was asked for.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenCheck {
    /// The role that the token is for.
    pub role: Role,
    /// The API that the token is for.
    pub api: Api,
    /// The audience it was asked for; none when nothing says where the API is.
    pub audience: Option<String>,
    /// The application permissions that it grants; none when the token cannot be read.
    pub grants: Option<Vec<String>>,
    /// Why there is none.
    pub error: Option<Failure>,
}

/// A call that was made.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiCheck {
    /// The API.
    pub api: Api,
    /// The call; none when no action declares a read that needs no parameters.
    pub call: Option<String>,
    /// Whether it was answered.
    pub answered: bool,
    /// How long the answer took, in milliseconds.
    pub milliseconds: Option<u64>,
    /// Why it was not answered.
    pub error: Option<Failure>,
}

/// What an action needs.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionCheck {
    /// The action's name.
    pub action: String,
    /// Whether every call is granted, or may be as far as one can see.
    pub ready: bool,
    /// Its calls on the selected incidents API.
    pub calls: Vec<CallCheck>,
}

/// What a call needs.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallCheck {
    /// The call.
    pub call: String,
    /// The API it goes to.
    pub api: Api,
    /// The role that signs it.
    pub role: Role,
    /// The permissions of which any single one is enough.
    pub permissions: Vec<Permission>,
    /// Whether its token grants one of them.
    pub granted: Granted,
}

/// Whether a permission is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Granted {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// There is a token, but what it grants cannot be read.
    Unknown,
    /// There is no token.
    NoToken,
}

impl Report {
    /// Whether nothing is missing.
    pub fn is_good(&self) -> bool {
        self.failure().is_none()
    }

    /// What keeps something from working: the first token that was refused, else the first call that was not answered,
    /// else every permission that is missing, with the actions that need it.
    pub fn failure(&self) -> Option<Failure> {
        let refused = self.tokens.iter().find_map(|token| token.error.clone());
        let unanswered = || self.apis.iter().find_map(|api| api.error.clone());
        refused.or_else(unanswered).or_else(|| self.missing())
    }

    fn missing(&self) -> Option<Failure> {
        let mut missing: BTreeMap<(Role, &Api, String), Vec<&str>> = BTreeMap::new();
        for action in &self.actions {
            for call in action.calls.iter().filter(|call| call.granted == Granted::No) {
                let names: Vec<&str> = call.permissions.iter().map(Permission::as_str).collect();
                let actions = missing.entry((call.role, &call.api, names.join(" or "))).or_default();
                if !actions.contains(&action.action.as_str()) {
                    actions.push(&action.action);
                }
            }
        }
        let (mut messages, mut hints) = (Vec::new(), Vec::new());
        for ((role, api, permission), actions) in &missing {
            let lack = if actions.len() == 1 { "lacks" } else { "lack" };
            messages.push(format!("{} {lack} the permission {permission}", actions.join(", ")));
            hints.push(format!("grant {permission} on {api} to the {role} application"));
        }
        let remedy = || format!("{}; then have an administrator consent", hints.join("; "));
        (!missing.is_empty()).then(|| Failure::new(kinds::FORBIDDEN, messages.join("; ")).with_hint(remedy()))
    }
}

type Tokens = BTreeMap<(Role, String), Result<AccessToken, Failure>>;

pub(crate) async fn check(
    core: &Arc<Core>,
    actions: &[Arc<Action>],
    timeout: Duration,
    cancel: &CancellationToken,
) -> Report {
    let until = Until { deadline: Instant::now() + timeout, cancel };
    let surface = core.profile.incidents_api.as_str();
    let calls: Vec<&Call> = actions.iter().flat_map(|action| action.manifest.calls_on(surface)).collect();
    let needed: Vec<(Role, Api)> =
        calls.iter().map(|call| (call.role, call.api.clone())).collect::<BTreeSet<_>>().into_iter().collect();
    let asked = needed
        .iter()
        .map(|(role, api)| async move {
            let audience = &core.profile.api(api)?.audience;
            core.profile.credential_settings(*role)?;
            core.token(*role, audience, None, until).await
        })
        .collect();
    let results = fan::bounded(asked, WIDTH).await;
    let tokens: Tokens = needed.iter().map(|(role, api)| (*role, api.to_string())).zip(results).collect();

    let names: BTreeSet<&Api> = calls.iter().map(|call| &call.api).collect();
    let probes = names.into_iter().map(|api| probe(core, api, &calls, &tokens, until)).collect();
    let apis = fan::bounded(probes, WIDTH).await;
    Report {
        tokens: needed.into_iter().map(|(role, api)| token_check(core, role, api, &tokens)).collect(),
        apis,
        actions: actions.iter().map(|action| action_check(action, surface, &tokens)).collect(),
    }
}

fn token_check(core: &Core, role: Role, api: Api, tokens: &Tokens) -> TokenCheck {
    let audience = core.profile.api(&api).ok().map(|settings| settings.audience.clone());
    let (grants, error) = match tokens.get(&(role, api.to_string())) {
        Some(Ok(token)) => (token.roles(), None),
        Some(Err(failure)) => (None, Some(failure.clone())),
        None => (None, None),
    };
    TokenCheck { role, api, audience, grants, error }
}

fn action_check(action: &Action, surface: &str, tokens: &Tokens) -> ActionCheck {
    let calls: Vec<CallCheck> = action
        .manifest
        .calls_on(surface)
        .map(|call| {
            let granted = match tokens.get(&(call.role, call.api.to_string())) {
                Some(Ok(token)) => match token.roles() {
                    None => Granted::Unknown,
                    Some(roles) => {
                        let has = |wanted: &Permission| roles.iter().any(|role| role == wanted.as_str());
                        if call.permissions.is_empty() || call.permissions.iter().any(has) {
                            Granted::Yes
                        } else {
                            Granted::No
                        }
                    }
                },
                _ => Granted::NoToken,
            };
            CallCheck {
                call: call.id.to_string(),
                api: call.api.clone(),
                role: call.role,
                permissions: call.permissions.to_vec(),
                granted,
            }
        })
        .collect();
    let ready = calls.iter().all(|call| matches!(call.granted, Granted::Yes | Granted::Unknown));
    ActionCheck { action: action.name().to_owned(), ready, calls }
}

/// Makes one cheap call to an API: the first declared read that needs no parameters, for one record.
async fn probe(core: &Core, api: &Api, calls: &[&Call], tokens: &Tokens, until: Until<'_>) -> ApiCheck {
    let mut found = ApiCheck { api: api.clone(), call: None, answered: false, milliseconds: None, error: None };
    let cheap = |call: &&&Call| {
        call.api == *api
            && call.method == Method::Get
            && call.effect == Effect::Read
            && call.parameters().next().is_none()
    };
    let Some(call) = calls.iter().find(cheap) else { return found };
    found.call = Some(call.id.to_string());
    // Why there is no token stands with the tokens already.
    let Some(Ok(token)) = tokens.get(&(call.role, api.to_string())) else { return found };
    let started = Instant::now();
    match ask(core, call, token, until).await {
        Ok(()) => {
            found.answered = true;
            found.milliseconds = u64::try_from(started.elapsed().as_millis()).ok();
        }
        Err(failure) => found.error = Some(failure),
    }
    found
}

async fn ask(core: &Core, call: &Call, token: &AccessToken, until: Until<'_>) -> Result<(), Failure> {
    let settings = core.profile.api(&call.api)?;
    let one = [("$top".to_owned(), "1".to_owned())];
    let url = url::build(&settings.base_url, call, &BTreeMap::new(), &one)
        .map_err(|error| Failure::new(kinds::INTERNAL, error.to_string()))?;
    let mut request = Request::new(call.id.to_string(), HttpMethod::GET, url, Policy::Read);
    let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.secret.expose()))
        .map_err(|_| Failure::new(kinds::INTERNAL, "the token holds characters that cannot be sent"))?;
    bearer.set_sensitive(true);
    request.headers.insert(AUTHORIZATION, bearer);
    request.headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    request.limit = Some(call.limit.to_string());
    let sent = core.http()?.send(request, until.deadline, until.cancel).await;
    sent.map(drop).map_err(|error| refusal::of_call(&error, call, Some(token)))
}
