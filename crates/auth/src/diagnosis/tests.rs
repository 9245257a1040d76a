use super::*;
use crate::{Api, Effect, LimitClass, Method, Role, Secret};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::borrow::Cow;
use std::time::SystemTime;

const ISOLATE: Call = Call {
    id: Cow::Borrowed("machines.isolate"),
    api: Api::DEFENDER_ENDPOINT,
    method: Method::Post,
    path: Cow::Borrowed("/machines/{machineId}/isolate"),
    effect: Effect::Destructive,
    role: Role::Remediation,
    permissions: Cow::Borrowed(&[Permission::named("Machine.Isolate"), Permission::named("Machine.Everything")]),
    limit: LimitClass::named("machine-actions"),
};

fn token(roles: &[&str]) -> AccessToken {
    let claims = URL_SAFE_NO_PAD.encode(serde_json::json!({ "roles": roles }).to_string());
    AccessToken {
        secret: Secret::new(format!("e30.{claims}.x")),
        expires_on: SystemTime::UNIX_EPOCH,
        refresh_on: SystemTime::UNIX_EPOCH,
    }
}

#[test]
fn the_table_is_sorted_and_found_by_number() {
    assert!(ADVICE.is_sorted_by(|one, next| one.code < next.code));
    assert_eq!(entra(&[1, 7_000_215]).unwrap().remedy, Remedy::Credential);
    assert!(entra(&[7_000_222]).unwrap().hint.contains("expired"));
    assert_eq!(entra(&[90002]).unwrap().remedy, Remedy::Profile);
    assert_eq!(entra(&[500_011]).unwrap().remedy, Remedy::Consent);
    assert_eq!(entra(&[90055]).unwrap().remedy, Remedy::Wait);
    assert_eq!(entra(&[]), None);
    assert_eq!(entra(&[4_711]), None);
}

#[test]
fn a_missing_permission_is_named_with_what_is_there() {
    let hint = forbidden(&ISOLATE, Some(&token(&["Machine.Read.All"])));
    for word in ["remediation", "Machine.Isolate or Machine.Everything", "defender-endpoint", "Machine.Read.All"] {
        assert!(hint.contains(word), "{hint}");
    }
    let hint = forbidden(&ISOLATE, Some(&token(&[])));
    assert!(hint.contains("grants nothing") && hint.contains("Machine.Isolate"), "{hint}");
    let hint = forbidden(&ISOLATE, None);
    assert!(hint.contains("needs the application permission Machine.Isolate"), "{hint}");
}

#[test]
fn a_permission_that_is_there_is_not_called_missing() {
    let hint = forbidden(&ISOLATE, Some(&token(&["Machine.Everything"])));
    assert!(hint.contains("yet the service refuses") && !hint.contains("lacks"), "{hint}");
}

#[test]
fn a_token_with_a_hundred_roles_stays_readable() {
    let roles: Vec<String> = (0..100).map(|number| format!("Role.{number}")).collect();
    let roles: Vec<&str> = roles.iter().map(String::as_str).collect();
    assert!(forbidden(&ISOLATE, Some(&token(&roles))).len() < 500);
}

#[test]
fn a_401_points_at_the_audience() {
    assert!(unauthorized(&ISOLATE).contains("audience"));
}

#[test]
fn a_claims_challenge_is_decoded() {
    let claims = r#"{"access_token":{"nbf":{"essential":true,"value":"1701724953"}}}"#;
    let encoded = URL_SAFE_NO_PAD.encode(claims);
    let padded = base64::engine::general_purpose::STANDARD.encode(claims);
    for header in [
        format!(
            r#"Bearer realm="", authorization_uri="https://login.example/", error="insufficient_claims", claims="{encoded}""#
        ),
        format!(r#"Bearer error="insufficient_claims",claims="{padded}""#),
        format!(r#"Bearer claims="{encoded}" , ERROR=insufficient_claims"#),
    ] {
        assert_eq!(claims_challenge(&header).as_deref(), Some(claims), "{header}");
    }
    for header in [
        String::new(),
        "Bearer".into(),
        "=".into(),
        r#"Bearer error="insufficient_claims""#.into(),
        r#"Bearer error="insufficient_claims", claims="!!""#.into(),
        format!(r#"Bearer error="insufficient_claims", claims="{}""#, URL_SAFE_NO_PAD.encode("[]")),
        format!(r#"Bearer error="invalid_token", claims="{encoded}""#),
        format!(r#"Bearer old_error="insufficient_claims", claims="{encoded}""#),
    ] {
        assert_eq!(claims_challenge(&header), None, "{header}");
    }
}

proptest::proptest! {
    #[test]
    fn no_challenge_makes_it_fall_over(header in proptest::prelude::any::<String>()) {
        let _ = claims_challenge(&header);
    }
}
