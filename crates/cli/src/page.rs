//! What is said about an action to a person, from its manifest: in `sortie run ACTION --help` and `sortie describe`.
//!
//! A manifest comes from a library, which may be anybody's, so its text is treated as foreign.

use crate::escape::{visible, visible_lines};
use crate::flags::{Flag, quoted, spell};
use serde_json::Value;
use sortie_host::{Call, Effect, Manifest};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The title, and what the action does.
pub(crate) fn heading(manifest: &Manifest) -> String {
    format!("{}. {}", visible(manifest.title.trim_end_matches('.')), visible_lines(&manifest.description))
}

/// What the action does to the tenant, in a few words.
pub(crate) fn effect(manifest: &Manifest) -> String {
    let mut text = match manifest.effect {
        Effect::Read => "changes nothing",
        Effect::Write => "changes records",
        Effect::Destructive => "changes the state of machines or accounts (asks on a terminal)",
    }
    .to_owned();
    if let Some(reverse) = &manifest.reversed_by {
        let _ = write!(text, "; reversed by {}", visible(reverse));
    }
    if manifest.effect.writes() && !manifest.idempotent {
        text.push_str("; running it twice is not the same as running it once");
    }
    text
}

/// The permissions that the action needs, by surface and application.
pub(crate) fn needs(manifest: &Manifest) -> String {
    let mut text = format!("Effect: {}.\n", effect(manifest));
    if manifest.calls.is_empty() {
        return text;
    }
    text.push_str("Permissions, of which the first is the least that will do:\n");
    let mut lines: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for call in &manifest.calls {
        let permissions = permissions(call);
        let known = lines.entry((call.api.to_string(), call.role.to_string())).or_default();
        if !known.contains(&permissions) {
            known.push(permissions);
        }
    }
    for ((api, role), permissions) in lines {
        for permissions in permissions {
            let optional = manifest.surfaces.contains(&api);
            let when =
                if optional { format!(" (when incidents are read from {})", visible(&api)) } else { String::new() };
            let _ = writeln!(text, "  {}, {role} application: {permissions}{when}", visible(&api));
        }
    }
    text
}

/// The permissions of a call, any of which is enough.
pub(crate) fn permissions(call: &Call) -> String {
    let names: Vec<String> = call.permissions.iter().map(|name| visible(name.as_str()).into_owned()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(" or ") }
}

/// The examples, as commands.
pub(crate) fn examples(manifest: &Manifest, flags: &[Flag]) -> String {
    let mut text = String::new();
    for example in &manifest.examples {
        let Ok(input) = serde_json::from_str::<Value>(example.input.get()) else { continue };
        if text.is_empty() {
            text.push_str("Examples:\n");
        }
        let _ = writeln!(
            text,
            "  {}\n    {}",
            visible(&example.title),
            visible(&command(&manifest.name, flags, &input, ""))
        );
    }
    text
}

/// The command that runs an action with an input: with flags where they can say it, else with the document.
pub(crate) fn command(action: &str, flags: &[Flag], input: &Value, options: &str) -> String {
    let (action, options) = (quoted(action), if options.is_empty() { String::new() } else { format!(" {options}") });
    match spell(flags, input) {
        Some(words) if words.is_empty() => format!("echo '{{}}' | sortie run {action}{options}"),
        Some(words) => format!("sortie run {action}{options} {words}"),
        None => format!("echo {} | sortie run {action}{options}", quoted(&input.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::flags;
    use serde_json::json;

    fn manifest() -> Manifest {
        let call = |id: &str, api: &str, permission: &str| {
            json!({"id": id, "api": api, "method": "GET", "path": "/x", "effect": "read", "role": "base",
                "permissions": [permission, "Other.All"], "limit": "l"})
        };
        let told = json!({
            "manifest": 1, "name": "get-incident", "version": "1.0.0", "title": "Get incident.",
            "description": "Reads one\u{1b}[31m.", "kind": "Enrichment", "effect": "read", "idempotent": true,
            "surfaces": ["graph", "defender-xdr"], "streams": false, "columns": [],
            "calls": [call("a", "graph", "SecurityIncident.Read.All"), call("b", "graph", "SecurityIncident.Read.All"),
                call("c", "defender-endpoint", "Machine.Read.All")],
            "examples": [{"title": "One", "input": {"incidentId": "29"}}, {"title": "Two", "input": {"x": [{}]}}],
            "input": {"properties": {"incidentId": {"type": "string"}}}, "output": {}
        });
        Manifest::parse(&told.to_string(), "get-incident").unwrap()
    }

    #[test]
    fn each_permission_is_named_once_with_its_surface() {
        assert_eq!(
            needs(&manifest()),
            "Effect: changes nothing.\n\
             Permissions, of which the first is the least that will do:\n\
             \u{20} defender-endpoint, base application: Machine.Read.All or Other.All\n\
             \u{20} graph, base application: SecurityIncident.Read.All or Other.All (when incidents are read from graph)\n"
        );
        assert_eq!(heading(&manifest()), "Get incident. Reads one\\u{1b}[31m.");
    }

    #[test]
    fn examples_are_commands() {
        let manifest = manifest();
        let flags = flags(&serde_json::from_str(manifest.input.get()).unwrap(), &|_| false);
        assert_eq!(
            examples(&manifest, &flags),
            "Examples:\n  One\n    sortie run get-incident --incident-id 29\n  Two\n    \
             echo '{\"x\":[{}]}' | sortie run get-incident\n"
        );
        assert_eq!(command("a", &flags, &json!({}), "--sandbox"), "echo '{}' | sortie run a --sandbox");
    }
}
