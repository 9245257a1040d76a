//! The metrics, in Prometheus' text format 0.0.4.
//!
//! Labels hold the names of sinks and nothing that comes from a tenant: no id, no title, no address.

use crate::status::{SinkStatus, Snapshot};
use std::fmt::{Display, Write};

/// The content type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The page.
pub fn text(status: &Snapshot) -> String {
    let mut page = Page(String::with_capacity(4_096));
    let counts = &status.counts;
    page.info("sortie_build_info", "The version of sortie.", &[("version", env!("CARGO_PKG_VERSION"))]);
    page.gauge("sortie_uptime_seconds", "How long the daemon has run.", status.began.elapsed().as_secs_f64());
    page.counter("sortie_polls_total", "Polls that ended well.", counts.polls);
    page.counter("sortie_sweeps_total", "Sweeps that ended well.", counts.sweeps);
    page.counter("sortie_failures_total", "Polls and sweeps that failed.", counts.failures);
    page.counter("sortie_calls_total", "Calls to the service.", counts.calls);
    page.counter("sortie_fetched_total", "Items read, those that were known already too.", counts.fetched);
    page.family("sortie_records_total", "Records put into the outbox.", "counter");
    page.sample("sortie_records_total", &[("change", "created")], counts.new);
    page.sample("sortie_records_total", &[("change", "changed")], counts.changed);
    page.counter("sortie_passed_over_total", "Versions that the filters passed over.", counts.passed_over);
    page.gauge("sortie_outbox_records", "Records that wait for at least one sink.", status.waiting.0);
    page.gauge("sortie_outbox_bytes", "The size of the records that wait.", status.waiting.1);
    page.flag("sortie_outbox_full", "Whether reading pauses because the outbox is full.", status.outbox_full);
    page.gauge("sortie_dead_letters", "Records that a sink refused for good.", status.dead_letters);
    page.gauge("sortie_quarantined", "Items that cannot be read as they should.", status.quarantined);
    page.flag("sortie_store_up", "Whether the store can be written.", status.store_error.is_none());
    page.flag("sortie_needs_help", "Whether reading fails in a way that only a person can mend.", status.needs_help);
    page.flag("sortie_failing", "Whether the last poll failed.", status.error.is_some());
    page.flag("sortie_sweep_failing", "Whether the last sweep failed.", status.sweep_error.is_some());
    page.gauge("sortie_poll_interval_seconds", "The rest between two quiet polls.", status.interval);
    if let Some((at, time)) = status.last_success {
        let seconds = time.as_millisecond() as f64 / 1_000.0;
        let help = "When a poll last ended well, in seconds since 1970.";
        page.gauge("sortie_last_success_timestamp_seconds", help, seconds);
        let help = "How long ago a poll last ended well, whatever the clock does.";
        page.gauge("sortie_last_success_age_seconds", help, at.elapsed().as_secs_f64());
    }
    if let Some((at, _)) = status.last_sweep {
        let help = "How long ago a sweep last ended well since the daemon began, whatever the clock does.";
        page.gauge("sortie_last_sweep_age_seconds", help, at.elapsed().as_secs_f64());
    }
    if let Some(lag) = status.lag {
        let help = "How far the newest record was behind the service's clock when it was committed.";
        page.gauge("sortie_lag_seconds", help, lag);
    }
    if let Some(skew) = status.clock_skew {
        page.gauge("sortie_clock_skew_seconds", "The service's clock less this machine's.", skew);
    }
    page.sinks(status, "sortie_sink_delivered_total", "Records that the sink took.", "counter", |sink| sink.delivered);
    let help = "Attempts that the sink did not take and that are repeated.";
    page.sinks(status, "sortie_sink_retries_total", help, "counter", |sink| sink.retried);
    let help = "Records that the sink refused for good.";
    page.sinks(status, "sortie_sink_refused_total", help, "counter", |sink| sink.refused);
    page.sinks(status, "sortie_sink_waiting", "Records that wait for the sink.", "gauge", |sink| sink.waiting);
    let help = "Whether the sink takes records; what it does not take waits in the store.";
    page.sinks(status, "sortie_sink_up", help, "gauge", |sink| u64::from(sink.error.is_none()));
    page.0
}

/// The text so far. Writing to a String cannot fail.
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, help: &str, kind: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            self.0.push(if at == 0 { '{' } else { ',' });
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{label}=\"{text}\"");
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, help, "counter");
        self.sample(name, &[], value);
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, help, "gauge");
        self.sample(name, &[], value);
    }

    fn flag(&mut self, name: &str, help: &str, value: bool) {
        self.gauge(name, help, u8::from(value));
    }

    fn info(&mut self, name: &str, help: &str, labels: &[(&str, &str)]) {
        self.family(name, help, "gauge");
        self.sample(name, labels, 1);
    }

    fn sinks(&mut self, status: &Snapshot, name: &str, help: &str, kind: &str, value: fn(&SinkStatus) -> u64) {
        if status.sinks.is_empty() {
            return;
        }
        self.family(name, help, kind);
        for (sink, told) in &status.sinks {
            self.sample(name, &[("sink", sink)], value(told));
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::status::Status;
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::Instant;

    /// Reads the format strictly, by its specification: each family has one HELP, one TYPE, then its samples together; names
    /// and labels have their characters; no series stands twice; the text ends in a line feed. The samples by their series.
    pub(crate) fn parse(text: &str) -> BTreeMap<String, f64> {
        assert!(text.ends_with('\n') && !text.contains("\r"), "lines end in line feeds");
        let mut samples = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let mut family: Option<(String, Option<String>)> = None;
        for line in text.lines() {
            assert!(!line.is_empty() && line.trim() == line, "{line:?}");
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                assert!(is_name(name) && !help.is_empty(), "{line}");
                assert!(seen.insert(name.to_owned()), "{name} stands in two places");
                family = Some((name.to_owned(), None));
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                let family = family.as_mut().filter(|(known, kind)| known == name && kind.is_none());
                assert!(["counter", "gauge"].contains(&kind), "{line}");
                family.unwrap_or_else(|| panic!("{line} does not follow its HELP")).1 = Some(kind.to_owned());
            } else {
                assert!(!line.starts_with('#'), "{line}");
                let (series, value) = line.rsplit_once(' ').unwrap();
                let (name, labels) = match series.split_once('{') {
                    Some((name, rest)) => (name, rest.strip_suffix('}').unwrap()),
                    None => (series, ""),
                };
                let (known, kind) = family.as_ref().unwrap();
                assert_eq!(known, name, "{line} stands in another family");
                assert_eq!(kind.as_deref() == Some("counter"), name.ends_with("_total"), "{line}");
                check_labels(labels);
                let value: f64 = value.parse().unwrap();
                assert!(value.is_finite(), "{line}");
                assert!(samples.insert(series.to_owned(), value).is_none(), "{series} stands twice");
            }
        }
        samples
    }

    fn is_name(name: &str) -> bool {
        name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':')
    }

    fn check_labels(labels: &str) {
        let mut rest = labels;
        while !rest.is_empty() {
            let (name, after) = rest.split_once("=\"").unwrap();
            assert!(is_name(name) && !name.contains(':'), "{labels}");
            let mut escaped = false;
            let end = after
                .find(|character| match character {
                    _ if escaped => {
                        assert!(['\\', '"', 'n'].contains(&character), "{labels}");
                        escaped = false;
                        false
                    }
                    '\\' => {
                        escaped = true;
                        false
                    }
                    other => other == '"',
                })
                .unwrap();
            rest = &after[end + 1..];
            rest = rest.strip_prefix(',').unwrap_or(rest);
        }
    }

    fn busy() -> Status {
        let status = Status::new(30.0);
        status.change(|status| {
            status.last_success = Some((Instant::now(), "2026-03-10T12:00:00.250Z".parse().unwrap()));
            status.lag = Some(1.5);
            status.clock_skew = Some(-0.25);
            status.error = Some(("forbidden".into(), "incident 1001 of contoso.com".into()));
            status.counts.new = 7;
            status.waiting = (3, 4_096);
        });
        status.change_sink("soar", |sink| {
            sink.delivered = 5;
            sink.error = Some("https://soar.contoso.com answered 503".into());
        });
        status.change_sink("archive", |sink| sink.waiting = 2);
        status
    }

    #[test]
    fn the_page_is_what_the_format_asks_for() {
        let samples = parse(&text(&busy().snapshot()));
        assert_eq!(samples["sortie_records_total{change=\"created\"}"], 7.0);
        assert_eq!(samples["sortie_last_success_timestamp_seconds"], 1_773_144_000.25);
        assert_eq!(samples["sortie_clock_skew_seconds"], -0.25);
        assert_eq!(samples["sortie_sink_up{sink=\"soar\"}"], 0.0);
        assert_eq!(samples["sortie_sink_up{sink=\"archive\"}"], 1.0);
        assert_eq!(samples["sortie_outbox_bytes"], 4_096.0);
        assert_eq!(samples[&format!("sortie_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"))], 1.0);
        let fresh = parse(&text(&Status::new(30.0).snapshot()));
        assert!(!fresh.contains_key("sortie_last_success_timestamp_seconds"), "what is not known is not there");
    }

    #[test]
    fn nothing_of_the_tenant_is_in_it() {
        let page = text(&busy().snapshot());
        assert!(!page.contains("contoso") && !page.contains("1001"), "{page}");
    }

    #[test]
    fn odd_labels_are_escaped() {
        let mut page = Page(String::new());
        page.family("x", "X.", "gauge");
        page.sample("x", &[("sink", "a\"b\\c\nd"), ("other", "")], 1);
        assert_eq!(parse(&page.0).len(), 1);
    }
}
