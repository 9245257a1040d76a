//! The tenant's things as each surface writes them, and how the bytes are kept for reuse.
//!
//! An incident is turned into JSON once per version and view. What is kept is the *compressed* form, as a piece of a deflate stream that ends on a byte
//! boundary, with the checksum and length of the text it stands for. A page is then gzip by putting pieces one after the other: nothing is compressed
//! again, and the checksum of the whole is combined from those of the pieces.

pub(crate) mod endpoint;
pub(crate) mod graph;
pub(crate) mod piece;
pub(crate) mod xdr;

/// The forms in which an incident is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// Graph, without alerts, members after `unknownFutureValue` hidden.
    Graph,
    /// Graph, without alerts, all members.
    GraphOpen,
    /// Graph, with alerts, members after `unknownFutureValue` hidden.
    GraphAlerts,
    /// Graph, with alerts, all members.
    GraphAlertsOpen,
    /// Defender XDR, alerts always inline.
    Xdr,
}

impl View {
    /// How many there are.
    pub(crate) const COUNT: usize = 5;

    /// The Graph view for these wishes.
    pub(crate) fn graph(alerts: bool, open: bool) -> Self {
        match (alerts, open) {
            (false, false) => Self::Graph,
            (false, true) => Self::GraphOpen,
            (true, false) => Self::GraphAlerts,
            (true, true) => Self::GraphAlertsOpen,
        }
    }
}
