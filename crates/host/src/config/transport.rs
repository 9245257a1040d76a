//! What a profile says about the transport: limits, deadlines, proxy, verification.

use super::origin::Origin;
use super::parse;
use super::resolve::Resolver;
use super::section::texts;
use crate::failure::Failure;
use sortie_http::{Proxy, Quota, Timeouts, Verification};
use std::collections::BTreeMap;
use std::time::Duration;
use toml::Value;
use url::Url;

/// The deadline of a run when nothing says otherwise.
const RUN_TIMEOUT: Duration = Duration::from_secs(600);

/// The documented limits (contract sections 4, 6 and 7), by limit class.
fn default_limits() -> BTreeMap<String, Vec<Quota>> {
    BTreeMap::from([
        ("graph-security".to_owned(), vec![Quota::per_minute(150)]),
        ("defender-xdr-incidents".to_owned(), vec![Quota::per_minute(50), Quota::per_hour(1_500)]),
        ("defender-endpoint".to_owned(), vec![Quota::per_minute(100), Quota::per_hour(1_500)]),
    ])
}

impl Resolver<'_> {
    pub(super) fn limits(&mut self) -> Result<BTreeMap<String, Vec<Quota>>, Failure> {
        let mut limits = default_limits();
        let mut told = Vec::new();
        if let Some(section) = self.inner("limits")? {
            for (class, value) in section.open() {
                let wrong = || {
                    section.wrong(class, "is not a list of limits", "write [\"50/min\", \"1500/h\"]; [] for no limit")
                };
                let quotas: Option<Vec<Quota>> =
                    texts(value).ok_or_else(wrong)?.into_iter().map(parse::quota).collect();
                limits.insert(class.to_owned(), quotas.ok_or_else(wrong)?);
                told.push(class.to_owned());
            }
        }
        for (class, quotas) in &limits {
            let shown: Vec<String> = quotas.iter().map(parse::quota_text).collect();
            let shown = if shown.is_empty() { "none".to_owned() } else { shown.join(", ") };
            let origin = if told.contains(class) { self.from.clone() } else { Origin::Default };
            self.note(format!("limits.{class}"), shown, origin);
        }
        Ok(limits)
    }

    pub(super) fn timeouts(&mut self) -> Result<(Timeouts, Duration), Failure> {
        let mut timeouts = Timeouts::default();
        let mut run = None;
        let mut told = Vec::new();
        if let Some(mut section) = self.inner("timeouts")? {
            for (key, place) in [
                ("connect_seconds", &mut timeouts.connect),
                ("header_seconds", &mut timeouts.header),
                ("idle_seconds", &mut timeouts.idle_read),
                ("total_seconds", &mut timeouts.total),
            ] {
                if let Some(time) = section.seconds(key)? {
                    *place = time;
                    told.push(key);
                }
            }
            run = section.seconds("run_seconds")?;
            section.finish()?;
        }
        for (key, time) in [
            ("connect_seconds", timeouts.connect),
            ("header_seconds", timeouts.header),
            ("idle_seconds", timeouts.idle_read),
            ("total_seconds", timeouts.total),
        ] {
            let origin = if told.contains(&key) { self.from.clone() } else { Origin::Default };
            self.note(format!("timeouts.{key}"), time.as_secs_f64().to_string(), origin);
        }
        let (run, origin) = match (self.overrides.timeout, run) {
            (Some(time), _) => (time, Origin::Flag("--timeout".into())),
            (None, Some(time)) => (time, self.from.clone()),
            (None, None) => (RUN_TIMEOUT, Origin::Default),
        };
        self.note("timeouts.run_seconds", run.as_secs_f64().to_string(), origin);
        Ok((timeouts, run))
    }

    pub(super) fn proxy(&mut self) -> Result<Proxy, Failure> {
        let Some(value) = self.value("proxy") else {
            self.note("proxy", "system", Origin::Default);
            return Ok(Proxy::System);
        };
        let origin = self.from.clone();
        let forms = "write \"system\", \"none\" or the proxy's URL";
        let text = value.as_str().map(str::trim).ok_or_else(|| self.wrong("proxy", "is not a text", forms))?;
        match text {
            "system" | "none" => {
                self.note("proxy", text, origin);
                Ok(if text == "none" { Proxy::None } else { Proxy::System })
            }
            text => {
                let url = Url::parse(text)
                    .ok()
                    .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
                    .ok_or_else(|| self.wrong("proxy", "is not a proxy", forms))?;
                // The password stays out of sight.
                let mut shown = url.clone();
                let _ = shown.set_password(None);
                let _ = shown.set_username("");
                self.note("proxy", shown, origin);
                Ok(Proxy::Url(url))
            }
        }
    }

    pub(super) fn verification(&mut self) -> Result<Verification, Failure> {
        let (verification, shown) = match self.value("tls_verify") {
            None => {
                self.note("tls_verify", "true", Origin::Default);
                return Ok(Verification::Full);
            }
            Some(Value::Boolean(true)) => (Verification::Full, "true"),
            Some(Value::Boolean(false)) => (Verification::OffForLoopback, "false, for this machine only"),
            Some(Value::String(text)) if text == "off-everywhere" => {
                (Verification::OffEverywhere, "off-everywhere: whoever stands between can read the tokens")
            }
            Some(_) => {
                return Err(self.wrong(
                    "tls_verify",
                    "is neither true nor false",
                    "false stops checking on this machine only; \"off-everywhere\" stops it for every host",
                ));
            }
        };
        let origin = self.from.clone();
        self.note("tls_verify", shown, origin);
        Ok(verification)
    }
}
