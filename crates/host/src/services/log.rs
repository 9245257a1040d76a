//! Log lines of actions, with the action's name on them.

use crate::text::{SHOWN, clean};
use sortie_abi::Level;
use tracing::{debug, error, info, trace, warn};

/// Hands a line to the process's log. Message and fields are foreign text: cleaned and cut. Fields that are empty are
/// left out.
pub(crate) fn write(action: &str, run_id: &str, level: Level, message: &str, fields: &str) {
    // The target is fixed, so that a filter can silence all actions at once; nothing is cleaned for a line that
    // nobody reads.
    macro_rules! line {
        ($write:ident, $level:ident) => {
            if tracing::enabled!(target: "sortie::action", tracing::Level::$level) {
                let message = clean(message, SHOWN);
                let fields = Some(clean(fields, SHOWN)).filter(|fields| !fields.is_empty());
                let fields = fields.as_deref();
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_has_fields_only_if_the_action_gave_some() {
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).without_time().with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            write("probe", "run-1", Level::WARN, "plain\u{1b}[2J", "");
            write("probe", "run-1", Level::ERROR, "more", r#"{"page":2}"#);
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        assert_eq!(
            lines,
            [
                r#"WARN sortie::action: plain [2J action="probe" run_id="run-1""#,
                r#"ERROR sortie::action: more action="probe" run_id="run-1" fields="{\"page\":2}""#,
            ]
        );
    }
}
