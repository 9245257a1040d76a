//! What the scripted host does not play: a machine whose clock is wrong, and records that are too large for it.

use super::*;
use sortie_sdk::abi::host::{Answer, Services, Stop, lend};
use sortie_sdk::abi::{Level, Status};
use std::sync::Mutex;
use std::time::Duration;

/// A host three days ahead of the service, which lists the incidents of the day before its own noon.
#[derive(Default)]
struct Ahead {
    incidents: Vec<Value>,
    /// The largest record it takes.
    largest: Option<usize>,
    emitted: Mutex<Vec<Value>>,
    filters: Mutex<Vec<String>>,
    reply: Mutex<Vec<u8>>,
}

impl Services for Ahead {
    fn invocation(&self) -> &str {
        r#"{"runId":"r","requestId":"r","action":"a","surface":"graph","mode":"run","remainingMilliseconds":60000}"#
    }

    fn request(&self, head: &str, _: &[u8]) -> Result<Answer, Stop> {
        let head: Value = serde_json::from_str(head).map_err(|_| Stop::Failed)?;
        let filter = head["query"][0][1].as_str().unwrap().to_owned();
        let body = if filter.ends_with("2026-03-09T12:00:00Z") {
            json!({"value": self.incidents})
        } else {
            json!({"value": []})
        };
        self.filters.lock().unwrap().push(filter);
        let headers = json!({"date": "Tue, 10 Mar 2026 12:00:00 GMT"});
        Ok(Answer {
            head: json!({"outcome": "answered", "status": 200, "headers": headers}).to_string(),
            body: body.to_string().into_bytes(),
        })
    }

    fn request_many(&self, _: &[(&str, &[u8])]) -> Result<Vec<Answer>, Stop> {
        Err(Stop::Failed)
    }

    fn emit(&self, record: &str) -> Result<(), Stop> {
        if self.largest.is_some_and(|largest| record.len() > largest) {
            return Err(Stop::Refused);
        }
        self.emitted.lock().unwrap().push(serde_json::from_str(record).map_err(|_| Stop::Failed)?);
        Ok(())
    }

    fn reply(&self, chunk: &[u8]) -> Result<(), Stop> {
        self.reply.lock().unwrap().extend_from_slice(chunk);
        Ok(())
    }

    fn log(&self, _: Level, _: &str, _: &str) {}

    fn progress(&self, _: &str) {}

    fn sleep(&self, _: Duration) -> Result<(), Stop> {
        Ok(())
    }

    fn cancelled(&self) -> bool {
        false
    }

    fn now(&self) -> i64 {
        "2026-03-13T12:00:00Z".parse::<Timestamp>().unwrap().as_millisecond()
    }
}

#[test]
fn a_wrong_clock_here_does_not_hide_the_first_window() {
    let host = Ahead { incidents: vec![incident(1, 5)], ..Ahead::default() };
    let status = lend(&host, |host| sortie_sdk::export::invoke::<IncidentsDaemon>(host, b"{}")).unwrap();
    let output: Value = serde_json::from_slice(&host.reply.lock().unwrap()).unwrap();
    assert_eq!(status, Status::OK, "{output}");
    let filters = host.filters.lock().unwrap();
    assert_eq!(
        filters[..],
        ["lastUpdateDateTime ge 2026-03-12T12:00:00Z", "lastUpdateDateTime ge 2026-03-09T12:00:00Z"]
    );
    assert_eq!(output["nextCursor"], "1,poll,2026-03-10T11:55:00Z");
    assert_eq!((&output["returned"], &output["calls"]), (&json!(1), &json!(2)));
    assert!(output["warnings"][0].as_str().unwrap().contains("clock"));
}

#[test]
fn a_record_that_is_too_large_leaves_a_note_and_is_not_asked_for_again() {
    let mut large = incident(2, 6);
    large["displayName"] = json!("x".repeat(5_000));
    let host =
        Ahead { incidents: vec![incident(1, 5), large, incident(3, 7)], largest: Some(3_000), ..Ahead::default() };
    let status = lend(&host, |host| sortie_sdk::export::invoke::<IncidentsDaemon>(host, b"{}")).unwrap();
    assert_eq!(status, Status::OK);
    let emitted = host.emitted.lock().unwrap();
    let ids: Vec<_> = emitted.iter().map(|record| record["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["1", "2", "3"]);
    let note = &emitted[1];
    assert_eq!((&note["quarantine"]["id"], &note["body"]), (&json!("2"), &Value::Null));
    assert!(note["quarantine"]["reason"].as_str().unwrap().contains("larger than the host takes"), "{note}");
    assert_eq!(host.filters.lock().unwrap().len(), 2, "one for each clock");
}
