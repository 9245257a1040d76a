//! The kinds of error, once for the whole house: what each means, what to do about it, whether trying again can
//! help, and the exit code of the command line.
//!
//! Kinds are text at the boundary. A kind that is not listed here is passed on as it came and counts as
//! [`FAILED`].

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// The text that stands in `error.kind`.
    pub name: &'static str,
    /// The exit code of `sortie run`.
    pub exit_code: u8,
    /// Whether the same call may succeed later without anybody changing anything.
    pub retryable: bool,
    /// What happened.
    pub meaning: &'static str,
    /// What the reader can do.
    pub remedy: &'static str,
}

macro_rules! kinds {
    ($($constant:ident = $name:literal, $exit:literal, $retryable:literal, $meaning:literal, $remedy:literal;)*) => {
        $(#[doc = $meaning] pub const $constant: &str = $name;)*

        /// Every kind, in the order of their exit codes.
        pub const ALL: &[Kind] = &[
            $(Kind { name: $name, exit_code: $exit, retryable: $retryable, meaning: $meaning, remedy: $remedy },)*
        ];
    };
}

kinds! {
    FAILED = "failed", 1, false, "The action did not reach its goal.", "Read the message.";
    NOT_FOUND = "not_found", 1, false, "What the input names does not exist, or the application cannot see it.", "Check the id, the tenant and the application's scope.";
    CONFLICT = "conflict", 1, false, "The target is in a state that forbids this.", "Look at the named state, wait for it to end or undo it.";
    UNKNOWN_OUTCOME = "unknown_outcome", 1, false, "A write was sent, its answer was lost, and looking afterwards did not settle whether it was done.", "Look at the target by hand before running again; use the same --request-id.";
    PARTIAL = "partial", 1, false, "Some of the writes were done and one was not; `done` lists them.", "Run again for what is missing.";
    DECLINED = "declined", 1, false, "The person at the terminal said no.", "Nothing was changed.";
    PANIC = "panic", 1, false, "The action crashed; the host went on.", "Report it with the run id.";
    UNDECLARED_CALL = "undeclared_call", 1, false, "The action asked for a call that its manifest does not declare, or not as declared; nothing was sent.", "Report it to the action's author.";
    BAD_REPLY = "bad_reply", 1, false, "The action answered with something that is not what the boundary asks for.", "Report it to the action's author.";
    HUNG = "hung", 1, false, "The action did not return after its deadline; the process has to end.", "Report it to the action's author.";
    INTERNAL = "internal", 1, false, "sortie itself failed.", "Report it with the run id.";
    USAGE = "usage", 2, false, "The command line is not valid.", "See --help.";
    INVALID_INPUT = "invalid_input", 65, false, "The input was refused; nothing was sent. `violations` lists every reason.", "Correct the named fields.";
    UNAVAILABLE = "unavailable", 69, true, "The service could not be reached or kept failing.", "Try again later; check network, proxy and service health.";
    BAD_RESPONSE = "bad_response", 69, true, "The service's answer could not be used: cut short, not JSON, or against its own contract.", "Try again; check for a proxy that answers in the service's place.";
    RESPONSE_TOO_LARGE = "response_too_large", 69, false, "The service's answer is larger than the cap.", "Ask for less, or raise the cap in the profile.";
    SINK_UNAVAILABLE = "sink_unavailable", 69, true, "A sink did not take every record; what it did not take waits in the store.", "Mend the sink that the message names; the next start goes on where this one ended.";
    STORE_UNUSABLE = "store_unusable", 74, false, "The daemon's store cannot be used: damaged, of a newer sortie, of another tenant, or not writable. It was left as it is.", "Do what the hint says; nothing is lost while the file is kept.";
    STORE_IN_USE = "store_in_use", 75, true, "Another daemon uses the store.", "Let one daemon run for each profile; end the other one first.";
    THROTTLED = "throttled", 75, true, "The service's rate limit, or sortie's own below it, would be waited for beyond the deadline.", "Try again after `retryAfterSeconds`.";
    TIMEOUT = "timeout", 75, true, "The deadline passed.", "Try again, or give more time with --timeout.";
    FORBIDDEN = "forbidden", 77, false, "The application lacks a permission, or may not touch this target.", "Grant the permission the hint names and consent to it.";
    UNAUTHORIZED = "unauthorized", 77, false, "The service refused the token.", "Check tenant, cloud and audience; see the hint.";
    CONFIGURATION = "configuration", 78, false, "The configuration is missing something or contradicts itself.", "Change what the message names; see `sortie config show`.";
    INVALID_CREDENTIAL = "invalid_credential", 78, false, "Entra refused the credential.", "See the hint: renew the secret or certificate, or correct the ids.";
    ACTION_NOT_FOUND = "action_not_found", 78, false, "No such action in the actions folder.", "See `sortie actions`, and --actions-dir.";
    UNTRUSTED_ACTION = "untrusted_action", 78, false, "The action's library failed the check that comes before it is opened.", "Correct what the message names; `sortie actions lock` accepts the libraries as they are.";
    INCOMPATIBLE_ACTION = "incompatible_action", 78, false, "The library is not an action, or not for this host.", "Rebuild the action for the boundary version that the message names.";
    CANCELLED = "cancelled", 130, false, "The run was interrupted.", "Run again.";
}

/// The row of a kind, if it is one of [`ALL`].
pub fn find(name: &str) -> Option<&'static Kind> {
    ALL.iter().find(|kind| kind.name == name)
}

/// The exit code for a kind; an unknown one counts as [`FAILED`].
pub fn exit_code(name: &str) -> u8 {
    find(name).map_or(1, |kind| kind.exit_code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_unique_and_ordered_by_exit_code() {
        for pair in ALL.windows(2) {
            assert!(pair[0].exit_code <= pair[1].exit_code, "{} before {}", pair[0].name, pair[1].name);
        }
        for (at, kind) in ALL.iter().enumerate() {
            assert_eq!(ALL.iter().position(|other| other.name == kind.name), Some(at));
        }
        assert_eq!(exit_code("something new"), 1);
    }
}
