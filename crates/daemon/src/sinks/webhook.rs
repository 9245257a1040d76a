//! Each record posted to a URL, signed as Standard Webhooks 1.0.0 says.
//!
//! What the receiver's status means:
//!
//! | status | meaning |
//! | --- | --- |
//! | 2xx | taken, whatever the body is |
//! | 408, 429, 5xx | not now: the record is tried again, after `Retry-After` (at most an hour) if there is one |
//! | 423, 424, 425; time-out | not now: the record is tried again |
//! | 401, 402, 403, 404, 405, 407, 421, 426, 3xx; no connection | the receiver takes nothing in its present state, or is configured wrongly here: everything waits |
//! | any other 4xx: 400, 409, 410, 413, 415, 422, .. | about this record: a dead letter |
//!
//! A wrong key or path is thus never the end of a whole backlog. 409 is a dead letter because a receiver that has the record
//! already would say it for ever; 410 because it is said of one thing that is gone. A receiver that refuses a hundred
//! records in a row is asked at growing intervals from there on (`window`).
//!
//! `webhook-id` is the idempotency key, percent-encoded where a header cannot carry it and where it holds a full stop,
//! which divides what is signed. The URL may hold a token; neither its path nor its query is ever shown. On a command line
//! (`--sink webhook:URL`) everybody on the machine can see it (`ps`): such a URL belongs in a profile.

use super::lanes::Carrier;
use super::signature::Keys;
use super::window::Outcome;
use crate::settings::WebhookSettings;
use bytes::Bytes;
use sortie_host::{Answer, Failure, Host, Receiver, Secret};
use sortie_store::Queued;
use std::fmt::Write;
use tokio_util::sync::CancellationToken;

/// A webhook.
pub(super) struct Webhook {
    receiver: Receiver,
    keys: Keys,
    concurrency: usize,
}

impl Webhook {
    pub(super) fn open(settings: &WebhookSettings, host: &Host) -> Result<Self, Failure> {
        let keys = settings.keys.iter().map(|key| host.read_secret(key, "a signing key"));
        let keys = Keys::new(&keys.collect::<Result<Vec<Secret>, Failure>>()?)?;
        let mut headers = Vec::with_capacity(settings.headers.len());
        for (name, source) in &settings.headers {
            if is_own_header(name) {
                let message = format!("the header {name} is made for each delivery and cannot be set");
                return Err(Failure::configuration(message, "take it out of `headers`"));
            }
            headers.push((name.clone(), host.read_secret(source, &format!("the header {name}"))?));
        }
        let receiver = host.receiver(&settings.url, headers, settings.timeout)?;
        Ok(Self { receiver, keys, concurrency: settings.concurrency })
    }
}

impl Carrier for Webhook {
    fn concurrency(&self) -> usize {
        self.concurrency
    }

    async fn carry(&self, record: &Queued, _: &CancellationToken) -> Outcome {
        let id = header_text(&record.key);
        // Of this attempt: a receiver refuses what is older than a few minutes.
        let timestamp = jiff::Timestamp::now().as_second();
        let mut headers = Vec::with_capacity(3);
        if let Some(signature) = self.keys.sign(&id, timestamp, record.record.as_bytes()) {
            headers.push(("webhook-signature", signature));
        }
        headers.push(("webhook-timestamp", timestamp.to_string()));
        headers.push(("webhook-id", id));
        crate::abort::at("sent");
        judge(self.receiver.post(&headers, Bytes::from(record.record.clone())).await)
    }
}

/// What an answer means.
fn judge(answer: Answer) -> Outcome {
    let Answer { status, timed_out, retry_after: after, message: reason, .. } = answer;
    match status {
        Some(200..=299) => Outcome::Taken,
        Some(408 | 423 | 424 | 425 | 429 | 500..) => Outcome::Again { reason, after },
        Some(300..=399 | 401..=405 | 407 | 421 | 426) => Outcome::Trouble { reason, after },
        Some(400..=499) => Outcome::Refused { reason },
        None if timed_out => Outcome::Again { reason, after },
        Some(_) | None => Outcome::Trouble { reason, after },
    }
}

/// Whether a header is made for each delivery, and is not for a person to set.
pub(crate) fn is_own_header(name: &str) -> bool {
    let own = name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("webhook-"));
    own || Receiver::sets(name)
}

/// A text as `webhook-id`: what is not printable ASCII is percent-encoded, and so is the full stop, because with one the
/// content signed could be divided in two ways, and the percent sign itself.
fn header_text(text: &str) -> String {
    let mut header = String::with_capacity(text.len());
    for byte in text.bytes() {
        if matches!(byte, b'!'..=b'~') && !matches!(byte, b'.' | b'%') {
            header.push(char::from(byte));
        } else {
            let _ = write!(header, "%{byte:02X}");
        }
    }
    header
}

#[cfg(test)]
#[path = "webhook_tests.rs"]
mod tests;
