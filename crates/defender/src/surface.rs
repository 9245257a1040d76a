//! The two surfaces on which a tenant's incidents can be read and changed.

use crate::enums::{Classification, Determination, Enumeration, IncidentStatus, Severity};
use crate::filter::{Literal, Property, Value};
use jiff::Timestamp;
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// Where incidents are read and changed. A profile chooses one; outputs have the shape of Graph v1.0 on both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Surface {
    /// Microsoft Graph v1.0, `/security/incidents`.
    Graph,
    /// The Defender XDR API, `/incidents`.
    DefenderXdr,
}

/// A name that is no surface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not an incident surface; it is one of: graph, defender-xdr")]
pub struct UnknownSurface;

impl Surface {
    /// The name in profiles, manifests and outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Graph => "graph",
            Self::DefenderXdr => "defender-xdr",
        }
    }

    /// The most incidents that one page holds: 50 on Graph (reported; the documentation is silent), 100 on Defender XDR
    /// (contract sections 4 and 6).
    pub const fn page_size(self) -> u32 {
        match self {
            Self::Graph => 50,
            Self::DefenderXdr => 100,
        }
    }

    /// The property that holds an incident's creation time, for filters.
    pub const fn created(self) -> Property<Timestamp> {
        match self {
            Self::Graph => Property::named("createdDateTime"),
            Self::DefenderXdr => Property::named("createdTime"),
        }
    }

    /// The property that holds an incident's time of last update, for filters.
    pub const fn updated(self) -> Property<Timestamp> {
        match self {
            Self::Graph => Property::named("lastUpdateDateTime"),
            Self::DefenderXdr => Property::named("lastUpdateTime"),
        }
    }

    /// The property that holds an incident's assignee, for filters.
    pub const fn assigned_to(self) -> Property<str> {
        Property::named("assignedTo")
    }

    /// The property that holds an incident's status, for filters; its values are [spelled](Self::spell) for the surface.
    pub const fn status(self) -> Property<Spelled<IncidentStatus>> {
        Property::named("status")
    }

    /// The property that holds an incident's severity, where the server can filter by it.
    pub const fn severity(self) -> Option<Property<Spelled<Severity>>> {
        match self {
            Self::Graph => Some(Property::named("severity")),
            Self::DefenderXdr => None,
        }
    }

    /// The property that holds an incident's classification, where the server can filter by it.
    pub const fn classification(self) -> Option<Property<Spelled<Classification>>> {
        match self {
            Self::Graph => Some(Property::named("classification")),
            Self::DefenderXdr => None,
        }
    }

    /// The property that holds an incident's determination, where the server can filter by it.
    pub const fn determination(self) -> Option<Property<Spelled<Determination>>> {
        match self {
            Self::Graph => Some(Property::named("determination")),
            Self::DefenderXdr => None,
        }
    }

    /// A member in the surface's spelling, for filters and updates.
    pub fn spell<T: Enumeration + Clone>(self, member: &T) -> Spelled<T> {
        Spelled { member: member.clone(), surface: self }
    }
}

impl fmt::Display for Surface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Surface {
    type Err = UnknownSurface;

    fn from_str(text: &str) -> Result<Self, UnknownSurface> {
        [Self::Graph, Self::DefenderXdr].into_iter().find(|surface| surface.name() == text).ok_or(UnknownSurface)
    }
}

/// A member of an enumeration in the spelling of one surface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spelled<T> {
    member: T,
    surface: Surface,
}

impl<T: Enumeration> Spelled<T> {
    /// The spelling.
    pub fn as_str(&self) -> &str {
        match self.surface {
            Surface::Graph => self.member.name(),
            Surface::DefenderXdr => self.member.defender_xdr(),
        }
    }
}

impl<T: Enumeration> Value for Spelled<T> {
    fn literal(&self) -> Literal {
        Literal::Text(self.as_str().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_surface_filters_in_its_own_words() {
        for (surface, wanted) in [
            (Surface::Graph, "status eq 'inProgress' and lastUpdateDateTime ge 2021-01-01T00:00:00Z"),
            (Surface::DefenderXdr, "status eq 'InProgress' and lastUpdateTime ge 2021-01-01T00:00:00Z"),
        ] {
            let status = surface.status().eq(&surface.spell(&IncidentStatus::InProgress));
            let updated = surface.updated().ge("2021-01-01T00:00:00Z".parse().unwrap());
            assert_eq!(crate::filter::Filter::all([status, updated]).unwrap().to_string(), wanted);
            assert_eq!(surface.name().parse(), Ok(surface));
        }
        assert!(Surface::DefenderXdr.severity().is_none());
        assert_eq!("xdr".parse::<Surface>(), Err(UnknownSurface));
    }
}
