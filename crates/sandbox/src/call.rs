//! A request as the parts of the sandbox see it: decoded path and query, headers, body.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use percent_encoding::percent_decode_str;

use crate::record::Api;
use crate::reply::Refusal;
use crate::switches::Switches;

/// A request.
pub(crate) struct Call {
    pub(crate) api: Api,
    pub(crate) method: String,
    /// The path as sent.
    pub(crate) path: String,
    /// The query as sent.
    pub(crate) query: String,
    /// Path segments after the first, percent-decoded one by one.
    pub(crate) segments: Vec<String>,
    /// Query options, decoded, in order.
    pub(crate) options: Vec<(String, String)>,
    /// Headers, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
    /// The clock when the request came.
    pub(crate) now: Timestamp,
    /// The switches when the request came.
    pub(crate) switches: Arc<Switches>,
    /// Whether the client accepts gzip.
    pub(crate) gzip: bool,
    /// By how many items a fault shifts this page.
    pub(crate) shift: Shift,
}

/// A fault on where a page begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Shift {
    /// No fault.
    #[default]
    None,
    /// Later or earlier by so many items.
    Items(i64),
    /// Earlier by a whole page.
    Page,
}

impl Shift {
    /// Where a page begins that should begin at `start`.
    pub(crate) fn apply(self, start: usize, page: usize) -> usize {
        match self {
            Self::None => start,
            Self::Page => start.saturating_sub(page),
            Self::Items(by) if by < 0 => start.saturating_sub(usize::try_from(by.unsigned_abs()).unwrap_or(usize::MAX)),
            Self::Items(by) => start.saturating_add(usize::try_from(by).unwrap_or_default()),
        }
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("method", &self.method).field("path", &self.path).finish_non_exhaustive()
    }
}

impl Call {
    /// The first header of that name (lower case).
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether the `Prefer` headers contain that preference.
    pub(crate) fn prefers(&self, preference: &str) -> bool {
        self.headers
            .iter()
            .filter(|(name, _)| name == "prefer")
            .flat_map(|(_, value)| value.split(','))
            .any(|value| value.trim().eq_ignore_ascii_case(preference))
    }

    /// The body as a JSON object.
    pub(crate) fn json_object(&self) -> Result<serde_json::Map<String, serde_json::Value>, String> {
        let kind = self.header("content-type").unwrap_or_default();
        if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
            return Err("The content type must be application/json.".to_owned());
        }
        match serde_json::from_slice(&self.body) {
            Ok(serde_json::Value::Object(map)) => Ok(map),
            Ok(_) => Err("The body must be a JSON object.".to_owned()),
            Err(error) => Err(format!("The body is not valid JSON: {error}.")),
        }
    }

    /// The query option of that name.
    pub(crate) fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The segments of a path after its first; `None` if one is not UTF-8 when decoded.
pub(crate) fn segments(path: &str) -> Option<Vec<String>> {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.split('/')
        .skip(1)
        .map(|segment| percent_decode_str(segment).decode_utf8().ok().map(|text| text.into_owned()))
        .collect()
}

/// Reads a whole number out of a query option; `name` is for the message.
pub(crate) fn whole_number(name: &str, text: &str) -> Result<u64, Refusal> {
    if text.is_empty() || text.len() > 18 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Refusal::new(
            400,
            "BadRequest",
            format!("Invalid value '{text}' for {name}: a non-negative integer is expected."),
        ));
    }
    text.parse().map_err(|_| Refusal::new(400, "BadRequest", format!("Invalid value for {name}.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_decoded_by_segment() {
        assert_eq!(segments("/graph/v1.0/security/incidents/2%2F9").unwrap(), ["v1.0", "security", "incidents", "2/9"]);
        assert_eq!(segments("/graph//x/").unwrap(), ["", "x", ""]);
        assert_eq!(segments("/graph/%ff"), None);
    }

    #[test]
    fn numbers_are_plain_digits() {
        assert_eq!(whole_number("$top", "50").unwrap(), 50);
        for text in ["", "-1", "+1", "1.0", "0x1", "9999999999999999999", "٣"] {
            assert!(whole_number("$top", text).is_err(), "{text}");
        }
    }

    #[test]
    fn shifts_stay_inside_the_list() {
        assert_eq!(Shift::Items(-10).apply(3, 50), 0);
        assert_eq!(Shift::Items(4).apply(3, 50), 7);
        assert_eq!(Shift::Page.apply(60, 50), 10);
    }
}
