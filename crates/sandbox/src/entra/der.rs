//! As much DER and PEM as it takes to get a public key out of a certificate (RFC 5280, RFC 5958): tag, length, value, and nothing more.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The kinds of public key that assertions are signed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyKind {
    /// RSA; the key is an `RSAPublicKey` in DER.
    Rsa,
    /// ECDSA on P-256; the key is an uncompressed point.
    P256,
}

/// A public key.
#[derive(Debug, Clone)]
pub(super) struct PublicKey {
    pub(super) kind: KeyKind,
    pub(super) bytes: Vec<u8>,
}

/// `1.2.840.113549.1.1.1`
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// `1.2.840.10045.2.1`
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// `1.2.840.10045.3.1.7`
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;
const OBJECT_ID: u8 = 0x06;

/// The DER of the first block of that label in PEM text.
pub(super) fn pem(text: &str, label: &str) -> Option<Vec<u8>> {
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let body = text.split_once(&begin)?.1.split_once(&end)?.0;
    let body: String = body.chars().filter(|c| !c.is_whitespace()).collect();
    STANDARD.decode(body).ok()
}

/// One element off the front of `bytes`: its tag, its content, and what follows.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 4 {
            return None;
        }
        let (digits, rest) = rest.split_at_checked(count)?;
        (digits.iter().fold(0, |length, digit| (length << 8) | usize::from(*digit)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

fn expect(bytes: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = element(bytes)?;
    (tag == wanted).then_some((content, rest))
}

/// The key in a `SubjectPublicKeyInfo`, given the content of its sequence.
fn subject_public_key(content: &[u8]) -> Option<PublicKey> {
    let (algorithm, rest) = expect(content, SEQUENCE)?;
    let (object, parameters) = expect(algorithm, OBJECT_ID)?;
    let kind = if object == RSA {
        KeyKind::Rsa
    } else if object == EC && expect(parameters, OBJECT_ID)?.0 == P256 {
        KeyKind::P256
    } else {
        return None;
    };
    let (bits, _) = expect(rest, BIT_STRING)?;
    let (&unused, bytes) = bits.split_first()?;
    (unused == 0).then(|| PublicKey { kind, bytes: bytes.to_vec() })
}

/// The public key of a certificate.
pub(super) fn certificate_key(der: &[u8]) -> Option<PublicKey> {
    let (certificate, _) = expect(der, SEQUENCE)?;
    let (signed, _) = expect(certificate, SEQUENCE)?;
    // version [0] (absent in version 1), serial, signature algorithm, issuer, validity, subject, then the key.
    let mut rest = signed;
    if let Some((0xa0, _, after)) = element(rest) {
        rest = after;
    }
    for _ in 0..5 {
        rest = element(rest)?.2;
    }
    subject_public_key(expect(rest, SEQUENCE)?.0)
}

/// The key in PEM text with a `PUBLIC KEY` or a `CERTIFICATE` block.
pub(super) fn pem_key(text: &str) -> Option<PublicKey> {
    if let Some(der) = pem(text, "PUBLIC KEY") {
        return subject_public_key(expect(&der, SEQUENCE)?.0);
    }
    certificate_key(&pem(text, "CERTIFICATE")?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair, PublicKeyData};

    use super::*;

    #[test]
    fn the_key_of_a_certificate_is_found() {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        let found = pem_key(&certificate.pem()).unwrap();
        assert_eq!(found.kind, KeyKind::P256);
        assert_eq!(found.bytes, key.der_bytes());
        assert_eq!(pem_key(&key.public_key_pem()).unwrap().bytes, key.der_bytes());
        assert!(pem_key("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----").is_none());
        assert!(pem_key("nothing").is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = certificate_key(&bytes);
        }
    }
}
