//! Standard Webhooks 1.0.0: what a receiver checks to know that a delivery is genuine and fresh.
//!
//! The content signed is `id.timestamp.body` with HMAC-SHA256. With several keys there is a signature of each, so that a
//! key can be changed over: the receiver accepts whichever it knows.
//!
//! A key is written as `whsec_` and base64, and the bytes behind that are the key. A text without `whsec_` is the key itself,
//! byte for byte, and not base64: a receiver whose library decodes every key has to be given the other form. A key has at
//! least 24 bytes, as the specification asks.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ring::hmac;
use sortie_host::{Failure, Secret};
use std::fmt::Write;

/// Before a key that is written as base64.
const PREFIX: &str = "whsec_";

/// The fewest bytes of a key.
const SHORTEST: usize = 24;

/// Keys are copied with and without their padding.
const EITHER: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The signing keys, newest first.
pub(super) struct Keys(Vec<hmac::Key>);

impl Keys {
    /// Reads keys: `whsec_` and base64, or any other text, whose bytes are then the key.
    pub(super) fn new(texts: &[Secret]) -> Result<Self, Failure> {
        let key = |text: &Secret| {
            let bytes = match text.expose().strip_prefix(PREFIX) {
                None => text.expose().as_bytes().to_vec(),
                Some(encoded) => EITHER.decode(encoded).ok().filter(|key| !key.is_empty()).ok_or_else(|| {
                    Failure::configuration(
                        "a signing key begins with whsec_ but is not base64 behind it",
                        "copy the key whole, or use a text without that beginning",
                    )
                })?,
            };
            if bytes.len() < SHORTEST {
                return Err(Failure::configuration(
                    "a signing key has fewer than 24 bytes, and could be guessed",
                    "make one with `printf whsec_; openssl rand -base64 32`, and give it to the receiver, too",
                ));
            }
            Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
        };
        texts.iter().map(key).collect::<Result<_, Failure>>().map(Self)
    }

    /// The header `webhook-signature`: one signature for each key, newest first; none without a key.
    pub(super) fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> Option<String> {
        let mut header = String::new();
        for key in &self.0 {
            let mut context = hmac::Context::with_key(key);
            context.update(format!("{id}.{timestamp}.").as_bytes());
            context.update(body);
            let gap = if header.is_empty() { "" } else { " " };
            let _ = write!(header, "{gap}v1,{}", STANDARD.encode(context.sign()));
        }
        Some(header).filter(|header| !header.is_empty())
    }
}
