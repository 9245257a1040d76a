//! Reading PEM text as it arrives in practice: with Windows line ends, all on one line, with `\n` spelled out by an
//! environment file, indented by a YAML block, with text between the blocks.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

/// Padding may have been lost on the way.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// One block: its label (`CERTIFICATE`) and its content, `None` where the content is not base64 (an encrypted key in the
/// old form has headers).
pub(crate) struct Block<'a> {
    pub(crate) label: &'a str,
    pub(crate) content: Option<Zeroizing<Vec<u8>>>,
}

/// All blocks of a text, in order.
pub(crate) fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("-----BEGIN ") {
        let Some((label, after)) = after.split_once("-----") else { break };
        let (content, next) = after.split_once("-----END ").unwrap_or((after, ""));
        blocks.push(Block { label: label.trim(), content: decode(content) });
        rest = next;
    }
    blocks
}

fn decode(content: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut packed = Zeroizing::new(Vec::with_capacity(content.len()));
    let mut bytes = content.bytes().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => {
                // A line end that somebody spelled out.
                bytes.next_if(|next| matches!(next, b'n' | b'r' | b't'))?;
            }
            _ if byte.is_ascii_whitespace() => {}
            _ => packed.push(byte),
        }
    }
    BASE64.decode(packed.as_slice()).ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_same_block_however_it_was_mangled() {
        let clean = "-----BEGIN CERTIFICATE-----\nQUJD\nREVG\nRw==\n-----END CERTIFICATE-----\n";
        for text in [
            clean.to_owned(),
            clean.replace('\n', "\r\n"),
            clean.replace('\n', " "),
            clean.replace('\n', "\\n"),
            clean.replace('\n', "\\r\\n"),
            clean.replace('\n', ""),
            clean.replace('\n', "\n    "),
            clean.replace("==", ""),
            format!("Bag Attributes\n  friendlyName: x\n{clean}trailing text"),
        ] {
            let blocks = blocks(&text);
            assert_eq!(blocks.len(), 1, "{text}");
            assert_eq!(blocks[0].label, "CERTIFICATE");
            assert_eq!(blocks[0].content.as_deref().unwrap(), b"ABCDEFG", "{text}");
        }
    }

    #[test]
    fn what_is_no_base64_has_no_content() {
        let text = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nQUJD\n-----END RSA PRIVATE KEY-----";
        assert!(blocks(text)[0].content.is_none());
        assert!(blocks("").is_empty());
        assert!(blocks("-----BEGIN ").is_empty());
        assert_eq!(blocks("-----BEGIN X-----QUJD").len(), 1);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_fall_over(text in any::<String>()) {
            blocks(&text);
            blocks(&format!("-----BEGIN X-----{text}-----END X-----"));
        }
    }
}
