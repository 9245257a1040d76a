//! Incidents and alerts as the tenant keeps them, and how they are made from the seed.
//!
//! What lists are filtered and ordered by is always at hand. The rest (texts, tags, alerts, evidence) is made from the seed when somebody asks, and kept
//! only once somebody changed it: so a hundred thousand incidents start at once and take little memory.

use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::chance::{Chance, Stream};
use super::evidence::{KINDS, Scene};
use super::machine::Identity;
use super::stories::{FILES, HOSTILE_TITLES, HOSTS, STORIES, Story, Template};
use super::{World, names, words};
use crate::clock;
use crate::lock;
use crate::render::View;
use crate::render::piece::Piece;

/// A comment on an incident or alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Comment {
    pub(crate) text: String,
    pub(crate) author: String,
    pub(crate) created: Timestamp,
}

/// An incident. Enum values in the spelling of the CSDL.
#[derive(Debug, Clone)]
pub(crate) struct Incident {
    pub(crate) id: u64,
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
    pub(crate) severity: &'static str,
    pub(crate) status: &'static str,
    pub(crate) classification: &'static str,
    pub(crate) determination: &'static str,
    pub(crate) assigned_to: Option<Arc<str>>,
    /// The incident that this one was merged into.
    pub(crate) redirect: Option<u64>,
    /// `None`: as made from the seed.
    pub(crate) details: Option<Box<Details>>,
    /// `None`: as made from the seed.
    pub(crate) alerts: Option<Vec<Arc<Alert>>>,
    /// Members forced into the rendered JSON, whatever they are.
    pub(crate) forced: Option<Box<Forced>>,
    /// The rendered forms, kept for reuse.
    pub(crate) pieces: Pieces,
}

/// What of an incident is not filtered by.
#[derive(Debug, Clone, Default)]
pub(crate) struct Details {
    pub(crate) display_name: String,
    pub(crate) description: Option<String>,
    pub(crate) summary: Option<String>,
    pub(crate) resolving_comment: Option<String>,
    pub(crate) last_modified_by: Option<String>,
    pub(crate) priority_score: Option<i64>,
    pub(crate) custom_tags: Vec<String>,
    pub(crate) system_tags: Vec<String>,
    pub(crate) comments: Vec<Comment>,
}

/// Members that replace or remove what would be rendered: poison records are made with this.
#[derive(Debug, Clone, Default)]
pub(crate) struct Forced {
    /// Members set on the incident object of both surfaces.
    pub(crate) set: Map<String, Value>,
    /// Members removed from it.
    pub(crate) remove: Vec<String>,
    /// A text member of that many bytes, under the key `padding`.
    pub(crate) padding: usize,
}

/// An alert. Enum values in the spelling of the CSDL.
#[derive(Debug, Clone)]
pub(crate) struct Alert {
    pub(crate) id: String,
    pub(crate) status: String,
    pub(crate) severity: String,
    pub(crate) classification: String,
    pub(crate) determination: String,
    pub(crate) service_source: String,
    pub(crate) detection_source: String,
    pub(crate) detector_id: String,
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) recommended_actions: String,
    pub(crate) category: String,
    pub(crate) techniques: Vec<String>,
    pub(crate) assigned_to: Option<String>,
    pub(crate) actor: Option<String>,
    pub(crate) threat: Option<String>,
    pub(crate) family: Option<String>,
    pub(crate) investigation_state: String,
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
    pub(crate) resolved: Option<Timestamp>,
    pub(crate) first_activity: Timestamp,
    pub(crate) last_activity: Timestamp,
    pub(crate) comments: Vec<Comment>,
    pub(crate) system_tags: Vec<String>,
    pub(crate) evidence: Vec<Value>,
}

/// The compressed forms of an incident. A copy of an incident starts without any: it is copied to be changed.
#[derive(Debug, Default)]
pub(crate) struct Pieces(Mutex<[Option<Kept>; View::COUNT]>);

/// A form and the epoch in which it was made.
type Kept = (u64, Arc<Piece>);

impl Clone for Pieces {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Pieces {
    /// The form of that view, if it was made in this epoch.
    pub(crate) fn get(&self, view: View, epoch: u64) -> Option<Arc<Piece>> {
        let slots = lock(&self.0);
        slots.get(view as usize)?.as_ref().filter(|(made, _)| *made == epoch).map(|(_, piece)| Arc::clone(piece))
    }

    /// Keeps a form; returns by how many bytes what is kept grew or shrank.
    pub(crate) fn put(&self, view: View, epoch: u64, piece: Arc<Piece>) -> (usize, usize) {
        let added = piece.size();
        let mut slots = lock(&self.0);
        let old = slots.get_mut(view as usize).and_then(|slot| slot.replace((epoch, piece)));
        (added, old.map_or(0, |(_, piece)| piece.size()))
    }

    /// How many bytes are kept.
    pub(crate) fn size(&self) -> usize {
        lock(&self.0).iter().flatten().map(|(_, piece)| piece.size()).sum()
    }
}

/// Alert ids carry the incident's id and the alert's place, so that an alert is found without a table.
const ALERT_BASE: u64 = 637_000_000_000_000_000;

/// The most alerts that an incident is made with.
pub(crate) const MOST_ALERTS: u64 = 16;

fn alert_id(incident: u64, place: u64) -> String {
    let tail = (incident.wrapping_mul(7_919).wrapping_add(place * 104_729)) % 2_000_000_000;
    format!("da{}_-{tail}", ALERT_BASE + incident * MOST_ALERTS + place)
}

/// The incident whose seeded alert has this id.
pub(crate) fn incident_of(alert: &str) -> Option<u64> {
    let digits = alert.strip_prefix("da")?.split('_').next()?;
    let number = digits.parse::<u64>().ok()?.checked_sub(ALERT_BASE)?;
    let (incident, place) = (number / MOST_ALERTS, number % MOST_ALERTS);
    (alert_id(incident, place) == alert).then_some(incident)
}

impl Incident {
    /// The incident with that id, as the seed has it; `created` is given, `now` bounds its last update.
    pub(crate) fn seeded(world: &World, id: u64, created: Timestamp, now: Timestamp) -> Self {
        let mut chance = Chance::new(world.seed, Stream::Incident, id);
        let story = story(&mut chance);
        let severity = chance.pick(story.severity);
        let age = u64::try_from(now.as_second() - created.as_second()).unwrap_or_default();
        let updated = if age < 2 { created } else { chance.before(now, age.min(172_800) - 1) };
        let status = match chance.below(100) {
            0..=54 => "active",
            55..=69 => "inProgress",
            70..=71 => "awaitingAction",
            _ => "resolved",
        };
        let (classification, determination) =
            if status == "resolved" || chance.percent(10) { story.verdict } else { ("unknown", "unknown") };
        let assigned_to = if status == "active" && chance.percent(70) {
            None
        } else {
            Some(Arc::clone(&world.analysts[chance.index(world.analysts.len())]))
        };
        Self {
            id,
            created,
            updated: updated.max(created),
            severity,
            status,
            classification,
            determination,
            assigned_to,
            redirect: None,
            details: None,
            alerts: None,
            forced: None,
            pieces: Pieces::default(),
        }
    }

    /// The texts and tags, made from the seed unless somebody changed them.
    pub(crate) fn details(&self, world: &World) -> Details {
        if let Some(details) = &self.details {
            return details.as_ref().clone();
        }
        let mut chance = Chance::new(world.seed, Stream::Incident, self.id);
        let story = story(&mut chance);
        // Skips what the outer properties drew, so that texts do not follow from them.
        let mut chance = Chance::new(world.seed ^ 0xd3, Stream::Incident, self.id);
        let device = Identity::seeded(world.seed, chance.below(world.machines));
        let account = names::account(&mut chance);
        let display_name = if self.id % 17 == 3 {
            chance.pick(HOSTILE_TITLES).to_owned()
        } else {
            story
                .title
                .replace("{device}", device.name.split('.').next().unwrap_or_default())
                .replace("{account}", &account)
        };
        let mut custom_tags = Vec::new();
        if chance.percent(30) {
            custom_tags.push(chance.pick(&["Demo", "VIP", "Plant North", "Escalated", "Exercise 2026"]).to_owned());
        }
        let mut comments = Vec::new();
        if self.assigned_to.is_some() && chance.percent(50) {
            comments.push(Comment {
                text: chance
                    .pick(&[
                        "Looking into it.",
                        "User was called and confirmed.",
                        "Same pattern as last week.\nKept open.",
                        "Handed over to tier 2.",
                    ])
                    .to_owned(),
                author: self.assigned_to.as_deref().unwrap_or_default().to_owned(),
                created: self.updated,
            });
        }
        Details {
            display_name,
            description: Some(story.description.to_owned()),
            summary: chance
                .percent(25)
                .then(|| format!("Activity that began on {} and involved the account {account}.", device.name)),
            resolving_comment: (self.status == "resolved").then(|| "Closed after review.".to_owned()),
            last_modified_by: self.assigned_to.as_deref().map(str::to_owned),
            priority_score: Some(i64::try_from(chance.below(101)).unwrap_or_default()),
            custom_tags,
            system_tags: story.system_tags.iter().map(|tag| (*tag).to_owned()).collect(),
            comments,
        }
    }

    /// Its alerts; without their evidence unless `evidence`.
    pub(crate) fn alerts(&self, world: &World, evidence: bool) -> Vec<Arc<Alert>> {
        match &self.alerts {
            Some(alerts) => alerts.clone(),
            None if self.redirect.is_some() => Vec::new(),
            None => (0..seeded_alert_count(world, self.id))
                .map(|place| Arc::new(self.seeded_alert(world, place, evidence)))
                .collect(),
        }
    }

    /// The alert at that place, as the seed has it.
    pub(crate) fn seeded_alert(&self, world: &World, place: u8, evidence: bool) -> Alert {
        let mut outer = Chance::new(world.seed, Stream::Incident, self.id);
        let story = story(&mut outer);
        let template = &story.alerts[usize::from(place) % story.alerts.len()];
        let mut chance = Chance::new(world.seed, Stream::Alert(place), self.id);
        let open = self.status != "resolved";
        let first = chance.before(self.created, 90_000);
        let last = chance.before(self.created, 3_000).max(first);
        let created = self.created;
        // Alerts often change after their incident did: a change of an alert does not always touch the incident (contract section 6.3).
        let updated = clock::add(self.updated, std::time::Duration::from_millis(chance.pick(&[0, 157, 1_033, 60_250])));
        let mut alert = Alert {
            id: alert_id(self.id, u64::from(place)),
            status: if open { chance.pick(&["new", "new", "inProgress"]) } else { "resolved" }.to_owned(),
            severity: template.severity.to_owned(),
            classification: if open { "unknown" } else { self.classification }.to_owned(),
            determination: if open { "unknown" } else { self.determination }.to_owned(),
            service_source: template.service.to_owned(),
            detection_source: template.detection.to_owned(),
            detector_id: chance.guid(),
            title: template.title.to_owned(),
            description: template.description.to_owned(),
            recommended_actions: "Check the scope: look for the same file, address and account on other machines.\nContain the machine when the activity goes on.".to_owned(),
            category: template.category.to_owned(),
            techniques: template.techniques.iter().map(|technique| (*technique).to_owned()).collect(),
            assigned_to: self.assigned_to.as_deref().map(str::to_owned),
            actor: chance.percent(10).then(|| "Storm-0000".to_owned()),
            threat: template.family.map(|family| format!("HackTool:Win64/{family}!dha")),
            family: template.family.map(str::to_owned),
            investigation_state: chance.pick(&["unsupportedAlertType", "queued", "running", "successfullyRemediated", "unsupportedOs"]).to_owned(),
            created,
            updated,
            resolved: (!open).then_some(self.updated),
            first_activity: first,
            last_activity: last,
            comments: Vec::new(),
            system_tags: story.system_tags.iter().map(|tag| (*tag).to_owned()).collect(),
            evidence: Vec::new(),
        };
        if evidence {
            alert.evidence = self.seeded_evidence(world, place, template, chance);
        }
        alert
    }

    fn seeded_evidence(&self, world: &World, place: u8, template: &Template, mut chance: Chance) -> Vec<Value> {
        let device = Identity::seeded(world.seed, chance.below(world.machines));
        let account = names::account(&mut chance);
        let (file, command) = chance.pick(FILES);
        let mut scene = Scene {
            seed: world.seed,
            tenant_id: &world.tenant_id,
            device,
            account,
            file,
            command,
            host: chance.pick(HOSTS),
            time: self.created,
            chance,
        };
        let mut evidence: Vec<Value> = template.evidence.iter().map(|kind| scene.evidence(kind)).collect();
        // One more kind by turns, so that any 48 incidents in a row hold every kind there is.
        if place == 0 {
            let turn = usize::try_from(self.id % KINDS.len() as u64).unwrap_or_default();
            if let Some(kind) = KINDS.get(turn).filter(|kind| !template.evidence.contains(kind)) {
                evidence.push(scene.evidence(kind));
            }
        }
        evidence
    }
}

fn story(chance: &mut Chance) -> &'static Story {
    &STORIES[chance.index(STORIES.len())]
}

fn seeded_alert_count(world: &World, id: u64) -> u8 {
    let mut chance = Chance::new(world.seed ^ 0xa1, Stream::Incident, id);
    chance.pick(&[1, 2, 2, 3, 3, 3, 4, 5])
}

/// Checks a value against the members of an enumeration.
pub(crate) fn known(
    members: &'static [&'static str],
    property: &str,
    value: &str,
) -> Result<&'static str, crate::Error> {
    words::member(members, value, false)
        .ok_or_else(|| crate::Error::Invalid(format!("'{value}' is not a value of {property}")))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn world() -> World {
        World::new(3, 25, "5a4db0c5-0000-4000-8000-000000000001", "2026-03-01T12:00:00Z".parse().unwrap())
    }

    #[test]
    fn the_same_seed_makes_the_same_incident() {
        let world = world();
        let make = || {
            Incident::seeded(
                &world,
                1_007,
                clock::sub(world.start, std::time::Duration::from_secs(90_000)),
                world.start,
            )
        };
        assert_eq!(make().updated, make().updated);
        assert_eq!(format!("{:?}", make().alerts(&world, true)), format!("{:?}", make().alerts(&world, true)));
        assert_eq!(make().alerts(&world, true).len(), make().alerts(&world, false).len());
        assert!(make().updated >= make().created && make().updated <= world.start);
    }

    #[test]
    fn alert_ids_lead_back_and_forged_ones_do_not() {
        assert_eq!(incident_of(&alert_id(1_234, 3)), Some(1_234));
        for id in ["", "da", "da1_-2", "da637000000000019744_-1", "xx", "da99999999999999999999_-1"] {
            assert_eq!(incident_of(id), None, "{id}");
        }
    }

    #[test]
    fn a_hundred_incidents_hold_every_kind_of_evidence() {
        let world = world();
        let mut kinds = BTreeSet::new();
        for id in 1_000..1_100 {
            let incident = Incident::seeded(&world, id, world.start, world.start);
            for alert in incident.alerts(&world, true) {
                kinds.extend(
                    alert.evidence.iter().map(|piece| piece["@odata.type"].as_str().unwrap_or_default().to_owned()),
                );
            }
        }
        assert_eq!(kinds.len(), KINDS.len());
    }
}
