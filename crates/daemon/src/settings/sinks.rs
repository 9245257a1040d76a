//! Sinks, as a profile's tables and as specifications on the command line.

use super::quantity::{SIZE_FORMS, SPAN_FORMS, size, size_text, span, span_text};
use super::{ExecSettings, FileSettings, SinkKind, SinkSettings, WebhookSettings};
use crate::sinks::is_own_header;
use sortie_host::Failure;
use sortie_host::config::{SecretSource, Section};
use std::path::PathBuf;
use std::time::Duration;
use toml::Value;
use url::Url;

/// The kinds, as they are written.
const KINDS: &str = "stdout, file, webhook, exec";

/// The most sinks: each costs a row of progress for every record.
const MOST: usize = 16;

/// How many rotated files are kept unless something says otherwise.
const KEPT: u32 = 5;

/// The deadline of a delivery to a webhook, and how many are under way at once.
const WEBHOOK: (Duration, usize) = (Duration::from_secs(10), 4);

/// The deadline of a command, and how many run at once.
const EXEC: (Duration, usize) = (Duration::from_secs(60), 1);

/// Reads `[profile.X.daemon.sinks]`.
pub(super) fn from_section(sinks: &Section<'_>) -> Result<Vec<SinkSettings>, Failure> {
    let mut found = Vec::new();
    for (name, value) in sinks.open() {
        if !is_name(name) {
            let hint = "use letters, digits, - and _, at most 64 of them";
            return Err(sinks.wrong(name, "is not a name for a sink", hint));
        }
        let section = sinks.inner(name, value)?;
        found.push(SinkSettings { name: name.to_owned(), kind: kind(section)? });
    }
    check(&found).map_err(|(name, problem, hint)| sinks.wrong(&name, problem, hint))?;
    Ok(found)
}

/// The sink that `--sink` specifies: `stdout`, `file:PATH`, `webhook:URL`, `exec:COMMAND LINE`.
///
/// # Errors
/// What is wrong with it, for the command line to say.
pub fn from_specification(text: &str) -> Result<SinkKind, String> {
    let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
    match (kind.trim(), rest.trim()) {
        ("stdout", "") => Ok(SinkKind::Stdout),
        ("file", path) if !path.is_empty() => {
            let path = std::path::absolute(path).map_err(|error| error.to_string())?;
            Ok(SinkKind::File(FileSettings { path, rotate_bytes: None, keep: KEPT }))
        }
        ("webhook", url) if !url.is_empty() => Ok(SinkKind::Webhook(WebhookSettings {
            url: url.to_owned(),
            keys: Vec::new(),
            headers: Vec::new(),
            timeout: WEBHOOK.0,
            concurrency: WEBHOOK.1,
        })),
        ("exec", line) if !line.is_empty() => Ok(SinkKind::Exec(ExecSettings {
            command: line.split_whitespace().map(str::to_owned).collect(),
            pass_environment: Vec::new(),
            timeout: EXEC.0,
            concurrency: EXEC.1,
        })),
        _ => Err("write stdout, file:PATH, webhook:URL or exec:COMMAND".to_owned()),
    }
}

/// The sinks of the command line, named by their kind: `file`, `file-2`.
pub(super) fn from_flags(kinds: &[SinkKind]) -> Result<Vec<SinkSettings>, Failure> {
    let mut sinks: Vec<SinkSettings> = Vec::new();
    for kind in kinds {
        let word = word(kind);
        let before = sinks.iter().filter(|sink| self::word(&sink.kind) == word).count();
        let name = if before == 0 { word.to_owned() } else { format!("{word}-{}", before + 1) };
        sinks.push(SinkSettings { name, kind: kind.clone() });
    }
    check(&sinks).map_err(|(name, problem, hint)| {
        Failure::new(sortie_host::kinds::USAGE, format!("--sink: the sink {name} {problem}")).with_hint(hint)
    })?;
    Ok(sinks)
}

/// What no single sink can tell: the sink, what is wrong, the remedy.
fn check(sinks: &[SinkSettings]) -> Result<(), (String, &'static str, &'static str)> {
    for (at, sink) in sinks.iter().enumerate() {
        let twice = sinks.iter().take(at).any(|other| match (&other.kind, &sink.kind) {
            (SinkKind::Stdout, SinkKind::Stdout) => true,
            (SinkKind::File(one), SinkKind::File(other)) => one.path == other.path,
            _ => false,
        });
        if twice {
            return Err((sink.name.clone(), "writes to the same place as another one", "keep one of the two"));
        }
        if at == MOST {
            return Err((sink.name.clone(), "is one too many", "keep at most 16"));
        }
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// How a kind is written.
pub(super) fn word(kind: &SinkKind) -> &'static str {
    match kind {
        SinkKind::Stdout => "stdout",
        SinkKind::File(_) => "file",
        SinkKind::Webhook(_) => "webhook",
        SinkKind::Exec(_) => "exec",
    }
}

fn kind(mut section: Section<'_>) -> Result<SinkKind, Failure> {
    let kind = match required(&mut section, "kind", "say what it is: stdout, file, webhook or exec")? {
        "stdout" => SinkKind::Stdout,
        "file" => SinkKind::File(file(&mut section)?),
        "webhook" => SinkKind::Webhook(webhook(&mut section)?),
        "exec" => SinkKind::Exec(exec(&mut section)?),
        _ => return Err(section.wrong("kind", "is not a kind of sink", format!("known are {KINDS}"))),
    };
    section.finish()?;
    Ok(kind)
}

fn required<'a>(section: &mut Section<'a>, key: &'static str, hint: &str) -> Result<&'a str, Failure> {
    section.text(key)?.ok_or_else(|| section.wrong(key, "is missing", hint))
}

fn file(section: &mut Section<'_>) -> Result<FileSettings, Failure> {
    let path = PathBuf::from(required(section, "path", "name the file")?);
    if !path.is_absolute() {
        return Err(section.wrong("path", "is not an absolute path", "begin it with /"));
    }
    let rotate_bytes = bytes(section, "rotate")?;
    let keep = whole(section, "keep", 0, 1_000)?.map_or(Ok(KEPT), u32::try_from).unwrap_or(KEPT);
    Ok(FileSettings { path, rotate_bytes, keep })
}

fn webhook(section: &mut Section<'_>) -> Result<WebhookSettings, Failure> {
    let url = required(section, "url", "name the address to post to")?.to_owned();
    let mut keys = Vec::new();
    match section.value("signing_keys") {
        None => {}
        Some(Value::Array(items)) => {
            for (at, item) in items.iter().enumerate() {
                keys.push(SecretSource::from_section(section.inner(&format!("signing_keys[{at}]"), item)?)?);
            }
        }
        Some(one) => keys.push(SecretSource::from_section(section.inner("signing_keys", one)?)?),
    }
    if keys.len() > 2 {
        return Err(section.wrong("signing_keys", "has more than two keys", "keep the new one and the one before it"));
    }
    let mut headers: Vec<(String, SecretSource)> = Vec::new();
    if let Some(section) = section.section("headers")? {
        for (name, value) in section.open() {
            check_header(&section, name)?;
            if headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
                return Err(section.wrong(name, "stands twice", "keep one"));
            }
            headers.push((name.to_owned(), SecretSource::from_section(section.inner(name, value)?)?));
        }
    }
    let written = keys.iter().chain(headers.iter().map(|(_, source)| source));
    if written.into_iter().any(|source| matches!(source, SecretSource::Value(_))) && !is_here(&url) {
        return Err(section.wrong(
            "url",
            "leaves this machine, and a secret for it stands in the profile itself",
            "keep the secret in a file of its own: { file = \"..\" }, or use { env = \"..\" }, { command = [\"..\"] } or \
             { systemd = \"..\" }",
        ));
    }
    let timeout = deadline(section, Duration::from_secs(600))?.unwrap_or(WEBHOOK.0);
    let concurrency = at_once(section)?.unwrap_or(WEBHOOK.1);
    Ok(WebhookSettings { url, keys, headers, timeout, concurrency })
}

/// Whether a URL leads to this machine.
fn is_here(url: &str) -> bool {
    let host = Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// RFC 9110's token, and none that the delivery sets itself.
fn check_header(section: &Section<'_>, name: &str) -> Result<(), Failure> {
    let token =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
    if !token {
        return Err(section.wrong(name, "is not a header's name", "write it as the receiver documents it"));
    }
    if is_own_header(name) {
        return Err(section.wrong(name, "is set by the delivery itself", "take the line out"));
    }
    Ok(())
}

fn exec(section: &mut Section<'_>) -> Result<ExecSettings, Failure> {
    let command = texts(section, "command")?;
    if command.first().is_none_or(String::is_empty) {
        let hint = "write the program and its arguments: [\"/opt/x\", \"..\"]";
        return Err(section.wrong("command", "is missing or empty", hint));
    }
    let pass_environment = texts(section, "pass_environment")?;
    if pass_environment.iter().any(|name| name.is_empty() || name.contains(['=', '\0'])) {
        return Err(section.wrong("pass_environment", "holds what is no variable's name", "name the variables only"));
    }
    let timeout = deadline(section, Duration::from_secs(86_400))?.unwrap_or(EXEC.0);
    let concurrency = at_once(section)?.unwrap_or(EXEC.1);
    Ok(ExecSettings { command, pass_environment, timeout, concurrency })
}

/// A list of texts; empty if there is none. An element that is none is named by its place, which begins at 0.
fn texts(section: &mut Section<'_>, key: &'static str) -> Result<Vec<String>, Failure> {
    match section.value(key) {
        None => Ok(Vec::new()),
        Some(Value::Array(items)) => items
            .iter()
            .enumerate()
            .map(|(at, item)| match item {
                Value::String(text) => Ok(text.trim().to_owned()),
                other => Err(section.mistyped(&format!("{key}[{at}]"), other, "a text in quotes")),
            })
            .collect(),
        Some(_) => Err(section.wrong(key, "is not a list of texts", "write it as [\"..\", \"..\"]")),
    }
}

fn deadline(section: &mut Section<'_>, most: Duration) -> Result<Option<Duration>, Failure> {
    let Some(text) = section.text("timeout")? else { return Ok(None) };
    let wrong = || section.wrong("timeout", &format!("is not a span of at most {}", span_text(most)), SPAN_FORMS);
    span(text).filter(|length| !length.is_zero() && *length <= most).map(Some).ok_or_else(wrong)
}

fn at_once(section: &mut Section<'_>) -> Result<Option<usize>, Failure> {
    Ok(whole(section, "concurrency", 1, 64)?.and_then(|number| usize::try_from(number).ok()))
}

/// A whole number in a range.
pub(super) fn whole(
    section: &mut Section<'_>,
    key: &'static str,
    least: u64,
    most: u64,
) -> Result<Option<u64>, Failure> {
    match section.value(key) {
        None => Ok(None),
        Some(Value::Integer(number)) => u64::try_from(*number)
            .ok()
            .filter(|number| (least..=most).contains(number))
            .map(Some)
            .ok_or_else(|| section.wrong(key, "is out of range", format!("give a number from {least} to {most}"))),
        Some(other) => Err(section.mistyped(key, other, "a whole number")),
    }
}

/// A size of at least one byte, as a number or a text.
pub(super) fn bytes(section: &mut Section<'_>, key: &'static str) -> Result<Option<u64>, Failure> {
    let found = match section.value(key) {
        None => return Ok(None),
        Some(Value::Integer(number)) => u64::try_from(*number).ok(),
        Some(Value::String(text)) => size(text),
        Some(other) => return Err(section.mistyped(key, other, "a size")),
    };
    let wrong = || section.wrong(key, "is not a size", SIZE_FORMS);
    found.filter(|bytes| *bytes > 0).map(Some).ok_or_else(wrong)
}

/// What is shown of a sink: names of settings and their values, of secrets only their places.
pub(super) fn shown(sink: &SinkSettings) -> Vec<(String, String)> {
    let mut shown = vec![("kind", word(&sink.kind).to_owned())];
    match &sink.kind {
        SinkKind::Stdout => {}
        SinkKind::File(file) => {
            shown.push(("path", file.path.display().to_string()));
            shown.push(("rotate", file.rotate_bytes.map_or_else(|| "never".to_owned(), size_text)));
            shown.push(("keep", file.keep.to_string()));
        }
        SinkKind::Webhook(webhook) => {
            let places = webhook.keys.iter().map(place).collect::<Vec<_>>().join(", ");
            shown.push(("url", address(&webhook.url)));
            shown.push(("signing_keys", if places.is_empty() { "none".to_owned() } else { places }));
            let headers: Vec<String> =
                webhook.headers.iter().map(|(name, source)| format!("{name} {}", place(source))).collect();
            shown.push(("headers", if headers.is_empty() { "none".to_owned() } else { headers.join(", ") }));
            shown.push(("timeout", span_text(webhook.timeout)));
            shown.push(("concurrency", webhook.concurrency.to_string()));
        }
        SinkKind::Exec(exec) => {
            shown.push(("command", command(&exec.command)));
            let passed = exec.pass_environment.join(", ");
            shown.push(("pass_environment", if passed.is_empty() { "none".to_owned() } else { passed }));
            shown.push(("timeout", span_text(exec.timeout)));
            shown.push(("concurrency", exec.concurrency.to_string()));
        }
    }
    shown.into_iter().map(|(key, value)| (format!("daemon.sinks.{}.{key}", sink.name), value)).collect()
}

fn place(source: &SecretSource) -> String {
    format!("from {source}, not shown")
}

/// What is run. Arguments may be as telling as a secret.
pub(super) fn command(command: &[String]) -> String {
    let program = command.first().map_or("", String::as_str);
    match command.len().saturating_sub(1) {
        0 => program.to_owned(),
        1 => format!("{program} and 1 argument, not shown"),
        more => format!("{program} and {more} arguments, not shown"),
    }
}

/// Where a URL leads. Its path and query may hold a token, as those of many chat services do.
pub(super) fn address(url: &str) -> String {
    let Ok(parsed) = Url::parse(url) else { return "not a URL".to_owned() };
    let host = parsed.host_str().unwrap_or_default();
    let port = parsed.port().map(|port| format!(":{port}")).unwrap_or_default();
    let rest = if parsed.path() == "/" && parsed.query().is_none() { "" } else { "/.., not shown" };
    format!("{}://{host}{port}{rest}", parsed.scheme())
}
