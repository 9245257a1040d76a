//! The cache file's encryption: AES-256-GCM under a key derived from the credential itself.
//!
//! Only a process that already holds the credential can read its tokens, so nothing new has to be kept secret, and a
//! replaced credential is a miss. The slot the token belongs to is authenticated along with it: a file under another name does
//! not open.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::rand::{SecureRandom, SystemRandom};

/// First byte of a file. To change what is inside, change this.
const FORMAT: u8 = 1;
const SALT: &[u8] = b"sortie token cache";
const PURPOSE: &[u8] = b"aes-256-gcm file key";

/// A key that opens the files of one credential.
pub(crate) struct Seal(LessSafeKey);

impl Seal {
    /// The key that belongs to this secret.
    pub(crate) fn new(secret: &[u8]) -> Option<Self> {
        let root = Salt::new(HKDF_SHA256, SALT).extract(secret);
        let key = root.expand(&[PURPOSE], &AES_256_GCM).ok()?;
        Some(Self(LessSafeKey::new(UnboundKey::from(key))))
    }

    /// Encrypts `content` for the slot `name`.
    pub(crate) fn seal(&self, name: &str, content: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let mut sealed = Vec::with_capacity(1 + NONCE_LEN + content.len() + AES_256_GCM.tag_len());
        sealed.push(FORMAT);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(content);
        let (_, rest) = sealed.split_at_mut(1 + NONCE_LEN);
        let tag = self.0.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(name), rest).ok()?;
        sealed.extend_from_slice(tag.as_ref());
        Some(sealed)
    }

    /// The content sealed for the slot `name`, in place; `None` if anything about it is not as it was sealed.
    pub(crate) fn open<'a>(&self, name: &str, sealed: &'a mut [u8]) -> Option<&'a [u8]> {
        let (head, rest) = sealed.split_at_mut_checked(1 + NONCE_LEN)?;
        let (&mut format, nonce) = head.split_first_mut()?;
        if format != FORMAT {
            return None;
        }
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        self.0.open_in_place(nonce, Aad::from(name), rest).ok().map(|content| &*content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_secret_and_name_open_it() {
        let seal = Seal::new(b"secret").unwrap();
        let sealed = seal.seal("name", b"content").unwrap();
        assert_eq!(seal.open("name", &mut sealed.clone()), Some(&b"content"[..]));
        assert_eq!(seal.open("other", &mut sealed.clone()), None);
        assert_eq!(Seal::new(b"secret2").unwrap().open("name", &mut sealed.clone()), None);
        assert!(!sealed.windows(7).any(|window| window == b"content"));
        assert_ne!(sealed, seal.seal("name", b"content").unwrap());
    }

    #[test]
    fn a_flipped_bit_anywhere_is_noticed() {
        let seal = Seal::new(b"secret").unwrap();
        let sealed = seal.seal("name", b"content").unwrap();
        for at in 0..sealed.len() {
            for bit in 0..8 {
                let mut broken = sealed.clone();
                broken[at] ^= 1 << bit;
                assert_eq!(seal.open("name", &mut broken), None, "byte {at} bit {bit}");
            }
        }
        for length in 0..sealed.len() {
            assert_eq!(seal.open("name", &mut sealed[..length].to_vec()), None);
        }
    }
}
