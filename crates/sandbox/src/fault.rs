//! Faults on demand: which request is hit, and what happens to it.
//!
//! A [`Rule`] picks requests (by API, method, path, query, how many to let through, how often, or by a seeded rate) and names a [`Fault`]. The first rule that
//! picks a request wins. Requests to the control API are never hit.

use serde::{Deserialize, Serialize};

use crate::record::Api;
use crate::tenant::chance::{Chance, Stream};

/// Each form in which a 429 says, or fails to say, when to come back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RetryAfter {
    /// Whole seconds.
    Seconds(u64),
    /// Seconds with a fraction, as Graph's documented sample `2.128`.
    Fraction(f64),
    /// An HTTP date that many seconds ahead.
    Date(u64),
    /// No header at all.
    Missing,
    /// `1000000000` seconds.
    Absurd,
    /// `-5`.
    Negative,
    /// Text that is neither number nor date.
    Garbage,
    /// No header; a time that many seconds ahead in the body, as Defender XDR does ([`crate::XdrRetry`] says in which form).
    BodyTime(u64),
}

/// What is wrong with a next link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NextLink {
    /// It points to the page that it stands on.
    LoopSelf,
    /// It points to the first page.
    LoopFirst,
    /// The same page again under a new URL, without end.
    Endless,
    /// It points to this URL, on whatever host.
    Foreign(String),
    /// `http` for `https` and the other way round.
    Scheme,
    /// Another port.
    Port,
    /// User and password before the host.
    Userinfo,
    /// A path outside the API.
    PathPrefix,
    /// It is left out although there is more.
    Missing,
    /// It is empty text.
    Empty,
    /// It is a number.
    Number,
    /// It is no URL.
    Garbage,
}

/// What happens to a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Fault {
    /// 429, with the surface's own body. The work is not done.
    Throttled {
        /// How it says when to come back.
        retry_after: RetryAfter,
    },
    /// Any status, with the surface's own error body. The work is not done.
    Status {
        /// The HTTP status.
        status: u16,
        /// The error code; made from the status if not given.
        #[serde(default)]
        code: Option<String>,
        /// The message.
        #[serde(default)]
        message: Option<String>,
        /// Headers to send with it.
        #[serde(default)]
        headers: Vec<(String, String)>,
    },
    /// Any status and body. The work is not done.
    Body {
        /// The HTTP status.
        status: u16,
        /// The content type.
        content_type: String,
        /// The body.
        text: String,
    },
    /// 302 or another redirect. The work is not done.
    Redirect {
        /// The HTTP status.
        status: u16,
        /// Where to.
        location: String,
    },
    /// 401 with a claims challenge that a token must have been asked for with. The work is not done.
    InsufficientClaims,
    /// All tokens are made invalid, then the request is answered (with 401).
    ExpireTokens,
    /// The connection is reset before the work is done.
    ResetBefore,
    /// The work is done, then the connection is reset without an answer.
    ResetAfter,
    /// The connection is reset at once, and the work is done later: what a service does that goes on after its client is gone.
    WorkLate {
        /// How much later.
        milliseconds: u64,
    },
    /// The connection is reset after that many bytes of the body.
    ResetMidBody {
        /// Bytes sent before.
        bytes: usize,
    },
    /// The body ends after that many bytes, before its announced length, and the connection closes.
    Truncated {
        /// Bytes sent.
        bytes: usize,
    },
    /// The body stops after that many bytes; the connection stays open in silence.
    Stall {
        /// Bytes sent.
        bytes: usize,
    },
    /// Everything, headers first, comes one byte at a time.
    DripHeader {
        /// Milliseconds between bytes.
        interval_ms: u64,
    },
    /// The body comes one byte at a time.
    DripBody {
        /// Milliseconds between bytes.
        interval_ms: u64,
    },
    /// The answer comes late.
    Delay {
        /// How late.
        milliseconds: u64,
    },
    /// 200 with a page of HTML.
    Html,
    /// 200 without a body.
    Empty,
    /// A byte order mark before the body.
    ByteOrderMark,
    /// A `NaN` in the body.
    NotANumber,
    /// The body's first member twice, with another value.
    DuplicateKeys,
    /// The body is followed by white space up to that many bytes.
    Oversized {
        /// Length of the body.
        bytes: usize,
    },
    /// A small gzip body that unpacks to that many bytes.
    GzipBomb {
        /// Length when unpacked.
        bytes: usize,
    },
    /// Arrays nested that deep.
    DeepNesting {
        /// How deep.
        depth: usize,
    },
    /// Bytes that are not UTF-8 inside the body.
    InvalidUtf8,
    /// Headers of that many bytes in all.
    HugeHeaders {
        /// Length of the headers.
        bytes: usize,
    },
    /// A wrong next link.
    NextLink {
        /// What is wrong with it.
        link: NextLink,
    },
    /// The page before comes again.
    DuplicatePage,
    /// The page begins that many items later (or earlier): what happens when the list changes between pages.
    ShiftedPage {
        /// How many items.
        by: i64,
    },
    /// 206 with a `Warning` header.
    Partial {
        /// The warning; `Vendor/Provider/Status/LatencyMs`.
        warning: String,
    },
    /// A `Date` header that is wrong by that many seconds.
    DateSkew {
        /// How wrong.
        seconds: i64,
    },
}

impl Fault {
    /// A 503 with the surface's own body.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::Status { status, code: None, message: None, headers: Vec::new() }
    }
}

/// Which requests are hit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// Only requests to this API.
    #[serde(default)]
    pub api: Option<Api>,
    /// Only this method.
    #[serde(default)]
    pub method: Option<String>,
    /// Only paths that begin so (`/graph/v1.0/security/incidents`).
    #[serde(default)]
    pub path: Option<String>,
    /// Only requests whose raw query contains this.
    #[serde(default)]
    pub query: Option<String>,
    /// Let that many fitting requests through first.
    #[serde(default)]
    pub skip: u64,
    /// Hit at most that many requests; without end if not given.
    #[serde(default)]
    pub times: Option<u64>,
    /// Hit a fitting request only in this share of cases, by seeded chance.
    #[serde(default)]
    pub rate: Option<f64>,
    /// What happens.
    pub fault: Fault,
}

impl Rule {
    /// Hits every request.
    #[must_use]
    pub fn new(fault: Fault) -> Self {
        Self { api: None, method: None, path: None, query: None, skip: 0, times: None, rate: None, fault }
    }

    /// Hits the next request that fits, once.
    #[must_use]
    pub fn once(fault: Fault) -> Self {
        Self::new(fault).times(1)
    }

    /// Only requests to this API.
    #[must_use]
    pub fn api(mut self, api: Api) -> Self {
        self.api = Some(api);
        self
    }

    /// Only this method.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    /// Only paths that begin so.
    #[must_use]
    pub fn path(mut self, path: &str) -> Self {
        self.path = Some(path.to_owned());
        self
    }

    /// Only requests whose raw query contains this.
    #[must_use]
    pub fn query(mut self, query: &str) -> Self {
        self.query = Some(query.to_owned());
        self
    }

    /// Lets that many fitting requests through first.
    #[must_use]
    pub fn skip(mut self, skip: u64) -> Self {
        self.skip = skip;
        self
    }

    /// Hits at most that many requests.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    /// Hits the fitting request with that number only, counted from 1.
    #[must_use]
    pub fn at(self, number: u64) -> Self {
        self.skip(number.saturating_sub(1)).times(1)
    }

    /// Hits in this share of cases only.
    #[must_use]
    pub fn rate(mut self, rate: f64) -> Self {
        self.rate = Some(rate);
        self
    }

    fn fits(&self, api: Api, method: &str, path: &str, query: &str) -> bool {
        self.api.is_none_or(|wanted| wanted == api)
            && self.method.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
            && self.path.as_deref().is_none_or(|wanted| path.starts_with(wanted))
            && self.query.as_deref().is_none_or(|wanted| query.contains(wanted))
    }
}

/// The rules in force, and how often each was met.
#[derive(Debug)]
pub(crate) struct Faults {
    rules: Vec<Counted>,
    chance: Chance,
}

#[derive(Debug)]
struct Counted {
    rule: Rule,
    met: u64,
    hit: u64,
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        Self { rules: Vec::new(), chance: Chance::new(seed ^ 0xfa, Stream::Life, 0) }
    }

    pub(crate) fn add(&mut self, rule: Rule) {
        self.rules.push(Counted { rule, met: 0, hit: 0 });
    }

    pub(crate) fn clear(&mut self) {
        self.rules.clear();
    }

    /// How many requests were hit since the rules were last cleared.
    pub(crate) fn hits(&self) -> u64 {
        self.rules.iter().map(|counted| counted.hit).sum()
    }

    /// The fault that hits this request, if any.
    pub(crate) fn next(&mut self, api: Api, method: &str, path: &str, query: &str) -> Option<Fault> {
        if api == Api::Control {
            return None;
        }
        for counted in &mut self.rules {
            let rule = &counted.rule;
            if !rule.fits(api, method, path, query) {
                continue;
            }
            counted.met += 1;
            let due = counted.met > rule.skip && rule.times.is_none_or(|times| counted.hit < times);
            if due && rule.rate.is_none_or(|rate| self.chance.fraction() < rate) {
                counted.hit += 1;
                return Some(rule.fault.clone());
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(faults: &mut Faults, path: &str) -> Option<Fault> {
        faults.next(Api::Graph, "GET", path, "$top=5")
    }

    #[test]
    fn rules_count_the_requests_that_fit() {
        let mut faults = Faults::new(1);
        faults.add(Rule::new(Fault::Html).method("get").path("/graph/v1.0/security").query("$top").at(2));
        assert_eq!(next(&mut faults, "/graph/v1.0/security/incidents"), None);
        assert_eq!(next(&mut faults, "/elsewhere"), None);
        assert_eq!(faults.next(Api::Graph, "POST", "/graph/v1.0/security", "$top"), None);
        assert_eq!(next(&mut faults, "/graph/v1.0/security/incidents"), Some(Fault::Html));
        assert_eq!(next(&mut faults, "/graph/v1.0/security/incidents"), None);
        assert_eq!(faults.hits(), 1);
    }

    #[test]
    fn rates_are_seeded_and_control_is_spared() {
        let run = |seed| {
            let mut faults = Faults::new(seed);
            faults.add(Rule::new(Fault::Empty).rate(0.3));
            assert_eq!(faults.next(Api::Control, "GET", "/control", ""), None);
            (0..200).map(|_| next(&mut faults, "/x").is_some()).collect::<Vec<_>>()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
        let hits = run(1).into_iter().filter(|hit| *hit).count();
        assert!((30..90).contains(&hits), "{hits}");
    }

    #[test]
    fn rules_are_json() {
        let rule: Rule = serde_json::from_str(
            r#"{"path":"/mde","times":2,"fault":{"throttled":{"retryAfter":{"fraction":2.128}}}}"#,
        )
        .unwrap();
        assert_eq!(
            rule,
            Rule::new(Fault::Throttled { retry_after: RetryAfter::Fraction(2.128) }).path("/mde").times(2)
        );
        let rule: Rule = serde_json::from_str(r#"{"fault":"resetAfter"}"#).unwrap();
        assert_eq!(rule.fault, Fault::ResetAfter);
        let rule: Rule = serde_json::from_str(r#"{"fault":{"dripBody":{"intervalMs":5}}}"#).unwrap();
        assert_eq!(rule.fault, Fault::DripBody { interval_ms: 5 });
    }
}
