//! Tests of [`super::resolve`]: order, origins, refusals.

use super::*;
use crate::config::{ConfigText, Proof};
use sortie_auth::{Api, Credential, Role};
use std::time::Duration;

const TENANT: &str = "contoso.onmicrosoft.com";

fn overrides(text: &str) -> Overrides {
    Overrides {
        config_text: Some(ConfigText { name: "config.toml".to_owned(), text: text.to_owned() }),
        ..Overrides::default()
    }
}

fn with(text: &str, variables: &[(&str, &str)]) -> Result<Resolved, Failure> {
    super::resolve(&overrides(text), &Environment::of(variables.iter().copied()))
}

fn origin(resolved: &Resolved, name: &str) -> String {
    let setting = resolved.settings.iter().find(|setting| setting.name == name);
    setting.map_or_else(|| format!("no {name}"), |setting| format!("{} | {}", setting.value, setting.origin))
}

fn secret_of(resolved: &Resolved, role: Role) -> String {
    match resolved.profile.credential(role).unwrap() {
        Credential::ClientSecret { secret, .. } => secret.expose().to_owned(),
        other => panic!("{other:?}"),
    }
}

const PROFILE: &str = r#"
[profile.prod]
label = "Contoso"
tenant = "contoso.onmicrosoft.com"
cloud = "gcc-high"
incidents_api = "defender-xdr"
proxy = "http://user:canary@proxy.example:8080"
ca_file = "/etc/ca.pem"
token_cache = "/var/cache/sortie"
remediation = "same"
[profile.prod.apis.defender-xdr]
audience = "https://api.security.microsoft.com/.default"
[profile.prod.apis.house]
base_url = "https://house.example/api/"
audience = "api://house"
[profile.prod.limits]
graph-security = ["10/min"]
house = []
[profile.prod.timeouts]
connect_seconds = 2.5
run_seconds = 60
[profile.prod.base]
client_id = "11111111-2222-3333-4444-555555555555"
client_secret = { env = "OUR_SECRET" }
"#;

#[test]
fn a_profile_is_read_whole_and_every_value_knows_its_origin() {
    let resolved = with(PROFILE, &[("OUR_SECRET", " canary-secret ")]).unwrap();
    let profile = &resolved.profile;
    assert_eq!(profile.tenant.as_deref(), Some(TENANT));
    assert_eq!(profile.authority.as_ref().unwrap().as_str(), "https://login.microsoftonline.us/");
    let xdr = profile.api(&Api::DEFENDER_XDR).unwrap();
    assert_eq!(xdr.audience, "https://api.security.microsoft.com");
    assert!(!xdr.assumed, "an audience that the profile names is not assumed");
    assert_eq!(profile.api(&Api::new("house")).unwrap().base_url.as_str(), "https://house.example/api");
    assert_eq!(profile.limits["house"], []);
    assert_eq!(profile.timeouts.connect, Duration::from_millis(2500));
    assert_eq!(profile.run_timeout, Duration::from_secs(60));
    assert_eq!(profile.token_cache, TokenCache::Folder("/var/cache/sortie".into()));
    assert_eq!(profile.signing_role(Role::Remediation), Role::Base);
    assert_eq!(secret_of(&resolved, Role::Remediation), "canary-secret");

    let from = "profile prod in config.toml";
    assert_eq!(origin(&resolved, "tenant"), format!("{TENANT} | {from}"));
    assert_eq!(origin(&resolved, "authority"), "https://login.microsoftonline.us | cloud gcc-high");
    assert_eq!(
        origin(&resolved, "apis.defender-xdr.base_url"),
        "https://api-gov.security.microsoft.us/api | cloud gcc-high"
    );
    assert_eq!(origin(&resolved, "limits.graph-security"), format!("10/min | {from}"));
    assert_eq!(origin(&resolved, "limits.defender-xdr-incidents"), "50/min, 1500/h | default");
    assert_eq!(origin(&resolved, "base.client_secret"), format!("from environment OUR_SECRET, not shown | {from}"));
    assert_eq!(origin(&resolved, "tls_verify"), "true | default");
    assert!(!format!("{resolved:?}").contains("canary"), "{resolved:?}");
    assert!(!serde_json::to_string(&resolved.settings).unwrap().contains("canary"));
}

#[test]
fn a_flag_beats_the_environment_and_the_environment_beats_the_profile() {
    let mut overrides = overrides(PROFILE);
    let environment = Environment::of([
        ("SORTIE_INCIDENTS_API", "graph"),
        ("SORTIE_ACTIONS_DIR", "/env/actions"),
        ("AZURE_TENANT_ID", "other.example"),
        ("AZURE_AUTHORITY_HOST", "login.example"),
    ]);
    let resolved = super::resolve(&overrides, &environment).unwrap();
    assert_eq!(origin(&resolved, "incidents_api"), "graph | environment SORTIE_INCIDENTS_API");
    assert_eq!(origin(&resolved, "tenant"), "other.example | environment AZURE_TENANT_ID");
    assert_eq!(origin(&resolved, "authority"), "login.example | environment AZURE_AUTHORITY_HOST");
    assert_eq!(resolved.profile.actions_dir, Some("/env/actions".into()));

    overrides.incidents_api = Some("defender-xdr".to_owned());
    overrides.actions_dir = Some("/flag/actions".into());
    overrides.timeout = Some(Duration::from_secs(7));
    let resolved = super::resolve(&overrides, &environment).unwrap();
    assert_eq!(origin(&resolved, "incidents_api"), "defender-xdr | flag --incidents-api");
    assert_eq!(origin(&resolved, "actions_dir"), "/flag/actions | flag --actions-dir");
    assert_eq!(origin(&resolved, "timeouts.run_seconds"), "7 | flag --timeout");
    let mut names: Vec<&str> = resolved.settings.iter().map(|setting| setting.name.as_str()).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "each value stands once");
}

#[test]
fn the_environment_alone_is_enough() {
    let resolved = with(
        "",
        &[
            ("AZURE_TENANT_ID", TENANT),
            ("AZURE_CLIENT_ID", "app"),
            ("AZURE_CLIENT_SECRET", "canary-base"),
            ("SORTIE_REMEDIATION_CLIENT_ID", "app2"),
            ("SORTIE_REMEDIATION_CLIENT_SECRET", "canary-remediation"),
        ],
    )
    .unwrap();
    assert_eq!(secret_of(&resolved, Role::Base), "canary-base");
    assert_eq!(secret_of(&resolved, Role::Remediation), "canary-remediation");
    assert_eq!(resolved.profile.signing_role(Role::Remediation), Role::Remediation);
    assert!(!format!("{resolved:?}").contains("canary"));

    let certificate = with(
        "",
        &[
            ("AZURE_CLIENT_ID", "app"),
            ("AZURE_CLIENT_CERTIFICATE_PATH", "/x.pem"),
            ("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN", "true"),
            ("AZURE_FEDERATED_TOKEN_FILE", "/token"),
        ],
    )
    .unwrap();
    let proof = &certificate.profile.base.as_ref().unwrap().proof;
    assert!(matches!(proof, Proof::Certificate { send_chain: true, .. }), "{proof:?}");
    let federated = with("", &[("AZURE_CLIENT_ID", "app"), ("AZURE_FEDERATED_TOKEN_FILE", "/token")]).unwrap();
    assert!(matches!(federated.profile.base.unwrap().proof, Proof::FederatedTokenFile(_)));
    let same = with("", &[("AZURE_CLIENT_ID", "a"), ("AZURE_CLIENT_SECRET", "b"), ("SORTIE_REMEDIATION", "same")]);
    assert_eq!(same.unwrap().profile.signing_role(Role::Remediation), Role::Base);
}

#[test]
fn without_credentials_the_ways_are_told_when_they_are_needed() {
    let resolved = with("", &[]).unwrap();
    for role in [Role::Base, Role::Remediation] {
        let failure = resolved.profile.credential(role).unwrap_err();
        let hint = failure.hint.as_deref().unwrap();
        for way in ["profile", "AZURE_CLIENT_ID", "--sandbox"] {
            assert!(hint.contains(way), "{hint}");
        }
    }
}

#[test]
fn the_remediation_role_is_never_filled_by_the_base_in_silence() {
    let resolved = with("", &[("AZURE_CLIENT_ID", "a"), ("AZURE_CLIENT_SECRET", "b")]).unwrap();
    let failure = resolved.profile.credential(Role::Remediation).unwrap_err();
    assert_eq!(failure.exit_code(), 78);
    assert!(failure.hint.as_deref().unwrap().contains("remediation = \"same\""));
}

#[test]
fn an_id_and_a_secret_of_two_applications_are_never_joined() {
    let profile = "[profile.p.base]\nclient_id = 'one'\nclient_secret = { env = 'X' }";
    assert!(with(profile, &[("AZURE_CLIENT_ID", "two")]).is_err());
    assert!(with(profile, &[("AZURE_CLIENT_ID", "one")]).is_ok());
    assert!(with(profile, &[("AZURE_CLIENT_ID", "two"), ("AZURE_CLIENT_SECRET", "s")]).is_ok());
    // Whose the secret is would be a guess, and a wrong one sends it to a stranger.
    assert!(with(profile, &[("AZURE_CLIENT_SECRET", "s")]).is_err());
    assert!(with("[profile.p.base]\nclient_id = 'one'", &[("AZURE_CLIENT_SECRET", "s")]).is_ok());
}

#[test]
fn a_secret_in_the_profile_is_for_this_machine_only() {
    let local = r#"
        [profile.sandbox]
        tenant = "contoso.onmicrosoft.com"
        cloud = "custom"
        authority = "http://127.0.0.1:4711/entra"
        [profile.sandbox.apis.graph]
        base_url = "http://127.0.0.1:4711/graph/v1.0"
        audience = "https://graph.microsoft.com"
        [profile.sandbox.base]
        client_id = "app"
        client_secret = { value = "canary" }
    "#;
    let resolved = with(local, &[]).unwrap();
    assert_eq!(secret_of(&resolved, Role::Base), "canary");
    assert!(!format!("{resolved:?}").contains("canary"));

    for elsewhere in [
        local.replace("http://127.0.0.1:4711/entra", "https://login.microsoftonline.com"),
        local.replace("http://127.0.0.1:4711/graph/v1.0", "https://graph.microsoft.com/v1.0"),
        local.replace("authority = \"http://127.0.0.1:4711/entra\"", ""),
    ] {
        let failure = with(&elsewhere, &[]).unwrap_err();
        assert!(failure.hint.as_deref().unwrap().contains("file"), "{failure}");
        assert!(!failure.to_string().contains("canary"));
    }
    assert!(with(local, &[("AZURE_AUTHORITY_HOST", "login.microsoftonline.com")]).is_err());
}

#[test]
fn profiles_are_chosen_by_flag_variable_default_or_because_there_is_one() {
    let two = "default_profile = 'b'\n[profile.a]\nlabel = 'A'\n[profile.b]\nlabel = 'B'";
    let label = |text: &str, variables: &[(&str, &str)], flag: Option<&str>| {
        let overrides = Overrides { profile: flag.map(str::to_owned), ..overrides(text) };
        super::resolve(&overrides, &Environment::of(variables.iter().copied()))
            .map(|found| found.profile.label.unwrap())
    };
    assert_eq!(label(two, &[], None).unwrap(), "B");
    assert_eq!(label(two, &[("SORTIE_PROFILE", "a")], None).unwrap(), "A");
    assert_eq!(label(two, &[("SORTIE_PROFILE", "a")], Some("b")).unwrap(), "B");
    assert_eq!(label("[profile.only]\nlabel = 'O'", &[], None).unwrap(), "O");
    assert!(label("[profile.a]\n[profile.b]", &[], None).unwrap_err().message.contains("several"));
    let failure = label(two, &[], Some("prod")).unwrap_err();
    assert!(failure.message.contains("`prod`") && failure.hint.as_deref().unwrap().contains("a, b"));
    let nowhere = ("XDG_CONFIG_HOME", "/nowhere");
    let by_flag = Overrides { profile: Some("x".into()), ..Overrides::default() };
    for failure in [
        super::resolve(&by_flag, &Environment::of([nowhere])).unwrap_err(),
        super::resolve(&Overrides::default(), &Environment::of([nowhere, ("SORTIE_PROFILE", "x")])).unwrap_err(),
    ] {
        assert!(failure.message.contains("no configuration file"), "{failure}");
    }
}

#[test]
fn what_is_wrong_is_named_with_its_place_and_its_remedy_and_never_with_its_value() {
    for (text, part) in [
        ("[profile.p]\ntennant = 'canary'", "tennant"),
        ("[profile.p]\ncloud = 'canary'", "cloud"),
        ("[profile.p]\ntenant = 7", "profile.p.tenant"),
        ("[profile.p.base]\nclient_secret = 'canary'", "profile.p.base.client_secret"),
        ("[profile.p.base]\nclient_secret = { value = 'canary', env = 'X' }", "exactly one source"),
        ("[profile.p.base]\nclient_id = 'x'\nclient_secrets = 'canary'", "client_secrets"),
        ("[profile.p.base]\nclient_id = 'x'", "no credential"),
        ("[profile.p.base]\nclient_secret = { env = 'X' }\nfederated_token_file = '/t'", "stand together"),
        ("[profile.p.base]\nclient_id = 'x'\nmanaged_identity = true", "managed identity"),
        ("[profile.p.base]\nmanaged_identity = { client_id = 'a', object_id = 'b' }", "exactly one identity"),
        ("[profile.p]\nremediation = 'canary'", "remediation"),
        ("[profile.p.apis.graph]\nbase_url = 'http://graph.microsoft.com'", "plain http"),
        ("[profile.p.apis.new]\nbase_url = 'https://x.example'", "profile.p.apis.new.audience"),
        ("[profile.p.limits]\ngraph-security = ['many']", "graph-security"),
        ("[profile.p.timeouts]\nrun_seconds = 0", "run_seconds"),
        ("[profile.p]\nproxy = 'canary'", "proxy"),
        ("[profile.p]\ntls_verify = 'canary'", "tls_verify"),
        ("[profile.p]\ntoken_cache = 'relative'", "token_cache"),
        ("[profile.p]\nincidents_api = 'graf'", "graf"),
        ("[profile.p]\ntenant = 'common'", "common"),
        ("x = 'canary'", "`x`"),
        ("[profile.p]\nlabel = 'a'\nclient_secret = canary", "line 3"),
        ("profile = 'canary'", "profile"),
    ] {
        let failure = with(text, &[]).unwrap_err();
        assert_eq!(failure.exit_code(), 78, "{text}: {failure}");
        assert!(failure.message.contains(part), "{text}: {failure}");
        assert!(failure.hint.is_some(), "{text}: {failure}");
        assert!(!failure.to_string().contains("canary"), "{text}: {failure}");
    }
}

#[test]
fn files_are_found_in_order_and_a_named_one_must_exist() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("sortie");
    std::fs::create_dir(&home).unwrap();
    let file = home.join("config.toml");
    std::fs::write(&file, "[profile.home]\nlabel = 'H'").unwrap();
    let environment = Environment::of([("XDG_CONFIG_HOME", folder.path().to_str().unwrap())]);
    let resolved = super::resolve(&Overrides::default(), &environment).unwrap();
    assert!(origin(&resolved, "label").contains(file.to_str().unwrap()));

    let missing = Environment::of([("SORTIE_CONFIG", "/nowhere/config.toml")]);
    let failure = super::resolve(&Overrides::default(), &missing).unwrap_err();
    assert!(failure.message.contains("/nowhere/config.toml"), "{failure}");

    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
    let failure = super::resolve(&Overrides::default(), &environment).unwrap_err();
    assert!(failure.hint.as_deref().unwrap().contains("chmod o-w"));
}

#[test]
fn the_example_is_right_and_holds_the_defaults() {
    let example = with(crate::config::EXAMPLE, &[]).unwrap();
    let bare = with("", &[]).unwrap();
    assert_eq!(example.profile.name.as_deref(), Some("contoso"));
    assert_eq!(example.profile.limits, bare.profile.limits);
    assert_eq!(example.profile.timeouts, bare.profile.timeouts);
    assert_eq!(example.profile.run_timeout, bare.profile.run_timeout);
    assert_eq!(example.profile.authority, bare.profile.authority);
    assert_eq!(example.profile.incidents_api, bare.profile.incidents_api);
    assert_eq!(example.profile.token_cache, bare.profile.token_cache);
    let from_defaults: Vec<&str> = example
        .settings
        .iter()
        .filter(|setting| setting.origin == Origin::Default)
        .map(|setting| setting.name.as_str())
        .collect();
    assert_eq!(from_defaults, [""; 0], "the example says every key");
}
