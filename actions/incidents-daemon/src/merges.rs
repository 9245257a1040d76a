//! The incidents that others were merged into, where the window did not hold them.
//!
//! A target is read alone, so what is wrong with it is its own affair: it is handed over as far as it can be read, with a note,
//! and never holds the step up. Only where one after the other fails is it the service, and the step fails with it.

use crate::record::Record;
use crate::run::Step;
use sortie_client::incidents::{Snapshot, is_about_incident};
use sortie_defender::ids::IncidentId;
use sortie_defender::surface::Surface;
use sortie_defender::view::Redirect;
use sortie_sdk::prelude::*;

/// How many targets are asked for at once.
const AT_ONCE: usize = 8;
/// The longest chain of merges that is followed. Whether chains occur is not documented (contract section 4.4).
const LONGEST_CHAIN: usize = 10;
/// Targets in a row that cannot be read at all, after which it is not the incidents that fail.
const MOST_IN_A_ROW: u32 = 5;

/// What following merges took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Followed {
    /// The incidents read.
    pub(crate) read: u64,
    /// The calls made.
    pub(crate) calls: u64,
    unreadable_in_a_row: u32,
}

impl Step<'_, '_> {
    /// Reads the targets, and theirs in turn.
    ///
    /// # Errors
    /// What is not about a single incident, such as `throttled`; the step is then run again.
    pub(crate) fn follow_merges(&mut self) -> Result<Followed> {
        let mut followed = Followed::default();
        for _ in 0..LONGEST_CHAIN {
            let targets = std::mem::take(&mut self.targets);
            let targets: Vec<IncidentId> =
                targets.into_iter().filter(|target| !self.handed_over.contains(target)).collect();
            for some in targets.chunks(AT_ONCE) {
                followed.calls += some.len() as u64;
                let answers = Snapshot::read_many(self.host, self.surface, some, self.input.alerts)?;
                for (target, answer) in some.iter().zip(answers) {
                    self.take_target(*target, answer, &mut followed)?;
                }
            }
        }
        self.targets.retain(|target| !self.handed_over.contains(target));
        if let Some(next) = self.targets.first() {
            self.host.warn(format!("merges were followed {LONGEST_CHAIN} times; they lead on to {next}"));
        }
        Ok(followed)
    }

    fn take_target(&mut self, target: IncidentId, answer: Result<Snapshot>, followed: &mut Followed) -> Result<()> {
        let error = match answer.and_then(readable) {
            Ok(snapshot) => return self.hand_over_target(target, &snapshot, None, followed),
            Err(error) if error.kind() == kinds::NOT_FOUND => {
                self.host.warn(format!("an incident was merged into {target}, which the application cannot see"));
                return Ok(());
            }
            Err(error) if is_about_incident(&error) => error,
            Err(error) => return Err(error),
        };
        if let Some(snapshot) = self.read_bare(target, followed)? {
            let reason = format!("its alerts could not be read: {}", error.message());
            return self.hand_over_target(target, &snapshot, Some(&reason), followed);
        }
        followed.unreadable_in_a_row += 1;
        if followed.unreadable_in_a_row > MOST_IN_A_ROW {
            return Err(error.context(&format!("an incident was merged into {target}")));
        }
        self.handed_over.insert(target);
        self.hand_over(Record::unreadable(Some(target), &format!("unreadable: {}", error.message())))
    }

    /// Reads a target without its alerts; none when that fails too.
    fn read_bare(&self, target: IncidentId, followed: &mut Followed) -> Result<Option<Snapshot>> {
        // Defender XDR sends an incident in one form only.
        if !self.input.alerts || self.surface == Surface::DefenderXdr {
            return Ok(None);
        }
        followed.calls += 1;
        match Snapshot::read(self.host, self.surface, target, false).and_then(readable) {
            Ok(snapshot) => Ok(Some(snapshot)),
            Err(error) if error.kind() == kinds::NOT_FOUND || is_about_incident(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn hand_over_target(
        &mut self,
        target: IncidentId,
        snapshot: &Snapshot,
        quarantine: Option<&str>,
        followed: &mut Followed,
    ) -> Result<()> {
        followed.read += 1;
        followed.unreadable_in_a_row = 0;
        self.handed_over.insert(target);
        let incident = snapshot.incident()?;
        if let Some(Redirect::To(next)) = incident.view().redirect() {
            self.targets.insert(next);
        }
        self.hand_over_incident(&incident, quarantine)
    }
}

/// The answer, if it is an incident.
fn readable(snapshot: Snapshot) -> Result<Snapshot> {
    snapshot.incident()?;
    Ok(snapshot)
}
