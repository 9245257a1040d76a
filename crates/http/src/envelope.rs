//! The error body that all of Microsoft's surfaces share, more or less.
//!
//! Graph: `{"error":{"code","message","innerError":{"request-id","date",..}}}`, the inner key in two spellings, nested,
//! older texts with `requestId`. Defender XDR and Defender for Endpoint: `{"error":{"code","message","target"}}` with the
//! tracking id as `target`. Entra: `{"error":"invalid_client","error_description":"AADSTS..","correlation_id",..}`. IMDS as
//! Entra. Everything is optional, nothing is believed, and the message is never something to decide by (contract
//! sections 2 and 3).

use crate::text::clean;
use serde_json::Value;

/// What an error body says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// The service's error code.
    pub code: Option<String>,
    /// Its message, made fit for a line ([`clean`]).
    pub message: Option<String>,
    /// Its id of the request.
    pub request_id: Option<String>,
}

/// How deep inner errors are followed.
const DEEPEST: usize = 8;

/// Reads an error body; what is not there, or not in a known place, is left out.
pub fn parse(body: &[u8]) -> Envelope {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let Ok(Value::Object(mut body)) = serde_json::from_slice::<Value>(body) else { return Envelope::default() };
    match body.remove("error") {
        Some(Value::Object(error)) => {
            let error = Value::Object(error);
            let inner = innermost(&error);
            Envelope {
                code: text(&error, "code"),
                message: text(&error, "message").or_else(|| inner.and_then(|inner| text(inner, "message"))),
                request_id: identifier(&error),
            }
        }
        Some(Value::String(code)) => {
            let body = Value::Object(body);
            Envelope {
                code: short(&code),
                // Entra adds trace id, correlation id and time on lines of their own.
                message: body
                    .get("error_description")
                    .and_then(Value::as_str)
                    .and_then(|description| short(description.lines().next()?)),
                request_id: text(&body, "trace_id").or_else(|| text(&body, "correlation_id")),
            }
        }
        _ => {
            let body = Value::Object(body);
            Envelope {
                code: text(&body, "code").or_else(|| text(&body, "Code")),
                message: ["message", "Message", "detail", "title"].iter().find_map(|key| text(&body, key)),
                request_id: None,
            }
        }
    }
}

/// The id of the request, in the error itself or in any error inside it.
fn identifier(error: &Value) -> Option<String> {
    let mut error = Some(error);
    for _ in 0..DEEPEST {
        let here = error?;
        let named = ["request-id", "requestId", "target"].iter().find_map(|key| text(here, key));
        // `target` may also name a field; a tracking id has the length of a GUID.
        if let Some(id) = named.filter(|id| id.len() == 36 && id.bytes().filter(|byte| *byte == b'-').count() == 4) {
            return Some(id);
        }
        error = inner(here);
    }
    None
}

fn innermost(error: &Value) -> Option<&Value> {
    let mut innermost = inner(error)?;
    for _ in 0..DEEPEST {
        match inner(innermost) {
            Some(deeper) => innermost = deeper,
            None => break,
        }
    }
    Some(innermost)
}

fn inner(error: &Value) -> Option<&Value> {
    ["innerError", "innererror", "InnerError"].iter().find_map(|key| error.get(key)).filter(|inner| inner.is_object())
}

fn text(object: &Value, key: &str) -> Option<String> {
    match object.get(key)? {
        Value::String(text) => short(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn short(text: &str) -> Option<String> {
    Some(clean(text)).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: &str = "0f0e0d0c-0b0a-4090-8070-605040302010";

    fn envelope(code: &str, message: &str, id: Option<&str>) -> Envelope {
        Envelope { code: Some(code.into()), message: Some(message.into()), request_id: id.map(Into::into) }
    }

    #[test]
    fn graph_in_both_spellings_and_nested() {
        let body = format!(
            r#"{{"error":{{"code":"BadRequest","message":"No.","innerError":{{"request-id":"{ID}","date":"x"}}}}}}"#
        );
        assert_eq!(parse(body.as_bytes()), envelope("BadRequest", "No.", Some(ID)));
        let body = format!(
            r#"{{"error":{{"code":"A","message":"","innererror":{{"code":"B","innererror":{{"requestId":"{ID}","message":"Deep."}}}}}}}}"#
        );
        assert_eq!(parse(body.as_bytes()), envelope("A", "Deep.", Some(ID)));
    }

    #[test]
    fn defender_and_its_target() {
        let body =
            format!(r#"{{"error":{{"code":"ResourceNotFound","message":"Machine 1 was not found","target":"{ID}"}}}}"#);
        assert_eq!(parse(body.as_bytes()), envelope("ResourceNotFound", "Machine 1 was not found", Some(ID)));
        let body = r#"{"error":{"code":"InvalidRequestBody","message":"Wrong","target":"comment"}}"#;
        assert_eq!(parse(body.as_bytes()), envelope("InvalidRequestBody", "Wrong", None));
    }

    #[test]
    fn entra_and_only_its_first_line() {
        let body = format!(
            r#"{{"error":"invalid_client","error_description":"AADSTS7000215: Invalid.\r\nTrace ID: t\r\nTimestamp: x","error_codes":[7000215],"trace_id":"{ID}"}}"#
        );
        assert_eq!(parse(body.as_bytes()), envelope("invalid_client", "AADSTS7000215: Invalid.", Some(ID)));
    }

    #[test]
    fn whatever_else_is_survived() {
        assert_eq!(parse(b""), Envelope::default());
        assert_eq!(parse(b"<html>"), Envelope::default());
        assert_eq!(parse(b"[]"), Envelope::default());
        assert_eq!(parse(br#"{"error":null}"#), Envelope::default());
        assert_eq!(parse(br#"{"error":{"code":["x"],"message":{}}}"#), Envelope::default());
        assert_eq!(parse(br#"{"error":{"code":404,"message":"x"}}"#).code.as_deref(), Some("404"));
        assert_eq!(parse(br#"{"Message":"No HTTP resource"}"#).message.as_deref(), Some("No HTTP resource"));
        assert_eq!(parse(b"\xef\xbb\xbf{\"error\":{\"code\":\"x\"}}").code.as_deref(), Some("x"));
    }

    #[test]
    fn a_hostile_message_becomes_a_harmless_line() {
        let body = serde_json::json!({"error": {"code": "X", "message": format!("\u{1b}[2J\r\nfake: line {}", "y".repeat(9000))}});
        let message = parse(body.to_string().as_bytes()).message.unwrap();
        assert!(message.starts_with("[2J fake: line y") && message.chars().count() < 600);
    }

    #[test]
    fn the_contracts_samples_are_understood() {
        let folder = std::env::var_os("SORTIE_CONTRACT_DIR").map_or_else(
            || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/contract"),
            Into::into,
        );
        let Ok(samples) = std::fs::read_dir(folder.join("samples")) else {
            println!("skipped: no contract folder");
            return;
        };
        let mut seen = 0;
        for path in samples.map(|sample| sample.unwrap().path()) {
            if path.file_name().is_some_and(|name| name.to_string_lossy().contains("_error_")) {
                let body = std::fs::read(&path).unwrap();
                let read = parse(&body);
                let document: Value = serde_json::from_slice(&body).unwrap();
                let error = &document["error"];
                let code = error["code"].as_str().or(error.as_str());
                assert_eq!(read.code.as_deref(), code, "{}", path.display());
                assert!(read.message.is_some(), "{}", path.display());
                seen += 1;
            }
        }
        assert!(seen > 3, "{seen}");
    }

    proptest! {
        #[test]
        fn no_body_makes_it_fall_over(body in prop::collection::vec(any::<u8>(), 0..300)) {
            parse(&body);
        }
    }
}
