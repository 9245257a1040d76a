//! Text that is never shown.

use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use zeroize::Zeroize;

/// A secret text: not printed, not compared, overwritten when dropped.
///
/// Overwriting reaches this copy only: what a TLS library, an HTTP client or the allocator copied on the way is beyond
/// it.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// A secret. White space around it is taken off: it comes from the end of a file or from a clipboard, and no
    /// secret that Microsoft issues has any.
    pub fn new(text: impl Into<String>) -> Self {
        let mut text = text.into();
        let trimmed = text.trim();
        if trimmed.len() == text.len() {
            return Self(text.into());
        }
        let secret = Self(trimmed.into());
        text.zeroize();
        secret
    }

    /// The text itself. Each use is a place to look at when a secret leaks.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_trimmed_and_never_shown() {
        let secret = Secret::new(" hunter2\r\n");
        assert_eq!(secret.expose(), "hunter2");
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        assert!(Secret::new("\n").is_empty());
    }
}
