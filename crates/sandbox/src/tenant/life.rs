//! What the tenant does by itself: new incidents come, alerts are added, analysts work.

use std::sync::Arc;

use jiff::Timestamp;

use super::incident::Incident;
use super::{Tenant, comment};

impl Tenant {
    /// One change, made at `now`.
    pub(crate) fn live(&mut self, now: Timestamp) {
        let newest = self.incidents().len();
        match self.life.below(10) {
            _ if newest == 0 => self.arrive(now),
            0..=3 => self.arrive(now),
            4..=6 => {
                let id = self.recent(newest);
                // A change that cannot be made (an incident removed meanwhile) is simply not made.
                let _ = self.edit(id, |incident, world| {
                    let mut alerts = incident.alerts(world, true);
                    let place = u8::try_from(alerts.len()).unwrap_or(u8::MAX);
                    if alerts.len() < 12 && incident.redirect.is_none() {
                        let mut alert = incident.seeded_alert(world, place, true);
                        alert.created = now;
                        alert.updated = now;
                        alerts.push(Arc::new(alert));
                        incident.alerts = Some(alerts);
                        incident.updated = now;
                    }
                    Ok(())
                });
            }
            _ => {
                let id = self.recent(newest);
                let analyst = Arc::clone(&self.world.analysts[self.life.index(3)]);
                let step = self.life.below(3);
                let _ = self.edit(id, |incident, world| {
                    if incident.redirect.is_some() {
                        return Ok(());
                    }
                    let mut details = incident.details(world);
                    match (incident.status, step) {
                        ("active", _) => incident.status = "inProgress",
                        (_, 0) => details.comments.push(comment("Checked again.", &analyst, now)),
                        (_, 1) => details.custom_tags = vec!["Escalated".to_owned()],
                        _ => incident.status = "resolved",
                    }
                    incident.assigned_to = Some(Arc::clone(&analyst));
                    details.last_modified_by = Some(analyst.to_string());
                    incident.details = Some(Box::new(details));
                    incident.updated = now;
                    Ok(())
                });
            }
        }
    }

    fn arrive(&mut self, now: Timestamp) {
        let id = self.take_id();
        let mut incident = Incident::seeded(&self.world, id, now, now);
        incident.status = "active";
        // The id is fresh, so the insertion cannot fail.
        let _ = self.insert(incident);
    }

    /// One of the hundred newest incidents.
    fn recent(&mut self, newest: usize) -> u64 {
        let back = self.life.index(newest.min(100));
        self.incidents().get(newest - 1 - back).map_or(0, |incident| incident.id)
    }
}
