//! Takes an action's records on the action's own thread and hands them to the driver in pieces.
//!
//! While the driver writes a piece the action waits: that is the back-pressure. What is left when the run has ended is
//! taken from [`Rest`].

use sortie_host::RecordSink;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{mpsc, oneshot};

/// The most records of a piece: as many as the largest page has.
const RECORDS: usize = 100;

/// A piece this large, in bytes, is handed over however few its records are.
const BYTES: usize = 1 << 20;

/// Some records, and where to say that they are durable. Dropping it says that they are not.
pub(crate) struct Piece {
    pub(crate) records: Vec<String>,
    pub(crate) durable: oneshot::Sender<()>,
}

/// Records that were not handed over yet.
#[derive(Clone, Default)]
pub(crate) struct Rest(Arc<Mutex<Buffer>>);

#[derive(Default)]
struct Buffer {
    records: Vec<String>,
    bytes: usize,
}

impl Rest {
    /// Takes them.
    pub(crate) fn take(&self) -> Vec<String> {
        let mut buffer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        buffer.bytes = 0;
        std::mem::take(&mut buffer.records)
    }

    /// Adds one; answers whether they are enough for a piece.
    fn add(&self, record: &str) -> bool {
        let mut buffer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        buffer.bytes += record.len();
        buffer.records.push(record.to_owned());
        buffer.records.len() >= RECORDS || buffer.bytes >= BYTES
    }
}

/// The action's end.
pub(crate) struct Collector {
    rest: Rest,
    pieces: mpsc::Sender<Piece>,
}

impl Collector {
    /// A collector, what it has not handed over, and the pieces it does.
    pub(crate) fn new() -> (Self, Rest, mpsc::Receiver<Piece>) {
        let (pieces, receiver) = mpsc::channel(1);
        let rest = Rest::default();
        (Self { rest: rest.clone(), pieces }, rest, receiver)
    }
}

impl RecordSink for Collector {
    fn record(&mut self, json: &str) -> io::Result<()> {
        if !self.rest.add(json) {
            return Ok(());
        }
        let (durable, told) = oneshot::channel();
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        self.pieces.blocking_send(Piece { records: self.rest.take(), durable }).map_err(|_| gone())?;
        told.blocking_recv().map_err(|_| gone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records on a thread of their own, as an action hands them over.
    fn hand_over(mut collector: Collector, records: usize, size: usize) -> std::thread::JoinHandle<io::Result<()>> {
        std::thread::spawn(move || (0..records).try_for_each(|_| collector.record(&"x".repeat(size))))
    }

    #[tokio::test]
    async fn pieces_are_bounded_in_number_and_size_and_the_rest_is_kept() {
        for (records, size, pieces) in [(250, 10, &[100, 100][..]), (7, 1 << 19, &[2, 2, 2][..]), (99, 1, &[][..])] {
            let (collector, rest, mut receiver) = Collector::new();
            let handed_over = hand_over(collector, records, size);
            let mut taken = Vec::new();
            while let Some(piece) = receiver.recv().await {
                taken.push(piece.records.len());
                piece.durable.send(()).unwrap();
            }
            assert_eq!(taken, pieces);
            assert!(handed_over.join().unwrap().is_ok());
            assert_eq!(rest.take().len(), records - pieces.iter().sum::<usize>());
        }
    }

    #[tokio::test]
    async fn a_piece_that_is_not_durable_ends_the_records() {
        let (collector, _rest, mut receiver) = Collector::new();
        let handed_over = hand_over(collector, 250, 10);
        drop(receiver.recv().await.unwrap());
        assert!(handed_over.join().unwrap().is_err());
        // So it is when the driver is gone.
        let (collector, _rest, receiver) = Collector::new();
        drop(receiver);
        assert!(hand_over(collector, 250, 10).join().unwrap().is_err());
    }
}
