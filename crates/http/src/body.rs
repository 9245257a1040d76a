//! Reading a body piece by piece, under caps, decompressing as it comes.
//!
//! Decompression is done here and not by the HTTP client, because only here the ratio and both sizes are known while
//! the bytes flow: a bomb is dropped after its first MiB, whatever its length.

use crate::settings::Caps;
use flate2::{Decompress, FlushDecompress, Status};

/// Below this size no ratio is too high: small answers full of nulls compress very well.
const RATIO_FROM: usize = 1 << 20;

/// The step by which the output grows at least.
const STEP: usize = 16 << 10;

/// Why a body cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Larger than a cap allows; which one.
    TooLarge(&'static str),
    /// Not what its headers say; how.
    Broken(&'static str),
}

/// A body that is being read.
pub(crate) struct Reader<'a> {
    caps: &'a Caps,
    wire_bytes: usize,
    body: Vec<u8>,
    gzip: Option<Gzip>,
}

struct Gzip {
    stream: Decompress,
    /// The compressed bytes that went through.
    consumed: usize,
    /// Whether the current member has ended.
    ended: bool,
}

impl<'a> Reader<'a> {
    /// A reader for a body of this `Content-Encoding` and, where it is known, this length.
    pub(crate) fn new(caps: &'a Caps, encoding: Option<&str>, length: Option<u64>) -> Result<Self, Flaw> {
        let gzip = match encoding.map(str::trim).unwrap_or_default() {
            "" | "identity" => None,
            gzip if gzip.eq_ignore_ascii_case("gzip") || gzip.eq_ignore_ascii_case("x-gzip") => Some(Gzip::new()),
            _ => return Err(Flaw::Broken("its content encoding is not gzip")),
        };
        let length = usize::try_from(length.unwrap_or(0)).unwrap_or(usize::MAX);
        if length > caps.compressed_bytes {
            return Err(Flaw::TooLarge("its announced length"));
        }
        if gzip.is_none() && length > caps.body_bytes {
            return Err(Flaw::TooLarge("its announced length"));
        }
        // What is announced is not yet sent: memory is taken for the first MiB only.
        let first = if gzip.is_some() { length.saturating_mul(6) } else { length };
        Ok(Self { caps, wire_bytes: 0, body: Vec::with_capacity(first.min(RATIO_FROM)), gzip })
    }

    /// Takes the next piece.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<(), Flaw> {
        self.wire_bytes += piece.len();
        if self.wire_bytes > self.caps.compressed_bytes {
            return Err(Flaw::TooLarge("its length"));
        }
        match &mut self.gzip {
            Some(gzip) => gzip.inflate(piece, &mut self.body, self.caps),
            None if self.body.len() + piece.len() > self.caps.body_bytes => Err(Flaw::TooLarge("its length")),
            None => {
                self.body.extend_from_slice(piece);
                Ok(())
            }
        }
    }

    /// The whole body, if it is whole.
    pub(crate) fn finish(self) -> Result<Vec<u8>, Flaw> {
        match self.gzip {
            Some(gzip) if self.wire_bytes > 0 && !gzip.ended => Err(Flaw::Broken("its gzip stream is cut short")),
            _ => Ok(self.body),
        }
    }
}

impl Gzip {
    fn new() -> Self {
        Self { stream: Decompress::new_gzip(15), consumed: 0, ended: false }
    }

    fn inflate(&mut self, mut piece: &[u8], body: &mut Vec<u8>, caps: &Caps) -> Result<(), Flaw> {
        loop {
            if self.ended {
                if piece.is_empty() {
                    return Ok(());
                }
                // A gzip file may have several members, one after the other.
                self.stream = Decompress::new_gzip(15);
                self.ended = false;
            }
            if body.len() == body.capacity() {
                // One byte of room beyond the cap tells "full" from "too large".
                let room = (caps.body_bytes + 1).saturating_sub(body.len());
                body.reserve_exact(body.len().max(STEP).min(room).max(1));
            }
            let (before, length) = (self.stream.total_in(), body.len());
            let status = self
                .stream
                .decompress_vec(piece, body, FlushDecompress::None)
                .map_err(|_| Flaw::Broken("its gzip stream is damaged"))?;
            let taken = usize::try_from(self.stream.total_in() - before).unwrap_or(piece.len());
            self.consumed += taken;
            piece = piece.get(taken..).unwrap_or_default();
            self.ended = status == Status::StreamEnd;

            if body.len() > caps.body_bytes {
                return Err(Flaw::TooLarge("its decompressed length"));
            }
            if body.len() > RATIO_FROM && body.len() / caps.ratio.max(1) > self.consumed {
                return Err(Flaw::TooLarge("its compression ratio"));
            }
            let room_was_left = body.len() < body.capacity();
            if !self.ended && piece.is_empty() && room_was_left {
                return Ok(());
            }
            if !self.ended && taken == 0 && body.len() == length && room_was_left {
                return Err(Flaw::Broken("its gzip stream is damaged"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use proptest::prelude::*;
    use std::io::Write;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn read(caps: &Caps, encoding: Option<&str>, wire: &[u8], piece: usize) -> Result<Vec<u8>, Flaw> {
        let mut reader = Reader::new(caps, encoding, None)?;
        for piece in wire.chunks(piece.max(1)) {
            reader.push(piece)?;
        }
        reader.finish()
    }

    #[test]
    fn a_bomb_is_dropped_early() {
        // 12 MiB of zeros are about 12 KiB compressed.
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        for _ in 0..12 {
            encoder.write_all(&vec![0; 1 << 20]).unwrap();
        }
        let bomb = encoder.finish().unwrap();
        let caps = Caps::default();
        let mut reader = Reader::new(&caps, Some("gzip"), None).unwrap();
        let refused = bomb.chunks(1 << 10).find_map(|piece| reader.push(piece).err());
        assert_eq!(refused, Some(Flaw::TooLarge("its compression ratio")));
        assert!(reader.body.capacity() <= 4 << 20, "{}", reader.body.capacity());
        // In one piece, too: the cap holds inside a piece.
        assert!(read(&caps, Some("gzip"), &bomb, bomb.len()).is_err());
        // Without the ratio the size is what stops it.
        let caps = Caps { ratio: 1_000_000, body_bytes: 4 << 20, ..caps };
        assert_eq!(read(&caps, Some("gzip"), &bomb, 512), Err(Flaw::TooLarge("its decompressed length")));
    }

    #[test]
    fn caps_are_exact() {
        let caps = Caps { body_bytes: 1000, compressed_bytes: 1200, ..Caps::default() };
        assert_eq!(read(&caps, None, &[7; 1000], 100).unwrap().len(), 1000);
        assert_eq!(read(&caps, None, &[7; 1001], 100), Err(Flaw::TooLarge("its length")));
        assert_eq!(read(&caps, Some("gzip"), &gzip(&[7; 1000]), 10).unwrap().len(), 1000);
        assert_eq!(read(&caps, Some("gzip"), &gzip(&[7; 1001]), 10), Err(Flaw::TooLarge("its decompressed length")));
        let announced = Reader::new(&caps, None, Some(u64::MAX)).err();
        assert_eq!(announced, Some(Flaw::TooLarge("its announced length")));
    }

    #[test]
    fn several_members_are_one_body_and_garbage_is_none() {
        let mut two = gzip(b"{\"a\":");
        two.extend(gzip(b"1}"));
        assert_eq!(read(&Caps::default(), Some("gzip"), &two, 3).unwrap(), b"{\"a\":1}");
        two.extend(b"garbage");
        assert!(matches!(read(&Caps::default(), Some("gzip"), &two, 3), Err(Flaw::Broken(_))));
        assert!(matches!(read(&Caps::default(), Some("gzip"), b"{\"a\":1}", 3), Err(Flaw::Broken(_))));
        assert!(matches!(read(&Caps::default(), Some("br"), b"", 3), Err(Flaw::Broken(_))));
        assert_eq!(read(&Caps::default(), Some("GZIP"), b"", 3).unwrap(), b"");
    }

    proptest! {
        #[test]
        fn what_was_compressed_comes_out_whatever_the_pieces(data in prop::collection::vec(any::<u8>(), 0..5000), piece in 1_usize..600) {
            prop_assert_eq!(read(&Caps::default(), Some("gzip"), &gzip(&data), piece).unwrap(), data);
        }

        #[test]
        fn a_stream_without_its_end_is_broken(data in prop::collection::vec(any::<u8>(), 0..500), cut in 1_usize..30, piece in 1_usize..60) {
            let wire = gzip(&data);
            let cut = cut.min(wire.len() - 1);
            let read = read(&Caps::default(), Some("gzip"), &wire[..wire.len() - cut], piece);
            prop_assert_eq!(read, Err(Flaw::Broken("its gzip stream is cut short")));
        }

        #[test]
        fn a_damaged_stream_never_passes_for_another_body(data in prop::collection::vec(any::<u8>(), 1..500), at in any::<prop::sample::Index>(), bit in 0_u8..8) {
            let mut wire = gzip(&data);
            // The first ten bytes hold fields without meaning for the content (time, system).
            let at = 10 + at.index(wire.len() - 10);
            wire[at] ^= 1_u8 << bit;
            if let Ok(body) = read(&Caps::default(), Some("gzip"), &wire, 64) {
                prop_assert_eq!(body, data);
            }
        }
    }
}
