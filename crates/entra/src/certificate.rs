//! A certificate with its private key, as it stands in one PEM text.
//!
//! Which of several certificates is the application's own is decided by the key: the one whose public key it is.

use crate::der;
use crate::error::{Error, ErrorKind};
use crate::pem;
use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use ring::signature::{KeyPair as _, RSA_PSS_SHA256};
use zeroize::Zeroizing;

/// The private key of a PEM text, in the form it stands there. Cheap: nothing is checked.
pub(crate) struct PrivateKey {
    form: Form,
    der: Zeroizing<Vec<u8>>,
}

enum Form {
    Pkcs1,
    Pkcs8,
}

impl PrivateKey {
    pub(crate) fn find(pem: &str) -> Result<Self, Error> {
        Self::among(&mut pem::blocks(pem))
    }

    fn among(blocks: &mut [pem::Block<'_>]) -> Result<Self, Error> {
        for block in blocks {
            let form = match block.label {
                "PRIVATE KEY" => Form::Pkcs8,
                "RSA PRIVATE KEY" => Form::Pkcs1,
                "ENCRYPTED PRIVATE KEY" => return Err(encrypted()),
                "EC PRIVATE KEY" | "DSA PRIVATE KEY" => return Err(not_rsa()),
                _ => continue,
            };
            let der = block.content.take().ok_or_else(encrypted)?;
            if matches!(form, Form::Pkcs8) && der::private_key_algorithm(&der).is_some_and(|found| found != der::RSA) {
                return Err(not_rsa());
            }
            return Ok(Self { form, der });
        }
        Err(refuse("the PEM text holds no private key")
            .with_hint("Put certificate and private key into one file: cat certificate.pem key.pem"))
    }

    /// The key itself: what the disk cache is sealed with.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.der
    }
}

/// A key that signs, with the certificates to show for it.
pub(crate) struct Signer {
    key: KeyPair,
    /// DER, the key's own first.
    chain: Vec<Zeroizing<Vec<u8>>>,
}

impl Signer {
    pub(crate) fn new(pem: &str) -> Result<Self, Error> {
        let mut blocks = pem::blocks(pem);
        let key = PrivateKey::among(&mut blocks)?;
        let key = match key.form {
            Form::Pkcs1 => KeyPair::from_der(&key.der),
            Form::Pkcs8 => KeyPair::from_pkcs8(&key.der),
        }
        .map_err(|why| match why.to_string().as_str() {
            "TooLarge" => refuse("the private key is too large: RSA keys of 2048 to 4096 bits are supported"),
            "TooSmall" => refuse("the private key is too small: RSA keys of 2048 to 4096 bits are supported"),
            why => refuse(&format!("the private key cannot be used ({why})")),
        })?;

        let mut chain = Vec::new();
        for block in blocks {
            if matches!(block.label, "CERTIFICATE" | "X509 CERTIFICATE") {
                chain.push(block.content.ok_or_else(|| refuse("a certificate in the PEM text is not valid base64"))?);
            }
        }
        if chain.is_empty() {
            return Err(refuse("the PEM text holds no certificate")
                .with_hint("Put certificate and private key into one file: cat certificate.pem key.pem"));
        }
        let own = chain.iter().position(|certificate| {
            der::public_key(certificate)
                .is_some_and(|(algorithm, bits)| algorithm == der::RSA && bits == key.public_key().as_ref())
        });
        match own {
            Some(own) => chain.swap(0, own),
            None if chain.iter().all(|certificate| der::public_key(certificate).is_none()) => {
                return Err(refuse("the certificate in the PEM text cannot be read"));
            }
            None => return Err(refuse("the private key does not belong to any certificate in the PEM text")),
        }
        Ok(Self { key, chain })
    }

    /// The certificates in DER, the key's own first.
    pub(crate) fn chain(&self) -> impl Iterator<Item = &[u8]> {
        self.chain.iter().map(|certificate| certificate.as_slice())
    }

    /// An RSASSA-PSS signature with SHA-256: JWT's PS256.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(&RSA_PSS_SHA256, &SystemRandom::new(), message, &mut signature)
            .map_err(|_| refuse("the private key cannot sign"))?;
        Ok(signature)
    }
}

fn refuse(why: &str) -> Error {
    Error::new(ErrorKind::InvalidCredential, format!("the certificate cannot be used: {why}"))
}

fn encrypted() -> Error {
    refuse("the private key is encrypted or damaged").with_hint(
        "Decrypt it (openssl pkcs8 -in key.pem -out plain.pem) and protect the file by its owner and mode instead.",
    )
}

fn not_rsa() -> Error {
    refuse("the private key is not RSA")
        .with_hint("Entra takes assertions signed with RSA keys only: create an RSA certificate.")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use ring::signature::{RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};

    pub(crate) const APPLICATION: &str = include_str!("../tests/fixtures/application.pem");
    const PKCS1: &str = include_str!("../tests/fixtures/pkcs1.pem");
    const OTHER: &str = include_str!("../tests/fixtures/other.pem");
    const SMALL: &str = include_str!("../tests/fixtures/small.pem");
    const LARGE: &str = include_str!("../tests/fixtures/large.pem");
    const EC: &str = include_str!("../tests/fixtures/ec.pem");
    const EC_SEC1: &str = include_str!("../tests/fixtures/ec-sec1.pem");
    const ENCRYPTED: &str = include_str!("../tests/fixtures/encrypted.pem");
    const ENCRYPTED_PKCS1: &str = include_str!("../tests/fixtures/encrypted-pkcs1.pem");

    /// The certificates of the application's file, without its key.
    fn certificates() -> &'static str {
        let (_, certificates) = APPLICATION.split_once("-----END PRIVATE KEY-----\n").unwrap();
        certificates
    }

    fn key() -> &'static str {
        APPLICATION.strip_suffix(certificates()).unwrap()
    }

    /// Checks a PS256 signature with the public key of a certificate.
    pub(crate) fn verify(certificate: &[u8], message: &[u8], signature: &[u8]) {
        let (algorithm, bits) = der::public_key(certificate).unwrap();
        assert_eq!(algorithm, der::RSA);
        UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, bits).verify(message, signature).unwrap();
    }

    #[test]
    fn the_keys_own_certificate_comes_first_whatever_the_order() {
        let issuer_first = Signer::new(APPLICATION).unwrap();
        let (issuer, own) = certificates().split_once("-----END CERTIFICATE-----\n").unwrap();
        let own_first = Signer::new(&format!("{own}{issuer}-----END CERTIFICATE-----\n{}", key())).unwrap();
        assert_eq!(issuer_first.chain().count(), 2);
        assert!(issuer_first.chain().eq(own_first.chain()));
        let signature = issuer_first.sign(b"message").unwrap();
        verify(issuer_first.chain().next().unwrap(), b"message", &signature);
    }

    #[test]
    fn both_forms_of_a_key_and_a_mangled_file_are_read() {
        for pem in [
            format!("{PKCS1}{}", certificates()),
            APPLICATION.replace('\n', "\r\n"),
            APPLICATION.replace('\n', "\\n"),
            APPLICATION.replace('\n', " "),
            format!("subject=CN = x\n{APPLICATION}"),
        ] {
            let signer = Signer::new(&pem).unwrap();
            verify(signer.chain().next().unwrap(), b"x", &signer.sign(b"x").unwrap());
        }
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (pem, why) in [
            (String::new(), "no private key"),
            ("not PEM".into(), "no private key"),
            (certificates().into(), "no private key"),
            (key().into(), "no certificate"),
            (format!("{OTHER}{}", certificates()), "does not belong"),
            (format!("{SMALL}{}", certificates()), "too small"),
            (format!("{LARGE}{}", certificates()), "too large"),
            (EC.into(), "not RSA"),
            (format!("{EC_SEC1}{}", certificates()), "not RSA"),
            (format!("{ENCRYPTED}{}", certificates()), "encrypted"),
            (format!("{ENCRYPTED_PKCS1}{}", certificates()), "encrypted"),
            (format!("{}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", key()), "cannot be read"),
            (format!("{}-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", key()), "not valid base64"),
            (
                format!("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n{}", certificates()),
                "cannot be used",
            ),
        ] {
            let Err(error) = Signer::new(&pem) else { panic!("{why}: accepted") };
            assert_eq!(error.kind, ErrorKind::InvalidCredential);
            assert!(error.message.contains(why), "{why}: {error}");
        }
    }
}
