//! The documented request limits, per application and operation, by the sandbox's clock.
//!
//! A refused request counts too: a client that goes on asking while it is throttled stays throttled (contract section 3).

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;

use crate::call::Call;
use crate::clock::sub;
use crate::record::Api;

/// So many requests in so many seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Quota(usize, u64);

/// The limits of an operation and the name under which it is counted; `None` where no limit is documented.
fn limits(call: &Call) -> Option<(String, &'static [Quota])> {
    match call.api {
        // Any operation on alerts (and, SILENT, incidents) counts together: 150 a minute (contract section 4).
        Api::Graph => Some(("graph security".to_owned(), &[Quota(150, 60)])),
        // Each incident operation: 50 a minute, 1,500 an hour (contract section 6; 50 where pages disagree).
        Api::DefenderXdr => {
            Some((format!("xdr {} {}", call.method, call.segments.len()), &[Quota(50, 60), Quota(1_500, 3_600)]))
        }
        // Each API: 100 a minute, 1,500 an hour unless stated (contract section 7).
        Api::DefenderEndpoint => {
            let what = call.segments.iter().skip(1).step_by(2).map(String::as_str).collect::<Vec<_>>().join("/");
            Some((
                format!("mde {} {what} {}", call.method, call.segments.len()),
                &[Quota(100, 60), Quota(1_500, 3_600)],
            ))
        }
        _ => None,
    }
}

/// Requests seen, per application and operation.
#[derive(Debug, Default)]
pub(crate) struct Throttle(HashMap<(String, String), VecDeque<Timestamp>>);

impl Throttle {
    /// Counts a request; the wait in seconds if it is one too many.
    pub(crate) fn count(&mut self, application: &str, call: &Call) -> Option<f64> {
        let (operation, quotas) = limits(call)?;
        let seen = self.0.entry((application.to_owned(), operation)).or_default();
        let longest = quotas.iter().map(|quota| quota.1).max().unwrap_or_default();
        let horizon = sub(call.now, Duration::from_secs(longest));
        while seen.front().is_some_and(|time| *time <= horizon) {
            seen.pop_front();
        }
        seen.push_back(call.now);
        quotas
            .iter()
            .filter_map(|Quota(limit, seconds)| {
                let begin = sub(call.now, Duration::from_secs(*seconds));
                let inside: Vec<&Timestamp> = seen.iter().rev().take_while(|time| **time > begin).collect();
                // Room comes when the oldest of the last `limit` requests has left the window.
                let oldest = inside.get(*limit).and(inside.get(limit - 1))?;
                Some((oldest.as_millisecond() - begin.as_millisecond()).max(1) as f64 / 1_000.0)
            })
            .reduce(f64::max)
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}
