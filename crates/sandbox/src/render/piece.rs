//! Pieces of a gzip stream, and the page that is put together from them (RFC 1951, RFC 1952).

use std::cell::RefCell;
use std::fmt;
use std::io::{Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use flate2::write::DeflateEncoder;
use flate2::{Compress, Compression, Crc, FlushCompress, Status};

/// A text in compressed form: whole deflate blocks, none of them the last of a stream, ending on a byte boundary.
pub(crate) struct Piece {
    deflated: Bytes,
    checksum: Crc,
    length: usize,
}

impl fmt::Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Piece").field("deflated", &self.deflated.len()).field("length", &self.length).finish()
    }
}

impl Piece {
    /// Compresses `text`.
    pub(crate) fn new(text: &[u8]) -> Self {
        thread_local! {
            // The compressor's tables are large: making them anew costs more than compressing an incident.
            static COMPRESSOR: RefCell<(Compress, Vec<u8>)> = RefCell::new((Compress::new(Compression::fast(), false), Vec::new()));
        }
        let deflated = COMPRESSOR.with_borrow_mut(|(compress, out)| {
            compress.reset();
            out.clear();
            deflate(compress, text, out);
            Bytes::copy_from_slice(out)
        });
        let mut checksum = Crc::new();
        checksum.update(text);
        Self { deflated, checksum, length: text.len() }
    }

    /// How many bytes the piece takes.
    pub(crate) fn size(&self) -> usize {
        self.deflated.len()
    }

    /// The text again.
    pub(crate) fn text(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(self.length);
        let mut decoder = flate2::read::DeflateDecoder::new(self.deflated.as_ref());
        let mut chunk = [0_u8; 16 * 1024];
        // The stream has no final block, so reading ends when the wanted length is reached and not at an end mark.
        while text.len() < self.length {
            match decoder.read(&mut chunk) {
                Ok(read @ 1..) => text.extend_from_slice(chunk.get(..read).unwrap_or_default()),
                _ => break,
            }
        }
        text
    }
}

/// Compresses `text` into `out`, up to a byte boundary.
fn deflate(compress: &mut Compress, text: &[u8], out: &mut Vec<u8>) {
    out.reserve(text.len() / 2 + 64);
    loop {
        let consumed = usize::try_from(compress.total_in()).unwrap_or(usize::MAX);
        let rest = text.get(consumed..).unwrap_or_default();
        let status = compress.compress_vec(rest, out, FlushCompress::Sync);
        let done = usize::try_from(compress.total_in()).unwrap_or(usize::MAX) >= text.len();
        // Output space left over after a sync flush means that the flush is complete.
        if done && out.len() < out.capacity() {
            return;
        }
        debug_assert!(!matches!(status, Ok(Status::StreamEnd) | Err(_)));
        out.reserve(text.len() / 2 + 64);
    }
}

/// One item of a page.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    /// As text.
    Text(Bytes),
    /// As a piece.
    Piece(Arc<Piece>),
}

/// A body made of items between a head and a tail, with commas between the items.
#[derive(Debug, Clone, Default)]
pub(crate) struct Page {
    /// What stands before the first item.
    pub(crate) head: Vec<u8>,
    /// The items.
    pub(crate) items: Vec<Item>,
    /// What stands after the last item.
    pub(crate) tail: Vec<u8>,
}

impl Page {
    /// The whole body as text.
    pub(crate) fn text(&self) -> Vec<u8> {
        let mut text = self.head.clone();
        for (index, item) in self.items.iter().enumerate() {
            if index > 0 {
                text.push(b',');
            }
            match item {
                Item::Text(bytes) => text.extend_from_slice(bytes),
                Item::Piece(piece) => text.extend_from_slice(&piece.text()),
            }
        }
        text.extend_from_slice(&self.tail);
        text
    }

    /// The whole body as gzip.
    pub(crate) fn gzip(&self) -> Vec<u8> {
        let mut gzip = Gzip::new(
            self.items
                .iter()
                .map(|item| match item {
                    Item::Text(bytes) => bytes.len() / 4,
                    Item::Piece(piece) => piece.size(),
                })
                .sum(),
        );
        gzip.stored(&self.head);
        for (index, item) in self.items.iter().enumerate() {
            if index > 0 {
                gzip.stored(b",");
            }
            match item {
                Item::Text(bytes) => gzip.piece(&Piece::new(bytes)),
                Item::Piece(piece) => gzip.piece(piece),
            }
        }
        gzip.stored(&self.tail);
        gzip.finish()
    }
}

struct Gzip {
    out: Vec<u8>,
    checksum: Crc,
    length: usize,
}

impl Gzip {
    fn new(expected: usize) -> Self {
        let mut out = Vec::with_capacity(expected + 4096);
        // Magic, deflate, no flags, no time, no hint, unknown system.
        out.extend_from_slice(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
        Self { out, checksum: Crc::new(), length: 0 }
    }

    fn piece(&mut self, piece: &Piece) {
        self.out.extend_from_slice(&piece.deflated);
        self.checksum.combine(&piece.checksum);
        self.length += piece.length;
    }

    /// Appends text in stored blocks: for the few bytes between pieces compression costs more than it saves.
    fn stored(&mut self, text: &[u8]) {
        for chunk in text.chunks(usize::from(u16::MAX)) {
            let length = u16::try_from(chunk.len()).unwrap_or(u16::MAX);
            self.out.push(0);
            self.out.extend_from_slice(&length.to_le_bytes());
            self.out.extend_from_slice(&(!length).to_le_bytes());
            self.out.extend_from_slice(chunk);
        }
        self.checksum.update(text);
        self.length += text.len();
    }

    fn finish(mut self) -> Vec<u8> {
        // A final, empty stored block ends the stream.
        self.out.extend_from_slice(&[1, 0, 0, 0xff, 0xff]);
        self.out.extend_from_slice(&self.checksum.sum().to_le_bytes());
        let length = u32::try_from(self.length & 0xffff_ffff).unwrap_or_default();
        self.out.extend_from_slice(&length.to_le_bytes());
        self.out
    }
}

/// A whole text as gzip.
pub(crate) fn gzip(text: &[u8]) -> Vec<u8> {
    let mut gzip = Gzip::new(text.len() / 3);
    gzip.piece(&Piece::new(text));
    gzip.finish()
}

/// A gzip stream of `size` spaces, a thousand times smaller than what it stands for.
pub(crate) fn bomb(size: usize) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    let mut checksum = Crc::new();
    let chunk = vec![b' '; 1 << 20];
    let mut left = size;
    while left > 0 {
        let part = chunk.get(..left.min(chunk.len())).unwrap_or_default();
        checksum.update(part);
        // Writing into a vector cannot fail.
        let _ = encoder.write_all(part);
        left -= part.len();
    }
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    out.extend_from_slice(&encoder.finish().unwrap_or_default());
    out.extend_from_slice(&checksum.sum().to_le_bytes());
    out.extend_from_slice(&u32::try_from(size & 0xffff_ffff).unwrap_or_default().to_le_bytes());
    out
}

#[cfg(test)]
mod tests {
    use flate2::read::GzDecoder;
    use proptest::prelude::*;

    use super::*;

    fn unpack(gzip: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        GzDecoder::new(gzip).read_to_end(&mut text).unwrap();
        text
    }

    #[test]
    fn a_bomb_is_small_and_honest() {
        let bomb = bomb(3_000_001);
        assert!(bomb.len() < 10_000);
        assert_eq!(unpack(&bomb).len(), 3_000_001);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 16, ..ProptestConfig::default() })]

        #[test]
        fn pieces_put_together_are_the_text(texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 0..6), repeat in 1_usize..40) {
            let items: Vec<Vec<u8>> = texts.into_iter().map(|text| text.repeat(repeat)).collect();
            let page = |packed: bool| Page {
                head: b"{\"value\":[".to_vec(),
                items: items.iter().map(|text| if packed { Item::Piece(Arc::new(Piece::new(text))) } else { Item::Text(text.clone().into()) }).collect(),
                tail: b"]}".to_vec(),
            };
            let text = page(false).text();
            prop_assert_eq!(&page(true).text(), &text);
            prop_assert_eq!(&unpack(&page(true).gzip()), &text);
            prop_assert_eq!(&unpack(&page(false).gzip()), &text);
            prop_assert_eq!(&unpack(&gzip(&text)), &text);
        }
    }
}
