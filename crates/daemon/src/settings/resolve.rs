//! From flags, environment and `[profile.X.daemon]` to [`Settings`], with the origin of each value.

use super::input::{self, Member};
use super::quantity::{SPAN_FORMS, size_text, span, span_text};
use super::{Settings, SinkKind, SinkSettings, place, sinks};
use serde_json::{Map, Value};
use sortie_host::Failure;
use sortie_host::config::{self, Environment, Origin, Section, Setting};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The longest span that is taken: beyond it nothing was meant.
const LONGEST: Duration = Duration::from_secs(3_660 * 86_400);

/// What the command line says; each of it beats the environment and the profile.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--state-dir`.
    pub state_dir: Option<PathBuf>,
    /// `--interval`.
    pub interval: Option<Duration>,
    /// `--sweep-interval`.
    pub sweep_interval: Option<Duration>,
    /// `--listen`.
    pub listen: Option<SocketAddr>,
    /// `--sink`, in their order; any of them replaces all of the profile's.
    pub sinks: Vec<SinkKind>,
    /// The flags of the action: members of its input.
    pub input: Map<String, Value>,
}

/// What a daemon is told, and where each of it was said.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The values.
    pub settings: Settings,
    /// The store's file.
    pub store: PathBuf,
    /// Each value with where it came from, by its name in a profile; secrets only by their place.
    pub shown: Vec<Setting>,
}

/// What `[profile.X.daemon]` says, as far as it can be understood without the action.
#[derive(Debug, Default)]
struct Told {
    spans: Vec<(&'static str, Duration)>,
    outbox_records: Option<u64>,
    outbox_bytes: Option<u64>,
    state_dir: Option<PathBuf>,
    listen: Option<SocketAddr>,
    members: Vec<Member>,
    sinks: Vec<SinkSettings>,
}

/// The spans, with what they are unless something says otherwise.
const SPANS: [(&str, Duration); 4] = [
    ("interval", Duration::from_secs(30)),
    ("sweep_interval", Duration::from_secs(3_600)),
    ("retention", Duration::from_secs(400 * 86_400)),
    ("history_retention", Duration::from_secs(30 * 86_400)),
];

/// How much longer versions are remembered, at least, than anything is read back: clocks differ, and a sweep takes its time.
const SPARE: Duration = Duration::from_secs(86_400);

/// How many records may wait, and how many bytes of them, unless something says otherwise.
const OUTBOX: (u64, u64) = (100_000, 1 << 30);

fn read(mut section: Section<'_>, origin: &Origin) -> Result<Told, Failure> {
    let mut told = Told::default();
    for (key, _) in SPANS {
        if let Some(text) = section.text(key)? {
            let length = span(text).filter(|length| !length.is_zero() && *length <= LONGEST).ok_or_else(|| {
                section.wrong(key, "is not a span of more than nothing and at most ten years", SPAN_FORMS)
            })?;
            told.spans.push((key, length));
        }
    }
    told.members = input::from_section(&mut section, origin)?;
    told.outbox_records = sinks::whole(&mut section, "outbox_records", 1, u64::from(u32::MAX))?;
    told.outbox_bytes = sinks::bytes(&mut section, "outbox_bytes")?;
    told.state_dir = section.text("state_dir")?.map(PathBuf::from);
    if told.state_dir.as_ref().is_some_and(|folder| !folder.is_absolute()) {
        return Err(section.wrong("state_dir", "is not an absolute path", "begin it with /"));
    }
    told.listen = section
        .text("listen")?
        .map(|text| {
            let wrong = |problem| section.wrong("listen", problem, LISTEN);
            let address: SocketAddr = text.parse().map_err(|_| wrong("is not an address with a port"))?;
            if address.ip().is_loopback() { Ok(address) } else { Err(wrong("is not an address of this machine alone")) }
        })
        .transpose()?;
    if let Some(section) = section.section("sinks")? {
        told.sinks = sinks::from_section(&section)?;
    }
    section.finish()?;
    Ok(told)
}

const LISTEN: &str =
    "write it like 127.0.0.1:9180; anybody who may see it from elsewhere does so through a proxy of yours";

/// What a daemon of this profile is told. The schema is that of the action's input.
///
/// # Errors
/// Kind `configuration`, naming the setting, its place and the remedy; `invalid_input` for what flags say and the action's
/// schema refuses.
pub fn resolve(
    flags: &Flags,
    profile: &config::Resolved,
    environment: &Environment,
    schema: &Value,
) -> Result<Resolved, Failure> {
    let (told, from) = told(profile)?;
    let tenant = profile.profile.tenant.clone().ok_or_else(|| {
        Failure::configuration(
            "no tenant is configured",
            "set tenant in the profile, or AZURE_TENANT_ID, to the tenant's id or domain",
        )
    })?;
    let section = profile.daemon.as_ref().map(config::Unread::read);
    let input = input::resolve(schema, section, told.members.clone(), &flags.input)?;
    let mut notes = Notes::default();
    let mut spans = SPANS.map(|(_, default)| default);
    for ((key, default), place) in SPANS.iter().zip(&mut spans) {
        let (flag, given) = match *key {
            "interval" => ("--interval", flags.interval),
            "sweep_interval" => ("--sweep-interval", flags.sweep_interval),
            _ => ("", None),
        };
        let found = told.spans.iter().find(|(name, _)| name == key).map(|(_, length)| *length);
        *place = notes.pick(key, given.map(|given| (given, flag)), found, &from, *default, |span| span_text(*span));
    }
    let [interval, sweep_interval, retention, history_retention] = spans;
    let needed = input.look_back.map(|look_back| look_back + input.overlap + SPARE);
    if let Some(needed) = needed.filter(|needed| *needed > retention) {
        return Err(Failure::configuration(
            format!(
                "daemon.retention is {}, less than daemon.look_back, daemon.overlap and a day together ({}): what is \
                 forgotten would be read again as new",
                span_text(retention),
                span_text(needed)
            ),
            format!("make retention at least \"{}\", or look_back shorter", written(needed)),
        ));
    }
    // Reading belongs together: how often, how far, which.
    notes.0.splice(2..2, input.shown);
    let outbox_records = notes.pick("outbox_records", None, told.outbox_records, &from, OUTBOX.0, ToString::to_string);
    let outbox_bytes = notes.pick("outbox_bytes", None, told.outbox_bytes, &from, OUTBOX.1, |bytes| size_text(*bytes));
    let place = told.state_dir.map(|folder| (folder, from.clone()));
    let (state_dir, origin) = place::state_dir(flags.state_dir.as_deref(), place, environment)?;
    notes.add("state_dir", state_dir.display().to_string(), origin);
    let listen = match (flags.listen, told.listen) {
        (Some(address), _) => {
            notes.add("listen", address.to_string(), Origin::Flag("--listen".into()));
            Some(address)
        }
        (None, Some(address)) => {
            notes.add("listen", address.to_string(), from.clone());
            Some(address)
        }
        (None, None) => {
            notes.add("listen", "nowhere", Origin::Default);
            None
        }
    };
    let usual = || told.sinks.iter().map(|sink| sink.name.clone()).collect();
    let replaced_sinks = (!flags.sinks.is_empty()).then(usual);
    let (sinks, origin) = if !flags.sinks.is_empty() {
        (sinks::from_flags(&flags.sinks)?, Origin::Flag("--sink".into()))
    } else if told.sinks.is_empty() {
        (vec![SinkSettings { name: "stdout".to_owned(), kind: SinkKind::Stdout }], Origin::Default)
    } else {
        (told.sinks, from)
    };
    notes.sinks(&sinks, &origin);
    let store = state_dir.join(place::file_name(profile.profile.name.as_deref()));
    let settings = Settings {
        tenant,
        input: input.members,
        interval,
        sweep_interval,
        retention,
        history_retention,
        outbox_records,
        outbox_bytes,
        state_dir,
        listen,
        sinks,
        replaced_sinks,
    };
    Ok(Resolved { settings, store, shown: notes.0 })
}

/// The store of a profile's daemon: for who looks into it beside the daemon.
///
/// # Errors
/// Kind `configuration`, as [`resolve()`].
pub fn store(
    state_dir: Option<PathBuf>,
    profile: &config::Resolved,
    environment: &Environment,
) -> Result<PathBuf, Failure> {
    let (told, from) = told(profile)?;
    let place = told.state_dir.map(|folder| (folder, from));
    let (folder, _) = place::state_dir(state_dir.as_deref(), place, environment)?;
    Ok(folder.join(place::file_name(profile.profile.name.as_deref())))
}

/// What `[profile.X.daemon]` itself says, for `sortie config show`: its filters are not compared with the action, and what
/// it does not say is left out.
///
/// # Errors
/// Kind `configuration`, as [`resolve()`].
pub fn shown(profile: &config::Resolved) -> Result<Vec<Setting>, Failure> {
    let (told, from) = told(profile)?;
    let mut notes = Notes::default();
    for (key, length) in &told.spans {
        notes.add(key, span_text(*length), from.clone());
    }
    notes.0.extend(input::shown(&told.members));
    let values = [
        ("outbox_records", told.outbox_records.map(|records| records.to_string())),
        ("outbox_bytes", told.outbox_bytes.map(size_text)),
        ("state_dir", told.state_dir.map(|folder| folder.display().to_string())),
        ("listen", told.listen.map(|address| address.to_string())),
    ];
    for (key, value) in values {
        if let Some(value) = value {
            notes.add(key, value, from.clone());
        }
    }
    notes.sinks(&told.sinks, &from);
    Ok(notes.0)
}

/// A span in whole days, and no shorter.
fn written(span: Duration) -> String {
    format!("{} days", span.as_secs().div_ceil(86_400))
}

fn told(profile: &config::Resolved) -> Result<(Told, Origin), Failure> {
    match &profile.daemon {
        None => Ok((Told::default(), Origin::Default)),
        Some(unread) => Ok((read(unread.read(), unread.origin())?, unread.origin().clone())),
    }
}

/// What is shown.
#[derive(Default)]
struct Notes(Vec<Setting>);

impl Notes {
    fn add(&mut self, key: &str, value: impl Into<String>, origin: Origin) {
        self.0.push(Setting { name: format!("daemon.{key}"), value: value.into(), origin });
    }

    /// The flag's value, else the profile's, else the default; noted.
    fn pick<T>(
        &mut self,
        key: &str,
        flag: Option<(T, &'static str)>,
        told: Option<T>,
        from: &Origin,
        default: T,
        text: impl Fn(&T) -> String,
    ) -> T {
        let (value, origin) = match (flag, told) {
            (Some((value, flag)), _) => (value, Origin::Flag(flag.into())),
            (None, Some(value)) => (value, from.clone()),
            (None, None) => (default, Origin::Default),
        };
        self.add(key, text(&value), origin);
        value
    }

    fn sinks(&mut self, sinks: &[SinkSettings], origin: &Origin) {
        for (name, value) in sinks.iter().flat_map(sinks::shown) {
            self.0.push(Setting { name, value, origin: origin.clone() });
        }
    }
}
