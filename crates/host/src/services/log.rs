//! Log lines of actions, with the action's name on them.

use crate::text::{SHOWN, clean};
use sortie_abi::Level;
use tracing::{debug, error, info, trace, warn};

/// Hands a line to the process's log. Message and fields are foreign text: cleaned and cut.
pub(crate) fn write(action: &str, run_id: &str, level: Level, message: &str, fields: &str) {
    // The target is fixed, so that a filter can silence all actions at once; nothing is cleaned for a line that
    // nobody reads.
    macro_rules! line {
        ($write:ident, $level:ident) => {
            if tracing::enabled!(target: "sortie::action", tracing::Level::$level) {
                let message = clean(message, SHOWN);
                let fields = clean(fields, SHOWN);
                $write!(target: "sortie::action", action, run_id, fields, "{message}");
            }
        };
    }
    match level {
        Level::ERROR => line!(error, ERROR),
        Level::WARN => line!(warn, WARN),
        Level::INFO => line!(info, INFO),
        Level::DEBUG => line!(debug, DEBUG),
        _ => line!(trace, TRACE),
    }
}
