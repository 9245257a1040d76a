//! The composed outputs, format by format.

use super::*;
use serde_json::{Value, json};
use sortie_host::kinds;

const RECORDS: [&str; 2] = [r#"{"id":"1","title":"a\u001bb","n":1.50}"#, r#"{"id":"2","title":"c","n":2}"#];
const REPLY: &str = r#"{"read":2,"warnings":["careful"],"runId":"r"}"#;

fn style(format: Format) -> Style {
    Style { format, person: false, look: Look::default() }
}

fn printed(
    list: Option<&'static str>,
    style: Style,
    query: Option<&str>,
    tell: impl Fn(&mut Printer<&mut Vec<u8>>),
) -> String {
    let mut out = Vec::new();
    let shape = Shape { list, ..Shape::default() };
    let query = query.map(|code| Arc::new(Query::compile(code).map_err(|failure| failure.message.clone()).unwrap()));
    tell(&mut Printer::new(&mut out, shape, style, query));
    String::from_utf8(out).unwrap()
}

fn listed(format: Format, query: Option<&str>) -> String {
    printed(Some("records"), style(format), query, |printer| {
        for record in RECORDS {
            printer.record(record).unwrap();
        }
        printer.success(REPLY).unwrap();
    })
}

fn broken(format: Format, records: usize) -> String {
    printed(Some("records"), style(format), None, |printer| {
        for record in RECORDS.iter().take(records) {
            printer.record(record).unwrap();
        }
        printer.failure(&Failure::new(kinds::UNAVAILABLE, "gone"), Some("r")).unwrap();
    })
}

#[test]
fn a_list_is_one_document_and_records_pass_untouched() {
    assert_eq!(
        listed(Format::Json, None),
        format!(
            "{{\"records\":[{},{}],\"read\":2,\"warnings\":[\"careful\"],\"runId\":\"r\"}}\n",
            RECORDS[0], RECORDS[1]
        )
    );
    assert_eq!(listed(Format::Jsonl, None), format!("{}\n{}\n", RECORDS[0], RECORDS[1]));
}

#[test]
fn a_list_without_records_is_still_a_list() {
    for (reply, wanted) in
        [(REPLY, r#"{"records":[],"read":2,"warnings":["careful"],"runId":"r"}"#), ("{}", r#"{"records":[]}"#)]
    {
        let text = printed(Some("records"), style(Format::Json), None, |printer| printer.success(reply).unwrap());
        assert_eq!(text, format!("{wanted}\n"));
        let text = printed(Some("records"), style(Format::Yaml), None, |printer| printer.success(reply).unwrap());
        assert_eq!(serde_norway::from_str::<Value>(&text).unwrap(), serde_json::from_str::<Value>(wanted).unwrap());
    }
}

#[test]
fn a_list_that_breaks_is_closed_with_the_error_inside() {
    let read: Value = serde_json::from_str(&broken(Format::Json, 2)).unwrap();
    assert_eq!(read["records"].as_array().unwrap().len(), 2);
    assert_eq!(read["error"]["kind"], "unavailable");
    assert_eq!(read["runId"], "r");

    let read: Value = serde_json::from_str(&broken(Format::Json, 0)).unwrap();
    assert!(read.get("records").is_none());
    assert_eq!(read["error"]["message"], "gone");

    let lines = broken(Format::Jsonl, 2);
    let last: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!((lines.lines().count(), &last["error"]["kind"]), (3, &json!("unavailable")));

    let read: Value = serde_norway::from_str(&broken(Format::Yaml, 2)).unwrap();
    assert_eq!((read["records"][1]["id"].as_str(), read["error"]["kind"].as_str()), (Some("2"), Some("unavailable")));

    assert_eq!(broken(Format::Table, 1), "ID  N    TITLE\n1   1.5  a\\u{1b}b\n");
}

#[test]
fn yaml_says_the_same_as_json() {
    let yaml: Value = serde_norway::from_str(&listed(Format::Yaml, None)).unwrap();
    let json: Value = serde_json::from_str(&listed(Format::Json, None)).unwrap();
    assert_eq!(yaml, json);
}

#[test]
fn a_query_sees_the_document_or_each_record() {
    assert_eq!(listed(Format::Json, Some(".records[].id, .read")), "\"1\"\n\"2\"\n2\n");
    assert_eq!(listed(Format::Table, Some(".records | length")), "2\n");
    assert_eq!(listed(Format::Jsonl, Some(".id")), "\"1\"\n\"2\"\n");
    assert_eq!(listed(Format::Yaml, Some(".records[0] | {id}")), "---\nid: '1'\n");
    let single = printed(None, style(Format::Jsonl), Some(".read"), |printer| printer.success(REPLY).unwrap());
    assert_eq!(single, "2\n");
}

#[test]
fn a_query_that_fails_on_a_record_stops_the_list_and_is_remembered() {
    printed(Some("records"), style(Format::Jsonl), Some(".id.x"), |printer| {
        assert!(printer.record(RECORDS[0]).is_err());
        assert!(printer.query_failure().is_some());
    });
    printed(None, style(Format::Json), Some(".read.x"), |printer| {
        assert!(matches!(printer.success(REPLY), Err(Ended::Query(_))));
    });
}

#[test]
fn a_failure_is_not_queried() {
    let text = printed(Some("records"), style(Format::Json), Some(".records"), |printer| {
        printer.record(RECORDS[0]).unwrap();
        printer.failure(&Failure::new(kinds::TIMEOUT, "late"), None).unwrap();
    });
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["error"]["kind"], "timeout");
}

#[test]
fn a_person_gets_indentation_and_sees_what_is_there() {
    let person = |format| Style { person: true, ..style(format) };
    let reply = "{\"title\":\"x\u{202e}y\",\"n\":1.50}";
    let text = printed(None, person(Format::Json), None, |printer| printer.success(reply).unwrap());
    assert_eq!(text, "{\n  \"title\": \"x\\u202ey\",\n  \"n\": 1.50\n}\n");
    let text = printed(None, person(Format::Yaml), None, |printer| printer.success(reply).unwrap());
    assert!(!text.contains('\u{202e}') && text.contains("202e"), "{text}");
    let list = printed(Some("records"), person(Format::Json), None, |printer| {
        for record in RECORDS {
            printer.record(record).unwrap();
        }
        printer.success(REPLY).unwrap();
    });
    assert!(list.starts_with("{\n  \"records\": [\n    {\n      \"id\": \"1\","), "{list}");
    assert_eq!(serde_json::from_str::<Value>(&list).unwrap()["read"], 2);
}

#[test]
fn blocks_show_each_element_by_itself() {
    let mut out = Vec::new();
    let columns = vec![
        Column { title: "Method".into(), path: "/method".into() },
        Column { title: "URL".into(), path: "/url".into() },
    ];
    let shape = Shape { list: Some("plan"), columns, blocks: true };
    let mut printer = Printer::new(&mut out, shape, style(Format::Table), None);
    printer.record(r#"{"method":"PATCH","url":"https://x/1"}"#).unwrap();
    printer.record(r#"{"method":"POST","url":"https://x/2"}"#).unwrap();
    printer.success("{}").unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "Method  PATCH\nURL     https://x/1\n\nMethod  POST\nURL     https://x/2\n"
    );
}
