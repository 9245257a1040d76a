//! As much DER as it takes to find the public key in a certificate and the algorithm in a private key.

/// Tags that are looked for.
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const SEQUENCE: u8 = 0x30;
const EXPLICIT_VERSION: u8 = 0xa0;

/// `rsaEncryption`, 1.2.840.113549.1.1.1.
pub(crate) const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// A reader over the values of one constructed value.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) const fn new(der: &'a [u8]) -> Self {
        Self(der)
    }

    /// The next value: its tag and its content.
    pub(crate) fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let length = if first < 0x80 {
            usize::from(first)
        } else {
            let mut length = 0_usize;
            let count = usize::from(first & 0x7f);
            if count == 0 || count > 4 {
                return None;
            }
            for _ in 0..count {
                let (&byte, after) = rest.split_first()?;
                length = (length << 8) | usize::from(byte);
                rest = after;
            }
            length
        };
        let content = rest.get(..length)?;
        self.0 = rest.get(length..)?;
        Some((tag, content))
    }

    /// The content of the next value, if it has this tag.
    pub(crate) fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, content)| content)
    }
}

/// The public key of a certificate: its algorithm and its bits.
pub(crate) fn public_key(certificate: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut certificate = Reader::new(Reader::new(certificate).expect(SEQUENCE)?);
    let mut body = Reader::new(certificate.expect(SEQUENCE)?);
    let (tag, _) = body.next()?;
    if tag == EXPLICIT_VERSION {
        body.expect(INTEGER)?;
    } else if tag != INTEGER {
        return None;
    }
    // Signature algorithm, issuer, validity, subject.
    for _ in 0..4 {
        body.expect(SEQUENCE)?;
    }
    let mut key = Reader::new(body.expect(SEQUENCE)?);
    let algorithm = Reader::new(key.expect(SEQUENCE)?).expect(OBJECT_IDENTIFIER)?;
    let bits = key.expect(BIT_STRING)?;
    // The first byte counts unused bits: none in a key.
    Some((algorithm, bits.strip_prefix(&[0])?))
}

/// The algorithm of a private key in PKCS #8 form.
pub(crate) fn private_key_algorithm(pkcs8: &[u8]) -> Option<&[u8]> {
    let mut key = Reader::new(Reader::new(pkcs8).expect(SEQUENCE)?);
    key.expect(INTEGER)?;
    Reader::new(key.expect(SEQUENCE)?).expect(OBJECT_IDENTIFIER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_read_one_by_one() {
        let mut reader = Reader::new(&[0x02, 1, 7, 0x30, 0x81, 2, 5, 0]);
        assert_eq!(reader.next(), Some((INTEGER, &[7][..])));
        assert_eq!(reader.expect(SEQUENCE), Some(&[5, 0][..]));
        assert_eq!(reader.next(), None);
        for broken in
            [&[0x30][..], &[0x30, 5, 0], &[0x30, 0x80], &[0x30, 0x85, 1, 1, 1, 1, 1], &[0x30, 0x84, 255, 255, 255, 255]]
        {
            assert_eq!(Reader::new(broken).next(), None, "{broken:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_fall_over(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            public_key(&bytes);
            private_key_algorithm(&bytes);
        }
    }
}
