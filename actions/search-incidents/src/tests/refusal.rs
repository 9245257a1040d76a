//! A host that refuses large records, which the scripted host does not play.

use super::*;
use sortie_sdk::abi::host::{Answer, Services, Stop, lend};
use sortie_sdk::abi::{Level, Status};
use std::sync::Mutex;
use std::time::Duration;

/// A host that takes records of up to 300 bytes, and its service's only page.
#[derive(Default)]
struct Strict {
    page: Vec<Value>,
    requests: Mutex<u32>,
    emitted: Mutex<Vec<Value>>,
    reply: Mutex<Vec<u8>>,
}

impl Services for Strict {
    fn invocation(&self) -> &str {
        r#"{"runId":"r","requestId":"r","action":"a","surface":"graph","mode":"run","remainingMilliseconds":60000}"#
    }

    fn request(&self, _: &str, _: &[u8]) -> Result<Answer, Stop> {
        *self.requests.lock().unwrap() += 1;
        let head = json!({"outcome": "answered", "status": 200, "headers": {}}).to_string();
        Ok(Answer { head, body: page(&self.page).to_string().into_bytes() })
    }

    fn request_many(&self, _: &[(&str, &[u8])]) -> Result<Vec<Answer>, Stop> {
        Err(Stop::Failed)
    }

    fn emit(&self, record: &str) -> Result<(), Stop> {
        if record.len() > 300 {
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
        0
    }
}

#[test]
fn a_record_that_is_too_large_is_named_and_its_neighbours_flow() {
    let host =
        Strict { page: vec![incident(1, "x"), incident(2, &"x".repeat(400)), incident(3, "x")], ..Strict::default() };
    let status = lend(&host, |host| sortie_sdk::export::invoke::<SearchIncidents>(host, b"{}")).unwrap();
    let output: Value = serde_json::from_slice(&host.reply.lock().unwrap()).unwrap();
    assert_eq!(status, Status::OK, "{output}");
    assert_eq!(host.emitted.lock().unwrap()[..], [incident(1, "x"), incident(3, "x")]);
    assert_eq!((&output["read"], &output["returned"]), (&json!(3), &json!(2)));
    let warning = output["warnings"][0].as_str().unwrap();
    assert!(warning.contains("incident 2") && warning.contains("larger than the host takes"), "{warning}");
    assert_eq!(*host.requests.lock().unwrap(), 1, "the page is not asked for again");
}
