use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::digest;
use ring::rand::SystemRandom;
use ring::signature::{self, EcdsaKeyPair, RsaKeyPair};
use serde_json::{Value, json};
use sortie_sandbox::{Api, Application, ClientSecret, FederatedCredential, Permissions};

use super::client::{Answer, GRAPH, MDE, Rig, XDR, ask, small};

const KEY: &[u8] = include_bytes!("fixtures/test-only-key.der");
const CERTIFICATE: &str = include_str!("fixtures/test-only-certificate.pem");
const CLIENT: &str = "5a4db0c5-0000-4000-8000-00000000ce27";

fn claims_of(token: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

fn codes(answer: &Answer) -> u64 {
    answer.json()["error_codes"][0].as_u64().unwrap_or_default()
}

fn post(rig: &Rig, fields: &[(&str, &str)]) -> Answer {
    ask("POST", &rig.token_url()).form(fields).send()
}

#[test]
fn a_secret_gets_a_token_with_its_roles() {
    let rig = small();
    let base = rig.sandbox.base_application().clone();
    let answer = rig.ask_token(&base, GRAPH);
    let body = answer.json();
    assert_eq!(
        (answer.status, body["token_type"].as_str(), body["expires_in"].as_i64()),
        (200, Some("Bearer"), Some(3599))
    );
    assert_eq!(body.as_object().unwrap().len(), 3);
    let claims = claims_of(body["access_token"].as_str().unwrap());
    assert_eq!(
        (claims["aud"].as_str(), claims["appid"].as_str(), claims["tid"].as_str()),
        (Some("https://graph.microsoft.com"), Some(base.client_id.as_str()), Some(rig.sandbox.tenant_id()))
    );
    assert_eq!(claims["roles"], json!(["SecurityIncident.ReadWrite.All", "SecurityAlert.ReadWrite.All"]));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3599);
    let none = rig.token(rig.sandbox.remediation_application(), GRAPH);
    assert!(claims_of(&none).get("roles").is_none(), "a token without permissions is issued, without roles");
    rig.sandbox.control().switch(|switches| {
        switches.token_seconds = 60;
        switches.token_ext_expires_in = true;
        switches.token_refresh_in = Some(30);
    });
    let body = rig.ask_token(&base, GRAPH).json();
    assert_eq!(
        (body["expires_in"].as_i64(), body["ext_expires_in"].as_i64(), body["refresh_in"].as_i64()),
        (Some(60), Some(60), Some(30))
    );
    let basic = STANDARD.encode(format!("{}:{}", base.client_id, base.secret()));
    let answer = ask("POST", &rig.token_url())
        .header("Authorization", &format!("Basic {basic}"))
        .form(&[("grant_type", "client_credentials"), ("scope", GRAPH)])
        .send();
    assert_eq!(answer.status, 200);
}

#[test]
fn every_mistake_has_its_code() {
    let rig = small();
    let control = rig.sandbox.control();
    let expired = ClientSecret { value: "old".to_owned(), expires: Some("2026-01-01T00:00:00Z".parse().unwrap()) };
    control
        .register(Application {
            name: "old".to_owned(),
            client_id: "old-id".to_owned(),
            secrets: vec![expired],
            ..Application::default()
        })
        .unwrap();
    control
        .register(Application {
            name: "off".to_owned(),
            client_id: "off-id".to_owned(),
            disabled: true,
            ..Application::default()
        })
        .unwrap();
    let base = rig.sandbox.base_application().clone();
    let good = [
        ("grant_type", "client_credentials"),
        ("client_id", base.client_id.as_str()),
        ("client_secret", base.secret()),
        ("scope", GRAPH),
    ];
    let with = |name: &'static str, value: &'static str| {
        good.map(|(known, kept)| if known == name { (known, value) } else { (known, kept) })
    };
    for (fields, code, error) in [
        (with("client_secret", "wrong"), 7_000_215, "invalid_client"),
        (with("client_id", "nobody"), 700_016, "unauthorized_client"),
        (with("client_id", "off-id"), 7_000_112, "unauthorized_client"),
        (with("client_secret", ""), 7_000_218, "invalid_client"),
        (with("grant_type", "password"), 70003, "unsupported_grant_type"),
        (with("grant_type", ""), 900_144, "invalid_request"),
        (with("client_id", ""), 900_144, "invalid_request"),
        (with("scope", ""), 900_144, "invalid_request"),
        (with("scope", "https://graph.microsoft.com/SecurityIncident.Read.All"), 70011, "invalid_scope"),
        (
            with("scope", "https://graph.microsoft.com/.default https://api.security.microsoft.com/.default"),
            700_022,
            "invalid_request",
        ),
        (with("scope", "https://fabrikam.example/.default"), 500_011, "invalid_resource"),
    ] {
        let answer = post(&rig, &fields);
        assert_eq!(
            (answer.status, codes(&answer), answer.json()["error"].as_str()),
            (400, code, Some(error)),
            "{}",
            answer.text()
        );
        let text = answer.json()["error_description"].as_str().unwrap().to_owned();
        assert!(text.starts_with(&format!("AADSTS{code}: ")) && text.contains("\r\nTrace ID: "), "{text}");
    }
    assert_eq!(
        codes(&post(
            &rig,
            &[
                ("grant_type", "client_credentials"),
                ("client_id", "old-id"),
                ("client_secret", "old"),
                ("scope", GRAPH)
            ]
        )),
        7_000_222
    );
    assert_eq!(codes(&ask("POST", &rig.token_url()).header("Content-Type", "application/json").send()), 900_144);
    let elsewhere = |tenant: &str| {
        codes(&ask("POST", &format!("{}/{tenant}/oauth2/v2.0/token", rig.sandbox.authority())).form(&good).send())
    };
    assert_eq!(
        (elsewhere("fabrikam.onmicrosoft.com"), elsewhere("common"), elsewhere("contoso.onmicrosoft.com")),
        (90002, 9_001_023, 0)
    );
    control.switch(|switches| switches.credential_error_status = 401);
    assert_eq!(
        (post(&rig, &with("client_secret", "wrong")).status, post(&rig, &with("scope", "x")).status),
        (401, 400)
    );
    assert!(control.records().iter().all(|record| record.worked == (record.status == Some(200))));
}

fn application() -> Application {
    Application {
        name: "certified".to_owned(),
        client_id: CLIENT.to_owned(),
        certificates: vec![CERTIFICATE.to_owned()],
        permissions: Permissions { graph: vec!["SecurityIncident.Read.All".to_owned()], ..Permissions::default() },
        ..Application::default()
    }
}

fn thumbprint(algorithm: &'static digest::Algorithm) -> String {
    let base64: String = CERTIFICATE.lines().filter(|line| !line.starts_with("-----")).collect();
    URL_SAFE_NO_PAD.encode(digest::digest(algorithm, &STANDARD.decode(base64).unwrap()))
}

fn sign(header: &Value, claims: &Value) -> String {
    let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
    let key = RsaKeyPair::from_pkcs8(KEY).unwrap();
    let mut mac = vec![0; key.public().modulus_len()];
    let scheme: &dyn signature::RsaEncoding =
        if header["alg"] == "PS256" { &signature::RSA_PSS_SHA256 } else { &signature::RSA_PKCS1_SHA256 };
    key.sign(scheme, &SystemRandom::new(), text.as_bytes(), &mut mac).unwrap();
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(mac))
}

fn assert_with(rig: &Rig, assertion: &str) -> Answer {
    post(
        rig,
        &[
            ("grant_type", "client_credentials"),
            ("client_id", CLIENT),
            ("scope", GRAPH),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", assertion),
        ],
    )
}

fn good_claims(rig: &Rig, id: &str) -> Value {
    let now = rig.sandbox.control().clock().as_second();
    json!({"aud": rig.token_url(), "iss": CLIENT, "sub": CLIENT, "jti": id, "nbf": now, "iat": now, "exp": now + 600})
}

#[test]
fn certificate_assertions_are_verified() {
    let rig = small();
    rig.sandbox.control().register(application()).unwrap();
    let header = json!({"alg": "PS256", "typ": "JWT", "x5t#S256": thumbprint(&digest::SHA256)});
    let good = sign(&header, &good_claims(&rig, "1"));
    let answer = assert_with(&rig, &good);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(codes(&assert_with(&rig, &good)), 700_027, "an assertion works once");
    let older = json!({"alg": "RS256", "typ": "JWT", "x5t": thumbprint(&digest::SHA1_FOR_LEGACY_USE_ONLY)});
    assert_eq!(assert_with(&rig, &sign(&older, &good_claims(&rig, "2"))).status, 200);
    let claims = |key: &str, value: Value| {
        let mut claims = good_claims(&rig, "3");
        claims[key] = value;
        sign(&header, &claims)
    };
    let now = rig.sandbox.control().clock().as_second();
    for (assertion, code) in [
        (claims("aud", "https://login.microsoftonline.com/x/oauth2/v2.0/token".into()), 50027),
        (claims("iss", "somebody".into()), 700_021),
        (claims("sub", "somebody".into()), 700_021),
        (claims("exp", (now - 4_000).into()), 700_024),
        (claims("nbf", (now + 400).into()), 700_024),
        (claims("jti", "".into()), 50027),
        (sign(&json!({"alg": "PS256", "x5t#S256": thumbprint(&digest::SHA384)}), &good_claims(&rig, "4")), 700_027),
        ("a.b.c".to_owned(), 50027),
        (String::from("nonsense"), 50027),
    ] {
        assert_eq!(codes(&assert_with(&rig, &assertion)), code, "{assertion}");
    }
    let (text, _) = good.rsplit_once('.').unwrap();
    assert_eq!(codes(&assert_with(&rig, &format!("{text}.{}", URL_SAFE_NO_PAD.encode([7; 256])))), 700_027);
    rig.sandbox.control().switch(|switches| switches.assertion_rs256 = false);
    assert_eq!(codes(&assert_with(&rig, &sign(&older, &good_claims(&rig, "6")))), 700_027);
    let seen = rig.sandbox.control().records_of(Api::Entra);
    assert_eq!(seen[0].secrets[0].application.as_deref(), Some("certified"));
    assert_eq!(seen[1].secrets[0].application, None);
    assert!(seen.iter().all(|record| !record.body.contains(&good)));
}

#[test]
fn federated_assertions_are_verified() {
    let rig = small();
    let pkcs8 =
        EcdsaKeyPair::generate_pkcs8(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    let key = rcgen::KeyPair::try_from(pkcs8.as_ref()).unwrap();
    let credential = FederatedCredential {
        issuer: "https://token.ci.example".to_owned(),
        subject: "repo:contoso/soc:ref:main".to_owned(),
        audience: "api://AzureADTokenExchange".to_owned(),
        public_key_pem: key.public_key_pem(),
    };
    rig.sandbox
        .control()
        .register(Application { federated: vec![credential], certificates: Vec::new(), ..application() })
        .unwrap();
    let signer =
        EcdsaKeyPair::from_pkcs8(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &SystemRandom::new())
            .unwrap();
    let now = rig.sandbox.control().clock().as_second();
    let make = |issuer: &str, subject: &str, audience: &str| {
        let claims = json!({"iss": issuer, "sub": subject, "aud": audience, "iat": now, "exp": now + 300});
        let text = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256","typ":"JWT"}"#),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let mac = signer.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(mac))
    };
    let (issuer, subject, audience) =
        ("https://token.ci.example", "repo:contoso/soc:ref:main", "api://AzureADTokenExchange");
    let good = make(issuer, subject, audience);
    assert_eq!(assert_with(&rig, &good).status, 200);
    assert_eq!(assert_with(&rig, &good).status, 200, "a file-provided token may be presented again");
    assert_eq!(codes(&assert_with(&rig, &make("https://other.example", subject, audience))), 700_211);
    assert_eq!(codes(&assert_with(&rig, &make(issuer, "repo:contoso/other", audience))), 700_213);
    assert_eq!(codes(&assert_with(&rig, &make(issuer, subject, "api://other"))), 700_212);
    let mut forged = good.into_bytes();
    let last = forged.len() - 10;
    forged[last] = if forged[last] == b'A' { b'B' } else { b'A' };
    assert_eq!(codes(&assert_with(&rig, &String::from_utf8(forged).unwrap())), 700_027);
}

#[test]
fn tokens_open_their_own_api_only_and_only_what_their_roles_allow() {
    let rig = small();
    let get = |url: String, token: &str| ask("GET", &url).bearer(token).send();
    let (graph, xdr, mde) = (
        format!("{}/security/incidents?$top=1", rig.sandbox.graph()),
        format!("{}/incidents?$top=1", rig.sandbox.defender_xdr()),
        format!("{}/machines", rig.sandbox.defender_endpoint()),
    );
    for (scope, opened) in [(GRAPH, &graph), (XDR, &xdr), (MDE, &mde)] {
        let token = rig.base(scope);
        for url in [&graph, &xdr, &mde] {
            let answer = get(url.clone(), &token);
            assert_eq!(answer.status, if url == opened { 200 } else { 401 }, "{scope} {url}");
            assert_eq!(answer.header("www-authenticate").is_some(), url != opened);
        }
    }
    assert_eq!(ask("GET", &graph).send().code(), "InvalidAuthenticationToken");
    assert_eq!(ask("GET", &mde).send().code(), "Unauthorized");
    let older = "https://securitycenter.onmicrosoft.com/windowsatpservice/.default";
    assert_eq!(get(mde.clone(), &rig.base(older)).status, 200);
    let remediation = rig.token(rig.sandbox.remediation_application(), GRAPH);
    let forbidden = get(graph.clone(), &remediation);
    assert_eq!((forbidden.status, forbidden.code().as_str()), (403, "Forbidden"));
    let machine = &rig.sandbox.control().machines()[2].id;
    let isolate = format!("{}/machines/{machine}/isolate", rig.sandbox.defender_endpoint());
    let refused =
        ask("POST", &isolate).bearer(&rig.base(MDE)).json(&json!({"Comment": "x", "IsolationType": "Full"})).send();
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("Machine.Isolate"));
    rig.sandbox.control().switch(|switches| switches.xdr_accepts_endpoint_audience = true);
    assert_eq!(get(xdr, &rig.base(MDE)).status, 403, "the audience is accepted, but the token has no role of that API");
}

#[test]
fn tokens_end_by_time_by_revocation_and_by_challenge() {
    let rig = small();
    let control = rig.sandbox.control();
    let url = format!("{}/security/incidents?$top=1", rig.sandbox.graph());
    let get = |token: &str| ask("GET", &url).bearer(token).send();
    let token = rig.base(GRAPH);
    control.advance(Duration::from_secs(3_600));
    assert_eq!(get(&token).status, 401);
    let token = rig.base(GRAPH);
    let other = rig.token(rig.sandbox.remediation_application(), MDE);
    assert_eq!(control.revoke("base"), 2);
    assert_eq!(get(&token).status, 401);
    assert_eq!(ask("GET", &format!("{}/machines", rig.sandbox.defender_endpoint())).bearer(&other).send().status, 200);
    assert_eq!(control.expire_tokens(), 1);
    control.challenge(Api::Graph, true);
    let token = rig.base(GRAPH);
    let challenged = get(&token);
    let header = challenged.header("www-authenticate").unwrap().to_owned();
    assert!(challenged.status == 401 && header.contains("error=\"insufficient_claims\""), "{header}");
    let claims = header.split("claims=\"").nth(1).unwrap().split('"').next().unwrap();
    let claims = String::from_utf8(URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    let base = rig.sandbox.base_application();
    let answer = post(
        &rig,
        &[
            ("grant_type", "client_credentials"),
            ("client_id", &base.client_id),
            ("client_secret", base.secret()),
            ("scope", GRAPH),
            ("claims", &claims),
        ],
    );
    assert_eq!(get(answer.json()["access_token"].as_str().unwrap()).status, 200);
}

#[test]
fn managed_identity_is_served_in_both_forms() {
    let rig = small();
    let base = rig.sandbox.base_application().clone();
    let imds = format!("{}/metadata/identity/oauth2/token", rig.sandbox.identity());
    let resource = "https%3A%2F%2Fgraph.microsoft.com";
    let get = |query: &str| ask("GET", &format!("{imds}?{query}")).header("Metadata", "true");
    let query = format!("api-version=2018-02-01&resource={resource}");
    let body = get(&query).send().json();
    assert_eq!(
        (body["expires_in"].as_str(), body["token_type"].as_str(), body["client_id"].as_str()),
        (Some("3599"), Some("Bearer"), Some(base.client_id.as_str()))
    );
    assert_eq!(
        body["expires_on"].as_str().unwrap().parse::<i64>().unwrap(),
        rig.sandbox.control().clock().as_second() + 3_599
    );
    let remediation = rig.sandbox.remediation_application().clone();
    for name in [
        format!("client_id={}", remediation.client_id),
        format!("object_id={}", remediation.managed_identity.clone().unwrap().object_id),
        format!("msi_res_id={}", remediation.managed_identity.clone().unwrap().resource_id),
    ] {
        assert_eq!(get(&format!("{query}&{name}")).send().json()["client_id"], remediation.client_id.as_str());
    }
    assert_eq!(ask("GET", &format!("{imds}?{query}")).send().status, 400, "the header is demanded");
    assert_eq!(get(&query).header("X-Forwarded-For", "10.0.0.1").send().status, 400);
    assert_eq!(get(&format!("resource={resource}")).send().status, 400);
    assert_eq!(get("api-version=2018-02-01").send().status, 400);
    assert_eq!(get(&format!("{query}&client_id=none")).send().json()["error_description"], "Identity not found");
    rig.sandbox.control().switch(|switches| switches.identity_text_times = false);
    assert!(get(&query).send().json()["expires_in"].is_i64());

    let service = format!("{}/msi/token?api-version=2019-08-01&resource={resource}", rig.sandbox.identity());
    assert_eq!(ask("GET", &service).send().status, 401);
    let body = ask("GET", &service).header("X-IDENTITY-HEADER", rig.sandbox.identity_header()).send().json();
    assert!(body["access_token"].is_string());
    let last = rig.sandbox.control().records_of(Api::Identity).pop().unwrap();
    assert_eq!(last.secrets[0].application.as_deref(), Some("identity header"));
    assert!(!format!("{last:?}").contains(rig.sandbox.identity_header()));
}
