//! From what a person calls a machine to the one machine that is meant.
//!
//! An id is read directly. A name is looked up in the list, never by `GET /machines/{name}`: that call answers one
//! machine and does not say whether there were others, and the wrong machine isolated is worse than none.
//!
//! - A whole name (with a dot) is asked for by `computerDnsName eq`.
//! - A first part alone (`ws-042`) stands for `ws-042` and for every `ws-042.…`. The second is asked for by
//!   `startswith`, which Microsoft shows in an example and lists nowhere; where the service refuses it, the whole
//!   inventory is read and compared here, because nothing less proves that there is only one.
//! - The same is done where an answer holds machines of other names: the filter was ignored.
//!
//! Names are compared without regard to case. The service's own comparison is not documented, so a name typed with
//! capitals is asked for in lower case too.

use super::MachineReference;
use super::shown;
use sortie_defender::endpoints::defender_endpoint::{GET_MACHINE, LIST_MACHINES};
use sortie_defender::filter::{Literal, Property};
use sortie_defender::ids::MachineId;
use sortie_defender::machine::Machine;
use sortie_defender::page;
use sortie_sdk::{Answer, Error, Host, Request, Result, kinds};
use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

const COMPUTER_DNS_NAME: Property<str> = Property::named("computerDnsName");

/// Records asked for where a filter leaves few: more than this under one name are as ambiguous as two.
const FEW: usize = 100;

/// Records of one page of the inventory: about 2 MB. The documented maximum is 10,000.
const PAGE: usize = 2_000;

/// Pages after which an inventory is taken for endless.
const PAGES: usize = 500;

/// Candidates that are listed in a refusal.
const LISTED: usize = 10;

/// Finds the one machine that is meant.
///
/// # Errors
/// `not_found` when there is none; `conflict` when a name belongs to several, with the candidates in the message;
/// `bad_response` when the service's answer does not fit the question.
pub fn find(host: &Host<'_>, reference: &MachineReference) -> Result<Machine> {
    match reference {
        MachineReference::Id(id) => by_id(host, id),
        MachineReference::Name(name) => by_name(host, name),
    }
}

fn by_id(host: &Host<'_>, id: &MachineId) -> Result<Machine> {
    let answer = host.request(&GET_MACHINE).path("machineId", id).send().map_err(|error| match error.kind() {
        kinds::NOT_FOUND => error.context(&format!("no machine has the id {id}")).hint(
            "Check the id and the tenant. The application sees only the machines of its own tenant, and only those \
             that reported within the retention period.",
        ),
        _ => error.context("reading the machine"),
    })?;
    let machine: Machine = answer.response()?.json()?;
    if machine.id == *id {
        Ok(machine)
    } else {
        Err(Error::new(kinds::BAD_RESPONSE, format!("asked for machine {id}, the service sent {}", machine.id)))
    }
}

fn by_name(host: &Host<'_>, name: &str) -> Result<Machine> {
    let wanted = Name::new(name);
    let mut found = Found::default();
    if !ask(host, &wanted, &mut found)? && found.machines.len() < 2 {
        found = inventory(host, &wanted)?;
    }
    let mut machines = found.machines;
    match machines.len() {
        1 => machines.pop().ok_or_else(|| Error::new(kinds::INTERNAL, "one machine and none")),
        0 => Err(Error::new(kinds::NOT_FOUND, format!("no machine is named {}", shown(name))).hint(
            "Give the DNS name as the device page of the Defender portal shows it, or the machine's id (40 \
             hexadecimal digits). The application sees only the machines of its own tenant.",
        )),
        _ => Err(ambiguous(name, &machines)),
    }
}

/// A name, ready for comparison.
struct Name<'a> {
    typed: &'a str,
    lower: String,
}

impl<'a> Name<'a> {
    fn new(typed: &'a str) -> Self {
        Self { typed, lower: typed.to_lowercase() }
    }

    /// Whether it is the first part of a name rather than a whole one.
    fn is_short(&self) -> bool {
        !self.typed.contains('.')
    }

    fn fits(&self, dns_name: &str) -> bool {
        let dns_name = dns_name.trim().to_lowercase();
        let first = dns_name.split('.').next().unwrap_or_default();
        dns_name == self.lower || (self.is_short() && first == self.lower)
    }

    /// The spellings to ask for.
    fn spellings(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.lower.as_str()).chain((self.typed != self.lower).then_some(self.typed))
    }
}

/// The two properties of a listed machine that say whether it is looked for.
#[derive(Default)]
struct Named<'a> {
    id: &'a str,
    dns_name: Option<Cow<'a, str>>,
}

impl<'a> page::View<'a> for Named<'a> {
    fn member(&mut self, name: &'a str, value: &'a str) {
        match name {
            "id" => self.id = value,
            "computerDnsName" => self.dns_name = page::string(value),
            _ => {}
        }
    }
}

/// What the answers held.
#[derive(Default)]
struct Found {
    /// The machines of that name, each once.
    machines: Vec<Machine>,
    /// Whether there were machines of other names.
    others: bool,
    /// Hashes of the ids of all machines seen.
    seen: HashSet<u64>,
    hasher: RandomState,
}

/// What a page held besides the machines that were looked for.
struct Taken {
    records: usize,
    /// How many of them no page held before.
    fresh: usize,
    next_link: Option<String>,
}

impl Found {
    fn take(&mut self, body: &[u8], name: &Name<'_>) -> Result<Taken> {
        let page = page::split::<Named<'_>>(body)
            .map_err(|problem| Error::new(kinds::BAD_RESPONSE, format!("the list of machines: {problem}")))?;
        let records = page.records.len();
        let mut fresh = 0;
        for record in page.records {
            fresh += usize::from(self.seen.insert(self.hasher.hash_one(record.view.id)));
            if !record.view.dns_name.is_some_and(|dns_name| name.fits(&dns_name)) {
                self.others = true;
                continue;
            }
            // A bearer of the name that cannot be read may not be passed over: it would make the name look unique.
            let machine: Machine = serde_json::from_str(record.text).map_err(|problem| {
                Error::new(kinds::BAD_RESPONSE, format!("a machine in the service's list: {problem}"))
            })?;
            if !self.machines.iter().any(|known| known.id == machine.id) {
                self.machines.push(machine);
            }
        }
        Ok(Taken { records, fresh, next_link: page.next_link.map(Cow::into_owned) })
    }
}

/// Asks for the machines of that name; `false` when that proves nothing: the service does not take the question, or its
/// answer holds machines of other names (the filter was ignored, so the right one may stand anywhere) or is only a part.
fn ask(host: &Host<'_>, name: &Name<'_>, found: &mut Found) -> Result<bool> {
    let mut filters: Vec<String> = name.spellings().map(|name| COMPUTER_DNS_NAME.eq(name).to_string()).collect();
    if name.is_short() {
        filters.extend(
            name.spellings().map(|name| format!("startswith(computerDnsName,{})", Literal::Text(format!("{name}.")))),
        );
    }
    let requests: Vec<Request<'_, '_>> =
        filters.iter().map(|filter| host.request(&LIST_MACHINES).query("$filter", filter).query("$top", FEW)).collect();
    let answers = match requests.len() {
        1 => requests.into_iter().map(Request::send).collect(),
        _ => host.send_many(requests)?,
    };
    let mut whole = true;
    for answer in answers {
        match listed(answer) {
            Ok(None) => {}
            Ok(Some(answer)) => whole &= found.take(&answer.response()?.body()?, name)?.next_link.is_none(),
            Err(error) if name.is_short() && error.http_status() == Some(400) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(whole && !found.others)
}

/// Reads every machine of the tenant. A page may hold fewer than were asked for, so only an empty one is the end.
fn inventory(host: &Host<'_>, name: &Name<'_>) -> Result<Found> {
    let mut found = Found::default();
    let mut next_link: Option<String> = None;
    let mut skip = 0;
    for _ in 0..PAGES {
        let request = match &next_link {
            Some(link) => host.follow(&LIST_MACHINES, link),
            None if skip == 0 => host.request(&LIST_MACHINES).query("$top", PAGE),
            None => host.request(&LIST_MACHINES).query("$top", PAGE).query("$skip", skip),
        };
        let Some(answer) = listed(request.send())? else { return Ok(found) };
        let taken = found.take(&answer.response()?.body()?, name)?;
        if taken.records == 0 && taken.next_link.is_none() {
            return Ok(found);
        }
        if taken.records > 0 && taken.fresh == 0 {
            return Err(endless("sends the same machines again"));
        }
        skip += taken.records;
        next_link = taken.next_link;
        host.progress(&format!("{skip} machines read to find the one named {}", shown(name.typed)));
    }
    Err(endless("does not end"))
}

fn endless(what: &str) -> Error {
    Error::new(kinds::BAD_RESPONSE, format!("the service's list of machines {what}: the name cannot be settled"))
        .hint("Name the machine by its id (40 hexadecimal digits).")
}

/// An answer of the list; `None` for its 404, which means that no machine fits (contract section 7).
fn listed<'a, 'run>(answer: Result<Answer<'a, 'run>>) -> Result<Option<Answer<'a, 'run>>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.http_status() == Some(404) => Ok(None),
        Err(error) => Err(error.context("looking the machine up")),
    }
}

fn ambiguous(name: &str, machines: &[Machine]) -> Error {
    let text = |value: &Option<String>| shown(value.as_deref().unwrap_or("unknown"));
    let mut candidates: Vec<String> = machines
        .iter()
        .take(LISTED)
        .map(|machine| {
            format!(
                "{} ({}, {}, {}, last seen {})",
                machine.id,
                text(&machine.computer_dns_name),
                text(&machine.os_platform),
                text(&machine.health_status),
                text(&machine.last_seen),
            )
        })
        .collect();
    if machines.len() > LISTED {
        candidates.push(format!("and {} more", machines.len() - LISTED));
    }
    Error::new(
        kinds::CONFLICT,
        format!("{} machines are named {}: {}", machines.len(), shown(name), candidates.join("; ")),
    )
    .hint("Nothing was done. Run again with the id of the machine that is meant; a machine that was onboarded again has a new id, and its old record stops being seen.")
}
