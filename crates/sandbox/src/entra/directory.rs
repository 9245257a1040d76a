//! Applications, tokens, and the question whether a token may do something.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::digest;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::json;

use super::Registered;
use crate::application::Application;
use crate::record::Api;
use crate::reply::Refusal;
use crate::switches::Switches;
use crate::{Error, clock};

/// The resources that tokens are issued for (contract section 1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Audience {
    Graph,
    DefenderXdr,
    DefenderEndpoint,
}

impl Audience {
    /// The resource behind the part of a scope before `/.default`.
    pub(crate) fn of(resource: &str) -> Option<Self> {
        Some(match resource.trim_end_matches('/') {
            "https://graph.microsoft.com" | "00000003-0000-0000-c000-000000000000" => Self::Graph,
            "https://api.security.microsoft.com" => Self::DefenderXdr,
            "https://api.securitycenter.microsoft.com" | "https://securitycenter.onmicrosoft.com/windowsatpservice" => {
                Self::DefenderEndpoint
            }
            _ => return None,
        })
    }

    /// The `aud` claim.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Graph => "https://graph.microsoft.com",
            Self::DefenderXdr => "https://api.security.microsoft.com",
            Self::DefenderEndpoint => "https://api.securitycenter.microsoft.com",
        }
    }

    /// Whether a token for this resource is accepted by that API.
    fn fits(self, api: Api, switches: &Switches) -> bool {
        match (self, api) {
            (Self::Graph, Api::Graph)
            | (Self::DefenderXdr, Api::DefenderXdr)
            | (Self::DefenderEndpoint, Api::DefenderEndpoint) => true,
            (Self::DefenderEndpoint, Api::DefenderXdr) => switches.xdr_accepts_endpoint_audience,
            (Self::DefenderXdr, Api::DefenderEndpoint) => switches.endpoint_accepts_xdr_audience,
            _ => false,
        }
    }
}

/// A token as the directory knows it.
#[derive(Debug, Clone)]
struct Token {
    application: Arc<str>,
    client_id: Arc<str>,
    audience: Audience,
    roles: Arc<[String]>,
    expires: Timestamp,
    /// Whether it was asked for with the claims of a challenge.
    challenged: bool,
}

/// Who makes a request, as its token says.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// The application's name.
    pub(crate) application: Arc<str>,
    /// Its client id.
    pub(crate) client_id: Arc<str>,
    roles: Arc<[String]>,
}

impl Caller {
    /// Refuses a caller whose token lists none of these roles (403).
    pub(crate) fn require(&self, api: Api, any: &[&str]) -> Result<(), Refusal> {
        if any.iter().any(|role| self.roles.iter().any(|granted| granted == role)) {
            return Ok(());
        }
        let message = match api {
            Api::Graph => format!(
                "Missing application roles. API required roles: {}, application roles: {}.",
                any.join(","),
                self.roles.join(",")
            ),
            _ => format!(
                "The application does not have any of the required application permissions ({}) to access the resource.",
                any.join(", ")
            ),
        };
        Err(Refusal::new(403, "Forbidden", message))
    }

    /// The name under which the caller's changes are shown.
    pub(crate) fn shown(&self) -> String {
        format!("API App:{}-{}", self.application, self.client_id)
    }
}

/// An application to issue a token to, and what for.
#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) audience: Audience,
    /// The `claims` parameter, if one was sent.
    pub(crate) claims: Option<String>,
}

/// The directory.
pub(crate) struct Directory {
    tenant_id: String,
    applications: Vec<(Application, Registered)>,
    tokens: HashMap<[u8; 32], Token>,
    /// Ids of assertions that were used, and when they may be forgotten.
    used: HashMap<String, i64>,
    /// APIs that answer tokens without the claims of a challenge with a challenge.
    challenged: HashSet<Api>,
    random: SystemRandom,
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory")
            .field("applications", &self.applications.len())
            .field("tokens", &self.tokens.len())
            .finish_non_exhaustive()
    }
}

/// SHA-256 as hexadecimal text: what records keep of a secret.
pub(crate) fn fingerprint(secret: &str) -> String {
    use std::fmt::Write;
    digest::digest(&digest::SHA256, secret.as_bytes()).as_ref().iter().fold(
        String::with_capacity(64),
        |mut text, byte| {
            // Writing into a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        },
    )
}

fn key(token: &str) -> [u8; 32] {
    let mut key = [0; 32];
    key.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
    key
}

impl Directory {
    pub(crate) fn new(tenant_id: &str) -> Self {
        Self {
            tenant_id: tenant_id.to_owned(),
            applications: Vec::new(),
            tokens: HashMap::new(),
            used: HashMap::new(),
            challenged: HashSet::new(),
            random: SystemRandom::new(),
        }
    }

    /// Registers an application, or replaces the one with the same client id.
    pub(crate) fn register(&mut self, application: Application) -> Result<(), Error> {
        let registered = Registered::read(&application)?;
        let wrong =
            |reason: &str| Err(Error::Application { name: application.name.clone(), reason: reason.to_owned() });
        if application.client_id.is_empty() {
            return wrong("it has no client id");
        }
        if self
            .applications
            .iter()
            .any(|(known, _)| known.name == application.name && known.client_id != application.client_id)
        {
            return wrong("another application has this name");
        }
        self.applications.retain(|(known, _)| known.client_id != application.client_id);
        self.applications.push((application, registered));
        Ok(())
    }

    /// The application with that client id.
    pub(crate) fn application(&self, client_id: &str) -> Option<&(Application, Registered)> {
        self.applications.iter().find(|(known, _)| known.client_id.eq_ignore_ascii_case(client_id))
    }

    /// All applications.
    pub(crate) fn applications(&self) -> impl Iterator<Item = &Application> {
        self.applications.iter().map(|(application, _)| application)
    }

    /// The name of the application that has this secret.
    pub(crate) fn owner_of_secret(&self, value: &str) -> Option<String> {
        self.applications()
            .find(|known| known.secrets.iter().any(|secret| secret.value == value))
            .map(|known| known.name.clone())
    }

    /// Marks an assertion id as used; false if it was used before.
    pub(crate) fn use_once(&mut self, id: String, expires: i64, now: Timestamp) -> bool {
        let now = now.as_second();
        self.used.retain(|_, until| *until + 600 > now);
        self.used.insert(id, expires).is_none()
    }

    /// Issues a token that lives `seconds`.
    pub(crate) fn issue(&mut self, client_id: &str, grant: &Grant, seconds: i64, now: Timestamp) -> Option<String> {
        let (application, _) = self.application(client_id)?;
        let roles = match grant.audience {
            Audience::Graph => &application.permissions.graph,
            Audience::DefenderXdr => &application.permissions.defender_xdr,
            Audience::DefenderEndpoint => &application.permissions.defender_endpoint,
        };
        let issued = now.as_second();
        let mut noise = [0_u8; 256 + 16];
        self.random.fill(&mut noise).ok()?;
        let (sign, unique) = noise.split_at(256);
        let mut claims = json!({
            "aud": grant.audience.text(),
            "iss": format!("https://sts.windows.net/{}/", self.tenant_id),
            "iat": issued, "nbf": issued, "exp": issued + seconds,
            "appid": application.client_id,
            "app_displayname": application.name,
            "idtyp": "app",
            "oid": application.client_id, "sub": application.client_id,
            "tid": self.tenant_id,
            "uti": URL_SAFE_NO_PAD.encode(unique),
            "ver": "1.0",
        });
        // A token without permissions has no roles at all (contract section 2).
        if !roles.is_empty() {
            claims["roles"] = json!(roles);
        }
        let token = format!(
            "{}.{}.{}",
            URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"RS256","kid":"sandbox"}"#),
            URL_SAFE_NO_PAD.encode(claims.to_string()),
            URL_SAFE_NO_PAD.encode(sign)
        );
        let known = Token {
            application: application.name.as_str().into(),
            client_id: application.client_id.as_str().into(),
            audience: grant.audience,
            roles: roles.clone().into(),
            expires: clock::add(now, std::time::Duration::from_secs(u64::try_from(seconds).unwrap_or_default())),
            challenged: grant.claims.as_deref().is_some_and(|claims| claims.contains("\"nbf\"")),
        };
        self.tokens.insert(key(&token), known);
        Some(token)
    }

    /// The application that a token was issued to, whatever its state.
    pub(crate) fn owner_of_token(&self, token: &str) -> Option<String> {
        self.tokens.get(&key(token)).map(|token| token.application.to_string())
    }

    /// Who the bearer of an `Authorization` header is, for that API; 401 otherwise.
    pub(crate) fn caller(
        &self,
        header: Option<&str>,
        api: Api,
        switches: &Switches,
        now: Timestamp,
    ) -> Result<Caller, Refusal> {
        let refuse = |message: &str| {
            let code = if api == Api::Graph { "InvalidAuthenticationToken" } else { "Unauthorized" };
            Refusal::new(401, code, message).header("www-authenticate", format!("Bearer realm=\"\", authorization_uri=\"https://login.microsoftonline.com/common/oauth2/authorize\", error=\"invalid_token\", error_description=\"{message}\""))
        };
        let Some(header) = header else { return Err(refuse("Access token is empty.")) };
        let Some(token) = header.strip_prefix("Bearer ") else {
            return Err(refuse("Bearer access token is expected."));
        };
        let token =
            self.tokens.get(&key(token)).ok_or_else(|| refuse("Access token validation failure. Invalid token."))?;
        if !token.audience.fits(api, switches) {
            return Err(refuse("Access token validation failure. Invalid audience."));
        }
        if token.expires <= now {
            return Err(refuse("Lifetime validation failed, the token is expired."));
        }
        if self.challenged.contains(&api) && !token.challenged {
            return Err(challenge(api, now));
        }
        Ok(Caller {
            application: Arc::clone(&token.application),
            client_id: Arc::clone(&token.client_id),
            roles: Arc::clone(&token.roles),
        })
    }

    /// Makes every token invalid; returns how many there were.
    pub(crate) fn revoke_all(&mut self) -> usize {
        let count = self.tokens.len();
        self.tokens.clear();
        count
    }

    /// Makes the tokens of one application invalid; returns how many there were.
    pub(crate) fn revoke(&mut self, application: &str) -> usize {
        let before = self.tokens.len();
        self.tokens.retain(|_, token| &*token.application != application && &*token.client_id != application);
        before - self.tokens.len()
    }

    /// From now on this API challenges tokens that were not asked for with the claims of a challenge (or stops to).
    pub(crate) fn challenge(&mut self, api: Api, on: bool) {
        if on {
            self.challenged.insert(api);
        } else {
            self.challenged.remove(&api);
        }
    }
}

/// The 401 of continuous access evaluation: the client must get a token with these claims.
pub(crate) fn challenge(api: Api, now: Timestamp) -> Refusal {
    let claims = json!({ "access_token": { "nbf": { "essential": true, "value": now.as_second().to_string() } } });
    let claims = URL_SAFE_NO_PAD.encode(claims.to_string());
    let code = if api == Api::Graph { "InvalidAuthenticationToken" } else { "Unauthorized" };
    Refusal::new(401, code, "Continuous access evaluation resulted in challenge.").header(
        "www-authenticate",
        format!("Bearer realm=\"\", authorization_uri=\"https://login.microsoftonline.com/common/oauth2/authorize\", error=\"insufficient_claims\", claims=\"{claims}\""),
    )
}
